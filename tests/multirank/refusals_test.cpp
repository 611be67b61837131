// Calls that are refused leave no trace: not in the numbering of calls, not in the user's buffers, not in
// what ncclCommGetAsyncError says. And calls that match in everything but how much is sent.
#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <chrono>
#include <thread>

#include "operations.hpp"
#include "ranks.hpp"

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// After a refusal everything works, and nothing is noted.
std::string unharmed(int rank, int n, ncclComm_t comm) {
  ncclResult_t async = ncclInternalError;
  RANK_TRY(ncclCommGetAsyncError(comm, &async));
  if (async != ncclSuccess) return "the asynchronous error is " + std::to_string(async);
  float value = static_cast<float>(rank);
  RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
  const int sum = n * (n - 1) / 2;
  return value == static_cast<float>(sum) ? "" : "the sum is wrong";
}

/// One rank's group is refused after other calls of it had been taken: these must not count as made, or its
/// numbering and its data would no longer agree with the others'.
std::string refuseInAGroup(int rank, int n, ncclComm_t comm) {
  std::vector<float> in(static_cast<size_t>(n), 1), out(static_cast<size_t>(n), -1);
  if (rank == 0) {
    RANK_TRY(ncclGroupStart());
    RANK_TRY(ncclAllReduce(in.data(), out.data(), 1, ncclFloat32, ncclSum, comm, nullptr));
    RANK_TRY(ncclSend(in.data(), 1, ncclFloat32, 0, comm, nullptr));  // to itself, and no receive
    const ncclResult_t result = ncclGroupEnd();
    if (result != ncclInvalidUsage) return "the group ended with " + std::to_string(result);
    if (!has(ncclGetLastError(comm), "sends to itself")) return ncclGetLastError(comm);
    if (out[0] != -1) return "something of the refused group was done";
    RANK_TRY(ncclGroupStart());
    if (ncclAlltoAll(in.data(), in.data(), 1, ncclFloat32, comm, nullptr) != ncclInvalidUsage)
      return "AlltoAll in place was taken";
    if (!has(ncclGetLastError(comm), "in place")) return ncclGetLastError(comm);
    if (ncclGroupEnd() != ncclInvalidUsage) return "the group forgot the refusal";
    if (ncclAlltoAll(in.data(), in.data(), 1, ncclFloat32, comm, nullptr) != ncclInvalidUsage)
      return "AlltoAll in place was taken outside a group";
  }
  return unharmed(rank, n, comm);
}

std::string refuseOnAStream(int rank, int n, ncclComm_t comm) {
  tuttiStream_t handle = nullptr;
  RANK_TRY(tuttiStreamCreate(&handle));
  auto stream = reinterpret_cast<cudaStream_t>(handle);
  std::vector<float> in(static_cast<size_t>(n), 1);
  float sum = 0;
  if (rank == 1) {
    if (ncclAlltoAll(in.data(), in.data(), 1, ncclFloat32, comm, stream) != ncclInvalidUsage)
      return "AlltoAll in place was queued";
    if (ncclAllReduce(in.data(), &sum, 1, ncclFloat32, static_cast<ncclRedOp_t>(77), comm, stream) !=
        ncclInvalidArgument)
      return "an operator that does not exist was queued";
    // Found when it is played only; the stream tells.
    RANK_TRY(ncclSend(in.data(), 1, ncclFloat32, rank, comm, stream));
    if (tuttiStreamSynchronize(handle) != ncclInvalidUsage) return "a send to itself alone was played";
    ncclResult_t async = ncclInternalError;
    RANK_TRY(ncclCommGetAsyncError(comm, &async));
    if (async != ncclSuccess) return "the refusal was noted as the communicator's error";
  }
  // An operator may be destroyed as soon as the call that uses it has returned.
  float two = 2;
  ncclRedOp_t op;
  RANK_TRY(ncclRedOpCreatePreMulSum(&op, &two, ncclFloat32, ncclScalarHostImmediate, comm));
  RANK_TRY(ncclAllReduce(in.data(), &sum, 1, ncclFloat32, op, comm, stream));
  RANK_TRY(ncclRedOpDestroy(op, comm));
  RANK_TRY(tuttiStreamSynchronize(handle));
  if (sum != 2 * static_cast<float>(n)) return "the scaled sum is " + std::to_string(sum);
  RANK_TRY(tuttiStreamDestroy(handle));
  return unharmed(rank, n, comm);
}

