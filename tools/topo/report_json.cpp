#include "topo/report_json.hpp"

#include <nlohmann/json.hpp>

namespace tutti::tools {
namespace {

using nlohmann::ordered_json;
using topology::ChannelGraph;
using topology::ForestTree;
using topology::Graph;
using topology::Pattern;

int rankOf(const Graph& graph, int position) {
  return position < 0 ? -1 : graph.nodes[graph.ranks[position]].rank;
}

ordered_json graphJson(const Graph& graph, const topology::Analysis& a, const ChannelGraph& g) {
  ordered_json j;
  j["pattern"] = topology::nameOf(g.pattern);
  j["nodes"] = g.nodes;
  int channels = g.channels();
  if (g.pattern == Pattern::Forest) {
    channels = 0;
    for (const ForestTree& t : g.trees) channels += t.copies;
  }
  j["channels"] = channels;
  j["intra_gbps"] = g.intraGbps;
  j["inter_gbps"] = g.interGbps;
  j["total_gbps"] = g.totalGbps();
  if (g.pattern != Pattern::Nvls) j["of_bound"] = a.efficiency(g, graph.ranks.size());
  if (g.pattern != Pattern::Forest) {
    j["type_intra"] = topology::nameOf(g.typeIntra);
    if (g.nodes > 1) j["type_inter"] = topology::nameOf(g.typeInter);
    j["nccl_pattern"] = static_cast<int>(g.pattern);
    j["cross_nic"] = g.crossNic;
  }
  if (g.bottleneck >= 0) j["bottleneck"] = graph.linkName(g.bottleneck);
  j["orders"] = ordered_json::array();
  for (const auto& order : g.orders) {
    ordered_json ranks = ordered_json::array();
    for (int r : order)
      if (r >= 0) ranks.push_back(rankOf(graph, r));
    j["orders"].push_back(std::move(ranks));
  }
  if (g.nodes > 1 && !g.nets.empty()) {
    j["nets"] = ordered_json::array();
    for (auto [in, out] : g.nets)
      j["nets"].push_back({graph.nodes[graph.nets[in]].dev, graph.nodes[graph.nets[out]].dev});
  }
  if (!g.trees.empty()) {
    j["trees"] = ordered_json::array();
    for (const ForestTree& t : g.trees) {
      ordered_json tree;
      tree["root"] = rankOf(graph, t.root);  // -1: the other machines
      tree["gbps"] = t.gbps;
      tree["copies"] = t.copies;
      tree["edges"] = ordered_json::array();
      for (const ForestTree::Edge& e : t.edges)
        tree["edges"].push_back({rankOf(graph, e.from), rankOf(graph, e.to)});
      j["trees"].push_back(std::move(tree));
    }
  }
  return j;
}

}  // namespace

std::string reportJson(const Graph& graph, const topology::Analysis& a, double parseMs) {
  ordered_json j;
  j["machine"] = {{"ranks", graph.ranks.size()},
                  {"numa_nodes", graph.cpus.size()},
                  {"nics", graph.nets.size()},
                  {"nvswitch", !graph.nvswitches.empty()},
                  {"ranks_on", graph.hostRanks ? "cores" : "gpus"},
                  {"nodes", a.nodes}};
  j["graphs"] = ordered_json::array();
  for (const ChannelGraph& g : a.graphs) j["graphs"].push_back(graphJson(graph, a, g));
  j["bounds"] = {{"allgather_gbps", a.bounds.allGather},
                 {"reducescatter_gbps", a.bounds.reduceScatter},
                 {"allreduce_gbps", a.bounds.allReduce},
                 {"cut", a.bounds.cut}};
  j["p2p_channels"] = {
      {"all", a.p2p.all}, {"per_local_peer", a.p2p.perLocalPeer}, {"per_net_peer", a.p2p.perNetPeer}};
  j["times_ms"] = {{"parse", parseMs}, {"paths", a.pathsMs}, {"search", a.searchMs}};
  if (!graph.coreLatencies.empty()) {
    j["core_latency_ns"] = ordered_json::array();
    for (const Graph::CorePair& l : graph.coreLatencies)
      j["core_latency_ns"].push_back({graph.nodes[l.from].id, graph.nodes[l.to].id, l.oneWayNs});
  }
  j["seen"] = graph.seen;
  j["warnings"] = graph.warnings;
  ordered_json paths;
  paths["devices"] = ordered_json::array();
  paths["types"] = ordered_json::array();
  paths["gbps"] = ordered_json::array();
  std::vector<int> devices(graph.ranks);
  devices.insert(devices.end(), graph.nets.begin(), graph.nets.end());
  if (devices.size() <= 256) {  // the matrix of a large machine is of no use to anyone
    for (int d : devices) {
      paths["devices"].push_back(graph.nodes[d].name);
      ordered_json types = ordered_json::array();
      ordered_json speeds = ordered_json::array();
      for (int e : devices) {
        types.push_back(topology::nameOf(a.paths->between(d, e).type));
        speeds.push_back(a.paths->between(d, e).gbps);
      }
      paths["types"].push_back(std::move(types));
      paths["gbps"].push_back(std::move(speeds));
    }
  }
  j["paths"] = std::move(paths);
  j["hash"] = fmt::format("{:016x}", a.hash);
  return j.dump(1, ' ', false,
                nlohmann::json::error_handler_t::replace);  // names are as the file spells them
}

}  // namespace tutti::tools
