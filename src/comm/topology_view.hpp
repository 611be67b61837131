// What the ranks of a communicator know together of their machines: the merged graph, and the order of ranks
// that follows from it. Each rank says in its self-info what it saw (a note of fixed size); a machine's text
// travels only where somebody lacks it, once per kind of machine. Made once per process and set of ranks, and
// shared by the ranks in it.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "algos/rank_order.hpp"
#include "control/control_plane.hpp"
#include "topology/cluster.hpp"
#include "topology/placement.hpp"

namespace tutti::comm {

/// A rank's part, as plain bytes within its self-info.
struct TopologyNote {
  topology::MachineNote machine;
  uint64_t filesHash = 0;  ///< of TUTTI_FABRIC_FILE and NCCL_GRAPH_FILE; rank 0's hold for all
  uint64_t filesBytes = 0;
  topology::RankPlace place;
  int32_t settings[9] = {};  ///< what rank 0 says holds for all
  int32_t unusable = 0;      ///< its files or settings make no sense; its own log says why
};

/// What this thread's rank saw. Never fails: what is wrong is logged and noted as unusable.
TopologyNote noteTopology();

/// The CPUs of this machine, also those that this process may not use. Read once.
topology::HostCores coresOfMachine();

class TopologyView {
 public:
  /// Collective over the ranks of `control`; notes by rank.
  static Result<std::shared_ptr<const TopologyView>> make(control::ControlPlane& control,
                                                          std::span<const TopologyNote> notes,
                                                          const control::Wait& wait);

  /// Null: by number.
  const std::shared_ptr<const algos::RankOrder>& order() const { return order_; }
  /// Over the merged graph, the settings and the order.
  uint64_t hash() const { return hash_; }
  int hosts() const { return cluster_.hosts(); }
  int kinds() const { return static_cast<int>(cluster_.kinds.size()); }

  /// NCCL's lines on the graphs and on this rank's neighbours, for the log.
  std::vector<std::string> logLines(int rank) const;
  /// Writes NCCL_TOPO_DUMP_FILE and NCCL_GRAPH_DUMP_FILE where `rank` is the one that does.
  Status dump(int rank) const;

 private:
  Result<topology::ChannelGraph> ringOfKind(int kind) const;
  /// The graphs of a kind, searched at first use. The caller holds `mutex_`.
  Result<const topology::Analysis*> analysisOf(int kind) const;
  std::string treeLine(int rank, int n) const;
  Status build(std::span<const TopologyNote> notes, std::span<const std::string> texts,
               const std::string& fabric, std::vector<int> hostOf, std::vector<std::string> hostNames,
               std::span<const int> leaders);

  mutable std::mutex mutex_;
  topology::Cluster cluster_;
  topology::Settings settings_;
  std::string graphFile_;
  std::vector<int> hostOf_;
  topology::OrderedRanks ordered_;
  std::shared_ptr<const algos::RankOrder> order_;
  uint64_t hash_ = 0;
  struct Searched {
    topology::Graph graph;
    topology::Analysis analysis;
  };
  mutable std::vector<std::unique_ptr<Searched>> searched_;  ///< by kind
};

/// "" where all are equal to rank 0's, else which ranks differ.
std::string describeDifference(std::span<const uint64_t> hashes);

}  // namespace tutti::comm
