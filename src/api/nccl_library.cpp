// The library as a whole: version, errors, log, encryption, memory.
#include "api/config.hpp"
#include "api/guard.hpp"
#include "core/log.hpp"

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, GetVersion, (int* version)) {
  return guard("ncclGetVersion", [&]() -> Status {
    TUTTI_NEED(version);
    *version = NCCL_VERSION_CODE;
    return {};
  });
}

TUTTI_API(const char*, GetErrorString, (ncclResult_t result)) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "a CUDA call failed";
    case ncclSystemError:
      return "the operating system refused a call or a resource";
    case ncclInternalError:
      return "internal error, a bug in the library";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "a remote rank failed or cannot be reached";
    case ncclInProgress:
      return "operation in progress";
    case ncclTimeout:
      return "timeout";
    default:
      return "unknown result code";
  }
}

TUTTI_API(const char*, GetLastError, (ncclComm_t comm)) {
  thread_local std::string held;  // what the caller got last
  if (comm == nullptr) {
    held = threadLastError();
    return held.c_str();
  }
  // Not through guard(): asking must not change the answer.
  try {
    CommTable::Pin pin = gComms.value.enterShared(comm);
    if (!pin) {
      held = threadLastError();
      return held.c_str();
    }
    held = comm::lastErrorOf(*pin->comm);
    if (held.empty()) {
      Status status = comm::asyncStatus(*pin->comm);
      if (!status.ok() && status.error().code() != Code::InProgress) held = status.error().message();
    }
    return held.c_str();
  } catch (...) {
    return "out of memory";
  }
}

extern "C" TUTTI_EXPORT void ncclResetDebugInitInternal() {
  guard("ncclResetDebugInit", []() -> Status {
    log::reset();
    return {};
  });
}

// Without NCCL_OS_LINUX the header has macros of these names; this file does not see them as calls.
#undef ncclResetDebugInit
#undef pncclResetDebugInit
TUTTI_API(void, ResetDebugInit, ()) {
  ncclResetDebugInitInternal();
}

TUTTI_API(ncclResult_t, SetEncryption, (const ncclEncryptionConfig_t* config)) {
  return guard("ncclSetEncryption", [&]() -> Status {
    TUTTI_NEED(config);
    TUTTI_TRY(checkHead(config, NCCL_API_MAGIC, "NCCL_ENCRYPTION_CONFIG_INITIALIZER"));
    if (config->size < sizeof(ncclEncryptionConfig_t)) {
      return makeError(Code::InvalidArgument, "the struct has size {}, not {}", config->size,
                       sizeof(ncclEncryptionConfig_t));
    }
    switch (config->mode) {
      case NCCL_ENCRYPTION_MODE_NONE:
        return {};
      case NCCL_ENCRYPTION_MODE_PSK:
        return Error(Code::InvalidUsage, "encryption is not available in this version");
      default:
        return makeError(Code::InvalidArgument, "config.mode {} is not an ncclEncryptionMode_t",
                         config->mode);
    }
  });
}

TUTTI_API(ncclResult_t, MemAlloc, (void** ptr, size_t size)) {
  return guard("ncclMemAlloc", [&]() -> Status {
    TUTTI_NEED(ptr);
    *ptr = nullptr;
    if (size == 0) return {};
    if (size > static_cast<size_t>(INT64_MAX))
      return makeError(Code::InvalidArgument, "size {} is too large", size);
    TUTTI_ASSIGN(*ptr, comm::memoryAllocate(size));
    return {};
  });
}

TUTTI_API(ncclResult_t, MemFree, (void* ptr)) {
  return guard("ncclMemFree", [&]() -> Status {
    if (ptr == nullptr) return {};
    return comm::memoryFree(ptr);
  });
}
