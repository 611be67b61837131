#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace tutti::perf {

Statistics statisticsOf(std::span<const double> times) {
  std::vector<double> sorted(times.begin(), times.end());
  std::sort(sorted.begin(), sorted.end());
  size_t n = sorted.size();
  auto nearestRank = [&](size_t percent) {
    return sorted[std::max<size_t>((n * percent + 99) / 100, 1) - 1];
  };
  Statistics result;
  result.min = sorted.front();
  result.max = sorted.back();
  result.p50 = sorted[n / 2];
  result.p95 = nearestRank(95);
  result.p99 = nearestRank(99);
  result.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(n);
  double squares = 0;
  for (double time : sorted) squares += (time - result.mean) * (time - result.mean);
  result.deviation = std::sqrt(squares / static_cast<double>(n));
  return result;
}

}  // namespace tutti::perf
