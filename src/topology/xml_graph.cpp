#include "topology/xml_graph.hpp"

#include <algorithm>

#include "topology/paths.hpp"

namespace tutti::topology {
namespace {

/// NCCL numbers devices by host in the top byte and writes them in hexadecimal.
int64_t deviceNumber(const Node& node) {
  return static_cast<int64_t>(node.host) << 56 | node.dev;
}

Result<ChannelGraph> readOne(const XmlElement& e, const Graph& graph, std::string_view file) {
  XmlReader reader(e, file);
  ChannelGraph g;
  TUTTI_ASSIGN(int64_t pattern, reader.integer("pattern", 1, 5));
  g.pattern = static_cast<Pattern>(pattern);
  TUTTI_ASSIGN(int64_t crossNic, reader.integer("crossnic", 0, 2));
  g.crossNic = static_cast<int>(crossNic);
  // How many channels there are is counted, as NCCL does; the attribute must only be a number.
  TUTTI_TRY(reader.integer("nchannels", 0, 1024));
  TUTTI_ASSIGN(g.intraGbps, reader.realOr("speedintra", 0, 0, 1e6));
  TUTTI_ASSIGN(g.interGbps, reader.realOr("speedinter", 0, 0, 1e6));
  TUTTI_ASSIGN(int64_t same, reader.integerOr("samechannels", 0, 0, 1));
  g.sameChannels = same != 0;
  for (auto [key, type] : {std::pair("typeintra", &g.typeIntra), std::pair("typeinter", &g.typeInter)}) {
    auto level = parseLevel(e.get(key, "SYS"));
    if (!level.ok()) return reader.error(fmt::format("{}: {}", key, level.error().message()));
    *type = *level;
  }
  for (const XmlElement& channel : e.children) {
    if (channel.name != "channel")
      return XmlReader(channel, file).error("only <channel> belongs into a <graph>");
    std::vector<int> order;
    std::vector<int> nets;
    std::vector<char> seen(graph.ranks.size(), 0);
    for (const XmlElement& step : channel.children) {
      XmlReader stepReader(step, file);
      TUTTI_ASSIGN(uint64_t dev, stepReader.hex("dev", 0));
      if (step.name == "net") {
        auto at = std::find_if(graph.nets.begin(), graph.nets.end(), [&](int n) {
          return deviceNumber(graph.nodes[n]) == static_cast<int64_t>(dev);
        });
        if (at == graph.nets.end())
          return stepReader.error(fmt::format("there is no NIC with dev {:x}", dev));
        nets.push_back(static_cast<int>(at - graph.nets.begin()));
      } else if (step.name == "gpu") {
        TUTTI_ASSIGN(int64_t rank, stepReader.integerOr("rank", -1, -1, 1 << 20));
        auto at = std::find_if(graph.ranks.begin(), graph.ranks.end(), [&](int n) {
          return rank >= 0 ? graph.nodes[n].rank == rank
                           : deviceNumber(graph.nodes[n]) == static_cast<int64_t>(dev);
        });
        if (at == graph.ranks.end()) return stepReader.error("there is no such GPU on this machine");
        int position = static_cast<int>(at - graph.ranks.begin());
        if (seen[position]) return stepReader.error("this GPU comes twice in its channel");
        seen[position] = 1;
        order.push_back(position);
      } else {
        return stepReader.error("only <gpu> and <net> belong into a <channel>");
      }
    }
    bool star = g.pattern == Pattern::Nvls;
    if (star ? order.size() != 1 : order.size() != graph.ranks.size())
      return XmlReader(channel, file)
          .error(fmt::format("{} of {} GPUs are in this channel", order.size(), graph.ranks.size()));
    if (nets.size() != 0 && nets.size() != 2)
      return XmlReader(channel, file).error("a channel has two <net> or none");
    if (nets.size() == 2) {
      g.nodes = 2;
      g.nets.push_back({nets[0], nets[1]});
    }
    g.orders.push_back(std::move(order));
  }
  if (!g.nets.empty() && g.nets.size() != g.orders.size())
    return reader.error("some channels have NICs and some have none");
  return g;
}

}  // namespace

Result<std::vector<ChannelGraph>> readGraphs(const XmlElement& root, const Graph& graph,
                                             std::string_view fileName) {
  if (root.name != "graphs") return XmlReader(root, fileName).error("a graph file starts with <graphs>");
  TUTTI_ASSIGN(int64_t version, XmlReader(root, fileName).integer("version", 1, 1));
  (void)version;
  std::vector<ChannelGraph> graphs;
  for (const XmlElement& c : root.children) {
    if (c.name != "graph") return XmlReader(c, fileName).error("only <graph> belongs into <graphs>");
    TUTTI_ASSIGN(ChannelGraph g, readOne(c, graph, fileName));
    graphs.push_back(std::move(g));
  }
  return graphs;
}

XmlElement graphsToXml(const std::vector<ChannelGraph>& graphs, const Graph& graph) {
  XmlElement root;
  root.name = "graphs";
  root.set("version", "1");
  for (const ChannelGraph& g : graphs) {
    if (g.pattern == Pattern::Forest) continue;
    XmlElement e;
    e.name = "graph";
    e.set("id", g.pattern == Pattern::Ring ? "0" : g.pattern == Pattern::Nvls ? "3" : "1");
    e.set("pattern", std::to_string(static_cast<int>(g.pattern)));
    e.set("crossnic", std::to_string(g.crossNic));
    e.set("nchannels", std::to_string(g.channels()));
    e.set("speedintra", fmt::format("{:g}", g.intraGbps));
    e.set("speedinter", fmt::format("{:g}", g.interGbps));
    e.set("latencyinter", "0");
    e.set("typeintra", std::string(nameOf(g.typeIntra)));
    e.set("typeinter", std::string(nameOf(g.typeInter)));
    e.set("samechannels", g.sameChannels ? "1" : "0");
    for (int c = 0; c < g.channels(); ++c) {
      XmlElement channel;
      channel.name = "channel";
      auto net = [&](int n) {
        XmlElement step;
        step.name = "net";
        step.set("dev", fmt::format("{:x}", deviceNumber(graph.nodes[graph.nets[n]])));
        channel.children.push_back(std::move(step));
      };
      bool nets = static_cast<int>(g.nets.size()) == g.channels() && g.nets[c].first >= 0;
      if (nets) net(g.nets[c].first);
      for (int r : g.orders[c]) {
        XmlElement step;
        step.name = "gpu";
        const Node& node = graph.nodes[graph.ranks[r]];
        step.set("dev",
                 fmt::format("{:x}", node.dev < 0 ? static_cast<int64_t>(node.rank) : deviceNumber(node)));
        step.set("rank", std::to_string(node.rank));
        channel.children.push_back(std::move(step));
      }
      if (nets) net(g.nets[c].second);
      e.children.push_back(std::move(channel));
    }
    root.children.push_back(std::move(e));
  }
  return root;
}

}  // namespace tutti::topology
