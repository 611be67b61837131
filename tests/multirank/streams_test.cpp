// Host streams and nonblocking communicators: order, overlap, errors.
#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ops::Operation;
using ops::Part;

cudaStream_t asCuda(tuttiStream_t stream) {
  return reinterpret_cast<cudaStream_t>(stream);
}

std::string checkAll(const std::vector<std::unique_ptr<Part>>& parts) {
  for (auto& part : parts) {
    if (std::string wrong = part->check(); !wrong.empty()) return wrong;
  }
  return "";
}

/// Random collectives, dealt to `streams` streams in turn; every few in a group.
std::string playOnStreams(int rank, int n, ncclComm_t comm, int streams, uint32_t seed) {
  std::vector<tuttiStream_t> stream(streams);
  for (tuttiStream_t& s : stream) RANK_TRY(tuttiStreamCreate(&s));
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Part>> parts;
  for (int i = 0; i < 150; ++i) {
    const bool group = random() % 3 == 0;
    const size_t size = group ? 1 + random() % 4 : 1;
    if (group) RANK_TRY(ncclGroupStart());
    for (size_t k = 0; k < size; ++k) {
      Operation o = ops::randomOperation(random, n, 3000);
      const size_t which = random() % streams;
      // Alone, a rank's send to itself lacks its receive, and two that exchange would wait for each other.
      if (!group && o.kind == ops::Kind::SendRecv) o.kind = ops::Kind::AllReduce;
      parts.push_back(std::make_unique<Part>(o, rank, n));
      RANK_TRY(parts.back()->issue(comm, asCuda(stream[which])));
    }
    if (group) RANK_TRY(ncclGroupEnd());
  }
  for (tuttiStream_t s : stream) RANK_TRY(tuttiStreamSynchronize(s));
  if (std::string wrong = checkAll(parts); !wrong.empty()) return wrong;
  for (tuttiStream_t s : stream) RANK_TRY(tuttiStreamDestroy(s));
  return "";
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Processes, OneStream) {
  EXPECT_EQ(ranks::asProcesses(2, [](int r, int n, ncclComm_t c) { return playOnStreams(r, n, c, 1, 11); }),
            "");
}
TEST(A_Processes, ThreeStreamsKeepTheOrderOfTheCalls) {
  EXPECT_EQ(ranks::asProcesses(3, [](int r, int n, ncclComm_t c) { return playOnStreams(r, n, c, 3, 12); }),
            "");
}
TEST(B_Threads, OneStream) {
  EXPECT_EQ(ranks::asThreads(4, [](int r, int n, ncclComm_t c) { return playOnStreams(r, n, c, 1, 13); }),
            "");
}
TEST(B_Threads, ThreeStreamsKeepTheOrderOfTheCalls) {
  EXPECT_EQ(ranks::asThreads(3, [](int r, int n, ncclComm_t c) { return playOnStreams(r, n, c, 3, 14); }),
            "");
}

TEST(B_Threads, StreamThenBlockingCallKeepTheOrder) {
  EXPECT_EQ(ranks::asThreads(2,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               tuttiStream_t stream = nullptr;
                               RANK_TRY(tuttiStreamCreate(&stream));
                               for (int i = 0; i < 200; ++i) {
                                 Operation a, b;
                                 a.count = 500;
                                 b.kind = ops::Kind::AllGather;
                                 b.count = 70;
                                 Part first(a, rank, n), second(b, rank, n);
                                 RANK_TRY(first.issue(comm, asCuda(stream)));
                                 RANK_TRY(second.issue(comm));
                                 RANK_TRY(tuttiStreamSynchronize(stream));
                                 if (std::string wrong = first.check() + second.check(); !wrong.empty())
                                   return wrong;
                               }
                               RANK_TRY(tuttiStreamDestroy(stream));
                               return "";
                             }),
            "");
}

TEST(B_Threads, TwoCommunicatorsOnTwoStreams) {
  EXPECT_EQ(ranks::asThreads(3,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               ncclComm_t second = nullptr;
                               RANK_TRY(ncclCommSplit(comm, 0, rank, &second, nullptr));
                               std::string wrong[2];
                               std::thread other([&] { wrong[1] = playOnStreams(rank, n, second, 2, 21); });
                               wrong[0] = playOnStreams(rank, n, comm, 2, 22);
                               other.join();
                               RANK_TRY(ncclCommDestroy(second));
                               return wrong[0] + wrong[1];
                             }),
            "");
}

