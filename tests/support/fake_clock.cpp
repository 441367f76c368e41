// Preloaded into a program, shows it a wall clock that somebody has set: off by as many seconds as the file that
// $FAKE_CLOCK names says, read again at each look. All other clocks are as they are. Deadlines by the wall clock are
// given to the kernel as it knows them.

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

namespace {

long offset() {
    const char* path = std::getenv("FAKE_CLOCK");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char text[32] = {};
    [[maybe_unused]] const auto got = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    return std::strtol(text, nullptr, 10);
}

template <class Function>
Function* real(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

timespec as_the_kernel_knows(const timespec* fake) { return {fake->tv_sec - offset(), fake->tv_nsec}; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
    static auto* const next = real<int(clockid_t, timespec*)>("clock_gettime");
    const int code = next(clock, out);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += offset();
    return code;
}

int gettimeofday(timeval* out, void*) noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    *out = {now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t* out) noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (out != nullptr) *out = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
    static auto* const next = real<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)>("pthread_cond_timedwait");
    const auto known = as_the_kernel_knows(until);
    return next(condition, mutex, &known);
}

int sem_timedwait(sem_t* semaphore, const timespec* until) {
    static auto* const next = real<int(sem_t*, const timespec*)>("sem_timedwait");
    const auto known = as_the_kernel_knows(until);
    return next(semaphore, &known);
}
}
