#include "topology/paths.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <tuple>

#include "topology/links.hpp"

namespace tutti::topology {

Result<PathType> parseLevel(std::string_view text) {
  static constexpr PathType kOld[] = {PathType::Loc, PathType::Pix, PathType::Pxb,
                                      PathType::Phb, PathType::Sys, PathType::Sys};
  std::string upper;
  for (char c : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (int t = 0; t <= static_cast<int>(PathType::Sys); ++t)
    if (upper == nameOf(static_cast<PathType>(t))) return static_cast<PathType>(t);
  if (upper.size() == 1 && upper[0] >= '0' && upper[0] <= '9') return kOld[std::min(upper[0] - '0', 5)];
  return makeError(Code::InvalidArgument,
                   "\"{}\" is not a distance: LOC NVL NVB C2C PIX PXB P2C PXN PHB SYS, or 0 to 5", text);
}

namespace {
PathType merged(PathType a, PathType b) {
  PathType far = std::max(a, b);
  PathType near = std::min(a, b);
  return far == PathType::Phb && near == PathType::C2c ? PathType::P2c : far;
}

PathType typeOf(const Graph& g, const Link& link) {
  NodeType from = g.nodes[link.from].type;
  NodeType to = g.nodes[link.to].type;
  switch (link.type) {
    case LinkType::Loc:
      return PathType::Loc;
    case LinkType::Nvl:
      return PathType::Nvl;
    case LinkType::C2c:
      return PathType::C2c;
    case LinkType::Net:
      return PathType::Loc;  // NIC to its own port: no distance
    case LinkType::Sys:
      return PathType::Sys;
    case LinkType::Mem:
      return from == NodeType::Cpu || to == NodeType::Cpu ? PathType::Phb : PathType::Pix;
    case LinkType::Pci:
      break;
  }
  if (from == NodeType::Cpu || to == NodeType::Cpu) return PathType::Phb;
  return from == NodeType::Pci && to == NodeType::Pci ? PathType::Pxb : PathType::Pix;
}
}  // namespace

Paths::Paths(const Graph& graph, const Settings& settings) : graph_(graph), settings_(settings) {
  endpointOf_.assign(graph.nodes.size(), -1);
  for (const std::vector<int>* set : {&graph.ranks, &graph.nets, &graph.cpus, &graph.nvswitches}) {
    for (int n : *set) {
      endpointOf_[n] = static_cast<int>(endpoints_.size());
      endpoints_.push_back(n);
    }
  }
  paths_.resize(endpoints_.size() * endpoints_.size());
  for (int base : endpoints_) searchTo(base);
  chooseLocalGpus();
  if (!graph.hostRanks) {
    restrictPeerToPeer();
    restrictNics();
    chooseLocalGpus();
  }
}

// Label-correcting search from `base` outwards: each node keeps the best (type, width, hops) and the first
// link of its way.
void Paths::searchTo(int base) {
  struct Label {
    PathType type = PathType::Dis;
    double gbps = 0;
    int hops = 0;
    int first = -1;
  };
  std::vector<Label> labels(graph_.nodes.size());
  labels[base] = {PathType::Loc, kLocalGBps, 0, -1};
  std::vector<int> now = {base};
  std::vector<int> next;
  while (!now.empty()) {
    next.clear();
    for (int n : now) {
      const Label here = labels[n];
      for (int l : graph_.nodes[n].out) {
        const Link& link = graph_.links[l];
        const Node& there = graph_.nodes[link.to];
        // Through a GPU only from NVLink to NVLink, and through one only; GPUs that share a device count as
        // one.
        bool relay = graph_.nodes[n].type == NodeType::Gpu && n != base && here.type != PathType::Loc;
        if (relay && link.type != LinkType::Loc &&
            (!settings_.nvb || link.type != LinkType::Nvl || there.type != NodeType::Gpu || here.hops > 1))
          continue;
        PathType type = typeOf(graph_, link);
        if (relay && here.type == PathType::Nvl && type == PathType::Nvl && here.hops == 1)
          type = PathType::Nvb;
        type = std::max(type, here.type);
        double gbps = std::min(here.gbps, link.gbps);
        Label& label = labels[link.to];
        if (std::tuple(type, -gbps, here.hops + 1) >= std::tuple(label.type, -label.gbps, label.hops))
          continue;
        int back = graph_.reverseOf(l);
        if (back < 0) continue;
        label = {type, gbps, here.hops + 1, back};
        if (std::find(next.begin(), next.end(), link.to) == next.end()) next.push_back(link.to);
      }
    }
    std::swap(now, next);
  }
  for (int n : endpoints_) {
    if (labels[n].type == PathType::Dis) continue;
    Path& path = ref(n, base);
    path.type = labels[n].type;
    path.gbps = labels[n].gbps;
    path.links.reserve(static_cast<size_t>(labels[n].hops));
    for (int at = n; at != base && path.links.size() < graph_.nodes.size();
         at = graph_.links[labels[at].first].to)
      path.links.push_back(labels[at].first);
  }
}

void Paths::leadThrough(int via, int from, int to) {
  const Path& a = between(from, via);
  const Path& b = between(via, to);
  if (a.type == PathType::Dis || b.type == PathType::Dis) return;
  Path path;
  path.links = a.links;
  path.links.insert(path.links.end(), b.links.begin(), b.links.end());
  path.type = graph_.nodes[via].type == NodeType::Gpu ? PathType::Pxn : merged(a.type, b.type);
  path.gbps = std::min(a.gbps, b.gbps);
  ref(from, to) = std::move(path);
}

int Paths::localCpu(int node) const {
  int best = -1;
  for (int c : graph_.cpus) {
    const Path& p = between(node, c);
    if (p.type == PathType::Dis) continue;
    if (best < 0) {
      best = c;
      continue;
    }
    const Path& q = between(node, best);
    if (std::tuple(p.type, -p.gbps, p.links.size()) < std::tuple(q.type, -q.gbps, q.links.size())) best = c;
  }
  return best;
}

void Paths::restrictPeerToPeer() {
  PathType level = PathType::Pxb;
  if (!graph_.cpus.empty()) {
    const Node& cpu = graph_.nodes[graph_.cpus[0]];
    if (cpu.arch == CpuArch::X86 && cpu.vendor == CpuVendor::Amd && graph_.ranks.size() <= 2)
      level = PathType::Sys;
  }
  if (settings_.p2pLevel != PathType::Dis) level = settings_.p2pLevel;
  for (int g : graph_.ranks) {
    int cpu = localCpu(g);
    if (cpu < 0) continue;
    for (int p : graph_.ranks)
      if (p != g && between(p, g).type > level) leadThrough(cpu, p, g);
  }
}

bool Paths::gdrAllowed(int rankNode, int netNode, bool read) const {
  const Node& gpu = graph_.nodes[rankNode];
  if (!gpu.gdr || !graph_.nodes[netNode].gdr) return false;
  if (read && gpu.sm < 80) {
    // Before Ampere a NIC's reads disturb other PCIe traffic, which there is unless GPUs talk over NVLink.
    bool nvlink = graph_.ranks.size() == 1;
    for (int p : graph_.ranks)
      if (p != rankNode && between(rankNode, p).type == PathType::Nvl) nvlink = true;
    if (!nvlink) return false;
  }
  PathType level = settings_.gdrLevel == PathType::Dis ? PathType::P2c : settings_.gdrLevel;
  PathType distance = between(rankNode, netNode).type;
  if (distance == PathType::Pxn) {
    for (int l : between(rankNode, netNode).links) {
      int n = graph_.links[l].to;
      if (graph_.nodes[n].type == NodeType::Gpu) {
        distance = between(n, netNode).type;
        break;
      }
    }
  }
  return distance <= level;
}

void Paths::restrictNics() {
  for (int g : graph_.ranks) {
    int cpu = localCpu(g);
    if (cpu < 0) continue;
    // GPU to CPU over C2C, CPU to NIC over PCIe: nearer than a host bridge, for the nearest NICs only.
    std::tuple<PathType, double> nearest{PathType::Dis, 0};
    for (int n : graph_.nets) {
      const Path& p = between(g, n);
      nearest = std::min(nearest, std::tuple(p.type, -p.gbps));
    }
    for (int n : graph_.nets) {
      Path& p = ref(g, n);
      if (std::tuple(p.type, -p.gbps) != nearest) continue;
      if (merged(between(g, cpu).type, between(n, cpu).type) != PathType::P2c) continue;
      p.type = std::min(PathType::P2c, p.type);
      ref(n, g).type = std::min(PathType::P2c, between(n, g).type);
    }
  }
  for (size_t i = 0; i < graph_.nets.size(); ++i) {
    int n = graph_.nets[i];
    for (size_t r = 0; r < graph_.ranks.size(); ++r) {
      int g = graph_.ranks[r];
      int relay = localGpu_[i];
      if (settings_.pxn && relay >= 0 && relay != static_cast<int>(r)) {
        int peer = graph_.ranks[static_cast<size_t>(relay)];
        const Path& mine = between(g, n);
        if (between(peer, n).type <= PathType::P2c && gdrAllowed(peer, n, true) &&
            between(peer, g).type <= PathType::Nvl && graph_.nodes[peer].host == graph_.nodes[g].host &&
            (between(peer, n).gbps > mine.gbps || mine.type > PathType::Pxn))
          leadThrough(peer, g, n);
      }
      if (between(g, n).type < PathType::Phb && !gdrAllowed(g, n, false)) {
        int cpu = localCpu(g);
        if (cpu < 0) continue;
        leadThrough(cpu, n, g);
        leadThrough(cpu, g, n);
      }
    }
  }
}

void Paths::chooseLocalGpus() {
  localGpu_.assign(graph_.nets.size(), -1);
  std::map<std::vector<int>, size_t> served;  // equally near GPUs take the NICs in turn
  for (size_t i = 0; i < graph_.nets.size(); ++i) {
    std::tuple<PathType, double> best{PathType::Dis, 0};
    std::vector<int> nearest;
    for (size_t r = 0; r < graph_.ranks.size(); ++r) {
      const Path& p = between(graph_.nets[i], graph_.ranks[r]);
      std::tuple<PathType, double> key{p.type, -p.gbps};
      if (p.type == PathType::Dis || key > best) continue;
      if (key < best) nearest.clear();
      best = key;
      nearest.push_back(static_cast<int>(r));
    }
    if (nearest.empty()) continue;
    size_t& turn = served[nearest];
    localGpu_[i] = nearest[turn++ % nearest.size()];
  }
}

std::vector<LinkLoad> Paths::loads(int fromNode, int toNode) const {
  std::vector<LinkLoad> loads;
  appendLoads(fromNode, toNode, loads);
  return loads;
}

void Paths::appendLoads(int fromNode, int toNode, std::vector<LinkLoad>& loads) const {
  const Path& path = between(fromNode, toNode);
  bool fromGpu = graph_.nodes[fromNode].type == NodeType::Gpu;
  double pci = 1.0;
  if (path.type == PathType::Phb && fromGpu)
    for (int l : path.links) {
      const Node& n = graph_.nodes[graph_.links[l].to];
      if (n.type == NodeType::Cpu && n.arch == CpuArch::X86 && n.vendor == CpuVendor::Intel)
        pci = kIntelP2pOverhead;
    }
  for (int l : path.links) {
    const Link& link = graph_.links[l];
    const Node& to = graph_.nodes[link.to];
    double factor = link.type == LinkType::Pci ? pci : 1.0;
    double back = 0;
    if (to.type == NodeType::Gpu && to.sm < 80 && !fromGpu && !graph_.hostRanks && link.type != LinkType::Loc)
      back += factor * kOldGpuReadBack;
    if (to.type == NodeType::Cpu && to.arch == CpuArch::Power && link.type == LinkType::Nvl) back += factor;
    loads.push_back({l, factor});
    if (back > 0) loads.push_back({graph_.reverseOf(l), back});
  }
}

}  // namespace tutti::topology
