// Tutti through nccl.h, as a program that knows nothing of Tutti would use it. COMPARE_MEMORY=api takes the
// buffers from ncclMemAlloc and registers them as symmetric windows; otherwise they are malloc'd and nobody
// is told.
#include <nccl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "driver.h"
#include "launch/launch.hpp"

namespace {

ncclComm_t comm;
std::map<void*, ncclWindow_t> windows;

bool failed(ncclResult_t result, const char* what) {
  if (result != ncclSuccess) std::fprintf(stderr, "compare driver: %s: %s\n", what, ncclGetLastError(comm));
  return result != ncclSuccess;
}

bool apiMemory() {
  const char* memory = std::getenv("COMPARE_MEMORY");
  return memory && !std::strcmp(memory, "api");
}

template <typename T>
bool failed(const tutti::Result<T>& result) {
  if (!result) std::fprintf(stderr, "compare driver: %s\n", result.error().message().c_str());
  return !result;
}

}  // namespace

int peerOpen(int*, char**, int* rank, int* size) {
  auto world = tutti::launch::detect();
  if (failed(world)) return 1;
  *rank = world->rank, *size = world->size;
  auto exchange = tutti::launch::Exchange::open(*world);
  if (failed(exchange)) return 1;
  ncclUniqueId id{};
  if (*rank == 0 && failed(ncclGetUniqueId(&id), "ncclGetUniqueId")) return 1;
  if (failed((*exchange)->broadcast(&id, sizeof id, 0))) return 1;
  return failed(ncclCommInitRank(&comm, *size, id, *rank), "ncclCommInitRank");
}

int peerSupports(Collective collective, int inPlace) {
  return collective != kAlltoAll || !inPlace;
}

void* peerAllocate(size_t bytes) {
  if (!apiMemory()) return std::malloc(bytes);
  void* memory = nullptr;
  ncclWindow_t window = nullptr;
  if (failed(ncclMemAlloc(&memory, bytes), "ncclMemAlloc")) return nullptr;
  if (failed(ncclCommWindowRegister(comm, memory, bytes, &window, NCCL_WIN_COLL_SYMMETRIC),
             "ncclCommWindowRegister"))
    return nullptr;
  windows[memory] = window;
  return memory;
}

void peerRelease(void* memory) {
  if (!apiMemory()) return std::free(memory);
  failed(ncclCommWindowDeregister(comm, windows[memory]), "ncclCommWindowDeregister");
  windows.erase(memory);
  failed(ncclMemFree(memory), "ncclMemFree");
}

int peerCall(const Call* call) {
  const size_t n = call->count;
  ncclResult_t result = ncclInternalError;
  switch (call->collective) {
    case kAllReduce:
      result = ncclAllReduce(call->send, call->recv, n, ncclFloat, ncclSum, comm, nullptr);
      break;
    case kReduceScatter:
      result = ncclReduceScatter(call->send, call->recv, n, ncclFloat, ncclSum, comm, nullptr);
      break;
    case kAllGather:
      result = ncclAllGather(call->send, call->recv, n, ncclFloat, comm, nullptr);
      break;
    case kAlltoAll:
      result = ncclAlltoAll(call->send, call->recv, n, ncclFloat, comm, nullptr);
      break;
    case kBroadcast:
      result = ncclBroadcast(call->send, call->recv, n, ncclFloat, 0, comm, nullptr);
      break;
    case kReduce:
      result = ncclReduce(call->send, call->recv, n, ncclFloat, ncclSum, 0, comm, nullptr);
      break;
    case kGather:
      result = ncclGather(call->send, call->recv, n, ncclFloat, 0, comm, nullptr);
      break;
    case kScatter:
      result = ncclScatter(call->send, call->recv, n, ncclFloat, 0, comm, nullptr);
      break;
    default:
      break;
  }
  return result != ncclSuccess && failed(result, "collective");
}

const void* peerResult(const Call* call) {
  return call->recv;
}

double peerMeet(double value) {
  double largest = value;
  if (failed(ncclAllReduce(&value, &largest, 1, ncclDouble, ncclMax, comm, nullptr), "ncclAllReduce"))
    std::exit(2);
  return largest;
}

void peerClose() {
  ncclCommDestroy(comm);
}
