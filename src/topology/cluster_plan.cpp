#include <algorithm>
#include <numeric>
#include <tuple>

#include "core/clock.hpp"
#include "topology/check.hpp"
#include "topology/cluster.hpp"
#include "topology/forest.hpp"
#include "topology/packing.hpp"
#include "topology/search.hpp"
#include "topology/tour.hpp"

namespace tutti::topology {
namespace {

/// A ring channel of one machine turned round: in where it went out.
ChannelGraph turned(const ChannelGraph& ring) {
  ChannelGraph back = ring;
  for (auto& order : back.orders) std::reverse(order.begin(), order.end());
  for (auto& [in, out] : back.nets) std::swap(in, out);
  return back;
}

int railOf(const Graph& graph, int net) {
  const Node& n = graph.nodes[graph.nets[net]];
  return n.rail >= 0 ? n.rail : net;
}

double distanceOf(const Cluster& c, int siteA, int siteB) {
  if (siteA == siteB) return 0;
  auto at = c.fabric.distances.find({c.siteNames[siteA], c.siteNames[siteB]});
  return at == c.fabric.distances.end() ? 0 : at->second;
}

/// By site: its place on the shortest way round all sites, the first one first; by appearance where no
/// distances are known. Where only some are, the others count as the farthest known.
std::vector<int> siteTour(const Cluster& c) {
  const int n = static_cast<int>(c.siteNames.size());
  std::vector<int> place(static_cast<size_t>(n));
  std::iota(place.begin(), place.end(), 0);
  if (n < 4 || c.fabric.distances.empty()) return place;  // three sites: every way round is as long
  double farthest = 0;
  for (const auto& [pair, distance] : c.fabric.distances) farthest = std::max(farthest, distance);
  TourProblem tour;
  tour.count = n;
  tour.closed = true;
  tour.entry.assign(static_cast<size_t>(n), 0);
  tour.exit = tour.entry;
  tour.hop.assign(static_cast<size_t>(n) * static_cast<size_t>(n), 0);
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b)
      tour.hop[static_cast<size_t>(a) * static_cast<size_t>(n) + static_cast<size_t>(b)] =
          c.fabric.distances.contains({c.siteNames[a], c.siteNames[b]}) ? distanceOf(c, a, b) : farthest;
  const std::vector<int> hint = place;
  std::vector<int> order = cheapestOrder(tour, std::span(&hint, 1));
  std::rotate(order.begin(), std::find(order.begin(), order.end(), 0), order.end());
  for (int i = 0; i < n; ++i) place[static_cast<size_t>(order[static_cast<size_t>(i)])] = i;
  return place;
}

class Planner {
 public:
  Planner(Cluster& cluster, const Settings& settings) : c_(cluster), settings_(settings) {}

  Result<ClusterPlan> run() {
    int64_t start = nowNs();
    if (c_.hosts() < 2) return makeError(Code::InvalidUsage, "a cluster has at least two machines");
    plan_.machineOrder = machineOrder(c_);
    for (size_t k = 0; k < c_.kinds.size(); ++k) TUTTI_TRY(planKind(static_cast<int>(k)));
    int channels = forward_[0].channels();
    double perChannel = 1e18;
    for (const ChannelGraph& g : forward_) {
      channels = std::min(channels, g.channels());
      perChannel = std::min(perChannel, g.interGbps);
    }
    if (channels == 0)
      return makeError(Code::InvalidUsage, "a machine without a NIC cannot be part of a cluster");
    chooseVariants(channels, perChannel);
    plan_.channels = channels;
    for (const ClusterPlan::Variant& v : plan_.variants) perChannel = std::min(perChannel, v.ring.interGbps);
    for (ClusterPlan::Variant& v : plan_.variants) v.ring.interGbps = v.ring.intraGbps = perChannel;
    plan_.ringGbps = perChannel * channels;
    countCrossings();
    for (const ClusterPlan::Variant& v : plan_.variants)
      TUTTI_TRY(checkGraph(c_.kinds[v.kind], *paths_[v.kind], v.ring));
    TUTTI_TRY(applyFabric());
    plan_.trees = doubleTreeNested({c_.siteOf, c_.leafOf}, c_.hosts());
    plan_.searchMs = static_cast<double>(nowNs() - start) / 1e6;
    uint64_t h = c_.hash();
    for (int v : plan_.variantOf) h = h * 0x100000001b3ull + static_cast<uint64_t>(v + 1);
    plan_.hash = h * 0x100000001b3ull + static_cast<uint64_t>(plan_.ringGbps * 1000);
    return std::move(plan_);
  }

