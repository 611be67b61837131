// What a link carries, GB/s in one direction. The figures are those NCCL 2.30 plans with, so that results
// compare; where a vendor publishes another number the comment says so.
#pragma once

#include "topology/graph.hpp"

namespace tutti::topology {

inline constexpr double kLocalGBps = 5000.0;     // no limit: the same device, or memory of the same NUMA node
inline constexpr double kNetDefaultGBps = 1.25;  // a NIC that reports no speed counts as 10 Gb/s

/// One NVLink by compute capability. Published: NVLink1 20, NVLink2/3 25, NVLink4 25 (26.5 raw), NVLink5 50;
/// what remains after protocol overhead is what is planned with. sm86 is the A10/A40/3090 bridge.
constexpr double nvlinkGBps(int sm) {
  if (sm >= 100) return 40.1;
  if (sm >= 90) return 20.6;
  if (sm == 86) return 12.0;
  if (sm >= 80) return 20.0;
  if (sm >= 70) return 20.0;
  if (sm >= 60) return 18.0;
  return 20.0;
}

/// One Infinity Fabric (XGMI) link by the GPU's name, the figures RCCL plans with.
constexpr double xgmiGBps(std::string_view gcn) {
  if (gcn.find("90a") != gcn.npos || gcn == "910") return 36.0;
  if (gcn.find("94") != gcn.npos || gcn.find("95") != gcn.npos) return 48.0;
  return 24.0;
}

/// Between the NUMA nodes of one machine.
inline double interCpuGBps(const Node& cpu) {
  switch (cpu.arch) {
    case CpuArch::Power:
      return 32.0;
    case CpuArch::Arm:
      return 6.0;
    case CpuArch::X86:
      break;
    case CpuArch::Unknown:
      return 6.0;
  }
  if (cpu.vendor == CpuVendor::Amd) return 16.0;
  if (cpu.vendor == CpuVendor::Zhaoxin) return cpu.family == 7 && cpu.model == 0x5b ? 9.0 : 6.0;
  if (cpu.vendor == CpuVendor::Intel) {
    if (cpu.family != 6) return 6.0;
    if (cpu.model >= 0xcf) return 40.0;  // Emerald Rapids and later
    if (cpu.model >= 0x8f) return 22.0;  // Sapphire Rapids
    if (cpu.model >= 0x55) return 10.0;  // Skylake to Ice Lake
    return 6.0;                          // Broadwell and before
  }
  return kLocalGBps;
}

/// GPU to GPU through an Intel root complex goes in 64-byte TLPs: 6/5 of the bytes on PCIe.
inline constexpr double kIntelP2pOverhead = 1.2;
/// Reads that a NIC issues to a GPU before Ampere load the way back by an eighth.
inline constexpr double kOldGpuReadBack = 0.125;

/// PCIe, 100 Mb/s a lane after encoding and packet overhead; 3.0 x16 = 12 GB/s.
double pcieGBps(std::string_view speed, int width);

/// Host ranks: what one core moves to and from its L3, an L3 group to its NUMA node, and NUMA nodes of one
/// package to each other. Measured on Zen 4 and Zen 5 (see docs/topology.md); latency, not these, decides
/// small messages.
inline constexpr double kCoreToL3GBps = 30.0;
inline constexpr double kL3ToNumaGBps = 60.0;
inline constexpr double kNumaInPackageGBps = 40.0;

}  // namespace tutti::topology
