#include "topology/discover.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "topology/core_latency.hpp"
#include "topology/drivers/cgroup.hpp"
#include "topology/drivers/hwloc.hpp"
#include "topology/drivers/sysfs.hpp"
#include "topology/host_cores.hpp"
#include "topology/xml_hwloc.hpp"

namespace tutti::topology {
namespace {

XmlElement element(std::string name) {
  XmlElement e;
  e.name = std::move(name);
  return e;
}

class Probe {
 public:
  explicit Probe(const DiscoverOptions& options) : options_(options) {}

  Result<Topology> run() {
    readCores();
    readGpus();
    readNics();
    Topology t;
    t.xml = element("system");
    t.xml.set("version", "1");
    for (auto& [numa, cpu] : cpus_) t.xml.children.push_back(std::move(cpu));
    TUTTI_ASSIGN(t.graph, graphFromNcclXml(t.xml, "this machine"));
    t.graph.warnings.insert(t.graph.warnings.begin(), warnings_.begin(), warnings_.end());
    t.graph.seen = std::move(seen_);
    if (t.graph.ranks.empty())
      return makeError(Code::SystemError, "this machine shows neither cores nor GPUs");
    return t;
  }

 private:
  void readCores() {
    const bool here = options_.root.empty();
    const CgroupLimits group = readCgroup(options_.root);
    // Of this machine the kernel's affinity mask has the group's limit in it already.
    const std::vector<int>& allowed =
        options_.allowedCpus.empty() && !here ? group.cpus : options_.allowedCpus;
    HostCores cores = here && allowed.empty() ? probeHostCores() : probeHostCores(options_.root, allowed);
    if (group.quota > 0)
      warnings_.push_back(fmt::format(
          "the container may use {:.2g} CPUs' worth of time: more ranks than that wait for each other",
          group.quota));
    std::string source = "sysfs";
    bool done = false;
    if (!cores.warnings.empty() && here && options_.useHwloc) {
      done = fromHwloc();
      source = done ? "hwloc, for sysfs does not tell all" : "sysfs; hwloc cannot be used";
    }
    describeCores(cores, group, source);
    if (done) return;
    warnings_.insert(warnings_.end(), cores.warnings.begin(), cores.warnings.end());
    std::set<int> seen;
    std::map<int, std::map<int, XmlElement>> groups;
    std::map<int, std::vector<int>> cpusOf;
    for (const HostCore& c : cores.cores) {
      cpusOf[c.numa].push_back(c.cpu);
      if (!seen.insert(c.coreId).second) continue;  // one rank a core; hyperthreads share it
      XmlElement core = element("core");
      core.set("cpu", std::to_string(c.cpu));
      XmlElement& l3 = groups[c.numa][c.l3];
      if (l3.name.empty()) {
        l3 = element("l3");
        l3.set("id", std::to_string(c.l3));
      }
      l3.children.push_back(std::move(core));
    }
    for (auto& [numa, list] : cpusOf) {
      XmlElement cpu = element("cpu");
      cpu.set("numaid", std::to_string(numa));
      BitSet set;
      for (int c : list) {
        if (set.words.size() <= static_cast<size_t>(c) / 32)
          set.words.resize(static_cast<size_t>(c) / 32 + 1);
        set.words[static_cast<size_t>(c) / 32] |= 1u << (c % 32);
      }
      cpu.set("affinity", set.text());
      describeProcessor(cpu);
      for (auto& [id, l3] : groups[numa]) cpu.children.push_back(std::move(l3));
      cpus_[numa] = std::move(cpu);
    }
  }

  void describeCores(const HostCores& cores, const CgroupLimits& group, const std::string& source) {
    seen_.push_back(fmt::format("CPUs: {}, {} L3 group(s), {} NUMA node(s), {} package(s) ({})",
                                cores.cores.size(), cores.l3Groups, cores.numaNodes, cores.packages, source));
    auto all = parseCpuList(readSysText(options_.root + "/sys/devices/system/cpu/online"));
    if (!all.ok() || all->size() <= cores.cores.size()) return;
    const bool byGroup = !group.cpus.empty() && group.cpus.size() < all->size();
    warnings_.push_back(
        fmt::format("this process may use {} of the machine's {} CPUs ({}): ranks are placed on those only",
                    cores.cores.size(), all->size(), byGroup ? group.where : "its affinity"));
  }

