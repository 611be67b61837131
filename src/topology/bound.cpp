#include "topology/bound.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/result.hpp"
#include "topology/flow.hpp"
#include "topology/links.hpp"

namespace tutti::topology {
namespace {

/// Draws switches with two neighbours together with them: nothing can happen there but passing through.
void contract(Fabric& f) {
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<std::vector<int>> in(f.nodes());
    std::vector<std::vector<int>> out(f.nodes());
    for (int e = 0; e < static_cast<int>(f.edges.size()); ++e) {
      out[f.edges[e].from].push_back(e);
      in[f.edges[e].to].push_back(e);
    }
    std::vector<char> drop(f.edges.size(), 0);
    std::vector<char> touched(f.nodes(), 0);
    std::vector<Fabric::Edge> added;
    for (int n = f.ranks; n < f.nodes(); ++n) {
      if (n == f.outsideSource || n == f.outsideSink || touched[n] || (in[n].empty() && out[n].empty()))
        continue;
      std::set<int> neighbours;
      for (int e : in[n]) neighbours.insert(f.edges[e].from);
      for (int e : out[n]) neighbours.insert(f.edges[e].to);
      if (neighbours.size() > 2 || in[n].size() > 2 || out[n].size() > 2) continue;
      if (std::any_of(neighbours.begin(), neighbours.end(), [&](int m) { return touched[m] != 0; })) continue;
      for (int e : in[n]) {
        for (int o : out[n]) {
          if (f.edges[e].from == f.edges[o].to) continue;
          Fabric::Edge joined{f.edges[e].from, f.edges[o].to, std::min(f.edges[e].gbps, f.edges[o].gbps),
                              f.edges[e].links};
          joined.links.insert(joined.links.end(), f.edges[o].links.begin(), f.edges[o].links.end());
          added.push_back(std::move(joined));
        }
      }
      for (int e : in[n]) drop[e] = 1;
      for (int e : out[n]) drop[e] = 1;
      touched[n] = 1;
      for (int m : neighbours) touched[m] = 1;
      changed = true;
    }
    if (!changed) break;
    std::vector<Fabric::Edge> kept;
    for (size_t e = 0; e < f.edges.size(); ++e)
      if (!drop[e]) kept.push_back(std::move(f.edges[e]));
    for (Fabric::Edge& e : added) kept.push_back(std::move(e));
    f.edges = std::move(kept);
  }
  // Renumber: ranks first as they are, then the switches that are left, then the outside.
  std::vector<char> used(f.nodes(), 0);
  for (const Fabric::Edge& e : f.edges) used[e.from] = used[e.to] = 1;
  std::vector<int> number(f.nodes(), -1);
  Fabric g;
  g.ranks = f.ranks;
  g.machines = f.machines;
  for (int n = 0; n < f.nodes(); ++n) {
    bool outside = n == f.outsideSource || n == f.outsideSink;
    if (n >= f.ranks && !used[n] && !outside) continue;
    number[n] = g.nodes();
    g.graphNode.push_back(f.graphNode[n]);
    g.rankOf.push_back(f.rankOf[n]);
  }
  if (f.outsideSource >= 0) {
    g.outsideSource = number[f.outsideSource];
    g.outsideSink = number[f.outsideSink];
  }
  for (Fabric::Edge& e : f.edges) {
    e.from = number[e.from];
    e.to = number[e.to];
    g.edges.push_back(std::move(e));
  }
  f = std::move(g);
}

/// By rank: the first rank that hangs on the same nodes by equal links, both ways. What holds for one of such
/// twins holds for the other; the tightest cut between them is round one alone.
std::vector<int> twinsOf(const Fabric& f) {
  std::vector<std::map<int, std::pair<double, double>>> links(f.ranks);
  for (const Fabric::Edge& e : f.edges) {
    if (e.from < f.ranks) links[e.from][e.to].first += e.gbps;
    if (e.to < f.ranks) links[e.to][e.from].second += e.gbps;
  }
  std::map<std::map<int, std::pair<double, double>>, int> firstWith;
  std::vector<int> twin(f.ranks);
  for (int r = 0; r < f.ranks; ++r) {
    bool symmetric = f.weight.empty();
    for (const auto& [node, gbps] : links[r]) symmetric &= gbps.first == gbps.second;
    twin[r] = symmetric ? firstWith.try_emplace(links[r], r).first->second : r;
  }
  return twin;
}

struct Cut {
  double perRank = 0;
  std::vector<char> inside;
};

/// The largest x, and a set that allows no more. `forward`: shards flow along the edges (AllGather), else
/// against them.
Cut tightestCut(const Fabric& f, bool forward) {
  Cut best;
  const int source = f.nodes();
  FlowGraph<double> flow(f.nodes() + 1);
  double widest = 0;
  for (const Fabric::Edge& e : f.edges) {
    widest += e.gbps;
    if (forward)
      flow.addEdge(e.from, e.to, e.gbps);
    else
      flow.addEdge(e.to, e.from, e.gbps);
  }
  // With the direction turned the two outsides change places.
  const int from = forward ? f.outsideSource : f.outsideSink;
  const int to = forward ? f.outsideSink : f.outsideSource;
  std::vector<int> supply(f.nodes(), -1);
  auto demand = [&](int n) {
    return n < f.ranks ? f.demand(n) : n == from ? (f.machines - 1) * f.localDemand() : 0;
  };
  for (int n = 0; n < f.nodes(); ++n)
    if (demand(n) > 0) supply[n] = flow.addEdge(source, n, 0);
  int past = from >= 0 ? flow.addEdge(from, to, 0) : -1;

  double x = f.ranks > 0 ? widest : 0;
  auto lower = [&](int sink) {  // Newton's steps downwards: each finds a set that x violates
    for (int round = 0; round < 64; ++round) {
      for (int n = 0; n < f.nodes(); ++n)
        if (supply[n] >= 0) flow.setCapacity(supply[n], x * demand(n));
      if (past >= 0) flow.setCapacity(past, x * f.localDemand());
      double need = x * f.totalDemand();
      if (flow.run(source, sink) >= need * (1 - 1e-9)) return;
      std::vector<char> inside(f.nodes(), 0);
      double shards = 0;
      for (int n = 0; n < f.nodes(); ++n) {
        inside[n] = flow.onSourceSide(n);
        if (inside[n]) shards += demand(n);
      }
      double out = 0;
      for (const Fabric::Edge& e : f.edges) {
        int a = forward ? e.from : e.to;
        int b = forward ? e.to : e.from;
        if (inside[a] && !inside[b]) out += e.gbps;
      }
      if (past >= 0 && inside[from] && !inside[to]) shards -= f.localDemand();
      if (shards <= 0) return;
      double allowed = out / shards;
      if (allowed >= x) return;
      x = allowed;
      best.inside = std::move(inside);
      if (x <= 1e-12) return;
    }
  };
  const std::vector<int> twin = twinsOf(f);
  for (int r = 0; r < f.ranks; ++r)
    if (twin[r] == r) lower(r);
  if (to >= 0) lower(to);
  best.perRank = best.inside.empty() ? 0 : x;
  return best;
}

/// The least of (ways into all parts) / 2(parts - 1), over divisions of the ranks along min-cuts.
double reduceBound(const Fabric& f) {
  const int n = f.ranks;
  const int source = f.nodes();
  const int sink = source + 1;
  FlowGraph<double> flow(f.nodes() + 2);
  for (const Fabric::Edge& e : f.edges) flow.addEdge(e.from, e.to, e.gbps);
  std::vector<int> give;
  std::vector<int> take;
  constexpr double kMuch = 1e9;
  for (int r = 0; r < n; ++r) {
    give.push_back(flow.addEdge(source, r, 0));
    take.push_back(flow.addEdge(r, sink, 0));
  }
  int outside = f.outsideSource >= 0 ? flow.addEdge(source, f.outsideSource, 0) : -1;

  // A tree of min-cuts (Gusfield): cutting it at its weak edges divides the ranks where the machine is weak.
  std::vector<int> parent(n, 0);
  std::vector<double> weight(n, 0);
  const std::vector<int> twin = twinsOf(f);
  std::vector<double> ownLinks(n, 0);
  for (const Fabric::Edge& e : f.edges)
    if (e.from < n) ownLinks[e.from] += e.gbps;
  for (int r = 1; r < n; ++r) {
    if (twin[r] != r) {
      parent[r] = twin[r];
      weight[r] = ownLinks[r];
      continue;
    }
    flow.setCapacity(give[r], kMuch);
    flow.setCapacity(take[parent[r]], kMuch);
    weight[r] = flow.run(source, sink);
    for (int q = r + 1; q < n; ++q)
      if (twin[q] == q && parent[q] == parent[r] && flow.onSourceSide(q)) parent[q] = r;
    flow.setCapacity(give[r], 0);
    flow.setCapacity(take[parent[r]], 0);
  }
  auto into = [&](const std::vector<char>& part) {
    for (int r = 0; r < n; ++r) {
      flow.setCapacity(give[r], part[r] ? 0 : kMuch);
      flow.setCapacity(take[r], part[r] ? kMuch : 0);
    }
    if (outside >= 0) flow.setCapacity(outside, kMuch);
    double ways = flow.run(source, sink);
    if (outside >= 0) flow.setCapacity(outside, 0);
    return ways;
  };
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> alone(n, -1);  // ways into one rank, once known
  auto consider = [&](const std::vector<int>& partOf, int parts) {
    if (parts * f.machines < 2) return;
    double sum = 0;
    std::vector<std::vector<int>> members(parts);
    for (int r = 0; r < n; ++r) members[partOf[r]].push_back(r);
    for (const std::vector<int>& ranks : members) {
      double* known = ranks.size() == 1 ? &alone[twin[ranks[0]]] : nullptr;
      if (known == nullptr || *known < 0) {
        std::vector<char> part(n, 0);
        for (int r : ranks) part[r] = 1;
        const double ways = into(part);
        if (known != nullptr) *known = ways;
        sum += ways;
      } else {
        sum += *known;
      }
    }
    best = std::min(best, f.machines * sum / (2.0 * (f.machines * parts - 1)));
  };
  std::vector<double> thresholds(weight.begin() + std::min(n, 1), weight.end());
  std::sort(thresholds.begin(), thresholds.end());
  thresholds.erase(
      std::unique(thresholds.begin(), thresholds.end(), [](double a, double b) { return b - a < 1e-9 * b; }),
      thresholds.end());
  consider(std::vector<int>(n, 0), 1);
  int divisions = 0;
  for (double threshold : thresholds) {
    std::vector<int> partOf(n, -1);
    int parts = 0;
    for (int r = 0; r < n;
         ++r) {  // parents come before children in Gusfield's tree only by following them up
      int at = r;
      while (at != 0 && weight[at] > threshold * (1 + 1e-9)) at = parent[at];
      if (partOf[at] < 0) partOf[at] = parts++;
      partOf[r] = partOf[at];
    }
    consider(partOf, parts);
    if (++divisions == 8) break;
  }
  std::vector<int> each(n);
  for (int r = 0; r < n; ++r) each[r] = r;
  consider(each, n);
  return best;
}

}  // namespace

