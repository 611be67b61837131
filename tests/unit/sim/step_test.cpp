// Training steps, explanations, schemes, traces.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sim/explain.hpp"
#include "sim/step_file.hpp"
#include "sim/trace.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::sim {
namespace {

using namespace algos;  // NOLINT

Scenario dgx(int nodes, size_t bytes) {
  Scenario s;
  auto t = topology::readTopologyFile(TUTTI_TEST_DATA "/topology/dgx-h100.xml");
  EXPECT_TRUE(t.ok());
  s.cluster = clusterOf(std::move(t->graph), nodes);
  s.request.nRanks = 8 * nodes;
  setSize(s.request, bytes);
  return s;
}

TEST(StepFile, OverlapByHand) {
  // Two stretches of 100 us; the call after the first one takes 2 * (1 + 10) us: hidden. The last one is not.
  auto step = parseStepFile(R"({"grid": {"dp": 2}, "items": [
    {"name": "a", "compute_us": 100},
    {"name": "ga", "allreduce": "20000", "over": "dp"},
    {"name": "b", "compute_us": 100},
    {"name": "gb", "allreduce": "20000", "over": "dp"},
    {"name": "end", "compute_us": 5, "after": ["gb"]}]})",
                            "x.json", {});
  ASSERT_TRUE(step.ok()) << step.error().message();
  IdealNetwork net(2, {1, 1, 0});
  auto report = simulate(net, step->workload, {});
  ASSERT_TRUE(report.ok()) << report.error().message();
  const StepTimes times = timesOf(*report);
  EXPECT_DOUBLE_EQ(times.computeUs, 205);
  EXPECT_NEAR(times.exposedUs, 22, 0.1);
  EXPECT_NEAR(usFromPs(report->items[1].end), 122, 0.1);
}

TEST(StepFile, GroupsFollowTheGrid) {
  auto step = parseStepFile(R"({"grid": {"pp": 2, "dp": 3, "tp": 4}, "items": [
    {"name": "x", "allreduce": "1M", "over": "dp"},
    {"name": "y", "send": "1M", "over": "pp", "from": 1, "to": 0, "on": {"tp": 2}}]})",
                            "x.json", {});
  ASSERT_TRUE(step.ok()) << step.error().message();
  const Groups& dp = step->workload.items[0].groups;
  EXPECT_EQ(dp.positionIn(17), 1);  // pp 1, dp 1, tp 1
  EXPECT_EQ(dp.member(17, 0), 13);
  EXPECT_EQ(dp.member(17, 2), 21);
  const Groups& pp = step->workload.items[1].groups;
  EXPECT_EQ(pp.positionIn(2), 1);
  EXPECT_EQ(pp.positionIn(14), 0);
  EXPECT_EQ(pp.member(2, 0), 14);
  EXPECT_EQ(pp.positionIn(3), -1) << "only tp 2";
  IdealNetwork net(24, {});
  EXPECT_TRUE(simulate(net, step->workload, {}).ok());
}

TEST(StepFile, ErrorsNameTheLine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{\n\"grid\": {\"a\": 2},\n oops }", "f.json:3: not JSON"},
      {"[]", "f.json:1: not an object"},
      {"{\"grid\": {\"a\": 0}}", "grid: a is not a number from 1"},
      {"{\"grid\": {\"a\": 2},\n\"items\": [\n{\"name\": \"x\", \"compute_us\": -1}]}",
       "f.json:3: x: compute_us"},
      {"{\"grid\": {\"a\": 2},\n\"items\": [\n{\"name\": \"x\", \"allreduce\": \"-4\", \"over\": \"a\"}]}",
       "f.json:3: x: \"-4\" is not a size"},
      {"{\"grid\": {\"a\": 2},\n\"items\": [{\"name\": \"x\", \"allreduce\": \"4K\", \"over\": \"b\"}]}",
       "no axis \"b\""},
      {"{\"grid\": {\"a\": 2},\n\"items\": [{\"name\": \"x\", \"allreduce\": \"4K\", \"over\": \"a\", "
       "\"algo\": \"magic\"}]}",
       "\"magic\" is no algorithm"},
      {"{\"grid\": {\"a\": 2},\n\"items\": [{\"name\": \"x\", \"compute_us\": 1, \"after\": \"y\"}]}",
       "after \"y\""},
      {"{\"grid\": {\"a\": 2}, \"items\": [], \"speed\": 3}", "\"speed\" is not known here"},
  };
  for (const auto& [text, expected] : kCases) {
    auto step = parseStepFile(text, "f.json", {});
    ASSERT_FALSE(step.ok()) << text;
    EXPECT_NE(step.error().message().find(expected), std::string::npos) << step.error().message();
  }
}

TEST(StepFile, ExamplesPlay) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TUTTI_TEST_DATA "/../../examples/steps")) {
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    Limits limits;
    limits.slotBytes = 4 << 20;
    auto step = parseStepFile(text.str(), entry.path().string(), limits);
    ASSERT_TRUE(step.ok()) << step.error().message();
    ASSERT_EQ(step->workload.nRanks, 16) << "two machines of eight";
    auto network = makeNetwork(dgx(2, 1 << 20));
    Options o;
    o.costs = Costs::ofGpu();
    auto report = simulate(**network, step->workload, o);
    ASSERT_TRUE(report.ok()) << entry.path() << ": " << report.error().message();
    EXPECT_GT(timesOf(*report).exposedUs, 0);
    EXPECT_GT(timesOf(*report).computeUs, 0);
    ++found;
  }
  EXPECT_EQ(found, 4);
}