std::string refuse(int rank, int n, ncclComm_t comm) {
  std::string text = refuseInAGroup(rank, n, comm);
  return text.empty() ? refuseOnAStream(rank, n, comm) : text;
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Refusals, LeaveNoTraceProcesses) {
  EXPECT_EQ(ranks::asProcesses(3, refuse), "");
}

/// A window put that does not fit, in a group with a collective.
std::string refusePut(int rank, int n, ncclComm_t comm) {
  void* memory = nullptr;
  RANK_TRY(ncclMemAlloc(&memory, 4096));
  ncclWindow_t window = nullptr;
  RANK_TRY(ncclCommWindowRegister(comm, memory, 4096, &window, 0));
  float value = 1;
  if (rank == 0) {
    RANK_TRY(ncclGroupStart());
    RANK_TRY(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr));
    RANK_TRY(ncclPutSignal(&value, 1, ncclFloat32, 1, window, 4094, 0, 0, 0, comm, nullptr));
    if (ncclGroupEnd() != ncclInvalidArgument) return "a put beyond the window was taken";
    if (!has(ncclGetLastError(comm), "PutSignal(4 bytes, to rank 1")) return ncclGetLastError(comm);
  }
  std::string text = unharmed(rank, n, comm);
  RANK_TRY(ncclCommWindowDeregister(comm, window));
  RANK_TRY(ncclMemFree(memory));
  return text;
}
TEST(A_Refusals, PutBeyondTheWindow) {
  EXPECT_EQ(ranks::asProcesses(2, refusePut), "");
}

// -----------------------------------------------------------------------------------------------------------
// how much is sent

struct Amounts {
  size_t sent, expected;
};

std::string exchange(int rank, ncclComm_t comm, const Amounts& amounts) {
  std::vector<int> buffer(std::max<size_t>(1, std::max(amounts.sent, amounts.expected)));
  const ncclResult_t result = rank == 0 ? ncclSend(buffer.data(), amounts.sent, ncclInt32, 1, comm, nullptr)
                              : rank == 1
                                  ? ncclRecv(buffer.data(), amounts.expected, ncclInt32, 0, comm, nullptr)
                                  : ncclSuccess;
  if (rank != 1 && result == ncclSuccess) return "";  // buffered: it was gone
  const std::string error = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + ": " + error;
  if (!has(error, "rank 0") || !has(error, "rank 1")) return "does not name both: " + error;
  const std::string call = rank == 0
                               ? "Send(count " + std::to_string(amounts.sent) + ", int32, to rank 1)"
                               : "Recv(count " + std::to_string(amounts.expected) + ", int32, from rank 0)";
  return has(error, call) ? "" : "does not say which call: " + error;
}

TEST(A_Amounts, SendAndReceiveOfDifferentSizes) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    for (const Amounts& amounts :
         {Amounts{0, 5}, Amounts{5, 0}, Amounts{5, 6}, Amounts{0, 300'000}, Amounts{300'000, 300'001}}) {
      EXPECT_EQ(ranks::asProcesses(
                    2, [&](int rank, int, ncclComm_t comm) { return exchange(rank, comm, amounts); }),
                "")
          << amounts.sent << " sent, " << amounts.expected << " expected, " << transport;
    }
  }
}

