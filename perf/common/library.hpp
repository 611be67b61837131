// The libnccl.so.2 that the program runs with: what it may lack is looked up by name, so that another library
// works, too.
#pragma once

#include <nccl.h>
#include <tutti/tutti.h>

#include <string>

#include "core/result.hpp"

namespace tutti::perf {

/// Calls that are not in every libnccl.so.2; nullptr where missing.
struct Library {
  decltype(&::tuttiGetVersion) tuttiVersion = nullptr;
  decltype(&::tuttiStreamCreate) streamCreate = nullptr;
  decltype(&::tuttiStreamQuery) streamQuery = nullptr;
  decltype(&::tuttiStreamDestroy) streamDestroy = nullptr;
  decltype(&::tuttiAllToAllv) allToAllv = nullptr;
  decltype(&::tuttiCommDescribe) describe = nullptr;
  decltype(&::tuttiExplain) explain = nullptr;
  decltype(&::ncclAlltoAll) allToAll = nullptr;
  decltype(&::ncclGather) gather = nullptr;
  decltype(&::ncclScatter) scatter = nullptr;
  decltype(&::ncclMemAlloc) memAlloc = nullptr;
  decltype(&::ncclMemFree) memFree = nullptr;
  decltype(&::ncclCommRegister) commRegister = nullptr;
  decltype(&::ncclCommDeregister) commDeregister = nullptr;
  decltype(&::ncclCommWindowRegister) windowRegister = nullptr;
  decltype(&::ncclCommWindowDeregister) windowDeregister = nullptr;
  decltype(&::ncclGetLastError) lastError = nullptr;

  int version = 0;      ///< ncclGetVersion
  int ownVersion = -1;  ///< tuttiGetVersion, -1 for another library
};

/// The library of this process; looked up on first use.
const Library& library();

/// A result of the library as a Status, with the library's own last words.
Status check(ncclResult_t result, const char* call, ncclComm_t comm = nullptr);

/// Runs an expression that returns ncclResult_t; its error goes to the caller.
#define TUTTI_PERF_TRY(call) TUTTI_TRY(::tutti::perf::check((call), #call))

}  // namespace tutti::perf
