#include "engine/host/idle.hpp"

#include <sched.h>

#include "core/clock.hpp"
#include "engine/host/cpu_relax.hpp"

namespace tutti::engine {
void Idle::look() {
  const int64_t now = nowNs();
  if (startNs_ == 0) startNs_ = now;
  const int64_t waited = now - startNs_;
  spunNs_ += waited - waitedNs_;
  waitedNs_ = waited;
}

bool Idle::pause(bool needsThisCore, bool mayYield) {
  ++rounds_;
  awayNs_ = 0;
  const int64_t awakeNs = policy_.spinNs + policy_.yieldNs;
  if (waitedNs_ < awakeNs && !needsThisCore && spunNs_ < policy_.spinNs) {
    cpuRelax();
    if (rounds_ % kSpinsPerLook == 0) look();
    return false;
  }
  if (waitedNs_ >= awakeNs || !mayYield) {
    look();
    return true;
  }
  if (startNs_ == 0) look();
  const int64_t before = waitedNs_;
  sched_yield();
  look();
  awayNs_ = waitedNs_ - before;
  if (policy_.crowded) spunNs_ = 0;
  return waitedNs_ >= awakeNs;
}

}  // namespace tutti::engine
