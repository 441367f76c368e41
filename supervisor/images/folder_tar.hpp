#pragma once
// A folder as a tar archive that is made while it is read, so that its size costs no memory. Links stay links and are
// never followed; all belongs to root; what its `.dockerignore` says is left out. One thread. Source: POSIX.1-2017 pax, "ustar", with GNU's entries for long names.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "ignore_rules.hpp"
#include "sys/fd.hpp"

namespace sutfleet {

class FolderTar {
  public:
    struct Limits {
        std::uint64_t bytes = std::uint64_t{4} << 30;
        std::size_t entries = 100'000;
    };
    /// @param dockerfile never left out
    /// @return not_found when the folder is not there, invalid_input when it is a link
    static Result<FolderTar> open(const std::string& parent, const std::string& name, const std::string& dockerfile, Limits limits);
    /// The next bytes of it, 0 at the end. @return invalid_input for what is larger than the limits, or is neither file,
    /// folder nor link; transient for a file that changed while it was read
    Result<std::size_t> read(char* into, std::size_t size);

  private:
    /// A folder that is gone through.
    struct Level {
        sys::UniqueFd folder;
        std::string path;                ///< with a slash at its end, or empty
        std::deque<std::string> names;   ///< that are left
    };
    FolderTar(std::string shown, Limits limits) : shown_(std::move(shown)), limits_(limits) {}
    Result<void> enter(sys::UniqueFd folder, std::string path);
    Result<void> next();
    Result<void> read_rules(const std::string& parent, const std::string& name);
    [[nodiscard]] bool leaves_out(const std::string& path) const;
    Result<void> add(const std::string& name);
    Result<void> begin_file(const std::string& name, const std::string& path);
    Result<void> begin_folder(const std::string& name, const std::string& path);
    Result<void> add_link(const std::string& name, const std::string& path);
    void header(const std::string& name, char type, std::uint64_t size, unsigned mode, const std::string& link = {});
    Result<void> read_file();

    std::string shown_;  ///< in messages
    IgnoreRules rules_;
    std::string dockerfile_;
    Limits limits_;
    std::vector<Level> levels_;
    std::string ready_;       ///< made, not given yet
    std::size_t given_ = 0;   ///< of it
    sys::UniqueFd file_;
    std::string file_path_;
    std::uint64_t file_left_ = 0, file_padding_ = 0;
    std::uint64_t bytes_ = 0;
    std::size_t entries_ = 0;
    bool ended_ = false;
};

}  // namespace sutfleet
