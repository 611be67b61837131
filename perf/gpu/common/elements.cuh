#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

// Element types of the reductions: how 16 bytes of them are added, and small whole numbers that all of them
// hold exactly, so that a sum can be checked without rounding.
namespace tutti::gpuperf {

struct Fp32 {
  static constexpr const char* kName = "fp32";
  using Stored = float;
  __device__ static uint32_t addWord(uint32_t a, uint32_t b) {
    return __float_as_uint(__uint_as_float(a) + __uint_as_float(b));
  }
  __device__ static Stored fromInt(int v) { return static_cast<float>(v); }
  __device__ static float toFloat(Stored v) { return v; }
};

// Adds in bf16, rounding after each addition: one instruction for two elements.
struct Bf16 {
  static constexpr const char* kName = "bf16";
  using Stored = __nv_bfloat16;
  __device__ static uint32_t addWord(uint32_t a, uint32_t b) {
    __nv_bfloat162 x = *reinterpret_cast<__nv_bfloat162*>(&a);
    __nv_bfloat162 y = *reinterpret_cast<__nv_bfloat162*>(&b);
    __nv_bfloat162 sum = __hadd2(x, y);
    return *reinterpret_cast<uint32_t*>(&sum);
  }
  __device__ static Stored fromInt(int v) { return __float2bfloat16(static_cast<float>(v)); }
  __device__ static float toFloat(Stored v) { return __bfloat162float(v); }
};

// e4m3 has no addition: through pairs of fp16 and back, in hardware from sm_89 on.
struct Fp8 {
  static constexpr const char* kName = "fp8e4m3";
  using Stored = __nv_fp8_e4m3;
  __device__ static uint32_t addPair(uint32_t a, uint32_t b) {
    __half2 x(__nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(a), __NV_E4M3));
    __half2 y(__nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(b), __NV_E4M3));
    return __nv_cvt_halfraw2_to_fp8x2(static_cast<__half2_raw>(__hadd2(x, y)), __NV_SATFINITE, __NV_E4M3);
  }
  __device__ static uint32_t addWord(uint32_t a, uint32_t b) {
    return addPair(a & 0xffffu, b & 0xffffu) | (addPair(a >> 16, b >> 16) << 16);
  }
  __device__ static Stored fromInt(int v) { return __nv_fp8_e4m3(static_cast<float>(v)); }
  __device__ static float toFloat(Stored v) { return static_cast<float>(v); }
};

template <typename Element>
__device__ __forceinline__ uint4 addVector(uint4 a, uint4 b) {
  return make_uint4(Element::addWord(a.x, b.x), Element::addWord(a.y, b.y), Element::addWord(a.z, b.z),
                    Element::addWord(a.w, b.w));
}

// 0..3 by position and input, spread by a hash so that memory does not hold one repeating line. Sums of four
// stay below 16, the last whole number before e4m3 starts to skip.
__device__ __forceinline__ int pattern(uint64_t index, uint32_t input) {
  uint64_t x = (index + 1) * 0x9e3779b97f4a7c15ull + input * 0xd1b54a32d192ed03ull;
  x ^= x >> 29;
  x *= 0xbf58476d1ce4e5b9ull;
  return static_cast<int>(x >> 62);
}

template <typename Element>
__global__ void fillPattern(typename Element::Stored* out, uint64_t count, uint32_t input) {
  uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
  for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
    out[i] = Element::fromInt(pattern(i, input));
}

// Counts elements that are not the sum of the patterns of inputs first .. first+inputs-1.
template <typename Element>
__global__ void countWrong(const typename Element::Stored* out, uint64_t count, uint32_t first,
                           uint32_t inputs, unsigned long long* wrong) {
  uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
  unsigned long long mine = 0;
  for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    int expected = 0;
    for (uint32_t k = 0; k < inputs; ++k) expected += pattern(i, first + k);
    if (!(Element::toFloat(out[i]) == static_cast<float>(expected))) ++mine;
  }
  if (mine != 0) atomicAdd(wrong, mine);
}

}  // namespace tutti::gpuperf