TEST(B_Threads, CallbacksRunInOrder) {
  struct Seen {
    const float* result;
    float value;
    std::atomic<int> calls;
  };
  EXPECT_EQ(ranks::asThreads(
                2,
                [](int, int n, ncclComm_t comm) -> std::string {
                  tuttiStream_t stream = nullptr;
                  RANK_TRY(tuttiStreamCreate(&stream));
                  float value = 1;
                  Seen seen{&value, 0, 0};
                  auto look = [](void* arg) {
                    auto* s = static_cast<Seen*>(arg);
                    s->value = *s->result;
                    ++s->calls;
                  };
                  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, asCuda(stream)));
                  RANK_TRY(tuttiStreamAddCallback(stream, look, &seen));
                  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, asCuda(stream)));
                  RANK_TRY(tuttiStreamSynchronize(stream));
                  RANK_TRY(tuttiStreamQuery(stream));
                  RANK_TRY(tuttiStreamDestroy(stream));
                  if (seen.calls != 1 || seen.value != static_cast<float>(n))
                    return "the callback saw " + std::to_string(seen.value);
                  return value == static_cast<float>(n * n) ? "" : "wrong sum";
                }),
            "");
}

TEST(B_Threads, AStreamThatIsNoneIsAnError) {
  EXPECT_EQ(
      ranks::asThreads(2,
                       [](int, int, ncclComm_t comm) -> std::string {
                         float value = 1;
                         auto* stranger = reinterpret_cast<cudaStream_t>(0x1234560);
                         ncclResult_t result =
                             ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, stranger);
                         if (result != ncclInvalidArgument && result != ncclInvalidUsage)
                           return "taken: " + std::to_string(result);
                         RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
                         return "";
                       }),
      "");
}

/// Waits until the communicator says something else than "in progress".
ncclResult_t settle(ncclComm_t comm) {
  for (int i = 0; i < 20'000; ++i) {
    ncclResult_t result = ncclInternalError;
    if (ncclCommGetAsyncError(comm, &result) != ncclSuccess) return ncclInternalError;
    if (result != ncclInProgress) return result;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ncclInProgress;
}

bool fine(ncclResult_t result) {
  return result == ncclSuccess || result == ncclInProgress;
}

std::string nonblocking(int rank, int n, const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ncclResult_t result = ncclCommInitRankConfig(&comm, n, id, rank, &config);
  if (!fine(result)) return "init: " + std::to_string(result);
  if (result = settle(comm); result != ncclSuccess) return "init settled as " + std::to_string(result);
  std::mt19937 random(31);
  for (int i = 0; i < 30; ++i) {
    const Operation o = ops::randomOperation(random, n, 2000);
    Part part(o, rank, n);
    if (!fine(ncclGroupStart()) || !fine(part.issue(comm)))
      return "call: " + std::string(ncclGetLastError(comm));
    if (!fine(ncclGroupEnd())) return "group end: " + std::string(ncclGetLastError(comm));
    if (result = settle(comm); result != ncclSuccess) return "call settled as " + std::to_string(result);
    if (std::string wrong = part.check(); !wrong.empty()) return wrong;
  }
  ncclComm_t half = nullptr;
  if (result = ncclCommSplit(comm, rank % 2, rank, &half, nullptr); !fine(result))
    return "split: " + std::to_string(result);
  if (result = settle(comm); result != ncclSuccess) return "split settled as " + std::to_string(result);
  if (half == nullptr) return "split gave nothing";
  if (result = settle(half); result != ncclSuccess) return "the half settled as " + std::to_string(result);
  int size = 0;
  if (ncclCommCount(half, &size) != ncclSuccess || size != (n + 1 - rank % 2) / 2)
    return "the half has " + std::to_string(size) + " ranks";
  float value = 1;
  if (!fine(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, half, nullptr))) return "half: call";
  if (settle(half) != ncclSuccess || value != static_cast<float>(size)) return "half: wrong sum";
  for (ncclComm_t c : {half, comm}) {
    if (!fine(ncclCommFinalize(c))) return "finalize: " + std::string(ncclGetLastError(c));
    if (result = settle(c); result != ncclSuccess) return "finalize settled as " + std::to_string(result);
    if (ncclCommDestroy(c) != ncclSuccess) return "destroy";
  }
  return "";
}

TEST(C_Nonblocking, EveryCallSettles) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  constexpr int kRanks = 3;
  std::vector<std::string> wrong(kRanks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] { wrong[rank] = nonblocking(rank, kRanks, id); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : wrong) EXPECT_EQ(text, "");
}

TEST(C_Nonblocking, InitReturnsBeforeTheOthersCome) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comms[2] = {};
  ASSERT_TRUE(fine(ncclCommInitRankConfig(&comms[0], 2, id, 0, &config)));
  ncclResult_t state = ncclSuccess;
  ASSERT_EQ(ncclCommGetAsyncError(comms[0], &state), ncclSuccess);
  EXPECT_EQ(state, ncclInProgress);
  ASSERT_TRUE(fine(ncclCommInitRankConfig(&comms[1], 2, id, 1, &config)));
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  float values[2] = {1, 2};
  for (int rank : {0, 1}) {
    float* value = &values[rank];
    EXPECT_TRUE(fine(ncclAllReduce(value, value, 1, ncclFloat32, ncclSum, comms[rank], nullptr)));
  }
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[1], 3);
  for (ncclComm_t comm : comms) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

TEST(C_Nonblocking, AbortWhileTheOthersDoNotCome) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ASSERT_TRUE(fine(ncclCommInitRankConfig(&comm, 2, id, 0, &config)));
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
}

}  // namespace
