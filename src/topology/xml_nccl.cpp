#include "topology/xml_nccl.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "topology/links.hpp"
#include "topology/xml_hwloc.hpp"

namespace tutti::topology {

Result<int64_t> parseBusId(std::string_view text) {
  int64_t id = 0;
  int digits = 0;
  for (char c : text) {
    if (c == ':' || c == '.' || c == '-') continue;
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (value < 0 || ++digits > 15)
      return makeError(Code::InvalidArgument, "\"{}\" is not a PCI bus id such as 0000:16:00.0", text);
    id = id << 4 | value;
  }
  if (digits == 0) return makeError(Code::InvalidArgument, "the PCI bus id is empty");
  return id;
}

namespace {

constexpr int kMaxPciDepth = 16;
constexpr int kMaxRank = 1 << 20;

/// Broadcom (PLX) switches show themselves as two levels although all ports reach full width; such pairs
/// count as one switch. Returns the generation, 0 for other devices.
int flattenedSwitchGeneration(uint64_t device, uint64_t level) {
  uint64_t family = device & 0xfffffffffffff000ull;
  if (family == 0x1000c0101000a000ull) return 4;
  if (family == (0x1000c03010000000ull | level * 0x1000)) return 5;
  return 0;
}

bool startsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

class Builder {
 public:
  explicit Builder(std::string_view file) : file_(file) {}

  Result<Graph> build(const XmlElement& root) {
    if (root.name != "system")
      return XmlReader(root, file_)
          .error("a topology file starts with <system>, or with <topology> when hwloc wrote it");
    TUTTI_ASSIGN(int64_t version, XmlReader(root, file_).integerOr("version", 1, 0, 1000));
    // 2 is RCCL's: the same with <xgmi> for <nvlink>.
    if (version != 1 && version != 2)
      return XmlReader(root, file_).error(fmt::format("version {} is not known, only 1 and 2", version));
    bare_ = !anyGpuHasRank(root);
    for (const XmlElement& c : root.children) {
      if (c.name == "cpu")
        TUTTI_TRY(addCpu(c));
      else
        unknown(c);
    }
    if (graph_.nodes.empty()) return XmlReader(root, file_).error("no <cpu> inside: nothing to plan for");
    TUTTI_TRY(addDeferred());
    connectCpus();
    return finish();
  }

 private:
  struct Deferred {
    const XmlElement* element;
    int node;  // GPU for nvlink, xgmi and c2c, PCI switch for pcilink
    int cpu;
    int host;
    double gbps = 0;  // of one link
  };

  static bool anyGpuHasRank(const XmlElement& e) {
    if (e.name == "gpu" && e.find("rank")) return true;
    return std::any_of(e.children.begin(), e.children.end(),
                       [](const XmlElement& c) { return anyGpuHasRank(c); });
  }

  void unknown(const XmlElement& e) {
    if (unknownTags_.insert(e.name).second)
      graph_.warnings.push_back(
          fmt::format("{}:{}: <{}> is not known: kept, not used", file_, e.line, e.name));
  }
  void warn(const XmlElement& e, const std::string& what) {
    graph_.warnings.push_back(fmt::format("{}:{}: {}", file_, e.line, what));
  }

