#include <gtest/gtest.h>

#include <set>

#include "machines.hpp"
#include "topology/analysis.hpp"
#include "topology/xml_graph.hpp"
#include "topology/xml_hwloc.hpp"

namespace tutti::topology {
namespace {

TEST(NcclXml, ReadsEveryFile) {
  for (const std::string& name : machineNames()) {
    Topology t = load(name);
    EXPECT_GE(t.graph.ranks.size(), 2u) << name;
    for (size_t l = 0; l < t.graph.links.size(); ++l)
      EXPECT_GE(t.graph.reverseOf(static_cast<int>(l)), 0) << name;
  }
}

TEST(NcclXml, WriteReadWriteIsIdentical) {
  for (const std::string& name : machineNames()) {
    std::string once = writeXml(load(name).xml);
    auto again = readTopologyText(once, name);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(writeXml(again->xml), once) << name;
    EXPECT_EQ(again->graph.hash(), load(name).graph.hash()) << name;
  }
}

TEST(NcclXml, EscapesWhatItWrites) {
  auto e = parseXml("<system version=\"1\" name=\"a &lt; &quot;b&quot; &amp; c\"/>", "x");
  ASSERT_TRUE(e.ok());
  EXPECT_EQ(e->get("name"), "a < \"b\" & c");
  EXPECT_EQ(parseXml(writeXml(*e), "x")->get("name"), "a < \"b\" & c");
}

TEST(NcclXml, KeepsAndReportsUnknownTags) {
  auto t = readTopologyText(
      "<system version=\"1\"><cpu numaid=\"0\" arch=\"arm64\"><tpu x=\"1\"/><pci busid=\"0:1:0.0\" "
      "class=\"0x030200\" link_speed=\"\" "
      "link_width=\"0\"><gpu dev=\"0\" sm=\"90\" rank=\"0\" gdr=\"1\"/></pci></cpu></system>",
      "f.xml");
  ASSERT_TRUE(t.ok()) << t.error().message();
  EXPECT_NE(writeXml(t->xml).find("<tpu x=\"1\"/>"), std::string::npos);
  ASSERT_FALSE(t->graph.warnings.empty());
  EXPECT_NE(t->graph.warnings[0].find("tpu"), std::string::npos);
}

/// Whether some warning has that text.
bool warned(const Graph& graph, const std::string& text) {
  for (const std::string& w : graph.warnings)
    if (w.find(text) != std::string::npos) return true;
  return false;
}

TEST(NcclXml, WhatFilesOfRealMachinesGetWrongIsAWarning) {
  auto gpu = [](int n, const std::string& links) {
    return fmt::format(
        "<pci busid=\"0000:{:02x}:00.0\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\">"
        "<gpu dev=\"{}\" sm=\"90\" rank=\"{}\" gdr=\"1\">{}</gpu></pci>",
        n + 1, n, n, links);
  };
  auto nic = [](const char* bus, const char* name, const char* guid) {
    return fmt::format(
        "<pci busid=\"{}\" class=\"0x020700\" link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"><nic><net "
        "name=\"{}\" dev=\"0\" speed=\"200000000\" port=\"1\" guid=\"{}\"/></nic></pci>",
        bus, name, guid);
  };
  const std::string open = "<pci busid=\"0000:c5:00.0\" class=\"0x060400\">";
  auto t = readTopologyText(
      "<system version=\"1\"><cpu numaid=\"0\" arch=\"x86_64\" vendor=\"AuthenticAMD\">\n" + open +
          gpu(0, "<nvlink target=\"0000:02:00.0\" count=\"2\"/>") + "</pci>\n" + open +
          gpu(1, "<nvlink target=\"fffffff:ffff:ff\" count=\"4\"/>") + nic("0000:a0:00.0", "eth0", "0x1") +
          nic("0000:c5:00.0", "mlx5_0", "0x2") + "</pci>\n<pci busid=\"0000:f0:00.0\"/>\n</cpu></system>",
      "real.xml");
  ASSERT_TRUE(t.ok()) << t.error().message();
  const Graph& g = t->graph;
  ASSERT_EQ(g.ranks.size(), 2u);
  EXPECT_TRUE(warned(g, "real.xml:3: bus id 0000:c5:00.0 appears twice"));
  EXPECT_TRUE(warned(g, "net dev 0 appears twice, as eth0 and as mlx5_0"));
  EXPECT_TRUE(warned(g, "0000:f0:00.0 has no class"));
  EXPECT_TRUE(warned(g, "without tclass"));
  ASSERT_EQ(g.nets.size(), 2u);
  EXPECT_EQ(g.nodes[g.nets[0]].dev, 0);
  EXPECT_EQ(g.nodes[g.nets[1]].dev, 1);
  EXPECT_DOUBLE_EQ(g.nodes[g.nets[1]].netGbps, 25000);
  EXPECT_EQ(g.nvswitches.size(), 1u);
  const int direct = g.findLink(g.ranks[0], g.ranks[1], LinkType::Nvl);
  ASSERT_GE(direct, 0);
  EXPECT_DOUBLE_EQ(g.links[direct].gbps, 41.2);
}

TEST(NcclXml, ReadsRcclsFiles) {
  auto machine = [](const char* gcn) {
    std::string text = "<system version=\"2\"><cpu numaid=\"0\" arch=\"x86_64\" vendor=\"AuthenticAMD\">";
    for (int n = 0; n < 2; ++n)
      text += fmt::format(
          "<pci busid=\"0000:0{}:00.0\" class=\"0x120000\" link_speed=\"16 GT/s\" link_width=\"16\"><gpu "
          "dev=\"{}\" sm=\"94\" gcn=\"{}\" rank=\"{}\" gdr=\"1\"><xgmi target=\"0000:0{}:00.0\" count=\"2\" "
          "tclass=\"0x120000\"/></gpu></pci>",
          n, n, gcn, n, 1 - n);
    return readTopologyText(text + "</cpu></system>", "rccl.xml");
  };
  for (auto [gcn, gbps] : {std::pair("906", 48.0), {"gfx90a", 72.0}, {"910", 72.0}, {"gfx942", 96.0}}) {
    auto t = machine(gcn);
    ASSERT_TRUE(t.ok()) << t.error().message();
    const int link = t->graph.findLink(t->graph.ranks[0], t->graph.ranks[1], LinkType::Nvl);
    ASSERT_GE(link, 0) << gcn;
    EXPECT_DOUBLE_EQ(t->graph.links[link].gbps, gbps) << gcn;
    EXPECT_TRUE(t->graph.nvswitches.empty());
  }
}

TEST(NcclXml, HostileFilesAreErrorsWithFileAndLine) {
  const std::string gpu =
      "<pci busid=\"0000:01:00.0\" class=\"0x030200\" link_speed=\"\" link_width=\"0\"><gpu dev=\"0\" "
      "sm=\"90\" rank=\"0\" gdr=\"1\"/></pci>";
  auto machine = [](const std::string& inside) {
    return "<system version=\"1\">\n<cpu numaid=\"0\" arch=\"x86_64\">\n" + inside + "\n</cpu>\n</system>";
  };
  auto nic = [&](const std::string& attributes) { return machine("<nic><net " + attributes + "/></nic>"); };
  struct Case {
    std::string text;
    std::string says;
  };
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "<pci busid=\"0\" class=\"0x060400\">";
  for (int i = 0; i < 5000; ++i) deep += "</pci>";
  const std::vector<Case> cases = {
      {"", ":1:"},
      {"hello", ":1:"},
      {"<system version=\"1\">", ":1:"},
      {"<system version=\"1\"><cpu></system>", ":1:"},
      {"<system version=\"3\"/>", "version 3"},
      {"<graphs version=\"1\"/>", "<system>"},
      {"<system version=\"1\"/>", "no <cpu>"},
      {"<!DOCTYPE a [<!ENTITY x \"yyyy\">]><system version=\"1\">&x;</system>", "entity"},
      {"<!DOCTYPE a [\n<!ENTITY x SYSTEM \"file:///etc/passwd\">]><system>&x;</system>", ":2:"},
      {std::string("<system\0 version=\"1\"/>", 22), "zero byte"},
      {machine(gpu + gpu), "appears twice"},
      {machine("<pci busid=\"zz\" class=\"0x060400\"/>"), ":3:"},
      {machine("<pci busid=\"1\" class=\"0x060400\" link_width=\"-16\"/>"), "not between"},
      {machine("<pci busid=\"1\" class=\"0x060400\" link_width=\"99999999999999999999\"/>"), "not between"},
      {machine("<pci busid=\"1\" class=\"0x060400\" link_width=\"x\"/>"), "not a whole number"},
      {machine(deep), "nested"},
      {machine("<pci busid=\"1\" class=\"0x030200\"><gpu rank=\"0\" sm=\"-1\"/></pci>"), "not between"},
      {machine("<pci busid=\"1\" class=\"0x030200\"><gpu rank=\"0\" sm=\"90\"><nvlink target=\"2\" "
               "count=\"-3\" tclass=\"0x03\"/></gpu></pci>"),
       "not between"},
      {nic("dev=\"0\" speed=\"-5\""), "not between"},
      {nic("dev=\"0\" dev=\"1\""), "twice"},
      {nic("dev=\"0\" latency=\"nan\""), "not a number"},
      {nic("dev=\"0\" guid=\"0x11112222333344445\""), "64-bit"},
      {machine("<nic><net dev=\"0\"/></nic><nic><net dev=\"0\"/></nic>"), "appears twice"},
      {"<system version=\"1\"><cpu numaid=\"0\" arch=\"arm64\"/><cpu numaid=\"0\" arch=\"arm64\"/></system>",
       "appears twice"},
      {"<topology><object type=\"Machine\" cpuset=\"0xzz\"/></topology>", ":1:"},
      {"<topology version=\"2.0\"/>", "no <object>"},
  };
  for (const Case& c : cases) {
    auto t = readTopologyText(c.text, "hostile.xml");
    ASSERT_FALSE(t.ok()) << c.text.substr(0, 200);
    EXPECT_EQ(t.error().message().find("hostile.xml:"), 0u) << t.error().message();
    EXPECT_NE(t.error().message().find(c.says), std::string::npos) << t.error().message();
  }
}

TEST(NcclXml, HugeFilesAreRefusedBeforeTheyAreParsed) {
  XmlLimits limits;
  limits.maxBytes = 1000;
  auto e = parseXml(std::string(1001, ' '), "big.xml", limits);
  ASSERT_FALSE(e.ok());
  limits = {};
  limits.maxElements = 10;
  std::string many = "<system>";
  for (int i = 0; i < 20; ++i) many += "<cpu/>";
  EXPECT_FALSE(parseXml(many + "</system>", "many.xml", limits).ok());
}

TEST(NcclXml, EveryTruncationIsAnErrorOrAMachine) {
  std::string text = *readFileBounded(dataPath("gb200-nvl72-tray"), 1 << 20);
  for (size_t n = 0; n < text.size(); n += 7)
    (void)readTopologyText(std::string_view(text).substr(0, n), "cut.xml");
}

TEST(NcclXml, LinksThatLeadNowhereAreNotUsed) {
  auto t = readTopologyText(
      "<system version=\"1\"><cpu numaid=\"0\" arch=\"x86_64\" vendor=\"AuthenticAMD\"><pci busid=\"1\" "
      "class=\"0x030200\">"
      "<gpu dev=\"0\" rank=\"0\" sm=\"80\"><nvlink target=\"1\" count=\"2\" tclass=\"0x0302\"/><nvlink "
      "target=\"7\" count=\"2\" tclass=\"0x0302\"/></gpu></pci></cpu></system>",
      "f");
  ASSERT_TRUE(t.ok());
  for (const Link& l : t->graph.links) EXPECT_NE(l.type, LinkType::Nvl);
  EXPECT_EQ(t->graph.warnings.size(), 2u);
}

TEST(NcclXml, BareFilesBecomeAMachineWithWarnings) {
  Topology t = load("azure-ndv5-bare");
  EXPECT_EQ(t.graph.ranks.size(), 8u);
  EXPECT_EQ(t.graph.nets.size(), 8u);
  EXPECT_EQ(t.graph.warnings.size(), 16u);
}

TEST(HwlocXml, CoresBecomeRanksWhereThereIsNoGpu) {
  Topology t = load("hwloc-96em64t-4n4d3ca2co-pci");
  EXPECT_TRUE(t.graph.hostRanks);
  EXPECT_EQ(t.graph.ranks.size(), 96u);
  EXPECT_EQ(t.graph.cpus.size(), 4u);
}

TEST(HwlocXml, ReadsVersionOne) {
  auto t = readTopologyText(
      "<topology><object type=\"Machine\" cpuset=\"0x0000000f\"><object type=\"NUMANode\" os_index=\"0\" "
      "cpuset=\"0x00000003\"><object type=\"Socket\" cpuset=\"0x00000003\">"
      "<object type=\"Cache\" depth=\"3\" cpuset=\"0x00000003\"><object type=\"Core\" "
      "cpuset=\"0x00000001\"><object type=\"PU\" os_index=\"0\" cpuset=\"0x00000001\"/></object>"
      "<object type=\"Core\" cpuset=\"0x00000002\"><object type=\"PU\" os_index=\"1\" "
      "cpuset=\"0x00000002\"/></object></object></object></object>"
      "<object type=\"NUMANode\" os_index=\"1\" cpuset=\"0x0000000c\"><object type=\"Core\" "
      "cpuset=\"0x00000004\"/><object type=\"Core\" cpuset=\"0x00000008\"/></object></object></topology>",
      "v1.xml");
  ASSERT_TRUE(t.ok()) << t.error().message();
  EXPECT_EQ(t->graph.ranks.size(), 4u);
  EXPECT_EQ(t->graph.cpus.size(), 2u);
}

/// Graphs mean the same when nodes and links are equal in all that is planned with.
void expectSameMachine(const Graph& a, const Graph& b, const std::string& what) {
  EXPECT_EQ(a.ranks.size(), b.ranks.size()) << what;
  EXPECT_EQ(a.nets.size(), b.nets.size()) << what;
  EXPECT_EQ(a.cpus.size(), b.cpus.size()) << what;
  auto widths = [](const Graph& g) {
    std::multiset<std::string> out;
    for (size_t l = 0; l < g.links.size(); ++l)
      if (g.links[l].type != LinkType::Mem)
        out.insert(fmt::format("{} {:.4f}", g.linkName(static_cast<int>(l)), g.links[l].gbps));
    return out;
  };
  EXPECT_EQ(widths(a), widths(b)) << what;
}

TEST(RoundTrip, AllFilesInNcclsForm) {
  for (const std::string& path : allTopologyFiles()) {
    auto first = readTopologyFile(path);
    ASSERT_TRUE(first.ok()) << first.error().message();
    const std::string once = writeXml(first->xml);
    auto second = readTopologyText(once, "again");
    ASSERT_TRUE(second.ok()) << path << ": " << second.error().message();
    EXPECT_EQ(writeXml(second->xml), once) << path;
    EXPECT_EQ(second->graph.hash(), first->graph.hash()) << path;
  }
}

TEST(RoundTrip, AllFilesInHwlocsForm) {
  for (const std::string& path : allTopologyFiles()) {
    auto first = readTopologyFile(path);
    ASSERT_TRUE(first.ok()) << first.error().message();
    auto once = writeHwlocXml(first->xml, path);
    ASSERT_TRUE(once.ok()) << once.error().message();
    auto second = readTopologyText(*once, "again");
    ASSERT_TRUE(second.ok()) << path << ": " << second.error().message();
    auto twice = writeHwlocXml(second->xml, "again");
    ASSERT_TRUE(twice.ok());
    EXPECT_EQ(*twice, *once) << path;
    expectSameMachine(first->graph, second->graph, path);
  }
}

TEST(RoundTrip, AllGraphsFound) {
  for (const std::string& path : allTopologyFiles()) {
    for (int nodes : {1, 2}) {
      auto t = readTopologyFile(path);
      ASSERT_TRUE(t.ok());
      auto analysis = analyse(t->graph, {}, nodes, false);
      ASSERT_TRUE(analysis.ok());
      const std::string once = writeXml(graphsToXml(analysis->graphs, t->graph));
      auto document = parseXml(once, "again");
      ASSERT_TRUE(document.ok()) << document.error().message();
      auto graphs = readGraphs(*document, t->graph, path);
      ASSERT_TRUE(graphs.ok()) << path << ": " << graphs.error().message();
      EXPECT_EQ(writeXml(graphsToXml(*graphs, t->graph)), once) << path;
    }
  }
}

TEST(RoundTrip, RandomMachines) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    auto first = readTopologyText(randomMachine(seed), "random");
    ASSERT_TRUE(first.ok());
    auto once = writeHwlocXml(first->xml, "random");
    ASSERT_TRUE(once.ok()) << once.error().message();
    auto second = readTopologyText(*once, "again");
    ASSERT_TRUE(second.ok()) << seed << ": " << second.error().message();
    EXPECT_EQ(*writeHwlocXml(second->xml, "again"), *once) << seed;
    expectSameMachine(first->graph, second->graph, std::to_string(seed));
  }
}

