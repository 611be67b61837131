// Machines of the topology room, joined by a fabric. Inside a machine messages take the topology's best
// paths; a machine that occurs a thousand times is looked at once. Links that the same paths use in a row are
// one link here: the narrowest, with the latency of all.
#pragma once

#include <memory>
#include <vector>

#include "sim/fabric.hpp"
#include "topology/cluster.hpp"

namespace tutti::sim {

struct ClusterOptions {
  FabricKind fabric = FabricKind::RailTree;
  std::vector<int> torus;
  int radix = 64;
  double oversubscription = 0;  ///< 0: what the fabric file says
  double nicGbps = 0;           ///< 0: what the topology says
  double hopUs = 0.5;
  double siteUs = 100;  ///< between two sites
};

class ClusterNetwork : public Network {
 public:
  /// Ranks are numbered machine by machine.
  static Result<std::unique_ptr<ClusterNetwork>> make(const topology::Cluster& cluster,
                                                      const topology::Settings& settings,
                                                      const ClusterOptions& options);

  int nRanks() const override { return firstRank_.back(); }
  uint64_t ways(int from, int to) const override;
  void route(int from, int to, uint64_t way, Route& out) const override;
  int folds() const override { return folds_; }
  void fold(int from, int to, Route& route) const override;
  std::string linkName(uint32_t link) const override;
  std::string describe() const override;
  std::string assumptions() const override;

  int machines() const { return static_cast<int>(kindOf_.size()); }
  int ranksPerMachine() const { return equal_ ? firstRank_[1] : 0; }  ///< 0: they differ
  int nicsPerMachine() const { return kinds_[0].nics; }
  bool hostRanks() const { return hostRanks_; }
  /// GB/s into a machine, over all its NICs.
  double machineGbps() const { return portGbps_ * kinds_[0].nics; }

 private:
  struct Inner {
    std::string name;
    double gbps = 0;
    double latencyUs = 0;
  };
  struct Kind {
    int ranks = 0;
    int nics = 0;
    double nicGbps = 0;
    std::vector<Inner> links;
    std::vector<Route> between;  ///< by rank and rank
    std::vector<Route> out, in;  ///< by rank: to and from its NIC's port
    std::vector<int> nicOf;      ///< by rank
    std::vector<int> railOf;     ///< by NIC
    /// Where every way between ranks is one out of the sender and one into the receiver: those of rank 0.
    Route foldedOut, foldedIn;
  };
  static Result<Kind> makeKind(const topology::Graph& graph, const topology::Settings& settings,
                               const ClusterOptions& options, bool alone);
  static Status chooseNics(const topology::Graph& graph, const topology::Paths& paths,
                           const ClusterOptions& options, Kind& kind);
  static bool findFold(Kind& kind);
  void addInner(int machine, const Route& inner, Route& out) const;
  int machineOf(int rank) const;
  struct Ends {
    int machineA, machineB, rankA, rankB, nicA, nicB, relay;
  };
  Ends endsOf(int from, int to) const;

  std::vector<Kind> kinds_;
  std::vector<int> kindOf_, siteOf_;
  std::vector<int> firstRank_;       ///< by machine, and the total
  std::vector<uint32_t> firstLink_;  ///< by machine
  std::unique_ptr<Fabric> fabric_;
  uint32_t fabricLinks_ = UINT32_MAX;
  uint32_t siteLinks_ = UINT32_MAX;
  bool equal_ = true;
  bool hostRanks_ = false;
  bool railOnly_ = false;
  int folds_ = 0;
  double portGbps_ = 0;
};

/// `machines` of one kind.
topology::Cluster clusterOf(topology::Graph graph, int machines, topology::FabricFile fabric = {});

}  // namespace tutti::sim
