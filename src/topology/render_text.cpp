#include <algorithm>
#include <map>

#include "topology/analysis.hpp"

namespace tutti::topology {
namespace {

std::string label(const Graph& g, int node) {
  const Node& n = g.nodes[node];
  if (n.type == NodeType::Gpu) return fmt::format("GPU{}", n.rank);
  if (n.type == NodeType::Core) return fmt::format("C{}", n.id);
  return n.name.substr(0, 9);
}

std::string orderText(const Graph& graph, const ChannelGraph& g, int c) {
  std::string text;
  bool nets = static_cast<int>(g.nets.size()) == g.channels() && g.nets[c].first >= 0;
  if (nets) text += fmt::format("N{} ", graph.nodes[graph.nets[g.nets[c].first]].dev);
  size_t shown = 0;
  for (int r : g.orders[c]) {
    if (++shown > 40) {
      text += fmt::format("… ({} ranks) ", g.orders[c].size());
      break;
    }
    text += fmt::format("{} ", graph.nodes[graph.ranks[r]].rank);
  }
  if (nets) text += fmt::format("N{}", graph.nodes[graph.nets[g.nets[c].second]].dev);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

void matrix(std::string& out, const Graph& graph, const Paths& paths) {
  constexpr size_t kMost = 24;
  std::vector<int> rows(graph.ranks.begin(),
                        graph.ranks.begin() + static_cast<ptrdiff_t>(std::min(graph.ranks.size(), kMost)));
  rows.insert(rows.end(), graph.nets.begin(),
              graph.nets.begin() + static_cast<ptrdiff_t>(std::min(graph.nets.size(), kMost)));
  if (rows.empty()) return;
  out += fmt::format("\n{:10}", "");
  for (int r : rows) out += fmt::format("{:>10}", label(graph, r));
  out += fmt::format("{:>10}\n", "NUMA");
  for (int a : rows) {
    out += fmt::format("{:10}", label(graph, a));
    for (int b : rows)
      out += fmt::format("{:>10}", a == b ? "X" : std::string(nameOf(paths.between(a, b).type)));
    int cpu = paths.localCpu(a);
    out += fmt::format("{:>10}\n", cpu < 0 ? "-" : std::to_string(graph.nodes[cpu].id));
  }
  if (graph.ranks.size() > kMost)
    out += fmt::format("(the first {} of {} ranks)\n", kMost, graph.ranks.size());
  out +=
      "X itself  LOC same device  NVL NVLink  NVB NVLink through a GPU  C2C chip to chip  PIX one PCIe "
      "switch or one L3\n"
      "PXB several PCIe switches  P2C C2C and PCIe  PXN through another GPU's NIC  PHB through the CPU  SYS "
      "between NUMA nodes\n";
}

}  // namespace

std::string renderText(const Graph& graph, const Analysis& a, double parseMs) {
  std::string out;
  std::map<std::string, int> kinds;
  for (int n : graph.ranks) {
    const Node& node = graph.nodes[n];
    ++kinds[node.type == NodeType::Core ? "core(s)"
            : node.sm > 0               ? fmt::format("GPU(s) sm{}", node.sm)
                                        : "GPU(s)"];
  }
  out += "Machine: ";
  for (const auto& [kind, count] : kinds) out += fmt::format("{} {}, ", count, kind);
  int l3 = static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                          [](const Node& n) { return n.type == NodeType::Cache; }));
  if (l3 > 0) out += fmt::format("{} L3 group(s), ", l3);
  out += fmt::format("{} NUMA node(s), {} NIC port(s){}; {} machine(s)\n", graph.cpus.size(),
                     graph.nets.size(), graph.nvswitches.empty() ? "" : ", NVSwitch", a.nodes);
  for (const std::string& line : graph.seen) out += "seen: " + line + "\n";
  for (int n : graph.nets) {
    const Node& net = graph.nodes[n];
    out += fmt::format(
        "  {} (N{}): {:.1f} GB/s{}{}{}\n", net.name, net.dev, net.netGbps, net.gdr ? ", GPUDirect" : "",
        net.rail >= 0 ? fmt::format(", rail {}", net.rail) : "",
        net.localGpu >= 0 ? fmt::format(", nearest to {}", graph.nodes[graph.ranks[net.localGpu]].name) : "");
  }
  matrix(out, graph, *a.paths);
  out += "\n";
  for (const ChannelGraph& g : a.graphs) {
    double share = a.efficiency(g, graph.ranks.size());
    if (g.pattern == Pattern::Forest) {
      int copies = 0;
      for (const ForestTree& t : g.trees) copies += t.copies;
      out += fmt::format(
          "forest  {} trees ({} different) {} {:.2f} GB/s = {:.1f} GB/s", copies, g.trees.size(),
          copies * g.intraGbps > g.totalGbps() * (1 + 1e-9) ? "of at most" : "×", g.intraGbps, g.totalGbps());
    } else {
      out += fmt::format("{:7} {} channels × {:.1f}{} GB/s = {:.1f} GB/s, {}/{}", nameOf(g.pattern),
                         g.channels(), g.intraGbps, a.nodes > 1 ? fmt::format("/{:.1f}", g.interGbps) : "",
                         g.totalGbps(), nameOf(g.typeIntra), nameOf(g.typeInter));
    }
    if (share > 0 && g.pattern != Pattern::Nvls) out += fmt::format(", {:.1f}% of the bound", 100 * share);
    if (g.bottleneck >= 0) out += fmt::format("; full: {}", graph.linkName(g.bottleneck));
    out += "\n";
    if (g.pattern == Pattern::Forest) continue;
    for (int c = 0; c < g.channels();) {
      int same = c + 1;
      std::string text = orderText(graph, g, c);
      while (same < g.channels() && orderText(graph, g, same) == text) ++same;
      out += fmt::format("  {:>2}{} : {}\n", c, same - c > 1 ? fmt::format("-{}", same - 1) : "", text);
      c = same;
    }
  }
  out += fmt::format("send/recv: {} channels, {} to a local peer{}\n", a.p2p.all, a.p2p.perLocalPeer,
                     a.nodes > 1 ? fmt::format(", {} to a peer over the network", a.p2p.perNetPeer) : "");
  if (a.bounds.allGather > 0) {
    out += fmt::format(
        "\nNo algorithm is faster than: AllGather {:.1f}, ReduceScatter {:.1f}, AllReduce {:.1f} GB/s of "
        "result (without reduction in switches)\n",
        a.bounds.allGather, a.bounds.reduceScatter, a.bounds.allReduce);
    out += fmt::format("  the tightest cut is {}\n", a.bounds.cut);
  }
  for (const Graph::CorePair& l : graph.coreLatencies)
    out += fmt::format("core {} to core {}: {:.0f} ns one way (measured)\n", graph.nodes[l.from].id,
                       graph.nodes[l.to].id, l.oneWayNs);
  for (const std::string& w : graph.warnings) out += "note: " + w + "\n";
  out += fmt::format("parse {:.2f} ms, paths {:.2f} ms, search {:.2f} ms; hash {:016x}\n", parseMs, a.pathsMs,
                     a.searchMs, a.hash);
  return out;
}

