// Large machines: forests of whole NVLink domains, and how the work grows.
#include <gtest/gtest.h>

#include "machines.hpp"
#include "topology/analysis.hpp"
#include "topology/check.hpp"
#include "topology/cluster.hpp"
#include "topology/work.hpp"

namespace tutti::topology {
namespace {

const ChannelGraph* forestOf(const Analysis& a) {
  for (const ChannelGraph& g : a.graphs)
    if (g.pattern == Pattern::Forest) return &g;
  return nullptr;
}

/// What `work` did.
template <typename Body>
Work workOf(Body body) {
  const Work before = threadWork;
  body();
  return {threadWork.tours - before.tours, threadWork.flows - before.flows,
          threadWork.flowEdges - before.flowEdges};
}

TEST(Large, ForestsOfNvlinkDomainsReachTheirBounds) {
  struct Case {
    const char* tray;
    int trays;
    int lameEvery;
  };
  for (const Case& c : {Case{"gb200-nvl72-tray", 18, 0},
                        {"gb200-nvl72-tray", 9, 0},
                        {"gb200-nvl72-tray", 13, 3},
                        {"dgx-h100", 4, 0},
                        {"dgx-h100", 32, 0}}) {
    for (int nodes : {1, 2, 4}) {
      auto t = readTopologyText(domainOf(c.tray, c.trays, c.lameEvery), "domain");
      ASSERT_TRUE(t.ok()) << t.error().message();
      auto a = analyse(t->graph, {}, nodes, true);
      ASSERT_TRUE(a.ok()) << a.error().message();
      EXPECT_TRUE(a->refused.empty()) << a->refused[0];
      const ChannelGraph* forest = forestOf(*a);
      ASSERT_NE(forest, nullptr) << c.tray << " x " << c.trays;
      EXPECT_GE(forest->totalGbps(), 0.95 * a->bounds.allGather)
          << c.tray << " x " << c.trays << ", " << nodes << " domains";
      EXPECT_LE(forest->totalGbps(), a->bounds.allGather * (1 + 1e-9));
    }
  }
}

TEST(Large, SearchesOfOneMachineAreFewSteps) {
  // 10 ms on one core are about 20 million simple steps; a tour of 8 ranks is some ten thousand, of 16 a
  // hundred thousand.
  for (const std::string& path : allTopologyFiles()) {
    for (int nodes : {1, 2, 4}) {
      auto t = readTopologyFile(path);
      ASSERT_TRUE(t.ok());
      const Work work = workOf([&] { ASSERT_TRUE(analyse(t->graph, {}, nodes, false).ok()); });
      EXPECT_LE(work.tours, 450u) << path << " " << nodes;
      EXPECT_LE(work.flowEdges, 3'000'000u) << path << " " << nodes;
    }
  }
}

TEST(Large, TwoNvl72DomainsAreFewSteps) {
  auto t = readTopologyText(domainOf("gb200-nvl72-tray", 18), "domain");
  ASSERT_TRUE(t.ok());
  const Work work = workOf([&] { ASSERT_TRUE(analyse(t->graph, {}, 2, false).ok()); });
  EXPECT_LE(work.tours, 60u);
  EXPECT_LE(work.flowEdges, 10'000'000u);
}

TEST(Large, WorkDoesNotGrowWithEqualMachines) {
  Topology t = load("dgx-h100");
  std::string text;
  const MachineNote note = noteOf(t, "host", text).value();
  auto planned = [&](int hosts) {
    std::vector<MachineNote> notes(static_cast<size_t>(hosts), note);
    std::vector<std::string> names(static_cast<size_t>(hosts), "host");
    return workOf([&] {
      auto cluster = mergeCluster(notes, std::vector<std::string>{text}, names);
      ASSERT_TRUE(cluster.ok());
      EXPECT_EQ(cluster->kinds.size(), 1u);
      EXPECT_EQ(hostsToAsk(notes).size(), 1u) << "one description travels, not " << hosts;
      auto plan = planCluster(*cluster, {});
      ASSERT_TRUE(plan.ok());
      // What is held per host is a few numbers, not a graph.
      EXPECT_LE(plan->variants.size(), 4u);
      EXPECT_EQ(plan->variantOf.size(), static_cast<size_t>(hosts));
    });
  };
  const Work few = planned(16);
  const Work many = planned(16384);
  EXPECT_LE(many.tours, few.tours);
  EXPECT_LE(many.flows, 4 * few.flows) << "more machines divide into other tree speeds, not a thousand times";
}

}  // namespace
}  // namespace tutti::topology
