// The interface as a client sees it: errors with names, handles that survive anything, parameters, missing
// calls.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl_device.h>
#include <tutti/tutti.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstring>
#include <functional>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string lastError(ncclComm_t comm = nullptr) {
  return ncclGetLastError(comm);
}

/// A communicator of one rank.
class Single : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(ncclCommInitAll(&comm_, 1, nullptr), ncclSuccess) << lastError(); }
  void TearDown() override { EXPECT_EQ(ncclCommDestroy(comm_), ncclSuccess) << lastError(); }
  void expectUnharmed() {
    ncclResult_t state = ncclInternalError;
    EXPECT_EQ(ncclCommGetAsyncError(comm_, &state), ncclSuccess);
    EXPECT_EQ(state, ncclSuccess);
    int32_t in = 42, out = 0;
    EXPECT_EQ(ncclAllReduce(&in, &out, 1, ncclInt32, ncclSum, comm_, nullptr), ncclSuccess)
        << lastError(comm_);
    EXPECT_EQ(out, 42);
  }
  ncclComm_t comm_ = nullptr;
  float in_[4] = {1, 2, 3, 4};
  float out_[4] = {};
};

template <typename Enum>
Enum enumOf(int value) {
  Enum out;
  std::memcpy(&out, &value, sizeof(out));
  return out;
}

TEST(Library, Versions) {
  int version = 0;
  EXPECT_EQ(ncclGetVersion(&version), ncclSuccess);
  EXPECT_EQ(version, 23203);
  EXPECT_EQ(tuttiGetVersion(&version), ncclSuccess);
  EXPECT_EQ(version, TUTTI_VERSION_CODE);
  EXPECT_EQ(ncclGetVersion(nullptr), ncclInvalidArgument);
  EXPECT_EQ(lastError(), "ncclGetVersion: version is NULL");
}

TEST(Library, ErrorStrings) {
  for (int code = -3; code < 20; ++code) {
    const char* text = ncclGetErrorString(enumOf<ncclResult_t>(code));
    ASSERT_NE(text, nullptr);
    EXPECT_NE(*text, '\0');
  }
  EXPECT_STREQ(ncclGetErrorString(ncclSuccess), "no error");
}

TEST(Library, LastErrorIsPerThread) {
  EXPECT_EQ(ncclGetVersion(nullptr), ncclInvalidArgument);
  std::thread([] { EXPECT_EQ(lastError(), ""); }).join();
  EXPECT_NE(lastError(), "");
}

TEST(Library, Memory) {
  void* memory = nullptr;
  ASSERT_EQ(ncclMemAlloc(&memory, 10000), ncclSuccess) << lastError();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % NCCL_WIN_REQUIRED_ALIGNMENT, 0u);
  std::memset(memory, 1, 10000);
  EXPECT_EQ(ncclMemFree(memory), ncclSuccess);
  EXPECT_EQ(ncclMemFree(memory), ncclInvalidArgument);
  EXPECT_EQ(ncclMemFree(nullptr), ncclSuccess);
  int local;
  EXPECT_EQ(ncclMemFree(&local), ncclInvalidArgument);
  EXPECT_EQ(ncclMemAlloc(nullptr, 1), ncclInvalidArgument);
  EXPECT_EQ(ncclMemAlloc(&memory, SIZE_MAX), ncclInvalidArgument);
  EXPECT_EQ(memory, nullptr);
}

TEST(Library, Encryption) {
  ncclEncryptionConfig_t config = NCCL_ENCRYPTION_CONFIG_INITIALIZER;
  EXPECT_EQ(ncclSetEncryption(&config), ncclSuccess);
  config.mode = NCCL_ENCRYPTION_MODE_PSK;
  config.psk = "secret";
  EXPECT_EQ(ncclSetEncryption(&config), ncclInvalidUsage);
  EXPECT_THAT(lastError(), StartsWith("ncclSetEncryption: "));
  config.mode = 9;
  EXPECT_EQ(ncclSetEncryption(&config), ncclInvalidArgument);
  ncclEncryptionConfig_t zero{};
  EXPECT_EQ(ncclSetEncryption(&zero), ncclInvalidArgument);
  EXPECT_EQ(ncclSetEncryption(nullptr), ncclInvalidArgument);
}

TEST(Library, ResetDebugInit) {
  auto reset = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "ncclResetDebugInit"));
  ASSERT_NE(reset, nullptr);
  reset();
}

// A tool in front of the library: the first name is weak, so this definition is the one that this program
// calls.
int intercepted = 0;
extern "C" ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  ++intercepted;
  return pncclCommCount(comm, count);
}