  bool fromHwloc() {
    auto text = exportHwlocXml();
    if (!text.ok()) return false;
    auto document = parseXml(*text, "hwloc");
    if (!document.ok() || document->name != "topology") return false;
    std::vector<std::string> ignored;  // PCI comes from sysfs, which knows more
    auto converted = ncclXmlFromHwloc(*document, "hwloc", ignored);
    if (!converted.ok()) return false;
    for (XmlElement& cpu : converted->children) {
      std::erase_if(cpu.children, [](const XmlElement& c) { return c.name == "pci" || c.name == "nic"; });
      cpus_[std::atoi(std::string(cpu.get("numaid")).c_str())] = std::move(cpu);
    }
    return !cpus_.empty();
  }

  void describeProcessor(XmlElement& cpu) {
    std::istringstream info(readSysText(options_.root + "/proc/cpuinfo"));
    std::map<std::string, std::string> fields;
    for (std::string line; std::getline(info, line) && !line.empty();) {
      size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
      fields.try_emplace(key, colon + 2 < line.size() ? line.substr(colon + 2) : "");
    }
    if (fields.contains("vendor_id")) {
      cpu.set("arch", "x86_64");
      cpu.set("vendor", fields["vendor_id"]);
      cpu.set("familyid", fields["cpu family"]);
      cpu.set("modelid", fields["model"]);
    } else if (fields.contains("CPU implementer")) {
      cpu.set("arch", "arm64");
    } else {
      cpu.set("arch", fields.contains("cpu") ? "ppc64" : "unknown");
    }
  }

  XmlElement& numaElement(int numa) {
    auto at = cpus_.find(numa);
    if (at == cpus_.end()) at = cpus_.begin();  // -1 on machines with one node, or a node we may not run on
    return at->second;
  }

  /// The <pci> of that device, made with the bridges above it. nullptr when sysfs does not have it.
  XmlElement* placePci(const std::string& busId) {
    std::vector<SysPciDevice> chain = readPciChain(options_.root, busId);
    if (chain.empty()) return nullptr;
    XmlElement* parent = &numaElement(chain.back().numa);
    for (size_t i = 0; i < chain.size(); ++i) {
      const SysPciDevice& d = chain[i];
      // Root ports are part of the CPU: NCCL's files leave them out, too. A switch shows an upstream and its
      // downstream ports; the upstream one stands for all of it.
      bool last = i + 1 == chain.size();
      if (!last && (i == 0 || (i % 2 == 0))) continue;
      XmlElement* found = nullptr;
      for (XmlElement& c : parent->children)
        if (c.name == "pci" && c.get("busid") == d.busId) found = &c;
      if (!found) {
        parent->children.push_back(element("pci"));
        found = &parent->children.back();
        found->set("busid", d.busId);
        found->set("class", d.cls);
        found->set("vendor", d.vendor);
        found->set("device", d.device);
        found->set("subsystem_vendor", d.subsystemVendor);
        found->set("subsystem_device", d.subsystemDevice);
        found->set("link_speed", d.linkSpeed);
        found->set("link_width", std::to_string(d.linkWidth));
      }
      parent = found;
    }
    return parent;
  }

