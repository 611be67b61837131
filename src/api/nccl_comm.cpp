// Communicators: making and ending them.
#include <algorithm>
#include <cstring>
#include <utility>

#include "api/checks.hpp"
#include "api/config.hpp"
#include "api/guard.hpp"
#include "comm/communicator.hpp"

namespace tutti::api {
namespace {

using comm::NewComm;

control::UniqueId fromNccl(const ncclUniqueId& id) {
  control::UniqueId out;
  static_assert(sizeof(out.bytes) == sizeof(id));
  std::memcpy(out.bytes.data(), &id, sizeof(id));
  return out;
}

void toNccl(const control::UniqueId& id, ncclUniqueId* out) {
  std::memcpy(out, &id, sizeof(id));
}

/// Takes the handle away and frees what is behind it, once everybody left. True if this call did it.
Result<bool> freeHandle(const void* comm) {
  bool stuck = false;
  std::unique_ptr<CommEntry> entry = gComms.value.retire(comm, Deadline::afterMs(kRetireTimeoutMs), &stuck);
  if (stuck) {
    return makeError(Code::InternalError, "another thread is still inside a call on comm {} after {} ms",
                     comm, kRetireTimeoutMs);
  }
  return entry != nullptr;
}

/// Gives `made` a handle in *out. If it was made in a group and that fails, *out becomes NULL again.
Status publish(NewComm made, ncclComm_t* out) {
  readCheckSettings();
  auto entry = std::make_unique<CommEntry>();
  entry->comm = made;
  TUTTI_ASSIGN(void* handle, gComms.value.insert(std::move(entry)));
  *out = static_cast<ncclComm_t>(handle);
  comm::groupWhenSettled([out, handle](const Status& status) {
    if (status.ok() || status.error().code() == Code::InProgress) return;
    *out = nullptr;
    (void)freeHandle(handle);
  });
  if (made->blocking()) return {};
  Status status = comm::asyncStatus(*made);
  return status.ok() || status.error().code() == Code::InProgress ? status : Status();
}

/// The end of every call that makes one communicator: `made` may be null, for a rank that is not in it.
Status publishNew(Result<NewComm> made, ncclComm_t* out) {
  if (!made.ok()) return std::move(made).error();
  if (*made == nullptr) return {};
  return publish(std::move(*made), out);
}

Status checkRanks(int nRanks, int rank) {
  if (nRanks < 1) return makeError(Code::InvalidArgument, "nranks {} must be at least 1", nRanks);
  if (!isRank(rank, nRanks)) return badRank("rank", rank, nRanks);
  return {};
}

ncclResult_t initRank(const char* call, ncclComm_t* comm, int nRanks, int rank, int nIds,
                      const ncclUniqueId* ids, const ncclConfig_t* config) {
  return guard(
      call,
      [&]() -> Status {
        TUTTI_NEED(comm);
        *comm = nullptr;
        TUTTI_TRY(checkRanks(nRanks, rank));
        if (nIds < 1 || nIds > nRanks) {
          return makeError(Code::InvalidArgument, "nId {} must be 1 to nranks, which is {}", nIds, nRanks);
        }
        if (ids == nullptr) return nullArgument("commIds");
        TUTTI_ASSIGN(const CommOptions options, readConfig(config));
        std::vector<control::UniqueId> plainIds;
        plainIds.reserve(static_cast<size_t>(nIds));
        std::transform(ids, ids + nIds, std::back_inserter(plainIds), fromNccl);
        return publishNew(comm::create(nRanks, rank, plainIds, options), comm);
      },
      Kind::Grouped);
}

/// Options for a communicator made from another: without a config, those of its parent.
Result<std::optional<CommOptions>> readChildConfig(const ncclConfig_t* config) {
  if (config == nullptr) return std::optional<CommOptions>();
  TUTTI_ASSIGN(CommOptions options, readConfig(config));
  return std::optional<CommOptions>(std::move(options));
}

const CommOptions* pointerTo(const std::optional<CommOptions>& options) {
  return options ? &*options : nullptr;
}

Status checkExcluded(const int* ranks, int count, const Communicator& comm) {
  const int nRanks = comm::sizeOf(comm);
  if (count < 1 || count >= nRanks) {
    return makeError(Code::InvalidArgument,
                     "excludeRanksCount {} must be at least 1 and below the number of ranks, {}", count,
                     nRanks);
  }
  TUTTI_NEED(ranks);
  std::vector<bool> seen(static_cast<size_t>(nRanks));
  for (int i = 0; i < count; ++i) {
    if (!isRank(ranks[i], nRanks)) return badRank("excluded rank", ranks[i], nRanks);
    if (seen[static_cast<size_t>(ranks[i])]) {
      return makeError(Code::InvalidArgument, "excludeRanksList has rank {} twice", ranks[i]);
    }
    seen[static_cast<size_t>(ranks[i])] = true;
  }
  if (seen[static_cast<size_t>(comm::rankOf(comm))]) {
    return makeError(Code::InvalidUsage, "excludeRanksList has this rank, {}: excluded ranks do not call",
                     comm::rankOf(comm));
  }
  return {};
}

}  // namespace
}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, GetUniqueId, (ncclUniqueId * uniqueId)) {
  return guard("ncclGetUniqueId", [&]() -> Status {
    TUTTI_NEED(uniqueId);
    TUTTI_ASSIGN(const control::UniqueId id, comm::createUniqueId());
    toNccl(id, uniqueId);
    return {};
  });
}

