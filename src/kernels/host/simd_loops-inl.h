// The loops around the kernels, compiled once per SIMD target (no #pragma once: the guard below lets each
// target in).
//
// A kernel K works on one vector of storage (kVecBytes bytes of dst) at a time:
//   T                         the storage type of an element
//   Wide                      what a vector of elements becomes while it is combined
//   load(p, special)          one vector of elements at p, unaligned
//   combine(wide, other)      wide = wide op other
//   combineAll(wide, others, special)  the same for arrays of vectors; EachVector<K> makes it from combine()
//   narrow(wide, special)     back to a vector of bytes
//   Special, isSpecial(s)     notes from load and narrow that the vector holds values that the kernel leaves
//   to plain C++ kType, kOp                which reduction that is kUnroll                   vectors that are
//   in flight at a time kFloating                 whether results depend on the thread's floating-point mode
// Every element goes through the same vector code, also in short arrays and tails: results cannot depend on
// the position.
#if defined(TUTTI_SIMD_LOOPS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_SIMD_LOOPS_INL_H
#undef TUTTI_SIMD_LOOPS_INL_H
#else
#define TUTTI_SIMD_LOOPS_INL_H
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/host/float_mode.hpp"
#include "kernels/host/kernel_table.hpp"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Byte = uint8_t;
using ByteTag = hn::ScalableTag<uint8_t>;
using ByteVec = hn::Vec<ByteTag>;
inline constexpr size_t kVecBytes = HWY_LANES(uint8_t);
inline constexpr int kSum = 0, kProd = 1, kMax = 2, kMin = 3;

/// For kernels that handle every value themselves.
struct NoSpecial {};

HWY_INLINE ByteVec loadBytes(const Byte* p) {
  return hn::LoadU(ByteTag(), p);
}

/// Streams as copyStreaming() does; small or aliasing copies go the plain way.
inline void streamCopy(void* dst, const void* src, size_t bytes) {
  if (bytes < 4 * kVecBytes) return copy(dst, src, bytes);
  auto* to = static_cast<Byte*>(dst);
  const auto* from = static_cast<const Byte*>(src);
  if (to == from) return;
  const ByteTag d;
  hn::StoreU(loadBytes(from), d, to);
  hn::StoreU(loadBytes(from + bytes - kVecBytes), d, to + bytes - kVecBytes);
  size_t i = (0 - reinterpret_cast<uintptr_t>(to)) % kVecBytes;
  for (; i + 4 * kVecBytes <= bytes; i += 4 * kVecBytes) {
    const ByteVec v0 = loadBytes(from + i);
    const ByteVec v1 = loadBytes(from + i + kVecBytes);
    const ByteVec v2 = loadBytes(from + i + 2 * kVecBytes);
    const ByteVec v3 = loadBytes(from + i + 3 * kVecBytes);
    hn::Stream(v0, d, to + i);
    hn::Stream(v1, d, to + i + kVecBytes);
    hn::Stream(v2, d, to + i + 2 * kVecBytes);
    hn::Stream(v3, d, to + i + 3 * kVecBytes);
  }
  for (; i + kVecBytes <= bytes; i += kVecBytes) hn::Stream(loadBytes(from + i), d, to + i);
}

/// Fewer than kVecBytes bytes, zeros behind them.
HWY_INLINE ByteVec loadPart(const Byte* p, size_t bytes) {
#if HWY_TARGET == HWY_AVX3
  return ByteVec{_mm512_maskz_loadu_epi8((~0ull) >> (64 - bytes), p)};
#else
  HWY_ALIGN Byte buffer[64] = {};  // for any `bytes` that copySmall takes
  copySmall(buffer, p, bytes);
  return hn::Load(ByteTag(), buffer);
#endif
}
HWY_INLINE void storePart(ByteVec v, Byte* p, size_t bytes) {
#if HWY_TARGET == HWY_AVX3
  _mm512_mask_storeu_epi8(p, (~0ull) >> (64 - bytes), v.raw);
#else
  HWY_ALIGN Byte buffer[64];
  hn::Store(v, ByteTag(), buffer);
  copySmall(p, buffer, bytes);
#endif
}

