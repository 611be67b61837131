// Idle: what a thread does that waits for other ranks. Spin while the answer is nanoseconds away, then yield,
// then sleep on the doorbell. Ranks may outnumber cores: a time slice spent spinning is one that the awaited
// rank does not get.
#pragma once

#include <cstdint>

#include "transport/doorbell.hpp"

namespace tutti::engine {

struct IdlePolicy {
  int64_t spinNs = 2000;         ///< busy, with pause instructions; 0: yield at once
  int64_t yieldNs = 100'000;     ///< sched_yield in a loop
  int64_t sleepNs = 20'000'000;  ///< longest sleep without a look at abort and deadline
};

class Idle {
 public:
  explicit Idle(const IdlePolicy& policy) : policy_(policy) {}

  /// Progress has been made: the next wait starts with spinning again.
  void reset() {
    rounds_ = 0;
    startNs_ = 0;
  }

  /// True where the caller should announce sleep, look once more for work, and call sleep() or cancel().
  bool pause();
  int64_t sleepNs() const { return policy_.sleepNs; }

  /// Nanoseconds since the wait began, as of the last look at the clock.
  int64_t waitedNs() const { return waitedNs_; }

 private:
  static constexpr uint32_t kSpinsPerLook = 64;

  IdlePolicy policy_;
  uint32_t rounds_ = 0;
  int64_t startNs_ = 0;
  int64_t waitedNs_ = 0;
};

}  // namespace tutti::engine
