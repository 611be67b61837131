// Which CPUs this process may run on and what they share: an L3 cache, a NUMA node, a package. The
// communicator places host ranks by it. Reads sysfs below a root that tests replace.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace tutti::topology {

struct HostCore {
  int cpu = 0;      ///< the kernel's number
  int coreId = 0;   ///< hyperthreads of one core share it (unique on the machine: lowest sibling's number)
  int l3 = 0;       ///< index of the L3 group, from 0 in order of the lowest CPU
  int numa = 0;     ///< NUMA node number
  int package = 0;  ///< physical package number
};

struct HostCores {
  std::vector<HostCore> cores;  ///< CPUs this process may use, by number
  int l3Groups = 0;
  int numaNodes = 0;
  int packages = 0;
  std::vector<std::string> warnings;  ///< what sysfs did not say, and what was assumed

  const HostCore* find(int cpu) const;
  /// 0 same CPU, 1 same core, 2 same L3, 3 same NUMA node, 4 same package, 5 other package.
  static int distance(const HostCore& a, const HostCore& b);
};

/// "0-3,8,10-11" → numbers in rising order, each once. Numbers up to 65535.
Result<std::vector<int>> parseCpuList(std::string_view text);

/// What this process may use: sched_getaffinity ∩ online.
HostCores probeHostCores();
/// The same from another root (tests: a folder that has sys/devices/system/...), for the given allowed CPUs
/// (empty: all online).
HostCores probeHostCores(const std::string& root, const std::vector<int>& allowed);

}  // namespace tutti::topology
