#pragma once
// What would not work of the contexts that confs name: each `contexts/<name>.yaml`, and what it names beside it. Reads
// files, changes nothing. Threads: any.

#include <string>
#include <vector>

#include "conf_check.hpp"

namespace sutfleet::ctl {

/// The folder of the contexts of a folder of confs: `contexts` beside it, but of the stack's own confs $SUTFLEET_CONTEXT_DIR.
[[nodiscard]] std::string context_folder(const std::string& confs);
/// A `.yaml` in a folder of contexts, and no companion of a conf.
[[nodiscard]] bool is_context_file(const std::string& path);
CheckedFile check_context(const std::string& path);
/// All of a folder; nothing of one that is not there.
std::vector<CheckedFile> check_contexts(const std::string& folder);
/// Why a conf with this context would not run; empty: it would.
[[nodiscard]] std::string context_error(const std::string& conf_path, const std::string& context);

}  // namespace sutfleet::ctl