TEST(Schemes, NamesAndErrors) {
  EXPECT_EQ(schemeFromName("tree/ll")->protocol, Protocol::LL);
  EXPECT_TRUE(schemeFromName("2level")->twoLevel);
  EXPECT_EQ(schemeFromName("2level-ring")->algorithm, Algorithm::Ring);
  for (const char* name : {"", "magic", "ring/", "ring/fast", "2level-", "2levelring?"})
    EXPECT_FALSE(schemeFromName(name).ok()) << name;
}

TEST(Schemes, RingUsesAllNics) {
  const Scenario s = dgx(4, size_t{1} << 30);
  auto network = makeNetwork(s);
  ASSERT_TRUE(network.ok());
  auto p = prepare(s, *schemeFromName("ring"), **network);
  ASSERT_TRUE(p.ok()) << p.error().message();
  auto report = simulate(**network, p->workload, p->options);
  ASSERT_TRUE(report.ok());
  Request r = s.request;
  const double busbw = algorithmBytes(r) / usFromPs(report->end) * 1e-3 * busFactor(r);
  EXPECT_GT(busbw, 360) << "8 NICs behind 48 GB/s of PCIe each are 384";
  EXPECT_LT(busbw, 384.1);
}

TEST(Schemes, SymmetryOnMachinesEqualsFullRun) {
  Scenario s = dgx(32, 32 << 20);
  s.slotBytes = 128 << 10;
  auto network = makeNetwork(s);
  s.symmetry = Scenario::Symmetry::Off;
  auto full = prepare(s, *schemeFromName("ring"), **network);
  s.symmetry = Scenario::Symmetry::On;
  auto part = prepare(s, *schemeFromName("ring"), **network);
  ASSERT_TRUE(full.ok() && part.ok());
  EXPECT_TRUE(part->symmetric);
  auto a = simulate(**network, full->workload, full->options);
  auto b = simulate(**network, part->workload, part->options);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NEAR(usFromPs(b->end), usFromPs(a->end), usFromPs(a->end) * 0.01);
  EXPECT_LT(b->events * 10, a->events);
  s.skewUs = 1;
  EXPECT_FALSE(prepare(s, *schemeFromName("ring"), **network).ok()) << "unequal starts have no symmetry";
}

TEST(Explain, SortedSplitAndLeftOut) {
  const Scenario s = dgx(4, 1 << 20);
  auto network = makeNetwork(s);
  auto e = explain(s, **network, {});
  ASSERT_TRUE(e.ok()) << e.error().message();
  ASSERT_GE(e->candidates.size(), 4u);
  EXPECT_EQ(e->candidates[0].verdict, "chosen");
  TimePs last = 0;
  for (const Candidate& c : e->candidates) {
    if (!c.refused.empty()) continue;
    EXPECT_GE(c.time, last);
    last = c.time;
    EXPECT_EQ(c.split.latency + c.split.wire + c.split.work + c.split.wait, c.time);
    EXPECT_FALSE(c.fullestLink.empty());
  }
  const std::string best = e->candidates[0].scheme.name;
  auto without = explain(s, **network, {best});
  ASSERT_TRUE(without.ok());
  EXPECT_NE(without->candidates[0].scheme.name, best);
  EXPECT_FALSE(explain(s, **network, {"magic"}).ok());
}

TEST(Trace, JsonIsWellFormed) {
  Request r;
  r.nRanks = 4;
  r.count = 4000;
  const Workload w = Workload::single(r, Algorithm::Ring, Protocol::Simple, {});
  IdealNetwork net(4, {});
  Trace trace;
  Options o;
  o.costs = Costs::ofGpu();
  o.recorder = &trace;
  auto report = simulate(net, w, o);
  ASSERT_TRUE(report.ok());
  const auto j = nlohmann::json::parse(traceJson(trace, w, net), nullptr, false);
  ASSERT_FALSE(j.is_discarded());
  EXPECT_TRUE(j["otherData"]["simulation"].get<bool>());
  size_t plays = 0;
  bool named = false;
  for (const auto& e : j["traceEvents"]) {
    plays += e["ph"] == "X" && e["pid"].get<int>() < 4;
    named = named || e["name"] == "recvReduceSend";
  }
  EXPECT_EQ(plays, 4u * 7);
  EXPECT_TRUE(named);
  const std::string page = tracePage(trace, w, net, "a <ring>", *report);
  EXPECT_NE(page.find("simulation, not a measurement"), std::string::npos);
  EXPECT_NE(page.find("a &lt;ring>"), std::string::npos);
  Trace small(3);
  o.recorder = &small;
  EXPECT_TRUE(simulate(net, w, o).ok());
  EXPECT_EQ(small.plays().size(), 3u);
  EXPECT_GT(small.lost(), 0u);
}

}  // namespace
}  // namespace tutti::sim
