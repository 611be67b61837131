// Forests for large machines around one crossbar (an NVLink domain over many trays).
//
// Every rank hangs on the crossbar with b GB/s; ranks near each other also have other ways between them (C2C,
// PCIe): groups of m. A shard reaches a group in one of two ways: over the crossbar to each member, or to one
// member, which spreads it over the group's own ways, on which each member can be the root of y GB/s at once
// (found by packing the group alone, exactly). The first costs the crossbar m, the second 1. So n ranks of
// R GB/s each need (n-1)*R - (m-1)*y <= b of each rank's link, which is the cut around one rank: with groups
// of the right size nothing is lost.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "topology/forest.hpp"

namespace tutti::topology {
namespace {

using Edge = ForestTree::Edge;

/// A way a group's members get a shard that comes from elsewhere (`entry` ≥ 0: to that rank, then along
/// `inside`; -1: to each), or that starts at `entry` in the group.
struct Variant {
  double share = 0;
  int entry = -1;
  const std::vector<Edge>* inside = nullptr;
};

struct CrossbarGroup {
  std::vector<int> ranks;
  double crossbar = 0;  ///< what the narrowest member has, GB/s
  double spread = 0;    ///< y
  std::vector<ForestTree> trees;
};

class CrossbarPacker {
 public:
  CrossbarPacker(const Graph& graph, const Fabric& f, const Bounds& bounds, const ForestOptions& options)
      : graph_(graph), f_(f), bounds_(bounds), options_(options), taken_(f.edges.size(), 0.0) {}

  bool run(std::vector<ForestTree>& trees) {
    if (graph_.nvswitches.size() != 1 || f_.ranks < 2 || !findCrossbar()) return false;
    if (f_.machines > 1 && !findExits()) return false;
    chooseGroups();
    if (groups_.empty()) return false;
    pack();
    trees = build();
    return scale(trees);
  }

 private:
  bool findCrossbar() {
    for (int n = f_.ranks; n < f_.nodes(); ++n)
      if (f_.graphNode[n] == graph_.nvswitches[0]) crossbar_ = n;
    if (crossbar_ < 0) return false;
    up_.assign(static_cast<size_t>(f_.ranks), -1);
    down_ = up_;
    for (int e = 0; e < static_cast<int>(f_.edges.size()); ++e) {
      if (f_.edges[e].to == crossbar_ && f_.edges[e].from < f_.ranks) up_[f_.edges[e].from] = e;
      if (f_.edges[e].from == crossbar_ && f_.edges[e].to < f_.ranks) down_[f_.edges[e].to] = e;
    }
    return std::find(up_.begin(), up_.end(), -1) == up_.end() &&
           std::find(down_.begin(), down_.end(), -1) == down_.end();
  }

  /// Each rank's nearest ways to and from the other machines: fewest edges, then widest. What they will carry
  /// is taken off for the rest.
  bool findExits() {
    const double x = bounds_.perRank;
    for (int r = 0; r < f_.ranks; ++r) {
      exits_.push_back(wayBetween(r, f_.outsideSink));
      entries_.push_back(wayBetween(f_.outsideSource, r));
      if (exits_.back().empty() || entries_.back().empty()) return false;
      for (const std::vector<int>* way : {&exits_.back(), &entries_.back()})
        for (int e : *way) taken_[e] += (f_.machines - 1) * x;
    }
    return true;
  }

