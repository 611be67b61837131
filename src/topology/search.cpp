#include "topology/search.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "topology/links.hpp"
#include "topology/packing.hpp"

namespace tutti::topology {

std::string_view nameOf(Pattern pattern) {
  switch (pattern) {
    case Pattern::BalancedTree:
    case Pattern::SplitTree:
    case Pattern::Tree:
      return "tree";
    case Pattern::Ring:
      return "ring";
    case Pattern::Nvls:
      return "nvls";
    case Pattern::Forest:
      return "forest";
  }
  return "?";
}

double ChannelGraph::totalGbps() const {
  if (pattern == Pattern::Forest) {
    double sum = 0;
    for (const ForestTree& t : trees) sum += t.gbps * t.copies;
    return sum;
  }
  return channels() * (nodes > 1 ? interGbps : intraGbps);
}

namespace {

/// What one channel can be driven at by one thread block of that GPU; more speed needs more channels.
double perChannelLimit(const Graph& graph) {
  if (graph.hostRanks) return kLocalGBps;
  int sm = 1000;
  for (int n : graph.ranks) sm = std::min(sm, graph.nodes[n].sm);
  return sm >= 100 ? 50 : sm >= 90 ? 31 : 24;
}

/// No ring runs faster than its ranks' widest ways out together, and a chain leaves one rank out at a time.
double simpleBound(const Graph& graph, const HopLoads& hops, bool ring) {
  const int n = hops.ranks();
  double least = 1e18;
  double sum = 0;
  for (int a = 0; a < n; ++a) {
    std::set<int> firsts;
    double out = 0;
    if (graph.hostRanks)
      for (int l : graph.nodes[graph.ranks[a]].out) out += graph.links[l].gbps;
    for (int b = 0; b < n && !graph.hostRanks; ++b) {
      if (a == b || !hops.possible(hops.hop(a, b)) || hops.hop(a, b).empty()) continue;
      if (firsts.insert(hops.hop(a, b)[0].link).second) out += hops.capacities()[hops.hop(a, b)[0].link];
    }
    least = std::min(least, out);
    sum += out;
  }
  return ring ? least : sum / std::max(1, n - 1);
}

void setTypes(const HopLoads& hops, ChannelGraph& g) {
  g.typeIntra = PathType::Loc;
  g.typeInter = PathType::Pix;
  bool ring = g.pattern == Pattern::Ring;
  for (int c = 0; c < g.channels(); ++c) {
    const std::vector<int>& o = g.orders[c];
    for (size_t i = 0; i + 1 < o.size(); ++i)
      g.typeIntra = std::max(g.typeIntra, hops.hopType(o[i], o[i + 1]));
    if (g.nodes == 1) {
      if (ring && o.size() > 1) g.typeIntra = std::max(g.typeIntra, hops.hopType(o.back(), o.front()));
      continue;
    }
    auto [in, out] = g.nets[c];
    g.typeInter =
        std::max({g.typeInter, hops.inType(in, o.front()), hops.outType(ring ? o.back() : o.front(), out)});
    if (in != out) g.crossNic = 2;
  }
  g.sameChannels = true;
  for (const auto& o : g.orders) g.sameChannels = g.sameChannels && o == g.orders[0];
}

/// Splits channels that are faster than one block can drive, and repeats them up to the least number asked
/// for.
void splitChannels(ChannelGraph& g, double limit, const Settings& settings) {
  if (g.orders.empty()) return;
  double speed = std::max(g.intraGbps, g.nodes > 1 ? g.interGbps : 0.0);
  int copies = std::max(1, static_cast<int>(std::ceil(speed / limit - 1e-9)));
  copies = std::max(copies, (settings.minChannels + g.channels() - 1) / g.channels());
  copies = std::max(1, std::min(copies, settings.maxChannels / g.channels()));
  if (copies == 1) return;
  size_t once = g.orders.size();
  for (int i = 1; i < copies; ++i)
    for (size_t c = 0; c < once; ++c) {
      g.orders.push_back(g.orders[c]);
      if (!g.nets.empty()) g.nets.push_back(g.nets[c]);
    }
  g.intraGbps /= copies;
  g.interGbps /= copies;
}

ChannelGraph searchOrders(const Graph& graph, const HopLoads& hops, const Settings& settings, int nodes,
                          Pattern pattern, Packed& rings) {
  ChannelGraph g;
  g.pattern = pattern;
  g.nodes = nodes;
  PackRequest request;
  request.pattern = pattern;
  request.inter = nodes > 1;
  request.sameNic = settings.crossNic == 0;
  request.maxChannels = settings.maxChannels;
  if (nodes == 1) request.enough = simpleBound(graph, hops, pattern == Pattern::Ring);
  // A ring cut open is a chain; its NICs, one in and one out, must be the first rank's own.
  if (pattern == Pattern::Tree) {
    for (auto& [in, out] : rings.nets) out = in;
    if (static_cast<int>(rings.orders.size()) <= request.maxChannels) request.seed = &rings;
  }
  Packed packed = pack(graph, hops, request);
  if (pattern == Pattern::Ring) rings = packed;
  // More channels are wanted: each order is repeated. Where that would be more than allowed, fewer orders
  // are.
  while (!packed.orders.empty()) {
    const int found = static_cast<int>(packed.orders.size());
    const int copies = (settings.minChannels + found - 1) / found;
    if (found * copies <= settings.maxChannels) break;
    request.maxChannels = std::min(settings.maxChannels / copies, found - 1);
    packed = pack(graph, hops, request);
  }
  g.orders = std::move(packed.orders);
  g.nets = std::move(packed.nets);
  g.intraGbps = g.interGbps = packed.perChannel;
  g.bottleneck = packed.bottleneck < static_cast<int>(graph.links.size()) ? packed.bottleneck : -1;
  if (nodes == 1) g.interGbps = g.intraGbps;
  if (nodes > 1 && !g.orders.empty()) {
    // Inside there may be room for more than the NICs carry.
    std::vector<double> inside(hops.capacities().size(), 0.0);
    std::vector<double> outside(inside.size(), 0.0);
    for (int c = 0; c < g.channels(); ++c) {
      addChannelLoads(hops, pattern, g.orders[c], g.nets[c], 1, 0, inside);
      addChannelLoads(hops, pattern, g.orders[c], g.nets[c], 0, 1, outside);
    }
    double most = 2 * g.interGbps;
    for (size_t l = 0; l < inside.size(); ++l)
      if (inside[l] > 1e-9)
        most = std::min(most, (hops.capacities()[l] - outside[l] * g.interGbps) / inside[l]);
    g.intraGbps = std::max(g.intraGbps, most);
    if (pattern == Pattern::Ring) g.intraGbps = g.interGbps;  // a ring is as fast as its slowest hop
  }
  setTypes(hops, g);
  splitChannels(g, nodes > 1 ? std::max(50.0, perChannelLimit(graph)) : perChannelLimit(graph), settings);
  return g;
}

ChannelGraph searchNvls(const Graph& graph, const Paths& paths, const HopLoads& hops, int nodes) {
  ChannelGraph g;
  g.pattern = Pattern::Nvls;
  g.nodes = nodes;
  const int n = hops.ranks();
  constexpr int kMaxHeads = 32;
  if (n < 2 || graph.nvswitches.empty() || graph.hostRanks) return g;
  double narrowest = 1e18;
  for (int r : graph.ranks) {
    if (graph.nodes[r].sm < 90) return g;
    const Path& up = paths.between(r, graph.nvswitches[0]);
    const Path& down = paths.between(graph.nvswitches[0], r);
    if (up.type > PathType::Nvl || down.type > PathType::Nvl) return g;
    narrowest = std::min({narrowest, up.gbps, down.gbps});
    if (up.gbps == narrowest && !up.links.empty()) g.bottleneck = up.links[0];
  }
  std::vector<double> netLoads(hops.capacities().size(), 0.0);
  if (nodes == 1) {
    for (int r = 0; r < std::min(n, kMaxHeads); ++r) g.orders.push_back({r});
  } else {
    // Stars run at one speed: those over narrow NICs are left out where the wide ones alone carry more.
    std::vector<std::pair<double, int>> nets;
    for (int net = 0; net < hops.nets(); ++net) {
      const int head = paths.localGpuOfNet()[static_cast<size_t>(net)];
      if (head < 0 || hops.inType(net, head) > PathType::Pxn) continue;
      const int nic = graph.nets[static_cast<size_t>(net)];
      nets.emplace_back(-std::min({paths.between(nic, graph.ranks[head]).gbps, graph.nodes[nic].netGbps,
                                   paths.between(graph.ranks[head], nic).gbps}),
                        net);
    }
    std::stable_sort(nets.begin(), nets.end());
    std::set<int> heads;
    size_t best = 0;
    for (auto [width, net] : nets) {
      const int head = paths.localGpuOfNet()[static_cast<size_t>(net)];
      if (g.channels() == kMaxHeads || !heads.insert(head).second) continue;
      g.orders.push_back({head});
      g.nets.push_back({net, net});
      addChannelLoads(hops, Pattern::Tree, g.orders.back(), g.nets.back(), 0, 1, netLoads);
      double speed = 1e18;
      for (size_t l = 0; l < netLoads.size(); ++l)
        if (netLoads[l] > 1e-9) speed = std::min(speed, hops.capacities()[l] / netLoads[l]);
      if (speed * static_cast<double>(g.orders.size()) < g.interGbps * static_cast<double>(best) * (1 + 1e-9))
        continue;
      best = g.orders.size();
      g.interGbps = speed;
    }
    if (g.orders.empty()) return g;
    g.orders.resize(best);
    g.nets.resize(best);
    std::vector<size_t> byNet(best);
    for (size_t c = 0; c < best; ++c) byNet[c] = c;
    std::sort(byNet.begin(), byNet.end(), [&](size_t a, size_t b) { return g.nets[a] < g.nets[b]; });
    ChannelGraph sorted = g;
    for (size_t c = 0; c < best; ++c) {
      g.orders[c] = sorted.orders[byNet[c]];
      g.nets[c] = sorted.nets[byNet[c]];
    }
  }
  // Every rank sends its part to the switch for each head, and the head takes one part more.
  g.intraGbps = narrowest / (g.channels() + 1);
  if (nodes == 1) g.interGbps = g.intraGbps;
  g.typeIntra = PathType::Nvl;
  return g;
}

}  // namespace

std::vector<ChannelGraph> searchChannels(const Graph& graph, const Paths& paths, const Settings& settings,
                                         int nodes) {
  std::vector<ChannelGraph> found;
  if (graph.ranks.empty()) return found;
  HopLoads hops(graph, paths, nodes > 1);
  if (nodes == 1 && hops.ranks() == 1) {
    ChannelGraph alone;
    alone.orders = {{0}};
    alone.intraGbps = alone.interGbps = kLocalGBps;
    found.push_back(alone);
    alone.pattern = Pattern::Tree;
    found.push_back(alone);
    return found;
  }
  Packed rings;
  for (Pattern pattern : {Pattern::Ring, Pattern::Tree}) {
    ChannelGraph g = searchOrders(graph, hops, settings, nodes, pattern, rings);
    if (!g.orders.empty()) found.push_back(std::move(g));
  }
  ChannelGraph nvls = searchNvls(graph, paths, hops, nodes);
  if (!nvls.orders.empty()) found.push_back(std::move(nvls));
  return found;
}

}  // namespace tutti::topology
