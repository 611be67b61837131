#include "topology/analysis.hpp"

#include <cmath>

#include "core/clock.hpp"
#include "topology/check.hpp"
#include "topology/forest.hpp"
#include "topology/links.hpp"
#include "topology/search.hpp"

namespace tutti::topology {
namespace {

double since(int64_t startNs) {
  return static_cast<double>(nowNs() - startNs) / 1e6;
}

void assumeNic(Graph& graph) {
  Node nic;
  nic.type = NodeType::Nic;
  nic.name = "NIC (assumed)";
  int nicNode = graph.addNode(std::move(nic));
  Node net;
  net.type = NodeType::Net;
  net.id = net.dev = 0;
  net.name = "net 0 (assumed)";
  net.netGbps = kNetDefaultGBps;
  int netNode = graph.addNode(std::move(net));
  if (!graph.cpus.empty()) graph.connectBoth(graph.cpus[0], nicNode, LinkType::Pci, kLocalGBps);
  graph.connectBoth(nicNode, netNode, LinkType::Net, kNetDefaultGBps);
  graph.warnings.push_back(
      "no NIC is known: one port of 10 Gb/s on the first NUMA node is assumed between machines");
  graph.index();
}

int powerOfTwo(double wanted, int most) {
  int n = 1;
  while (n < wanted - 1e-9 && 2 * n <= most) n *= 2;
  return n;
}

P2pChannels p2pChannels(const Graph& graph, const Paths& paths, const Settings& settings, int nodes,
                        int rings) {
  constexpr int kMost = 32;
  constexpr double kGBpsOfOneChannel = 12;  // what one channel feeds into a NIC
  P2pChannels p;
  p.all = powerOfTwo(std::max(2 * rings, settings.minChannels), std::min(kMost, settings.maxChannels));
  double local = kMost;
  for (int a : graph.ranks) {
    for (int b : graph.ranks) {
      if (a == b) continue;
      const Path& path = paths.between(a, b);
      const bool nvlink = path.type == PathType::Nvl && graph.nodes[a].type == NodeType::Gpu;
      local = std::min(
          local,
          nvlink ? 2 * std::max(1.0, std::floor(path.gbps / nvlinkGBps(graph.nodes[a].sm) + 1e-9)) : 2);
    }
  }
  p.perLocalPeer = powerOfTwo(local, p.all);
  if (nodes == 1) return p;
  double feeds = 0;
  for (size_t n = 0; n < graph.nets.size(); ++n) {
    const int beside = paths.localGpuOfNet()[n];
    if (beside >= 0)
      feeds = std::max(feeds, std::min(graph.nodes[graph.nets[n]].netGbps,
                                       paths.between(graph.ranks[beside], graph.nets[n]).gbps));
  }
  p.perNetPeer = settings.channelsPerNetPeer > 0
                     ? std::min(settings.channelsPerNetPeer, p.all)
                     : powerOfTwo(std::floor(feeds / kGBpsOfOneChannel + 1e-9), p.all);
  return p;
}

uint64_t mix(uint64_t h, uint64_t v) {
  return (h ^ v) * 0x100000001b3ull + (h >> 29);
}

uint64_t hashOf(const Graph& graph, const Analysis& a) {
  uint64_t h = mix(graph.hash(), static_cast<uint64_t>(a.nodes));
  h = mix(h, static_cast<uint64_t>(a.p2p.all) << 16 | static_cast<uint64_t>(a.p2p.perLocalPeer) << 8 |
                 static_cast<uint64_t>(a.p2p.perNetPeer));
  for (const ChannelGraph& g : a.graphs) {
    h = mix(h, static_cast<uint64_t>(g.pattern));
    h = mix(h, static_cast<uint64_t>(std::llround(g.totalGbps() * 1e3)));
    for (const auto& o : g.orders)
      for (int r : o) h = mix(h, static_cast<uint64_t>(r) + 2);
    for (auto [in, out] : g.nets)
      h = mix(h, static_cast<uint64_t>(in + 2) << 32 | static_cast<uint64_t>(out + 2));
  }
  return h;
}

}  // namespace

double Analysis::efficiency(const ChannelGraph& g, size_t ranks) const {
  double n = static_cast<double>(ranks) * nodes;
  switch (g.pattern) {
    case Pattern::Forest:
      return bounds.allGather > 0 ? g.totalGbps() / bounds.allGather : 0;
    // A ring brings a machine, or a rank, all shards but its own.
    case Pattern::Ring:
      return bounds.allGather > 0 && n > 1 ? g.totalGbps() * n / (n - 1) / bounds.allGather : 0;
    // Half of a tree channel's speed goes up, half down.
    default:
      return bounds.allReduce > 0 ? g.totalGbps() / 2 / bounds.allReduce : 0;
  }
}

Result<Analysis> analyse(Graph& graph, const Settings& settings, int nodes, bool prove) {
  Analysis a;
  a.nodes = nodes;
  if (nodes > 1 && graph.nets.empty()) assumeNic(graph);
  int64_t start = nowNs();
  a.paths = std::make_unique<Paths>(graph, settings);
  for (size_t i = 0; i < graph.nets.size(); ++i)
    graph.nodes[graph.nets[i]].localGpu = a.paths->localGpuOfNet()[i];
  a.pathsMs = since(start);
  start = nowNs();
  a.graphs = searchChannels(graph, *a.paths, settings, nodes);
  int rings = 1;
  for (const ChannelGraph& g : a.graphs)
    if (g.pattern == Pattern::Ring) rings = g.channels();
  a.p2p = p2pChannels(graph, *a.paths, settings, nodes, rings);
  if (static_cast<int>(graph.ranks.size()) * nodes > 1 && !graph.ranks.empty()) {
    Fabric fabric = fabricOf(graph, nodes);
    a.bounds = boundsOf(graph, fabric);
    ChannelGraph forest = searchForest(graph, fabric, a.bounds);
    if (!forest.trees.empty()) a.graphs.push_back(std::move(forest));
  }
  a.searchMs = since(start);
  if (prove) {
    std::erase_if(a.graphs, [&](const ChannelGraph& g) {
      Status proof = checkGraph(graph, *a.paths, g);
      if (!proof.ok()) a.refused.push_back(proof.error().message());
      return !proof.ok();
    });
  }
  a.hash = hashOf(graph, a);
  return a;
}

void useGraphs(Analysis& analysis, std::vector<ChannelGraph> given) {
  for (ChannelGraph& g : given) {
    std::erase_if(analysis.graphs,
                  [&](const ChannelGraph& found) { return nameOf(found.pattern) == nameOf(g.pattern); });
    analysis.graphs.push_back(std::move(g));
  }
}

}  // namespace tutti::topology
