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

#include <algorithm>
#include <cstdint>

#include "core/clock.hpp"
#include "transport/links.hpp"

namespace tutti::engine {

class CoreWatch {
 public:
  /// `ranksPerCore`: of the busiest core.
  CoreWatch(transport::Links& links, bool mayMove, int ranksPerCore)
      : links_(links), mayMove_(mayMove), sleepsPay_(ranksPerCore <= kMostSleepers) {}

  /// At the start of a wait: notes the core.
  void startWait() {
    cpuPlusOne_ = sched_getcpu() + 1;
    transport::Doorbell& own = links_.doorbell();
    if (own.cpuPlusOne.load(std::memory_order_relaxed) != cpuPlusOne_) {
      own.cpuPlusOne.store(cpuPlusOne_, std::memory_order_relaxed);
    }
    if (dearWaits_ > 0) {
      --dearWaits_;
    } else if (waits_ % kForgetEvery == 0) {
      if (dearYields_ == 0) dearLength_ = kFirstDear;
      dearYields_ = 0;
    }
    // Waits that are all short get here, too.
    if (++waits_ % kWaitsPerLook == 0) waiting(nowNs());
  }
  /// Whether `peer` last waited on the core of this wait.
  bool sharesCore(int peer) const {
    const transport::Doorbell* other = links_.doorbellOf(peer);
    return other != nullptr && other->cpuPlusOne.load(std::memory_order_relaxed) == cpuPlusOne_;
  }

  /// Gives the core to whoever wants it, and notes how long it stayed away.
  void yield() {
    const int64_t before = nowNs();
    sched_yield();
    noteYield(nowNs() - before);
  }
  /// The same of a yield that was made elsewhere.
  void noteYield(int64_t awayNs) {
    if (awayNs < kDearNs || !sleepsPay_) [[likely]]
      return;
    if (++dearYields_ < kDearYields) return;
    dearYields_ = 0;
    dearWaits_ = dearLength_;
    dearLength_ = std::min(2 * dearLength_, kLongestDear);
  }
  /// Somebody else's work takes whole time slices when it is let: it is better to sleep, as a sleeper that is
  /// woken comes before who has been running. True for some waits after it has been found out.
  bool yieldsAreDear() const { return dearWaits_ > 0; }

  /// In a wait that takes longer: moves to an emptier core, if there is one. Rarely more than a comparison.
  void waiting(int64_t nowNs) {
    if (mayMove_ && nowNs >= nextLookNs_) look(nowNs);
  }

 private:
  static constexpr uint32_t kWaitsPerLook = 256;
  static constexpr int64_t kDearNs =
      2'000'000;                              // no rank works so long on a small call; a time slice is longer
  static constexpr uint32_t kDearYields = 3;  // of kForgetEvery waits: one may be a rank that starts
  static constexpr int kMostSleepers = 4;
  static constexpr uint32_t kForgetEvery = 64;
  static constexpr uint32_t kFirstDear = 128;
  static constexpr uint32_t kLongestDear = 4096;
  static constexpr int64_t kFirstPauseNs = 200'000;
  static constexpr int64_t kLongestPauseNs = 1'000'000'000;

  void look(int64_t nowNs);

  transport::Links& links_;
  const bool mayMove_;
  const bool sleepsPay_;  ///< not where each publication would wake a crowd
  int32_t cpuPlusOne_ = 0;
  uint32_t waits_ = 0;
  uint32_t dearYields_ = 0;
  uint32_t dearWaits_ = 0;
  uint32_t dearLength_ = kFirstDear;
  int64_t nextLookNs_ = 0;
  int64_t lastMoveNs_ = 0;
  int64_t pauseNs_ = kFirstPauseNs;  ///< after a move; doubled where moving does not last
};

}  // namespace tutti::engine
