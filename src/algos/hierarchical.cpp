// Hierarchical compositions: what happens inside hosts and what happens between them are plans of their own,
// put together. n = L ranks per host x M hosts; rank = host * L + l; the ranks of one l are a *rail*.
//
//   AllReduce      ReduceScatter in the host (ring), AllReduce along the rails (halving and doubling, or this
//                  again over sites), AllGather in the host (ring): 2(M-1)/M * S/L sent between hosts per
//                  rank
//   ReduceScatter  in the host over M blocks at once (ring), then along the rails (halving)
//   AllGather      along the rails (Bruck), then in the host over M blocks at once (ring)
//   AllToAll       in the host by rails of the target, then along the rails (Bruck both): messages between
//                  hosts are L times as large and L times fewer than those of pairwise
//   Broadcast      along the root's rail, then in each host (4-nomial trees); Reduce the other way round
//
// After the multi-level algorithms of MPICH and Open MPI's HAN (Luo et al., 2020), rail-aligned as in NCCL.
// Steps and memory traffic are the sums of the parts'.
#include <cassert>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"
#include "algos/compose.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// Where a rank stands: on host `host`, at place `l` there.
struct Site {
  int perHost, hosts, host, l;

  Site(int n, int perHost, int rank)
      : perHost(perHost), hosts(n / perHost), host(rank / perHost), l(rank % perHost) {}
};

class Composer {
 public:
  Composer(const Request& request, Protocol protocol, int rank, const Limits& limits)
      : request_(request),
        protocol_(protocol),
        limits_(limits),
        site_(request.nRanks, limits.ranksPerHost, rank),
        rank_(rank) {}

  Plan build() {
    plan_.layout = Layout::PerRank;
    plan_.nBlocks = request_.nRanks;
    const int hosts = site_.hosts;
    switch (request_.collective) {
      case Collective::AllReduce:
        allReduce();
        break;
      case Collective::ReduceScatter:
        inHost(Algorithm::Ring, Collective::ReduceScatter, {Buffer::Input, 0, 1, hosts, site_.perHost},
               {Buffer::Scratch, 0, hosts, hosts, 1}, hosts, false);
        onRail(Algorithm::RecursiveHalving, Collective::ReduceScatter, {Buffer::Scratch}, {Buffer::Output},
               hosts);
        longest_ = hosts;
        break;
      case Collective::AllGather:
        onRail(Algorithm::Bruck, Collective::AllGather, {Buffer::Input},
               {Buffer::Output, site_.l, site_.perHost, 1, 1}, 0);
        inHost(Algorithm::Ring, Collective::AllGather, {Buffer::Output, site_.l, 1, hosts, site_.perHost},
               {Buffer::Output, 0, 1, hosts, site_.perHost}, 0, true);
        longest_ = hosts;
        break;
      case Collective::AllToAll:
        allToAll();
        break;
      case Collective::Broadcast:
        broadcast();
        break;
      default:
        reduce();
        break;
    }
    Plan whole = planFor(request_, Algorithm::Hierarchical, protocol_, rank_, plan_.layout, plan_.nBlocks,
                         chunkFor(request_, messageBytes(protocol_, limits_), longest_));
    whole.scratchBlocks = scratchBlocks_;
    whole.lanes.push_back(std::move(lane_));
    return whole;
  }

 private:
  Plan part(Algorithm algorithm, Collective collective, int n, int rank, int root) const {
    Request request = request_;
    request.collective = collective;
    request.nRanks = n;
    request.root = root;
    Limits limits = limits_;
    limits.ranksPerHost = limits_.hostsPerSite;
    limits.hostsPerSite = 0;
    limits.order = nullptr;  // that is one of all ranks, as are these
    limits.forest = nullptr;
    return builderOf(algorithm).build(request, protocol_, rank, limits);
  }

  void append(Phase phase, const Plan& plan, int scratchOffset) {
    phase.plan = &plan;
    phase.scratchOffset = scratchOffset;
    [[maybe_unused]] const bool said = appendPhase(lane_, phase);
    assert(said);
    scratchBlocks_ = std::max(scratchBlocks_, scratchOffset + plan.scratchBlocks * phase.output.count);
  }
  void inHost(Algorithm algorithm, Collective collective, const Place& input, const Place& output,
              int scratchOffset, bool finishes, int root = 0) {
    append({nullptr, site_.host * site_.perHost, 1, input, output, 0, finishes},
           part(algorithm, collective, site_.perHost, site_.l, root), scratchOffset);
  }
  void onRail(Algorithm algorithm, Collective collective, const Place& input, const Place& output,
              int scratchOffset, bool finishes = true, int root = 0) {
    append({nullptr, site_.l, site_.perHost, input, output, 0, finishes},
           part(algorithm, collective, site_.hosts, site_.host, root), scratchOffset);
  }

