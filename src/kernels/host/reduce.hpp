// Reductions and copies on host memory: dst[i] = op(a[i], b[i], ...), for every data type and operator.
//
// What is promised, for every SIMD level, every alignment and every position in the array, bit for bit:
//  - A result depends only on the ordered inputs. Two operands may be swapped without changing a bit of the
//  result.
//  - Integers wrap around. Float32 and Float64 round once per operation.
//  - Float16, Bfloat16 and the Float8 types are widened to Float32, accumulated there from left to right over
//  all sources
//    of one call, and rounded once, to nearest even. A chain of calls rounds at each hop, so reduceMany(a, b,
//    c) may differ from reduce2(reduce2(a, b), c) in the last place.
//  - Float8 results saturate: overflow (and infinity, which e5m2 has) becomes the largest finite value, as in
//  NVIDIA's
//    conversions. Float16 and Bfloat16 overflow to infinity.
//  - Sum and Prod: when the result is NaN, it is the type's canonical quiet NaN (narrow_float.hpp), whatever
//  the payloads.
//  - Max and Min: a number wins over NaN (as on NCCL's devices); of two NaNs the result is the canonical NaN;
//  -0 < +0.
//    The winner's bits are returned unchanged, infinities of e5m2 included.
// The promise assumes that all ranks run with the same denormal mode; the default one (denormals kept) is
// recommended.
//
// Avg and PreMulSum reduce as Sum, with a step before or after, asked for with needsPreScale() and
// needsFinish():
//  - PreMulSum: every rank's input is multiplied by that rank's scalar before it enters the sum.
//  - Avg of integers: the (wrapped) sum is divided by the number of ranks, truncating toward zero, as NCCL
//  does.
//  - Avg of Float32, Float64, Bfloat16: the sum is divided by the number of ranks.
//  - Avg of Float16 and Float8: inputs are multiplied by 1/nRanks first, so that the sum cannot leave the
//  narrow range.
//
// The ...Streaming forms compute the same, but write dst past the caches (non-temporal stores): for a dst so
// large or so far away that this core will not read it soon, or that a core without a shared cache reads
// next. Such stores are NOT ordered with the stores after them: call streamFence() before the flag, release
// store or unlock that tells somebody else of the data. One fence may cover any number of calls.
//
// Thread safety: all functions may be called from any thread. Nothing here allocates, locks or makes a system
// call, except the first call of a process, which reads the parameter TUTTI_SIMD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/dtype.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#include <atomic>
#endif

namespace tutti::kernels {

/// How one reduction is done.
struct Reduction {
  DataType type = DataType::Float32;
  ReduceOp op = ReduceOp::Sum;
  int nRanks = 1;           ///< Avg: the divisor; REQUIRES >= 1
  uint64_t scalarBits = 0;  ///< PreMulSum: this rank's scalar, an element of `type` in the low bytes

  static Reduction of(DataType type, ReduceOp op, int nRanks = 1) { return {type, op, nRanks, 0}; }
  /// `scalar` points at one element of `type`, in host memory.
  static Reduction preMulSum(DataType type, const void* scalar) {
    Reduction reduction{type, ReduceOp::PreMulSum, 1, 0};
    std::memcpy(&reduction.scalarBits, scalar, sizeOf(type));
    return reduction;
  }
};

/// dst = a op b. dst may be a or b (the same pointer) or not overlap them at all; pointers need no alignment.
using ReduceFn = void (*)(void* dst, const void* a, const void* b, size_t count);
/// dst = srcs[0] op srcs[1] op ... from left to right. Each source is read once. dst may be any of the
/// sources. REQUIRES nSrcs >= 1; one source is copied unchanged.
using ReduceManyFn = void (*)(void* dst, const void* const* srcs, int nSrcs, size_t count);

/// The kernels themselves, for callers that look up once and call often. Never null.
ReduceFn resolve2(DataType type, ReduceOp op);
ReduceManyFn resolveMany(DataType type, ReduceOp op);
/// Streaming where dst is element-aligned, no source, and at least two vectors long; else as above.
ReduceFn resolve2Streaming(DataType type, ReduceOp op);
ReduceManyFn resolveManyStreaming(DataType type, ReduceOp op);

/// The arithmetic part of a reduction (no pre-scaling, no division); counts are in elements.
void reduce2(const Reduction& reduction, void* dst, const void* a, const void* b, size_t count);
void reduceMany(const Reduction& reduction, void* dst, const void* const* srcs, int nSrcs, size_t count);
/// See "Streaming" at the top: streamFence() is left to the caller.
void reduce2Streaming(const Reduction& reduction, void* dst, const void* a, const void* b, size_t count);
void reduceManyStreaming(const Reduction& reduction, void* dst, const void* const* srcs, int nSrcs,
                         size_t count);

/// True where each rank must pass its input through preScale() before it enters the sum.
constexpr bool needsPreScale(const Reduction& reduction) {
  if (reduction.op == ReduceOp::PreMulSum) return true;
  if (reduction.op != ReduceOp::Avg || reduction.nRanks == 1) return false;
  return reduction.type == DataType::Float16 || reduction.type == DataType::Float8e4m3 ||
         reduction.type == DataType::Float8e5m2;
}
/// True where whoever holds the complete sum must pass it through finish(), exactly once.
constexpr bool needsFinish(const Reduction& reduction) {
  return reduction.op == ReduceOp::Avg && reduction.nRanks > 1 && !needsPreScale(reduction);
}
/// dst = scaled src where needsPreScale(), else a copy. dst may be src.
void preScale(const Reduction& reduction, void* dst, const void* src, size_t count);
/// Divides dst where needsFinish(), else does nothing.
void finish(const Reduction& reduction, void* dst, size_t count);

/// Copies fewer than 64 bytes without a call.
inline void copySmall(void* dst, const void* src, size_t bytes) {
  auto* to = static_cast<unsigned char*>(dst);
  const auto* from = static_cast<const unsigned char*>(src);
  // Two moves of the largest power of two that fits, the second one ending at the end; both are loaded before
  // a store.
  auto twoMoves = [&](auto word) {
    decltype(word) head, tail;
    std::memcpy(&head, from, sizeof(word));
    std::memcpy(&tail, from + bytes - sizeof(word), sizeof(word));
    std::memcpy(to, &head, sizeof(word));
    std::memcpy(to + bytes - sizeof(word), &tail, sizeof(word));
  };
  struct Bytes16 {
    uint64_t half[2];
  };
  struct Bytes32 {
    uint64_t quarter[4];
  };
  if (bytes >= 32) return twoMoves(Bytes32{});
  if (bytes >= 16) return twoMoves(Bytes16{});
  if (bytes >= 8) return twoMoves(uint64_t{});
  if (bytes >= 4) return twoMoves(uint32_t{});
  if (bytes >= 2) return twoMoves(uint16_t{});
  if (bytes == 1) *to = *from;
}

/// Copies `bytes` bytes; src and dst are the same pointer or do not overlap.
inline void copy(void* dst, const void* src, size_t bytes) {
  if (bytes < 64) return copySmall(dst, src, bytes);
  if (dst != src) std::memcpy(dst, src, bytes);
}
/// copy() with non-temporal stores, at any alignment of both: streamFence() is left to the caller. The first
/// and the last vector of dst, and copies of less than four vectors, are stored the plain way.
void copyStreaming(void* dst, const void* src, size_t bytes);

/// Orders the streaming stores of this thread before its later stores.
inline void streamFence() {
#if defined(__x86_64__)
  _mm_sfence();
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace tutti::kernels
