// Monotonic time and deadlines. Waits take a Deadline, never a bare loop.
#pragma once

#include <time.h>

#include <cstdint>
#include <limits>

namespace tutti {

/// Nanoseconds of CLOCK_MONOTONIC.
inline int64_t nowNs() {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

/// A point in monotonic time after which a wait gives up.
class Deadline {
 public:
  static Deadline never() { return Deadline(std::numeric_limits<int64_t>::max()); }
  static Deadline afterMs(int64_t ms) { return Deadline(nowNs() + ms * 1'000'000); }

  bool expired() const { return atNs_ != std::numeric_limits<int64_t>::max() && nowNs() >= atNs_; }
  /// Milliseconds left, rounded up, at least 0 and at most `capMs`: fit for poll().
  int remainingMs(int capMs) const {
    if (atNs_ == std::numeric_limits<int64_t>::max()) return capMs;
    int64_t left = (atNs_ - nowNs() + 999'999) / 1'000'000;
    if (left < 0) left = 0;
    return left < capMs ? static_cast<int>(left) : capMs;
  }

 private:
  explicit Deadline(int64_t atNs) : atNs_(atNs) {}
  int64_t atNs_;
};

}  // namespace tutti
