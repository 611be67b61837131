// A store-load barrier whose cost lies on one side: the light side is free, the heavy side interrupts the
// other threads.
//
// If a thread does { x = 1; asymmetricLightBarrier(); read y } and another { y = 1; asymmetricHeavyBarrier();
// read x }, then at least one of them reads a 1. Where the kernel has no membarrier(2) the light side is a
// full fence.
#pragma once

#include <atomic>

namespace tutti::api {

/// True where the light side must fence. Set once by prepareAsymmetricBarrier().
extern std::atomic<bool> gLightBarrierFences;

/// Call before the first use of the other two. Any thread, any number of times.
void prepareAsymmetricBarrier();

inline void asymmetricLightBarrier() {
  // Relaxed: changes only before there is anything to protect.
  if (gLightBarrierFences.load(std::memory_order_relaxed)) [[unlikely]] {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

void asymmetricHeavyBarrier();

/// Sleeps about so long.
void sleepMicroseconds(int us);

}  // namespace tutti::api