TEST(HwlocXml, SeveralMachinesInOneFileAreRefused) {
  auto t = readTopologyText(
      "<system version=\"1\"><cpu host_hash=\"0x1\" numaid=\"0\" arch=\"arm64\"><l3 id=\"0\"><core "
      "cpu=\"0\"/></l3></cpu><cpu host_hash=\"0x2\" numaid=\"0\" arch=\"arm64\"/></system>",
      "two.xml");
  ASSERT_TRUE(t.ok()) << t.error().message();
  auto text = writeHwlocXml(t->xml, "two.xml");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message(), "two.xml: describes 2 machines; an hwloc file holds one");
}

TEST(HwlocXml, BitSets) {
  auto set = parseBitSet("0x00000001,,0x80000000");
  ASSERT_TRUE(set.ok());
  EXPECT_TRUE(set->has(31));
  EXPECT_TRUE(set->has(64));
  EXPECT_FALSE(set->has(32));
  EXPECT_EQ(set->first(), 31);
  EXPECT_EQ(set->text(), "00000001,00000000,80000000");
  EXPECT_FALSE(parseBitSet("0x1zz").ok());
}

TEST(GraphXml, ReadsNcclsFileAndWritesItBackUnchanged) {
  Topology t = load("azure-ncv4");
  auto file = parseXml(*readFileBounded(dataPath("azure-ncv4-graph"), 1 << 20), "graph");
  ASSERT_TRUE(file.ok());
  auto graphs = readGraphs(*file, t.graph, "graph");
  ASSERT_TRUE(graphs.ok()) << graphs.error().message();
  ASSERT_EQ(graphs->size(), 3u);
  EXPECT_EQ((*graphs)[0].pattern, Pattern::Ring);
  EXPECT_EQ((*graphs)[0].orders[1], (std::vector<int>{0, 3, 2, 1}));
  EXPECT_EQ((*graphs)[1].channels(), 4);
  std::string once = writeXml(graphsToXml(*graphs, t.graph));
  auto again = readGraphs(*parseXml(once, "again"), t.graph, "again");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(writeXml(graphsToXml(*again, t.graph)), once);
}

