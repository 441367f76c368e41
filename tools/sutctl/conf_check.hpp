#pragma once
// What would run of confs, and of a whole folder of them as it is: each thing that would not is a finding with its
// place and what to do. Reads files, changes nothing. Threads: any.

#include <string>
#include <vector>

namespace sutfleet::ctl {

struct Finding {
    int line = 0;  ///< 0: of the file as a whole
    int column = 0;
    std::string message;
};

struct CheckedFile {
    std::string path;
    bool is_conf = false;
    std::vector<Finding> errors;    ///< it does not run
    std::vector<Finding> warnings;  ///< it runs, or nobody asked for it; a person should know
};

CheckedFile check_conf(const std::string& path);
/// All confs of the folder, and whatever else in it is worth a word, in the order of their names.
std::vector<CheckedFile> check_folder(const std::string& folder);

/// `path:line:column: message`
std::string to_text(const std::string& path, const Finding& finding);

}  // namespace sutfleet::ctl
