#include "engine/host/idle.hpp"

#include <sched.h>

#include "core/clock.hpp"

namespace tutti::engine {
namespace {

inline void cpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

bool Idle::pause() {
  if (rounds_ == 0) waitedNs_ = 0;
  ++rounds_;
  if (policy_.spinNs > 0 && waitedNs_ < policy_.spinNs) {
    cpuRelax();
    if (rounds_ % kSpinsPerLook != 0) return false;
  } else if (waitedNs_ < policy_.spinNs + policy_.yieldNs) {
    sched_yield();
  }
  int64_t now = nowNs();
  if (startNs_ == 0) startNs_ = now;
  waitedNs_ = now - startNs_;
  return waitedNs_ >= policy_.spinNs + policy_.yieldNs;
}

}  // namespace tutti::engine
