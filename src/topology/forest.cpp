#include "topology/forest.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>

#include "topology/flow.hpp"

namespace tutti::topology {
namespace {

using Count = int64_t;

/// Trees per unit of demand and speed of each, with the links counted in whole trees.
struct Units {
  int k = 0;
  double speed = 0;
};

std::vector<int> sinksOf(const Fabric& f) {
  std::vector<int> sinks;
  for (int r = 0; r < f.ranks; ++r) sinks.push_back(r);
  if (f.outsideSink >= 0) sinks.push_back(f.outsideSink);
  return sinks;
}

class UnitChooser {
 public:
  explicit UnitChooser(const Fabric& f) : f_(f), flow_(f.nodes() + 1), sinks_(sinksOf(f)) {
    for (const Fabric::Edge& e : f.edges) flow_.addEdge(e.from, e.to, 0);
    for (int n = 0; n < f.nodes(); ++n)
      supply_.push_back(f.demand(n) > 0 ? flow_.addEdge(f.nodes(), n, 0) : -1);
    if (f.outsideSource >= 0) past_ = flow_.addEdge(f.outsideSource, f.outsideSink, 0);
  }

  Units choose(double perRank, const ForestOptions& options) {
    Units best;
    double bestRatio = 0;
    for (int k = 1; k * f_.ranks <= std::max(options.maxTrees, f_.ranks); ++k) {
      double limit = perRank / k;
      // Between these speeds, each link's count changes only where a whole number of trees just fills it.
      std::vector<double> speeds = {limit};
      for (const Fabric::Edge& e : f_.edges) {
        if (e.gbps < limit * 1e-6) continue;
        Count first = static_cast<Count>(std::ceil(e.gbps / limit - 1e-9));
        for (Count i = std::max<Count>(first, 1); i < first + 64; ++i) {
          double speed = e.gbps / static_cast<double>(i);
          if (speed * k <= bestRatio * perRank) break;
          speeds.push_back(std::min(speed, limit));
        }
      }
      std::sort(speeds.begin(), speeds.end(), std::greater<>());
      speeds.erase(
          std::unique(speeds.begin(), speeds.end(), [](double a, double b) { return a - b < 1e-9 * a; }),
          speeds.end());
      // Slower trees leave more of them on each link, so what is possible stays possible further down the
      // list.
      size_t low = 0;
      size_t high = speeds.size();
      while (low < high) {
        size_t middle = (low + high) / 2;
        if (possible(k, speeds[middle]))
          high = middle;
        else
          low = middle + 1;
      }
      if (low == speeds.size()) continue;
      double ratio = speeds[low] * k / perRank;
      if (ratio > bestRatio + 1e-6) {
        bestRatio = ratio;
        best = {k, speeds[low]};
      }
      if (bestRatio >= options.enough) break;
    }
    return best;
  }

  Count unitsOf(double gbps, const Units& u) const {
    return std::min<Count>(static_cast<Count>(std::floor(gbps / u.speed + 1e-9)),
                           static_cast<Count>(u.k) * f_.totalDemand());
  }

 private:
  bool possible(int k, double speed) {
    Units u{k, speed};
    for (size_t e = 0; e < f_.edges.size(); ++e)
      flow_.setCapacity(static_cast<int>(2 * e), unitsOf(f_.edges[e].gbps, u));
    for (int n = 0; n < f_.nodes(); ++n)
      if (supply_[n] >= 0) flow_.setCapacity(supply_[n], static_cast<Count>(k) * f_.demand(n));
    if (past_ >= 0) flow_.setCapacity(past_, static_cast<Count>(k) * f_.localDemand());
    Count need = static_cast<Count>(k) * f_.totalDemand();
    // Start with the sink that said no last: most refusals come from the same one.
    if (flow_.run(f_.nodes(), lastNo_, need) < need) return false;
    for (int s : sinks_) {
      if (flow_.run(f_.nodes(), s, need) < need) {
        lastNo_ = s;
        return false;
      }
    }
    return true;
  }