/// Nothing sent where nothing is expected is fine, with null buffers too, and in order with what follows.
std::string exchangeNothing(int rank, int n, ncclComm_t comm) {
  const int next = (rank + 1) % n;
  const int prev = (rank + n - 1) % n;
  for (int turn = 0; turn < 20; ++turn) {
    int out = rank + turn;
    int in = -1;
    RANK_TRY(ncclGroupStart());
    RANK_TRY(ncclSend(nullptr, 0, ncclInt32, next, comm, nullptr));
    RANK_TRY(ncclSend(&out, 1, ncclInt32, next, comm, nullptr));
    RANK_TRY(ncclRecv(nullptr, 0, ncclInt32, prev, comm, nullptr));
    RANK_TRY(ncclRecv(&in, 1, ncclInt32, prev, comm, nullptr));
    RANK_TRY(ncclGroupEnd());
    if (in != prev + turn) return "received " + std::to_string(in);
  }
  return "";
}
TEST(A_Amounts, NothingForNothing) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    EXPECT_EQ(ranks::asProcesses(3, exchangeNothing), "") << transport;
  }
}

/// Rank 0 sends rank 1 another count than rank 1 expects.
std::string unevenVectors(int rank, int n, ncclComm_t comm, const Amounts& amounts) {
  const auto ranks = static_cast<size_t>(n);
  std::vector<size_t> sends(ranks, 3), recvs(ranks, 3), offsets(ranks);
  if (rank == 0) sends[1] = amounts.sent;
  if (rank == 1) recvs[0] = amounts.expected;
  const size_t most = std::max<size_t>(3, std::max(amounts.sent, amounts.expected));
  for (size_t i = 0; i < ranks; ++i) offsets[i] = i * most;
  std::vector<int> in(most * ranks), out(most * ranks);
  ncclResult_t result = tuttiAllToAllv(in.data(), sends.data(), offsets.data(), out.data(), recvs.data(),
                                       offsets.data(), ncclInt32, comm, nullptr);
  int value = 1;  // a rank that had nothing to wait for is told at its next call
  if (result == ncclSuccess) result = ncclAllReduce(&value, &value, 1, ncclInt32, ncclSum, comm, nullptr);
  const std::string error = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + ": " + error;
  return has(error, "rank 0") && has(error, "rank 1") ? "" : "does not name both: " + error;
}
TEST(A_Amounts, VectorsOfDifferentCounts) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    for (const Amounts& amounts :
         {Amounts{0, 5}, Amounts{5, 0}, Amounts{5, 6}, Amounts{50'000, 100'000}, Amounts{100'000, 50'000}}) {
      EXPECT_EQ(ranks::asProcesses(3, [&](int rank, int n,
                                          ncclComm_t comm) { return unevenVectors(rank, n, comm, amounts); }),
                "")
          << amounts.sent << " sent, " << amounts.expected << " expected, " << transport;
    }
  }
}

// -----------------------------------------------------------------------------------------------------------
// finalize

/// Nobody's finalize returns before all have called it.
std::string finalizeTogether(int rank, int, ncclComm_t comm) {
  if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const auto start = std::chrono::steady_clock::now();
  RANK_TRY(ncclCommFinalize(comm));
  if (rank != 1 && std::chrono::steady_clock::now() - start < std::chrono::milliseconds(20))
    return "it did not wait for rank 1";
  return ncclCommFinalize(comm) == ncclInvalidArgument ? "" : "it can be finalized twice";
}
TEST(A_Finalize, WaitsForAll) {
  EXPECT_EQ(ranks::asProcesses(3, finalizeTogether), "");
}

std::string finalizeAgainstACall(int rank, int, ncclComm_t comm) {
  float value = 1;
  const ncclResult_t result = rank == 1
                                  ? ncclCommFinalize(comm)
                                  : ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comm, nullptr);
  const std::string error = ncclGetLastError(comm);
  if (result != ncclInvalidUsage) return "result " + std::to_string(result) + ": " + error;
  return has(error, "rank 1 called Finalize") && has(error, "AllReduce(count 1") ? "" : error;
}
TEST(A_Finalize, AgainstACallIsAMismatch) {
  EXPECT_EQ(ranks::asProcesses(3, finalizeAgainstACall), "");
}

