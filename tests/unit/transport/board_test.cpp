// Boards, segments, and shared allocations.
#include "transport/board.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "transport/links.hpp"
#include "unit/control/harness.hpp"

namespace tutti::transport {
namespace {

template <typename T>
T must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << result.error().message();
  return std::move(result).value();
}

Geometry geometryOf(int nRanks) {
  Geometry geometry;
  geometry.nRanks = nRanks;
  geometry.depth = 2;
  geometry.slotBytes = 4096;
  geometry.boardBytes = 4096;
  return geometry;
}

class BoardTest : public ::testing::Test {
 protected:
  static constexpr int kRanks = 3;
  void SetUp() override {
    registerDoorbells();
    for (int rank = 0; rank < kRanks; ++rank)
      segments_.push_back(must(Segment::create(1, rank, geometryOf(kRanks))));
    peers_.resize(kRanks);
    for (int self = 0; self < kRanks; ++self) {
      peers_[self].resize(kRanks);
      for (int peer = 0; peer < kRanks; ++peer) {
        BoardPeer& p = peers_[self][peer];
        p.doorbell = &segments_[peer]->doorbell();
        for (int board = 0; board < kBoards; ++board) {
          p.board[board] = segments_[peer]->board(board);
          p.ackToMe[board] = &segments_[peer]->ack(board, self);
          p.myAck[board] = &segments_[self]->ack(board, peer);
        }
      }
    }
  }

