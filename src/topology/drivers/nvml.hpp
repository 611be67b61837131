// NVIDIA's management library, opened at run time: GPUs, their NVLinks, C2C, fabric and MIG.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace tutti::topology {

struct NvmlGpu {
  enum class Peer { Gpu, Switch, Cpu, Unknown };
  struct NvLink {
    std::string peerBusId;  ///< empty where the driver hides it (a virtual machine's NVSwitch)
    Peer peer = Peer::Unknown;
    int version = 0;
  };
  std::string busId;  ///< "0000:16:00.0"
  int index = 0;
  int sm = 0;  ///< 90 for Hopper
  std::vector<NvLink> links;
  int c2cLinks = 0;
  int c2cMBps = 0;  ///< of one link
  bool mig = false;
  std::string fabricCluster;  ///< UUID in hexadecimal, empty: none
  int fabricClique = -1;
};

class NvmlDriver {
 public:
  virtual ~NvmlDriver() = default;
  /// GPUs that this process may see. An error says what could not be opened or asked.
  virtual Result<std::vector<NvmlGpu>> gpus() = 0;
};

/// The real one; opens libnvidia-ml.so.1 at the first call.
std::unique_ptr<NvmlDriver> makeNvmlDriver();

}  // namespace tutti::topology