  const Fabric& f_;
  FlowGraph<Count> flow_;
  std::vector<int> supply_;
  std::vector<int> sinks_;
  int past_ = -1;
  int lastNo_ = 0;
};

/// A bundle of unit edges between two nodes along one physical way.
struct Strand {
  Count units;
  std::vector<int> links;
};

/// The network in whole units, and its reduction to ranks only.
class Splitter {
 public:
  Splitter(const Fabric& f, const UnitChooser& chooser, const Units& u)
      : f_(f),
        n_(f.nodes()),
        need_(static_cast<Count>(u.k) * f.totalDemand()),
        cap_(size2(), 0),
        strands_(size2()),
        sinks_(sinksOf(f)) {
    for (const Fabric::Edge& e : f.edges) {
      Count units = chooser.unitsOf(e.gbps, u);
      if (units == 0 || e.from == e.to) continue;
      cap_[at(e.from, e.to)] += units;
      strands_[at(e.from, e.to)].push_back({units, e.links});
    }
    if (f.outsideSource >= 0) {
      Count past = static_cast<Count>(u.k) * f.localDemand();
      cap_[at(f.outsideSource, f.outsideSink)] += past;
      strands_[at(f.outsideSource, f.outsideSink)].push_back({past, {}});
    }
    for (int n = 0; n < n_; ++n) demand_.push_back(static_cast<Count>(u.k) * f.demand(n));
  }

  bool run() {
    for (int s : sinks_) {
      flows_.emplace_back();
      if (!flowTo(s, flows_.back())) return false;
    }
    for (int w = f_.ranks; w < n_; ++w)
      if (w != f_.outsideSource && w != f_.outsideSink) splitOff(w);
    return true;
  }

  Count capacity(int a, int b) const { return cap_[at(a, b)]; }
  std::vector<Strand>& strands(int a, int b) { return strands_[at(a, b)]; }

 private:
  size_t size2() const { return static_cast<size_t>(n_) * static_cast<size_t>(n_); }
  size_t at(int a, int b) const {
    return static_cast<size_t>(a) * static_cast<size_t>(n_) + static_cast<size_t>(b);
  }

  bool flowTo(int sink, std::vector<Count>& result) const {
    FlowGraph<Count> flow(n_ + 1);
    std::vector<std::pair<int, size_t>> edges;
    for (int a = 0; a < n_; ++a)
      for (int b = 0; b < n_; ++b)
        if (cap_[at(a, b)] > 0) edges.push_back({flow.addEdge(a, b, cap_[at(a, b)]), at(a, b)});
    for (int n = 0; n < n_; ++n)
      if (demand_[n] > 0) flow.addEdge(n_, n, demand_[n]);
    if (flow.run(n_, sink, need_) < need_) return false;
    result.assign(size2(), 0);
    for (auto [edge, where] : edges) result[where] = flow.flowOn(edge);
    return true;
  }

  /// Brings what flows over a→b down to its capacity by leading the rest from a to b another way. False when
  /// there is none.
  bool reroute(std::vector<Count>& flow, int a, int b) {
    Count excess = flow[at(a, b)] - cap_[at(a, b)];
    if (excess <= 0) return true;
    flow[at(a, b)] -= excess;
    auto residual = [&](int x, int y) { return cap_[at(x, y)] - flow[at(x, y)] + flow[at(y, x)]; };
    while (excess > 0) {
      before_.assign(static_cast<size_t>(n_), -1);
      queue_.assign(1, a);
      before_[a] = a;
      for (size_t i = 0; i < queue_.size() && before_[b] < 0; ++i) {
        int x = queue_[i];
        for (int y = 0; y < n_; ++y) {
          if (before_[y] >= 0 || residual(x, y) <= 0) continue;
          before_[y] = x;
          queue_.push_back(y);
        }
      }
      if (before_[b] < 0) return false;
      Count some = excess;
      for (int y = b; y != a; y = before_[y]) some = std::min(some, residual(before_[y], y));
      for (int y = b; y != a; y = before_[y]) {
        int x = before_[y];
        Count undone = std::min(some, flow[at(y, x)]);  // first take back what flows the other way
        flow[at(y, x)] -= undone;
        flow[at(x, y)] += some - undone;
      }
      excess -= some;
    }
    return true;
  }

