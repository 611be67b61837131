// Measuring the machine: some 100 ms for all of it, under a millisecond for a link between two cores.
//
// All by threads of this process, which are pinned where the measurement needs it; the calling thread stays
// as it is. Other work on the machine costs time and, when it is too much, the result: an error, never
// nonsense.
#pragma once

#include <functional>
#include <string_view>

#include "calibration/values.hpp"
#include "core/result.hpp"

namespace tutti::calibration {

inline constexpr int kBudgetMs = 170;

/// All of Values. `progress` hears what is being measured. Ends within `budgetMs` and a time slice or two.
Result<Values> measure(int budgetMs = kBudgetMs,
                       const std::function<void(std::string_view)>& progress = nullptr);

/// What depends on where two threads run.
struct Link {
  double oneWayNs = 0;
  double plainGBps = 0;
  double streamGBps = 0;
};
/// REQUIRES that the CPUs are not the same. Needs about 0.3 ms of both, at most `budgetUs`.
Result<Link> measureLink(int cpuA, int cpuB, int64_t budgetUs);

/// A yield that goes from thread to thread of one CPU, in microseconds.
Result<double> measureSwitch(int cpu, int64_t budgetUs);

/// The nearest other core's CPU, or -1. Those of the process's affinity come first; a launcher that binds
/// each rank to a core leaves none, but other ranks have the others.
int neighbourOf(int cpu);

}  // namespace tutti::calibration
