// All there is to say about a machine: paths, graphs, bounds, and how long finding them took.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "topology/bound.hpp"
#include "topology/channel_graph.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {

/// Channels for send and receive.
struct P2pChannels {
  int all = 0;           ///< a power of two, at most NCCL_MAX_NCHANNELS
  int perLocalPeer = 0;  ///< two for each NVLink of the narrowest pair, two without NVLink
  int perNetPeer =
      0;  ///< NCCL_NCHANNELS_PER_NET_PEER, or what the NIC beside a rank can feed; 0: one machine
};

struct Analysis {
  int nodes = 1;
  std::unique_ptr<Paths> paths;
  std::vector<ChannelGraph> graphs;  ///< ring, tree, nvls, forest: those the machine can do
  std::vector<std::string>
      refused;  ///< graphs that were found but failed their proof: not in `graphs`, and why
  Bounds bounds;
  P2pChannels p2p;
  double pathsMs = 0;
  double searchMs = 0;
  uint64_t hash = 0;  ///< of graph and result: equal on all ranks, or something is wrong

  /// How close to its bound a graph comes, 0 to 1: as an AllGather for rings and forests, as an AllReduce for
  /// trees. 0: no bound.
  double efficiency(const ChannelGraph& g, size_t ranks) const;
};

/// `graph` gets what paths decide about NICs, and one assumed NIC when there are several machines and none is
/// known: it must outlive the result. With `prove`, every graph is checked, and one
/// that fails is left out and told in `refused`.
Result<Analysis> analyse(Graph& graph, const Settings& settings, int nodes, bool prove);

/// Puts graphs that the user gave (NCCL_GRAPH_FILE) in place of those found of the same pattern.
void useGraphs(Analysis& analysis, std::vector<ChannelGraph> given);

/// NCCL's familiar lines for NCCL_DEBUG=INFO with subsystem GRAPH.
std::vector<std::string> debugLines(const Graph& graph, const Analysis& analysis);

/// For people: what was seen, the path matrix, the graphs with speeds, the bound and its links.
std::string renderText(const Graph& graph, const Analysis& analysis, double parseMs);

}  // namespace tutti::topology
