// Ranks on two hosts that share nothing but a cable: right results over TCP, and errors in time when the
// cable is cut. Where the test may not make such hosts it is skipped and says why.
#include "two_hosts.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "deaths.hpp"
#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ranks::TwoHosts;

int hostOf(int rank, int n) {
  return rank < n / 2 ? 0 : 1;
}

/// Signs of life each second: a cut is found after three without one.
constexpr const char* kHeartbeatMs = "1000";

class TwoHostsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!hosts_.whyNot().empty()) GTEST_SKIP() << hosts_.whyNot();
  }
  void TearDown() override { ranks::setPlacement({}); }

  /// The first half of n ranks on one host, the others on the other.
  void place(int n) {
    ranks::setPlacement([this, n](int rank) {
      const int host = hostOf(rank, n);
      hosts_.enter(host);
      setenv("NCCL_HOSTID", host == 0 ? "host-a" : "host-b", 1);
      tuttiParamsReload();
    });
  }

  TwoHosts hosts_;
  ranks::Settings settings_{{{"NCCL_SOCKET_IFNAME", TwoHosts::kInterface},
                             {"TUTTI_HEARTBEAT_MS", kHeartbeatMs},
                             {"TUTTI_INIT_TIMEOUT_MS", "20000"}}};
};

/// Every collective, then random groups.
std::string collectives(int rank, int n, ncclComm_t comm) {
  char line[200] = {};
  RANK_TRY(tuttiCommDescribe(comm, line, sizeof(line)));
  const std::string description = line;
  if (description.find("2 hosts") == std::string::npos || description.find("tcp") == std::string::npos)
    return "it is described as " + description;
  if (n > 2 && description.find("shm") == std::string::npos) return "no shared memory: " + description;
  for (ops::Kind kind : ops::kCollectives) {
    for (size_t count : {size_t{0}, size_t{1}, size_t{1000}, size_t{40'000}, size_t{300'001}}) {
      ops::Operation o;
      o.kind = kind;
      o.count = count;
      o.root = n - 1;
      ops::Part part(o, rank, n);
      RANK_TRY(part.issue(comm));
      if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    }
  }
  std::mt19937 random(7);
  for (int group = 0; group < 20; ++group) {
    std::vector<std::unique_ptr<ops::Part>> parts;
    RANK_TRY(ncclGroupStart());
    for (int i = 0; i < 4; ++i) {
      parts.push_back(std::make_unique<ops::Part>(ops::randomOperation(random, n, 20'000), rank, n));
      RANK_TRY(parts.back()->issue(comm));
    }
    RANK_TRY(ncclGroupEnd());
    for (auto& part : parts) {
      if (std::string wrong = part->check(); !wrong.empty()) return wrong;
    }
  }
  RANK_TRY(ncclCommFinalize(comm));
  return "";
}

TEST_F(TwoHostsTest, Collectives) {
  for (int n : {2, 4, 6}) {
    place(n);
    EXPECT_EQ(ranks::asProcesses(n, collectives), "") << n;
  }
}

TEST_F(TwoHostsTest, CollectivesByEachAlgorithm) {
  for (const char* algorithm : {"ring", "tree", "rd"}) {
    ranks::Settings settings(
        std::vector<ranks::Setting>{{"NCCL_ALGO", std::string("allreduce:") + algorithm}});
    place(4);
    EXPECT_EQ(ranks::asProcesses(4, collectives), "") << algorithm;
  }
}

/// The perf program as users start it on two hosts: by hand, a process on each.
TEST_F(TwoHostsTest, PerfProgramFindsNothingWrong) {
  constexpr const char* program = ALL_REDUCE_PERF;
  int output[2];
  ASSERT_EQ(pipe2(output, O_CLOEXEC), 0);
  pid_t children[2];
  for (int rank : {0, 1}) {
    children[rank] = fork();
    if (children[rank] != 0) continue;
    hosts_.enter(rank);
    setenv("TUTTI_RANK", std::to_string(rank).c_str(), 1);
    setenv("TUTTI_SIZE", "2", 1);
    setenv("TUTTI_COMM_ADDR", (std::string(TwoHosts::kAddress[0]) + ":29555").c_str(), 1);
    setenv("NCCL_HOSTID", rank == 0 ? "host-a" : "host-b", 1);
    if (rank == 0) dup2(output[1], STDOUT_FILENO);
    execl(program, program, "-b", "8", "-e", "4M", "-f", "8", "-n", "3", "-w", "1", "-d", "all", nullptr);
    _exit(127);
  }
  close(output[1]);
  std::string table;
  char part[4096];
  for (ssize_t got = 0; (got = read(output[0], part, sizeof(part))) > 0;)
    table.append(part, static_cast<size_t>(got));
  close(output[0]);
  for (pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << table;
  }
  EXPECT_NE(table.find("Out of bounds values : 0 OK"), std::string::npos) << table;
}

// ---------------------------------------------------------------------------------------------------------------
// the cable is cut

/// Every rank's error names a rank of the other host, in time.
std::string judgeCut(deaths::Board& board, const std::string& error, int rank, int n) {
  std::string text;
  for (int other = 0; other < n; ++other) {
    if (hostOf(other, n) == hostOf(rank, n)) continue;
    text = deaths::judge(board, error, other, "");
    if (text.empty()) return "";
  }
  return text;
}

/// Ranks that call AllReduce until the cable is cut.
std::string allReduceUntilCut(deaths::Board& board, size_t count, int rank, int n, ncclComm_t comm) {
  std::vector<float> data(count, 1);
  for (int call = 0;; ++call) {
    if (rank == 0 && call == 20) {
      board.diedMs = deaths::nowMs();
      TwoHosts::cut();
    }
    if (ncclAllReduce(data.data(), data.data(), data.size(), ncclFloat32, ncclMax, comm, nullptr) !=
        ncclSuccess)
      return judgeCut(board, ncclGetLastError(comm), rank, n);
  }
}

class CutTest : public TwoHostsTest {
 protected:
  void run(const char* what, const std::function<std::string(deaths::Board&, int, int, ncclComm_t)>& body) {
    constexpr int kRanks = 4;
    place(kRanks);
    deaths::Board& board = deaths::freshBoard();
    EXPECT_EQ(ranks::asProcesses(
                  kRanks, [&](int rank, int n, ncclComm_t comm) { return body(board, rank, n, comm); }),
              "");
    printf("  cut during %s: the last rank knew after %.0f ms\n", what, board.worstMs.load());
    fflush(stdout);
  }
};

TEST_F(CutTest, DuringSmallAllReduce) {
  run("AllReduce of 16 bytes", [](deaths::Board& board, int rank, int n, ncclComm_t comm) {
    return allReduceUntilCut(board, 4, rank, n, comm);
  });
}

TEST_F(CutTest, DuringLargeRing) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"NCCL_ALGO", "ring"}});
  run("AllReduce of 8 MB by ring", [](deaths::Board& board, int rank, int n, ncclComm_t comm) {
    return allReduceUntilCut(board, 2'000'000, rank, n, comm);
  });
}

