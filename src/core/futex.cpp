#include "core/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace tutti {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free,
              "the kernel reads the word as a plain 32-bit integer");

bool futexWait(const std::atomic<uint32_t>* word, uint32_t expected, int64_t timeoutNs) {
  timespec limit{};
  if (timeoutNs >= 0) {
    limit.tv_sec = static_cast<time_t>(timeoutNs / 1'000'000'000);
    limit.tv_nsec = static_cast<long>(timeoutNs % 1'000'000'000);
  }
  const long got =
      syscall(SYS_futex, word, FUTEX_WAIT, expected, timeoutNs >= 0 ? &limit : nullptr, nullptr, 0);
  return got == 0 || errno != ETIMEDOUT;
}

int futexWake(const std::atomic<uint32_t>* word, int count) {
  const long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0);
  return woken > 0 ? static_cast<int>(woken) : 0;
}

int futexWakeAll(const std::atomic<uint32_t>* word) {
  return futexWake(word, INT_MAX);
}

}  // namespace tutti