  /// Replaces `units` of u→w→t by u→t when every sink can still get all it needs.
  bool trySplit(int u, int w, int t, Count units) {
    cap_[at(u, w)] -= units;
    cap_[at(w, t)] -= units;
    if (u != t) cap_[at(u, t)] += units;
    scratch_.clear();
    for (size_t s = 0; s < sinks_.size(); ++s) {
      const std::vector<Count>& flow = flows_[s];
      Count moved = std::min({units, flow[at(u, w)], flow[at(w, t)]});
      if (flow[at(u, w)] - moved <= cap_[at(u, w)] && flow[at(w, t)] - moved <= cap_[at(w, t)]) continue;
      scratch_.emplace_back(static_cast<int>(s), flow);
      std::vector<Count>& changed = scratch_.back().second;
      changed[at(u, w)] -= moved;
      changed[at(w, t)] -= moved;
      if (u != t) changed[at(u, t)] += moved;
      if (reroute(changed, u, w) && reroute(changed, w, t)) continue;
      cap_[at(u, w)] += units;
      cap_[at(w, t)] += units;
      if (u != t) cap_[at(u, t)] -= units;
      return false;
    }
    size_t next = 0;
    for (size_t s = 0; s < sinks_.size(); ++s) {
      if (next < scratch_.size() && scratch_[next].first == static_cast<int>(s)) {
        flows_[s] = std::move(scratch_[next++].second);
        continue;
      }
      std::vector<Count>& flow = flows_[s];
      Count moved = std::min({units, flow[at(u, w)], flow[at(w, t)]});
      flow[at(u, w)] -= moved;
      flow[at(w, t)] -= moved;
      if (u != t) flow[at(u, t)] += moved;
    }
    joinStrands(u, w, t, units);
    return true;
  }

  void joinStrands(int u, int w, int t, Count units) {
    std::vector<Strand>& in = strands_[at(u, w)];
    std::vector<Strand>& out = strands_[at(w, t)];
    while (units > 0) {
      Count some = std::min({units, in.back().units, out.back().units});
      if (u != t) {
        Strand joined{some, in.back().links};
        joined.links.insert(joined.links.end(), out.back().links.begin(), out.back().links.end());
        std::vector<Strand>& to = strands_[at(u, t)];
        auto same =
            std::find_if(to.begin(), to.end(), [&](const Strand& s) { return s.links == joined.links; });
        if (same != to.end())
          same->units += some;
        else
          to.push_back(std::move(joined));
      }
      in.back().units -= some;
      out.back().units -= some;
      if (in.back().units == 0) in.pop_back();
      if (out.back().units == 0) out.pop_back();
      units -= some;
    }
  }

  void splitOff(int w) {
    std::vector<int> from;
    std::vector<int> to;
    for (int n = 0; n < n_; ++n) {
      if (cap_[at(n, w)] > 0) from.push_back(n);
      if (cap_[at(w, n)] > 0) to.push_back(n);
    }
    if (from.empty() || to.empty()) return;
    // Spread evenly first (a crossbar's ranks each get an equal part of each other's edges), then whatever is
    // left.
    std::vector<Count> share;
    for (int u : from)
      share.push_back(
          std::max<Count>(1, cap_[at(u, w)] / static_cast<Count>(std::max<size_t>(1, to.size() - 1))));
    for (int round = 0; round < 3; ++round) {
      for (size_t d = 0; d < to.size(); ++d) {
        for (size_t i = 0; i < from.size(); ++i) {
          int u = from[i];
          int t = to[(i + 1 + d) % to.size()];
          if (t == u) continue;
          Count units = std::min(cap_[at(u, w)], cap_[at(w, t)]);
          if (round == 0) units = std::min(units, share[i]);
          for (; units > 0; units = units > 3 ? units / 2 : units - 1)
            if (trySplit(u, w, t, units)) break;
        }
      }
    }
    // Edges nothing needs any more.
    for (int u : from) cap_[at(u, w)] = 0;
    for (int t : to) cap_[at(w, t)] = 0;
  }