/// Out of line and rare: `elements` elements whose sources start `offset` bytes into srcs.
template <class K>
HWY_NOINLINE void plainPart(Byte* dst, const void* const* srcs, int nSrcs, size_t offset, size_t elements) {
  reduceFloat8From(K::kType, K::kOp, dst, srcs, nSrcs, offset / sizeof(typename K::T), elements);
}

template <bool kStream>
HWY_INLINE void storeBytes(ByteVec v, Byte* p) {
  if constexpr (kStream) {
    hn::Stream(v, ByteTag(), p);
  } else {
    hn::StoreU(v, ByteTag(), p);
  }
}

/// kVectors vectors of a op b. `dst` may be a or b.
template <class K, bool kStream, int kVectors = 1>
HWY_INLINE void pairStep(Byte* dst, const Byte* a, const Byte* b) {
  typename K::Special special{};
  typename K::Wide wide[kVectors], others[kVectors];
  for (int v = 0; v < kVectors; ++v) wide[v] = K::load(a + v * kVecBytes, special);
  for (int v = 0; v < kVectors; ++v) others[v] = K::load(b + v * kVecBytes, special);
  K::combineAll(wide, others, special);
  ByteVec results[kVectors];
  for (int v = 0; v < kVectors; ++v) results[v] = K::narrow(wide[v], special);
  if (HWY_UNLIKELY(K::isSpecial(special))) {
    const void* srcs[2] = {a, b};
    return plainPart<K>(dst, srcs, 2, 0, kVectors * kVecBytes / sizeof(typename K::T));
  }
  for (int v = 0; v < kVectors; ++v) storeBytes<kStream>(results[v], dst + v * kVecBytes);
}

template <class K>
HWY_NOINLINE void pairPart(Byte* dst, const Byte* a, const Byte* b, size_t bytes) {
  HWY_ALIGN Byte bufferA[kVecBytes];
  HWY_ALIGN Byte bufferB[kVecBytes];
  hn::Store(loadPart(a, bytes), ByteTag(), bufferA);
  hn::Store(loadPart(b, bytes), ByteTag(), bufferB);
  pairStep<K, false>(bufferA, bufferA, bufferB);
  storePart(loadBytes(bufferA), dst, bytes);
}

template <class K, bool kStream>
HWY_INLINE void pairLoop(Byte* dst, const Byte* a, const Byte* b, size_t bytes) {
  constexpr size_t kBlock = kVecBytes * K::kUnroll;
  size_t i = 0;
  if constexpr (kStream) {  // dst is no source here: the vector at its start may be written twice
    const size_t head = (0 - reinterpret_cast<uintptr_t>(dst)) % kVecBytes;
    if (head != 0) pairStep<K, false>(dst, a, b);
    i = head;
  }
  // The last vector ends at the end, overlapping the one before: computed first, because dst may be a source,
  // stored last.
  HWY_ALIGN Byte tail[kVecBytes];
  const size_t tailStart = bytes - kVecBytes;
  const bool hasTail = (bytes - i) % kVecBytes != 0;
  if (hasTail) pairStep<K, false>(tail, a + tailStart, b + tailStart);
  for (; i + kBlock <= bytes; i += kBlock) pairStep<K, kStream, K::kUnroll>(dst + i, a + i, b + i);
  for (; i + kVecBytes <= bytes; i += kVecBytes) pairStep<K, kStream>(dst + i, a + i, b + i);
  if (hasTail) hn::StoreU(hn::Load(ByteTag(), tail), ByteTag(), dst + tailStart);
}

template <class K>
void pair(void* dst, const void* a, const void* b, size_t count) {
  if (K::kFloating && HWY_UNLIKELY(!floatModeIsDefault())) {
    const DefaultFloatMode mode;
    return pair<K>(dst, a, b, count);
  }
  const size_t bytes = count * sizeof(typename K::T);
  auto* to = static_cast<Byte*>(dst);
  const auto* fromA = static_cast<const Byte*>(a);
  const auto* fromB = static_cast<const Byte*>(b);
  if (HWY_LIKELY(bytes >= kVecBytes)) {
    pairLoop<K, false>(to, fromA, fromB, bytes);
  } else if (bytes != 0) {
    pairPart<K>(to, fromA, fromB, bytes);
  }
}

