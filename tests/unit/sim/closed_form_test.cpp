// Times of the algorithms on ideal links are those that LogGP says, to the picosecond.
#include <gtest/gtest.h>

#include "sim/simulate.hpp"

namespace tutti::sim {
namespace {

using namespace algos;  // NOLINT

// o of sender and receiver, L, G and reduction, in picoseconds (per byte).
constexpr TimePs kSend = 300'000, kRecv = 200'000, kLatency = 1'500'000, kPerByte = 20, kReduce = 5;

Options options() {
  Options o;
  o.costs.sendUs = 0.3;
  o.costs.recvUs = 0.2;
  o.costs.reduceGBps = 200;
  return o;
}

struct Case {
  int n;
  Algorithm algorithm;
  Collective collective;
  size_t count;  // floats
};

Workload workloadOf(const Case& c, size_t slotBytes = 1 << 20) {
  Request r;
  r.collective = c.collective;
  r.nRanks = c.n;
  r.count = c.count;
  Limits limits;
  limits.slotBytes = slotBytes;
  return Workload::single(r, c.algorithm, Protocol::Simple, limits);
}

TimePs timeOf(const Case& c, IdealNetwork::Shape shape = {50, 1.5, 0}, Options o = options()) {
  IdealNetwork network(c.n, shape);
  o.split = true;
  auto report = simulate(network, workloadOf(c), o);
  EXPECT_TRUE(report.ok()) << report.error().message();
  if (!report.ok()) return -1;
  const Split& s = report->split;
  EXPECT_EQ(s.latency + s.wire + s.work + s.wait, report->end);
  o.split = false;
  auto plain = simulate(network, workloadOf(c), o);
  EXPECT_EQ(plain->end, report->end) << "tracking the split changed the time";
  return report->end;
}

TEST(ClosedForm, RingAllReduce) {
  for (int n : {2, 3, 4, 8, 17, 64}) {
    const TimePs bytes = 16 * 40, hop = kLatency + bytes * kPerByte;
    const TimePs expected = kSend + (n - 1) * (hop + kRecv + kSend + bytes * kReduce) +
                            (n - 2) * (hop + kRecv + kSend) + hop + kRecv;
    EXPECT_EQ(timeOf({n, Algorithm::Ring, Collective::AllReduce, static_cast<size_t>(n) * 160}), expected)
        << n;
  }
}

TEST(ClosedForm, RingReduceScatterAndAllGather) {
  for (int n : {2, 5, 16}) {
    const TimePs bytes = 4 * 1000, hop = kLatency + bytes * kPerByte;
    EXPECT_EQ(timeOf({n, Algorithm::Ring, Collective::ReduceScatter, 1000}),
              kSend + (n - 1) * (hop + kRecv + bytes * kReduce) + (n - 2) * kSend);
    EXPECT_EQ(timeOf({n, Algorithm::Ring, Collective::AllGather, 1000}),
              kSend + (n - 1) * (hop + kRecv) + (n - 2) * kSend);
  }
}

TEST(ClosedForm, RecursiveDoubling) {
  for (int n : {2, 4, 8, 64, 256}) {
    const TimePs bytes = 4 * 1024;
    const int steps = __builtin_ctz(static_cast<unsigned>(n));
    EXPECT_EQ(timeOf({n, Algorithm::RecursiveDoubling, Collective::AllReduce, 1024}),
              steps * (kSend + kLatency + bytes * kPerByte + kRecv + bytes * kReduce))
        << n;
  }
  // 6 ranks: two hand theirs to a partner first and get the result last. At distance 2 the partners without
  // such an extra have sent long ago: no hop, but their message met the one of distance 1 at rank 0's door.
  const TimePs bytes = 4 * 1024, wire = bytes * kPerByte, hop = kLatency + wire,
               fold = kRecv + bytes * kReduce;
  EXPECT_EQ(timeOf({6, Algorithm::RecursiveDoubling, Collective::AllReduce, 1024}),
            2 * (kSend + hop + fold) + wire + kSend + fold + kSend + hop + kRecv);
}

TEST(ClosedForm, TreeBroadcastAndReduce) {
  for (int depth : {1, 2, 3, 6}) {
    const int n = (2 << depth) - 1;
    const TimePs bytes = 4 * 512, wire = bytes * kPerByte;
    // The second child's message leaves behind the first one's.
    EXPECT_EQ(timeOf({n, Algorithm::Tree, Collective::Broadcast, 512}),
              2 * kSend + depth * (2 * wire + kLatency) + (depth - 1) * (kRecv + 2 * kSend) + kRecv)
        << n;
    EXPECT_EQ(timeOf({n, Algorithm::Tree, Collective::Reduce, 512}),
              kSend + depth * (2 * wire + kLatency + 2 * kRecv + 2 * bytes * kReduce) + (depth - 1) * kSend)
        << n;
  }
}

TEST(ClosedForm, DoubleTreeAllReduce) {
  // Wide links: the two trees do not meet.
  for (int depth : {1, 2, 5}) {
    const int n = (2 << depth) - 1;
    const TimePs half = 4 * 512 * kReduce;
    const TimePs up = kSend + depth * (kLatency + 2 * kRecv + 2 * half) + (depth - 1) * kSend;
    const TimePs down = 2 * kSend + (depth - 1) * (kLatency + kRecv + 2 * kSend) + kLatency + kRecv;
    EXPECT_EQ(timeOf({n, Algorithm::Tree, Collective::AllReduce, 1024}, {0, 1.5, 0}), up + down) << n;
  }
}

/// One exchange of `bytes` with a partner that does the same.
TimePs exchange(TimePs bytes, bool reduces = false) {
  return kSend + kLatency + bytes * kPerByte + kRecv + (reduces ? bytes * kReduce : 0);
}

TEST(ClosedForm, HalvingAndDoubling) {
  for (Algorithm algorithm : {Algorithm::RecursiveHalving, Algorithm::Swing}) {
    for (int n : {2, 4, 16, 128}) {
      const TimePs all = TimePs{4} * 64 * n;
      TimePs expected = 0;
      for (TimePs part = all / 2; part >= all / n; part /= 2)
        expected += exchange(part, true) + exchange(part);
      EXPECT_EQ(timeOf({n, algorithm, Collective::AllReduce, static_cast<size_t>(64) * n}), expected) << n;
    }
  }
}

TEST(ClosedForm, BruckAndPatAllGather) {
  for (Algorithm algorithm : {Algorithm::Bruck, Algorithm::Pat}) {
    for (int n : {2, 4, 32}) {
      TimePs expected = 0;
      for (int blocks = 1; blocks < n; blocks *= 2) expected += exchange(TimePs{4} * 160 * blocks);
      EXPECT_EQ(timeOf({n, algorithm, Collective::AllGather, 160}), expected) << nameOf(algorithm) << n;
    }
  }
}

TEST(ClosedForm, BinomialGather) {
  // Power of two: the root takes subtrees of 1, 2, 4, ... blocks; each has been waiting for its own subtrees.
  for (int n : {2, 4, 16}) {
    TimePs expected = 0;
    for (int blocks = 1; blocks < n; blocks *= 2) expected += exchange(TimePs{4} * 1000 * blocks);
    EXPECT_EQ(timeOf({n, Algorithm::Binomial, Collective::Gather, 1000}), expected) << n;
  }
}

TEST(ClosedForm, HierarchicalAllReduce) {
  // Ring in each host, halving and doubling along rails, ring again: the sum of the three.
  const int perHost = 4, hosts = 8, n = perHost * hosts;
  const TimePs share = TimePs{4} * 64 * hosts;  // of a rank of each host
  Request r;
  r.nRanks = n;
  r.count = static_cast<size_t>(64) * n;
  Limits limits;
  limits.slotBytes = 1 << 20;
  limits.ranksPerHost = perHost;
  IdealNetwork network(n, {50, 1.5, 0});
  auto report =
      simulate(network, Workload::single(r, Algorithm::Hierarchical, Protocol::Simple, limits), options());
  ASSERT_TRUE(report.ok());
  const TimePs hop = kLatency + share * kPerByte;
  const TimePs scatter = kSend + (perHost - 1) * (hop + kRecv + share * kReduce) + (perHost - 2) * kSend;
  const TimePs gather = kSend + (perHost - 1) * (hop + kRecv) + (perHost - 2) * kSend;
  TimePs between = 0;
  for (TimePs part = share / 2; part >= share / hosts; part /= 2)
    between += exchange(part, true) + exchange(part);
  EXPECT_EQ(report->end, scatter + between + gather);
}

TEST(ClosedForm, Boards) {
  for (int n : {2, 4, 8}) {
    Request r;
    r.nRanks = n;
    r.count = static_cast<size_t>(64) * n;
    Limits limits;
    limits.boards = true;
    const TimePs all = TimePs{4} * 64 * n, block = all / n;
    auto timeBy = [&](Algorithm a) {
      IdealNetwork network(n, {50, 1.5, 0});
      auto report = simulate(network, Workload::single(r, a, Protocol::Simple, limits), options());
      EXPECT_TRUE(report.ok());
      return report->end;
    };
    // What is read comes through the reader's link, one vector after the other. All begin with rank 0, whose
    // link serves them in turn: the last one starts n-2 vectors late.
    const int others = n - 1;
    const auto readAll = [&](TimePs bytes) {
      return kLatency + (others + n - 2) * bytes * kPerByte + others * (kRecv + bytes * kReduce);
    };
    EXPECT_EQ(timeBy(Algorithm::OneShot), kSend + readAll(all));
    EXPECT_EQ(timeBy(Algorithm::TwoShot),
              kSend + readAll(block) + kSend + others * (kLatency + block * kPerByte + kRecv));
  }
}

TEST(ClosedForm, PairwiseAllToAll) {
  for (int n : {2, 3, 8, 33}) {
    const TimePs wire = 4 * 16384 * kPerByte;
    ASSERT_GT(wire, kSend + kRecv);
    EXPECT_EQ(timeOf({n, Algorithm::Pairwise, Collective::AllToAll, 16384}),
              kSend + (n - 1) * wire + kLatency + kRecv)
        << n;
  }
}

TEST(ClosedForm, PipelinedChain) {
  // Broadcast by a chain: fill, then one chunk after the other as the wire lets them pass.
  const int n = 5;
  const size_t chunk = 1 << 16;
  const int chunks = 40;
  IdealNetwork network(n, {50, 0, 0});
  Options o;  // no work at all
  auto report = simulate(
      network, workloadOf({n, Algorithm::Ring, Collective::Broadcast, chunk / 4 * chunks}, chunk), o);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->end, static_cast<TimePs>(chunk) * kPerByte * (chunks + n - 2));
  EXPECT_EQ(report->messages, static_cast<uint64_t>(chunks) * (n - 1));
}

TEST(ClosedForm, GapsPerMessage) {
  // g bounds small messages: n-1 of them leave one rank.
  Options o;
  IdealNetwork network(9, {0, 1.5, 2});
  Request r;
  r.collective = Collective::Scatter;
  r.nRanks = 9;
  r.count = 1;
  auto report = simulate(network, Workload::single(r, Algorithm::Pairwise, Protocol::Simple, {}), o);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->end, 8 * 2'000'000 + kLatency);
}

}  // namespace
}  // namespace tutti::sim
