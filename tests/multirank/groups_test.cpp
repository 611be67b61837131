// Groups: sends and receives, any mix of operations, several communicators in one thread and in several.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ops::Kind;
using ops::Operation;
using ops::Part;
using Parts = std::vector<std::unique_ptr<Part>>;

using Runner = std::string (*)(int n, const ranks::Body& body);
std::string threads(int n, const ranks::Body& body) {
  return ranks::asThreads(n, body);
}
std::string processes(int n, const ranks::Body& body) {
  return ranks::asProcesses(n, body);
}

Operation sendRecv(int from, int to, size_t count, int salt) {
  Operation o;
  o.kind = Kind::SendRecv;
  o.type = ncclInt32;
  o.count = count;
  o.root = from;
  o.to = to;
  o.salt = salt;
  return o;
}

/// Issues all operations in one group, then checks all.
std::string playGroup(const std::vector<Operation>& operations, int rank, int n, ncclComm_t comm) {
  Parts parts;
  for (const Operation& o : operations) parts.push_back(std::make_unique<Part>(o, rank, n));
  RANK_TRY(ncclGroupStart());
  for (auto& part : parts) RANK_TRY(part->issue(comm));
  RANK_TRY(ncclGroupEnd());
  for (auto& part : parts) {
    if (std::string wrong = part->check(); !wrong.empty()) return wrong;
  }
  return "";
}