  Status addCpu(const XmlElement& e) {
    XmlReader reader(e, file_);
    Node cpu;
    cpu.type = NodeType::Cpu;
    TUTTI_ASSIGN(cpu.id, reader.integer("numaid", -1, 1 << 20));
    TUTTI_ASSIGN(uint64_t hostHash, reader.hex("host_hash", 0));
    cpu.host = hostOf_.try_emplace(hostHash, static_cast<int>(hostOf_.size())).first->second;
    if (!seenCpus_.insert({cpu.host, cpu.id}).second)
      return reader.error(fmt::format("numaid {} appears twice", cpu.id));
    cpu.name = fmt::format("NUMA {}", cpu.id);
    cpu.affinity = e.get("affinity");
    std::string_view arch = e.get("arch");
    cpu.arch = arch == "x86_64"                       ? CpuArch::X86
               : arch == "arm64" || arch == "aarch64" ? CpuArch::Arm
               : arch == "ppc64"                      ? CpuArch::Power
                                                      : CpuArch::Unknown;
    if (cpu.arch == CpuArch::Unknown)
      warn(e, fmt::format("NUMA {}: arch \"{}\" is not known: 6 GB/s between its sockets is assumed", cpu.id,
                          arch));
    std::string_view vendor = e.get("vendor");
    cpu.vendor = vendor == "GenuineIntel"                               ? CpuVendor::Intel
                 : vendor == "AuthenticAMD" || vendor == "HygonGenuine" ? CpuVendor::Amd
                 : vendor == "CentaurHauls" || vendor == "  Shanghai  " ? CpuVendor::Zhaoxin
                                                                        : CpuVendor::Unknown;
    TUTTI_ASSIGN(int64_t family, reader.integerOr("familyid", 0, 0, 1 << 16));
    TUTTI_ASSIGN(int64_t model, reader.integerOr("modelid", 0, 0, 1 << 16));
    cpu.family = static_cast<int>(family);
    cpu.model = static_cast<int>(model);
    int host = cpu.host;
    int node = graph_.addNode(std::move(cpu));
    int bareNic = -1;
    for (const XmlElement& c : e.children) {
      if (c.name == "pci") {
        TUTTI_TRY(addPci(c, node, node, host, 0, 0));
      } else if (c.name == "nic") {
        if (bareNic < 0) {
          Node nic;
          nic.type = NodeType::Nic;
          nic.host = host;
          nic.name = fmt::format("NIC of NUMA {}", graph_.nodes[node].id);
          bareNic = graph_.addNode(std::move(nic));
          graph_.connectBoth(node, bareNic, LinkType::Pci, kLocalGBps);
        }
        TUTTI_TRY(addNic(c, bareNic, host));
      } else if (c.name == "l3") {
        TUTTI_TRY(addL3(c, node, host));
      } else {
        unknown(c);
      }
    }
    return {};
  }

  Status addL3(const XmlElement& e, int cpu, int host) {
    XmlReader reader(e, file_);
    Node cache;
    cache.type = NodeType::Cache;
    cache.host = host;
    TUTTI_ASSIGN(cache.id, reader.integer("id", 0, 1 << 20));
    cache.name = fmt::format("L3 {}", cache.id);
    int node = graph_.addNode(std::move(cache));
    graph_.connectBoth(cpu, node, LinkType::Mem, kL3ToNumaGBps);
    for (const XmlElement& c : e.children) {
      if (c.name != "core") {
        unknown(c);
        continue;
      }
      XmlReader coreReader(c, file_);
      Node core;
      core.type = NodeType::Core;
      core.host = host;
      TUTTI_ASSIGN(core.id, coreReader.integer("cpu", 0, 1 << 20));
      if (!seenCores_.insert({host, core.id}).second)
        return coreReader.error(fmt::format("cpu {} appears twice", core.id));
      TUTTI_ASSIGN(int64_t rank, coreReader.integerOr("rank", -1, -1, kMaxRank));
      core.rank = static_cast<int>(rank);
      if (rank >= 0 && !seenRanks_.insert(core.rank).second)
        return coreReader.error(fmt::format("rank {} appears twice", rank));
      core.name = fmt::format("core {}", core.id);
      int coreNode = graph_.addNode(std::move(core));
      graph_.connectBoth(node, coreNode, LinkType::Mem, kCoreToL3GBps);
    }
    return {};
  }

  Result<uint64_t> deviceOf(const XmlReader& reader) {
    uint64_t device = 0;
    for (std::string_view key : {"vendor", "device", "subsystem_vendor", "subsystem_device"}) {
      TUTTI_ASSIGN(uint64_t part, reader.hex(key, 0));
      if (part > 0xffff) return reader.error(fmt::format("{} is wider than 16 bits", key));
      device = device << 16 | part;
    }
    return device;
  }

