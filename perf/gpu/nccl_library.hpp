#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace tutti::gpuperf {

// The few functions of a libnccl.so.2 that the comparison calls, opened at run time.
class NcclLibrary {
 public:
  struct UniqueId {
    char bytes[128];
  };
  using Comm = void*;

  // Throws NotAvailable if there is no such library.
  explicit NcclLibrary(const std::string& path);

  int version() const;
  UniqueId uniqueId() const;
  Comm join(int ranks, const UniqueId& id, int rank) const;
  // Sum of floats.
  void allReduce(const float* in, float* out, size_t count, Comm comm, cudaStream_t stream) const;
  void leave(Comm comm) const;

 private:
  template <typename Function>
  void lookUp(const char* name, Function* out);
  void check(int result, const char* call) const;

  void* library_;
  int (*getVersion_)(int*) = nullptr;
  int (*getUniqueId_)(UniqueId*) = nullptr;
  int (*commInitRank_)(Comm*, int, UniqueId, int) = nullptr;
  int (*allReduce_)(const void*, void*, size_t, int, int, Comm, cudaStream_t) = nullptr;
  int (*commDestroy_)(Comm) = nullptr;
  const char* (*getErrorString_)(int) = nullptr;
  const char* (*getLastError_)(Comm) = nullptr;  // null in old versions
};

}  // namespace tutti::gpuperf