Fabric fabricOf(const Graph& graph, int machines, const std::vector<int>& asRanks) {
  const std::vector<int>& ranks = asRanks.empty() ? graph.ranks : asRanks;
  Fabric f;
  f.machines = machines;
  f.ranks = static_cast<int>(ranks.size());
  std::vector<int> number(graph.nodes.size(), -1);
  auto add = [&](int node, int rank) {
    if (node >= 0) number[node] = f.nodes();
    f.graphNode.push_back(node);
    f.rankOf.push_back(rank);
    return f.nodes() - 1;
  };
  for (int r = 0; r < f.ranks; ++r) add(ranks[r], r);
  // A NIC with one port and one way into the machine is an edge from that way to the outside; others stay
  // switches.
  struct SimpleNic {
    int inner;
    int net;
    int in[2];   // port to NIC, NIC to machine
    int out[2];  // machine to NIC, NIC to port
  };
  std::vector<SimpleNic> simple;
  std::vector<char> isSimple(graph.nodes.size(), 0);
  for (int nic = 0; machines > 1 && nic < static_cast<int>(graph.nodes.size()); ++nic) {
    const Node& node = graph.nodes[nic];
    if (node.type != NodeType::Nic || node.out.size() != 2) continue;
    int port = graph.links[node.out[0]].type == LinkType::Net ? 0 : 1;
    int toNet = node.out[port];
    int toInner = node.out[1 - port];
    if (graph.links[toNet].type != LinkType::Net || graph.links[toInner].type == LinkType::Net) continue;
    SimpleNic s{graph.links[toInner].to,
                graph.links[toNet].to,
                {graph.reverseOf(toNet), toInner},
                {graph.reverseOf(toInner), toNet}};
    if (s.in[0] < 0 || s.out[0] < 0 || graph.nodes[s.net].out.size() != 1) continue;
    isSimple[nic] = isSimple[s.net] = 1;
    simple.push_back(s);
  }
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
    const Node& node = graph.nodes[n];
    bool device = node.type == NodeType::Gpu ||
                  node.type == NodeType::Core;  // without a rank nothing runs there to relay
    bool network = node.type == NodeType::Nic || node.type == NodeType::Net;
    if (number[n] < 0 && !device && !isSimple[n] && (machines > 1 || !network)) add(n, -1);
  }
  for (int l = 0; l < static_cast<int>(graph.links.size()); ++l) {
    const Link& link = graph.links[l];
    if (number[link.from] >= 0 && number[link.to] >= 0 && link.gbps > 0)
      f.edges.push_back({number[link.from], number[link.to], std::min(link.gbps, kLocalGBps), {l}});
  }
  if (machines > 1) {
    f.outsideSource = add(-1, -1);
    f.outsideSink = add(-1, -1);
    auto least = [&](const int* links) {
      return std::min(graph.links[links[0]].gbps, graph.links[links[1]].gbps);
    };
    for (const SimpleNic& s : simple) {
      f.edges.push_back({f.outsideSource, number[s.inner], least(s.in), {s.in[0], s.in[1]}});
      f.edges.push_back({number[s.inner], f.outsideSink, least(s.out), {s.out[0], s.out[1]}});
    }
    for (int n : graph.nets) {
      if (isSimple[n]) continue;
      f.edges.push_back({f.outsideSource, number[n], graph.nodes[n].netGbps, {}});
      f.edges.push_back({number[n], f.outsideSink, graph.nodes[n].netGbps, {}});
    }
  }
  contract(f);
  return f;
}

