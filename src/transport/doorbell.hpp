// Doorbell: how a rank that sleeps is woken by whoever makes progress possible for it, at no cost while it is
// awake.
//
// A sleeper that waits in epoll instead of a futex (a network proxy, in its own process) gives an event
// descriptor to write to.
//
// Layout: one cache line in memory that both sides can reach. Memory semantics: the publisher stores its data
// and flags, then calls ring(); the sleeper calls prepareSleep(), looks once more for work, then sleeps. A
// store-load reordering in ring() (flag store, then load of `sleeping`) could miss a sleeper. The full fence
// that forbids it is paid by the sleeper alone: prepareSleep() runs membarrier(GLOBAL_EXPEDITED), which
// fences every thread of every registered process. Where the kernel has no membarrier, sleeps are bounded by
// kBlindSleepNs, so a missed ring costs that much and no more.
#pragma once

#include <atomic>
#include <cstdint>

namespace tutti::transport {

struct alignas(64) Doorbell {
  std::atomic<uint32_t> word{0};      ///< futex word; changes with every ring that found a sleeper
  std::atomic<uint32_t> sleeping{0};  ///< 1 while the owner sleeps or is about to
  int32_t eventFdPlusOne =
      0;  ///< set once, before use, and only in memory of this process; 0: a futex sleeper
  std::atomic<int32_t> cpuPlusOne{0};  ///< core on which the owner last waited; 0: not known. A hint
};
static_assert(sizeof(Doorbell) == 64);

/// Registers this process with membarrier; called by everyone who maps a doorbell of another process.
/// Idempotent.
void registerDoorbells();

void ringSlow(Doorbell& bell);

/// Wakes the owner if it sleeps. Call after publishing. Any thread.
inline void ring(Doorbell& bell) {
  std::atomic_signal_fence(
      std::memory_order_seq_cst);  // the compiler must not hoist the load; the CPU part: see above
  if (bell.sleeping.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    ringSlow(bell);
  }
}

/// Announces sleep and returns the ticket for sleep(). Only the owner.
uint32_t prepareSleep(Doorbell& bell);
/// Sleeps until rung or `timeoutNs` passed, then withdraws the announcement.
void sleep(Doorbell& bell, uint32_t ticket, int64_t timeoutNs);
/// Withdraws the announcement without having slept.
inline void cancelSleep(Doorbell& bell) {
  bell.sleeping.store(0, std::memory_order_relaxed);
}

}  // namespace tutti::transport