 private:
  Status planKind(int k) {
    Graph& g = c_.kinds[k];
    if (g.ranks.empty())
      return makeError(Code::InvalidUsage, "a machine of this cluster has nothing to put a rank on");
    paths_.push_back(std::make_unique<Paths>(g, settings_));
    hops_.push_back(std::make_unique<HopLoads>(g, *paths_.back(), true));
    ChannelGraph ring;
    for (ChannelGraph& found : searchChannels(g, *paths_.back(), settings_, c_.hosts()))
      if (found.pattern == Pattern::Ring) ring = std::move(found);
    forward_.push_back(std::move(ring));
    if (c_.kinds.size() == 1) {
      Fabric fabric = fabricOf(g, c_.hosts());
      Bounds bounds = boundsOf(g, fabric);
      plan_.boundGbps = bounds.allGather;
      plan_.forestGbps = searchForest(g, fabric, bounds).totalGbps();
    }
    return {};
  }

  int addVariant(int kind, ChannelGraph ring) {
    plan_.variants.push_back({kind, std::move(ring)});
    return static_cast<int>(plan_.variants.size()) - 1;
  }

  ChannelGraph withNets(int kind, const std::vector<std::pair<int, int>>& nets) {
    PackRequest request;
    request.inter = true;
    request.fixedNets = nets;
    Packed packed = pack(c_.kinds[kind], *hops_[kind], request);
    ChannelGraph ring = forward_[kind];
    ring.orders = std::move(packed.orders);
    ring.nets = std::move(packed.nets);
    ring.intraGbps = ring.interGbps = packed.perChannel;
    return ring;
  }

  /// Machine after machine, each channel enters where the one before left, on the same rail. Turning every
  /// second machine's channels round does that for any number of NICs; an odd number of machines is closed by
  /// the last two or three taking other ways.
  void chooseVariants(int channels, double perChannel) {
    const int n = c_.hosts();
    for (ChannelGraph& g : forward_) {
      g.orders.resize(static_cast<size_t>(channels));
      g.nets.resize(static_cast<size_t>(channels));
      g.intraGbps = g.interGbps = perChannel;
    }
    std::vector<int> ahead(c_.kinds.size());
    std::vector<int> back(c_.kinds.size());
    for (size_t k = 0; k < c_.kinds.size(); ++k) {
      ahead[k] = addVariant(static_cast<int>(k), forward_[k]);
      back[k] = addVariant(static_cast<int>(k), turned(forward_[k]));
    }
    for (int i = 0; i < n; ++i) {
      int kind = c_.kindOf[plan_.machineOrder[i]];
      plan_.variantOf.push_back(i % 2 == 0 ? ahead[kind] : back[kind]);
    }
    if (n % 2 == 0 || c_.kinds.size() > 1) return;
    const std::vector<std::pair<int, int>>& first = forward_[0].nets;
    std::vector<std::pair<int, int>> straight;
    for (auto [in, out] : first) straight.push_back({in, in});
    bool already = std::all_of(first.begin(), first.end(), [](auto p) { return p.first == p.second; });
    if (already) {
      std::fill(plan_.variantOf.begin(), plan_.variantOf.end(), ahead[0]);
      return;
    }
    const int nets = static_cast<int>(c_.kinds[0].nets.size());
    ChannelGraph best = withNets(0, straight);
    // in → out (as found), out → elsewhere, elsewhere → in: no machine then has to leave by the NIC it was
    // entered by.
    for (int shift = 1; shift < nets && n >= 3 && best.interGbps < perChannel * (1 - 1e-9); ++shift) {
      std::vector<int> used;
      for (auto [in, out] : first) used.push_back(out);
      std::sort(used.begin(), used.end());
      used.erase(std::unique(used.begin(), used.end()), used.end());
      std::vector<std::pair<int, int>> second;
      std::vector<std::pair<int, int>> third;
      for (auto [in, out] : first) {
        size_t at = static_cast<size_t>(std::find(used.begin(), used.end(), out) - used.begin());
        int via = used[(at + static_cast<size_t>(shift)) % used.size()];
        second.push_back({out, via});
        third.push_back({via, in});
      }
      ChannelGraph b = withNets(0, second);
      if (b.orders.size() != first.size() || b.interGbps < perChannel * (1 - 1e-9)) continue;
      ChannelGraph c = withNets(0, third);
      if (c.orders.size() != first.size() || c.interGbps < perChannel * (1 - 1e-9)) continue;
      plan_.variantOf[static_cast<size_t>(n - 3)] = ahead[0];
      plan_.variantOf[static_cast<size_t>(n - 2)] = addVariant(0, std::move(b));
      plan_.variantOf[static_cast<size_t>(n - 1)] = addVariant(0, std::move(c));
      return;
    }
    if (best.orders.size() == first.size()) plan_.variantOf.back() = addVariant(0, std::move(best));
  }

