// A tensor-core product without libraries: 128x128 tiles of C per block, 32 deep, two stages filled by
// cp.async.
#include <cuda_bf16.h>
#include <cuda_pipeline_primitives.h>
#include <mma.h>

#include <cstring>

#include "common/failure.hpp"
#include "gemm.hpp"

namespace tutti::gpuperf {
namespace {

namespace wmma = nvcuda::wmma;

constexpr int kTile = 128;
constexpr int kDepth = 32;
constexpr int kPadded =
    kDepth + 8;                // rows 80 bytes apart: 16-byte aligned, and neighbours on different banks
constexpr int kThreads = 256;  // 8 warps, each 32 rows by 64 columns

struct Stage {
  __nv_bfloat16 a[kTile][kPadded];
  __nv_bfloat16 b[kTile][kPadded];
};

// Rows of 32 values (64 bytes, four 16-byte pieces) of a matrix whose rows are n long.
__device__ __forceinline__ void loadTile(__nv_bfloat16 (*to)[kPadded], const __nv_bfloat16* from, int n) {
  for (int piece = threadIdx.x; piece < kTile * 4; piece += kThreads) {
    int row = piece / 4, column = piece % 4 * 8;
    __pipeline_memcpy_async(&to[row][column], from + static_cast<size_t>(row) * n + column, 16);
  }
}

__global__ void __launch_bounds__(kThreads)
    plainGemm(const __nv_bfloat16* __restrict__ a, const __nv_bfloat16* __restrict__ b, float* __restrict__ c,
              int n) {
  __shared__ __align__(128) Stage stages[2];
  int row0 = blockIdx.y * kTile, column0 = blockIdx.x * kTile;
  int warp = threadIdx.x / 32;
  int warpRow = warp % 4 * 32, warpColumn = warp / 4 * 64;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][4];
#pragma unroll
  for (auto& line : sum)
#pragma unroll
    for (auto& tile : line) wmma::fill_fragment(tile, 0.0f);

  auto fill = [&](int s, int k) {
    loadTile(stages[s].a, a + static_cast<size_t>(row0) * n + k, n);
    loadTile(stages[s].b, b + static_cast<size_t>(column0) * n + k, n);
    __pipeline_commit();
  };
  fill(0, 0);
  for (int k = 0, s = 0; k < n; k += kDepth, s ^= 1) {
    bool more = k + kDepth < n;
    if (more) fill(s ^ 1, k + kDepth);
    __pipeline_wait_prior(more ? 1 : 0);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; d += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, __nv_bfloat16, wmma::row_major> left[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, __nv_bfloat16, wmma::col_major> right[4];
#pragma unroll
      for (int i = 0; i < 2; ++i) wmma::load_matrix_sync(left[i], &stages[s].a[warpRow + 16 * i][d], kPadded);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        wmma::load_matrix_sync(right[j], &stages[s].b[warpColumn + 16 * j][d], kPadded);
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) wmma::mma_sync(sum[i][j], left[i], right[j], sum[i][j]);
    }
    // The next turn overwrites the stage that was just read.
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      size_t row = row0 + warpRow + 16 * i, column = column0 + warpColumn + 16 * j;
      wmma::store_matrix_sync(c + column * n + row, sum[i][j], n, wmma::mem_col_major);
    }
}

__global__ void randomBf16(__nv_bfloat16* data, size_t count, uint32_t seed) {
  size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull + seed;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    data[i] = __float2bfloat16(static_cast<float>(x & 0xffffff) / 8388608.0f - 1.0f);
  }
}

class PlainGemm : public Gemm {
 public:
  PlainGemm(int n, const void* a, const void* b, float* c)
      : n_(n), a_(static_cast<const __nv_bfloat16*>(a)), b_(static_cast<const __nv_bfloat16*>(b)), c_(c) {}
  std::string name() const override { return "plain mma kernel (no cuBLAS)"; }
  void run(cudaStream_t stream) override {
    plainGemm<<<dim3(n_ / kTile, n_ / kTile), kThreads, 0, stream>>>(a_, b_, c_, n_);
    checkLaunch("plainGemm");
  }
  bool planForSms(int sms) override { return sms == 0; }

 private:
  int n_;
  const __nv_bfloat16* a_;
  const __nv_bfloat16* b_;
  float* c_;
};

}  // namespace

std::unique_ptr<Gemm> makePlainGemm(int n, const void* a, const void* b, float* c) {
  return std::make_unique<PlainGemm>(n, a, b, c);
}

void fillRandomBf16(void* data, size_t count, uint32_t seed, cudaStream_t stream) {
  randomBf16<<<1024, 256, 0, stream>>>(static_cast<__nv_bfloat16*>(data), count, seed);
  checkLaunch("randomBf16");
}

float bf16ToFloat(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

}  // namespace tutti::gpuperf