  std::vector<int> wayBetween(int from, int to) const {
    struct Step {
      int hops = std::numeric_limits<int>::max();
      double width = 0;
      int edge = -1;
    };
    std::vector<Step> steps(f_.nodes());
    steps[from] = {0, 1e18, -1};
    for (bool better = true; better;) {
      better = false;
      for (int e = 0; e < static_cast<int>(f_.edges.size()); ++e) {
        const Fabric::Edge& edge = f_.edges[e];
        const Step& s = steps[edge.from];
        if (s.hops == std::numeric_limits<int>::max() || edge.to == crossbar_ ||
            (edge.from < f_.ranks && edge.from != from))
          continue;
        Step candidate{s.hops + 1, std::min(s.width, edge.gbps - taken_[e]), e};
        Step& t = steps[edge.to];
        if (candidate.hops > t.hops || (candidate.hops == t.hops && candidate.width <= t.width + 1e-9))
          continue;
        t = candidate;
        better = true;
      }
    }
    std::vector<int> way;
    for (int n = to; steps[n].edge >= 0; n = f_.edges[steps[n].edge].from)
      way.insert(way.begin(), steps[n].edge);
    return way;
  }

  double left(int e) const { return std::max(0.0, f_.edges[e].gbps - taken_[e]); }
  bool local(const Fabric::Edge& e) const {
    for (int n : {e.from, e.to})
      if (n == crossbar_ || n == f_.outsideSource || n == f_.outsideSink) return false;
    return true;
  }

  /// Ranks joined by local edges wider than `limit`.
  std::vector<std::vector<int>> joinedAbove(double limit) const {
    std::vector<int> owner(f_.nodes());
    std::iota(owner.begin(), owner.end(), 0);
    auto find = [&](int n) {
      while (owner[n] != n) n = owner[n] = owner[owner[n]];
      return n;
    };
    for (const Fabric::Edge& e : f_.edges)
      if (local(e) && e.gbps > limit) owner[find(e.from)] = find(e.to);
    std::vector<std::vector<int>> parts;
    std::vector<int> partOf(f_.nodes(), -1);
    for (int r = 0; r < f_.ranks; ++r) {
      int& part = partOf[find(r)];
      if (part < 0) {
        part = static_cast<int>(parts.size());
        parts.emplace_back();
      }
      parts[static_cast<size_t>(part)].push_back(r);
    }
    return parts;
  }

  /// The group alone: its ranks first, then the switches that local edges lead to. Switches that belong to
  /// several groups are left to the first that reaches them.
  Fabric fabricOf(const std::vector<int>& ranks, double limit) const {
    Fabric sub;
    sub.ranks = static_cast<int>(ranks.size());
    std::vector<int> number(f_.nodes(), -1);
    auto add = [&](int n) {
      number[n] = sub.nodes();
      sub.graphNode.push_back(f_.graphNode[n]);
      sub.rankOf.push_back(f_.rankOf[n]);
    };
    for (int r : ranks) add(r);
    for (bool more = true; more;) {
      more = false;
      for (const Fabric::Edge& e : f_.edges) {
        if (!local(e) || e.gbps <= limit || number[e.from] < 0 || number[e.to] >= 0 || e.to < f_.ranks)
          continue;
        add(e.to);
        more = true;
      }
    }
    for (int e = 0; e < static_cast<int>(f_.edges.size()); ++e) {
      const Fabric::Edge& edge = f_.edges[e];
      if (!local(edge) || edge.gbps <= limit || number[edge.from] < 0 || number[edge.to] < 0 || left(e) <= 0)
        continue;
      sub.edges.push_back({number[edge.from], number[edge.to], left(e), edge.links});
    }
    return sub;
  }

  double speedOf(const std::vector<CrossbarGroup>& groups) const {
    double speed = std::numeric_limits<double>::infinity();
    for (const CrossbarGroup& g : groups)
      speed =
          std::min(speed, (g.crossbar + static_cast<double>(g.ranks.size() - 1) * g.spread) / (f_.ranks - 1));
    return speed;
  }