template <class K>
void pairStreaming(void* dst, const void* a, const void* b, size_t count) {
  if (K::kFloating && HWY_UNLIKELY(!floatModeIsDefault())) {
    const DefaultFloatMode mode;
    return pairStreaming<K>(dst, a, b, count);
  }
  const size_t bytes = count * sizeof(typename K::T);
  const bool aligned = reinterpret_cast<uintptr_t>(dst) % sizeof(typename K::T) == 0;
  if (!aligned || dst == a || dst == b || bytes < 2 * kVecBytes) return pair<K>(dst, a, b, count);
  pairLoop<K, true>(static_cast<Byte*>(dst), static_cast<const Byte*>(a), static_cast<const Byte*>(b), bytes);
}

/// With many sources, what the processor looks ahead is too little of each to keep the memory busy.
/// Prefetching beyond the end does no harm.
template <int kVectors>
HWY_INLINE void prefetchAhead(const Byte* p) {
  constexpr size_t kAhead = 1024;
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < kVectors * kVecBytes; i += kLine) hwy::Prefetch(p + kAhead + i);
}

/// `kVectors` vectors at byte `offset` of all sources, to `dst`.
template <class K, bool kStream, int kVectors>
HWY_INLINE void manyStep(Byte* dst, const void* const* srcs, int nSrcs, size_t offset) {
  typename K::Special special{};
  typename K::Wide wide[kVectors];
  const Byte* first = static_cast<const Byte*>(srcs[0]) + offset;
  prefetchAhead<kVectors>(first);
  for (int v = 0; v < kVectors; ++v) wide[v] = K::load(first + v * kVecBytes, special);
  for (int s = 1; s < nSrcs; ++s) {
    const Byte* next = static_cast<const Byte*>(srcs[s]) + offset;
    prefetchAhead<kVectors>(next);
    typename K::Wide others[kVectors];
    for (int v = 0; v < kVectors; ++v) others[v] = K::load(next + v * kVecBytes, special);
    K::combineAll(wide, others, special);
  }
  ByteVec results[kVectors];
  for (int v = 0; v < kVectors; ++v) results[v] = K::narrow(wide[v], special);
  if (HWY_UNLIKELY(K::isSpecial(special))) {
    return plainPart<K>(dst, srcs, nSrcs, offset, kVectors * kVecBytes / sizeof(typename K::T));
  }
  for (int v = 0; v < kVectors; ++v) storeBytes<kStream>(results[v], dst + v * kVecBytes);
}

template <class K, bool kStream>
HWY_INLINE void manyLoop(Byte* dst, const void* const* srcs, int nSrcs, size_t bytes) {
  constexpr size_t kBlock = kVecBytes * K::kUnroll;
  size_t i = 0;
  if constexpr (kStream) {  // as in pairLoop
    i = (0 - reinterpret_cast<uintptr_t>(dst)) % kVecBytes;
    if (i != 0) manyStep<K, false, 1>(dst, srcs, nSrcs, 0);
  }
  HWY_ALIGN Byte tail[kVecBytes];
  const size_t tailStart = bytes - kVecBytes;
  const bool hasTail = (bytes - i) % kVecBytes != 0;
  if (hasTail) manyStep<K, false, 1>(tail, srcs, nSrcs, tailStart);
  for (; i + kBlock <= bytes; i += kBlock) manyStep<K, kStream, K::kUnroll>(dst + i, srcs, nSrcs, i);
  for (; i + kVecBytes <= bytes; i += kVecBytes) manyStep<K, kStream, 1>(dst + i, srcs, nSrcs, i);
  if (hasTail) hn::StoreU(hn::Load(ByteTag(), tail), ByteTag(), dst + tailStart);
}