TEST_F(Single, ToolsCanIntercept) {
  int n = 0;
  intercepted = 0;
  EXPECT_EQ(ncclCommCount(comm_, &n), ncclSuccess);
  EXPECT_EQ(intercepted, 1);
  EXPECT_EQ(n, 1);
}

TEST_F(Single, Questions) {
  int value = -1;
  EXPECT_EQ(ncclCommUserRank(comm_, &value), ncclSuccess);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(ncclCommCuDevice(comm_, &value), ncclSuccess);
  EXPECT_EQ(value, 0);
  uint64_t bytes = 0;
  EXPECT_EQ(ncclCommMemStats(comm_, ncclStatGpuMemTotal, &bytes), ncclSuccess);
  EXPECT_EQ(ncclCommMemStats(comm_, enumOf<ncclCommMemStat_t>(4), &bytes), ncclInvalidArgument);
  ncclCommProperties_t properties = NCCL_COMM_PROPERTIES_INITIALIZER;
  EXPECT_EQ(ncclCommQueryProperties(comm_, &properties), ncclSuccess) << lastError();
  EXPECT_EQ(properties.nRanks, 1);
  EXPECT_EQ(properties.rank, 0);
  EXPECT_FALSE(properties.deviceApiSupport);
  EXPECT_EQ(properties.nLsaTeams, 1);
  ncclCommProperties_t zero{};
  EXPECT_EQ(ncclCommQueryProperties(comm_, &zero), ncclInvalidUsage);
  char text[100];
  EXPECT_EQ(tuttiCommDescribe(comm_, text, sizeof(text)), ncclSuccess);
  EXPECT_THAT(text, HasSubstr("1 rank"));
  EXPECT_EQ(tuttiCommDescribe(comm_, text, 4), ncclSuccess);
  EXPECT_EQ(std::strlen(text), 3u);
  EXPECT_EQ(tuttiExplain(comm_, "AllReduce", 100, ncclFloat, ncclSum, text, sizeof(text)), ncclSuccess)
      << lastError();
  EXPECT_EQ(tuttiExplain(comm_, "AllRight", 100, ncclFloat, ncclSum, text, sizeof(text)),
            ncclInvalidArgument);
  ncclTeam_t world = ncclTeamWorld(comm_);
  EXPECT_EQ(world.nRanks, 1);
  EXPECT_EQ(world.stride, 1);
  EXPECT_EQ(ncclTeamLsa(comm_).nRanks, 1);
  EXPECT_EQ(ncclTeamRankToWorld(comm_, world, 0), 0);
  EXPECT_EQ(ncclTeamWorld(nullptr).nRanks, 0);
  EXPECT_EQ(ncclTeamRankToWorld(nullptr, world, 0), -1);
  EXPECT_EQ(ncclLLA2ACalcSlots(10, 12), 20);
}

// An older caller's shorter struct is not written beyond its end.
TEST_F(Single, ShortProperties) {
  struct {
    ncclCommProperties_t properties = NCCL_COMM_PROPERTIES_INITIALIZER;
  } old;
  old.properties.size = offsetof(ncclCommProperties_t, nvmlDev);
  old.properties.nvmlDev = 1234;
  old.properties.commHash = 99;
  EXPECT_EQ(ncclCommQueryProperties(comm_, &old.properties), ncclSuccess);
  EXPECT_EQ(old.properties.nRanks, 1);
  EXPECT_EQ(old.properties.nvmlDev, 1234);
  EXPECT_EQ(old.properties.commHash, 99u);
}

