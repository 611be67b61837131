#pragma once

#include <cstdint>

// cp.async.bulk between global and shared memory with an mbarrier: one thread moves kilobytes, no registers
// in between. Code for chips before sm_90 compiles to nothing; hosts check the compute capability.
namespace tutti::gpuperf {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define TUTTI_HAS_BULK 1
#else
#define TUTTI_HAS_BULK 0
#endif

#if TUTTI_HAS_BULK

__device__ __forceinline__ uint32_t sharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void barrierInit(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(arrivals)
               : "memory");
}

// Makes what ordinary instructions did to shared memory (initialised barriers too) visible to the copy
// hardware.
__device__ __forceinline__ void fenceAsyncShared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Adds the one arrival of this phase and the bytes the copies will bring.
__device__ __forceinline__ void barrierExpect(uint64_t* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)),
               "r"(bytes)
               : "memory");
}

// Waits for the phase. Each try_wait may sleep in hardware; after about two seconds the kernel traps, so a
// wrong byte count ends as an error and not as a hang.
__device__ __forceinline__ void barrierWait(uint64_t* barrier, uint32_t phase) {
  uint64_t deadline = 0;
  for (uint32_t tries = 1;; ++tries) {
    uint32_t done;
    asm volatile(
        "{\n .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, "
        "p;\n}\n"
        : "=r"(done)
        : "r"(sharedAddress(barrier)), "r"(phase)
        : "memory");
    if (done != 0) return;
    if ((tries & 63u) != 0) continue;
    uint64_t now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
    if (deadline == 0) deadline = now + 2000000000ull;
    if (now > deadline) __trap();
  }
}

// REQUIRES (all three): 16-byte aligned addresses, bytes a multiple of 16.
__device__ __forceinline__ void bulkLoad(void* shared, const void* global, uint32_t bytes,
                                         uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
          sharedAddress(shared)),
      "l"(global), "r"(bytes), "r"(sharedAddress(barrier))
      : "memory");
}
__device__ __forceinline__ void bulkStore(void* global, const void* shared, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(global),
               "r"(sharedAddress(shared)), "r"(bytes)
               : "memory");
}
// global[i] += shared[i], done where the memory is.
__device__ __forceinline__ void bulkAddF32(void* global, const void* shared, uint32_t bytes) {
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(global),
               "r"(sharedAddress(shared)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void bulkAddBf16(void* global, const void* shared, uint32_t bytes) {
  asm volatile(
      "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.bf16 [%0], [%1], %2;" ::"l"(global),
      "r"(sharedAddress(shared)), "r"(bytes)
      : "memory");
}

__device__ __forceinline__ void bulkCommit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Returns once at most kPending of this thread's groups still read their shared memory.
template <int kPending>
__device__ __forceinline__ void bulkWaitRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
// Returns once all groups of this thread have completed, their writes included.
__device__ __forceinline__ void bulkWaitAll() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

#endif  // TUTTI_HAS_BULK

}  // namespace tutti::gpuperf
