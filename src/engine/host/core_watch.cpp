#include "engine/host/core_watch.hpp"

#include <algorithm>
#include <array>

namespace tutti::engine {

void CoreWatch::look(int64_t nowNs) {
  nextLookNs_ = nowNs + kFirstPauseNs;
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;

  std::array<uint16_t, CPU_SETSIZE> ranksOn{};
  ranksOn[cpu] = 1;
  for (int r = 0; r < links_.nRanks(); ++r) {
    const transport::Doorbell* bell = r == links_.rank() ? nullptr : links_.doorbellOf(r);
    if (bell == nullptr) continue;
    const int theirs = bell->cpuPlusOne.load(std::memory_order_relaxed) - 1;
    if (theirs < 0 || theirs >= CPU_SETSIZE) continue;
    ++ranksOn[theirs];
    // One moves at a time: the last of those that share a core.
    if (theirs == cpu && r > links_.rank()) return;
  }

  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  uint16_t least = ranksOn[cpu];
  for (int c = 0; c < CPU_SETSIZE; ++c) {
    if (CPU_ISSET(c, &allowed)) least = std::min(least, ranksOn[c]);
  }
  if (least + 2 > ranksOn[cpu]) return;  // no better after the move than before

  cpu_set_t emptier;
  CPU_ZERO(&emptier);
  for (int c = 0; c < CPU_SETSIZE; ++c) {
    if (CPU_ISSET(c, &allowed) && ranksOn[c] == least) CPU_SET(c, &emptier);
  }
  if (sched_setaffinity(0, sizeof(emptier), &emptier) == 0) sched_setaffinity(0, sizeof(allowed), &allowed);
  links_.doorbell().cpuPlusOne.store(sched_getcpu() + 1, std::memory_order_relaxed);

  // Where others' work drives the rank back again and again, it stops trying.
  pauseNs_ = nowNs - lastMoveNs_ < 4 * pauseNs_ ? std::min(2 * pauseNs_, kLongestPauseNs) : kFirstPauseNs;
  lastMoveNs_ = nowNs;
  nextLookNs_ = nowNs + pauseNs_;
}

}  // namespace tutti::engine
