// hwloc XML, version 2, of a machine that is held in NCCL's form. What hwloc has no place for (NVLinks,
// compute capability, NIC speeds, ranks) goes into <info name="NCCL">, as the element in NCCL's own words,
// and comes back from there.
#include <algorithm>
#include <map>
#include <set>

#include "topology/links.hpp"
#include "topology/xml_hwloc.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::topology {
namespace {

XmlElement object(std::string_view type) {
  XmlElement e;
  e.name = "object";
  e.set("type", std::string(type));
  return e;
}

void addInfo(XmlElement& to, std::string_view name, std::string value) {
  XmlElement e;
  e.name = "info";
  e.set("name", std::string(name));
  e.set("value", std::move(value));
  to.children.push_back(std::move(e));
}

std::string words(const std::set<int>& bits) {
  BitSet set;
  for (int b : bits) {
    const size_t word = static_cast<size_t>(b) / 32;
    if (set.words.size() <= word) set.words.resize(word + 1);
    set.words[word] |= 1u << (b % 32);
  }
  std::string out;
  for (size_t i = set.words.size(); i-- > 0;)
    out += fmt::format("{}0x{:08x}", out.empty() ? "" : ",", set.words[i]);
  return out.empty() ? "0x0" : out;
}

/// A core: the CPU that names it, and with its hyperthreads.
struct Core {
  int number = 0;
  std::set<int> cpus;
  const XmlElement* element = nullptr;
};

/// A NUMA node: its cores by L3.
struct NumaNode {
  const XmlElement* cpu = nullptr;
  int index = 0;
  std::vector<std::vector<Core>> groups;
  std::set<int> cpus;
};

class HwlocWriter {
 public:
  explicit HwlocWriter(std::string_view file) : file_(file) {}

  Result<XmlElement> write(const XmlElement& system) {
    std::set<std::string> hosts;
    for (const XmlElement& c : system.children)
      if (c.name == "cpu") hosts.insert(std::string(c.get("host_hash")));
    if (hosts.size() > 1)
      return makeError(Code::InvalidUsage, "{}: describes {} machines; an hwloc file holds one", file_,
                       hosts.size());
    TUTTI_TRY(collect(system));
    if (nodes_.empty()) return makeError(Code::InvalidUsage, "{}: no <cpu> inside", file_);
    std::set<int> all;
    std::set<int> numas;
    for (const NumaNode& n : nodes_) {
      all.insert(n.cpus.begin(), n.cpus.end());
      numas.insert(n.index);
    }
    XmlElement machine = object("Machine");
    machine.set("os_index", "0");
    place(machine, all, numas);
    machine.set("allowed_cpuset", words(all));
    machine.set("allowed_nodeset", words(numas));
    number(machine);
    addInfo(machine, "Architecture", std::string(nodes_[0].cpu->get("arch")));
    for (const XmlElement& c : system.children)
      if (c.name != "cpu") addInfo(machine, "NCCL", inOneLine(c));
    for (const NumaNode& n : nodes_) machine.children.push_back(packageOf(n));
    XmlElement root;
    root.name = "topology";
    root.set("version", "2.0");
    root.children.push_back(std::move(machine));
    return root;
  }

 private:
  static std::string inOneLine(const XmlElement& e) {
    std::string text = writeXml(e);
    std::string out;
    bool lineStart = true;
    for (char c : text) {
      if (c == '\n') {
        lineStart = true;
      } else if (!lineStart || c != ' ') {
        lineStart = false;
        out += c;
      }
    }
    return out;
  }
  static XmlElement bare(const XmlElement& e) {
    XmlElement copy;
    copy.name = e.name;
    copy.attributes = e.attributes;
    return copy;
  }

  void number(XmlElement& e) { e.set("gp_index", std::to_string(nextNumber_++)); }
  static void place(XmlElement& e, const std::set<int>& cpus, const std::set<int>& numas) {
    e.set("cpuset", words(cpus));
    e.set("complete_cpuset", words(cpus));
    e.set("nodeset", words(numas));
    e.set("complete_nodeset", words(numas));
  }

