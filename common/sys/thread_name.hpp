#pragma once
// A name for the calling thread, for `top -H` and debuggers: at most 15 bytes.

#include <pthread.h>

namespace sutfleet::sys {

inline void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace sutfleet::sys
