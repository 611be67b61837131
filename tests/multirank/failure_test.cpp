// It never hangs and never lies: deaths, calls that do not match, ranks that leave, stay away or are not who
// they say. Times are printed, and bounded only so widely that a hang is told from a slow machine.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <thread>

#include "deaths.hpp"
#include "operations.hpp"
#include "ranks.hpp"

namespace {

using deaths::Board;
using deaths::dieIn;
using deaths::freshBoard;
using deaths::judge;
using deaths::kHangMs;
using deaths::names;
using deaths::nowMs;
using ops::Kind;
using ops::Operation;

int sharedFiles() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    (void)entry;
    ++count;
  }
  return count;
}

struct DeathCase {
  const char* algorithm;
  const char* protocol;
  const char* transport;
  size_t count;
};

void dieDuringAllReduce(const DeathCase& c, int n, int victim, int afterUs) {
  ranks::Settings settings(
      {{"NCCL_ALGO", c.algorithm}, {"NCCL_PROTO", c.protocol}, {"TUTTI_TRANSPORT", c.transport}});
  Board& board = freshBoard();
  const std::string wrong = ranks::asProcesses(
      n,
      [&](int rank, int, ncclComm_t comm) -> std::string {
        std::vector<float> data(c.count, 1);
        if (rank == victim) dieIn(board, afterUs);
        for (;;) {
          ncclResult_t result =
              ncclAllReduce(data.data(), data.data(), data.size(), ncclFloat32, ncclMax, comm, nullptr);
          if (result == ncclSuccess) continue;
          std::string text = judge(board, ncclGetLastError(comm), victim, "AllReduce");
          if (text.empty() && result != ncclRemoteError) text = "the code is " + std::to_string(result);
          ncclResult_t async = ncclSuccess;
          if (text.empty() &&
              (ncclCommGetAsyncError(comm, &async) != ncclSuccess || async != ncclRemoteError))
            text = "the asynchronous error is " + std::to_string(async);
          return text;
        }
      },
      victim);
  printf("  AllReduce %s/%s over %s, rank %d of %d died: last survivor knew after %.1f ms\n", c.algorithm,
         c.protocol, c.transport, victim, n, board.worstMs.load());
  fflush(stdout);  // children inherit what is not written
  EXPECT_EQ(wrong, "");
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Death, DuringAllReduce) {
  const int before = sharedFiles();
  std::mt19937 random(std::random_device{}());
  const DeathCase kCases[] = {{"ring", "Simple", "auto", 300'000},    {"ring", "LL", "auto", 2000},
                              {"tree", "Simple", "auto", 50'000},     {"rd", "Simple", "auto", 50'000},
                              {"oneshot", "LL", "auto", 100},         {"oneshot", "Simple", "auto", 50'000},
                              {"twoshot", "Simple", "auto", 300'000}, {"ring", "Simple", "tcp", 300'000},
                              {"tree", "Simple", "tcp", 1000},        {"rd", "Simple", "tcp", 10}};
  for (const DeathCase& c : kCases) {
    dieDuringAllReduce(c, 4, static_cast<int>(random() % 4), 3000 + static_cast<int>(random() % 30'000));
  }
  EXPECT_EQ(sharedFiles(), before) << "something was left in /dev/shm";
}

TEST(A_Death, DuringEachCollective) {
  for (Kind kind : ops::kCollectives) {
    Board& board = freshBoard();
    Operation o;
    o.kind = kind;
    o.count = 5000;
    o.root = 1;
    const int victim = 2;
    const std::string wrong = ranks::asProcesses(
        3,
        [&](int rank, int n, ncclComm_t comm) -> std::string {
          ops::Part part(o, rank, n);
          if (rank == victim) dieIn(board, 5000);
          for (;;) {
            if (part.issue(comm) == ncclSuccess) continue;
            return judge(board, ncclGetLastError(comm), victim,
                         o.name().substr(0, o.name().find('(')).c_str());
          }
        },
        victim);
    EXPECT_EQ(wrong, "") << o.name();
  }
}

TEST(A_Death, DuringAGroup) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    Board& board = freshBoard();
    const int victim = 0;
    const std::string wrong = ranks::asProcesses(
        3,
        [&](int rank, int n, ncclComm_t comm) -> std::string {
          std::vector<int> in(10'000), out(10'000);
          if (rank == victim) dieIn(board, 5000);
          for (;;) {
            RANK_TRY(ncclGroupStart());
            RANK_TRY(ncclSend(in.data(), in.size(), ncclInt32, (rank + 1) % n, comm, nullptr));
            RANK_TRY(ncclRecv(out.data(), out.size(), ncclInt32, (rank + n - 1) % n, comm, nullptr));
            if (ncclGroupEnd() == ncclSuccess) continue;
            const std::string error = ncclGetLastError(nullptr);
            if (error.find("Send(count 10000, int32, to rank") == std::string::npos &&
                error.find("Recv(count 10000, int32, from rank") == std::string::npos)
              return "does not say which call: " + error;
            return judge(board, error, victim, "");
          }
        },
        victim);
    EXPECT_EQ(wrong, "") << transport;
  }
}

/// All ranks but one that never comes back from a long pause are inside; one more dies meanwhile.
TEST(A_Death, WhileAnotherIsElsewhere) {
  Board& board = freshBoard();
  const std::string wrong = ranks::asProcesses(
      3,
      [&](int rank, int, ncclComm_t comm) -> std::string {
        float value = 1;
        if (rank == 1) dieIn(board, 20'000);
        if (rank == 2) usleep(300'000);
        if (ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr) == ncclSuccess)
          return "succeeded";
        return names(ncclGetLastError(comm), 1) ? "" : ncclGetLastError(comm);
      },
      1);
  EXPECT_EQ(wrong, "");
}

/// Dies at a random moment of bring-up: no rank hangs, and whoever fails names the victim.
TEST(A_Death, InInit) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_INIT_TIMEOUT_MS", "1000"}});
  for (int victim : {1, 0, 3}) {
    for (int afterUs : {0, 2000, 6000}) {
      Board& board = freshBoard();
      const double start = nowMs();
      std::string wrong = ranks::asProcesses(
          4,
          [&](int rank, int, ncclComm_t comm) -> std::string {
            if (rank == victim) kill(getpid(), SIGKILL);  // bring-up was faster than its death
            float value = 1;
            return ranks::failure(
                "AllReduce", ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr), comm);
          },
          victim,
          [&](int rank) {
            if (rank == victim) dieIn(board, afterUs);
          });
      int complaints = 0;
      size_t at = 0;
      for (size_t end; (end = wrong.find('\n', at)) != std::string::npos; at = end + 1) {
        ++complaints;
        const std::string line = wrong.substr(at, end - at);
        const std::string error = line.substr(line.find(": "));
        // Of the process that made the id nobody may know yet that it is rank 0.
        const bool named =
            names(error, victim) ||
            (victim == 0 && error.find("process that made the unique id") != std::string::npos);
        EXPECT_TRUE(named) << line;
      }
      EXPECT_EQ(complaints, 3) << wrong;
      EXPECT_LT(nowMs() - start, kHangMs);
    }
  }
}

TEST(A_Death, AtTeardown) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    const double start = nowMs();
    // Whatever the destroy of the others says, it returns.
    std::string wrong = ranks::asProcesses(
        3,
        [&](int rank, int, ncclComm_t comm) -> std::string {
          float value = 1;
          for (int i = 0; i < 5; ++i)
            RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclMax, comm, nullptr));
          if (rank == 1) kill(getpid(), SIGKILL);
          return "";
        },
        1);
    EXPECT_TRUE(wrong.empty() || names(wrong, 1)) << wrong;
    EXPECT_LT(nowMs() - start, kHangMs) << transport;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// calls that do not match

