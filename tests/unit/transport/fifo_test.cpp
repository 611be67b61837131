// What every transport must do, seen through the two ends of a FIFO: one suite for ranks that are threads,
// ranks that map each other's memory, and ranks on a network.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "transport/links.hpp"
#include "transport/ll.hpp"
#include "unit/control/harness.hpp"

namespace tutti::transport {
namespace {

enum class Way { Thread, Mapped, Tcp };
std::string nameOfWay(const ::testing::TestParamInfo<Way>& way) {
  constexpr const char* kNames[] = {"Thread", "Mapped", "Tcp"};
  return kNames[static_cast<int>(way.param)];
}

template <typename T>
T must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << result.error().message();
  return std::move(result).value();
}

Geometry smallGeometry(int nRanks) {
  Geometry geometry;
  geometry.nRanks = nRanks;
  geometry.depth = 3;
  geometry.slotBytes = 4096;
  geometry.boardBytes = 8192;
  return geometry;
}

/// Rank 0 sends to rank 1.
class FifoTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    registerDoorbells();
    if (GetParam() == Way::Tcp) {
      connectByNetwork();
    } else {
      connectByMemory();
    }
  }
  void TearDown() override {
    for (auto& link : links_) link.reset();
    planes_.clear();
  }

  void connectByMemory() {
    const Geometry geometry = smallGeometry(2);
    for (int rank = 0; rank < 2; ++rank) segments_.push_back(must(Segment::create(99, rank, geometry)));
    std::shared_ptr<Segment> peer0 = segments_[0], peer1 = segments_[1];
    if (GetParam() == Way::Mapped) {
      peer0 = must(Segment::attach(must(segments_[0]->duplicateFd()), 99, 0, geometry));
      peer1 = must(Segment::attach(must(segments_[1]->duplicateFd()), 99, 1, geometry));
      segments_.push_back(peer0);
      segments_.push_back(peer1);
    }
    ownSend_.fifo = peer1->fifo(0, 0);
    ownSend_.receiver = &peer1->doorbell();
    ownRecv_.fifo = segments_[1]->fifo(0, 0);
    ownRecv_.sender = &peer0->doorbell();
    send_ = &ownSend_;
    recv_ = &ownRecv_;
    senderBell_ = &segments_[0]->doorbell();
    receiverBell_ = &segments_[1]->doorbell();
  }

  void connectByNetwork() {
    planes_ = control::testing::makePlanes(2);
    LinkOptions options;
    options.geometry = smallGeometry(2);
    options.forceNetwork = true;
    for (int rank = 0; rank < 2; ++rank) links_[rank] = must(Links::create(*planes_[rank], options));
    control::testing::onThreads(2, [&](int rank) {
      const control::Wait wait = control::testing::within(10'000);
      Status status = rank == 0 ? links_[0]->connectSend(1, 0, wait) : links_[1]->connectRecv(0, 0, wait);
      EXPECT_TRUE(status.ok()) << status.error().message();
    });
    send_ = &links_[0]->sendEnd(0, 1);
    recv_ = &links_[1]->recvEnd(0, 0);
    senderBell_ = &links_[0]->doorbell();
    receiverBell_ = &links_[1]->doorbell();
  }

  /// Sleeps on the bell until `condition` holds. False: it never did.
  template <typename Condition>
  static bool sleepUntil(Doorbell& bell, Condition condition) {
    const Deadline deadline = Deadline::afterMs(20'000);
    while (!condition()) {
      if (deadline.expired()) return false;
      const uint32_t ticket = prepareSleep(bell);
      if (condition()) {
        cancelSleep(bell);
        return true;
      }
      sleep(bell, ticket, 5'000'000'000);
    }
    return true;
  }

  static std::byte byteOf(uint64_t message, size_t i) {
    return static_cast<std::byte>(message * 31 + i * 7 + (i >> 8));
  }
  void sendOne(uint64_t message, size_t bytes) {
    ASSERT_TRUE(sleepUntil(*senderBell_, [&] { return send_->ready(); })) << "message " << message;
    for (size_t i = 0; i < bytes; ++i) send_->slot()[i] = byteOf(message, i);
    send_->publish(bytes, static_cast<uint32_t>(message) ^ 0x5a5a);
  }
  void receiveOne(uint64_t message, size_t bytes) {
    ASSERT_TRUE(sleepUntil(*receiverBell_, [&] { return recv_->peek() != nullptr; }))
        << "message " << message;
    const SlotHeader* header = recv_->peek();
    ASSERT_EQ(header->bytes, bytes) << "message " << message;
    ASSERT_EQ(header->signature, static_cast<uint32_t>(message) ^ 0x5a5a);
    ASSERT_EQ(header->carrier, Carrier::Slot);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(recv_->slot()[i], byteOf(message, i)) << message << ' ' << i;
    recv_->release();
  }

  control::testing::Planes planes_;
  std::unique_ptr<Links> links_[2];
  std::vector<std::shared_ptr<Segment>> segments_;
  SendEnd ownSend_, *send_ = nullptr;
  RecvEnd ownRecv_, *recv_ = nullptr;
  Doorbell *senderBell_ = nullptr, *receiverBell_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Ways, FifoTest, ::testing::Values(Way::Thread, Way::Mapped, Way::Tcp), nameOfWay);

TEST_P(FifoTest, OrderWrapAroundAndOddSizes) {
  const std::vector<size_t> kSizes = {0, 1, 7, 63, 64, 65, 1000, 4095, 4096};
  constexpr uint64_t kMessages = 400;
  auto sizeOf = [&](uint64_t message) { return kSizes[message * 5 % kSizes.size()]; };
  std::thread receiver([&] {
    std::mt19937 random(1);
    for (uint64_t m = 0; m < kMessages && !HasFatalFailure(); ++m) {
      if (random() % 40 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      receiveOne(m, sizeOf(m));
    }
  });
  std::mt19937 random(2);
  for (uint64_t m = 0; m < kMessages && !HasFatalFailure(); ++m) {
    if (random() % 40 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    sendOne(m, sizeOf(m));
  }
  receiver.join();
}

TEST_P(FifoTest, AFullFifoHoldsTheSenderBackAndLosesNothing) {
  uint64_t sent = 0;
  auto blocked = [&] {  // a network takes some more than the FIFO holds
    for (int i = 0; i < 30; ++i) {
      if (send_->ready()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  };
  while (!blocked()) {
    sendOne(sent++, 4096);
    ASSERT_LT(sent, 100'000u);
  }
  EXPECT_GE(sent, 3u);
  if (GetParam() != Way::Tcp) {
    EXPECT_EQ(sent, 3u);
    EXPECT_FALSE(send_->consumed(1));
  }
  for (uint64_t m = 0; m < sent; ++m) receiveOne(m, 4096);
  EXPECT_EQ(recv_->peek(), nullptr);
  EXPECT_TRUE(sleepUntil(*senderBell_, [&] { return send_->consumed(sent); }));
  sendOne(sent, 5);
  receiveOne(sent, 5);
}

TEST_P(FifoTest, TheBellWakesSleepers) {
  for (int turn = 0; turn < 20; ++turn) {
    std::thread receiver([&] { receiveOne(static_cast<uint64_t>(turn), 100); });
    std::this_thread::sleep_for(std::chrono::milliseconds(turn % 3));
    sendOne(static_cast<uint64_t>(turn), 100);
    receiver.join();
  }
}

TEST_P(FifoTest, LLLinesCarryTheirOwnFlags) {
  if (GetParam() == Way::Tcp) GTEST_SKIP() << "lines do not travel over a network";
  constexpr uint32_t kSignature = 77;
  const std::vector<size_t> kSizes = {1, 55, 56, 57, 500, 3584};
  constexpr uint64_t kMessages = 300;
  std::thread receiver([&] {
    std::vector<std::byte> got(4096);
    for (uint64_t m = 0; m < kMessages; ++m) {
      const size_t bytes = kSizes[m % kSizes.size()];
      ASSERT_TRUE(sleepUntil(*receiverBell_, [&] {
        return llCheck(recv_->fifo.ll, recv_->next, kSignature, llLinesFor(bytes), 0, bytes) ==
               LLState::There;
      }));
      llUnpack(got.data(), recv_->llSlot(llLinesFor(bytes)), bytes);
      for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(got[i], byteOf(m, i)) << m << ' ' << i;
      recv_->release();
    }
  });
  std::vector<std::byte> data(4096);
  for (uint64_t m = 0; m < kMessages; ++m) {
    const size_t bytes = kSizes[m % kSizes.size()];
    for (size_t i = 0; i < bytes; ++i) data[i] = byteOf(m, i);
    ASSERT_TRUE(sleepUntil(*senderBell_, [&] { return send_->readyLL(llLinesFor(bytes)); }));
    llPack(send_->llSlot(llLinesFor(bytes)), data.data(), bytes, llFlag(send_->next, kSignature));
    send_->publishLL();
  }
  receiver.join();
}

TEST_P(FifoTest, AnotherSignatureIsSeen) {
  if (GetParam() == Way::Tcp) GTEST_SKIP();
  std::byte data[10] = {};
  llPack(send_->llSlot(1), data, sizeof(data), llFlag(send_->next, 5));
  send_->publishLL();
  auto check = [&](size_t bytes, uint32_t signature) {
    return llCheck(recv_->fifo.ll, recv_->next, signature, llLinesFor(bytes), 0, bytes);
  };
  EXPECT_EQ(check(sizeof(data), 6), LLState::Foreign);
  EXPECT_EQ(check(sizeof(data), 5), LLState::There);
  EXPECT_EQ(check(100, 5), LLState::NotThere);  // the second line may be on its way
  EXPECT_EQ(check(1000, 5), LLState::Foreign);  // so large a message lies elsewhere
}

TEST_P(FifoTest, AnAbortInTheMiddleFreesTheSender) {
  if (GetParam() != Way::Tcp) GTEST_SKIP() << "where memory is shared, the control plane notices";
  sendOne(0, 100);
  receiveOne(0, 100);
  planes_[1]->raise({control::FaultKind::Aborted, 1, "rank 1 aborted"});
  EXPECT_TRUE(control::testing::eventually([&] { return planes_[0]->faultWord().load() != 0; }));
  // Messages that nobody takes any more do not hold up the end.
  for (int i = 0; i < 3 && send_->ready(); ++i) sendOne(send_->next, 4096);
  links_[0].reset();
}

TEST_P(FifoTest, ABrokenConnectionIsAFault) {
  if (GetParam() != Way::Tcp) GTEST_SKIP();
  sendOne(0, 100);
  receiveOne(0, 100);
  links_[0].reset();  // closes without having left the communicator
  EXPECT_TRUE(control::testing::eventually([&] { return planes_[1]->faultWord().load() != 0; }));
  EXPECT_NE(planes_[1]->fault().text.find("rank 0"), std::string::npos) << planes_[1]->fault().text;
}

}  // namespace
}  // namespace tutti::transport
