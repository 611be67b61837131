#include "topology/graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "topology/links.hpp"

namespace tutti::topology {

std::string_view nameOf(NodeType type) {
  static constexpr std::array<std::string_view, 8> kNames = {"GPU", "PCI", "NVS",  "CPU",
                                                             "NIC", "NET", "CORE", "L3"};
  return kNames[static_cast<size_t>(type)];
}

std::string_view nameOf(LinkType type) {
  static constexpr std::array<std::string_view, 7> kNames = {"LOC", "NVL", "C2C", "PCI", "SYS", "NET", "MEM"};
  return kNames[static_cast<size_t>(type)];
}

std::string_view nameOf(PathType type) {
  static constexpr std::array<std::string_view, 12> kNames = {"LOC", "NVL", "NVB", "C2C", "PIX", "PXB",
                                                              "P2C", "PXN", "PHB", "SYS", "NET", "DIS"};
  return kNames[static_cast<size_t>(type)];
}

int Graph::addNode(Node node) {
  nodes.push_back(std::move(node));
  return static_cast<int>(nodes.size()) - 1;
}

int Graph::findLink(int from, int to, LinkType type) const {
  for (int l : nodes[from].out)
    if (links[l].to == to && links[l].type == type) return l;
  return -1;
}

void Graph::connect(int from, int to, LinkType type, double gbps) {
  int l = findLink(from, to, type);
  if (l < 0) {
    l = static_cast<int>(links.size());
    links.push_back({from, to, type, 0});
    nodes[from].out.push_back(l);
  }
  links[l].gbps += gbps;
  // Widest first, and among equals in the order of arrival: path search takes the first of equals.
  auto& out = nodes[from].out;
  size_t at = std::find(out.begin(), out.end(), l) - out.begin();
  while (at > 0 && links[out[at - 1]].gbps < links[l].gbps) {
    std::swap(out[at - 1], out[at]);
    --at;
  }
}

int Graph::reverseOf(int link) const {
  return findLink(links[link].to, links[link].from, links[link].type);
}

void Graph::index() {
  ranks.clear();
  nets.clear();
  cpus.clear();
  nvswitches.clear();
  hosts = 1;
  for (int n = 0; n < static_cast<int>(nodes.size()); ++n) {
    hosts = std::max(hosts, nodes[n].host + 1);
    if (nodes[n].rank >= 0) ranks.push_back(n);
    if (nodes[n].type == NodeType::Net) nets.push_back(n);
    if (nodes[n].type == NodeType::Cpu) cpus.push_back(n);
    if (nodes[n].type == NodeType::Nvs) nvswitches.push_back(n);
  }
  std::stable_sort(ranks.begin(), ranks.end(), [&](int a, int b) { return nodes[a].rank < nodes[b].rank; });
  std::stable_sort(nets.begin(), nets.end(), [&](int a, int b) {
    return std::pair(nodes[a].host, nodes[a].dev) < std::pair(nodes[b].host, nodes[b].dev);
  });
  hostRanks = !ranks.empty() && nodes[ranks[0]].type == NodeType::Core;
}

std::string Graph::linkName(int link) const {
  const Link& l = links[link];
  return fmt::format("{} → {} ({})", nodes[l.from].name, nodes[l.to].name, nameOf(l.type));
}

namespace {
class Fnv {
 public:
  void add(uint64_t value) {
    for (int i = 0; i < 8; ++i) {
      state_ = (state_ ^ (value & 0xff)) * 0x100000001b3ull;
      value >>= 8;
    }
  }
  void add(double value) { add(static_cast<uint64_t>(value * 1e6 + 0.5)); }
  void add(const std::string& text) {
    add(static_cast<uint64_t>(text.size()));
    for (char c : text) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xcbf29ce484222325ull;
};
}  // namespace

uint64_t Graph::hash() const {
  Fnv fnv;
  for (const Node& n : nodes) {
    for (int64_t v :
         {static_cast<int64_t>(n.type), static_cast<int64_t>(n.host), n.id, static_cast<int64_t>(n.rank),
          static_cast<int64_t>(n.dev), static_cast<int64_t>(n.sm), static_cast<int64_t>(n.gdr),
          static_cast<int64_t>(n.rail), static_cast<int64_t>(n.plane), static_cast<int64_t>(n.asic)})
      fnv.add(static_cast<uint64_t>(v));
    fnv.add(n.name);
  }
  for (const Link& l : links) {
    fnv.add(static_cast<uint64_t>(l.from));
    fnv.add(static_cast<uint64_t>(l.to));
    fnv.add(static_cast<uint64_t>(l.type));
    fnv.add(l.gbps);
  }
  return fnv.value();
}

double pcieGBps(std::string_view speed, int width) {
  // Kernels before 5.6 write "8 GT/s", later ones "8.0 GT/s PCIe"; hypervisors write nothing.
  struct Generation {
    std::string_view prefix;
    double perLane;  // GB/s
  };
  static constexpr Generation kGenerations[] = {{"2.5 GT/s", 0.1875}, {"5 GT/s", 0.375},  {"5.0 GT/s", 0.375},
                                                {"8 GT/s", 0.75},     {"8.0 GT/s", 0.75}, {"16 GT/s", 1.5},
                                                {"16.0 GT/s", 1.5},   {"32 GT/s", 3.0},   {"32.0 GT/s", 3.0},
                                                {"64 GT/s", 6.0},     {"64.0 GT/s", 6.0}};
  double perLane = 0.75;
  for (const Generation& g : kGenerations)
    if (speed.substr(0, g.prefix.size()) == g.prefix) perLane = g.perLane;
  return perLane * (width == 0 ? 16 : width);
}

}  // namespace tutti::topology