struct Mismatch {
  const char* name;
  Operation usual, odd;  ///< what rank 1 of 3 calls instead
};

std::vector<Mismatch> mismatches() {
  auto make = [](Kind kind, size_t count, ncclDataType_t type, int op, int root) {
    Operation o;
    o.kind = kind;
    o.count = count;
    o.type = type;
    o.op = op;
    o.root = root;
    return o;
  };
  const Operation usual = make(Kind::AllReduce, 100, ncclFloat32, ncclSum, 0);
  return {
      {"count", usual, make(Kind::AllReduce, 101, ncclFloat32, ncclSum, 0)},
      {"type", usual, make(Kind::AllReduce, 100, ncclInt32, ncclSum, 0)},
      {"op", usual, make(Kind::AllReduce, 100, ncclFloat32, ncclMax, 0)},
      {"order", usual, make(Kind::AllGather, 100, ncclFloat32, ncclSum, 0)},
      {"much more", usual, make(Kind::AllReduce, 2'000'000, ncclFloat32, ncclSum, 0)},
      {"much less", make(Kind::AllReduce, 2'000'000, ncclFloat32, ncclSum, 0), usual},
      {"root", make(Kind::Broadcast, 100, ncclFloat32, ncclSum, 0),
       make(Kind::Broadcast, 100, ncclFloat32, ncclSum, 1)},
      {"root of Reduce", make(Kind::Reduce, 5000, ncclFloat32, ncclSum, 0),
       make(Kind::Reduce, 5000, ncclFloat32, ncclSum, 2)},
      {"nothing", usual, make(Kind::AllReduce, 0, ncclFloat32, ncclSum, 0)},
      {"AlltoAll", make(Kind::AlltoAll, 64, ncclInt8, ncclSum, 0),
       make(Kind::AlltoAll, 65, ncclInt8, ncclSum, 0)},
      {"Gather, Scatter", make(Kind::Gather, 64, ncclInt8, ncclSum, 0),
       make(Kind::Scatter, 64, ncclInt8, ncclSum, 0)},
  };
}