/// `Pair` is the kernel for two sources, where that is another one.
template <class K, class Pair = K>
void many(void* dst, const void* const* srcs, int nSrcs, size_t count) {
  const size_t bytes = count * sizeof(typename K::T);
  if (nSrcs == 1) return copy(dst, srcs[0], bytes);
  if (nSrcs == 2) return pair<Pair>(dst, srcs[0], srcs[1], count);
  if (K::kFloating && HWY_UNLIKELY(!floatModeIsDefault())) {
    const DefaultFloatMode mode;
    return many<K, Pair>(dst, srcs, nSrcs, count);
  }
  auto* to = static_cast<Byte*>(dst);
  if (bytes < kVecBytes) {
    if (bytes == 0) return;
    typename K::Special special{};
    HWY_ALIGN Byte buffer[kVecBytes];
    hn::Store(loadPart(static_cast<const Byte*>(srcs[0]), bytes), ByteTag(), buffer);
    typename K::Wide wide[1] = {K::load(buffer, special)};
    for (int s = 1; s < nSrcs; ++s) {
      hn::Store(loadPart(static_cast<const Byte*>(srcs[s]), bytes), ByteTag(), buffer);
      const typename K::Wide others[1] = {K::load(buffer, special)};
      K::combineAll(wide, others, special);
    }
    const ByteVec result = K::narrow(wide[0], special);
    if (HWY_UNLIKELY(K::isSpecial(special))) return plainPart<K>(to, srcs, nSrcs, 0, count);
    return storePart(result, to, bytes);
  }
  manyLoop<K, false>(to, srcs, nSrcs, bytes);
}

template <class K, class Pair = K>
void manyStreaming(void* dst, const void* const* srcs, int nSrcs, size_t count) {
  if (nSrcs == 2) return pairStreaming<Pair>(dst, srcs[0], srcs[1], count);
  const size_t bytes = count * sizeof(typename K::T);
  if (nSrcs == 1) return streamCopy(dst, srcs[0], bytes);
  if (K::kFloating && HWY_UNLIKELY(!floatModeIsDefault())) {
    const DefaultFloatMode mode;
    return manyStreaming<K, Pair>(dst, srcs, nSrcs, count);
  }
  bool streams = reinterpret_cast<uintptr_t>(dst) % sizeof(typename K::T) == 0 && bytes >= 2 * kVecBytes;
  for (int s = 0; s < nSrcs; ++s) streams = streams && dst != srcs[s];
  if (!streams) return many<K, Pair>(dst, srcs, nSrcs, count);
  manyLoop<K, true>(static_cast<Byte*>(dst), srcs, nSrcs, bytes);
}

/// dst[i] = f(src[i]) vector by vector; f(dst, src) does one vector and may be given buffers.
template <typename T, class F>
HWY_INLINE void mapVectors(void* dst, const void* src, size_t count, F f) {
  const DefaultFloatMode mode;
  const size_t bytes = count * sizeof(T);
  auto* to = static_cast<Byte*>(dst);
  const auto* from = static_cast<const Byte*>(src);
  if (bytes == 0) return;
  HWY_ALIGN Byte tail[kVecBytes];
  if (bytes < kVecBytes) {
    hn::Store(loadPart(from, bytes), ByteTag(), tail);
    f(tail, tail);
    return storePart(hn::Load(ByteTag(), tail), to, bytes);
  }
  const size_t tailStart = bytes - kVecBytes;
  const bool hasTail = bytes % kVecBytes != 0;
  if (hasTail) f(tail, from + tailStart);
  for (size_t i = 0; i + kVecBytes <= bytes; i += kVecBytes) f(to + i, from + i);
  if (hasTail) hn::StoreU(hn::Load(ByteTag(), tail), ByteTag(), to + tailStart);
}

template <class K, class Pair = K>
void install(KernelTable& table, DataType type, int op) {
  const int t = static_cast<int>(type);
  table.pair[t][op] = pair<Pair>;
  table.pairStreaming[t][op] = pairStreaming<Pair>;
  table.many[t][op] = many<K, Pair>;
  table.manyStreaming[t][op] = manyStreaming<K, Pair>;
}

/// Gives a kernel with combine() its combineAll().
template <class K>
struct EachVector {
  template <class Wide, int N, class Special>
  static HWY_INLINE void combineAll(Wide (&wide)[N], const Wide (&others)[N], const Special&) {
    for (int v = 0; v < N; ++v) K::combine(wide[v], others[v]);
  }
};

/// Base of the kernels that handle every value themselves, by integer operations.
struct PlainKernel {
  using Special = NoSpecial;
  static constexpr DataType kType = DataType::Float8e4m3;  // never used: nothing is special
  static constexpr int kOp = kSum;
  static constexpr bool kFloating = false;
  static constexpr bool isSpecial(NoSpecial) { return false; }
};

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
