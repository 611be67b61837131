// Every collective, type, operator, rank count, size around the boundaries, in and out of place, by each
// algorithm, protocol and transport, against the serial reference of data.hpp.
#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <cstring>

#include "data.hpp"
#include "ranks.hpp"

namespace {

// Small slots, so that boundaries come at small sizes: a chunk is 4096 bytes between two ranks, 8192 on a
// board.
constexpr size_t kChunkBytes = 4096;

enum class Kind { AllReduce, Reduce, Broadcast, AllGather, ReduceScatter, AlltoAll, Gather, Scatter };
constexpr const char* kKindNames[] = {"AllReduce",     "Reduce",   "Broadcast", "AllGather",
                                      "ReduceScatter", "AlltoAll", "Gather",    "Scatter"};

struct Case {
  Kind kind;
  ncclDataType_t type;
  int op;
  size_t count;
  int root;
  bool inPlace;

  std::string name() const {
    return std::string(kKindNames[static_cast<int>(kind)]) + " " + data::nameOf(type) + " op " +
           std::to_string(op) + " count " + std::to_string(count) + " root " + std::to_string(root) +
           (inPlace ? " in place" : "");
  }
};

/// A buffer with guard bytes on both sides and, on purpose, no alignment beyond that of `shift`.
class Guarded {
 public:
  Guarded(size_t bytes, size_t shift)
      : bytes_(bytes), offset_(kGuard + shift), memory_(bytes + shift + 2 * kGuard, kMark) {}
  void* get() { return memory_.data() + offset_; }
  bool intact() const {
    for (size_t i = 0; i < offset_; ++i)
      if (memory_[i] != kMark) return false;
    for (size_t i = offset_ + bytes_; i < memory_.size(); ++i)
      if (memory_[i] != kMark) return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr unsigned char kMark = 0xa5;
  size_t bytes_, offset_;
  std::vector<unsigned char> memory_;
};

ncclResult_t call(const Case& c, const void* send, void* recv, ncclRedOp_t op, ncclComm_t comm) {
  switch (c.kind) {
    case Kind::AllReduce:
      return ncclAllReduce(send, recv, c.count, c.type, op, comm, nullptr);
    case Kind::Reduce:
      return ncclReduce(send, recv, c.count, c.type, op, c.root, comm, nullptr);
    case Kind::Broadcast:
      return ncclBroadcast(send, recv, c.count, c.type, c.root, comm, nullptr);
    case Kind::AllGather:
      return ncclAllGather(send, recv, c.count, c.type, comm, nullptr);
    case Kind::ReduceScatter:
      return ncclReduceScatter(send, recv, c.count, c.type, op, comm, nullptr);
    case Kind::AlltoAll:
      return ncclAlltoAll(send, recv, c.count, c.type, comm, nullptr);
    case Kind::Gather:
      return ncclGather(send, recv, c.count, c.type, c.root, comm, nullptr);
    case Kind::Scatter:
      return ncclScatter(send, recv, c.count, c.type, c.root, comm, nullptr);
  }
  return ncclInternalError;
}

std::string play(const Case& c, int rank, int n, ncclComm_t comm) {
  const size_t one = data::sizeOf(c.type);
  const bool wideIn = c.kind == Kind::ReduceScatter || c.kind == Kind::AlltoAll || (c.kind == Kind::Scatter);
  const bool wideOut = c.kind == Kind::AllGather || c.kind == Kind::AlltoAll || (c.kind == Kind::Gather);
  const size_t inCount = c.count * (wideIn ? n : 1);
  const size_t outCount = c.count * (wideOut ? n : 1);
  Guarded in(inCount * one, c.count % 3 == 1 ? 1 : 0);
  Guarded out(std::max(inCount, outCount) * one, c.count % 5 == 1 ? 3 : 0);
  char* recv = static_cast<char*>(out.get());
  char* send = static_cast<char*>(in.get());
  if (c.inPlace) {
    send = recv;
    if (c.kind == Kind::AllGather || (c.kind == Kind::Gather)) send = recv + rank * c.count * one;
    if (c.kind == Kind::ReduceScatter || (c.kind == Kind::Scatter)) recv = send + rank * c.count * one;
  }
  for (size_t i = 0; i < inCount; ++i) data::put(send, i, c.type, data::input(rank, i, n, c.type, c.op));
  std::vector<char> before(send, send + inCount * one);

  ncclRedOp_t op = c.op == data::kPreMulSum ? ncclSum : static_cast<ncclRedOp_t>(c.op);
  if (c.op == data::kPreMulSum) {
    char scalar[8] = {};
    data::put(scalar, 0, c.type, data::kScalar);
    RANK_TRY(ncclRedOpCreatePreMulSum(&op, scalar, c.type, ncclScalarHostImmediate, comm));
  }
  RANK_TRY(call(c, send, recv, op, comm));
  if (c.op == data::kPreMulSum) RANK_TRY(ncclRedOpDestroy(op, comm));

  auto sent = [&](int from, size_t i) { return data::input(from, i, n, c.type, c.op); };
  auto total = [&](size_t i) { return data::reduced(i, n, c.type, c.op); };
  std::string wrong;
  switch (c.kind) {
    case Kind::AllReduce:
      wrong = data::compare(recv, 0, c.count, c.type, c.op, total);
      break;
    case Kind::Reduce:
      if (rank == c.root) wrong = data::compare(recv, 0, c.count, c.type, c.op, total);
      break;
    case Kind::Broadcast:
      wrong = data::compare(recv, 0, c.count, c.type, ncclSum, [&](size_t i) { return sent(c.root, i); });
      break;
    case Kind::ReduceScatter:
      wrong =
          data::compare(recv, 0, c.count, c.type, c.op, [&](size_t i) { return total(rank * c.count + i); });
      break;
    case Kind::Scatter:
      wrong = data::compare(recv, 0, c.count, c.type, ncclSum,
                            [&](size_t i) { return sent(c.root, rank * c.count + i); });
      break;
    case Kind::AllGather:
    case Kind::Gather:
      if (c.kind == Kind::Gather && rank != c.root) break;
      for (int from = 0; from < n && wrong.empty(); ++from) {
        wrong = data::compare(recv, from * c.count, c.count, c.type, ncclSum,
                              [&](size_t i) { return sent(from, i); });
      }
      break;
    case Kind::AlltoAll:
      for (int from = 0; from < n && wrong.empty(); ++from) {
        wrong = data::compare(recv, from * c.count, c.count, c.type, ncclSum,
                              [&](size_t i) { return sent(from, rank * c.count + i); });
      }
      break;
  }
  if (wrong.empty() && !c.inPlace && inCount > 0 && std::memcmp(before.data(), send, before.size()) != 0)
    wrong = "the send buffer was changed";
  if (wrong.empty() && !(in.intact() && out.intact())) wrong = "bytes outside the buffers were changed";
  return wrong.empty() ? "" : c.name() + ": " + wrong;
}

bool reduces(Kind kind) {
  return kind == Kind::AllReduce || kind == Kind::Reduce || kind == Kind::ReduceScatter;
}
bool rooted(Kind kind) {
  return kind == Kind::Reduce || kind == Kind::Broadcast || kind == Kind::Gather || kind == Kind::Scatter;
}

constexpr ncclDataType_t kTypes[] = {ncclInt8,    ncclUint8,    ncclInt32,      ncclUint32,
                                     ncclInt64,   ncclUint64,   ncclFloat16,    ncclFloat32,
                                     ncclFloat64, ncclBfloat16, ncclFloat8e4m3, ncclFloat8e5m2};
constexpr int kOps[] = {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg, data::kPreMulSum};

/// All types and operators at one odd size; all boundary sizes for float sum; in and out of place; some
/// roots.
std::vector<Case> casesFor(Kind kind, int n, bool allTypes) {
  std::vector<Case> cases;
  const bool noInPlace = kind == Kind::AlltoAll;
  std::vector<int> roots = rooted(kind) ? std::vector<int>{0, n - 1} : std::vector<int>{0};
  if (n == 1 || !rooted(kind)) roots.resize(1);
  for (int root : roots) {
    for (bool inPlace : {false, true}) {
      if (inPlace && noInPlace) continue;
      const size_t chunk = kChunkBytes / 4;
      for (size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{13}, size_t{15}, chunk - 1, chunk,
                           chunk + 1, 2 * chunk + 1, n * chunk + 3, 9 * chunk + 7}) {
        cases.push_back({kind, ncclFloat32, ncclSum, count, root, inPlace});
      }
      if (!allTypes) continue;
      for (ncclDataType_t type : kTypes) {
        for (int op : kOps) {
          if (op != ncclSum && !reduces(kind)) continue;
          cases.push_back({kind, type, op, 77, root, inPlace});
          if (op == ncclSum || op == ncclAvg)
            cases.push_back({kind, type, op, 2 * kChunkBytes / data::sizeOf(type) + 5, root, inPlace});
        }
      }
    }
  }
  return cases;
}

std::string playAll(int rank, int n, ncclComm_t comm, const std::vector<Kind>& kinds, bool allTypes) {
  for (Kind kind : kinds) {
    for (const Case& c : casesFor(kind, n, allTypes)) {
      if (std::string wrong = play(c, rank, n, comm); !wrong.empty()) return wrong;
    }
  }
  return "";
}

struct Way {
  const char* algorithm;
  const char* protocol;
  std::vector<Kind> kinds;
};

const std::vector<Kind> kAll = {Kind::AllReduce,     Kind::Reduce,   Kind::Broadcast, Kind::AllGather,
                                Kind::ReduceScatter, Kind::AlltoAll, Kind::Gather,    Kind::Scatter};
const std::vector<Way> kWays = {
    {"", "", kAll},
    {"ring", "", {Kind::AllReduce, Kind::Reduce, Kind::Broadcast, Kind::AllGather, Kind::ReduceScatter}},
    {"tree", "", {Kind::AllReduce, Kind::Reduce, Kind::Broadcast}},
    {"rd", "", {Kind::AllReduce}},
    {"oneshot", "", kAll},
    {"twoshot", "", {Kind::AllReduce, Kind::Reduce}},
    {"pairwise", "", {Kind::AllGather, Kind::AlltoAll, Kind::Gather, Kind::Scatter}},
    {"rh", "", {Kind::AllReduce, Kind::AllGather, Kind::ReduceScatter}},
    {"bruck", "", {Kind::AllGather, Kind::AlltoAll}},
    {"binomial", "", {Kind::Reduce, Kind::Broadcast, Kind::Gather, Kind::Scatter}},
    {"pat", "", {Kind::AllGather, Kind::ReduceScatter}},
    {"swing", "", {Kind::AllReduce}},
};

using Runner = std::string (*)(int n, const ranks::Body& body);
std::string threads(int n, const ranks::Body& body) {
  return ranks::asThreads(n, body);
}
std::string processes(int n, const ranks::Body& body) {
  return ranks::asProcesses(n, body);
}

void runWays(Runner runner, const std::vector<int>& sizes, const std::vector<const char*>& protocols,
             const char* transport, bool allTypes) {
  for (int n : sizes) {
    for (const Way& way : kWays) {
      for (const char* protocol : protocols) {
        const bool network = std::string(transport) == "tcp";
        if (network && (std::string(way.algorithm) == "oneshot" || std::string(way.algorithm) == "twoshot"))
          continue;
        // LL carries at most 3584 bytes a message and is slow with many of them: the boundaries only.
        const bool types = allTypes && std::string(protocol) != "LL";
        ranks::Settings settings({{"NCCL_ALGO", way.algorithm},
                                  {"NCCL_PROTO", protocol},
                                  {"TUTTI_TRANSPORT", transport},
                                  {"TUTTI_SLOT_BYTES", "4096"}});
        std::string wrong = runner(n, [&](int rank, int size, ncclComm_t comm) {
          return playAll(rank, size, comm, way.kinds, types);
        });
        EXPECT_EQ(wrong, "") << n << " ranks, NCCL_ALGO=" << way.algorithm << " NCCL_PROTO=" << protocol
                             << " over " << transport;
        if (!wrong.empty()) return;
      }
    }
  }
}

// Under a sanitizer each access costs ten times as much: fewer ranks, the same ways.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
std::vector<int> sizes(std::vector<int> all, std::vector<int> few) {
  return kSanitized ? few : all;
}

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Processes, EveryCollectiveBySharedMemory) {
  runWays(processes, sizes({2, 3, 5}, {3}), {"Simple", "LL"}, "auto", !kSanitized);
}
TEST(A_Processes, ManyRanks) {
  runWays(processes, sizes({8, 16}, {}), {"Simple", "LL"}, "auto", false);
}
TEST(A_Processes, EveryCollectiveByTcp) {
  runWays(processes, sizes({2, 3}, {2}), {"Simple"}, "tcp", !kSanitized);
}
TEST(A_Processes, ManyRanksByTcp) {
  runWays(processes, sizes({6}, {}), {"Simple"}, "tcp", false);
}
// Processes that say they are on different hosts: rails between them by TCP, shared memory inside.
TEST(A_Processes, HostsAndRails) {
  for (int perHost : {2, 3}) {
    // Rank 0 makes the id, and is asked who it is for that.
    ranks::Settings settings({{"NCCL_ALGO", "hier"}, {"TUTTI_SLOT_BYTES", "4096"}, {"NCCL_HOSTID", "host0"}});
    std::string wrong = ranks::asProcesses(
        6,
        [](int rank, int size, ncclComm_t comm) {
          return playAll(rank, size, comm,
                         {Kind::AllReduce, Kind::Reduce, Kind::Broadcast, Kind::AllGather,
                          Kind::ReduceScatter, Kind::AlltoAll},
                         false);
        },
        -1,
        [perHost](int rank) {
          setenv("NCCL_HOSTID", ("host" + std::to_string(rank / perHost)).c_str(), 1);
          tuttiParamsReload();
        });
    EXPECT_EQ(wrong, "") << perHost << " ranks per host";
  }
}
TEST(B_Threads, EveryRankCount) {
  runWays(threads, sizes({1, 2, 3, 4, 5, 6, 7, 8, 9, 16}, {1, 4}), {"Simple", "LL"}, "auto", false);
}
TEST(B_Threads, EveryTypeAndOperator) {
  runWays(threads, sizes({1, 2, 4, 7}, {2}), {"Simple"}, "auto", true);
}
TEST(B_Threads, WithoutDirectAccess) {
  runWays(threads, sizes({2, 5}, {3}), {"Simple"}, "shm", false);
}

}  // namespace