TEST_F(CutTest, DuringSendAndReceive) {
  run("Send and Recv", [](deaths::Board& board, int rank, int n, ncclComm_t comm) -> std::string {
    std::vector<int> in(50'000), out(50'000);
    const int peer = (rank + n / 2) % n;  // on the other host
    for (int call = 0;; ++call) {
      if (rank == 0 && call == 20) {
        board.diedMs = deaths::nowMs();
        TwoHosts::cut();
      }
      RANK_TRY(ncclGroupStart());
      RANK_TRY(ncclSend(out.data(), out.size(), ncclInt32, peer, comm, nullptr));
      RANK_TRY(ncclRecv(in.data(), in.size(), ncclInt32, peer, comm, nullptr));
      if (ncclGroupEnd() == ncclSuccess) continue;
      return judgeCut(board, ncclGetLastError(comm), rank, n);
    }
  });
}

/// Nobody is in a call when it happens; the next one, here the last, ends in time.
TEST_F(CutTest, WhileIdle) {
  run("a pause before Finalize", [](deaths::Board& board, int rank, int n, ncclComm_t comm) -> std::string {
    float value = 1;
    RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
    if (rank == 0) {
      board.diedMs = deaths::nowMs();
      TwoHosts::cut();
    }
    while (board.diedMs == 0) usleep(1000);
    usleep(100'000);
    if (ncclCommFinalize(comm) == ncclSuccess) return "it was finalized as if nothing had been";
    return judgeCut(board, ncclGetLastError(comm), rank, n);
  });
}

/// The ranks of one host never hear of the others.
TEST_F(CutTest, BeforeBringUp) {
  ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_INIT_TIMEOUT_MS", "2000"}});
  place(4);
  const double start = deaths::nowMs();
  const std::string wrong = ranks::asProcesses(
      4, [](int, int, ncclComm_t) { return std::string("a communicator without a cable"); }, -1,
      [](int rank) {
        ncclUniqueId unused;  // this process has chosen its network before the cable goes
        (void)ncclGetUniqueId(&unused);
        usleep(100'000);
        if (rank == 0) TwoHosts::cut();
        usleep(100'000);
      });
  for (int rank = 0; rank < 2; ++rank) {  // these have the meeting place
    const std::string line = "rank " + std::to_string(rank) + ": ncclCommInitRank: ";
    const size_t at = wrong.find(line);
    ASSERT_NE(at, std::string::npos) << wrong;
    const std::string error = wrong.substr(at, wrong.find('\n', at) - at);
    EXPECT_NE(error.find("2-3 of 4 did not check in"), std::string::npos) << error;
  }
  EXPECT_EQ(wrong.find("without a cable"), std::string::npos) << wrong;
  EXPECT_LT(deaths::nowMs() - start, deaths::kHangMs);
}

}  // namespace
