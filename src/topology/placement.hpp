// Where the ranks of a communicator sit, and in which order that puts them. Pure: equal inputs give the same
// order on every rank.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "topology/cluster.hpp"
#include "topology/host_cores.hpp"
#include "topology/paths.hpp"

namespace tutti::topology {

/// A rank's place on its host; -1: it may run in several of them.
struct RankPlace {
  int32_t cpu = -1;  ///< the lowest it may use; -1: it may run anywhere
  int32_t l3 = -1;
  int32_t numa = -1;
  int32_t package = -1;
  bool operator==(const RankPlace&) const = default;
};

/// The place of a thread that may run on `allowed` of `cores`. Anywhere, when that is more than one NUMA node
/// and package.
RankPlace placeOf(const HostCores& cores, std::span<const int> allowed);
/// CPUs that the calling thread may use.
std::vector<int> allowedCpusOfThread();

struct RankPlaces {
  std::vector<int> hostOf;        ///< by rank, host of the cluster
  std::vector<RankPlace> places;  ///< by rank
};

struct OrderedRanks {
  std::vector<int> rankAt;   ///< by position
  std::vector<int> groupAt;  ///< by position: what separates the ranks first, of site, host, package, NUMA
                             ///< node and L3
  bool byNumber = false;     ///< nothing speaks against the order of the numbers, and there is one group

  uint64_t hash() const;
};

/// Host after host as machineOrder() says; on a host as the ring over its cores goes, where all ranks of the
/// host are bound to places and these are several; where the file describes as many GPUs as the host has
/// ranks, as the ring over the GPUs goes; else by number. `ringOf(kind)` gives that ring, as positions in the
/// kind's Graph::ranks, and is called only for kinds that need one.
OrderedRanks orderRanks(const Cluster& cluster, const RankPlaces& ranks,
                        const std::function<std::vector<int>(int kind)>& ringOf);

}  // namespace tutti::topology