std::string callWrong(const Mismatch& m, int callsBefore, int rank, int n, ncclComm_t comm) {
  float value = 1;
  for (int i = 0; i < callsBefore; ++i) RANK_TRY(ops::Part(m.usual, rank, n).issue(comm));
  for (int i = 0; i < 3; ++i) RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
  const double start = nowMs();
  ops::Part part(rank == 1 ? m.odd : m.usual, rank, n);
  ncclResult_t result = part.issue(comm);
  // A rank that had nothing to wait for is told at its next call.
  if (result == ncclSuccess) result = ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr);
  const std::string error = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + " (" + error + ")";
  if (!names(error, 1) || !(names(error, 0) || names(error, 2))) return "does not name both: " + error;
  if (nowMs() - start > kHangMs) return "took " + std::to_string(nowMs() - start) + " ms";
  return "";
}

using Runner = std::string (*)(int n, const ranks::Body& body);
std::string threads(int n, const ranks::Body& body) {
  return ranks::asThreads(n, body);
}
std::string processes(int n, const ranks::Body& body) {
  return ranks::asProcesses(n, body);
}

void runMismatches(Runner runner, const char* algorithm, const char* transport, int callsBefore = 0) {
  ranks::Settings settings({{"NCCL_ALGO", algorithm}, {"TUTTI_TRANSPORT", transport}});
  for (const Mismatch& m : mismatches()) {
    EXPECT_EQ(
        runner(3, [&](int rank, int n, ncclComm_t comm) { return callWrong(m, callsBefore, rank, n, comm); }),
        "")
        << m.name << ", NCCL_ALGO=" << algorithm << ", " << transport;
  }
}

TEST(B_Mismatch, Processes) {
  runMismatches(processes, "", "auto");
}
TEST(B_Mismatch, ProcessesByTcp) {
  runMismatches(processes, "", "tcp");
}
TEST(B_Mismatch, AfterManyGoodCalls) {  // ranks that only send no longer wait then
  runMismatches(processes, "", "auto", 40);
}

/// Two calls in another order on one rank, each of which finds its counterpart: no rank may take the data of
/// one Gather for that of another.
std::string changesOrder(int rank, int n, ncclComm_t comm) {
  Operation operation;
  operation.kind = Kind::Gather;
  operation.count = 4;
  operation.root = 1;
  auto gather = [&] { return ops::Part(operation, rank, n).issue(comm); };
  float value = 1;
  auto add = [&] { return ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr); };
  for (int i = 0; i < 40; ++i) {
    RANK_TRY(gather());
    RANK_TRY(add());
  }
  ncclResult_t result = rank == 1 ? add() : gather();
  if (result == ncclSuccess) result = rank == 1 ? gather() : add();
  for (int i = 0; i < 3 && result == ncclSuccess; ++i) result = add();
  const std::string error = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + " (" + error + ")";
  return names(error, 1) ? "" : "does not name rank 1: " + error;
}
TEST(B_Mismatch, OrderAfterManyGoodCalls) {
  EXPECT_EQ(ranks::asProcesses(3, changesOrder), "");
}
// -----------------------------------------------------------------------------------------------------------
// ranks that leave or stay away

std::string oneLeaves(int rank, int, ncclComm_t comm) {
  float value = 1;
  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
  if (rank == 1) return "";  // destroys
  ncclResult_t result = ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr);
  const std::string error = ncclGetLastError(comm);
  if (result == ncclSuccess) return "succeeded without rank 1";
  return names(error, 1) ? "" : "does not name rank 1: " + error;
}
TEST(B_Leaving, Processes) {
  EXPECT_EQ(ranks::asProcesses(3, oneLeaves), "");
}
TEST(B_Leaving, ProcessesByTcp) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", "tcp"}});
  EXPECT_EQ(ranks::asProcesses(3, oneLeaves), "");
}

