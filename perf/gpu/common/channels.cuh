#pragma once

#include "common/channels.hpp"
#include "common/device.cuh"

// Ways for one block to tell another "message i is there", all with the same shape, and the ping-pong that
// times them.
namespace tutti::gpuperf {

// A channel has kThreads (how many threads of a warp take part), send(i), and poll(i): true once message i
// (or a later one) has come. All participating threads call both; poll gives all of them the same answer.

struct ReleaseAcquireGpu {
  static constexpr int kThreads = 1;
  static constexpr const char* kName = "flag_release_acquire_gpu";
  uint32_t* slot;
  __device__ void send(uint32_t i) { storeReleaseGpu(slot, i); }
  __device__ bool poll(uint32_t i) { return loadAcquireGpu(slot) >= i; }
  __device__ uint32_t torn() const { return 0; }
};

struct ReleaseAcquireSys {
  static constexpr int kThreads = 1;
  static constexpr const char* kName = "flag_release_acquire_sys";
  uint32_t* slot;
  __device__ void send(uint32_t i) { storeReleaseSys(slot, i); }
  __device__ bool poll(uint32_t i) { return loadAcquireSys(slot) >= i; }
  __device__ uint32_t torn() const { return 0; }
};

// No ordering: what the bare trip through L2 costs.
struct RelaxedGpu {
  static constexpr int kThreads = 1;
  static constexpr const char* kName = "flag_relaxed_gpu";
  uint32_t* slot;
  __device__ void send(uint32_t i) { storeRelaxedGpu(slot, i); }
  __device__ bool poll(uint32_t i) { return loadRelaxedGpu(slot) >= i; }
  __device__ uint32_t torn() const { return 0; }
};

// 4 bytes of data and 4 of flag in one store.
struct LL8 {
  static constexpr int kThreads = 1;
  static constexpr const char* kName = "ll_8_byte_word";
  uint32_t* slot;
  uint32_t tornCount = 0;
  __device__ void send(uint32_t i) {
    storeVolatile2x32(reinterpret_cast<uint2*>(slot), make_uint2(i * 3 + 1, i));
  }
  __device__ bool poll(uint32_t i) {
    uint2 word = loadVolatile2x32(reinterpret_cast<uint2*>(slot));
    if (word.y != i) return false;
    if (word.x != i * 3 + 1) ++tornCount;
    return true;
  }
  __device__ uint32_t torn() const { return tornCount; }
};

// Lines of 128 bytes: 8 threads store 16 bytes each, the last 8 bytes of the line are the flag. `torn` counts
// threads that saw the flag of their line but not the data stored with it, which the protocol assumes never
// happens.
template <int kLines>
struct LL128 {
  static constexpr int kThreads = 8 * kLines;
  static constexpr const char* kName = kLines == 1 ? "ll128_one_line" : "ll128_four_lines";
  static constexpr uint32_t kMask = kThreads == 32 ? 0xffffffffu : (1u << kThreads) - 1;
  uint32_t* slot;
  uint32_t tornCount = 0;

  __device__ ulonglong2* mine() const { return reinterpret_cast<ulonglong2*>(slot) + threadIdx.x; }
  __device__ static uint64_t payload(uint32_t i) {
    return (static_cast<uint64_t>(i) << 32) | (threadIdx.x * 7u + i);
  }
  __device__ static bool holdsFlag() { return (threadIdx.x & 7u) == 7u; }

  __device__ void send(uint32_t i) {
    storeVolatile2x64(mine(), make_ulonglong2(payload(i), holdsFlag() ? i : ~payload(i)));
  }
  __device__ bool poll(uint32_t i) {
    ulonglong2 v = loadVolatile2x64(mine());
    if (!__all_sync(kMask, !holdsFlag() || v.y == i)) return false;
    bool whole = v.x == payload(i) && (holdsFlag() || v.y == ~payload(i));
    if (!whole) ++tornCount;
    return true;
  }
  __device__ uint32_t torn() const { return tornCount; }
};

// 512 bytes of plain stores by a warp, then one flag: what a small message costs with a fence instead of
// flags in the data.
struct DataThenFlag {
  static constexpr int kThreads = 32;
  static constexpr const char* kName = "data_512_byte_then_flag_gpu";
  uint32_t* slot;  // 512 bytes of data, the flag behind them
  uint32_t tornCount = 0;

  __device__ void send(uint32_t i) {
    reinterpret_cast<uint4*>(slot)[threadIdx.x] = make_uint4(i, i + 1, i + 2, threadIdx.x + i);
    // __syncwarp orders the warp's stores before lane 0's release, which by cumulativity publishes them all.
    __syncwarp();
    if (threadIdx.x == 0) storeReleaseGpu(slot + 128, i);
  }
  __device__ bool poll(uint32_t i) {
    // Every lane acquires for itself, so each may read its data.
    bool come = loadAcquireGpu(slot + 128) >= i;
    if (!__all_sync(0xffffffffu, come)) return false;
    uint4 v = readData();
    if (v.x != i || v.y != i + 1 || v.z != i + 2 || v.w != threadIdx.x + i) ++tornCount;
    return true;
  }
  __device__ uint4 readData() const {
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(reinterpret_cast<const uint4*>(slot) + threadIdx.x)
                 : "memory");
    return v;
  }
  __device__ uint32_t torn() const { return tornCount; }
};

// Plays `rounds` rounds over two channels; round 1 finds the partner and is not timed. REQUIRES: called by
// exactly the first Channel::kThreads threads of a warp; both slots start as zero; message numbers start
// at 1.
template <typename Channel>
__device__ void pingPong(Channel out, Channel in, bool starts, uint32_t rounds, uint64_t boundNs,
                         PingPongResult* result) {
  SpinBound bound(boundNs);
  uint64_t born = globalTimerNs();
  uint64_t begin = 0, found = 0;
  uint32_t completed = 0;
  bool alive = true;
  for (uint32_t i = 1; i <= rounds + 1 && alive; ++i) {
    if (starts) out.send(i);
    while (!in.poll(i)) {
      // The threads of a channel leave together: each has polled equally often, but their clocks differ by a
      // tick.
      bool late = bound.passed();
      if constexpr (Channel::kThreads > 1) {
        constexpr uint32_t mask = Channel::kThreads == 32 ? 0xffffffffu : (1u << Channel::kThreads) - 1;
        late = __any_sync(mask, late);
      }
      if (late) {
        alive = false;
        break;
      }
    }
    if (!alive) break;
    if (!starts) out.send(i);
    if (i == 1) {
      begin = globalTimerNs();
      found = begin - born;
    } else {
      ++completed;
    }
  }
  uint64_t end = globalTimerNs();
  uint32_t torn = out.torn() + in.torn();
  if constexpr (Channel::kThreads > 1) {
    constexpr uint32_t mask = Channel::kThreads == 32 ? 0xffffffffu : (1u << Channel::kThreads) - 1;
    torn = __reduce_add_sync(mask, torn);
  }
  if (threadIdx.x % 32 != 0) return;
  result->ns = begin != 0 ? end - begin : 0;
  result->rounds = completed;
  result->torn = torn;
  result->sm = smId();
  result->firstWaitNs = found;
  __threadfence_system();
  result->done = 1;
}

}  // namespace tutti::gpuperf
