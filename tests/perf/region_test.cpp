#include "common/region.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::perf {
namespace {

using ::testing::HasSubstr;

/// Memory for a region with its guards.
struct Memory {
  explicit Memory(size_t bytes) : all(bytes + 2 * kGuardBytes) {}
  unsigned char* data() { return all.data() + kGuardBytes; }
  std::vector<unsigned char> all;
};

const Pattern kPattern{DataType::Int32, ReduceOp::Sum, 4, 1};

TEST(Region, LaterPiecesCoverEarlierOnes) {
  Region both(kPattern, 100);
  both.lay({{10, 50, Source::Raw, 1, 0}}, 0);
  both.lay({{20, 10, Source::Raw, 2, 0}}, 0);
  Region apart(kPattern, 100);
  apart.lay({{10, 10, Source::Raw, 1, 0}, {20, 10, Source::Raw, 2, 0}, {30, 30, Source::Raw, 1, 20}}, 0);
  Memory memory(400);
  both.write(memory.data());
  EXPECT_EQ(apart.compare(memory.data(), "it").wrong, 0u);
  Region moved(kPattern, 100);
  moved.lay({{0, 50, Source::Raw, 1, 0}}, 10);
  moved.lay({{0, 10, Source::Raw, 2, 0}}, 20);
  EXPECT_EQ(moved.compare(memory.data(), "it").wrong, 0u);
}

TEST(Region, EveryByteCounts) {
  Region region(kPattern, 100);
  region.lay({{10, 50, Source::Raw, 1, 0}}, 0);
  Memory memory(400);
  region.write(memory.data());
  for (size_t at = 0; at < memory.all.size(); ++at) {
    memory.all[at] ^= 4;
    EXPECT_EQ(region.compare(memory.data(), "it").wrong, 1u) << at;
    memory.all[at] ^= 4;
  }
}

TEST(Region, TheStoryNamesPlaceAndValues) {
  Region region(kPattern, 100);
  region.lay({{10, 50, Source::Raw, 1, 0}}, 0);
  Memory memory(400);
  region.write(memory.data());
  memory.data()[15 * 4] ^= 1;
  EXPECT_THAT(region.compare(memory.data(), "rank 3").story,
              HasSubstr("rank 3: 1 wrong, first at element 15"));
  region.write(memory.data());
  memory.data()[-1] ^= 1;
  EXPECT_THAT(region.compare(memory.data(), "rank 3").story, HasSubstr("must not touch"));
}

TEST(Region, RegionsOfACollective) {
  Collective c{.name = "Test"};
  c.input = [](const Place& p) { return std::vector<Piece>{{0, p.shape.count, Source::Raw, p.rank, 0}}; };
  c.output = [](const Place& p) {
    std::vector<Piece> pieces;
    for (int r = 0; r < p.ranks; ++r) pieces.push_back({r * p.shape.count, p.shape.count, Source::Raw, r, 0});
    return pieces;
  };
  Place place{2, 4, -1, {.send = 10, .receive = 40, .count = 10, .sendInPlace = 10}, 4};

  // In place: rank 2's share lies at its place among the four, the rest is ground before and data after.
  RankRegions regions = regionsOf(c, kPattern, place, true);
  Memory memory(160);
  regions.receiveBefore.write(memory.data());
  EXPECT_EQ(regions.receiveAfter.compare(memory.data(), "").wrong, 30u);
  Stretch(kPattern, Source::Raw, 0, 0, 10).write(memory.data());
  Stretch(kPattern, Source::Raw, 1, 0, 10).write(memory.data() + 40);
  Stretch(kPattern, Source::Raw, 3, 0, 10).write(memory.data() + 120);
  EXPECT_EQ(regions.receiveAfter.compare(memory.data(), "").wrong, 0u);

  regions = regionsOf(c, kPattern, place, false);
  Memory send(40);
  regions.sendBefore.write(send.data());
  EXPECT_EQ(regions.sendBefore.compare(send.data(), "").wrong, 0u);
  EXPECT_EQ(regions.receiveAfter.compare(memory.data(), "").wrong, 0u);
}

}  // namespace
}  // namespace tutti::perf