/// The others destroy without finalizing: nothing to wait for.
std::string finalizeAlone(int rank, int, ncclComm_t comm) {
  if (rank == 0) RANK_TRY(ncclCommFinalize(comm));
  return "";
}
TEST(A_Finalize, OthersOnlyDestroy) {
  EXPECT_EQ(ranks::asProcesses(3, finalizeAlone), "");
}

/// One thread may finalize its ranks one after the other.
TEST(B_Finalize, OneThreadForAllRanks) {
  ncclComm_t comms[3];
  ASSERT_EQ(ncclCommInitAll(comms, 3, nullptr), ncclSuccess);
  for (ncclComm_t comm : comms) EXPECT_EQ(ncclCommFinalize(comm), ncclSuccess);
  for (ncclComm_t comm : comms) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

TEST(B_Refusals, LeaveNoTraceThreads) {
  EXPECT_EQ(ranks::asThreads(3, refuse), "");
}

// -----------------------------------------------------------------------------------------------------------
// nonblocking communicators

ncclResult_t settle(ncclComm_t comm) {
  ncclResult_t result = ncclInProgress;
  for (int ms = 0; ms < 20'000 && result == ncclInProgress; ++ms) {
    if (ncclCommGetAsyncError(comm, &result) != ncclSuccess) return ncclInternalError;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return result;
}

/// As with NCCL, a communicator that is being made takes no calls; refused ones leave no trace.
TEST(B_Nonblocking, NoCallsWhileItIsBeingMade) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comms[2] = {};
  (void)ncclCommInitRankConfig(&comms[0], 2, id, 0, &config);
  float value = 1;
  EXPECT_EQ(ncclAllReduce(&value, &value, 1, ncclFloat32, ncclSum, comms[0], nullptr), ncclInvalidArgument);
  EXPECT_TRUE(has(ncclGetLastError(comms[0]), "still being made")) << ncclGetLastError(comms[0]);
  EXPECT_EQ(ncclSend(&value, 1, ncclFloat32, 1, comms[0], nullptr), ncclInvalidArgument);
  ncclComm_t half = nullptr;
  EXPECT_EQ(ncclCommSplit(comms[0], 0, 0, &half, nullptr), ncclInvalidArgument);
  ncclResult_t async = ncclSuccess;
  EXPECT_EQ(ncclCommGetAsyncError(comms[0], &async), ncclSuccess);
  EXPECT_EQ(async, ncclInProgress);
  (void)ncclCommInitRankConfig(&comms[1], 2, id, 1, &config);
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  float values[2] = {1, 2};
  for (int rank : {0, 1})
    (void)ncclAllReduce(&values[rank], &values[rank], 1, ncclFloat32, ncclSum, comms[rank], nullptr);
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[1], 3);
  // A refusal that only shows when the call is played is told until the next call.
  (void)ncclSend(&value, 1, ncclFloat32, 0, comms[0], nullptr);
  EXPECT_EQ(settle(comms[0]), ncclInvalidUsage);
  for (int rank : {0, 1})
    (void)ncclAllReduce(&values[rank], &values[rank], 1, ncclFloat32, ncclSum, comms[rank], nullptr);
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  EXPECT_EQ(values[0], 6);
  for (ncclComm_t comm : comms) {
    const ncclResult_t result = ncclCommFinalize(comm);
    EXPECT_TRUE(result == ncclSuccess || result == ncclInProgress) << result;
  }
  for (ncclComm_t comm : comms) EXPECT_EQ(settle(comm), ncclSuccess);
  for (ncclComm_t comm : comms) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

}  // namespace
