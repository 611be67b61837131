// Idle: what a thread does that waits for other ranks. Spin while the answer is nanoseconds away, then yield,
// then sleep on the doorbell. Ranks may outnumber cores: a time slice spent spinning is one that the awaited
// rank does not get.
#pragma once

#include <cstdint>

#include "transport/doorbell.hpp"

namespace tutti::engine {

struct IdlePolicy {
  int64_t spinNs = 2000;  ///< busy, with pause instructions; 0: yield at once
  bool crowded = false;   ///< ranks share cores: whoever spins must know that nobody on this core could run
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
    waitedNs_ = 0;
    spunNs_ = 0;
  }
  /// No pause has been made since the last progress.
  bool starting() const { return rounds_ == 0; }

  /// `needsThisCore`: what is awaited can happen only when another thread gets this core. `mayYield`: else it
  /// is time to sleep instead. True where the caller should announce sleep, look once more for work, and call
  /// sleep() or cancel().
  bool pause(bool needsThisCore, bool mayYield = true);
  /// How long the last pause kept the core away, if it yielded, as far as is known: at most so long.
  int64_t awayNs() const { return awayNs_; }
  int64_t sleepNs() const { return policy_.sleepNs; }

  /// Nanoseconds since the wait began, as of the last look at the clock.
  int64_t waitedNs() const { return waitedNs_; }
  /// The last look at the clock in this wait, or 0.
  int64_t lookedAtNs() const { return startNs_ == 0 ? 0 : startNs_ + waitedNs_; }

 private:
  static constexpr uint32_t kSpinsPerLook = 64;

  void look();

  IdlePolicy policy_;
  uint32_t rounds_ = 0;
  int64_t startNs_ = 0;
  int64_t waitedNs_ = 0;
  int64_t awayNs_ = 0;
  int64_t spunNs_ = 0;  ///< of this wait; in a crowd, since the core was given away last
};

}  // namespace tutti::engine
