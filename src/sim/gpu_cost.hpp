// What a call will cost on GPU machines, in closed form: latency + bytes / bandwidth per algorithm and
// protocol, from the channels that the topology room found.
//
// The constants are those that NVIDIA publishes in NCCL's tuner (NVIDIA/nccl, src/graph/tuning.cc, 2.30:
// base latencies, latencies per hop, what one thread block can move), so that the alternatives come in the
// order in which NCCL would take them; they are fitted to NVIDIA's machines, not measured by us.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "algos/request.hpp"
#include "topology/paths.hpp"

namespace tutti::sim {

enum class GpuAlgorithm : uint8_t { Ring, Tree, Nvls, NvlsTree, Pat };
enum class GpuProtocol : uint8_t { LL, LL128, Simple };
std::string_view nameOf(GpuAlgorithm algorithm);  ///< "ring", "tree", "nvls", "nvlstree", "pat"
std::string_view nameOf(GpuProtocol protocol);    ///< "ll", "ll128", "simple"

/// Channels of one pattern as the model counts them: thread blocks of equal speed.
struct GpuChannels {
  int channels = 0;  ///< 0: the machine cannot do the pattern
  double intraGbps = 0;
  double interGbps = 0;
  topology::PathType typeIntra = topology::PathType::Sys;
  topology::PathType typeInter = topology::PathType::Pix;
  bool sameChannels = true;
  bool chain = false;  ///< trees: one GPU both takes up and hands down
};

struct GpuMachine {
  int ranks = 0;  ///< of all nodes
  int nodes = 1;
  int sm = 0;  ///< of the oldest GPU: compute capability times 10
  int newestSm = 0;
  bool amdHost = false;     ///< or hosts of several makers
  double netLatencyUs = 0;  ///< that the machine's description states for its NICs
  GpuChannels ring, tree, nvls;

  /// Searches the machine's channels. REQUIRES GPUs as ranks. `nicGbps`: what if NICs had so much; 0: as they
  /// are.
  static GpuMachine of(topology::Graph graph, const topology::Settings& settings, int nodes,
                       double nicGbps = 0);
};

struct GpuPrice {
  GpuAlgorithm algorithm = GpuAlgorithm::Ring;
  GpuProtocol protocol = GpuProtocol::LL;
  double latencyUs = 0;
  double gbps = 0;  ///< of algorithm bandwidth

  std::string name() const;  ///< "ring/ll128"
};

/// Microseconds for `bytes`, as the perf programs count them.
double timeUs(const GpuPrice& price, const GpuMachine& machine, algos::Collective collective, double bytes);

/// All that the machine can do for the collective. Empty: the model knows nothing about it (AllToAll, ...).
std::vector<GpuPrice> gpuPrices(const GpuMachine& machine, algos::Collective collective);

}  // namespace tutti::sim
