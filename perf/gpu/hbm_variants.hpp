#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <vector>

namespace tutti::gpuperf {

// One launch: out[i] = in[0][i] (+ in[1][i] + ...) over `bytes` bytes, a multiple of the variant's tile.
struct MoveArguments {
  void* out = nullptr;
  const void* in[4] = {};
  size_t bytes = 0;
  int blocks = 1;
  cudaStream_t stream = nullptr;
};

// One way of moving or adding memory.
struct MoveVariant {
  std::string
      method;  // vec: 16-byte loads and stores; bulk: cp.async.bulk; bulk_add: cp.reduce.async.bulk into out
  std::string type;  // fp32, bf16, fp8e4m3
  int inputs;        // 1: copy
  size_t inFlight;   // bytes requested before the first is used: per thread (vec), per block (bulk)
  size_t tileBytes;
  bool addsToOut;  // out += in[0] instead of out = ...
  bool needsSm90;
  void (*launch)(const MoveArguments&);

  std::string op() const {
    return inputs == 1 && !addsToOut ? "copy" : "sum" + std::to_string(inputs + (addsToOut ? 1 : 0));
  }
  // Bytes through HBM for each byte of `out`: every input read once, the output written once (and read when
  // added to).
  int traffic() const { return inputs + 1 + (addsToOut ? 1 : 0); }
};

std::vector<MoveVariant> vectorVariants();
std::vector<MoveVariant> bulkVariants();

// Whole numbers of the type, different for each `input`; and how many elements are not the sum of inputs 0 ..
// inputs-1.
void fillInput(const std::string& type, void* data, size_t bytes, unsigned input, cudaStream_t stream);
unsigned long long wrongElements(const std::string& type, const void* data, size_t bytes, unsigned inputs,
                                 cudaStream_t stream);

}  // namespace tutti::gpuperf