  void chooseGroups() {
    std::set<double> limits = {std::numeric_limits<double>::infinity(), 0.0};
    for (const Fabric::Edge& e : f_.edges)
      if (local(e)) limits.insert(e.gbps);
    constexpr size_t kMostLimits = 16;
    double best = 0;
    size_t tried = 0;
    for (auto at = limits.rbegin(); at != limits.rend() && tried < kMostLimits; ++at) {
      std::vector<std::vector<int>> parts = joinedAbove(*at);
      ++tried;
      std::vector<CrossbarGroup> groups;
      bool fits = true;
      for (std::vector<int>& ranks : parts) {
        fits = fits && static_cast<int>(ranks.size()) <= options_.exactUpTo;
        CrossbarGroup g;
        g.ranks = std::move(ranks);
        g.crossbar = std::numeric_limits<double>::infinity();
        for (int r : g.ranks) g.crossbar = std::min({g.crossbar, left(up_[r]), left(down_[r])});
        if (fits && g.ranks.size() > 1) {
          const Fabric sub = fabricOf(g.ranks, *at);
          g.spread = boundsOf(graph_, sub).perRank;
        }
        groups.push_back(std::move(g));
      }
      if (!fits) break;  // groups only grow from here
      const double speed = speedOf(groups);
      if (speed > best * (1 + 1e-9)) {
        best = speed;
        limit_ = *at;
        groups_ = std::move(groups);
      }
    }
  }

  void pack() {
    ForestOptions exact = options_;
    exact.enough = 0.995;
    for (CrossbarGroup& g : groups_) {
      if (g.ranks.size() < 2 || g.spread <= 0) continue;
      const Fabric sub = fabricOf(g.ranks, limit_);
      if (!packForest(sub, g.spread, exact, g.trees)) g.trees.clear();
      std::vector<double> perRoot(g.ranks.size(), 0.0);
      for (ForestTree& t : g.trees) {
        perRoot[static_cast<size_t>(t.root)] += t.gbps * t.copies;
        t.root = g.ranks[static_cast<size_t>(t.root)];
        for (Edge& e : t.edges) {
          e.from = g.ranks[static_cast<size_t>(e.from)];
          e.to = g.ranks[static_cast<size_t>(e.to)];
        }
      }
      g.spread = g.trees.empty() ? 0 : *std::min_element(perRoot.begin(), perRoot.end());
    }
  }

  /// How shards get to a group: from outside it, or (`root` ≥ 0) from one of its ranks. Shares add up to one.
  std::vector<Variant> variantsOf(const CrossbarGroup& g, int root, double perRank) const {
    std::vector<Variant> variants;
    const double own = std::min(1.0, g.spread / perRank);  // of the group's own shards
    const int others = f_.ranks - static_cast<int>(g.ranks.size());
    double sum = 0;
    for (const ForestTree& t : g.trees) {
      const double speed = t.gbps * t.copies;
      double share = 0;
      if (root < 0 && others > 0) share = speed * (1 - own * perRank / g.spread) / (others * perRank);
      if (root >= 0 && t.root == root) share = own * speed / g.spread;
      if (share <= 1e-9) continue;
      variants.push_back({share, t.root, &t.edges});
      sum += share;
    }
    if (sum > 1)
      for (Variant& v : variants) v.share /= sum;
    if (sum < 1 - 1e-9) variants.push_back({1 - sum, -1, nullptr});
    return variants;
  }

  Edge overCrossbar(int from, int to) const {
    Edge e{from, to, f_.edges[up_[from]].links};
    const std::vector<int>& down = f_.edges[down_[to]].links;
    e.links.insert(e.links.end(), down.begin(), down.end());
    return e;
  }

  /// Every rank's trees: [0, 1) of its shard is cut wherever one of the groups changes its variant.
  std::vector<ForestTree> build() const {
    const double perRank = std::min(speedOf(groups_), bounds_.perRank * f_.machines);
    std::vector<std::vector<Variant>> foreign;
    for (const CrossbarGroup& g : groups_) foreign.push_back(variantsOf(g, -1, perRank));
    std::vector<ForestTree> trees;
    for (size_t home = 0; home < groups_.size(); ++home) {
      for (int root : groups_[home].ranks) {
        const std::vector<Variant> here = variantsOf(groups_[home], root, perRank);
        auto variants = [&](size_t g) -> const std::vector<Variant>& {
          return g == home ? here : foreign[g];
        };
        std::vector<double> cuts = {1.0};
        for (size_t g = 0; g < groups_.size(); ++g) {
          double at = 0;
          for (const Variant& v : variants(g)) cuts.push_back(at += v.share);
        }
        std::sort(cuts.begin(), cuts.end());
        double from = 0;
        for (double to : cuts) {
          if (to - from < 1e-7 || to > 1 + 1e-9) continue;
          const double middle = (from + std::min(to, 1.0)) / 2;
          std::vector<Edge> edges;
          for (size_t g = 0; g < groups_.size(); ++g) reach(groups_[g], at(variants(g), middle), root, edges);
          emit(root, (to - from) * perRank / f_.machines, std::move(edges), trees);
          from = to;
        }
      }
    }
    return trees;
  }

