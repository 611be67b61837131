// What a container may use: CPUs and CPU time, by the control groups this process is in (versions 1 and 2).
// Reads below a root that tests replace.
#pragma once

#include <string>
#include <vector>

namespace tutti::topology {

struct CgroupLimits {
  std::vector<int> cpus;  ///< empty: not limited, or not readable
  std::string where;      ///< the file that says so
  double quota = 0;       ///< CPUs' worth of time, 0: not limited
};

CgroupLimits readCgroup(const std::string& root);

}  // namespace tutti::topology
