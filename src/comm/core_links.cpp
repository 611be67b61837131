#include "comm/core_links.hpp"

namespace tutti::comm {
namespace {

constexpr int64_t kBudgetUs = 3000;

int distanceOf(const topology::HostCores& cores, int cpuA, int cpuB) {
  const topology::HostCore* a = cores.find(cpuA);
  const topology::HostCore* b = cores.find(cpuB);
  return a == nullptr || b == nullptr ? 3 : topology::HostCores::distance(*a, *b);
}

}  // namespace

calibration::Link CoreLinks::slowest() const {
  calibration::Link most;
  for (const calibration::Link& link : at)
    if (link.oneWayNs > most.oneWayNs) most = link;
  return most;
}

calibration::Link CoreLinks::between(const topology::HostCores& cores, int cpuA, int cpuB) const {
  const calibration::Link& link = at[distanceOf(cores, cpuA, cpuB)];
  return link.oneWayNs > 0 ? link : slowest();
}

std::string CoreLinks::text() const {
  static constexpr const char* kNames[] = {"",           "one core's threads", "one L3", "one NUMA node",
                                           "one socket", "two sockets"};
  std::string text;
  for (size_t d = 1; d < at.size(); ++d) {
    if (at[d].oneWayNs == 0) continue;
    text += fmt::format(
        "{}{}: a line {:.0f} ns one way, slots {:.1f} GB/s by plain stores, {:.1f} by non-temporal ones",
        text.empty() ? "" : "; ", kNames[d], at[d].oneWayNs, at[d].plainGBps, at[d].streamGBps);
  }
  return text;
}

CoreLinks measureCoreLinks(const topology::HostCores& cores, int own, std::span<const int> others) {
  CoreLinks links;
  std::array<bool, 6> tried{};
  auto measure = [&](int other) {
    const int distance = distanceOf(cores, own, other);
    if (other < 0 || other == own || tried[distance]) return;
    tried[distance] = true;
    if (auto link = calibration::measureLink(own, other, kBudgetUs); link.ok()) links.at[distance] = *link;
  };
  bool apart = false;
  for (const int other : others) {
    measure(other);
    apart |= other != own;
  }
  if (!apart && !others.empty()) measure(calibration::neighbourOf(own));
  return links;
}

}  // namespace tutti::comm