TUTTI_API(ncclResult_t, CommInitRank, (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank)) {
  return initRank("ncclCommInitRank", comm, nranks, rank, 1, &commId, nullptr);
}

TUTTI_API(ncclResult_t, CommInitRankConfig,
          (ncclComm_t * comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config)) {
  return initRank("ncclCommInitRankConfig", comm, nranks, rank, 1, &commId, config);
}

TUTTI_API(ncclResult_t, CommInitRankScalable,
          (ncclComm_t * newcomm, int nranks, int myrank, int nId, ncclUniqueId* commIds,
           ncclConfig_t* config)) {
  return initRank("ncclCommInitRankScalable", newcomm, nranks, myrank, nId, commIds, config);
}

TUTTI_API(ncclResult_t, CommInitAll, (ncclComm_t * comm, int ndev, const int* devlist)) {
  return guard(
      "ncclCommInitAll",
      [&]() -> Status {
        TUTTI_NEED(comm);
        if (ndev < 1) return makeError(Code::InvalidArgument, "ndev {} must be at least 1", ndev);
        std::vector<int> devices(static_cast<size_t>(ndev));
        for (int i = 0; i < ndev; ++i) {
          devices[static_cast<size_t>(i)] = devlist != nullptr ? devlist[i] : i;
          if (devices[static_cast<size_t>(i)] < 0) {
            return makeError(Code::InvalidArgument, "devlist[{}] is {}, which is negative", i, devlist[i]);
          }
        }
        std::fill(comm, comm + ndev, nullptr);
        TUTTI_ASSIGN(std::vector<NewComm> made, comm::createAll(devices));
        for (int i = 0; i < ndev; ++i) {
          Status status = publish(std::move(made[static_cast<size_t>(i)]), &comm[i]);
          if (status.ok()) continue;
          for (int j = 0; j <= i; ++j) (void)freeHandle(std::exchange(comm[j], nullptr));
          return status;
        }
        return {};
      },
      Kind::Grouped);
}

TUTTI_API(ncclResult_t, CommFinalize, (ncclComm_t comm)) {
  return guardComm("ncclCommFinalize", comm, [&](Communicator& c) { return comm::finalize(c); });
}

TUTTI_API(ncclResult_t, CommDestroy, (ncclComm_t comm)) {
  if (comm == nullptr) return ncclSuccess;  // as free()
  constexpr const char* kCall = "ncclCommDestroy";
  // The handle stays valid while it closes, so that another thread can still abort it.
  ncclResult_t closed = guardQuery(kCall, comm, [&](Communicator& c) { return comm::close(c); });
  ncclResult_t freed = guard(kCall, [&]() -> Status {
    TUTTI_TRY(freeHandle(comm));
    return {};
  });
  return closed != ncclSuccess ? closed : freed;
}

TUTTI_API(ncclResult_t, CommAbort, (ncclComm_t comm)) {
  if (comm == nullptr) return ncclSuccess;
  constexpr const char* kCall = "ncclCommAbort";
  ncclResult_t aborted = guardQuery(kCall, comm, [&](Communicator& c) { return comm::abort(c); });
  ncclResult_t freed = guard(kCall, [&]() -> Status {
    TUTTI_TRY(freeHandle(comm));
    return {};
  });
  return aborted != ncclSuccess ? aborted : freed;
}