  Status collect(const XmlElement& system) {
    std::vector<std::pair<int64_t, const XmlElement*>> cpus;
    for (const XmlElement& c : system.children) {
      if (c.name != "cpu") continue;
      TUTTI_ASSIGN(int64_t numa, XmlReader(c, file_).integer("numaid", -1, 1 << 20));
      cpus.push_back({std::max<int64_t>(numa, 0), &c});
    }
    std::stable_sort(cpus.begin(), cpus.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::set<int> used;
    for (auto [numa, cpu] : cpus) {
      NumaNode n;
      n.cpu = cpu;
      n.index = static_cast<int>(numa);
      TUTTI_TRY(readCores(n, used));
      nodes_.push_back(std::move(n));
    }
    // hwloc has no node without a CPU here; a number that nothing uses stands for the unknown ones.
    for (NumaNode& n : nodes_) {
      if (!n.groups.empty()) continue;
      const int number = used.empty() ? 0 : *used.rbegin() + 1;
      used.insert(number);
      n.groups.push_back({Core{number, {number}, nullptr}});
      n.cpus.insert(number);
    }
    return {};
  }

  Status readCores(NumaNode& n, std::set<int>& used) {
    std::map<int, std::vector<Core>> byLowest;  // L3 groups
    for (const XmlElement& l3 : n.cpu->children) {
      if (l3.name != "l3") continue;
      std::vector<Core> group;
      for (const XmlElement& core : l3.children) {
        if (core.name != "core") continue;
        TUTTI_ASSIGN(int64_t cpu, XmlReader(core, file_).integer("cpu", 0, 1 << 20));
        const int number = static_cast<int>(cpu);
        if (used.insert(number).second) group.push_back({number, {number}, &core});
      }
      std::sort(group.begin(), group.end(), [](const Core& a, const Core& b) { return a.number < b.number; });
      if (!group.empty()) byLowest[group.front().number] = std::move(group);
    }
    auto affinity = parseBitSet(n.cpu->get("affinity"));
    if (!affinity.ok()) return XmlReader(*n.cpu, file_).error(affinity.error().message());
    std::vector<int> others;
    for (int b = 0; b < static_cast<int>(affinity->words.size()) * 32; ++b)
      if (affinity->has(b) && used.insert(b).second) others.push_back(b);
    if (byLowest.empty() && !others.empty()) {
      for (int cpu : others) byLowest[others.front()].push_back({cpu, {cpu}, nullptr});
      others.clear();
    }
    for (auto& [lowest, group] : byLowest) n.groups.push_back(std::move(group));
    std::vector<std::set<int>*> cores;
    for (auto& group : n.groups)
      for (Core& core : group) cores.push_back(&core.cpus);
    // CPUs that no <core> names are taken for the hyperthreads of those that are, in turn.
    for (size_t i = 0; i < others.size(); ++i) cores[i % cores.size()]->insert(others[i]);
    for (const std::set<int>* core : cores) n.cpus.insert(core->begin(), core->end());
    return {};
  }

  XmlElement packageOf(const NumaNode& n) {
    const std::set<int> numa = {n.index};
    XmlElement package = object("Package");
    package.set("os_index", std::to_string(n.index));
    place(package, n.cpus, numa);
    number(package);
    for (auto [from, to] :
         {std::pair("vendor", "CPUVendor"), {"familyid", "CPUFamilyNumber"}, {"modelid", "CPUModelNumber"}})
      if (const std::string* value = n.cpu->find(from)) addInfo(package, to, *value);
    addInfo(package, "NCCL", inOneLine(bare(*n.cpu)));
    for (const XmlElement& c : n.cpu->children)
      if (c.name != "pci" && c.name != "l3") addInfo(package, "NCCL", inOneLine(c));
    XmlElement memory = object("NUMANode");
    memory.set("os_index", std::to_string(n.index));
    place(memory, n.cpus, numa);
    number(memory);
    package.children.push_back(std::move(memory));
    for (const auto& group : n.groups) {
      std::set<int> shared;
      for (const Core& core : group) shared.insert(core.cpus.begin(), core.cpus.end());
      XmlElement l3 = object("L3Cache");
      place(l3, shared, numa);
      number(l3);
      for (auto [key, value] : {std::pair("cache_size", "0"),
                                {"depth", "3"},
                                {"cache_linesize", "64"},
                                {"cache_associativity", "0"},
                                {"cache_type", "0"}})
        l3.set(key, value);
      for (const Core& core : group) l3.children.push_back(objectOf(core, numa));
      package.children.push_back(std::move(l3));
    }
    XmlElement root = object("Bridge");
    number(root);
    root.set("bridge_type", "0-1");
    root.set("depth", "0");
    root.set("bridge_pci", fmt::format("{:04x}:[00-ff]", n.index));
    for (const XmlElement& c : n.cpu->children)
      if (c.name == "pci") root.children.push_back(deviceOf(c, 1));
    if (!root.children.empty()) package.children.push_back(std::move(root));
    return package;
  }

  XmlElement objectOf(const Core& described, const std::set<int>& numa) {
    XmlElement core = object("Core");
    core.set("os_index", std::to_string(*described.cpus.begin()));
    place(core, described.cpus, numa);
    number(core);
    // Its name and rank, where they do not follow from the CPUs.
    const XmlElement* e = described.element;
    if (e != nullptr && (e->attributes.size() > 1 || described.number != *described.cpus.begin()))
      addInfo(core, "NCCL", inOneLine(bare(*e)));
    for (int cpu : described.cpus) {
      XmlElement pu = object("PU");
      pu.set("os_index", std::to_string(cpu));
      place(pu, {cpu}, numa);
      number(pu);
      core.children.push_back(std::move(pu));
    }
    return core;
  }

  XmlElement deviceOf(const XmlElement& pci, int depth) {
    const bool bridge =
        pci.child("gpu") == nullptr && pci.child("nic") == nullptr && pci.get("class").substr(0, 4) == "0x06";
    XmlElement e = object(bridge ? "Bridge" : "PCIDev");
    number(e);
    if (bridge) {
      e.set("bridge_type", "1-1");
      e.set("depth", std::to_string(depth));
      e.set("bridge_pci", "0000:[00-ff]");
    }
    e.set("pci_busid", std::string(pci.get("busid")));
    auto digits = [&](std::string_view key) {
      std::string_view value = pci.get(key);
      if (value.substr(0, 2) == "0x") value.remove_prefix(2);
      return value.empty() ? std::string("0000") : std::string(value.substr(0, 4));
    };
    e.set("pci_type", fmt::format("{} [{}:{}] [{}:{}] 00", digits("class"), digits("vendor"),
                                  digits("device"), digits("subsystem_vendor"), digits("subsystem_device")));
    const int width = std::atoi(std::string(pci.get("link_width")).c_str());
    const bool known = width > 0 && !pci.get("link_speed").empty();
    e.set("pci_link_speed", fmt::format("{:.6f}", known ? pcieGBps(pci.get("link_speed"), width) : 0.0));
    addInfo(e, "NCCL", inOneLine(bare(pci)));
    for (const XmlElement& c : pci.children)
      if (c.name != "pci") addInfo(e, "NCCL", inOneLine(c));
    for (const XmlElement& c : pci.children)
      if (c.name == "pci") e.children.push_back(deviceOf(c, depth + 1));
    return e;
  }

  std::string_view file_;
  std::vector<NumaNode> nodes_;
  int nextNumber_ = 1;
};

}  // namespace

Result<std::string> writeHwlocXml(const XmlElement& system, std::string_view fileName) {
  TUTTI_ASSIGN(XmlElement root, HwlocWriter(fileName).write(system));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n" +
         writeXml(root);
}

}  // namespace tutti::topology