  static const Variant& at(const std::vector<Variant>& variants, double where) {
    size_t v = 0;
    for (double sum = 0; v + 1 < variants.size() && (sum += variants[v].share) <= where; ++v) {
    }
    return variants[v];
  }

  void reach(const CrossbarGroup& g, const Variant& variant, int root, std::vector<Edge>& edges) const {
    if (variant.entry < 0) {
      for (int r : g.ranks)
        if (r != root) edges.push_back(overCrossbar(root, r));
      return;
    }
    if (variant.entry != root) edges.push_back(overCrossbar(root, variant.entry));
    edges.insert(edges.end(), variant.inside->begin(), variant.inside->end());
  }

  std::vector<int> linksOf(const std::vector<int>& way) const {
    std::vector<int> links;
    for (int e : way) links.insert(links.end(), f_.edges[e].links.begin(), f_.edges[e].links.end());
    return links;
  }

  void emit(int root, double gbps, std::vector<Edge> edges, std::vector<ForestTree>& trees) const {
    ForestTree own{root, gbps, 1, std::move(edges)};
    if (f_.machines > 1) {
      const Edge leave{root, ForestTree::kOutside, linksOf(exits_[static_cast<size_t>(root)])};
      ForestTree entering{ForestTree::kOutside, gbps, 1, {}};
      entering.edges.push_back({ForestTree::kOutside, root, linksOf(entries_[static_cast<size_t>(root)])});
      entering.edges.insert(entering.edges.end(), own.edges.begin(), own.edges.end());
      trees.push_back(entering);
      if (f_.machines > 2) {
        entering.copies = f_.machines - 2;
        entering.edges.push_back(leave);
        trees.push_back(std::move(entering));
      }
      own.edges.push_back(leave);
    }
    trees.push_back(std::move(own));
  }

  /// As fast as the fullest link allows.
  bool scale(std::vector<ForestTree>& trees) const {
    std::vector<double> load(graph_.links.size(), 0.0);
    for (const ForestTree& t : trees)
      for (const Edge& e : t.edges)
        for (int l : e.links) load[l] += t.gbps * t.copies;
    double factor = std::numeric_limits<double>::infinity();
    for (size_t l = 0; l < load.size(); ++l)
      if (load[l] > 0) factor = std::min(factor, graph_.links[l].gbps / load[l]);
    for (ForestTree& t : trees) t.gbps *= factor;
    return std::isfinite(factor) && factor > 0;
  }

  const Graph& graph_;
  const Fabric& f_;
  const Bounds& bounds_;
  const ForestOptions& options_;
  int crossbar_ = -1;
  std::vector<int> up_;
  std::vector<int> down_;
  std::vector<std::vector<int>> exits_;
  std::vector<std::vector<int>> entries_;
  std::vector<double> taken_;  // by fabric edge: what enters and leaves the machine
  double limit_ = 0;
  std::vector<CrossbarGroup> groups_;
};

}  // namespace

bool crossbarForest(const Graph& graph, const Fabric& fabric, const Bounds& bounds,
                    const ForestOptions& options, std::vector<ForestTree>& trees) {
  return CrossbarPacker(graph, fabric, bounds, options).run(trees);
}

}  // namespace tutti::topology
