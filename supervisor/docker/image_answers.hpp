#pragma once
// What an engine says while it loads, builds or pulls an image: a stream of JSON objects (API: ImageBuild, ImageCreate,
// ImageLoad). Pure; bounded: what is too long for a line is cut.

#include <functional>
#include <string>
#include <string_view>

namespace sutfleet::docker {

class ImageAnswers {
  public:
    /// @param said a line of output, without its end
    explicit ImageAnswers(const std::function<void(std::string_view)>& said) : said_(said) {}
    void take(std::string_view bytes);
    /// What came without an end. @return the engine's error; empty when it had none
    std::string finish();

  private:
    void object(std::string_view text);
    void output(std::string_view text);
    const std::function<void(std::string_view)>& said_;
    std::string rest_;    ///< of the objects
    std::string line_;    ///< of the output
    std::string error_;
};

inline constexpr std::size_t k_image_line_limit = 64 * 1024;

}  // namespace sutfleet::docker