TEST(GraphXml, RefusesChannelsThatAreNoChannels) {
  Topology t = load("azure-ncv4");
  auto read = [&](const std::string& channel) {
    return readGraphs(*parseXml("<graphs version=\"1\"><graph id=\"0\" pattern=\"4\" crossnic=\"0\" "
                                "nchannels=\"1\" speedintra=\"1\" speedinter=\"1\"><channel>" +
                                    channel + "</channel></graph></graphs>",
                                "g"),
                      t.graph, "g");
  };
  EXPECT_TRUE(read("<gpu dev=\"0\"/><gpu dev=\"1\"/><gpu dev=\"2\"/><gpu dev=\"3\"/>").ok());
  EXPECT_FALSE(read("<gpu dev=\"0\"/><gpu dev=\"1\"/><gpu dev=\"2\"/>").ok());
  EXPECT_FALSE(read("<gpu dev=\"0\"/><gpu dev=\"1\"/><gpu dev=\"2\"/><gpu dev=\"2\"/>").ok());
  EXPECT_FALSE(read("<gpu dev=\"0\"/><gpu dev=\"1\"/><gpu dev=\"2\"/><gpu dev=\"9\"/>").ok());
  EXPECT_FALSE(read("<net dev=\"5\"/><gpu dev=\"0\"/><gpu dev=\"1\"/><gpu dev=\"2\"/><gpu dev=\"3\"/>").ok());
}

}  // namespace
}  // namespace tutti::topology