Bounds boundsOf(const Graph& graph, const Fabric& fabric) {
  Bounds b;
  if (fabric.totalDemand() < 2) return b;
  Cut gather = tightestCut(fabric, true);
  Cut scatter = tightestCut(fabric, false);
  b.perRank = gather.perRank;
  b.allGather = gather.perRank * fabric.totalDemand();
  b.reduceScatter = scatter.perRank * fabric.totalDemand();
  if (b.allGather > 0 && b.reduceScatter > 0) b.allReduce = reduceBound(fabric);
  if (gather.inside.empty()) return b;
  int ranks = 0;
  std::string alone;
  bool outside = fabric.outsideSource >= 0 && gather.inside[fabric.outsideSource];
  for (int r = 0; r < fabric.ranks; ++r) {
    if (gather.inside[r])
      ++ranks;
    else
      alone += (alone.empty() ? "" : ", ") + graph.nodes[fabric.graphNode[r]].name;
  }
  std::map<std::string, double> into;
  for (const Fabric::Edge& e : fabric.edges) {
    if (!gather.inside[e.from] || gather.inside[e.to]) continue;
    for (int l : e.links) b.cutLinks.push_back(l);
    // Of a chain of links the narrowest is what holds up.
    int narrowest = -1;
    for (int l : e.links)
      if (narrowest < 0 || graph.links[l].gbps < graph.links[narrowest].gbps) narrowest = l;
    if (narrowest >= 0) into[graph.linkName(narrowest)] += e.gbps;
  }
  std::string ways;
  int listed = 0;
  for (const auto& [name, gbps] : into) {
    if (++listed > 6) {
      ways += fmt::format(", and {} more", into.size() - 6);
      break;
    }
    ways += fmt::format("{}{} {:.1f}", ways.empty() ? "" : ", ", name, gbps);
  }
  if (alone.size() > 60) alone = fmt::format("{} ranks", fabric.ranks - ranks);
  if (alone.empty()) alone = "the other machines";
  b.cut = fmt::format("into {}{}: {}", alone,
                      outside || fabric.machines == 1 ? "" : " and the other machines", ways);
  return b;
}

}  // namespace tutti::topology
