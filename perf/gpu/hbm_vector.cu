// Plain 16-byte loads and stores, with a chosen number of loads in flight per thread.
#include "common/elements.cuh"
#include "common/failure.hpp"
#include "common/gpu.hpp"
#include "hbm_variants.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kThreads = 512;

struct Inputs {
  const uint4* at[4];
};

// A block takes tiles of kThreads * kUnroll vectors in turn with the others. All loads of a tile are issued
// before the first sum. The streaming hints keep L2 for what somebody will read again.
template <typename Element, int kInputs, int kUnroll>
__global__ void __launch_bounds__(kThreads, 1) moveVectors(uint4* __restrict__ out, Inputs in, size_t tiles) {
  for (size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    size_t base = tile * (kThreads * kUnroll) + threadIdx.x;
    uint4 v[kInputs][kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
#pragma unroll
      for (int k = 0; k < kInputs; ++k) v[k][u] = __ldcs(in.at[k] + base + u * kThreads);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      uint4 sum = v[0][u];
#pragma unroll
      for (int k = 1; k < kInputs; ++k) sum = addVector<Element>(sum, v[k][u]);
      __stcs(out + base + u * kThreads, sum);
    }
  }
}

template <typename Element, int kInputs, int kUnroll>
void launch(const MoveArguments& arguments) {
  Inputs in{};
  for (int k = 0; k < kInputs; ++k) in.at[k] = static_cast<const uint4*>(arguments.in[k]);
  size_t tiles = arguments.bytes / (sizeof(uint4) * kThreads * kUnroll);
  moveVectors<Element, kInputs, kUnroll>
      <<<arguments.blocks, kThreads, 0, arguments.stream>>>(static_cast<uint4*>(arguments.out), in, tiles);
  checkLaunch("moveVectors");
}

template <typename Element, int kInputs, int kUnroll>
void append(std::vector<MoveVariant>& list) {
  list.push_back({"vec", Element::kName, kInputs, sizeof(uint4) * kUnroll * kInputs,
                  sizeof(uint4) * kThreads * kUnroll, false, false, launch<Element, kInputs, kUnroll>});
}

template <typename Element>
void appendSums(std::vector<MoveVariant>& list) {
  append<Element, 2, 1>(list);
  append<Element, 2, 4>(list);
  append<Element, 2, 8>(list);
  append<Element, 4, 1>(list);
  append<Element, 4, 2>(list);
  append<Element, 4, 4>(list);
}

template <typename Element>
void fill(void* data, size_t bytes, unsigned input, cudaStream_t stream) {
  using Stored = typename Element::Stored;
  fillPattern<Element><<<1024, 256, 0, stream>>>(static_cast<Stored*>(data), bytes / sizeof(Stored), input);
  checkLaunch("fillPattern");
}

template <typename Element>
void count(const void* data, size_t bytes, unsigned inputs, unsigned long long* wrong, cudaStream_t stream) {
  using Stored = typename Element::Stored;
  countWrong<Element>
      <<<1024, 256, 0, stream>>>(static_cast<const Stored*>(data), bytes / sizeof(Stored), 0, inputs, wrong);
  checkLaunch("countWrong");
}

}  // namespace

std::vector<MoveVariant> vectorVariants() {
  std::vector<MoveVariant> list;
  append<Fp32, 1, 1>(list);
  append<Fp32, 1, 4>(list);
  append<Fp32, 1, 8>(list);
  append<Fp32, 1, 16>(list);
  appendSums<Fp32>(list);
  appendSums<Bf16>(list);
  appendSums<Fp8>(list);
  return list;
}

void fillInput(const std::string& type, void* data, size_t bytes, unsigned input, cudaStream_t stream) {
  if (type == Fp32::kName)
    fill<Fp32>(data, bytes, input, stream);
  else if (type == Bf16::kName)
    fill<Bf16>(data, bytes, input, stream);
  else
    fill<Fp8>(data, bytes, input, stream);
}

unsigned long long wrongElements(const std::string& type, const void* data, size_t bytes, unsigned inputs,
                                 cudaStream_t stream) {
  DeviceBuffer counter(sizeof(unsigned long long));
  auto* wrong = counter.as<unsigned long long>();
  GPU_CALL(cudaMemsetAsync(wrong, 0, sizeof *wrong, stream));
  if (type == Fp32::kName)
    count<Fp32>(data, bytes, inputs, wrong, stream);
  else if (type == Bf16::kName)
    count<Bf16>(data, bytes, inputs, wrong, stream);
  else
    count<Fp8>(data, bytes, inputs, wrong, stream);
  unsigned long long result = 0;
  GPU_CALL(cudaMemcpyAsync(&result, wrong, sizeof result, cudaMemcpyDeviceToHost, stream));
  GPU_CALL(cudaStreamSynchronize(stream));
  return result;
}

}  // namespace tutti::gpuperf