  const Fabric& f_;
  const int n_;
  const Count need_;
  std::vector<Count> cap_;
  std::vector<std::vector<Strand>> strands_;
  std::vector<Count> demand_;
  std::vector<int> sinks_;
  std::vector<std::vector<Count>> flows_;  // by sink: the flow that shows it can be served
  std::vector<std::pair<int, std::vector<Count>>> scratch_;
  std::vector<int> before_;
  std::vector<int> queue_;
};

/// Packs the trees into the reduced network.
class TreePacker {
 public:
  TreePacker(const Fabric& f, Splitter& net, const Units& u)
      : f_(f), net_(net), speed_(u.speed), n_(f.nodes()), left_(static_cast<size_t>(n_) * n_) {
    for (int a = 0; a < n_; ++a)
      for (int b = 0; b < n_; ++b) left_[at(a, b)] = net.capacity(a, b);
    for (int n = 0; n < n_; ++n)
      if (f.demand(n) > 0) open_.push_back({n, static_cast<Count>(u.k) * f.demand(n), {n}, {}});
    for (int s : sinksOf(f)) isTarget(s);
  }

  bool run(std::vector<ForestTree>& trees) {
    constexpr size_t kMaxTrees = 4096;
    while (!open_.empty()) {
      Growing tree = std::move(open_.back());
      open_.pop_back();
      if (!grow(tree) || trees.size() > kMaxTrees) return false;
      ForestTree done;
      done.root = name(tree.root);
      done.gbps = speed_;
      done.copies = static_cast<int>(tree.copies);
      done.edges = std::move(tree.edges);
      trees.push_back(std::move(done));
    }
    return true;
  }

 private:
  struct Growing {
    int root;
    Count copies;
    std::vector<int> reached;
    std::vector<ForestTree::Edge> edges;
  };
  size_t at(int a, int b) const {
    return static_cast<size_t>(a) * static_cast<size_t>(n_) + static_cast<size_t>(b);
  }
  void isTarget(int n) { targets_.push_back(n); }
  int name(int n) const { return n < f_.ranks ? n : ForestTree::kOutside; }

  bool grow(Growing& tree) {
    std::vector<char> in(n_, 0);
    for (int n : tree.reached) in[n] = 1;
    size_t missing = 0;
    for (int t : targets_) missing += in[t] ? 0 : 1;
    // The network with the demands of all other trees: see mayTake().
    Count others = 0;
    FlowGraph<Count> flow(n_ + 1 + static_cast<int>(open_.size()));
    const int source = n_;
    std::vector<int> edgeOf(left_.size(), -1);
    std::vector<int> start(n_, -1);
    for (int a = 0; a < n_; ++a) {
      start[a] = flow.addEdge(source, a, 0);
      for (int b = 0; b < n_; ++b)
        if (left_[at(a, b)] > 0) edgeOf[at(a, b)] = flow.addEdge(a, b, left_[at(a, b)]);
    }
    auto addOther = [&](const Growing& g) {
      others += g.copies;
      if (g.reached.size() == 1) {
        flow.addEdge(source, g.reached[0], g.copies);
        return;
      }
      int node = n_ + 1 + static_cast<int>(&g - open_.data());
      flow.addEdge(source, node, g.copies);
      for (int r : g.reached) flow.addEdge(node, r, kMany);
    };
    for (const Growing& g : open_) addOther(g);
    bool split = false;
    while (missing > 0) {
      bool took = false;
      // Two sweeps: first only edges that carry all copies, so that trees stay whole.
      for (int sweep = 0; sweep < 2 && !took; ++sweep) {
        for (size_t i = 0; i < tree.reached.size() && !took; ++i) {
          int x = tree.reached[i];
          for (int step = 1; step <= n_ && !took; ++step) {
            int y = (x + step) % n_;
            if (in[y] || left_[at(x, y)] == 0 || (y >= f_.ranks && y != f_.outsideSink)) continue;
            std::vector<Strand>& strands = net_.strands(x, y);
            auto widest =
                std::max_element(strands.begin(), strands.end(),
                                 [](const Strand& a, const Strand& b) { return a.units < b.units; });
            Count units = std::min(tree.copies, widest->units);
            if (sweep == 0 && units < tree.copies) continue;
            // Taking edges x→y is safe while each set with y and not x can still be entered by every other
            // tree.
            flow.setCapacity(start[x], kMany);
            Count entered = flow.run(source, y, others + units);
            flow.setCapacity(start[x], 0);
            units = std::min(units, entered - others);
            if (units <= 0 || (sweep == 0 && units < tree.copies)) continue;
            if (units < tree.copies) {
              open_.push_back({tree.root, tree.copies - units, tree.reached, tree.edges});
              tree.copies = units;
              split = true;
            }
            tree.edges.push_back({name(x), name(y), widest->links});
            widest->units -= units;
            if (widest->units == 0) strands.erase(widest);
            left_[at(x, y)] -= units;
            flow.setCapacity(edgeOf[at(x, y)], left_[at(x, y)]);
            tree.reached.push_back(y);
            in[y] = 1;
            --missing;
            took = true;
          }
        }
      }
      if (!took) return false;
      // A part of this tree now waits with the others: the network of demands has changed.
      if (split) return grow(tree);
    }
    return true;
  }

