// How fast AllGather, ReduceScatter and AllReduce can be at all on a machine: the tightest cut (ForestColl,
// arXiv 2402.06787).
//
// In an AllGather every set of nodes must let the shards of the ranks inside it out: x GB/s per rank is
// possible exactly when no set A that leaves a rank outside has less way out than x times the ranks in A. The
// tightest set is found exactly by max-flow. Over several equal machines the others appear as one source (all
// their shards come in) and one sink (all shards go out once more than they came in to be used, handed on
// from machine to machine), which has the same cuts.
#pragma once

#include <string>
#include <vector>

#include "topology/graph.hpp"

namespace tutti::topology {

/// The physical machine as the cut sees it: ranks and switches with directed capacities, chains of switches
/// drawn together.
struct Fabric {
  struct Edge {
    int from;
    int to;
    double gbps;
    std::vector<int> links;  ///< indices into Graph::links, in order
  };
  std::vector<int> graphNode;  ///< by fabric node; -1 for the outside
  std::vector<int> rankOf;     ///< position in Graph::ranks, -1 for switches and the outside
  std::vector<Edge> edges;
  int ranks = 0;  ///< fabric nodes 0 … ranks-1 are the ranks
  int machines = 1;
  int outsideSource = -1;  ///< machines > 1: where the other machines' shards come from
  int outsideSink = -1;    ///< and where shards go out to
  int nodes() const { return static_cast<int>(graphNode.size()); }
  std::vector<int> weight;  ///< by rank node, when one stands for a group of ranks; empty: 1 each
  /// Shards that start at that node, in shards of one rank.
  int demand(int node) const {
    if (node < ranks) return weight.empty() ? 1 : weight[node];
    return node == outsideSource ? (machines - 1) * localDemand() : 0;
  }
  int localDemand() const {
    int sum = weight.empty() ? ranks : 0;
    for (int w : weight) sum += w;
    return sum;
  }
  int totalDemand() const { return machines * localDemand(); }
};
/// `asRanks`: nodes to take for ranks instead of Graph::ranks (groups of ranks stand on them); empty for the
/// ranks themselves.
Fabric fabricOf(const Graph& graph, int machines, const std::vector<int>& asRanks = {});

struct Bounds {
  double perRank = 0;    ///< x: GB/s of each rank's shard in an AllGather
  double allGather = 0;  ///< GB/s of result: all ranks' shards together
  double reduceScatter = 0;
  double allReduce = 0;       ///< without reduction in switches
  std::vector<int> cutLinks;  ///< links of the tightest cut, outwards
  std::string cut;            ///< in words: what is cut off, by which links
};

/// All zero when there is one rank only, or no way between two ranks.
Bounds boundsOf(const Graph& graph, const Fabric& fabric);

}  // namespace tutti::topology
