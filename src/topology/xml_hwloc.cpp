#include "topology/xml_hwloc.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace tutti::topology {

bool BitSet::has(int bit) const {
  size_t word = static_cast<size_t>(bit) / 32;
  return bit >= 0 && word < words.size() && (words[word] >> (bit % 32) & 1) != 0;
}

bool BitSet::intersects(const BitSet& other) const {
  for (size_t i = 0; i < std::min(words.size(), other.words.size()); ++i)
    if (words[i] & other.words[i]) return true;
  return false;
}

bool BitSet::empty() const {
  return std::all_of(words.begin(), words.end(), [](uint32_t w) { return w == 0; });
}

int BitSet::first() const {
  for (size_t i = 0; i < words.size(); ++i)
    for (int b = 0; b < 32; ++b)
      if (words[i] >> b & 1) return static_cast<int>(i) * 32 + b;
  return -1;
}

std::string BitSet::text() const {
  std::string out;
  for (size_t i = words.size(); i-- > 0;) out += fmt::format("{}{:08x}", out.empty() ? "" : ",", words[i]);
  return out.empty() ? "00000000" : out;
}

Result<BitSet> parseBitSet(std::string_view text) {
  BitSet set;
  if (text.size() > 65536) return makeError(Code::InvalidArgument, "a CPU set of {} characters", text.size());
  while (!text.empty()) {
    size_t comma = text.rfind(',');
    std::string_view word = comma == std::string_view::npos ? text : text.substr(comma + 1);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(0, comma);
    if (word.substr(0, 2) == "0x") word.remove_prefix(2);
    uint32_t value = 0;
    if (word == "f...f") {
      value = 0xffffffff;  // "all above": no machine needs more than the words that are spelled out
    } else if (!word.empty()) {
      auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
      if (failure != std::errc() || end != word.data() + word.size())
        return makeError(Code::InvalidArgument, "\"{}\" is not a 32-bit word of a CPU set", word);
    }
    set.words.push_back(value);
  }
  return set;
}

namespace {

bool isCpuObject(std::string_view type) {
  return type == "Machine" || type == "Package" || type == "Socket" || type == "Group" || type == "Die" ||
         type == "NUMANode" || type == "Core" || type == "PU" || type == "Cache" ||
         type.find("Cache") != type.npos || type == "System" || type == "Misc";
}

struct Numa {
  int64_t osIndex = 0;
  BitSet cpus;
  const XmlElement* package = nullptr;
  XmlElement out;                // <cpu>
  std::map<int, XmlElement> l3;  // by lowest CPU of the group
};

class HwlocConverter {
 public:
  HwlocConverter(std::string_view file, std::vector<std::string>& warnings)
      : file_(file), warnings_(warnings) {}

  Result<XmlElement> convert(const XmlElement& root) {
    const XmlElement* machine = nullptr;
    for (const XmlElement& c : root.children)
      if (c.name == "object") machine = &c;
    if (!machine) return XmlReader(root, file_).error("no <object> inside: not an hwloc topology");
    TUTTI_TRY(collectNuma(*machine, nullptr));
    if (numa_.empty()) {
      Numa whole;
      TUTTI_ASSIGN(whole.cpus, cpuSet(*machine));
      numa_.push_back(std::move(whole));
    }
    std::stable_sort(numa_.begin(), numa_.end(),
                     [](const Numa& a, const Numa& b) { return a.osIndex < b.osIndex; });
    for (Numa& n : numa_) describeCpu(n, *machine);
    TUTTI_TRY(walk(*machine, &numa_[0], -1));
    XmlElement system;
    system.name = "system";
    system.set("version", "1");
    for (Numa& n : numa_) {
      for (auto& [first, group] : n.l3) n.out.children.push_back(std::move(group));
      system.children.push_back(std::move(n.out));
    }
    for (XmlElement& e : kept(*machine)) system.children.push_back(std::move(e));
    if (speedUnknown_ > 0)
      warnings_.push_back(fmt::format(
          "{}: the PCIe link speed of {} devices is not given: 3.0 x16 is assumed", file_, speedUnknown_));
    return system;
  }

 private:
  Result<BitSet> cpuSet(const XmlElement& e) {
    auto set = parseBitSet(e.get("cpuset"));
    if (!set.ok()) return XmlReader(e, file_).error(set.error().message());
    return set;
  }

  static std::string_view info(const XmlElement& e, std::string_view name) {
    for (const XmlElement& c : e.children)
      if (c.name == "info" && c.get("name") == name) return c.get("value");
    return "";
  }

  Status collectNuma(const XmlElement& e, const XmlElement* package) {
    std::string_view type = e.get("type");
    if (type == "Package" || type == "Socket") package = &e;
    if (type == "NUMANode" || type == "Node") {
      Numa n;
      TUTTI_ASSIGN(n.osIndex,
                   XmlReader(e, file_).integerOr("os_index", static_cast<int64_t>(numa_.size()), 0, 1 << 20));
      TUTTI_ASSIGN(n.cpus, cpuSet(e));
      n.package = package;
      for (const Numa& other : numa_)
        if (other.osIndex == n.osIndex)
          return XmlReader(e, file_).error(fmt::format("NUMA node {} appears twice", n.osIndex));
      numa_.push_back(std::move(n));
    }
    for (const XmlElement& c : e.children)
      if (c.name == "object") TUTTI_TRY(collectNuma(c, package));
    return {};
  }