// 200 000 ints are more than a FIFO holds, so both directions must flow at once.
constexpr size_t kSizes[] = {0, 1, 1000, 200'000};

std::string ring(int rank, int n, ncclComm_t comm) {
  for (size_t count : kSizes) {
    std::vector<Operation> group;
    for (int from = 0; from < n; ++from) group.push_back(sendRecv(from, (from + 1) % n, count, from));
    if (std::string wrong = playGroup(group, rank, n, comm); !wrong.empty()) return wrong;
  }
  return "";
}

std::string allPairsSeveralEach(int rank, int n, ncclComm_t comm) {
  for (size_t count : kSizes) {
    std::vector<Operation> group;
    for (int k = 0; k < 3; ++k) {
      for (int from = 0; from < n; ++from) {
        for (int to = 0; to < n; ++to)
          group.push_back(sendRecv(from, to, count / 3 + static_cast<size_t>(k) * 5, 17 * k + from));
      }
    }
    if (std::string wrong = playGroup(group, rank, n, comm); !wrong.empty()) return wrong;
  }
  return "";
}

/// Outside of groups each call blocks: even ranks send first.
std::string withoutGroup(int rank, int n, ncclComm_t comm) {
  const int peer = rank ^ 1;
  if (peer >= n) return "";
  for (size_t count : kSizes) {
    for (bool sending : {rank<peer, rank> peer}) {
      Part part(sendRecv(sending ? rank : peer, sending ? peer : rank, count, 3), rank, n);
      RANK_TRY(part.issue(comm));
      if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    }
  }
  return "";
}

std::string everythingAtOnce(int rank, int n, ncclComm_t comm) {
  std::vector<Operation> group;
  for (Kind kind : ops::kCollectives) {
    for (size_t count : {size_t{0}, size_t{3}, size_t{5000}}) {
      Operation o;
      o.kind = kind;
      o.count = count;
      o.root = n - 1;
      o.salt = static_cast<int>(count % 7);
      group.push_back(o);
      group.push_back(sendRecv(0, n - 1, count, 1));
      group.push_back(sendRecv(n - 1, 0, count * 2, 2));
      group.push_back(sendRecv(rank, rank, count, 4));
    }
  }
  return playGroup(group, rank, n, comm);
}

std::string manySmall(int rank, int n, ncclComm_t comm) {
  std::vector<Operation> group;
  for (int i = 0; i < 300; ++i) {
    Operation o;
    o.kind = ops::kCollectives[i % 8];
    o.count = static_cast<size_t>(1 + i % 40);
    o.root = i % n;
    o.type = i % 2 == 0 ? ncclFloat32 : ncclInt64;
    o.salt = i % 11;
    group.push_back(o);
  }
  return playGroup(group, rank, n, comm);
}

uint32_t seed() {
  static const uint32_t chosen = [] {
    const char* given = getenv("TUTTI_TEST_SEED");
    uint32_t value =
        given != nullptr ? static_cast<uint32_t>(strtoul(given, nullptr, 0)) : std::random_device()();
    printf("TUTTI_TEST_SEED=%u\n", value);
    fflush(stdout);
    return value;
  }();
  return chosen;
}

std::string randomGroups(int rank, int n, ncclComm_t comm) {
  std::mt19937 random(seed());
  for (int group = 0; group < 25; ++group) {
    std::vector<Operation> operations;
    const size_t size = 1 + random() % 12;
    for (size_t i = 0; i < size; ++i) operations.push_back(ops::randomOperation(random, n, 20'000));
    if (std::string wrong = playGroup(operations, rank, n, comm); !wrong.empty())
      return "group " + std::to_string(group) + " of seed " + std::to_string(seed()) + ": " + wrong;
  }
  return "";
}

struct Subject {
  const char* name;
  std::string (*body)(int rank, int n, ncclComm_t comm);
};
const Subject kSubjects[] = {{"ring", ring},
                             {"allPairsSeveralEach", allPairsSeveralEach},
                             {"withoutGroup", withoutGroup},
                             {"everythingAtOnce", everythingAtOnce},
                             {"manySmall", manySmall},
                             {"randomGroups", randomGroups}};

void runAll(Runner runner, const std::vector<int>& sizes, const std::vector<ranks::Setting>& with) {
  (void)seed();  // drawn once, before any fork
  ranks::Settings settings(with);
  for (int n : sizes) {
    std::string wrong = runner(n, [](int rank, int size, ncclComm_t comm) -> std::string {
      for (const Subject& subject : kSubjects) {
        if (std::string text = subject.body(rank, size, comm); !text.empty())
          return std::string(subject.name) + ": " + text;
      }
      return "";
    });
    EXPECT_EQ(wrong, "") << n << " ranks";
  }
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Processes, BySharedMemory) {
  runAll(processes, {2, 4}, {});
}
TEST(A_Processes, ByReadingTheSender) {
  runAll(processes, {3}, {{"TUTTI_TRANSPORT", "cma"}});
}
TEST(A_Processes, SmallSlots) {
  runAll(processes, {3}, {{"TUTTI_SLOT_BYTES", "4096"}, {"TUTTI_FIFO_DEPTH", "2"}});
}
TEST(A_Processes, ByTcp) {
  runAll(processes, {3}, {{"TUTTI_TRANSPORT", "tcp"}});
}
TEST(B_Threads, DirectPointers) {
  runAll(threads, {1, 2, 3, 5}, {});
}
TEST(B_Threads, WithoutDirectPointers) {
  runAll(threads, {4}, {{"TUTTI_TRANSPORT", "shm"}});
}
TEST(B_Threads, ByTcp) {
  runAll(threads, {2}, {{"TUTTI_TRANSPORT", "tcp"}});
}
TEST(B_Threads, NoSpinning) {
  runAll(threads, {3}, {{"TUTTI_SPIN_US", "0"}});
}

/// All ranks of a communicator in this thread, which must then use groups.
std::string allInOneThread(int n, uint32_t seedHere) {
  std::vector<ncclComm_t> comms(n);
  ncclComm_t comm = nullptr;
  RANK_TRY(ncclCommInitAll(comms.data(), n, nullptr));
  std::mt19937 random(seedHere);
  for (int group = 0; group < 20; ++group) {
    std::vector<Operation> operations;
    const size_t size = 1 + random() % 5;
    for (size_t i = 0; i < size; ++i) operations.push_back(ops::randomOperation(random, n, 10'000));
    std::vector<Parts> parts(n);
    RANK_TRY(ncclGroupStart());
    for (int rank = 0; rank < n; ++rank) {
      for (const Operation& o : operations) {
        parts[rank].push_back(std::make_unique<Part>(o, rank, n));
        RANK_TRY(parts[rank].back()->issue(comms[rank]));
      }
    }
    RANK_TRY(ncclGroupEnd());
    for (Parts& ofRank : parts) {
      for (auto& part : ofRank) {
        if (std::string wrong = part->check(); !wrong.empty())
          return "seed " + std::to_string(seedHere) + ": " + wrong;
      }
    }
  }
  for (ncclComm_t c : comms) RANK_TRY(ncclCommDestroy(c));
  return "";
}

TEST(C_OneThread, HoldsAllRanks) {
  for (int n : {1, 2, 5}) EXPECT_EQ(allInOneThread(n, seed() + static_cast<uint32_t>(n)), "") << n;
}

TEST(C_OneThread, InitRankInAGroup) {
  constexpr int kRanks = 4;
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  std::vector<ncclComm_t> comms(kRanks);
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  for (int rank = 0; rank < kRanks; ++rank)
    ASSERT_EQ(ncclCommInitRank(&comms[rank], kRanks, id, rank), ncclSuccess);
  ASSERT_EQ(ncclGroupEnd(), ncclSuccess) << ncclGetLastError(nullptr);
  std::vector<int> values(kRanks, 1);
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  for (int rank = 0; rank < kRanks; ++rank) {
    ASSERT_EQ(ncclAllReduce(&values[rank], &values[rank], 1, ncclInt32, ncclSum, comms[rank], nullptr),
              ncclSuccess);
  }
  ASSERT_EQ(ncclGroupEnd(), ncclSuccess) << ncclGetLastError(nullptr);
  EXPECT_EQ(values, std::vector<int>(kRanks, kRanks));
  for (ncclComm_t comm : comms) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

TEST(C_OneThread, SeveralThreadsEachWithAllRanks) {
  std::vector<std::string> wrong(4);
  std::vector<std::thread> team;
  for (size_t i = 0; i < wrong.size(); ++i) {
    team.emplace_back([&, i] { wrong[i] = allInOneThread(3, seed() + static_cast<uint32_t>(i)); });
  }
  for (std::thread& thread : team) thread.join();
  for (const std::string& text : wrong) EXPECT_EQ(text, "");
}

/// Each rank has two communicators and uses both in one group, in another order on odd ranks.
TEST(B_Threads, TwoCommunicatorsInOneGroup) {
  EXPECT_EQ(ranks::asThreads(4,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               ncclComm_t second = nullptr;
                               RANK_TRY(ncclCommSplit(comm, 0, n - rank, &second, nullptr));
                               int rank2 = -1;
                               RANK_TRY(ncclCommUserRank(second, &rank2));
                               std::mt19937 random(seed());
                               for (int group = 0; group < 20; ++group) {
                                 Operation one = ops::randomOperation(random, n, 10'000);
                                 Operation two = ops::randomOperation(random, n, 10'000);
                                 Part a(one, rank, n);
                                 Part b(two, rank2, n);
                                 RANK_TRY(ncclGroupStart());
                                 if (rank % 2 == 0) RANK_TRY(a.issue(comm));
                                 RANK_TRY(b.issue(second));
                                 if (rank % 2 == 1) RANK_TRY(a.issue(comm));
                                 RANK_TRY(ncclGroupEnd());
                                 if (std::string wrong = a.check() + b.check(); !wrong.empty()) return wrong;
                               }
                               RANK_TRY(ncclCommDestroy(second));
                               return "";
                             }),
            "");
}

TEST(D_Errors, AFailedCallFailsTheGroupAndHarmsNothing) {
  EXPECT_EQ(ranks::asThreads(2,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               int value = 1;
                               RANK_TRY(ncclGroupStart());
                               RANK_TRY(ncclAllReduce(&value, &value, 1, ncclInt32, ncclSum, comm, nullptr));
                               if (ncclSend(&value, 1, ncclInt32, n, comm, nullptr) != ncclInvalidArgument)
                                 return "a send to a rank that is not there was taken";
                               if (ncclGroupEnd() != ncclInvalidArgument) return "the group did not fail";
                               if (value != 1) return "a call of a failed group was played";
                               Part part(sendRecv(0, 1, 10, 0), rank, n);
                               RANK_TRY(part.issue(comm));
                               return part.check();
                             }),
            "");
}

TEST(D_Errors, SelfSendWithoutReceive) {
  EXPECT_EQ(ranks::asThreads(2,
                             [](int rank, int n, ncclComm_t comm) -> std::string {
                               int value = 1;
                               if (ncclSend(&value, 1, ncclInt32, rank, comm, nullptr) != ncclInvalidUsage)
                                 return "a send to oneself without a receive was taken";
                               return everythingAtOnce(rank, n, comm);
                             }),
            "");
}

TEST(D_Errors, GroupEndWithoutStart) {
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
}

/// More than 2^32 bytes in one call; needs 9 GiB of memory.
TEST(E_Large, MoreThanFourGiB) {
  if (const char* on = getenv("TUTTI_TEST_LARGE"); on == nullptr || strcmp(on, "1") != 0)
    GTEST_SKIP() << "set TUTTI_TEST_LARGE=1";
  constexpr size_t kBytes = (size_t{4} << 30) + 12345;
  EXPECT_EQ(ranks::asThreads(2,
                             [](int rank, int, ncclComm_t comm) -> std::string {
                               std::unique_ptr<char[]> buffer(new char[kBytes]);
                               auto value = [](size_t i) { return static_cast<char>(i >> 7 ^ i >> 32); };
                               if (rank == 0) {
                                 for (size_t i = 0; i < kBytes; ++i) buffer[i] = value(i);
                               }
                               RANK_TRY(ncclBroadcast(buffer.get(), buffer.get(), kBytes, ncclInt8, 0, comm,
                                                      nullptr));
                               for (size_t i = 0; i < kBytes; ++i) {
                                 if (buffer[i] != value(i)) return "byte " + std::to_string(i) + " is wrong";
                               }
                               return "";
                             }),
            "");
}

}  // namespace
