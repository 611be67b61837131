// The order that places give ranks.
#include "topology/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "machines.hpp"
#include "topology/analysis.hpp"

namespace tutti::topology {
namespace {

/// A host with `packages` of two NUMA nodes, each with two L3s of `cores`.
HostCores serverCores(int packages, int cores) {
  HostCores all;
  for (int cpu = 0; cpu < packages * 4 * cores; ++cpu) {
    const int l3 = cpu / cores;
    all.cores.push_back({cpu, cpu, l3, l3 / 2, l3 / 4});
  }
  all.l3Groups = packages * 4;
  all.numaNodes = packages * 2;
  all.packages = packages;
  return all;
}

std::string serverXml(const HostCores& all) {
  std::string text = "<system version=\"1\">\n";
  for (int numa = 0; numa < all.numaNodes; ++numa) {
    text += fmt::format(
        "<cpu numaid=\"{}\" affinity=\"ff\" arch=\"x86_64\" vendor=\"AuthenticAMD\" familyid=\"25\" "
        "modelid=\"17\">",
        numa);
    for (int l3 = 2 * numa; l3 < 2 * numa + 2; ++l3) {
      text += fmt::format("<l3 id=\"{}\">", l3);
      for (const HostCore& c : all.cores)
        if (c.l3 == l3) text += fmt::format("<core cpu=\"{}\"/>", c.cpu);
      text += "</l3>";
    }
    text += "</cpu>\n";
  }
  return text + "</system>\n";
}

Cluster clusterOf(const std::string& xml, int hosts, const FabricFile& fabric = {}) {
  Topology t = readTopologyText(xml, "server").value();
  std::vector<MachineNote> notes;
  std::vector<std::string> names;
  std::string text;
  for (int h = 0; h < hosts; ++h) {
    names.push_back("host" + std::to_string(h));
    notes.push_back(noteOf(t, names.back(), text).value());
  }
  return mergeCluster(notes, std::vector<std::string>{text}, names, fabric).value();
}

std::vector<int> searchedRing(const Graph& kind) {
  Graph graph = kind;
  auto analysis = analyse(graph, {}, 1, false);
  for (const ChannelGraph& g : analysis->graphs)
    if (g.pattern == Pattern::Ring) return g.orders[0];
  return {};
}

std::vector<int> shuffled(int n, uint32_t seed) {
  std::vector<int> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(seed));
  return numbers;
}

int changes(const OrderedRanks& ordered, const RankPlaces& ranks, int32_t RankPlace::*level) {
  int count = 0;
  for (size_t p = 0; p < ordered.rankAt.size(); ++p) {
    const size_t next = (p + 1) % ordered.rankAt.size();
    count += ranks.places[ordered.rankAt[p]].*level != ranks.places[ordered.rankAt[next]].*level;
  }
  return count;
}

TEST(Placement, BoundRanksGoRoundL3ByL3AndNodeByNode) {
  for (auto [packages, cores] : {std::pair{1, 2}, {2, 4}, {4, 6}}) {
    const HostCores all = serverCores(packages, cores);
    Cluster c = clusterOf(serverXml(all), 1);
    const int n = static_cast<int>(all.cores.size());
    RankPlaces ranks;
    ranks.hostOf.assign(static_cast<size_t>(n), 0);
    for (int cpu : shuffled(n, 11)) ranks.places.push_back(placeOf(all, std::vector<int>{cpu}));
    OrderedRanks ordered = orderRanks(c, ranks, [&](int kind) { return searchedRing(c.kinds[kind]); });
    EXPECT_FALSE(ordered.byNumber);
    EXPECT_EQ(changes(ordered, ranks, &RankPlace::l3), all.l3Groups);
    EXPECT_EQ(changes(ordered, ranks, &RankPlace::numa), all.numaNodes);
    EXPECT_EQ(changes(ordered, ranks, &RankPlace::package), packages > 1 ? packages : 0);
    // Groups are what separates ranks first, and lie in one piece.
    std::set<int> seen(ordered.groupAt.begin(), ordered.groupAt.end());
    EXPECT_EQ(seen.size(), static_cast<size_t>(packages > 1 ? packages : all.numaNodes));
  }
}

TEST(Placement, RanksThatMayRunAnywhereKeepTheirNumbers) {
  const HostCores all = serverCores(2, 4);
  Cluster c = clusterOf(serverXml(all), 1);
  std::vector<int> everywhere(all.cores.size());
  std::iota(everywhere.begin(), everywhere.end(), 0);
  RankPlaces ranks;
  ranks.hostOf.assign(8, 0);
  ranks.places.assign(8, placeOf(all, everywhere));
  EXPECT_EQ(ranks.places[0], RankPlace());
  bool searched = false;
  OrderedRanks ordered = orderRanks(c, ranks, [&](int) {
    searched = true;
    return std::vector<int>();
  });
  EXPECT_TRUE(ordered.byNumber);
  EXPECT_FALSE(searched) << "nothing to search for: it costs time at init";
}

TEST(Placement, RanksOfOneCacheNeedNoSearch) {
  const HostCores all = serverCores(1, 4);
  Cluster c = clusterOf(serverXml(all), 1);
  RankPlaces ranks;
  ranks.hostOf.assign(4, 0);
  for (int cpu : {3, 1, 0, 2}) ranks.places.push_back(placeOf(all, std::vector<int>{cpu}));
  OrderedRanks ordered = orderRanks(c, ranks, [](int) -> std::vector<int> {
    ADD_FAILURE() << "searched";
    return {};
  });
  EXPECT_TRUE(ordered.byNumber);
}

TEST(Placement, HostsAreGoneThroughSiteBySite) {
  const HostCores all = serverCores(1, 2);
  auto fabric = parseFabricFile(
      R"({"hosts": {"host0": {"site": "a"}, "host1": {"site": "b"}, "host2": {"site": "a"}, "host3": {"site": "b"}}})",
      "f");
  Cluster c = clusterOf(serverXml(all), 4, *fabric);
  RankPlaces ranks;
  for (int r = 0; r < 12; ++r) ranks.hostOf.push_back(r % 4);
  ranks.places.resize(12);
  OrderedRanks ordered = orderRanks(c, ranks, [](int) { return std::vector<int>(); });
  EXPECT_EQ(ordered.rankAt, (std::vector<int>{0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11}));
  EXPECT_EQ(ordered.groupAt, (std::vector<int>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
}

TEST(Placement, AsManyRanksAsGpusFollowTheGpuRing) {
  Topology t = load("rccl-topo_8p_rome_n4-as-nv");
  Cluster c = clusterOf(writeXml(t.xml), 1);
  RankPlaces ranks;
  ranks.hostOf.assign(8, 0);
  ranks.places.resize(8);
  OrderedRanks ordered = orderRanks(c, ranks, [&](int kind) { return searchedRing(c.kinds[kind]); });
  EXPECT_EQ(ordered.rankAt, searchedRing(c.kinds[0]));
  EXPECT_FALSE(ordered.byNumber);
  OrderedRanks again = orderRanks(c, ranks, [&](int kind) { return searchedRing(c.kinds[kind]); });
  EXPECT_EQ(ordered.hash(), again.hash());
  std::swap(again.rankAt[0], again.rankAt[1]);
  EXPECT_NE(ordered.hash(), again.hash());
}

TEST(Placement, APlaceIsWhatAllAllowedCpusShare) {
  const HostCores all = serverCores(2, 4);
  EXPECT_EQ(placeOf(all, std::vector<int>{5}), (RankPlace{5, 1, 0, 0}));
  EXPECT_EQ(placeOf(all, std::vector<int>{0, 1, 5}), (RankPlace{0, -1, 0, 0}));
  EXPECT_EQ(placeOf(all, std::vector<int>{3, 12}), (RankPlace{3, -1, -1, 0}));
  EXPECT_EQ(placeOf(all, std::vector<int>{3, 31}), RankPlace());
  EXPECT_EQ(placeOf(all, std::vector<int>{900}), RankPlace());
}

TEST(Placement, EqualMachinesWithDifferentGuidsAreOneKind) {
  auto withGuid = [](const std::string& a, const std::string& b) {
    std::string text;
    return noteOf(
               readTopologyText("<system version=\"1\"><cpu numaid=\"0\" arch=\"arm64\"><l3 id=\"0\"><core "
                                "cpu=\"0\"/></l3><nic><net name=\"x\" dev=\"0\" speed=\"100000\" guid=\"" +
                                    a + "\"/><net name=\"y\" dev=\"1\" speed=\"100000\" guid=\"" + b +
                                    "\"/></nic></cpu></system>",
                                "m")
                   .value(),
               "h", text)
        .value()
        .machine;
  };
  EXPECT_EQ(withGuid("0x1234", "0x5678"), withGuid("0x9999", "0x1"));
  EXPECT_NE(withGuid("0x1234", "0x5678"), withGuid("0x9999", "0x9999"))
      << "two ports of one wire are another machine";
}

}  // namespace
}  // namespace tutti::topology
