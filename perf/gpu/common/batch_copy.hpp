#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

namespace tutti::gpuperf {

struct CopyPart {
  void* to;
  const void* from;
  size_t bytes;
};

// cudaMemcpyBatchAsync; `preferOverlap` asks for copies that leave the SMs alone. Throws NotAvailable before
// CUDA 12.8. REQUIRES: stream is a created stream (not the default one); parts do not depend on each other.
void copyBatch(const std::vector<CopyPart>& parts, bool preferOverlap, cudaStream_t stream);

}  // namespace tutti::gpuperf
