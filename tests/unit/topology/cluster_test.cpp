#include "topology/cluster.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace tutti::topology {
namespace {

struct Exchange {
  std::vector<MachineNote> notes;
  std::vector<std::string> names;
  std::vector<std::string> all;
  void add(const Topology& t, const std::string& name) {
    std::string text;
    notes.push_back(noteOf(t, name, text).value());
    names.push_back(name);
    all.push_back(text);
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (int h : hostsToAsk(notes)) out.push_back(all[static_cast<size_t>(h)]);
    return out;
  }
};

Cluster clusterOf(const std::string& machine, int hosts, const FabricFile& fabric = {}) {
  Exchange e;
  Topology t = load(machine);
  for (int h = 0; h < hosts; ++h) e.add(t, "host" + std::to_string(h));
  EXPECT_EQ(hostsToAsk(e.notes).size(), 1u);
  auto merged = mergeCluster(e.notes, e.texts(), e.names, fabric);
  EXPECT_TRUE(merged.ok()) << merged.error().message();
  return std::move(merged).value();
}

TEST(Cluster, EqualMachinesAreHeldOnceAndRingsKeepTheirRails) {
  for (const char* machine : {"dgx-h100", "azure-ndv5", "dgx-a100", "gb200-nvl72-tray"}) {
    for (int hosts : {2, 3, 4, 5, 7, 8}) {
      Cluster c = clusterOf(machine, hosts);
      EXPECT_EQ(c.kinds.size(), 1u);
      auto plan = planCluster(c, {});
      ASSERT_TRUE(plan.ok()) << plan.error().message();
      EXPECT_EQ(plan->railCrossings, 0) << machine << " " << hosts;
      EXPECT_GE(plan->ringGbps, std::string(machine) == "dgx-h100" || std::string(machine) == "azure-ndv5"
                                    ? 384 - 1e-6
                                    : 192 - 1e-6)
          << machine << " " << hosts;
    }
  }
}

TEST(Cluster, SixteenThousandMachines) {
  Cluster c = clusterOf("dgx-h100", 16384);
  EXPECT_EQ(c.ranks(), 131072);
  auto plan = planCluster(c, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(plan->railCrossings, 0);
  EXPECT_GE(plan->forestGbps, 0.95 * plan->boundGbps);
  EXPECT_LE(plan->trees[0].depth(), 15);
}

TEST(Cluster, SitesAreCrossedOnceEach) {
  auto fabric = parseFabricFile(
      R"({"hosts": {"host0": {"site": "a", "leaf": "l0"}, "host1": {"site": "b", "leaf": "l1"}, "host2": {"site": "a", "leaf": "l2"},
      "host3": {"site": "b", "leaf": "l1"}, "host4": {"site": "a", "leaf": "l0"}, "host5": {"site": "b", "leaf": "l3"}}, "oversubscription": 2, "rail_only": true})",
      "fabric.json");
  ASSERT_TRUE(fabric.ok()) << fabric.error().message();
  Cluster c = clusterOf("dgx-a100", 6, *fabric);
  auto plan = planCluster(c, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->siteCrossings, 2);
  EXPECT_EQ(plan->machineOrder, (std::vector<int>{0, 4, 2, 1, 3, 5}));
  EXPECT_EQ(plan->railCrossings, 0);
}

FabricFile fabricOf(const std::string& json) {
  auto f = parseFabricFile(json, "fabric.json");
  EXPECT_TRUE(f.ok()) << f.error().message();
  return f.ok() ? std::move(f).value() : FabricFile();
}

/// Hosts dealt to `sites` in turn, and within a site to `leaves` in turn.
std::string dealt(int hosts, int sites, int leaves, const std::string& more = "") {
  std::string text = "{\"hosts\": {";
  for (int h = 0; h < hosts; ++h)
    text += fmt::format("{}\"host{}\": {{\"site\": \"s{}\", \"leaf\": \"l{}\"}}", h == 0 ? "" : ", ", h,
                        h % sites, h / sites % leaves);
  return text + "}" + more + "}";
}

TEST(Cluster, RingsCrossBordersTheLeastNumberOfTimesAndTreesOnce) {
  for (int sites : {1, 2, 3, 5}) {
    for (int leaves : {1, 2, 3}) {
      const int hosts = 4 * sites * leaves;
      Cluster c = clusterOf("dgx-a100", hosts, fabricOf(dealt(hosts, sites, leaves)));
      auto plan = planCluster(c, {});
      ASSERT_TRUE(plan.ok()) << plan.error().message();
      EXPECT_EQ(plan->siteCrossings, sites > 1 ? sites : 0);
      EXPECT_EQ(plan->leafCrossings, sites * leaves > 1 ? sites * leaves : 0);
      EXPECT_EQ(plan->railCrossings, 0);
      for (const TreeShape& t : plan->trees) {
        int betweenSites = 0;
        int betweenLeaves = 0;
        for (int h = 0; h < hosts; ++h) {
          if (t.parent[h] < 0) continue;
          const bool site = c.siteOf[h] != c.siteOf[t.parent[h]];
          betweenSites += site;
          betweenLeaves += !site && c.leafOf[h] != c.leafOf[t.parent[h]];
        }
        EXPECT_EQ(betweenSites, sites - 1);
        EXPECT_EQ(betweenLeaves, sites * (leaves - 1));
      }
      for (int h = 0; h < hosts; ++h) {
        int innerIn = 0;
        for (const TreeShape& t : plan->trees) innerIn += !t.children()[h].empty();
        EXPECT_LE(innerIn, 1) << "host " << h << " is inner in both trees";
      }
    }
  }
}