  /// What the network between the machines allows of what the machines could do.
  Status applyFabric() {
    const FabricFile& f = c_.fabric;
    if (f.railOnly && plan_.railCrossings > 0)
      return makeError(Code::InvalidUsage,
                       "rail_only, but the ring over these {} machines leaves its rail {} times: machines of "
                       "one kind, or an even number of them, would not",
                       c_.hosts(), plan_.railCrossings);
    auto limit = [&](double gbps, std::string what) {
      if (gbps >= plan_.ringGbps * (1 - 1e-9)) return;
      plan_.ringGbps = gbps;
      plan_.limitedBy = std::move(what);
    };
    // A group's ring goes out once over what the group's hosts have together; all shards from outside come in
    // once over the same.
    auto consider = [&](const std::vector<int>& groupOf, const char* kind, auto wayOut, auto ringLimit) {
      std::map<int, int> hosts;
      for (int g : groupOf) ++hosts[g];
      if (hosts.size() < 2) return;
      for (auto [group, count] : hosts) {
        limit(ringLimit(count), fmt::format("the way out of a {} with {} machine(s)", kind, count));
        const double outside = 1.0 - static_cast<double>(count) / c_.hosts();
        for (double* total : {&plan_.boundGbps, &plan_.forestGbps})
          if (*total > 0) *total = std::min(*total, wayOut(count) / outside);
      }
    };
    const double machineGbps = plan_.ringGbps;
    auto overLeaf = [&](int count) { return count * machineGbps / f.oversubscription; };
    consider(c_.leafOf, "leaf switch", overLeaf, overLeaf);
    if (f.siteGbps > 0) {
      // One machine of a site holds the ring's end there.
      consider(
          c_.siteOf, "site", [&](int count) { return count * f.siteGbps; }, [&](int) { return f.siteGbps; });
    }
    for (ClusterPlan::Variant& v : plan_.variants)
      v.ring.interGbps = v.ring.intraGbps = std::min(v.ring.interGbps, plan_.ringGbps / plan_.channels);
    return {};
  }

  void countCrossings() {
    const int n = c_.hosts();
    for (int i = 0; i < n; ++i) {
      int next = (i + 1) % n;
      const ClusterPlan::Variant& a = plan_.variants[plan_.variantOf[i]];
      const ClusterPlan::Variant& b = plan_.variants[plan_.variantOf[next]];
      for (int c = 0; c < plan_.channels; ++c)
        if (railOf(c_.kinds[a.kind], a.ring.nets[c].second) != railOf(c_.kinds[b.kind], b.ring.nets[c].first))
          ++plan_.railCrossings;
      const int here = plan_.machineOrder[i];
      const int there = plan_.machineOrder[next];
      if (c_.siteOf[here] != c_.siteOf[there]) ++plan_.siteCrossings;
      if (c_.leafOf[here] != c_.leafOf[there]) ++plan_.leafCrossings;
      plan_.siteDistance += distanceOf(c_, c_.siteOf[here], c_.siteOf[there]);
    }
  }

  Cluster& c_;
  const Settings& settings_;
  ClusterPlan plan_;
  std::vector<std::unique_ptr<Paths>> paths_;
  std::vector<std::unique_ptr<HopLoads>> hops_;
  std::vector<ChannelGraph> forward_;
};

}  // namespace

std::vector<int> machineOrder(const Cluster& c) {
  std::vector<int> order(static_cast<size_t>(c.hosts()));
  std::iota(order.begin(), order.end(), 0);
  const std::vector<int> place = siteTour(c);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return std::tuple(place[c.siteOf[a]], c.leafOf[a]) < std::tuple(place[c.siteOf[b]], c.leafOf[b]);
  });
  return order;
}

Result<ClusterPlan> planCluster(Cluster& cluster, const Settings& settings) {
  return Planner(cluster, settings).run();
}

}  // namespace tutti::topology
