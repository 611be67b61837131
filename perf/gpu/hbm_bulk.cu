// cp.async.bulk through shared memory: a ring of stages, filled by bulk loads and emptied by bulk stores.
#include "common/bulk.cuh"
#include "common/elements.cuh"
#include "common/failure.hpp"
#include "hbm_variants.hpp"

namespace tutti::gpuperf {
namespace {

constexpr int kCopyThreads = 32;  // one of them works
constexpr int kSumThreads = 512;

// How many stores may still read their stage while the next load is issued: the rest of the ring is loads in
// flight.
template <int kStages>
inline constexpr int kLag = kStages >= 8 ? 2 : 1;

struct Store {};
struct AddFp32 {};
struct AddBf16 {};

#if TUTTI_HAS_BULK
__device__ __forceinline__ void emit(Store, char* out, const char* stage, uint32_t bytes) {
  bulkStore(out, stage, bytes);
}
__device__ __forceinline__ void emit(AddFp32, char* out, const char* stage, uint32_t bytes) {
  bulkAddF32(out, stage, bytes);
}
__device__ __forceinline__ void emit(AddBf16, char* out, const char* stage, uint32_t bytes) {
  bulkAddBf16(out, stage, bytes);
}
#endif

// out = in, or out += in. No thread touches the data: what a load brought is read by the store, both by the
// copy hardware.
template <typename Sink, int kStages, int kChunk>
__global__ void __launch_bounds__(kCopyThreads) moveBulk(char* out, const char* in, size_t chunks) {
#if TUTTI_HAS_BULK
  extern __shared__ __align__(128) char stages[];
  __shared__ uint64_t full[kStages];
  if (threadIdx.x != 0) return;
  for (int s = 0; s < kStages; ++s) barrierInit(full + s, 1);
  fenceAsyncShared();
  size_t mine = chunks > blockIdx.x ? (chunks - blockIdx.x + gridDim.x - 1) / gridDim.x : 0;
  auto place = [&](size_t k) { return (blockIdx.x + k * gridDim.x) * kChunk; };
  auto load = [&](size_t k) {
    int s = static_cast<int>(k % kStages);
    barrierExpect(full + s, kChunk);
    bulkLoad(stages + s * kChunk, in + place(k), kChunk, full + s);
  };
  for (size_t k = 0; k < mine && k < kStages; ++k) load(k);
  for (size_t k = 0; k < mine; ++k) {
    int s = static_cast<int>(k % kStages);
    barrierWait(full + s, static_cast<uint32_t>(k / kStages) & 1u);
    emit(Sink{}, out + place(k), stages + s * kChunk, kChunk);
    bulkCommit();
    size_t next = k + kStages - kLag<kStages>;
    if (k >= kLag<kStages> && next < mine) {
      // The store of chunk k - kLag has read its stage: the next load may overwrite it.
      bulkWaitRead<kLag<kStages>>();
      load(next);
    }
  }
  bulkWaitAll();
#endif
}

// out = sum of the inputs, added by the block's threads in shared memory, in place of the first input.
template <typename Element, int kInputs, int kStages, int kChunk>
__global__ void __launch_bounds__(kSumThreads)
    sumBulk(char* out, const char* in0, const char* in1, const char* in2, const char* in3, size_t chunks) {
#if TUTTI_HAS_BULK
  extern __shared__ __align__(128) char stages[];
  __shared__ uint64_t full[kStages];
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) barrierInit(full + s, 1);
    fenceAsyncShared();
  }
  __syncthreads();
  const char* in[4] = {in0, in1, in2, in3};
  size_t mine = chunks > blockIdx.x ? (chunks - blockIdx.x + gridDim.x - 1) / gridDim.x : 0;
  auto place = [&](size_t k) { return (blockIdx.x + k * gridDim.x) * kChunk; };
  auto stageOf = [&](size_t k) { return stages + (k % kStages) * (kInputs * kChunk); };
  auto load = [&](size_t k) {
    uint64_t* barrier = full + k % kStages;
    barrierExpect(barrier, kInputs * kChunk);
#pragma unroll
    for (int i = 0; i < kInputs; ++i) bulkLoad(stageOf(k) + i * kChunk, in[i] + place(k), kChunk, barrier);
  };
  if (threadIdx.x == 0)
    for (size_t k = 0; k < mine && k < kStages; ++k) load(k);
  for (size_t k = 0; k < mine; ++k) {
    barrierWait(full + k % kStages, static_cast<uint32_t>(k / kStages) & 1u);
    auto* stage = reinterpret_cast<uint4*>(stageOf(k));
    for (int v = threadIdx.x; v < kChunk / 16; v += kSumThreads) {
      uint4 sum = stage[v];
#pragma unroll
      for (int i = 1; i < kInputs; ++i) sum = addVector<Element>(sum, stage[v + i * (kChunk / 16)]);
      stage[v] = sum;
    }
    // Every thread hands its reads and writes of the stage to the copy hardware, then thread 0 may store and
    // refill it.
    fenceAsyncShared();
    __syncthreads();
    if (threadIdx.x != 0) continue;
    bulkStore(out + place(k), stage, kChunk);
    bulkCommit();
    size_t next = k + kStages - kLag<kStages>;
    if (k >= kLag<kStages> && next < mine) {
      bulkWaitRead<kLag<kStages>>();
      load(next);
    }
  }
  if (threadIdx.x == 0) bulkWaitAll();
#endif
}

