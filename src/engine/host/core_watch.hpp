// CoreWatch: which ranks of this host share a core, and what follows from it.
//
// Each rank notes in its doorbell on which core it waits. So a waiting rank knows whether the rank it waits
// for can run beside it (then spinning is worth while) or needs this very core (then it must be given away at
// once). And where the system has put several ranks on one core while others have fewer, one of them moves:
// the system would see to it too, but takes tens of milliseconds, ten thousands of calls.
//
// How it moves: the thread's affinity mask is narrowed to the emptier cores, which moves the thread, and set
// back. Nobody's pinning is overruled: only cores of the mask are used, and a thread that is pinned to one
// core stays.
//
// Thread safety: one thread at a time, as the rank itself. SYNC POINT: none; Doorbell::cpu is a hint.
#pragma once

#include <sched.h>

#include <cstdint>

#include "core/clock.hpp"
#include "transport/links.hpp"

namespace tutti::engine {

class CoreWatch {
 public:
  CoreWatch(transport::Links& links, bool mayMove) : links_(links), mayMove_(mayMove) {}

  /// At the start of a wait: notes the core.
  void startWait() {
    cpuPlusOne_ = sched_getcpu() + 1;
    transport::Doorbell& own = links_.doorbell();
    if (own.cpuPlusOne.load(std::memory_order_relaxed) != cpuPlusOne_) {
      own.cpuPlusOne.store(cpuPlusOne_, std::memory_order_relaxed);
    }
    // Waits that are all short get here, too.
    if (++waits_ % kWaitsPerLook == 0) waiting(nowNs());
  }
  /// Whether `peer` last waited on the core of this wait.
  bool sharesCore(int peer) const {
    const transport::Doorbell* other = links_.doorbellOf(peer);
    return other != nullptr && other->cpuPlusOne.load(std::memory_order_relaxed) == cpuPlusOne_;
  }

  /// In a wait that takes longer: moves to an emptier core, if there is one. Rarely more than a comparison.
  void waiting(int64_t nowNs) {
    if (mayMove_ && nowNs >= nextLookNs_) look(nowNs);
  }

 private:
  static constexpr uint32_t kWaitsPerLook = 256;
  static constexpr int64_t kFirstPauseNs = 200'000;
  static constexpr int64_t kLongestPauseNs = 1'000'000'000;

  void look(int64_t nowNs);

  transport::Links& links_;
  const bool mayMove_;
  int32_t cpuPlusOne_ = 0;
  uint32_t waits_ = 0;
  int64_t nextLookNs_ = 0;
  int64_t lastMoveNs_ = 0;
  int64_t pauseNs_ = kFirstPauseNs;  ///< after a move; doubled where moving does not last
};

}  // namespace tutti::engine
