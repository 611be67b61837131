// Settings of the environment that change how ranks talk: results stay right, and what is promised happens.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include "deaths.hpp"
#include "operations.hpp"
#include "ranks.hpp"

namespace {

using ranks::Setting;

std::string everything(int rank, int n, ncclComm_t comm) {
  for (ops::Kind kind : ops::kCollectives) {
    for (size_t count : {size_t{1}, size_t{500}, size_t{3000}, size_t{50'001}}) {
      ops::Operation o;
      o.kind = kind;
      o.count = count;
      ops::Part part(o, rank, n);
      RANK_TRY(part.issue(comm));
      if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    }
  }
  for (size_t count : {size_t{1}, size_t{257}, size_t{100'001}}) {
    std::vector<int> out(count, rank), in(count, -1);
    RANK_TRY(ncclGroupStart());
    RANK_TRY(ncclSend(out.data(), count, ncclInt32, (rank + 1) % n, comm, nullptr));
    RANK_TRY(ncclRecv(in.data(), count, ncclInt32, (rank + n - 1) % n, comm, nullptr));
    RANK_TRY(ncclGroupEnd());
    if (in.front() != (rank + n - 1) % n || in.back() != in.front()) return "wrong message";
  }
  return "";
}

TEST(A_Settings, ResultsStayRight) {
  const std::vector<std::vector<Setting>> kSettings = {
      {{"NCCL_LL_BUFFSIZE", "1K"}, {"NCCL_PROTO", "LL,Simple"}},
      {{"NCCL_LL_BUFFSIZE", "1M"}, {"NCCL_PROTO", "LL,Simple"}},
      {{"NCCL_P2P_NET_CHUNKSIZE", "1K"}, {"TUTTI_TRANSPORT", "tcp"}},
      {{"NCCL_BUFFSIZE", "16K"}},
      {{"NCCL_SOCKET_SNDBUF", "256K"}, {"NCCL_SOCKET_RCVBUF", "256K"}, {"TUTTI_TRANSPORT", "tcp"}},
      {{"TUTTI_DETERMINISTIC", "1"}},
      {{"NCCL_SET_THREAD_NAME", "1"}, {"NCCL_REPORT_CONNECT_PROGRESS", "1"}, {"TUTTI_TRANSPORT", "tcp"}},
      {{"TUTTI_STORES", "nt"}, {"NCCL_PROTO", "Simple"}},
      {{"TUTTI_STORES", "nt"}, {"NCCL_ALGO", "ring,tree"}, {"NCCL_PROTO", "Simple"}},
      {{"TUTTI_STORES", "plain"}},
      {{"NCCL_CHECK_POINTERS", "1"}}};
  for (const auto& chosen : kSettings) {
    ranks::Settings settings(chosen);
    EXPECT_EQ(ranks::asProcesses(3, everything), "") << chosen[0].name << "=" << chosen[0].value;
  }
}

/// NCCL_SOCKET_RETRY_CNT bounds the tries at a process that has gone, long before bring-up times out.
TEST(A_Settings, ConnectionRetries) {
  ranks::Settings settings({{"NCCL_SOCKET_RETRY_CNT", "3"},
                            {"NCCL_SOCKET_RETRY_SLEEP_MSEC", "10"},
                            {"TUTTI_INIT_TIMEOUT_MS", "60000"}});
  const double start = deaths::nowMs();
  const std::string wrong = ranks::asProcesses(
      2, [](int, int, ncclComm_t) { return std::string("there is a communicator"); }, 0,
      [](int rank) {
        if (rank == 0) kill(getpid(), SIGKILL);  // after it made the id
        usleep(50'000);
      });
  EXPECT_NE(wrong.find("cannot reach the process that made the unique id"), std::string::npos) << wrong;
  EXPECT_LT(deaths::nowMs() - start, deaths::kHangMs);
}

/// A rank that is late for longer than a dead host would be allowed is late, not dead: its peers' connections
/// stay, though what they send is not taken.
TEST(A_Settings, LateIsNotDead) {
  ranks::Settings settings({{"TUTTI_HEARTBEAT_MS", "200"}, {"TUTTI_TRANSPORT", "tcp"}});
  const std::string wrong = ranks::asProcesses(2, [](int rank, int, ncclComm_t comm) -> std::string {
    std::vector<float> data(4'000'000, 1);
    for (int turn = 0; turn < 2; ++turn) {
      if (rank == 1 && turn == 1) usleep(2'500'000);
      RANK_TRY(ncclBroadcast(data.data(), data.data(), data.size(), ncclFloat32, 0, comm, nullptr));
    }
    return "";
  });
  EXPECT_EQ(wrong, "");
}

/// Sends and receives are no collectives, but perf programs and users ask for them by name.
TEST(B_Explain, SendAndReceive) {
  const std::string wrong = ranks::asThreads(2, [](int, int, ncclComm_t comm) -> std::string {
    for (const char* name : {"Send", "Recv", "SendRecv", "HyperCube"}) {
      char answer[100] = {};
      RANK_TRY(tuttiExplain(comm, name, 10, ncclInt32, ncclSum, answer, sizeof(answer)));
      if (std::string(answer) != "pairwise/Simple") return std::string(name) + ": " + answer;
    }
    char answer[100] = {};
    return tuttiExplain(comm, "Sends", 10, ncclInt32, ncclSum, answer, sizeof(answer)) == ncclInvalidArgument
               ? ""
               : "there is a collective \"Sends\"";
  });
  EXPECT_EQ(wrong, "");
}

TEST(B_Settings, CheckPointers) {
  ranks::Settings settings(std::vector<Setting>{{"NCCL_CHECK_POINTERS", "1"}});
  const std::string wrong = ranks::asThreads(2, [](int rank, int n, ncclComm_t comm) -> std::string {
    std::vector<float> good(4096, 1);
    constexpr size_t kBytes = 8192;
    void* half = mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (half == MAP_FAILED) return "mmap";
    munmap(static_cast<char*>(half) + kBytes, kBytes);
    if (rank == 0) {
      for (bool send : {true, false}) {
        const ncclResult_t result =
            ncclAllReduce(send ? half : good.data(), send ? good.data() : half, kBytes / sizeof(float) + 1,
                          ncclFloat32, ncclSum, comm, nullptr);
        const std::string error = ncclGetLastError(comm);
        if (result != ncclInvalidArgument ||
            error.find(send ? "sendbuff" : "recvbuff") == std::string::npos ||
            error.find("mapped") == std::string::npos)
          return "result " + std::to_string(result) + ": " + error;
      }
      if (ncclSend(half, kBytes + 1, ncclInt8, 1, comm, nullptr) != ncclInvalidArgument) return "it was sent";
    }
    RANK_TRY(ncclAllReduce(good.data(), half, kBytes / sizeof(float), ncclFloat32, ncclSum, comm, nullptr));
    if (*static_cast<float*>(half) != static_cast<float>(n)) return "wrong sum";
    munmap(half, kBytes);
    return "";
  });
  EXPECT_EQ(wrong, "");
}

}  // namespace
