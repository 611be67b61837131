// Figures over the iterations of one row (-I).
#pragma once

#include <span>

namespace tutti::perf {

struct Statistics {
  double min = 0, max = 0, mean = 0, p50 = 0, p95 = 0, p99 = 0;
  double deviation = 0;  ///< standard deviation of the population
  double variationPercent() const { return mean > 0 ? 100 * deviation / mean : 0; }
};

/// Percentiles are nearest-rank. REQUIRES at least one time.
Statistics statisticsOf(std::span<const double> times);

}  // namespace tutti::perf
