#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

namespace tutti::gpuperf {

// A large matrix product to compute beside communication: C = A * B with bf16 inputs, fp32 sums and fp32 C, n
// by n. A has rows, B and C have columns next to each other in memory.
class Gemm {
 public:
  virtual ~Gemm() = default;
  virtual std::string name() const = 0;
  // Enqueues one product. All calls use one stream.
  virtual void run(cudaStream_t stream) = 0;
  // Plans for this many SMs instead of all (0: all). False if this kind cannot.
  virtual bool planForSms(int sms) = 0;
};

// cuBLAS, opened at run time (`path` may name it; else by its usual names). Null with the reason in *why if
// there is none.
std::unique_ptr<Gemm> openCublas(const std::string& path, int n, const void* a, const void* b, float* c,
                                 std::string* why);

// A plain kernel of our own on the tensor cores (mma of 16x16x16 tiles). REQUIRES: n a multiple of 128.
std::unique_ptr<Gemm> makePlainGemm(int n, const void* a, const void* b, float* c);

// Fills count bf16 values, evenly spread over [-1, 1): like real data, with all mantissa bits in use, because
// products of zeros or of whole numbers draw less power and run faster.
void fillRandomBf16(void* data, size_t count, uint32_t seed, cudaStream_t stream);

// bf16 bits as float.
float bf16ToFloat(uint16_t bits);

}  // namespace tutti::gpuperf
