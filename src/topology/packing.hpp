// Packing channels into a machine: choose K orders of the ranks so that the link used most, per capacity, is
// used least.
//
// Every channel of a set runs at the same speed w, so the set's total is K·w with w = min over links of
// capacity / load. Orders are chosen one after another as the cheapest tour under prices that grow
// exponentially with a link's load (the multiplicative-weights rule for fractional packing: with enough
// channels the total tends to the best that any mix of orders reaches), then taken out and put back one at a
// time until nothing improves.
#pragma once

#include <span>
#include <vector>

#include "topology/channel_graph.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {

/// Loads of every hop of a machine, computed once per graph.
class HopLoads {
 public:
  HopLoads(const Graph& graph, const Paths& paths, bool withNets);

  int ranks() const { return ranks_; }
  int nets() const { return nets_; }
  std::span<const LinkLoad> hop(int a, int b) const { return at(static_cast<size_t>(a) * ranks_ + b); }
  std::span<const LinkLoad> in(int net, int rank) const {
    return at(inAt_ + static_cast<size_t>(net) * ranks_ + rank);
  }
  std::span<const LinkLoad> out(int rank, int net) const {
    return at(outAt_ + static_cast<size_t>(net) * ranks_ + rank);
  }
  PathType hopType(int a, int b) const { return types_[static_cast<size_t>(a) * ranks_ + b]; }
  PathType inType(int net, int rank) const {
    return types_[inAt_ + static_cast<size_t>(net) * ranks_ + rank];
  }
  PathType outType(int rank, int net) const {
    return types_[outAt_ + static_cast<size_t>(net) * ranks_ + rank];
  }
  bool possible(std::span<const LinkLoad> loads) const { return loads.data() != nullptr; }
  /// Capacities by link, with one more per wire that several NICs of the graph share, each direction.
  const std::vector<double>& capacities() const { return capacities_; }

 private:
  std::span<const LinkLoad> at(size_t slot) const {
    auto [from, to] = slots_[slot];
    return from == to && !reachable_[slot] ? std::span<const LinkLoad>()
                                           : std::span(pool_.data() + from, to - from);
  }
  void add(size_t slot, const Paths& paths, int from, int to, int sharedWire);

  int ranks_ = 0;
  int nets_ = 0;
  size_t inAt_ = 0;
  size_t outAt_ = 0;
  std::vector<std::pair<size_t, size_t>> slots_;
  std::vector<char> reachable_;
  std::vector<PathType> types_;
  std::vector<LinkLoad> pool_{{0, 0}};
  std::vector<double> capacities_;
};

struct Packed {
  std::vector<std::vector<int>> orders;
  std::vector<std::pair<int, int>> nets;
  double perChannel = 0;
  int bottleneck = -1;  ///< index into capacities

  double total() const { return perChannel * static_cast<double>(orders.size()); }
};

struct PackRequest {
  Pattern pattern =
      Pattern::Ring;  ///< Ring or Tree (a chain; between machines, in and out by the NIC of its first rank)
  bool inter = false;
  bool sameNic = false;  ///< in and out by the same NIC (NCCL_CROSS_NIC=0)
  int maxChannels = 32;
  double enough = 0;  ///< a total that cannot be exceeded, if known: the search stops there; 0 if not
  /// Fixed NICs by channel (in, out), for machines whose neighbours decide; then exactly these channels are
  /// made.
  std::vector<std::pair<int, int>> fixedNets;
  const Packed* seed = nullptr;  ///< channels that are known to be possible: the result is not worse
};

Packed pack(const Graph& graph, const HopLoads& loads, const PackRequest& request);

/// Adds the loads of one channel, times `scale`, to `loads`.
void addChannelLoads(const HopLoads& hops, Pattern pattern, std::span<const int> order,
                     std::pair<int, int> nets, double intraScale, double interScale,
                     std::vector<double>& loads);

}  // namespace tutti::topology
