// What Linux says about PCI devices, RDMA ports and network interfaces. Reads below a root that tests
// replace.
#pragma once

#include <string>
#include <vector>

namespace tutti::topology {

struct SysPciDevice {
  std::string busId;
  std::string cls, vendor, device, subsystemVendor, subsystemDevice;  ///< "0x030200", …
  std::string linkSpeed;  ///< "16.0 GT/s PCIe", empty when the kernel does not say
  int linkWidth = 0;
  int numa = -1;
};

/// A device and the bridges above it, from the root port down to the device itself.
std::vector<SysPciDevice> readPciChain(const std::string& root, const std::string& busId);

struct SysPort {
  std::string name;   ///< "mlx5_0" or "eth0"
  std::string busId;  ///< empty: virtual
  int port = 1;
  int mbps = -1;     ///< -1: not known
  std::string guid;  ///< "0x…", RDMA only
  bool rdma = false;
  std::string linkLayer;  ///< "InfiniBand" or "Ethernet"
  bool up = false;
  int gids = 0;
  int roceV2Gids = 0;
  std::string kind;                ///< of an interface: "bond", "vlan", "bridge", ..., empty for a plain one
  std::vector<std::string> upper;  ///< interfaces stacked on it: bonds, VLANs, bridges
  std::vector<std::string> lower;  ///< interfaces it is stacked on
  std::vector<std::string> netdevs;
};

/// The real NICs that an interface's traffic leaves by: itself, or those below it, through bonds and VLANs.
std::vector<std::string> nicsBelow(const std::vector<SysPort>& ports, const std::string& name);

/// RDMA ports, then network interfaces (not loopback), by name.
std::vector<SysPort> readPorts(const std::string& root);

/// Bus ids of all PCI display and accelerator devices (class 03, 12).
std::vector<std::string> readGpuBusIds(const std::string& root);

std::string readSysText(const std::string& path);

}  // namespace tutti::topology
