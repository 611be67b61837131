// CoreLinks: how far apart the cores of a communicator's ranks are, measured when it is made.
//
// A hypervisor may move virtual cores without telling: whether two of them share a cache is found out by
// handing lines over, not read. Rank 0 measures one pair of cores of each distance that occurs between it and
// the other ranks of its host, and tells all ranks.
#pragma once

#include <array>
#include <span>
#include <string>

#include "calibration/measure.hpp"
#include "topology/host_cores.hpp"

namespace tutti::comm {

/// Plain data, by HostCores::distance().
struct CoreLinks {
  std::array<calibration::Link, 6> at{};

  /// The slowest of those measured; all 0 if none is.
  calibration::Link slowest() const;
  /// Between two CPUs. Ranks on one CPU will find different ones: the slowest there is.
  calibration::Link between(const topology::HostCores& cores, int cpuA, int cpuB) const;
  std::string text() const;
};

/// `others`: where the other ranks of this host run. Takes at most 3 ms for each distance. What is too noisy
/// to be measured is left out.
CoreLinks measureCoreLinks(const topology::HostCores& cores, int own, std::span<const int> others);

}  // namespace tutti::comm
