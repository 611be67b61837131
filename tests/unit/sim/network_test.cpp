// Contention by hand, determinism, dead links, deadlocks.
#include <gtest/gtest.h>

#include <map>

#include "sim/simulate.hpp"

namespace tutti::sim {
namespace {

using namespace algos;  // NOLINT

/// A network written down link by link.
class HandMade : public Network {
 public:
  explicit HandMade(int nRanks) : nRanks_(nRanks) {}
  uint32_t link(const std::string& name, double gbps, double latencyUs) {
    names_.push_back(name);
    return addLink(gbps, latencyUs);
  }
  void way(int from, int to, Route route) { ways_[{from, to}].push_back(std::move(route)); }

  int nRanks() const override { return nRanks_; }
  uint64_t ways(int from, int to) const override { return std::max<size_t>(1, ways_.at({from, to}).size()); }
  void route(int from, int to, uint64_t way, Route& out) const override {
    const Route& r = ways_.at({from, to})[way];
    out.insert(out.end(), r.begin(), r.end());
  }
  std::string linkName(uint32_t link) const override { return names_[link]; }
  std::string describe() const override { return "hand-made"; }

 private:
  int nRanks_;
  std::vector<std::string> names_;
  std::map<std::pair<int, int>, std::vector<Route>> ways_;
};

Workload gather(int n, size_t bytes) {
  Request r;
  r.collective = Collective::Gather;
  r.nRanks = n;
  r.count = bytes;
  r.type = DataType::Int8;
  Limits limits;
  limits.slotBytes = 1 << 20;
  return Workload::single(r, Algorithm::Pairwise, Protocol::Simple, limits);
}

constexpr size_t kBytes = 1000;

TEST(Contention, FirstComeFirstServed) {
  // Ranks 1 and 2 reach a shared link after 1 us and 5 us; it needs 10 us for a message, the last one 1 us.
  HandMade net(3);
  const uint32_t near = net.link("near", 1000, 1), far = net.link("far", 1000, 5);
  const uint32_t shared = net.link("shared", 0.1, 2), last = net.link("last", 1, 0);
  net.way(1, 0, {near, shared, last});
  net.way(2, 0, {far, shared, last});
  auto report = simulate(net, gather(3, kBytes), {});
  ASSERT_TRUE(report.ok()) << report.error().message();
  EXPECT_EQ(report->end, (1 + 10 + 10 + 2) * 1'000'000);
  EXPECT_EQ(net.links()[shared].busy, 20'000'000);
  EXPECT_EQ(net.links()[shared].queued, (11 - 5) * 1'000'000);
  EXPECT_EQ(net.links()[last].busy, 2'000'000) << "a fast link behind a slow one is not kept for longer";
}

TEST(Contention, SplitSaysWhereTheTimeWent) {
  HandMade net(3);
  const uint32_t shared = net.link("shared", 0.1, 2);
  net.way(1, 0, {shared});
  net.way(2, 0, {shared});
  Options o;
  o.split = true;
  o.costs.recvUs = 3;
  auto report = simulate(net, gather(3, kBytes), o);
  ASSERT_TRUE(report.ok());
  // Rank 2's message is due first, but came second: both are then handled at the end.
  EXPECT_EQ(report->end, 28'000'000);
  EXPECT_EQ(report->split.wait, 10'000'000);
  EXPECT_EQ(report->split.wire, 10'000'000);
  EXPECT_EQ(report->split.latency, 2'000'000);
  EXPECT_EQ(report->split.work, 6'000'000);
}

TEST(Contention, AdaptiveTakesTheFreeWayHashedMayCollide) {
  HandMade net(5);
  const uint32_t a = net.link("spine a", 0.1, 0), b = net.link("spine b", 0.1, 0);
  for (int r = 1; r < 5; ++r) {
    net.way(r, 0, {a});
    net.way(r, 0, {b});
  }
  Options o;
  net.adaptive = true;
  EXPECT_EQ(simulate(net, gather(5, kBytes), o)->end, 20'000'000);
  net.adaptive = false;
  std::map<TimePs, int> times;
  for (o.seed = 1; o.seed <= 40; ++o.seed) ++times[simulate(net, gather(5, kBytes), o)->end];
  EXPECT_EQ(times.size(), 3u) << "2, 3 or 4 of the 4 flows on one of the two links";
  EXPECT_EQ(times.begin()->first, 20'000'000);
  EXPECT_EQ(times.rbegin()->first, 40'000'000);
}

TEST(Contention, SharedCoreWorksOneAtATime) {
  Request r;
  r.collective = Collective::AllToAll;
  r.nRanks = 2;
  r.count = 1;
  Options o;
  o.costs.sendUs = o.costs.recvUs = 1;
  IdealNetwork net(2, {0, 0, 0});
  const Workload w = Workload::single(r, Algorithm::Pairwise, Protocol::Simple, {});
  EXPECT_EQ(simulate(net, w, o)->end, 2'000'000);
  o.costs.copyGBps = 4e-3;  // 1 us for 4 bytes: own block, into the slot, out of it
  EXPECT_EQ(simulate(net, w, o)->end, 5'000'000);
  o.costs.lanesShareCore = true;
  EXPECT_EQ(simulate(net, w, o)->end, 5'000'000);
  o.slowRanks = {{1, 3.0}};
  EXPECT_EQ(simulate(net, w, o)->end, 15'000'000);
}

TEST(Boards, OneShotByHand) {
  Request r;
  r.nRanks = 4;
  r.count = 1000;  // 4000 bytes
  Limits limits;
  limits.boards = true;
  Options o;
  o.costs.sendUs = 0.3;
  o.costs.recvUs = 0.2;
  o.costs.copyGBps = 10;
  o.costs.reduceGBps = 5;
  o.costs.handoverUs = 0.1;
  IdealNetwork net(4, {40, 1, 0});
  auto report = simulate(net, Workload::single(r, Algorithm::OneShot, Protocol::Simple, limits), o);
  ASSERT_TRUE(report.ok()) << report.error().message();
  // Publish: o and a copy; the flag; blocks; three o's and reductions. All read in rank order, so that rank
  // 3's blocks leave their publishers last, all at once: it waits two blocks, and takes them one by one.
  EXPECT_EQ(report->end, 300'000 + 400'000 + 100'000 + 1'000'000 + 5 * 100'000 + 3 * (200'000 + 800'000));
}

TEST(Boards, AllBoardPlansEnd) {
  for (int n : {2, 3, 7}) {
    for (size_t count : {1ul, 1000ul, 200'000ul}) {
      for (auto algorithm : {Algorithm::OneShot, Algorithm::TwoShot}) {
        for (int c = 0; c < kCollectiveCount; ++c) {
          Request r;
          r.collective = static_cast<Collective>(c);
          r.nRanks = n;
          r.count = count;
          Limits limits;
          limits.boards = true;
          if (!builderOf(algorithm).supports(r, Protocol::Simple, limits)) continue;
          IdealNetwork net(n, {});
          auto report = simulate(net, Workload::single(r, algorithm, Protocol::Simple, limits), {});
          EXPECT_TRUE(report.ok()) << report.error().message();
        }
      }
    }
  }
}

TEST(Failures, DeadLinkIsNamed) {
  HandMade net(3);
  const uint32_t good = net.link("leaf 1 → spine 2", 1, 1), bad = net.link("leaf 1 → spine 3", 1, 1);
  net.way(1, 0, {good});
  net.way(2, 0, {bad});
  net.links()[bad].dead = true;
  auto report = simulate(net, gather(3, kBytes), {});
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message().find("leaf 1 → spine 3"), std::string::npos) << report.error().message();
  EXPECT_NE(report.error().message().find("rank 2"), std::string::npos);

  net.way(2, 0, {good});
  net.adaptive = true;
  EXPECT_TRUE(simulate(net, gather(3, kBytes), {}).ok()) << "adaptive routing goes round it";
}

TEST(Failures, DeadlockSaysWhoWaitsForWhom) {
  // A ring whose steps receive and send at once cannot go on with one slot.
  Request r;
  r.nRanks = 3;
  r.count = 300;
  Limits limits;
  limits.depth = 1;
  IdealNetwork net(3, {});
  auto report = simulate(net, Workload::single(r, Algorithm::Ring, Protocol::Simple, limits), {});
  ASSERT_FALSE(report.ok());
  const std::string text = report.error().message();
  EXPECT_NE(text.find("deadlock"), std::string::npos);
  EXPECT_NE(text.find("waits for rank 1 to take a message"), std::string::npos) << text;
  EXPECT_NE(text.find("back at rank 0"), std::string::npos) << text;
  EXPECT_NE(text.find("recvReduceSend"), std::string::npos) << text;
}

TEST(Failures, BadInput) {
  Request r;
  r.nRanks = 4;
  IdealNetwork net(2, {});
  EXPECT_FALSE(simulate(net, Workload::single(r, Algorithm::Ring, Protocol::Simple, {}), {}).ok());
  IdealNetwork four(4, {});
  EXPECT_FALSE(simulate(four, Workload::single(r, Algorithm::Pairwise, Protocol::Simple, {}), {}).ok())
      << "pairwise has no AllReduce";
  r.count = 100;
  Options o;
  o.maxEvents = 5;
  EXPECT_FALSE(simulate(four, Workload::single(r, Algorithm::Ring, Protocol::Simple, {}), o).ok());
  EXPECT_FALSE(four.find("no such link").ok());
  EXPECT_EQ(four.find("rank 3 out")->size(), 1u);
}

TEST(Determinism, SameSeedSameRun) {
  for (int n : {7, 24}) {
    Request r;
    r.nRanks = n;
    r.count = 100'000;
    Limits limits;
    limits.slotBytes = 4096;
    Options o;
    o.skewUs = 50;
    o.costs = Costs::ofGpu();
    IdealNetwork net(n, {10, 2, 0.1});
    const Workload w = Workload::single(r, Algorithm::Tree, Protocol::Simple, limits);
    auto a = simulate(net, w, o);
    auto b = simulate(net, w, o);
    EXPECT_EQ(a->end, b->end);
    EXPECT_EQ(a->events, b->events);
    o.seed = 2;
    EXPECT_NE(simulate(net, w, o)->end, a->end) << "another start skew";
  }
}

TEST(Symmetry, RingEqualsFullSimulation) {
  for (int n : {4, 16, 128, 512}) {
    for (auto c : {Collective::AllReduce, Collective::ReduceScatter, Collective::AllGather}) {
      Request r;
      r.collective = c;
      r.nRanks = n;
      r.count = c == Collective::AllReduce ? static_cast<size_t>(n) * 1600 : 1600;
      Limits limits;
      limits.slotBytes = 4096;
      Options o;
      o.costs = Costs::ofGpu();
      IdealNetwork net(n, {25, 2, 0.1});
      const Workload w = Workload::single(r, Algorithm::Ring, Protocol::Simple, limits);
      auto full = simulate(net, w, o);
      for (int period : {1, 4}) {
        o.period = period;
        auto part = simulate(net, w, o);
        ASSERT_TRUE(part.ok()) << part.error().message();
        EXPECT_EQ(part->end, full->end) << n << " ranks, period " << period;
        EXPECT_EQ(part->messages * n / period, full->messages);
      }
    }
  }
}

}  // namespace
}  // namespace tutti::sim
