// Asking communicators, and memory that they know. Except for memory, all may be called by any thread at any
// time.
#include "api/checks.hpp"
#include "api/guard.hpp"

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, CommCount, (const ncclComm_t comm, int* count)) {
  return guardQuery("ncclCommCount", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(count);
    *count = comm::sizeOf(c);
    return {};
  });
}

TUTTI_API(ncclResult_t, CommUserRank, (const ncclComm_t comm, int* rank)) {
  return guardQuery("ncclCommUserRank", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(rank);
    *rank = comm::rankOf(c);
    return {};
  });
}

TUTTI_API(ncclResult_t, CommCuDevice, (const ncclComm_t comm, int* device)) {
  return guardQuery("ncclCommCuDevice", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(device);
    *device = comm::deviceOf(c);
    return {};
  });
}

TUTTI_API(ncclResult_t, CommGetAsyncError, (ncclComm_t comm, ncclResult_t* asyncError)) {
  constexpr const char* kCall = "ncclCommGetAsyncError";
  return guardQuery(kCall, comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(asyncError);
    Status status = comm::asyncStatus(c);
    *asyncError = status.ok() ? ncclSuccess : static_cast<ncclResult_t>(status.error().code());
    return {};
  });
}

TUTTI_API(ncclResult_t, CommMemStats, (ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value)) {
  return guardQuery("ncclCommMemStats", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(value);
    const comm::MemoryUse use = comm::memoryUseOf(c);
    switch (rawValue(stat)) {
      case ncclStatGpuMemSuspend:
        *value = use.suspendable;
        return {};
      case ncclStatGpuMemSuspended:
        *value = use.suspended ? 1 : 0;
        return {};
      case ncclStatGpuMemPersist:
        *value = use.persistent;
        return {};
      case ncclStatGpuMemTotal:
        *value = use.persistent + use.suspendable;
        return {};
      default:
        return makeError(Code::InvalidArgument, "stat {} does not exist: there are 0 to {}", rawValue(stat),
                         static_cast<int>(ncclStatGpuMemTotal));
    }
  });
}

TUTTI_API(ncclResult_t, CommRegister, (const ncclComm_t comm, void* buff, size_t size, void** handle)) {
  return guardComm("ncclCommRegister", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(handle);
    *handle = nullptr;
    TUTTI_NEED(buff);
    if (size == 0) return Error(Code::InvalidArgument, "size is 0");
    TUTTI_ASSIGN(const uint64_t id, comm::registerBuffer(c, buff, size));
    *handle = reinterpret_cast<void*>(static_cast<uintptr_t>(id));
    return {};
  });
}

TUTTI_API(ncclResult_t, CommDeregister, (const ncclComm_t comm, void* handle)) {
  return guardComm("ncclCommDeregister", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(handle);
    return comm::deregisterBuffer(c, reinterpret_cast<uintptr_t>(handle));
  });
}

TUTTI_API(ncclResult_t, CommWindowRegister,
          (ncclComm_t comm, void* buff, size_t size, ncclWindow_t* win, int winFlags)) {
  return guardComm("ncclCommWindowRegister", comm, [&](Communicator& c) -> Status {
    constexpr int kAllFlags =
        NCCL_WIN_COLL_SYMMETRIC | NCCL_WIN_STRICT_ORDERING | NCCL_WIN_GIN_ONLY | NCCL_WIN_CFT_COUNTED;
    TUTTI_NEED(win);
    *win = nullptr;
    TUTTI_NEED(buff);
    if (size == 0) return Error(Code::InvalidArgument, "size is 0");
    if (reinterpret_cast<uintptr_t>(buff) % NCCL_WIN_REQUIRED_ALIGNMENT != 0) {
      return makeError(Code::InvalidArgument,
                       "buff {} must be a multiple of {}; ncclMemAlloc gives such memory", buff,
                       NCCL_WIN_REQUIRED_ALIGNMENT);
    }
    if ((winFlags & ~kAllFlags) != 0) {
      return makeError(Code::InvalidArgument, "winFlags {:#x} has bits outside {:#x}", winFlags, kAllFlags);
    }
    TUTTI_ASSIGN(const uint64_t id, comm::registerWindow(c, buff, size, winFlags));
    *win = reinterpret_cast<ncclWindow_t>(static_cast<uintptr_t>(id));
    return {};
  });
}

TUTTI_API(ncclResult_t, CommWindowDeregister, (ncclComm_t comm, ncclWindow_t win)) {
  return guardComm("ncclCommWindowDeregister", comm, [&](Communicator& c) -> Status {
    if (win == nullptr) return {};  // what ncclCommWindowRegister may have given
    return comm::deregisterWindow(c, reinterpret_cast<uintptr_t>(win));
  });
}

TUTTI_API(ncclResult_t, WinGetUserPtr, (ncclComm_t comm, ncclWindow_t win, void** outUserPtr)) {
  return guardComm("ncclWinGetUserPtr", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(outUserPtr);
    *outUserPtr = nullptr;
    TUTTI_NEED(win);
    TUTTI_ASSIGN(*outUserPtr, comm::windowMemory(c, reinterpret_cast<uintptr_t>(win)));
    return {};
  });
}