  void readGpus() {
    std::unique_ptr<NvmlDriver> own;
    NvmlDriver* nvml = options_.nvml;
    std::vector<std::string> onBus = readGpuBusIds(options_.root);
    if (!nvml && options_.root.empty()) {
      own = makeNvmlDriver();
      nvml = own.get();
    }
    std::vector<NvmlGpu> gpus;
    if (nvml) {
      auto found = nvml->gpus();
      seen_.push_back(found.ok() ? fmt::format("GPUs: {} by NVML", found->size())
                                 : fmt::format("GPUs: {} on the PCI bus; no NVML: {}", onBus.size(),
                                               found.error().message()));
      if (found.ok())
        gpus = std::move(found).value();
      else if (!onBus.empty())
        warnings_.push_back(fmt::format("{} GPU(s) are on the PCI bus, but {}: they are not used",
                                        onBus.size(), found.error().message()));
    }
    if (!gpus.empty() && gpus.size() < onBus.size())
      warnings_.push_back(
          fmt::format("{} of {} GPUs are visible to this process: the others' links count as absent",
                      gpus.size(), onBus.size()));
    for (const NvmlGpu& g : gpus) {
      XmlElement* pci = placePci(g.busId);
      if (!pci) {
        warnings_.push_back(
            fmt::format("GPU {} is not in sysfs (/sys is restricted?): it is placed on the first NUMA node "
                        "at PCIe 3.0 x16",
                        g.busId));
        XmlElement& cpu = numaElement(-1);
        cpu.children.push_back(element("pci"));
        pci = &cpu.children.back();
        pci->set("busid", g.busId);
        pci->set("class", "0x030200");
        pci->set("link_speed", "");
        pci->set("link_width", "0");
      }
      pci->set("class", "0x030200");
      XmlElement gpu = element("gpu");
      gpu.set("dev", std::to_string(g.index));
      gpu.set("sm", std::to_string(g.sm));
      gpu.set("rank", std::to_string(nextRank_++));
      gpu.set("gdr", "1");
      std::map<std::pair<std::string, std::string>, int> bundles;
      for (const NvmlGpu::NvLink& l : g.links) {
        const char* cls = l.peer == NvmlGpu::Peer::Gpu   ? "0x030200"
                          : l.peer == NvmlGpu::Peer::Cpu ? "0x068001"
                                                         : "0x068000";
        ++bundles[{l.peerBusId.empty() ? "fffffff:ffff:ff" : l.peerBusId, cls}];
      }
      for (const auto& [target, count] : bundles) {
        XmlElement link = element("nvlink");
        link.set("target", target.first);
        link.set("count", std::to_string(count));
        link.set("tclass", target.second);
        gpu.children.push_back(std::move(link));
      }
      if (g.c2cLinks > 0) {
        XmlElement c2c = element("c2c");
        c2c.set("bw", std::to_string(g.c2cMBps));
        c2c.set("count", std::to_string(g.c2cLinks));
        gpu.children.push_back(std::move(c2c));
      }
      if (g.mig)
        warnings_.push_back(fmt::format(
            "GPU {} is partitioned (MIG): its partitions share the links that are shown", g.busId));
      if (!g.fabricCluster.empty())
        warnings_.push_back(fmt::format("GPU {} belongs to NVLink domain {}, clique {}", g.busId,
                                        g.fabricCluster, g.fabricClique));
      pci->children.push_back(std::move(gpu));
    }
  }

  void readNics() {
    std::vector<SysPort> ports = readPorts(options_.root);
    std::set<std::string> behindRdma;  // an Ethernet interface of an RDMA device is the same wire
    bool rdma = false;
    for (const SysPort& p : ports) {
      if (!p.rdma) continue;
      rdma = true;
      behindRdma.insert(p.netdevs.begin(), p.netdevs.end());
    }
    if (rdma) {
      std::unique_ptr<VerbsDriver> own;
      VerbsDriver* verbs = options_.verbs;
      if (!verbs && options_.root.empty()) {
        own = makeVerbsDriver();
        verbs = own.get();
      }
      if (verbs) {
        auto usable = verbs->devices();
        seen_.push_back(usable.ok() ? fmt::format("RDMA: {} device(s) by libibverbs", usable->size())
                                    : fmt::format("RDMA: {}", usable.error().message()));
        if (!usable.ok()) {
          warnings_.push_back(
              fmt::format("RDMA devices are there, but {}: their Ethernet interfaces are used instead",
                          usable.error().message()));
          behindRdma.clear();
          std::erase_if(ports, [](const SysPort& p) { return p.rdma; });
        }
      }
    }
    if (!rdma) seen_.push_back("RDMA: no device in sysfs: traffic between machines goes over TCP");
    describePorts(ports);
    bool physical =
        std::any_of(ports.begin(), ports.end(), [](const SysPort& p) { return !p.busId.empty() && p.up; });
    int dev = 0;
    for (const SysPort& p : ports) {
      if (!p.up || (!p.rdma && behindRdma.contains(p.name))) continue;
      if (p.busId.empty() && physical) continue;  // bonds, VLANs, bridges: the NICs below them are listed
      XmlElement net = element("net");
      net.set("name", p.name);
      net.set("dev", std::to_string(dev++));
      if (p.mbps > 0) net.set("speed", std::to_string(p.mbps));
      net.set("port", std::to_string(p.port));
      net.set("latency", "0.000000");
      if (!p.guid.empty()) net.set("guid", p.guid);
      net.set("maxconn", "131072");
      net.set("gdr", "0");
      std::string upper;
      for (const std::string& u : p.upper) upper += (upper.empty() ? "" : ",") + u;
      if (!upper.empty()) net.set("carries", upper);
      if (p.rdma && p.gids == 0 && p.linkLayer == "Ethernet")
        warnings_.push_back(fmt::format("{} port {} has no GID: RoCE cannot be used on it", p.name, p.port));
      XmlElement* place = p.busId.empty() ? &numaElement(-1) : placePci(p.busId);
      if (!place) place = &numaElement(-1);
      auto at = std::find_if(place->children.begin(), place->children.end(),
                             [](const XmlElement& c) { return c.name == "nic"; });
      if (at == place->children.end()) {
        place->children.push_back(element("nic"));
        at = place->children.end() - 1;
      }
      at->children.push_back(std::move(net));
    }
    if (dev == 0) warnings_.push_back("no network interface is up: this machine can only work with itself");
  }

