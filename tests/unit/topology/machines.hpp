// Machines for the topology tests: those of tests/data/topology, and random ones.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "topology/xml_nccl.hpp"

namespace tutti::topology {

inline std::string dataPath(const std::string& name) {
  return std::string(TUTTI_TEST_DATA) + "/topology/" + name + ".xml";
}

inline const std::vector<std::string>& machineNames() {
  static const std::vector<std::string> kNames = {"aws-g5.48xl",
                                                  "azure-ncv4",
                                                  "azure-ndv5-bare",
                                                  "azure-ndv5",
                                                  "dgx-a100",
                                                  "dgx-h100",
                                                  "gb200-nvl72-tray",
                                                  "hwloc-32em64t-2n8c2t-pci",
                                                  "hwloc-96em64t-4n4d3ca2co-pci",
                                                  "rccl-topo_16p1h-as-nv",
                                                  "rccl-topo_8p_4nics-as-nv",
                                                  "rccl-topo_8p_rome_n4-as-nv"};
  return kNames;
}

inline Topology load(const std::string& name) {
  auto topology = readTopologyFile(dataPath(name));
  EXPECT_TRUE(topology.ok()) << (topology.ok() ? "" : topology.error().message());
  return topology.ok() ? std::move(topology).value() : Topology();
}

/// All topology files at hand: ours, and those of a folder beside the checkout when it is there.
inline std::vector<std::string> allTopologyFiles() {
  std::vector<std::string> paths;
  for (const std::string& name : machineNames()) paths.push_back(dataPath(name));
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::string(TUTTI_TEST_DATA) + "/../../../shared/topologies", none)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == ".xml" && name.find("-graph.") == name.npos)
      paths.push_back(entry.path());
  }
  return paths;
}

/// `trays` of a kind as one NVLink domain; every `lameEvery`-th tray (0: none) has lost its second half.
inline std::string domainOf(const std::string& tray, int trays, int lameEvery = 0) {
  auto root = parseXml(*readFileBounded(dataPath(tray), 1 << 20), tray);
  XmlElement domain = *root;
  domain.children.clear();
  int rank = 0;
  for (int t = 0; t < trays; ++t) {
    size_t parts = root->children.size();
    if (lameEvery > 0 && t % lameEvery == lameEvery - 1) parts = (parts + 1) / 2;
    for (size_t c = 0; c < parts; ++c) {
      XmlElement cpu = root->children[c];
      cpu.set("host_hash", fmt::format("0x{:x}", t + 1));
      auto visit = [&](auto&& self, XmlElement& e) -> void {
        if (e.name == "gpu") e.set("rank", std::to_string(rank++));
        if (e.name == "net")
          e.set("guid", fmt::format("0x{:x}{:03x}", t + 1, std::atoi(e.find("dev")->c_str())));
        for (XmlElement& child : e.children) self(self, child);
      };
      visit(visit, cpu);
      domain.children.push_back(std::move(cpu));
    }
  }
  return writeXml(domain);
}

/// A random PCIe tree with GPUs, NICs and, by chance, NVLinks in a random mesh or an NVSwitch.
inline std::string randomMachine(uint32_t seed) {
  std::mt19937 random(seed);
  auto pick = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<uint32_t>(high - low + 1));
  };
  int gpus = pick(2, 10);
  int numa = pick(1, 4);
  int kind = pick(0, 2);  // PCIe only, mesh, switch
  int sm = std::vector<int>{70, 80, 90, 100}[static_cast<size_t>(pick(0, 3))];
  bool intel = pick(0, 1) == 1;
  std::vector<std::vector<int>> mesh(static_cast<size_t>(gpus),
                                     std::vector<int>(static_cast<size_t>(gpus), 0));
  for (int a = 0; a < gpus; ++a)
    for (int b = a + 1; b < gpus; ++b)
      if (kind == 1 && pick(0, 2) > 0) mesh[a][b] = mesh[b][a] = pick(1, 4);
  std::string out = "<system version=\"1\">\n";
  int bus = 1;
  int net = 0;
  auto gpuBus = [](int g) { return fmt::format("0000:{:02x}:00.0", 0x80 + g); };
  for (int c = 0; c < numa; ++c) {
    out += fmt::format(
        "<cpu numaid=\"{}\" affinity=\"ff\" arch=\"x86_64\" vendor=\"{}\" familyid=\"6\" modelid=\"{}\">\n",
        c, intel ? "GenuineIntel" : "AuthenticAMD", pick(60, 220));
    int depth = 0;
    for (int g = c; g < gpus; g += numa) {
      if (pick(0, 2) > 0 && depth < 3) {
        out += fmt::format(
            "<pci busid=\"0001:{:02x}:00.0\" class=\"0x060400\" link_speed=\"{}\" link_width=\"{}\">\n",
            bus++, pick(0, 1) ? "16.0 GT/s PCIe" : "32.0 GT/s PCIe", pick(0, 1) ? 16 : 8);
        ++depth;
      }
      out += fmt::format(
          "<pci busid=\"{}\" class=\"0x030200\" link_speed=\"32.0 GT/s PCIe\" link_width=\"{}\"><gpu "
          "dev=\"{}\" sm=\"{}\" rank=\"{}\" gdr=\"{}\">",
          gpuBus(g), pick(0, 1) ? 16 : 8, g, sm, g, pick(0, 1));
      for (int p = 0; p < gpus; ++p)
        if (mesh[g][p] > 0)
          out +=
              fmt::format("<nvlink target=\"{}\" count=\"{}\" tclass=\"0x030200\"/>", gpuBus(p), mesh[g][p]);
      if (kind == 2) out += "<nvlink target=\"fffffff:ffff:ff\" count=\"12\" tclass=\"0x068000\"/>";
      out += "</gpu></pci>\n";
      if (pick(0, 1) == 1) {
        out += fmt::format(
            "<pci busid=\"0002:{:02x}:00.0\" class=\"0x020000\" link_speed=\"16.0 GT/s PCIe\" "
            "link_width=\"16\"><nic><net name=\"n{}\" dev=\"{}\" speed=\"{}\" port=\"1\" guid=\"0x{:x}\" "
            "gdr=\"{}\"/></nic></pci>\n",
            bus++, net, net, pick(1, 4) * 100000, net + 1, pick(0, 1));
        ++net;
      }
    }
    for (; depth > 0; --depth) out += "</pci>\n";
    out += "</cpu>\n";
  }
  return out + "</system>\n";
}

}  // namespace tutti::topology