std::vector<std::string> debugLines(const Graph& graph, const Analysis& a) {
  std::vector<std::string> lines;
  double widest = 0;
  double total = 0;
  for (int from : graph.ranks) {
    double out = 0;
    for (int l : graph.nodes[from].out) out += graph.links[l].type == LinkType::Loc ? 0 : graph.links[l].gbps;
    total = std::max(total, out);
    for (int to : graph.ranks)
      if (from != to) widest = std::max(widest, a.paths->between(from, to).gbps);
  }
  lines.push_back(fmt::format("=== System : maxBw {:2.1f} totalBw {:2.1f} ===", widest, total));
  for (size_t n = 0; n < graph.nodes.size() && graph.nodes.size() < 256; ++n) {
    const Node& node = graph.nodes[n];
    std::string line = fmt::format("{}/{:x}-{:x}", nameOf(node.type), node.host, node.id);
    for (int l : node.out)
      line += fmt::format(" + {}[{:.1f}] - {}/{:x}-{:x}", nameOf(graph.links[l].type), graph.links[l].gbps,
                          nameOf(graph.nodes[graph.links[l].to].type), graph.nodes[graph.links[l].to].host,
                          graph.nodes[graph.links[l].to].id);
    lines.push_back(std::move(line));
  }
  lines.push_back("==========================================");
  for (const ChannelGraph& g : a.graphs) {
    if (g.pattern == Pattern::Forest) continue;
    lines.push_back(
        fmt::format("Pattern {}, crossNic {}, nChannels {}, bw {:f}/{:f}, type {}/{}, sameChannels {}",
                    static_cast<int>(g.pattern), g.crossNic, g.channels(), g.intraGbps, g.interGbps,
                    nameOf(g.typeIntra), nameOf(g.typeInter), g.sameChannels ? 1 : 0));
    for (int c = 0; c < g.channels(); ++c) {
      std::string line = fmt::format("{:2d} :", c);
      bool nets = static_cast<int>(g.nets.size()) == g.channels() && g.nets[c].first >= 0;
      auto net = [&](int n) {
        line +=
            fmt::format(" NET/{:x}-{:x}", graph.nodes[graph.nets[n]].host, graph.nodes[graph.nets[n]].dev);
      };
      if (nets) net(g.nets[c].first);
      for (int r : g.orders[c])
        line += fmt::format(" {}/{:x}-{:x}", nameOf(graph.nodes[graph.ranks[r]].type),
                            graph.nodes[graph.ranks[r]].host, graph.nodes[graph.ranks[r]].id);
      if (nets) net(g.nets[c].second);
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace tutti::topology