TEST_F(Single, BadArgumentsAreNamed) {
  struct Case {
    const char* says;
    std::function<ncclResult_t()> call;
  };
  const size_t huge = SIZE_MAX / 2;
  auto type = [](int t) { return enumOf<ncclDataType_t>(t); };
  auto op = [](int o) { return enumOf<ncclRedOp_t>(o); };
  const Case cases[] = {
      {"ncclAllReduce: datatype 12",
       [&] { return ncclAllReduce(in_, out_, 4, type(12), ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: datatype -1",
       [&] { return ncclAllReduce(in_, out_, 4, type(-1), ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: op -7",
       [&] { return ncclAllReduce(in_, out_, 4, ncclFloat, op(-7), comm_, nullptr); }},
      {"ncclAllReduce: ", [&] { return ncclAllReduce(in_, out_, 4, ncclFloat, op(1000), comm_, nullptr); }},
      {"ncclAllReduce: sendbuff is NULL",
       [&] { return ncclAllReduce(nullptr, out_, 4, ncclFloat, ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: recvbuff is NULL",
       [&] { return ncclAllReduce(in_, nullptr, 4, ncclFloat, ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: count",
       [&] { return ncclAllReduce(in_, out_, huge, ncclFloat, ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: count",
       [&] { return ncclAllReduce(in_, out_, static_cast<size_t>(-1), ncclInt8, ncclSum, comm_, nullptr); }},
      {"ncclAllReduce: stream",
       [&] {
         return ncclAllReduce(in_, out_, 4, ncclFloat, ncclSum, comm_, reinterpret_cast<cudaStream_t>(1));
       }},
      {"ncclReduce: root 1 ",
       [&] { return ncclReduce(in_, out_, 4, ncclFloat, ncclSum, 1, comm_, nullptr); }},
      {"ncclBroadcast: root -1 ", [&] { return ncclBroadcast(in_, out_, 4, ncclFloat, -1, comm_, nullptr); }},
      {"ncclBcast: root 5 ", [&] { return ncclBcast(in_, 4, ncclFloat, 5, comm_, nullptr); }},
      {"ncclGather: root", [&] { return ncclGather(in_, out_, 4, ncclFloat, INT_MAX, comm_, nullptr); }},
      {"ncclScatter: root", [&] { return ncclScatter(in_, out_, 4, ncclFloat, INT_MIN, comm_, nullptr); }},
      {"ncclAllGather: count", [&] { return ncclAllGather(in_, out_, huge, ncclDouble, comm_, nullptr); }},
      {"ncclReduceScatter: datatype",
       [&] { return ncclReduceScatter(in_, out_, 1, type(99), ncclSum, comm_, nullptr); }},
      {"ncclAlltoAll: recvbuff", [&] { return ncclAlltoAll(in_, nullptr, 1, ncclFloat, comm_, nullptr); }},
      {"ncclSend: peer 1 ", [&] { return ncclSend(in_, 1, ncclFloat, 1, comm_, nullptr); }},
      {"ncclRecv: peer -1 ", [&] { return ncclRecv(in_, 1, ncclFloat, -1, comm_, nullptr); }},
      {"ncclRecv: recvbuff is NULL", [&] { return ncclRecv(nullptr, 1, ncclFloat, 0, comm_, nullptr); }},
      {"ncclPutSignal: flags",
       [&] { return ncclPutSignal(in_, 1, ncclFloat, 0, nullptr, 0, 0, 0, 3, comm_, nullptr); }},
      {"ncclPutSignal: peerWin is NULL",
       [&] { return ncclPutSignal(in_, 1, ncclFloat, 0, nullptr, 0, 0, 0, 0, comm_, nullptr); }},
      {"ncclSignal: sigIdx", [&] { return ncclSignal(0, -1, 0, 0, comm_, nullptr); }},
      {"ncclSignal: ctx", [&] { return ncclSignal(0, 0, -1, 0, comm_, nullptr); }},
      {"ncclWaitSignal: nDesc", [&] { return ncclWaitSignal(-1, nullptr, comm_, nullptr); }},
      {"ncclWaitSignal: signalDescs is NULL", [&] { return ncclWaitSignal(1, nullptr, comm_, nullptr); }},
      {"ncclRedOpDestroy: op 0 is built in", [&] { return ncclRedOpDestroy(ncclSum, comm_); }},
      {"ncclRedOpDestroy: ", [&] { return ncclRedOpDestroy(op(77), comm_); }},
      {"ncclRedOpCreatePreMulSum: op is NULL",
       [&] { return ncclRedOpCreatePreMulSum(nullptr, in_, ncclFloat, ncclScalarHostImmediate, comm_); }},
      {"ncclCommRegister: size",
       [&] {
         void* handle;
         return ncclCommRegister(comm_, in_, 0, &handle);
       }},
      {"ncclCommDeregister: ", [&] { return ncclCommDeregister(comm_, in_); }},
      {"ncclCommWindowRegister: buff",
       [&] {
         ncclWindow_t window;
         return ncclCommWindowRegister(comm_, reinterpret_cast<char*>(4097), 8, &window, 0);
       }},
      {"ncclCommWindowDeregister: ",
       [&] { return ncclCommWindowDeregister(comm_, reinterpret_cast<ncclWindow_t>(in_)); }},
      {"ncclCommSplit: newcomm is NULL", [&] { return ncclCommSplit(comm_, 0, 0, nullptr, nullptr); }},
      {"ncclCommShrink: excludeRanksCount",
       [&] {
         ncclComm_t made;
         return ncclCommShrink(comm_, nullptr, 0, &made, nullptr, 0);
       }},
      {"ncclCommRevoke: revokeFlags", [&] { return ncclCommRevoke(comm_, 1); }},
      {"ncclCommSuspend: flags", [&] { return ncclCommSuspend(comm_, 0); }},
      {"ncclCommCount: count is NULL", [&] { return pncclCommCount(comm_, nullptr); }},
      {"tuttiAllGatherv: recvcounts is NULL",
       [&] { return tuttiAllGatherv(in_, 1, out_, nullptr, nullptr, ncclFloat, comm_, nullptr); }},
      {"tuttiAllToAllv: sendcounts is NULL",
       [&] {
         return tuttiAllToAllv(in_, nullptr, nullptr, out_, nullptr, nullptr, ncclFloat, comm_, nullptr);
       }},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(each.call(), ncclInvalidArgument) << each.says;
    EXPECT_THAT(lastError(comm_), StartsWith(each.says));
    EXPECT_EQ(lastError(comm_), lastError());
    expectUnharmed();
  }
}

TEST_F(Single, EmptyCallsNeedNoBuffers) {
  EXPECT_EQ(ncclAllReduce(nullptr, nullptr, 0, ncclFloat, ncclSum, comm_, nullptr), ncclSuccess);
  EXPECT_EQ(ncclAllGather(nullptr, nullptr, 0, ncclFloat, comm_, nullptr), ncclSuccess);
  EXPECT_EQ(ncclBcast(nullptr, 0, ncclFloat, 0, comm_, nullptr), ncclSuccess);
}

TEST(Init, BadArgumentsAreNamed) {
  ncclComm_t comm;
  ncclUniqueId id{};
  EXPECT_EQ(ncclCommInitRank(nullptr, 1, id, 0), ncclInvalidArgument);
  EXPECT_EQ(ncclCommInitRank(&comm, 0, id, 0), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("nranks 0"));
  EXPECT_EQ(comm, nullptr);
  EXPECT_EQ(ncclCommInitRank(&comm, 2, id, 2), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("rank 2"));
  EXPECT_NE(ncclCommInitRank(&comm, 1, id, 0), ncclSuccess) << "an id of zeros";
  EXPECT_EQ(comm, nullptr);
  EXPECT_EQ(ncclCommInitRankScalable(&comm, 2, 0, 3, &id, nullptr), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("nId 3"));
  EXPECT_EQ(ncclCommInitRankScalable(&comm, 2, 0, 1, nullptr, nullptr), ncclInvalidArgument);
  ncclConfig_t config{};
  EXPECT_EQ(ncclCommInitRankConfig(&comm, 1, id, 0, &config), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("NCCL_CONFIG_INITIALIZER"));
  EXPECT_EQ(ncclCommInitAll(&comm, 0, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclCommInitAll(nullptr, 1, nullptr), ncclInvalidArgument);
  const int negative = -1;
  EXPECT_EQ(ncclCommInitAll(&comm, 1, &negative), ncclInvalidArgument);
  EXPECT_EQ(ncclGetUniqueId(nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclCommGrow(nullptr, 2, nullptr, 0, &comm, nullptr), ncclInvalidArgument);
}

TEST(Groups, AnErrorInsideFailsTheGroup) {
  ncclComm_t comm;
  ASSERT_EQ(ncclCommInitAll(&comm, 1, nullptr), ncclSuccess);
  int32_t in = 1, out = 0;
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(ncclAllReduce(&in, &out, 1, ncclInt32, ncclSum, comm, nullptr), ncclSuccess);
  EXPECT_EQ(ncclReduce(&in, &out, 1, ncclInt32, ncclSum, 3, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidArgument);
  EXPECT_THAT(lastError(), AllOf(HasSubstr("ncclGroupEnd"), HasSubstr("root 3")));
  EXPECT_EQ(out, 0) << "nothing of the group was started";
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

TEST(Groups, AFailedGroupTakesItsNewCommunicatorsBack) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclComm_t comm = nullptr;
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(ncclCommInitRank(&comm, 1, id, 0), ncclSuccess) << lastError();
  ncclComm_t given = comm;
  EXPECT_NE(given, nullptr);
  EXPECT_EQ(ncclAllReduce(nullptr, nullptr, 1, ncclInt8, ncclSum, given, nullptr), ncclInvalidArgument);
  EXPECT_NE(ncclGroupEnd(), ncclSuccess);
  EXPECT_EQ(comm, nullptr);
  EXPECT_EQ(ncclCommDestroy(given), ncclInvalidArgument);
}

TEST(Groups, Simulate) {
  ncclComm_t comm;
  ASSERT_EQ(ncclCommInitAll(&comm, 1, nullptr), ncclSuccess);
  int32_t in = 1, out = 0;
  ncclSimInfo_t info = NCCL_SIM_INFO_INITIALIZER;
  ASSERT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(ncclAllReduce(&in, &out, 1, ncclInt32, ncclSum, comm, nullptr), ncclSuccess);
  EXPECT_EQ(ncclGroupSimulateEnd(&info), ncclSuccess) << lastError();
  EXPECT_GE(info.estimatedTime, 0.0f);
  EXPECT_EQ(out, 0);
  ncclSimInfo_t zero{};
  EXPECT_EQ(ncclGroupSimulateEnd(&zero), ncclInvalidArgument);
  EXPECT_EQ(ncclGroupSimulateEnd(nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

/// Every call that takes a communicator must refuse `comm` and survive it.
void expectRefused(ncclComm_t comm) {
  float data[4] = {};
  int number = 0;
  uint64_t big = 0;
  ncclResult_t state;
  ncclComm_t made;
  ncclUniqueId id;
  void* pointer;
  ncclWindow_t window;
  ncclRedOp_t op;
  char text[8];
  ncclCommProperties_t properties = NCCL_COMM_PROPERTIES_INITIALIZER;
  const size_t counts[1] = {0};
  EXPECT_EQ(ncclAllReduce(data, data, 1, ncclFloat, ncclSum, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclReduce(data, data, 1, ncclFloat, ncclSum, 0, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclBroadcast(data, data, 1, ncclFloat, 0, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclSend(data, 1, ncclFloat, 0, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclSignal(0, 0, 0, 0, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(pncclCommCount(comm, &number), ncclInvalidArgument);
  EXPECT_EQ(ncclCommUserRank(comm, &number), ncclInvalidArgument);
  EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclInvalidArgument);
  EXPECT_EQ(ncclCommMemStats(comm, ncclStatGpuMemTotal, &big), ncclInvalidArgument);
  EXPECT_EQ(ncclCommSplit(comm, 0, 0, &made, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclCommGetUniqueId(comm, &id), ncclInvalidArgument);
  EXPECT_EQ(ncclCommFinalize(comm), ncclInvalidArgument);
  EXPECT_EQ(ncclCommRevoke(comm, 0), ncclInvalidArgument);
  EXPECT_EQ(ncclCommResume(comm), ncclInvalidArgument);
  EXPECT_EQ(ncclCommRegister(comm, data, 4, &pointer), ncclInvalidArgument);
  EXPECT_EQ(ncclCommWindowRegister(comm, data, 4, &window, 0), ncclInvalidArgument);
  EXPECT_EQ(ncclRedOpCreatePreMulSum(&op, data, ncclFloat, ncclScalarHostImmediate, comm),
            ncclInvalidArgument);
  EXPECT_EQ(ncclCommQueryProperties(comm, &properties), ncclInvalidArgument);
  EXPECT_EQ(tuttiCommDescribe(comm, text, sizeof(text)), ncclInvalidArgument);
  EXPECT_EQ(tuttiReduceScatterv(data, data, counts, ncclFloat, ncclSum, comm, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclTeamWorld(comm).nRanks, 0);
  EXPECT_NE(ncclGetLastError(comm), nullptr);
  if (comm == nullptr) {
    EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
    EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
  } else {
    EXPECT_EQ(ncclCommDestroy(comm), ncclInvalidArgument);
    EXPECT_EQ(ncclCommAbort(comm), ncclInvalidArgument);
  }
}

TEST_F(Single, ForeignHandlesAreRefused) {
  expectRefused(nullptr);
  EXPECT_THAT(lastError(), HasSubstr("comm is NULL"));
  int local = 0;
  auto heap = std::make_unique<char[]>(4096);
  std::vector<void*> foreign = {&local, heap.get(), reinterpret_cast<void*>(1), reinterpret_cast<void*>(-1),
                                reinterpret_cast<void*>(&ncclCommDestroy)};
  for (int delta : {-4096, -64, -16, -1, 1, 8, 16, 64, 4096, 1 << 20}) {
    foreign.push_back(reinterpret_cast<char*>(comm_) + delta);
  }
  std::mt19937_64 random(20);
  for (int i = 0; i < 100; ++i) foreign.push_back(reinterpret_cast<void*>(random() >> (i % 48)));
  for (void* each : foreign) expectRefused(static_cast<ncclComm_t>(each));
  expectUnharmed();
}

TEST_F(Single, UseAfterDestroyIsRefused) {
  std::vector<ncclComm_t> dead;
  for (int i = 0; i < 3; ++i) {
    ncclComm_t comm;
    ASSERT_EQ(ncclCommInitAll(&comm, 1, nullptr), ncclSuccess);
    ASSERT_EQ(i % 2 == 0 ? ncclCommDestroy(comm) : ncclCommAbort(comm), ncclSuccess) << lastError();
    dead.push_back(comm);
  }
  for (ncclComm_t comm : dead) {
    expectRefused(comm);
    EXPECT_THAT(lastError(), HasSubstr("was destroyed or aborted"));
  }
  expectUnharmed();
}

TEST(Streams, HandlesAndOrder) {
  tuttiStream_t stream = nullptr;
  ASSERT_EQ(tuttiStreamCreate(&stream), ncclSuccess) << lastError();
  std::vector<int> order;
  std::pair<std::vector<int>*, int> args[3] = {{&order, 1}, {&order, 2}, {&order, 3}};
  for (auto& arg : args) {
    EXPECT_EQ(tuttiStreamAddCallback(
                  stream,
                  [](void* raw) {
                    auto* pair = static_cast<std::pair<std::vector<int>*, int>*>(raw);
                    pair->first->push_back(pair->second);
                  },
                  &arg),
              ncclSuccess);
  }
  EXPECT_EQ(tuttiStreamSynchronize(stream), ncclSuccess);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(tuttiStreamQuery(stream), ncclSuccess);
  EXPECT_EQ(tuttiStreamAddCallback(stream, nullptr, nullptr), ncclInvalidArgument);
  EXPECT_EQ(tuttiStreamDestroy(stream), ncclSuccess);
  EXPECT_EQ(tuttiStreamDestroy(stream), ncclInvalidArgument);
  EXPECT_EQ(tuttiStreamSynchronize(stream), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("was destroyed"));
  EXPECT_EQ(tuttiStreamSynchronize(reinterpret_cast<tuttiStream_t>(&stream)), ncclInvalidArgument);
  EXPECT_EQ(tuttiStreamSynchronize(nullptr), ncclInvalidArgument);
  EXPECT_EQ(tuttiStreamCreate(nullptr), ncclInvalidArgument);
}

TEST(Nonblocking, GetsReady) {
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ncclResult_t state = ncclCommInitRankConfig(&comm, 1, id, 0, &config);
  ASSERT_TRUE(state == ncclSuccess || state == ncclInProgress) << lastError();
  ASSERT_NE(comm, nullptr);
  auto settle = [&] {
    do {
      std::this_thread::yield();
      ASSERT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
    } while (state == ncclInProgress);
    ASSERT_EQ(state, ncclSuccess);
  };
  settle();
  int32_t in = 9, out = 0;
  state = ncclAllReduce(&in, &out, 1, ncclInt32, ncclSum, comm, nullptr);
  EXPECT_TRUE(state == ncclSuccess || state == ncclInProgress);
  settle();
  EXPECT_EQ(out, 9);
  EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

/// Two ranks as threads of this process.
class Pair : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(ncclCommInitAll(comms_, 2, nullptr), ncclSuccess) << lastError(); }
  ncclComm_t comms_[2] = {};
};

TEST_F(Pair, AbortFreesABlockedCallAndItsHandle) {
  std::atomic<bool> inside{false};
  ncclResult_t result = ncclSuccess;
  std::string text;
  std::thread blocked([&] {
    int32_t in = 1, out = 0;
    inside = true;
    result = ncclAllReduce(&in, &out, 1, ncclInt32, ncclSum, comms_[0], nullptr);  // rank 1 never comes
    text = lastError();
  });
  while (!inside.load()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(ncclCommAbort(comms_[0]), ncclSuccess) << lastError();
  blocked.join();
  EXPECT_NE(result, ncclSuccess);
  EXPECT_THAT(text, HasSubstr("ncclAllReduce: "));
  EXPECT_EQ(ncclCommAbort(comms_[0]), ncclInvalidArgument);
  EXPECT_EQ(ncclCommAbort(comms_[1]), ncclSuccess) << lastError();
}

TEST_F(Pair, RootsAndPeersOutOfRange) {
  float in[2] = {}, out[2] = {};
  EXPECT_EQ(ncclReduce(in, out, 1, ncclFloat, ncclSum, 2, comms_[0], nullptr), ncclInvalidArgument);
  EXPECT_THAT(lastError(comms_[0]), HasSubstr("root 2 is not a rank: the communicator has ranks 0 to 1"));
  EXPECT_EQ(lastError(comms_[1]), "");
  EXPECT_EQ(ncclSend(in, 1, ncclFloat, 2, comms_[1], nullptr), ncclInvalidArgument);
  // 2^62 bytes for each of two ranks.
  EXPECT_EQ(ncclAllGather(in, out, size_t{1} << 60, ncclFloat, comms_[0], nullptr), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("for each of 2 ranks"));
  const size_t counts[2] = {1, 1}, offsets[2] = {0, SIZE_MAX};
  EXPECT_EQ(tuttiAllGatherv(in, 1, out, counts, offsets, ncclFloat, comms_[0], nullptr), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("block of rank 1"));
  EXPECT_EQ(tuttiAllGatherv(in, 3, out, counts, offsets, ncclFloat, comms_[0], nullptr), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("sendcount 3 is not recvcounts[0]"));
  int excluded[2] = {1, 1};
  ncclComm_t made;
  EXPECT_EQ(ncclCommShrink(comms_[0], excluded, 2, &made, nullptr, 0), ncclInvalidArgument);
  EXPECT_EQ(ncclCommShrink(comms_[1], excluded, 1, &made, nullptr, 0), ncclInvalidUsage);
  EXPECT_EQ(ncclCommShrink(comms_[0], excluded, 1, &made, nullptr, 8), ncclInvalidArgument);
  EXPECT_EQ(ncclCommGrow(comms_[0], 2, nullptr, -1, &made, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclCommGrow(comms_[0], 3, nullptr, 0, &made, nullptr), ncclInvalidArgument);
  std::thread other([&] { EXPECT_EQ(ncclCommDestroy(comms_[1]), ncclSuccess) << lastError(); });
  EXPECT_EQ(ncclCommDestroy(comms_[0]), ncclSuccess) << lastError();
  other.join();
}

TEST_F(Pair, SplitGivesNullWithoutAColor) {
  ncclComm_t made[2] = {comms_[0], comms_[1]};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      const int color = rank == 0 ? 7 : NCCL_SPLIT_NOCOLOR;
      EXPECT_EQ(ncclCommSplit(comms_[rank], color, 0, &made[rank], nullptr), ncclSuccess) << lastError();
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_NE(made[0], nullptr);
  EXPECT_EQ(made[1], nullptr);
  int n = 0;
  EXPECT_EQ(pncclCommCount(made[0], &n), ncclSuccess);
  EXPECT_EQ(n, 1);
  EXPECT_EQ(ncclCommDestroy(made[0]), ncclSuccess);
  std::thread other([&] { EXPECT_EQ(ncclCommDestroy(comms_[1]), ncclSuccess) << lastError(); });
  EXPECT_EQ(ncclCommDestroy(comms_[0]), ncclSuccess) << lastError();
  other.join();
}

TEST(MissingCalls, EachSaysSo) {
  std::vector<char> text(4096);
  ASSERT_EQ(tuttiMissingCalls(text.data(), text.size()), ncclSuccess);
  std::istringstream names(text.data());
  int count = 0;
  for (std::string name; names >> name; ++count) {
    EXPECT_EQ(ncclGetVersion(nullptr), ncclInvalidArgument);  // another error first
    void* function = dlsym(RTLD_DEFAULT, name.c_str());
    ASSERT_NE(function, nullptr) << name;
    // All arguments of these calls go by register or unread; a call through this type reaches each of them.
    const bool team = name.rfind("ncclTeam", 0) == 0;
    if (team) {
      auto call = reinterpret_cast<ncclTeam_t (*)(void*, int)>(function);
      EXPECT_EQ(call(nullptr, 0).nRanks, 0) << name;
    } else {
      auto call = reinterpret_cast<ncclResult_t (*)(void*, void*, void*, void*, void*, void*)>(function);
      EXPECT_EQ(call(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr), ncclInvalidUsage) << name;
    }
    EXPECT_THAT(lastError(), StartsWith(name + ": ")) << name;
    EXPECT_THAT(lastError(), HasSubstr("not available in this version")) << name;
  }
  EXPECT_GE(count, 1);
}

TEST(Params, HandlesAndTypes) {
  setenv("NCCL_BUFFSIZE", "1048576", 1);
  ASSERT_EQ(tuttiParamsReload(), ncclSuccess) << lastError();
  ncclParamHandle_t handle = nullptr;
  ASSERT_EQ(ncclParamBind(&handle, "NCCL_BUFFSIZE"), ncclSuccess) << lastError();
  ncclParamHandle_t same = nullptr;
  EXPECT_EQ(ncclParamBind(&same, "BUFFSIZE"), ncclSuccess);
  EXPECT_EQ(handle, same);
  int64_t i64 = 0;
  EXPECT_EQ(ncclParamGetI64(handle, &i64), ncclSuccess);
  EXPECT_EQ(i64, 1048576);
  int32_t i32 = 0;
  EXPECT_EQ(ncclParamGetI32(handle, &i32), ncclSuccess);
  EXPECT_EQ(i32, 1048576);
  uint64_t u64 = 0;
  EXPECT_EQ(ncclParamGetU64(handle, &u64), ncclSuccess);
  EXPECT_EQ(u64, 1048576u);
  int8_t i8 = 5;
  EXPECT_EQ(ncclParamGetI8(handle, &i8), ncclInvalidArgument);
  EXPECT_THAT(lastError(), AllOf(HasSubstr("NCCL_BUFFSIZE"), HasSubstr("8 bits")));
  EXPECT_EQ(i8, 5);
  uint16_t u16 = 0;
  EXPECT_EQ(ncclParamGetU16(handle, &u16), ncclInvalidArgument);
  const char* text = nullptr;
  EXPECT_EQ(ncclParamGetStr(handle, &text), ncclSuccess);
  EXPECT_STREQ(text, "1048576");
  int64_t raw = 0;
  int length = 0;
  EXPECT_EQ(ncclParamGet(handle, &raw, sizeof(raw), &length), ncclSuccess);
  EXPECT_EQ(length, static_cast<int>(sizeof(raw)));
  EXPECT_EQ(raw, 1048576);
  EXPECT_EQ(ncclParamGet(handle, &raw, 3, &length), ncclInvalidArgument);
  EXPECT_EQ(length, static_cast<int>(sizeof(raw)));
  int valueLength = 0;
  EXPECT_EQ(ncclParamGetParameter("NCCL_BUFFSIZE", &text, &valueLength), ncclSuccess);
  EXPECT_EQ(std::string(text), "1048576");
  EXPECT_EQ(valueLength, 7);
  unsetenv("NCCL_BUFFSIZE");
  ASSERT_EQ(tuttiParamsReload(), ncclSuccess);
}

TEST(Params, Errors) {
  ncclParamHandle_t handle = nullptr;
  EXPECT_EQ(ncclParamBind(&handle, "NCCL_NO_SUCH_THING"), ncclInvalidArgument);
  EXPECT_THAT(lastError(), HasSubstr("NCCL_NO_SUCH_THING"));
  EXPECT_EQ(handle, nullptr);
  EXPECT_EQ(ncclParamBind(&handle, nullptr), ncclInvalidArgument);
  EXPECT_EQ(ncclParamBind(nullptr, "NCCL_DEBUG"), ncclInvalidArgument);
  ASSERT_EQ(ncclParamBind(&handle, "NCCL_SOCKET_IFNAME"), ncclSuccess);
  int64_t number = 0;
  EXPECT_EQ(ncclParamGetI64(handle, &number), ncclInvalidArgument) << "text is no number";
  EXPECT_EQ(ncclParamGetI64(nullptr, &number), ncclInvalidArgument);
  EXPECT_EQ(ncclParamGetI64(reinterpret_cast<ncclParamHandle_t>(&number), &number), ncclInvalidArgument);
  auto inside = reinterpret_cast<ncclParamHandle_t>(reinterpret_cast<char*>(handle) + 1);
  EXPECT_EQ(ncclParamGetI64(inside, &number), ncclInvalidArgument);
  const char* value = "x";
  int length = 9;
  EXPECT_EQ(ncclParamGetParameter("nope", &value, &length), ncclInvalidArgument);
  EXPECT_EQ(value, nullptr);
  EXPECT_EQ(length, 0);
}

TEST(Params, AllKeysCanBeRead) {
  const char** keys = nullptr;
  int count = 0;
  ASSERT_EQ(ncclParamGetAllParameterKeys(&keys, &count), ncclSuccess);
  EXPECT_GT(count, 20);
  for (int i = 0; i < count; ++i) {
    ncclParamHandle_t handle;
    EXPECT_EQ(ncclParamBind(&handle, keys[i]), ncclSuccess) << keys[i];
    const char* text = nullptr;
    EXPECT_EQ(ncclParamGetStr(handle, &text), ncclSuccess) << keys[i];
  }
  testing::internal::CaptureStdout();
  ncclParamDumpAll();
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("NCCL_DEBUG="));
}

}  // namespace