  Status addPci(const XmlElement& e, int parent, int cpu, int host, int parentGeneration, int depth) {
    XmlReader reader(e, file_);
    if (depth >= kMaxPciDepth)
      return reader.error(fmt::format("PCI devices are nested more than {} deep", kMaxPciDepth));
    TUTTI_ASSIGN(std::string busText, reader.text("busid"));
    auto bus = parseBusId(busText);
    if (!bus.ok()) return reader.error(bus.error().message());
    std::string_view cls = e.get("class");
    if (cls.empty() && e.children.empty()) {
      warn(e, fmt::format("{} has no class: what it is is not known until it is probed, it is not used",
                          busText));
      return {};
    }
    std::string_view widthText = e.get("link_width");
    int64_t width = 0;
    if (!widthText.empty()) {
      TUTTI_ASSIGN(width, reader.integer("link_width", 0, 64));
    }
    double gbps = pcieGBps(e.get("link_speed"), static_cast<int>(width));
    TUTTI_ASSIGN(uint64_t device, deviceOf(reader));

    const XmlElement* gpuElement = e.child("gpu");
    const XmlElement* nicElement = e.child("nic");
    const bool isGpu = gpuElement || (startsWith(cls, "0x03") && !nicElement);
    if (!seenBuses_.insert({host, *bus}).second) {
      // Links name GPUs by bus id, so those must differ. Of switches and NICs, files of real machines have
      // such.
      const auto taken = busNodes_.find({host, *bus});
      if (isGpu || (taken != busNodes_.end() && graph_.nodes[taken->second].type == NodeType::Gpu))
        return reader.error(fmt::format("bus id {} appears twice", busText));
      warn(e, fmt::format("bus id {} appears twice: taken for two devices", busText));
    }
    if (isGpu) return addGpus(e, *bus, device, gbps, parent, cpu, host);
    if (nicElement || startsWith(cls, "0x02")) return addPciNic(e, nicElement, *bus, gbps, parent, host);
    if (startsWith(cls, "0x068000")) return {};  // an NVSwitch's own PCI entry; its NVLinks hang on the GPUs

    int generation = flattenedSwitchGeneration(device, 0);
    int node = parent;
    int childGeneration = 0;
    if (parentGeneration == 0 || flattenedSwitchGeneration(device, 1) != parentGeneration) {
      Node pci;
      pci.type = NodeType::Pci;
      pci.host = host;
      pci.id = *bus;
      pci.name = "PCI " + busText;
      pci.device = device;
      node = graph_.addNode(std::move(pci));
      childGeneration = generation;
      graph_.connectBoth(node, parent, LinkType::Pci, gbps);
    }
    busNodes_[{host, *bus}] = node;
    for (const XmlElement& c : e.children) {
      if (c.name == "pci")
        TUTTI_TRY(addPci(c, node, cpu, host, childGeneration, depth + 1));
      else if (c.name == "pcilink")
        pciLinks_.push_back({&c, node, cpu, host});
      else
        unknown(c);
    }
    return {};
  }

  Status addGpus(const XmlElement& e, int64_t bus, uint64_t device, double gbps, int parent, int cpu,
                 int host) {
    int first = -1;
    auto add = [&](Node gpu) {
      gpu.type = NodeType::Gpu;
      gpu.host = host;
      gpu.id = bus;
      gpu.device = device;
      int node = graph_.addNode(std::move(gpu));
      if (first < 0) {
        first = node;
        busNodes_[{host, bus}] = node;
        graph_.connectBoth(node, parent, LinkType::Pci, gbps);
      } else {
        graph_.connectBoth(first, node, LinkType::Loc, kLocalGBps);
      }
      return node;
    };
    const XmlElement* linksOf = nullptr;
    for (const XmlElement& c : e.children) {
      if (c.name != "gpu") {
        unknown(c);
        continue;
      }
      XmlReader reader(c, file_);
      Node gpu;
      TUTTI_ASSIGN(int64_t dev, reader.integerOr("dev", -1, -1, 1 << 20));
      TUTTI_ASSIGN(int64_t sm, reader.integerOr("sm", 0, 0, 1000));
      TUTTI_ASSIGN(int64_t gdr, reader.integerOr("gdr", 0, 0, 1));
      TUTTI_ASSIGN(int64_t rank, reader.integerOr("rank", -1, -1, kMaxRank));
      if (rank < 0 && !bare_) {
        warn(c, fmt::format("GPU {} has no rank: it is not visible to this job and is left out",
                            e.get("busid")));
        continue;
      }
      if (rank < 0) rank = nextBareRank_++;
      if (!seenRanks_.insert(static_cast<int>(rank)).second)
        return reader.error(fmt::format("rank {} appears twice", rank));
      gpu.rank = static_cast<int>(rank);
      gpu.dev = static_cast<int>(dev < 0 ? rank : dev);
      gpu.sm = static_cast<int>(sm);
      gpu.gdr = gdr != 0;
      gpu.name = fmt::format("GPU {}", rank);
      if (sm == 0 && c.child("nvlink") != nullptr)
        warn(c, fmt::format("GPU {} has no sm: NVLinks count as {} GB/s each", rank, nvlinkGBps(0)));
      int node = add(std::move(gpu));
      if (linksOf) continue;  // GPUs that share a device share its NVLinks, which the first one lists
      linksOf = &c;
      for (const XmlElement& l : c.children) {
        if (l.name == "nvlink" || l.name == "c2c")
          gpuLinks_.push_back({&l, node, cpu, host, nvlinkGBps(static_cast<int>(sm))});
        else if (l.name == "xgmi")
          gpuLinks_.push_back({&l, node, cpu, host, xgmiGBps(c.get("gcn"))});
        else
          unknown(l);
      }
    }
    if (!e.child("gpu") && bare_) {
      Node gpu;
      gpu.rank = nextBareRank_++;
      gpu.dev = gpu.rank;
      gpu.name = fmt::format("GPU {}", gpu.rank);
      seenRanks_.insert(gpu.rank);
      warn(e,
           fmt::format(
               "GPU {} is a bare <pci>: rank {} by order of the file, no NVLinks and no GPUDirect are known",
               e.get("busid"), gpu.rank));
      add(std::move(gpu));
    }
    return {};
  }