  /// Elements that writeHwlocXml() left in NCCL's words.
  std::vector<XmlElement> kept(const XmlElement& e) {
    std::vector<XmlElement> elements;
    for (const XmlElement& c : e.children) {
      if (c.name != "info" || c.get("name") != "NCCL") continue;
      auto parsed = parseXml(c.get("value"), file_);
      if (parsed.ok())
        elements.push_back(std::move(parsed).value());
      else
        warnings_.push_back(fmt::format("{}:{}: info NCCL is not an element: not used", file_, c.line));
    }
    return elements;
  }

  void describeCpu(Numa& n, const XmlElement& machine) {
    const XmlElement* package = n.package ? n.package : findPackage(machine, n.cpus);
    if (package != nullptr) {
      for (XmlElement& e : kept(*package)) {
        if (e.name == "cpu")
          n.out = std::move(e);
        else if (n.out.name == "cpu")
          n.out.children.push_back(std::move(e));
      }
      if (n.out.name == "cpu") return;
    }
    auto say = [&](std::string_view key) {
      std::string_view value = package ? info(*package, key) : "";
      return value.empty() ? info(machine, key) : value;
    };
    std::string_view vendor = say("CPUVendor");
    std::string_view model = say("CPUModel");
    if (vendor.empty()) {
      if (model.find("Intel") != model.npos) vendor = "GenuineIntel";
      if (model.find("AMD") != model.npos) vendor = "AuthenticAMD";
    }
    std::string_view arch = info(machine, "Architecture");
    if (arch.empty()) arch = "x86_64";
    n.out.name = "cpu";
    n.out.set("numaid", std::to_string(n.osIndex));
    n.out.set("affinity", n.cpus.text());
    n.out.set("arch", arch == "aarch64" ? "arm64" : std::string(arch));
    if (arch == "x86_64") {
      n.out.set("vendor", vendor.empty() ? "GenuineIntel" : std::string(vendor));
      std::string_view family = say("CPUFamilyNumber");
      std::string_view number = say("CPUModelNumber");
      n.out.set("familyid", family.empty() ? "6" : std::string(family));
      n.out.set("modelid", number.empty() ? "0" : std::string(number));
      if (vendor.empty() || number.empty())
        warnings_.push_back(
            fmt::format("{}: the processor of NUMA node {} is not fully named: its link to other sockets is "
                        "taken as the slowest of its kind",
                        file_, n.osIndex));
    }
  }

  const XmlElement* findPackage(const XmlElement& e, const BitSet& cpus) {
    std::string_view type = e.get("type");
    if (type == "Package" || type == "Socket") {
      auto own = parseBitSet(e.get("cpuset"));
      if (own.ok() && own->intersects(cpus)) return &e;
    }
    for (const XmlElement& c : e.children)
      if (c.name == "object")
        if (const XmlElement* found = findPackage(c, cpus)) return found;
    return nullptr;
  }

  Numa& numaOf(const BitSet& cpus, Numa& fallback) {
    for (Numa& n : numa_)
      if (n.cpus.intersects(cpus)) return n;
    return fallback;
  }

  Status walk(const XmlElement& e, Numa* numa, int l3) {
    std::string_view type = e.get("type");
    if (isCpuObject(type) && e.find("cpuset")) {
      TUTTI_ASSIGN(BitSet cpus, cpuSet(e));
      if (!cpus.empty()) {
        numa = &numaOf(cpus, *numa);
        if (type == "L3Cache" || (type == "Cache" && e.get("depth") == "3")) l3 = cpus.first();
        if (type == "Core" || (type == "PU" && !insideCore_)) addCore(e, *numa, cpus, l3);
      }
    }
    bool outer = insideCore_;
    if (type == "Core") insideCore_ = true;
    for (const XmlElement& c : e.children) {
      if (c.name != "object") continue;
      std::string_view childType = c.get("type");
      if (childType == "Bridge" || childType == "PCIDev")
        TUTTI_TRY(addPci(c, numa->out));
      else
        TUTTI_TRY(walk(c, numa, l3));
    }
    insideCore_ = outer;
    return {};
  }

  void addCore(const XmlElement& e, Numa& numa, const BitSet& cpus, int l3) {
    XmlElement& group = numa.l3[l3];
    if (group.name.empty()) {
      group.name = "l3";
      group.set("id", std::to_string(nextL3_++));
    }
    XmlElement core;
    core.name = "core";
    core.set("cpu", std::to_string(cpus.first()));
    if (std::vector<XmlElement> own = kept(e); !own.empty() && own[0].name == "core")
      core = std::move(own[0]);
    group.children.push_back(std::move(core));
  }