template <typename Sink, int kStages, int kChunk>
void launchMove(const MoveArguments& arguments) {
  auto kernel = moveBulk<Sink, kStages, kChunk>;
  constexpr int kShared = kStages * kChunk;
  GPU_CALL(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  kernel<<<arguments.blocks, kCopyThreads, kShared, arguments.stream>>>(
      static_cast<char*>(arguments.out), static_cast<const char*>(arguments.in[0]), arguments.bytes / kChunk);
  checkLaunch("moveBulk");
}

template <typename Element, int kInputs, int kStages, int kChunk>
void launchSum(const MoveArguments& arguments) {
  auto kernel = sumBulk<Element, kInputs, kStages, kChunk>;
  constexpr int kShared = kInputs * kStages * kChunk;
  GPU_CALL(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  auto in = [&](int k) { return static_cast<const char*>(arguments.in[k]); };
  kernel<<<arguments.blocks, kSumThreads, kShared, arguments.stream>>>(
      static_cast<char*>(arguments.out), in(0), in(1), in(2), in(3), arguments.bytes / kChunk);
  checkLaunch("sumBulk");
}

template <int kStages, int kChunk>
void appendCopy(std::vector<MoveVariant>& list) {
  list.push_back(
      {"bulk", Fp32::kName, 1, kStages * kChunk, kChunk, false, true, launchMove<Store, kStages, kChunk>});
}

template <typename Element, int kInputs, int kStages, int kChunk>
void appendSum(std::vector<MoveVariant>& list) {
  list.push_back({"bulk", Element::kName, kInputs, static_cast<size_t>(kInputs) * kStages * kChunk, kChunk,
                  false, true, launchSum<Element, kInputs, kStages, kChunk>});
}

template <typename Element>
void appendSums(std::vector<MoveVariant>& list) {
  appendSum<Element, 2, 4, 8192>(list);
  appendSum<Element, 2, 6, 16384>(list);
  appendSum<Element, 4, 3, 16384>(list);
}

}  // namespace

std::vector<MoveVariant> bulkVariants() {
  constexpr int kKiB = 1024;
  std::vector<MoveVariant> list;
  appendCopy<4, 8 * kKiB>(list);
  appendCopy<4, 16 * kKiB>(list);
  appendCopy<8, 16 * kKiB>(list);
  appendCopy<6, 32 * kKiB>(list);
  appendSums<Fp32>(list);
  appendSums<Bf16>(list);
  appendSums<Fp8>(list);
  list.push_back(
      {"bulk_add", Fp32::kName, 1, 8 * 16 * kKiB, 16 * kKiB, true, true, launchMove<AddFp32, 8, 16 * kKiB>});
  list.push_back(
      {"bulk_add", Bf16::kName, 1, 8 * 16 * kKiB, 16 * kKiB, true, true, launchMove<AddBf16, 8, 16 * kKiB>});
  return list;
}

}  // namespace tutti::gpuperf
