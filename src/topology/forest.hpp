// Spanning trees for AllGather (turned round: ReduceScatter) that together come as close to the bound as
// whole numbers allow.
//
// After ForestColl (arXiv 2402.06787): choose k trees per rank and a speed y per tree, count each link as
// floor(capacity / y) unit edges, split switches off (an edge into a switch and one out of it become one
// edge, as long as every rank can still receive all shards, by max-flow), and pack the trees one edge at a
// time, taking an edge only when the rest stays packable (Edmonds; Bérczi and Frank). Flows through switches
// are kept as the physical links they use.
#pragma once

#include "topology/bound.hpp"
#include "topology/channel_graph.hpp"

namespace tutti::topology {

struct ForestOptions {
  double enough = 0.955;  ///< of the bound: the search for k stops there
  int maxTrees = 128;     ///< trees of one machine's ranks together, k times ranks
  int exactUpTo =
      24;  ///< ranks; larger machines are packed by groups, or get one tree per rank along the best paths
};

/// The forest over one machine, or one machine's part of it over several equal ones. No trees when there is
/// no way.
ChannelGraph searchForest(const Graph& graph, const Fabric& fabric, const Bounds& bounds,
                          const ForestOptions& options = {});

/// The exact part alone. Roots and edges of the trees are fabric nodes' ranks. False when it does not come
/// out.
bool packForest(const Fabric& fabric, double perRank, const ForestOptions& options,
                std::vector<ForestTree>& trees);

/// Host machines with many cores: trees between NUMA nodes are packed exactly, inside a NUMA node each is a
/// chain over the cores. False when the ranks do not all sit on cores.
bool groupedForest(const Graph& graph, int machines, const ForestOptions& options,
                   std::vector<ForestTree>& trees);

/// Large machines around one crossbar: what the crossbar leaves idle (C2C, PCIe between neighbours) is packed
/// exactly within groups of neighbours. False when not every rank hangs on one NVSwitch.
bool crossbarForest(const Graph& graph, const Fabric& fabric, const Bounds& bounds,
                    const ForestOptions& options, std::vector<ForestTree>& trees);

}  // namespace tutti::topology
