#pragma once
// Files as whole texts: bounded reads, atomic replacement, durable appends. Errors name the path. Threads: any.

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

/// @return invalid_input when the file is larger than `limit` bytes or not a regular file.
Result<std::string> read_file(const std::string& path, std::size_t limit);
/// A short text without the newlines at its end, as a password or a name is kept; empty when it cannot be read.
std::string read_short_text(const std::string& path);

/// What stat(2) says of a file (through links) as a text that differs when the file changed or was replaced; what
/// went wrong, when it cannot be asked.
std::string file_stamp(const std::string& path);

enum class Durability { fast, durable };  ///< durable: file and folder are fsynced before it returns

/// Writes beside `path` and renames over it: a reader sees the old or the new text, never a half.
Result<void> write_file_atomic(const std::string& path, std::string_view content, mode_t mode,
                               Durability durability);

/// Writes all of it, whatever write(2) returns in between.
Result<void> write_all(int fd, std::string_view content);

/// A pipe, opened anew for writing that never blocks (a full one: EAGAIN), while whoever shares `fd` keeps its own way.
/// @return invalid when it is no pipe; where it cannot be opened (no /proc, another user's), `fd` itself stops blocking
UniqueFd reopen_pipe(int fd);
/// The same for a file descriptor that keeps its number.
void never_block_on_pipe(int fd);

Result<void> sync_folder(const std::string& path);
/// Like mkdir -p.
Result<void> make_folders(const std::string& path, mode_t mode);
/// The names in a folder, sorted, without "." and "..".
Result<std::vector<std::string>> list_folder(const std::string& path);

}  // namespace sutfleet::sys