  std::vector<std::shared_ptr<Segment>> segments_;
  std::vector<std::vector<BoardPeer>> peers_;  ///< by who looks
};

TEST_F(BoardTest, ASlotIsReusedOnlyWhenAllHaveReadIt) {
  BoardWriter writer(segments_[0]->board(0), 0, 0);
  for (uint64_t seq = 1; seq <= 2; ++seq) {
    ASSERT_TRUE(writer.ready(peers_[0], seq));
    std::memset(writer.slot(seq), static_cast<int>(seq), 100);
    writer.publish(peers_[0], seq, -1, {.bytes = 100, .signature = 7});
  }
  EXPECT_FALSE(writer.ready(peers_[0], 3));
  acknowledge(peers_[1][0], 0, 1);
  EXPECT_FALSE(writer.ready(peers_[0], 3)) << "rank 2 has not read it";
  const SlotHeader* header = peekBoard(peers_[2][0], 0, 1);
  ASSERT_NE(header, nullptr);
  EXPECT_EQ(header->bytes, 100u);
  EXPECT_EQ(header->signature, 7u);
  EXPECT_EQ(peers_[2][0].board[0].slot(1)[99], std::byte{1});
  acknowledge(peers_[2][0], 0, 1);
  EXPECT_TRUE(writer.ready(peers_[0], 3));
  EXPECT_FALSE(writer.ready(peers_[0], 4));
}

TEST_F(BoardTest, APublicationForOneWaitsForThatOneOnly) {
  BoardWriter writer(segments_[1]->board(1), 1, 1);
  writer.publish(peers_[1], 1, 2, {.bytes = 10, .signature = 7});
  EXPECT_FALSE(writer.ready(peers_[1], 3));
  acknowledge(peers_[0][1], 1, 1);
  EXPECT_FALSE(writer.ready(peers_[1], 3));
  acknowledge(peers_[2][1], 1, 1);
  EXPECT_TRUE(writer.ready(peers_[1], 3));
}

TEST_F(BoardTest, NumbersMayBeSkipped) {
  BoardWriter writer(segments_[0]->board(0), 0, 0);
  writer.publish(peers_[0], 2, -1, {.bytes = 10, .signature = 7});
  EXPECT_EQ(peekBoard(peers_[1][0], 0, 1), nullptr);
  EXPECT_EQ(peekBoard(peers_[1][0], 0, 4), nullptr);
  EXPECT_NE(peekBoard(peers_[1][0], 0, 2), nullptr);
  EXPECT_TRUE(writer.ready(peers_[0], 9)) << "the other slot was never used";
  for (int reader : {1, 2}) acknowledge(peers_[reader][0], 0, 8);  // went on without reading
  EXPECT_TRUE(writer.ready(peers_[0], 10));
}

TEST_F(BoardTest, WriterAndReadersInThreads) {
  constexpr uint64_t kRounds = 3000;
  std::atomic<int> wrong{0};
  control::testing::onThreads(kRanks, [&](int rank) {
    if (rank == 0) {
      BoardWriter writer(segments_[0]->board(0), 0, 0);
      for (uint64_t seq = 1; seq <= kRounds; ++seq) {
        while (!writer.ready(peers_[0], seq)) std::this_thread::yield();
        std::memset(writer.slot(seq), static_cast<int>(seq), 512);
        writer.publish(peers_[0], seq, -1, {.bytes = 512, .signature = 7});
      }
      return;
    }
    for (uint64_t seq = 1; seq <= kRounds; ++seq) {
      while (peekBoard(peers_[rank][0], 0, seq) == nullptr) std::this_thread::yield();
      const std::byte* slot = peers_[rank][0].board[0].slot(seq);
      for (size_t i = 0; i < 512; ++i) wrong += slot[i] != static_cast<std::byte>(seq) ? 1 : 0;
      acknowledge(peers_[rank][0], 0, seq);
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(SegmentTest, OnlyItsOwnKindIsAttached) {
  const Geometry geometry = geometryOf(2);
  auto segment = must(Segment::create(5, 1, geometry));
  auto tryAttach = [&](uint64_t hash, int rank, const Geometry& g) {
    return Segment::attach(must(segment->duplicateFd()), hash, rank, g).ok();
  };
  EXPECT_TRUE(tryAttach(5, 1, geometry));
  EXPECT_FALSE(tryAttach(6, 1, geometry));
  EXPECT_FALSE(tryAttach(5, 0, geometry));
  Geometry larger = geometry;
  larger.slotBytes *= 2;
  EXPECT_FALSE(tryAttach(5, 1, larger));
  Geometry other = geometry;  // as large, but cut differently
  other.depth = 4;
  other.slotBytes = 2048;
  EXPECT_FALSE(tryAttach(5, 1, other));
}

TEST(SegmentTest, PartsDoNotOverlap) {
  for (int n : {1, 2, 5, 64}) {
    const Geometry g = geometryOf(n);
    EXPECT_LE(g.acksOffset() + sizeof(Counter) * kBoards * static_cast<size_t>(n), g.signalsOffset());
    EXPECT_LE(g.signalsOffset() + sizeof(uint64_t) * kSignals * static_cast<size_t>(n), g.boardsOffset());
    std::byte* base = nullptr;
    const FifoView fifo = fifoAt(base, g, n - 1, kChannels - 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(fifo.slots) + g.depth * g.slotBytes, g.totalBytes());
    EXPECT_LE(reinterpret_cast<uintptr_t>(fifo.ll.slot(kLLDepth - 1, g.llLines)) + g.llLines * kLineBytes,
              reinterpret_cast<uintptr_t>(fifo.slots));
    EXPECT_LE(reinterpret_cast<uintptr_t>(fifo.ll.slot(kLLSmallDepth - 1, 1)) + kLLSmallLines * kLineBytes,
              reinterpret_cast<uintptr_t>(fifo.ll.large));
    EXPECT_LE(reinterpret_cast<uintptr_t>(fifo.headers + g.depth),
              reinterpret_cast<uintptr_t>(fifo.ll.small));
    const BoardView board = boardAt(base, g, kBoards - 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(board.slots) + g.boardDepth * g.boardBytes, g.inboxOffset());
  }
}

TEST(SharedMemoryTest, PointersAreFoundInsideTheirAllocation) {
  void* memory = must(allocateShared(10'000));
  auto* bytes = static_cast<std::byte*>(memory);
  for (size_t i = 0; i < 10'000; ++i) ASSERT_EQ(bytes[i], std::byte{0});
  auto spot = findShared(bytes + 100, 50);
  ASSERT_TRUE(spot.has_value());
  EXPECT_EQ(spot->offset, 100u);
  EXPECT_EQ(sharedBase(spot->allocation), memory);
  EXPECT_FALSE(findShared(bytes + 100, 1 << 20).has_value()) << "beyond its end";
  int local = 0;
  EXPECT_FALSE(findShared(&local, 4).has_value());
  EXPECT_FALSE(freeShared(bytes + 1).ok());
  EXPECT_TRUE(freeShared(memory).ok());
  EXPECT_FALSE(freeShared(memory).ok());
  EXPECT_EQ(sharedBase(spot->allocation), nullptr);
  void* again = must(allocateShared(0));
  EXPECT_NE(findShared(again, 0)->allocation, spot->allocation) << "numbers are not used twice";
  EXPECT_TRUE(freeShared(again).ok());
}

TEST(LinksTest, RoutesAndErrors) {
  control::testing::Planes planes = control::testing::makePlanes(2);
  LinkOptions options;
  options.geometry = geometryOf(2);
  {
    std::unique_ptr<Links> links[2] = {must(Links::create(*planes[0], options)),
                                       must(Links::create(*planes[1], options))};
    EXPECT_EQ(links[0]->route(0), Route::Self);
    EXPECT_EQ(links[0]->route(1), Route::Thread);
    EXPECT_TRUE(links[0]->allThreads());
    EXPECT_TRUE(links[1]->connectBoards(control::testing::within(5000)).ok());
    links[1].reset();
    Status gone = links[0]->connectSend(1, 0, control::testing::within(1000));
    ASSERT_FALSE(gone.ok());
    EXPECT_NE(gone.error().message().find("rank 1"), std::string::npos);
  }
}

}  // namespace
}  // namespace tutti::transport