  void allReduce() {
    const bool sites = limits_.hostsPerSite > 1 && limits_.hostsPerSite < site_.hosts;
    const Plan rail = part(sites ? Algorithm::Hierarchical : Algorithm::RecursiveHalving,
                           Collective::AllReduce, site_.hosts, site_.host, 0);
    const int share = rail.nBlocks;  // each rank of a host takes one share of so many blocks
    plan_.layout = Layout::Split;
    plan_.nBlocks = share * site_.perHost;
    const Place whole{Buffer::Output, 0, share, share, 1};
    const Place own{Buffer::Output, site_.l * share, share, share, 1};
    Place input = whole;
    input.buffer = Buffer::Input;
    inHost(Algorithm::Ring, Collective::ReduceScatter, input, own, 0, false);
    const Place shard{Buffer::Output, site_.l * share, 1, 1, 1};
    append({nullptr, site_.l, site_.perHost, shard, shard, 0, true}, rail, 0);
    inHost(Algorithm::Ring, Collective::AllGather, own, whole, 0, true);
    longest_ = share;
  }

  /// In the host, l gets from its neighbours what they have for rail l, on all hosts; then each rail swaps.
  void allToAll() {
    const int n = request_.nRanks, hosts = site_.hosts, perHost = site_.perHost;
    inHost(Algorithm::Bruck, Collective::AllToAll, {Buffer::Input, 0, 1, hosts, perHost},
           {Buffer::Scratch, 0, hosts, hosts, 1}, n, true);
    onRail(Algorithm::Bruck, Collective::AllToAll, {Buffer::Scratch, 0, 1, perHost, hosts},
           {Buffer::Output, 0, perHost, perHost, 1}, n);
    longest_ = n / 2;
  }

  void oneVector() {
    plan_.layout = Layout::Split;
    plan_.nBlocks = 1;
  }
  void broadcast() {
    oneVector();
    const int rootHost = request_.root / site_.perHost, rootPlace = request_.root % site_.perHost;
    Place input{Buffer::Input};
    if (site_.l == rootPlace) {
      onRail(Algorithm::Binomial, Collective::Broadcast, input, {Buffer::Output}, 0, true, rootHost);
      input.buffer = Buffer::Output;
    }
    inHost(Algorithm::Binomial, Collective::Broadcast, input, {Buffer::Output}, 0, true, rootPlace);
  }
  void reduce() {
    oneVector();
    const int rootHost = request_.root / site_.perHost, rootPlace = request_.root % site_.perHost;
    inHost(Algorithm::Binomial, Collective::Reduce, {Buffer::Input}, {Buffer::Scratch}, 1, false, rootPlace);
    if (site_.l != rootPlace) return;
    onRail(Algorithm::Binomial, Collective::Reduce, {Buffer::Scratch}, {Buffer::Output}, 1, true, rootHost);
    scratchBlocks_ = std::max(scratchBlocks_, 1);
  }

  Request request_;
  Protocol protocol_;
  Limits limits_;
  Site site_;
  int rank_;
  Plan plan_;  ///< layout and blocks
  Lane lane_;
  int scratchBlocks_ = 0;
  int longest_ = 1;  ///< blocks in the longest message
};

bool supportsHierarchical(const Request& request, Protocol protocol, const Limits& limits) {
  const int n = request.nRanks, perHost = limits.ranksPerHost;
  if (perHost < 2 || perHost >= n || n % perHost != 0) return false;
  if (limits.hostsPerSite > 0 && n / perHost % limits.hostsPerSite != 0) return false;
  const size_t room = messageBytes(protocol, limits) / request.elementBytes();
  switch (request.collective) {
    case Collective::AllReduce:
    case Collective::AllGather:
    case Collective::ReduceScatter:
      return static_cast<size_t>(n / perHost) <= room;
    case Collective::AllToAll:
      return static_cast<size_t>(n / 2) <= room;
    case Collective::Broadcast:
    case Collective::Reduce:
      return true;
    default:
      return false;
  }
}

Plan buildHierarchical(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  return Composer(request, protocol, rank, limits).build();
}

}  // namespace

const Builder kHierarchical{Algorithm::Hierarchical,
                            "hier: compositions of plans inside hosts and between them", supportsHierarchical,
                            buildHierarchical};

}  // namespace tutti::algos
