// libibverbs, opened at run time: which RDMA devices this process could open. What they are is in sysfs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace tutti::topology {

class VerbsDriver {
 public:
  virtual ~VerbsDriver() = default;
  /// Names of the devices that the library offers ("mlx5_0"). An error says why there is no library.
  virtual Result<std::vector<std::string>> devices() = 0;
};

std::unique_ptr<VerbsDriver> makeVerbsDriver();

}  // namespace tutti::topology