TUTTI_API(ncclResult_t, CommRevoke, (ncclComm_t comm, int revokeFlags)) {
  return guardQuery("ncclCommRevoke", comm, [&](Communicator& c) -> Status {
    if (revokeFlags != NCCL_REVOKE_DEFAULT) {
      return makeError(Code::InvalidArgument, "revokeFlags {:#x} must be NCCL_REVOKE_DEFAULT", revokeFlags);
    }
    return comm::revoke(c);
  });
}

TUTTI_API(ncclResult_t, CommSplit,
          (ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config)) {
  return guardComm("ncclCommSplit", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(newcomm);
    *newcomm = nullptr;
    if (color < 0 && color != NCCL_SPLIT_NOCOLOR) {
      return makeError(Code::InvalidArgument, "color {} must be 0 or more, or NCCL_SPLIT_NOCOLOR", color);
    }
    TUTTI_ASSIGN(const std::optional<CommOptions> options, readChildConfig(config));
    return publishNew(comm::split(c, color, key, pointerTo(options)), newcomm);
  });
}

TUTTI_API(ncclResult_t, CommShrink,
          (ncclComm_t comm, int* excludeRanksList, int excludeRanksCount, ncclComm_t* newcomm,
           ncclConfig_t* config, int shrinkFlags)) {
  return guardComm("ncclCommShrink", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(newcomm);
    *newcomm = nullptr;
    TUTTI_TRY(checkExcluded(excludeRanksList, excludeRanksCount, c));
    if ((shrinkFlags & ~NCCL_SHRINK_ABORT) != 0) {
      return makeError(Code::InvalidArgument,
                       "shrinkFlags {:#x} must be NCCL_SHRINK_DEFAULT or NCCL_SHRINK_ABORT", shrinkFlags);
    }
    TUTTI_ASSIGN(const std::optional<CommOptions> options, readChildConfig(config));
    std::span<const int> excluded(excludeRanksList, static_cast<size_t>(excludeRanksCount));
    return publishNew(comm::shrink(c, excluded, shrinkFlags == NCCL_SHRINK_ABORT, pointerTo(options)),
                      newcomm);
  });
}

TUTTI_API(ncclResult_t, CommGetUniqueId, (ncclComm_t comm, ncclUniqueId* uniqueId)) {
  return guardComm("ncclCommGetUniqueId", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(uniqueId);
    TUTTI_ASSIGN(const control::UniqueId id, comm::createGrowId(c));
    toNccl(id, uniqueId);
    return {};
  });
}

TUTTI_API(ncclResult_t, CommGrow,
          (ncclComm_t comm, int nRanks, const ncclUniqueId* uniqueId, int rank, ncclComm_t* newcomm,
           ncclConfig_t* config)) {
  constexpr const char* kCall = "ncclCommGrow";
  std::optional<control::UniqueId> id;
  if (uniqueId != nullptr) id = fromNccl(*uniqueId);
  auto grow = [&](Communicator* parent) -> Status {
    TUTTI_ASSIGN(const std::optional<CommOptions> options, readChildConfig(config));
    return publishNew(comm::grow(parent, nRanks, id ? &*id : nullptr, rank, pointerTo(options)), newcomm);
  };
  if (comm == nullptr) {
    return guard(
        kCall,
        [&]() -> Status {
          TUTTI_NEED(newcomm);
          *newcomm = nullptr;
          TUTTI_TRY(checkRanks(nRanks, rank));
          if (!id) return Error(Code::InvalidArgument, "uniqueId is NULL: a rank that joins needs the id");
          return grow(nullptr);
        },
        Kind::Grouped);
  }
  return guardComm(kCall, comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(newcomm);
    *newcomm = nullptr;
    if (rank != -1) {
      return makeError(Code::InvalidArgument, "rank {} must be -1 for a rank of comm: it keeps its number",
                       rank);
    }
    if (nRanks <= comm::sizeOf(c)) {
      return makeError(Code::InvalidArgument, "nRanks {} must be above the number of ranks of comm, {}",
                       nRanks, comm::sizeOf(c));
    }
    return grow(&c);
  });
}

TUTTI_API(ncclResult_t, CommSuspend, (ncclComm_t comm, int flags)) {
  return guardComm("ncclCommSuspend", comm, [&](Communicator& c) -> Status {
    if (flags != NCCL_SUSPEND_MEM) {
      return makeError(Code::InvalidArgument, "flags {:#x} must be NCCL_SUSPEND_MEM", flags);
    }
    return comm::suspend(c);
  });
}

TUTTI_API(ncclResult_t, CommResume, (ncclComm_t comm)) {
  return guardComm("ncclCommResume", comm, [&](Communicator& c) { return comm::resume(c); });
}