  static constexpr Count kMany = Count(1) << 40;
  const Fabric& f_;
  Splitter& net_;
  const double speed_;
  const int n_;
  std::vector<Count> left_;
  std::vector<Growing> open_;
  std::vector<int> targets_;
};

/// For machines too large to pack exactly: every rank's tree is a star along the best ways, or the ring in
/// rank order, whichever loads the links less.
void simpleForest(const Graph& graph, const Fabric& f, std::vector<ForestTree>& trees) {
  // Shortest ways over switches, by hops then width.
  struct Way {
    int hops = 1 << 20;
    double width = 0;
    int edge = -1;
  };
  std::vector<std::vector<int>> out(f.nodes());
  for (int e = 0; e < static_cast<int>(f.edges.size()); ++e) out[f.edges[e].from].push_back(e);
  auto waysFrom = [&](int root) {
    std::vector<Way> ways(f.nodes());
    ways[root] = {0, 1e18, -1};
    std::vector<int> queue = {root};
    for (size_t i = 0; i < queue.size(); ++i) {
      int n = queue[i];
      if (n != root && n < f.ranks) continue;  // ranks do not forward here
      for (int e : out[n]) {
        int t = f.edges[e].to;
        Way candidate{ways[n].hops + 1, std::min(ways[n].width, f.edges[e].gbps), e};
        if (ways[t].hops == 1 << 20) queue.push_back(t);
        if (candidate.hops < ways[t].hops ||
            (candidate.hops == ways[t].hops && candidate.width > ways[t].width))
          ways[t] = candidate;
      }
    }
    return ways;
  };
  auto linksOf = [&](const std::vector<Way>& ways, int to) {
    std::vector<int> links;
    for (int n = to; ways[n].edge >= 0; n = f.edges[ways[n].edge].from)
      links.insert(links.begin(), f.edges[ways[n].edge].links.begin(), f.edges[ways[n].edge].links.end());
    return links;
  };
  std::vector<std::vector<int>> next(f.ranks);
  std::vector<ForestTree> star;
  std::vector<ForestTree> ring;
  std::vector<Way> fromOutside = f.machines > 1 ? waysFrom(f.outsideSource) : std::vector<Way>();
  for (int r = 0; r < f.ranks; ++r) {
    std::vector<Way> ways = waysFrom(r);
    ForestTree tree;
    tree.root = r;
    for (int t = 0; t < f.ranks; ++t) {
      if (t == r) continue;
      if (ways[t].edge < 0) return;
      tree.edges.push_back({r, t, linksOf(ways, t)});
    }
    next[r] = linksOf(ways, (r + 1) % f.ranks);
    if (f.machines > 1) {
      // Its shard goes out once; what comes in at this rank's nearest NIC is spread by this rank, and handed
      // on unless this machine is the last to get it.
      if (ways[f.outsideSink].edge < 0 || fromOutside[r].edge < 0) return;
      ForestTree::Edge leave{r, ForestTree::kOutside, linksOf(ways, f.outsideSink)};
      ForestTree entering;
      entering.root = ForestTree::kOutside;
      entering.edges.push_back({ForestTree::kOutside, r, linksOf(fromOutside, r)});
      entering.edges.insert(entering.edges.end(), tree.edges.begin(), tree.edges.end());
      star.push_back(entering);
      if (f.machines > 2) {
        entering.copies = f.machines - 2;
        entering.edges.push_back(leave);
        star.push_back(std::move(entering));
      }
      tree.edges.push_back(std::move(leave));
    }
    star.push_back(std::move(tree));
  }
  for (int r = 0; r < f.ranks && f.machines == 1; ++r) {
    ForestTree tree;
    tree.root = r;
    for (int i = 0; i + 1 < f.ranks; ++i) {
      int a = (r + i) % f.ranks;
      tree.edges.push_back({a, (a + 1) % f.ranks, next[a]});
    }
    ring.push_back(std::move(tree));
  }
  auto speedOf = [&](const std::vector<ForestTree>& set) {
    std::vector<double> load(graph.links.size(), 0.0);
    for (const ForestTree& t : set)
      for (const ForestTree::Edge& e : t.edges)
        for (int l : e.links) load[l] += t.copies;
    double speed = 1e18;
    for (size_t l = 0; l < load.size(); ++l)
      if (load[l] > 0) speed = std::min(speed, graph.links[l].gbps / load[l]);
    return speed;
  };
  double starSpeed = speedOf(star);
  double ringSpeed = ring.empty() ? 0 : speedOf(ring);
  trees = starSpeed >= ringSpeed ? std::move(star) : std::move(ring);
  for (ForestTree& t : trees) t.gbps = std::max(starSpeed, ringSpeed);
}

}  // namespace

bool packForest(const Fabric& fabric, double perRank, const ForestOptions& options,
                std::vector<ForestTree>& trees) {
  UnitChooser chooser(fabric);
  Units units = chooser.choose(perRank, options);
  if (units.k == 0) return false;
  Splitter splitter(fabric, chooser, units);
  return splitter.run() && TreePacker(fabric, splitter, units).run(trees);
}

ChannelGraph searchForest(const Graph& graph, const Fabric& fabric, const Bounds& bounds,
                          const ForestOptions& options) {
  ChannelGraph g;
  g.pattern = Pattern::Forest;
  g.nodes = fabric.machines;
  if (bounds.perRank <= 0 || fabric.totalDemand() < 2) return g;
  constexpr int kHostsByRank = 9;  // larger host machines by NUMA node, where that is as good
  if (graph.hostRanks && fabric.ranks > kHostsByRank &&
      (!groupedForest(graph, fabric.machines, options, g.trees) ||
       g.totalGbps() < options.enough * bounds.allGather))
    g.trees.clear();
  if (g.trees.empty() &&
      (fabric.ranks > options.exactUpTo || !packForest(fabric, bounds.perRank, options, g.trees))) {
    g.trees.clear();
    if (!groupedForest(graph, fabric.machines, options, g.trees) &&
        !crossbarForest(graph, fabric, bounds, options, g.trees))
      g.trees.clear();
  }
  if (g.trees.empty()) simpleForest(graph, fabric, g.trees);
  std::stable_sort(g.trees.begin(), g.trees.end(),
                   [](const ForestTree& a, const ForestTree& b) { return a.root < b.root; });
  for (const ForestTree& t : g.trees) {
    g.intraGbps = g.interGbps = std::max(g.intraGbps, t.gbps);
    std::vector<int> order = {t.root};
    for (const ForestTree::Edge& e : t.edges) order.push_back(e.to);
    g.orders.push_back(std::move(order));
  }
  return g;
}

}  // namespace tutti::topology
