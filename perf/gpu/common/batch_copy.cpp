#include "common/batch_copy.hpp"

#include "common/failure.hpp"

namespace tutti::gpuperf {

void copyBatch(const std::vector<CopyPart>& parts, bool preferOverlap, cudaStream_t stream) {
#if CUDART_VERSION >= 12080
  std::vector<void*> to;
  std::vector<size_t> bytes;
  cudaMemcpyAttributes attributes{};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes.flags = preferOverlap ? cudaMemcpyFlagPreferOverlapWithCompute : cudaMemcpyFlagDefault;
  size_t attributesFrom = 0;
#if CUDART_VERSION >= 13000
  std::vector<const void*> from;
#else
  std::vector<void*> from;
#endif
  for (const CopyPart& part : parts) {
    to.push_back(part.to);
    from.push_back(const_cast<void*>(part.from));
    bytes.push_back(part.bytes);
  }
#if CUDART_VERSION >= 13000
  GPU_CALL(cudaMemcpyBatchAsync(to.data(), from.data(), bytes.data(), parts.size(), &attributes,
                                &attributesFrom, 1, stream));
#else
  size_t failedAt = 0;
  GPU_CALL(cudaMemcpyBatchAsync(to.data(), from.data(), bytes.data(), parts.size(), &attributes,
                                &attributesFrom, 1, &failedAt, stream));
#endif
#else
  throw NotAvailable("cudaMemcpyBatchAsync needs CUDA 12.8");
#endif
}

}  // namespace tutti::gpuperf
