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
        "{\"rail_only\": 1}", "{\"hosts\": {\"a\": {\"rack\": \"1\"}}}"}) {
    auto f = parseFabricFile(text, "fabric.json");
    ASSERT_FALSE(f.ok()) << text;
    EXPECT_EQ(f.error().message().find("fabric.json"), 0u);
  }
}

}  // namespace
}  // namespace tutti::topology
