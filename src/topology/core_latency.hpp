// How long a cache line takes from one core to another, measured: two threads hand a flag to and fro. Virtual
// machines change the placement of their cores without telling sysfs, so what matters for small messages is
// measured, not read.
#pragma once

#include <vector>

#include "core/result.hpp"

namespace tutti::topology {

struct CoreLatency {
  int cpuA;
  int cpuB;
  double oneWayNs;  ///< median over rounds
};

/// Pins two threads for about `budgetMs` per pair. REQUIRES that the process may run on both. Gives up with
/// an error when a thread cannot be pinned or the other core does not answer within a second.
Result<CoreLatency> measureCoreLatency(int cpuA, int cpuB, int budgetMs = 2);

/// All pairs of `cpus`, or of as many of the first as fit into `maxPairs`.
Result<std::vector<CoreLatency>> measureCoreLatencies(const std::vector<int>& cpus, int maxPairs = 64,
                                                      int budgetMs = 2);

}  // namespace tutti::topology
