#include "nccl_library.hpp"

#include <dlfcn.h>

#include "common/failure.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kFloat32 = 7;
constexpr int kSum = 0;

}  // namespace

NcclLibrary::NcclLibrary(const std::string& path) {
  library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) {
    const char* why = dlerror();
    throw NotAvailable(why != nullptr ? why : "no " + path);
  }
  lookUp("ncclGetVersion", &getVersion_);
  lookUp("ncclGetUniqueId", &getUniqueId_);
  lookUp("ncclCommInitRank", &commInitRank_);
  lookUp("ncclAllReduce", &allReduce_);
  lookUp("ncclCommDestroy", &commDestroy_);
  lookUp("ncclGetErrorString", &getErrorString_);
  getLastError_ = reinterpret_cast<const char* (*)(Comm)>(dlsym(library_, "ncclGetLastError"));
}

template <typename Function>
void NcclLibrary::lookUp(const char* name, Function* out) {
  void* found = dlsym(library_, name);
  if (found == nullptr) throw NotAvailable(std::string("the library lacks ") + name);
  *out = reinterpret_cast<Function>(found);
}

void NcclLibrary::check(int result, const char* call) const {
  if (result == 0) return;
  std::string text = std::string(call) + ": " + getErrorString_(result);
  const char* more = getLastError_ != nullptr ? getLastError_(nullptr) : nullptr;
  if (more != nullptr && more[0] != 0) text += ": " + std::string(more);
  throw Failure(text);
}

int NcclLibrary::version() const {
  int version = 0;
  check(getVersion_(&version), "ncclGetVersion");
  return version;
}

NcclLibrary::UniqueId NcclLibrary::uniqueId() const {
  UniqueId id{};
  check(getUniqueId_(&id), "ncclGetUniqueId");
  return id;
}

NcclLibrary::Comm NcclLibrary::join(int ranks, const UniqueId& id, int rank) const {
  Comm comm = nullptr;
  check(commInitRank_(&comm, ranks, id, rank), "ncclCommInitRank");
  return comm;
}

void NcclLibrary::allReduce(const float* in, float* out, size_t count, Comm comm, cudaStream_t stream) const {
  check(allReduce_(in, out, count, kFloat32, kSum, comm, stream), "ncclAllReduce");
}

void NcclLibrary::leave(Comm comm) const {
  check(commDestroy_(comm), "ncclCommDestroy");
}

}  // namespace tutti::gpuperf
