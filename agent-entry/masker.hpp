#pragma once
// Takes secrets' values out of a stream of output, also when a value comes in several chunks. Pure. It hides what a
// command prints by mistake; whoever means to print a secret can always print it in another form.

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sutfleet::agent {

/// Values that are masked: each as a whole, and of one with several lines each line. Shared by all streams.
class Secrets {
  public:
    static constexpr std::size_t k_least = 4;  ///< bytes; a shorter value would mask half of all output

    explicit Secrets(const std::vector<std::string>& values);
    /// Both: a value that was exchanged can still be good, and a program still have it.
    [[nodiscard]] std::shared_ptr<const Secrets> and_those_of(const Secrets& other) const;
    [[nodiscard]] bool none() const { return patterns_.empty(); }
    [[nodiscard]] std::size_t size() const { return patterns_.size(); }

  private:
    friend class Masker;
    std::vector<std::string> patterns_;  ///< longest first
    std::array<bool, 256> begins_{};     ///< whether one of them begins with this byte
};

class Masker {
  public:
    explicit Masker(std::shared_ptr<const Secrets> secrets) : secrets_(std::move(secrets)) {}

    /// From the next chunk on.
    void set_secrets(std::shared_ptr<const Secrets> secrets) { secrets_ = std::move(secrets); }
    /// @return what can be written by now: what may be the begin of a secret waits for the next chunk
    std::string pass(std::string_view chunk);
    /// @return what waited; the stream has ended
    std::string end();

  private:
    enum class Found { nothing, secret, begin_of_one };
    [[nodiscard]] std::pair<Found, std::size_t> look(std::string_view rest, bool more_may_come) const;
    std::string mask(std::string_view bytes, bool more_may_come);

    std::shared_ptr<const Secrets> secrets_;
    std::string held_;
};

}  // namespace sutfleet::agent
