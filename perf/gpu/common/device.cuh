#pragma once

#include <cstdint>

// Device-side primitives: clocks, bounded waiting, and the loads and stores whose cost and ordering are
// measured.
namespace tutti::gpuperf {

__device__ __forceinline__ uint64_t globalTimerNs() {
  uint64_t ns;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns)::"memory");
  return ns;
}

__device__ __forceinline__ uint32_t smId() {
  uint32_t id;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  return id;
}

// Bound of a device spin loop. %globaltimer also advances while the context is switched out, so a kernel
// whose partner never comes ends after `ns` in any case. The timer is read once in 32 polls to keep it out of
// what is measured.
class SpinBound {
 public:
  __device__ explicit SpinBound(uint64_t ns) : endNs_(globalTimerNs() + ns) {}
  __device__ bool passed() { return (++polls_ & 31u) == 0 && globalTimerNs() > endNs_; }

 private:
  uint64_t endNs_;
  uint32_t polls_ = 0;
};

// Release pairs with the acquire of the same scope in the partner block: what was written before the store is
// seen after the load. gpu: partner on this GPU. sys: partner anywhere (CPU, another GPU or process).
__device__ __forceinline__ void storeReleaseGpu(uint32_t* p, uint32_t v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
__device__ __forceinline__ uint32_t loadAcquireGpu(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void storeReleaseSys(uint32_t* p, uint32_t v) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
__device__ __forceinline__ uint32_t loadAcquireSys(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void storeRelaxedGpu(uint32_t* p, uint32_t v) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
__device__ __forceinline__ uint32_t loadRelaxedGpu(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

// One 8-byte access: data and flag travel together, no fence needed (the LL protocol).
__device__ __forceinline__ void storeVolatile2x32(uint2* p, uint2 v) {
  asm volatile("st.volatile.global.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(v.x), "r"(v.y) : "memory");
}
__device__ __forceinline__ uint2 loadVolatile2x32(const uint2* p) {
  uint2 v;
  asm volatile("ld.volatile.global.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p) : "memory");
  return v;
}

// One 16-byte access of each of 8 neighbouring threads: a 128-byte line (the LL128 protocol).
__device__ __forceinline__ void storeVolatile2x64(ulonglong2* p, ulonglong2 v) {
  asm volatile("st.volatile.global.v2.u64 [%0], {%1, %2};" ::"l"(p), "l"(v.x), "l"(v.y) : "memory");
}
__device__ __forceinline__ ulonglong2 loadVolatile2x64(const ulonglong2* p) {
  ulonglong2 v;
  asm volatile("ld.volatile.global.v2.u64 {%0, %1}, [%2];" : "=l"(v.x), "=l"(v.y) : "l"(p) : "memory");
  return v;
}

}  // namespace tutti::gpuperf
