// What makes large runs small gives the times of the full run: symmetry, rounds left out, schemes passed
// over.
#include <gtest/gtest.h>

#include "sim/scenario.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::sim {
namespace {

Scenario scenarioOf(int machines, size_t bytes) {
  auto t = topology::readTopologyFile(std::string(TUTTI_TEST_DATA "/topology/dgx-h100.xml"));
  EXPECT_TRUE(t.ok());
  Scenario s;
  s.cluster = clusterOf(std::move(t->graph), machines);
  s.request.nRanks = 8 * machines;
  setSize(s.request, bytes);
  return s;
}

struct Played {
  Prepared prepared;
  Report report;
};
Played runOf(const Scenario& s, const std::string& scheme, TimePs stopAfter = kUnknown) {
  auto network = makeNetwork(s);
  EXPECT_TRUE(network.ok());
  auto prepared = prepare(s, *schemeFromName(scheme), **network);
  EXPECT_TRUE(prepared.ok()) << prepared.error().message();
  prepared->options.stopAfter = stopAfter;
  auto report = simulate(**network, prepared->workload, prepared->options);
  EXPECT_TRUE(report.ok()) << report.error().message();
  return {std::move(*prepared), std::move(*report)};
}

TEST(Scale, OneRankOfEachMachineStandsForAll) {
  for (const char* scheme : {"tree", "hier", "2level-tree", "2level-ring"}) {
    for (int machines : {3, 8, 32, 64}) {
      if (machines == 64 && std::string(scheme) == "2level-ring") continue;
      Scenario s = scenarioOf(machines, 24 << 20);
      s.symmetry = Scenario::Symmetry::Off;
      const Played full = runOf(s, scheme);
      s.symmetry = Scenario::Symmetry::On;
      const Played folded = runOf(s, scheme);
      EXPECT_TRUE(folded.prepared.symmetric);
      EXPECT_EQ(folded.prepared.options.fold, 8);
      EXPECT_LT(folded.report.messages * 7, full.report.messages);
      // On one leaf per rail ways are equal; beyond, hashed ways of eight rails collide otherwise than one's.
      // In trees, messages that come at the same time go in another order.
      const double tolerance = machines > 32 ? 0.05 : std::string(scheme) == "tree" ? 0.03 : 1e-9;
      EXPECT_NEAR(static_cast<double>(folded.report.end) / static_cast<double>(full.report.end), 1, tolerance)
          << scheme << " on " << machines << " machines";
    }
  }
}

TEST(Scale, FoldingIsExactWhereNoTwoMessagesTie) {
  Scenario s = scenarioOf(16, 24 << 20);
  for (const char* scheme : {"hier", "2level-tree"}) {
    s.symmetry = Scenario::Symmetry::Off;
    const Played full = runOf(s, scheme);
    s.symmetry = Scenario::Symmetry::On;
    EXPECT_EQ(runOf(s, scheme).report.end, full.report.end) << scheme;
  }
}

TEST(Scale, MachinesWithSharedNicsAreNotFolded) {
  auto t = topology::readTopologyFile(std::string(TUTTI_TEST_DATA "/topology/azure-ncv4.xml"));
  ASSERT_TRUE(t.ok());
  Scenario s;
  s.cluster = clusterOf(std::move(t->graph), 8);
  auto network = makeNetwork(s);
  ASSERT_TRUE(network.ok());
  EXPECT_EQ((*network)->folds(), 0);
  s.symmetry = Scenario::Symmetry::On;
  setSize(s.request, 1 << 20);
  EXPECT_FALSE(prepare(s, *schemeFromName("tree"), **network).ok());
  Scenario torus = scenarioOf(8, 1 << 20);
  torus.machines.fabric = FabricKind::Torus;
  EXPECT_EQ((*makeNetwork(torus))->folds(), 0) << "rails of a torus share links";
}

TEST(Scale, RoundsLeftOutTakeWhatTheOthersTook) {
  for (int machines : {8, 32}) {
    Scenario s = scenarioOf(machines, 256 << 20);
    s.symmetry = Scenario::Symmetry::Off;
    const Played full = runOf(s, "hier");
    s.symmetry = Scenario::Symmetry::Auto;
    s.mostMessages = full.report.messages / 20;
    const Played part = runOf(s, "hier");
    EXPECT_GT(part.report.skippedRounds, 20u);
    EXPECT_NEAR(static_cast<double>(part.report.end) / static_cast<double>(full.report.end), 1, 0.002);
    EXPECT_NE(roundsNote(part.prepared.options, part.report).find("steady state"), std::string::npos);
    EXPECT_TRUE(roundsNote(full.prepared.options, full.report).empty());
  }
}

TEST(Scale, NoSchemeIsFasterThanItsLeastTime) {
  const Scenario s = scenarioOf(8, 64 << 20);
  auto network = makeNetwork(s);
  ASSERT_TRUE(network.ok());
  for (const Scheme& scheme : schemesFor(s, **network)) {
    auto least = leastUs(s, scheme, **network);
    ASSERT_TRUE(least.ok()) << least.error().message();
    EXPECT_GT(*least, 0) << scheme.name;
    EXPECT_LE(*least, usFromPs(runOf(s, scheme.name).report.end)) << scheme.name;
  }
}

TEST(Scale, StopsWhenItTakesLonger) {
  const Scenario s = scenarioOf(4, 16 << 20);
  const Played full = runOf(s, "tree");
  EXPECT_FALSE(runOf(s, "tree", full.report.end).report.stopped);
  const Played cut = runOf(s, "tree", full.report.end / 2);
  EXPECT_TRUE(cut.report.stopped);
  EXPECT_LT(cut.report.events, full.report.events);
}

TEST(Scale, AHundredThousandRanksArePlanned) {
  const Scenario s = scenarioOf(16384, size_t{1} << 30);
  auto network = makeNetwork(s);
  ASSERT_TRUE(network.ok());
  for (const char* scheme : {"tree", "hier", "2level", "ring"}) {
    auto prepared = prepare(s, *schemeFromName(scheme), **network);
    ASSERT_TRUE(prepared.ok()) << scheme << ": " << prepared.error().message();
    EXPECT_TRUE(prepared->symmetric) << scheme;
  }
}

}  // namespace
}  // namespace tutti::sim