  Status addPciNic(const XmlElement& e, const XmlElement* nicElement, int64_t bus, double gbps, int parent,
                   int host) {
    Node nic;
    nic.type = NodeType::Nic;
    nic.host = host;
    nic.id = bus;
    nic.name = fmt::format("NIC {}", e.get("busid"));
    int node = graph_.addNode(std::move(nic));
    graph_.connectBoth(node, parent, LinkType::Pci, gbps);
    for (const XmlElement& c : e.children) {
      if (c.name == "nic")
        TUTTI_TRY(addNic(c, node, host));
      else
        unknown(c);
    }
    if (!nicElement) {
      if (bare_)
        bareNics_.push_back({&e, node, -1, host});
      else
        warn(e, fmt::format("NIC {} is a bare <pci>: its ports and speed are not known, it is not used",
                            e.get("busid")));
    }
    return {};
  }

  Status addNic(const XmlElement& e, int nic, int host) {
    for (const XmlElement& c : e.children) {
      if (c.name != "net") {
        unknown(c);
        continue;
      }
      XmlReader reader(c, file_);
      if (!c.find("dev")) continue;  // seen on the machine, not offered by the network plugin
      TUTTI_ASSIGN(int64_t isNet, reader.integerOr("net", 1, 0, 1));
      if (isNet == 0) continue;
      Node net;
      net.type = NodeType::Net;
      net.host = host;
      TUTTI_ASSIGN(net.id, reader.integer("dev", 0, 1 << 20));
      net.dev = static_cast<int>(net.id);
      net.name = c.get("name");
      if (net.name.empty()) net.name = fmt::format("net {}", net.id);
      TUTTI_ASSIGN(int64_t mbps, reader.integerOr("speed", 0, -1, 1'000'000'000));
      if (mbps <= 0) warn(c, fmt::format("{} reports no speed: 10 Gb/s is assumed", net.name));
      net.netGbps = mbps <= 0 ? kNetDefaultGBps : static_cast<double>(mbps) / 8000.0;
      TUTTI_ASSIGN(int64_t port, reader.integerOr("port", 0, -1, 65535));
      TUTTI_ASSIGN(net.latencyUs, reader.realOr("latency", 0, 0, 1e9));
      TUTTI_ASSIGN(int64_t gdr, reader.integerOr("gdr", 0, 0, 1));
      TUTTI_ASSIGN(net.asic, reader.hex("guid", static_cast<uint64_t>(net.id) | 1ull << 62));
      auto [other, isNew] = seenNets_.try_emplace({host, net.id}, net.name, net.asic);
      if (!isNew) {
        if (other->second.first == net.name || other->second.second == net.asic)
          return reader.error(fmt::format("net dev {} appears twice", net.id));
        warn(c, fmt::format("net dev {} appears twice, as {} and as {}: the latter gets a number of its own",
                            net.id, other->second.first, net.name));
        renumber_.push_back(static_cast<int>(graph_.nodes.size()));
      }
      TUTTI_ASSIGN(int64_t rail, reader.integerOr("rail", -1, -1, 1 << 20));
      TUTTI_ASSIGN(int64_t plane, reader.integerOr("plane", -1, -1, 1 << 20));
      net.port = static_cast<int>(port);
      net.gdr = gdr != 0;
      net.rail = static_cast<int>(rail);
      net.plane = static_cast<int>(plane);
      double gbps = net.netGbps;
      int node = graph_.addNode(std::move(net));
      graph_.connectBoth(nic, node, LinkType::Net, gbps);
    }
    return {};
  }

  Status addDeferred() {
    int nvswitch = -1;
    for (const Deferred& d : gpuLinks_) {
      XmlReader reader(*d.element, file_);
      if (d.element->name == "c2c") {
        TUTTI_ASSIGN(int64_t count, reader.integer("count", 1, 1000));
        TUTTI_ASSIGN(int64_t mbps, reader.integer("bw", 0, 10'000'000));
        graph_.connectBoth(d.node, d.cpu, LinkType::C2c, static_cast<double>(count * mbps) / 1000.0);
        continue;
      }
      TUTTI_ASSIGN(int64_t count, reader.integer("count", 1, 1000));
      std::string cls(d.element->get("tclass"));
      if (cls.empty()) {
        auto target = parseBusId(d.element->get("target"));
        cls = target.ok() && busNodes_.contains({d.host, *target}) ? "0x03" : "0x068000";
        warn(*d.element, fmt::format("NVLink without tclass: taken to lead to {}",
                                     cls == "0x03" ? "the GPU of that bus id" : "an NVSwitch"));
      }
      double gbps = static_cast<double>(count) * d.gbps;
      // 0x03: display, 0x12: processing accelerator; what AMD's GPUs are.
      if (startsWith(cls, "0x03") || startsWith(cls, "0x12")) {
        TUTTI_ASSIGN(std::string target, reader.text("target"));
        auto bus = parseBusId(target);
        if (!bus.ok()) return reader.error(bus.error().message());
        auto peer = busNodes_.find({d.host, *bus});
        if (peer == busNodes_.end() || graph_.nodes[peer->second].type != NodeType::Gpu) {
          warn(*d.element, fmt::format("NVLink to {}, which is not a GPU of this job: not used", target));
        } else if (peer->second == d.node) {
          warn(*d.element, fmt::format("NVLink from GPU {} to itself: not used", target));
        } else {
          graph_.connect(d.node, peer->second, LinkType::Nvl, gbps);
        }
      } else if (startsWith(cls, "0x068001")) {
        graph_.connectBoth(d.node, d.cpu, LinkType::Nvl, gbps);
      } else {
        if (nvswitch < 0) {
          // All NVSwitch chips of a domain act as one crossbar: a GPU spreads its traffic over all of them.
          Node nvs;
          nvs.type = NodeType::Nvs;
          nvs.name = "NVSwitch";
          nvswitch = graph_.addNode(std::move(nvs));
        }
        graph_.connectBoth(d.node, nvswitch, LinkType::Nvl, gbps);
      }
    }
    for (size_t l = 0; l < graph_.links.size(); ++l) {
      Link link = graph_.links[l];
      if (link.type != LinkType::Nvl || graph_.reverseOf(static_cast<int>(l)) >= 0) continue;
      graph_.warnings.push_back(
          fmt::format("{}: {} is listed one way only: the way back is taken to be equal", file_,
                      graph_.linkName(static_cast<int>(l))));
      graph_.connect(link.to, link.from, link.type, link.gbps);
    }
    for (const Deferred& d : pciLinks_) {
      XmlReader reader(*d.element, file_);
      TUTTI_ASSIGN(std::string target, reader.text("target"));
      auto bus = parseBusId(target);
      if (!bus.ok()) return reader.error(bus.error().message());
      auto peer = busNodes_.find({d.host, *bus});
      if (peer == busNodes_.end() || peer->second == d.node ||
          graph_.nodes[peer->second].type != NodeType::Pci) {
        warn(*d.element,
             fmt::format("pcilink to {}, which is not another PCI switch of this file: not used", target));
      } else if (graph_.findLink(d.node, peer->second, LinkType::Loc) < 0) {
        graph_.connectBoth(d.node, peer->second, LinkType::Loc, kLocalGBps);
      }
    }
    auto freeDev = [&](int host, const std::string& name) {
      int dev = 0;
      while (!seenNets_.try_emplace({host, dev}, name, 0).second) ++dev;
      return dev;
    };
    for (int n : renumber_) graph_.nodes[n].id = graph_.nodes[n].dev = freeDev(graph_.nodes[n].host, "");
    for (const Deferred& d : bareNics_) {
      const int dev = freeDev(d.host, "");
      Node net;
      net.type = NodeType::Net;
      net.host = d.host;
      net.id = net.dev = dev;
      net.name = fmt::format("net {}", dev);
      net.asic = static_cast<uint64_t>(dev) | 1ull << 62;
      net.netGbps = kNetDefaultGBps;
      warn(*d.element,
           fmt::format("NIC {} is a bare <pci>: one port of 10 Gb/s is assumed until it is probed",
                       d.element->get("busid")));
      int node = graph_.addNode(std::move(net));
      graph_.connectBoth(d.node, node, LinkType::Net, kNetDefaultGBps);
    }
    return {};
  }

  void connectCpus() {
    for (int a = 0; a < static_cast<int>(graph_.nodes.size()); ++a) {
      if (graph_.nodes[a].type != NodeType::Cpu) continue;
      for (int b = 0; b < static_cast<int>(graph_.nodes.size()); ++b) {
        if (a == b || graph_.nodes[b].type != NodeType::Cpu || graph_.nodes[a].host != graph_.nodes[b].host)
          continue;
        graph_.connect(a, b, LinkType::Sys, std::min(interCpuGBps(graph_.nodes[a]), kLocalGBps));
      }
    }
    // NUMA nodes of unlike kinds (a memory-only node, say) carry what the weaker one does.
    for (Link& l : graph_.links) {
      if (l.type != LinkType::Sys) continue;
      l.gbps = std::min(interCpuGBps(graph_.nodes[l.from]), interCpuGBps(graph_.nodes[l.to]));
    }
  }

  Result<Graph> finish() {
    // A machine without GPUs is a host machine: ranks sit on its cores.
    if (seenRanks_.empty()) {
      int rank = 0;
      for (Node& n : graph_.nodes)
        if (n.type == NodeType::Core) n.rank = rank++;
    }
    graph_.index();
    if (graph_.ranks.empty())
      graph_.warnings.push_back(
          fmt::format("{}: no GPU and no core: there is nothing to put a rank on", file_));
    return std::move(graph_);
  }

  std::string_view file_;
  Graph graph_;
  bool bare_ = false;
  int nextBareRank_ = 0;
  std::map<uint64_t, int> hostOf_;
  std::set<std::pair<int, int64_t>> seenCpus_;
  std::set<std::pair<int, int64_t>> seenBuses_;
  std::map<std::pair<int, int64_t>, std::pair<std::string, uint64_t>> seenNets_;  // name and GUID
  std::vector<int> renumber_;                                                     // NICs whose dev was taken
  std::set<std::pair<int, int64_t>> seenCores_;
  std::set<int> seenRanks_;
  std::set<std::string> unknownTags_;
  std::map<std::pair<int, int64_t>, int> busNodes_;
  std::vector<Deferred> gpuLinks_;
  std::vector<Deferred> pciLinks_;
  std::vector<Deferred> bareNics_;
};

}  // namespace

Result<Graph> graphFromNcclXml(const XmlElement& root, std::string_view fileName) {
  return Builder(fileName).build(root);
}

Result<Topology> readTopologyText(std::string_view text, std::string_view fileName) {
  Topology topology;
  TUTTI_ASSIGN(topology.xml, parseXml(text, fileName));
  std::vector<std::string> warnings;
  if (topology.xml.name == "topology") {
    TUTTI_ASSIGN(topology.xml, ncclXmlFromHwloc(topology.xml, fileName, warnings));
  }
  TUTTI_ASSIGN(topology.graph, graphFromNcclXml(topology.xml, fileName));
  topology.graph.warnings.insert(topology.graph.warnings.begin(), warnings.begin(), warnings.end());
  return topology;
}

Result<Topology> readTopologyFile(const std::string& path) {
  TUTTI_ASSIGN(std::string text, readFileBounded(path, XmlLimits().maxBytes));
  return readTopologyText(text, path);
}

}  // namespace tutti::topology