  Status addPci(const XmlElement& e, XmlElement& parent) {
    std::string_view type = e.get("type");
    bool bridge = type == "Bridge";
    if (bridge && !e.find("pci_busid")) {  // host bridge: the root, not a switch
      for (const XmlElement& c : e.children)
        if (c.name == "object") TUTTI_TRY(addPci(c, parent));
      return {};
    }
    if (!bridge && type != "PCIDev") return {};
    if (std::vector<XmlElement> own = kept(e); !own.empty() && own[0].name == "pci") {
      XmlElement pci = std::move(own[0]);
      for (size_t i = 1; i < own.size(); ++i) pci.children.push_back(std::move(own[i]));
      for (const XmlElement& c : e.children)
        if (c.name == "object") TUTTI_TRY(addPci(c, pci));
      parent.children.push_back(std::move(pci));
      return {};
    }
    XmlElement pci;
    pci.name = "pci";
    pci.set("busid", std::string(e.get("pci_busid")));
    // "0302 [10de:1094] [00de:0088] a1 00": class, device, subsystem, revision, link
    std::string_view kind = e.get("pci_type");
    auto part = [&](size_t from) {
      return kind.size() >= from + 4 ? "0x" + std::string(kind.substr(from, 4)) : std::string("0x0000");
    };
    std::string cls = part(0) + "00";
    std::string vendor = part(6);
    pci.set("class", cls);
    pci.set("vendor", vendor);
    pci.set("device", part(11));
    pci.set("subsystem_vendor", part(18));
    pci.set("subsystem_device", part(23));
    TUTTI_TRY(setLink(e, pci));
    if (bridge) {
      for (const XmlElement& c : e.children)
        if (c.name == "object") TUTTI_TRY(addPci(c, pci));
      if (!pci.children.empty()) parent.children.push_back(std::move(pci));
      return {};
    }
    std::string_view base = std::string_view(cls).substr(2, 4);
    bool gpu = (vendor == "0x10de" && (base == "0302" || base == "0300")) ||
               (vendor == "0x1002" && (base == "0302" || base == "0380" || base == "1200"));
    if (gpu) {
      parent.children.push_back(std::move(pci));
    } else if (base.substr(0, 2) == "02") {
      addNic(e, pci);
      if (!pci.children.empty()) parent.children.push_back(std::move(pci));
    }
    return {};
  }

  Status setLink(const XmlElement& e, XmlElement& pci) {
    TUTTI_ASSIGN(double gbps, XmlReader(e, file_).realOr("pci_link_speed", 0, 0, 1e6));
    struct Generation {
      const char* speed;
      double perLane;
    };
    static constexpr Generation kGenerations[] = {{"2.5 GT/s PCIe", 0.25},   {"5.0 GT/s PCIe", 0.5},
                                                  {"8.0 GT/s PCIe", 0.9846}, {"16.0 GT/s PCIe", 1.969},
                                                  {"32.0 GT/s PCIe", 3.938}, {"64.0 GT/s PCIe", 7.563}};
    const Generation* best = nullptr;
    int width = 0;
    double bestError = 0.05;
    for (const Generation& g : kGenerations) {
      for (int w : {16, 8, 4, 2, 1, 32}) {
        double error = std::fabs(g.perLane * w - gbps) / std::max(gbps, 1e-9);
        if (error < bestError) {
          bestError = error;
          best = &g;
          width = w;
        }
      }
    }
    if (!best && e.get("type") == "PCIDev") ++speedUnknown_;
    pci.set("link_speed", best ? best->speed : "");
    pci.set("link_width", std::to_string(width));
    return {};
  }

  void addNic(const XmlElement& device, XmlElement& pci) {
    const XmlElement* fabric = nullptr;
    const XmlElement* ethernet = nullptr;
    for (const XmlElement& c : device.children) {
      if (c.name != "object" || c.get("type") != "OSDev") continue;
      if (!info(c, "NodeGUID").empty() || c.get("osdev_type") == "48") fabric = &c;
      if (!info(c, "Address").empty() || c.get("osdev_type") == "2" || c.get("osdev_type") == "16")
        ethernet = &c;
    }
    const XmlElement* chosen = fabric ? fabric : ethernet;
    if (!chosen) return;
    XmlElement nic;
    nic.name = "nic";
    XmlElement net;
    net.name = "net";
    net.set("name", std::string(chosen->get("name")));
    net.set("dev", std::to_string(nextNet_++));
    net.set("port", "1");
    std::string guid;
    for (char c : info(*chosen, "NodeGUID"))
      if (c != ':') guid += c;
    if (!guid.empty()) net.set("guid", "0x" + guid);
    net.set("gdr", "0");
    nic.children.push_back(std::move(net));
    pci.children.push_back(std::move(nic));
  }

  std::string_view file_;
  std::vector<std::string>& warnings_;
  std::vector<Numa> numa_;
  int nextL3_ = 0;
  int nextNet_ = 0;
  int speedUnknown_ = 0;
  bool insideCore_ = false;
};

}  // namespace

Result<XmlElement> ncclXmlFromHwloc(const XmlElement& root, std::string_view fileName,
                                    std::vector<std::string>& warnings) {
  return HwlocConverter(fileName, warnings).convert(root);
}

}  // namespace tutti::topology