  void describePorts(const std::vector<SysPort>& ports) {
    for (const SysPort& p : ports) {
      std::string line = fmt::format("{}{}: ", p.name, p.rdma ? fmt::format(" port {}", p.port) : "");
      line += p.up ? "up" : "down, not used";
      line += p.mbps > 0 ? fmt::format(", {:g} Gb/s", p.mbps / 1000.0) : p.up ? ", speed not known" : "";
      if (p.rdma)
        line += fmt::format(", {}, {} GID(s), {} of them RoCE v2", p.linkLayer, p.gids, p.roceV2Gids);
      if (!p.kind.empty()) line += ", " + p.kind;
      if (!p.busId.empty()) line += ", PCI " + p.busId;
      std::string below;
      for (const std::string& nic : nicsBelow(ports, p.name))
        if (nic != p.name) below += (below.empty() ? "" : ", ") + nic;
      if (!below.empty()) line += ", over " + below;
      if (p.busId.empty() && p.up && below.empty() && !p.rdma)
        line += ", virtual: which NIC lies below cannot be seen from here";
      seen_.push_back(std::move(line));
    }
  }

  const DiscoverOptions& options_;
  std::map<int, XmlElement> cpus_;
  std::vector<std::string> warnings_;
  std::vector<std::string> seen_;
  int nextRank_ = 0;
};

std::string normal(std::string_view busId) {
  std::string out;
  for (char c : busId) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

Result<Topology> discover(const DiscoverOptions& options) {
  return Probe(options).run();
}

Status measureLatencies(Graph& graph, int maxPairs) {
  std::vector<int> cpus;
  std::map<int, int> nodeOf;
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
    if (graph.nodes[n].type != NodeType::Core) continue;
    cpus.push_back(static_cast<int>(graph.nodes[n].id));
    nodeOf[cpus.back()] = n;
  }
  TUTTI_ASSIGN(std::vector<CoreLatency> measured, measureCoreLatencies(cpus, maxPairs));
  graph.coreLatencies.clear();
  for (const CoreLatency& l : measured)
    graph.coreLatencies.push_back({nodeOf[l.cpuA], nodeOf[l.cpuB], l.oneWayNs});
  return {};
}

void completeFromProbe(XmlElement& file, const XmlElement& probed) {
  std::map<std::string, const XmlElement*> byBus;
  std::function<void(const XmlElement&)> collect = [&](const XmlElement& e) {
    if (e.name == "pci") byBus[normal(e.get("busid"))] = &e;
    for (const XmlElement& c : e.children) collect(c);
  };
  collect(probed);
  std::function<void(XmlElement&)> fill = [&](XmlElement& e) {
    for (XmlElement& c : e.children) fill(c);
    if (e.name != "pci") return;
    auto at = byBus.find(normal(e.get("busid")));
    if (at == byBus.end()) return;
    for (const auto& [key, value] : at->second->attributes)
      if (!e.find(key)) e.set(key, value);
    for (const XmlElement& c : at->second->children)
      if ((c.name == "gpu" || c.name == "nic") && !e.child(c.name)) e.children.push_back(c);
  };
  fill(file);
}

}  // namespace tutti::topology