std::string oneIsLate(int rank, int, ncclComm_t comm) {
  float value = 1;
  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
  for (int ms = 0; rank == 1 && ms < kHangMs; ++ms) {  // until the others have given up
    ncclResult_t async = ncclSuccess;
    if (ncclCommGetAsyncError(comm, &async) != ncclSuccess || async != ncclSuccess) break;
    usleep(1000);
  }
  ncclResult_t result = ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr);
  const std::string error = ncclGetLastError(comm);
  if (result == ncclSuccess) return "there was no time-out";
  return names(error, 1) ? "" : "does not name rank 1: " + error;
}
TEST(B_Timeout, NamesTheMissingRank) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TIMEOUT_MS", "500"}});
  EXPECT_EQ(ranks::asProcesses(3, oneIsLate), "");
}

// ---------------------------------------------------------------------------------------------------------------
// the same between threads; all forks are behind us

TEST(C_Mismatch, Threads) {
  runMismatches(threads, "", "auto");
}
TEST(C_Mismatch, ThreadsRing) {
  runMismatches(threads, "ring", "auto");
}
TEST(C_Mismatch, ThreadsByTcp) {
  runMismatches(threads, "", "tcp");
}

TEST(C_Mismatch, SendAndReceive) {
  EXPECT_EQ(
      ranks::asThreads(2,
                       [](int rank, int, ncclComm_t comm) -> std::string {
                         int buffer[40] = {};
                         ncclResult_t result = rank == 0 ? ncclSend(buffer, 20, ncclInt32, 1, comm, nullptr)
                                                         : ncclRecv(buffer, 40, ncclInt32, 0, comm, nullptr);
                         if (rank == 0 && result == ncclSuccess) return "";  // buffered: it was gone
                         std::string error = ncclGetLastError(comm);
                         if (result != ncclInvalidUsage) return std::to_string(result) + " " + error;
                         return names(error, 0) && names(error, 1) ? "" : "does not name both: " + error;
                       }),
      "");
}

TEST(C_Leaving, Threads) {
  EXPECT_EQ(ranks::asThreads(3, oneLeaves), "");
}
TEST(C_Timeout, NamesTheMissingRank) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TIMEOUT_MS", "500"}});
  EXPECT_EQ(ranks::asThreads(3, oneIsLate), "");
}

// ---------------------------------------------------------------------------------------------------------------
// bring-up

struct Claim {
  int rank, nRanks;
};
/// The errors of threads that make those claims with one id.
std::vector<std::string> join(const std::vector<Claim>& claims) {
  ncclUniqueId id;
  if (ncclGetUniqueId(&id) != ncclSuccess) return {};
  std::vector<std::string> errors(claims.size());
  std::vector<std::thread> team;
  for (size_t i = 0; i < claims.size(); ++i) {
    team.emplace_back([&, i] {
      ncclComm_t comm = nullptr;
      errors[i] = ranks::failure("init", ncclCommInitRank(&comm, claims[i].nRanks, id, claims[i].rank));
      if (comm != nullptr) ncclCommDestroy(comm);
    });
  }
  for (std::thread& thread : team) thread.join();
  return errors;
}

TEST(C_Init, MissingRanksAreNamed) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_INIT_TIMEOUT_MS", "700"}});
  const double start = nowMs();
  for (const std::string& error : join({{0, 5}, {1, 5}, {3, 5}})) {
    EXPECT_NE(error.find("2"), std::string::npos) << error;
    EXPECT_NE(error.find("4"), std::string::npos) << error;
  }
  EXPECT_LT(nowMs() - start, kHangMs);
}

TEST(C_Init, TwoWithOneNumber) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_INIT_TIMEOUT_MS", "2000"}});
  for (const std::string& error : join({{0, 3}, {1, 3}, {1, 3}}))
    EXPECT_TRUE(names(error, 1)) << "\"" << error << "\"";
}

TEST(C_Init, DifferentNumbersOfRanks) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_INIT_TIMEOUT_MS", "2000"}});
  for (const std::string& error : join({{0, 3}, {1, 3}, {2, 4}})) {
    EXPECT_NE(error.find("3"), std::string::npos) << error;
    EXPECT_NE(error.find("4"), std::string::npos) << error;
  }
}

}  // namespace