TEST(Cluster, SitesAreGoneRoundTheShortestWay) {
  // Six sites on a circle, named out of order: s0 s3 s1 s4 s2 s5 is the way round.
  const std::vector<int> circle = {0, 3, 1, 4, 2, 5};
  std::string distances = ", \"distances\": {";
  for (size_t i = 0; i < 6; ++i) {
    distances += fmt::format("{}\"s{}\": {{", i == 0 ? "" : ", ", circle[i]);
    for (size_t j = i + 1; j < 6; ++j)
      distances +=
          fmt::format("{}\"s{}\": {}", j == i + 1 ? "" : ", ", circle[j], std::min(j - i, 6 - j + i));
    distances += "}";
  }
  Cluster c = clusterOf("dgx-a100", 12, fabricOf(dealt(12, 6, 1, distances + "}")));
  auto plan = planCluster(c, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(plan->siteCrossings, 6);
  EXPECT_DOUBLE_EQ(plan->siteDistance, 6);
  Cluster blind = clusterOf("dgx-a100", 12, fabricOf(dealt(12, 6, 1)));
  EXPECT_NE(machineOrder(blind), machineOrder(c));
}

TEST(Cluster, OversubscriptionAndSitesLimitTheTotals) {
  auto planned = [&](const std::string& json, int hosts) {
    Cluster c = clusterOf("dgx-a100", hosts, fabricOf(json));
    auto plan = planCluster(c, {});
    EXPECT_TRUE(plan.ok()) << plan.error().message();
    return std::move(plan).value();
  };
  const ClusterPlan free = planned(dealt(8, 1, 4), 8);
  EXPECT_EQ(free.limitedBy, "");
  // Two machines a leaf: 2:1 leaves the ring whole, 4:1 halves it.
  EXPECT_DOUBLE_EQ(planned(dealt(8, 1, 4, ", \"oversubscription\": 2"), 8).ringGbps, free.ringGbps);
  const ClusterPlan narrow = planned(dealt(8, 1, 4, ", \"oversubscription\": 4"), 8);
  EXPECT_DOUBLE_EQ(narrow.ringGbps, free.ringGbps / 2);
  EXPECT_EQ(narrow.limitedBy, "the way out of a leaf switch with 2 machine(s)");
  EXPECT_LE(narrow.boundGbps, free.boundGbps);
  EXPECT_LE(narrow.forestGbps, narrow.boundGbps * (1 + 1e-9));
  const ClusterPlan far = planned(dealt(8, 2, 1, ", \"site_gbps\": 12.5"), 8);
  EXPECT_DOUBLE_EQ(far.ringGbps, 12.5);
  EXPECT_DOUBLE_EQ(far.boundGbps, 4 * 12.5 * 2) << "four machines let in what the other half has";
  EXPECT_NE(far.hash, narrow.hash);
}

TEST(Cluster, RailsOfTheFileCount) {
  Topology t = load("azure-ndv5");
  FabricFile fabric;
  for (int n : t.graph.nets) fabric.rails[t.graph.nodes[n].name] = 7;
  Cluster c = clusterOf("azure-ndv5", 2, fabric);
  for (int n : c.kinds[0].nets) EXPECT_EQ(c.kinds[0].nodes[n].rail, 7);
  auto plan = planCluster(c, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->railCrossings, 0);
}

TEST(Cluster, RailOnlyRefusesWhatWouldLeaveItsRail) {
  Exchange e;
  e.add(load("dgx-h100"), "h");
  e.add(load("dgx-a100"), "a");
  e.add(load("dgx-h100"), "i");
  auto c = mergeCluster(e.notes, e.texts(), e.names, fabricOf("{\"rail_only\": true}"));
  ASSERT_TRUE(c.ok());
  auto plan = planCluster(*c, {});
  if (plan.ok()) {
    EXPECT_EQ(plan->railCrossings, 0);
  } else {
    EXPECT_NE(plan.error().message().find("rail_only"), std::string::npos);
  }
}

TEST(Cluster, UnequalMachinesRunAtTheSlowestsPace) {
  Exchange e;
  e.add(load("dgx-h100"), "h");
  e.add(load("dgx-a100"), "a");
  e.add(load("dgx-h100"), "i");
  EXPECT_EQ(hostsToAsk(e.notes), (std::vector<int>{0, 1}));
  auto c = mergeCluster(e.notes, e.texts(), e.names);
  ASSERT_TRUE(c.ok());
  auto plan = planCluster(*c, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_LE(plan->ringGbps, 192 + 1e-6);
  EXPECT_GT(plan->ringGbps, 100);
}

TEST(Cluster, ADescriptionThatWasNotAnnouncedIsRefused) {
  Exchange e;
  e.add(load("dgx-a100"), "a");
  e.add(load("dgx-h100"), "b");
  std::vector<std::string> texts = e.texts();
  std::swap(texts[0], texts[1]);
  EXPECT_FALSE(mergeCluster(e.notes, texts, e.names).ok());
}

TEST(FabricFile, SaysWhatIsWrong) {
  for (const char* text :
       {"", "[]", "{\"leaves\": 1}", "{\"hosts\": {\"a\": 3}}", "{\"oversubscription\": \"x\"}",
        "{\"rail_only\": 1}", "{\"rails\": {\"mlx5_0\": -1}}", "{\"rails\": 3}",
        "{\"distances\": {\"a\": 4}}", "{\"distances\": {\"a\": {\"b\": -4}}}",
        "{\"hosts\": {\"a\": {\"rack\": \"1\"}}}"}) {
    auto f = parseFabricFile(text, "fabric.json");
    ASSERT_FALSE(f.ok()) << text;
    EXPECT_EQ(f.error().message().find("fabric.json"), 0u);
  }
}

}  // namespace
}  // namespace tutti::topology
