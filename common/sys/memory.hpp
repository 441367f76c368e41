#pragma once
// What a process keeps resident.

namespace sutfleet::sys {

/// Gives back the unmodified pages of the program and its libraries: most were read once, to relocate OpenSSL and
/// libstdc++ at the start. What is still needed comes again from the page cache, which all agents share. Any thread.
void release_start_pages();

}  // namespace sutfleet::sys
