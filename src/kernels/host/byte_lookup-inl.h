// Tables indexed by bytes, 64 bytes at a time: AVX-512 with AVX512_VBMI and GFNI, of which hasByteLookup()
// tells.
#if defined(TUTTI_BYTE_LOOKUP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_BYTE_LOOKUP_INL_H
#undef TUTTI_BYTE_LOOKUP_INL_H
#else
#define TUTTI_BYTE_LOOKUP_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/host/simd_loops-inl.h"

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

inline bool hasByteLookup() {
  return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("gfni");
}

// In assembly, because the target that this file is compiled for includes neither AVX512_VBMI nor GFNI. The
// caller has asked the CPU. Volatile, so that lookups stay in the order in which they are written: one
// vector's lookups wait for each other, and the processor looks ahead less far than it takes to find another
// one's.
HWY_INLINE __m512i lookup64(__m512i table, __m512i index) {
  __m512i result;
  asm volatile("vpermb %1, %2, %0" : "=v"(result) : "v"(table), "v"(index));
  return result;
}
HWY_INLINE __m512i lookup128(__m512i low, __m512i high, __m512i index) {
  asm volatile("vpermi2b %2, %1, %0" : "+v"(index) : "v"(low), "v"(high));
  return index;
}
/// Keeps the compiler from making a constant anew in each round of a loop: a broadcast from a general
/// register takes longer than most of the instructions here.
HWY_INLINE __m512i keepInRegister(__m512i constant) {
  asm("" : "+v"(constant));
  return constant;
}
/// All bits of negative bytes but the sign are inverted: bytes in the order of the numbers. `kFlip` is xor'ed
/// in.
inline constexpr long long kInvertNegative = static_cast<long long>(0x8182848890a0c080);
template <int kFlip>
HWY_INLINE __m512i invertNegativeBytes(__m512i v) {
  __m512i result;
  asm volatile("vgf2p8affineqb %3, %2, %1, %0"
               : "=v"(result)
               : "v"(v), "v"(keepInRegister(_mm512_set1_epi64(kInvertNegative))), "n"(kFlip));
  return result;
}
HWY_INLINE __m512i tableAt(const uint8_t* bytes) {
  return keepInRegister(_mm512_load_si512(bytes));
}
HWY_INLINE __m512i allBytes(int value) {
  return keepInRegister(_mm512_set1_epi8(static_cast<char>(value)));
}

/// dst[i] = table[src[i]]. `dst` may be src.
inline void mapBytes(void* dst, const void* src, size_t count, const uint8_t (&table)[256]) {
  __m512i parts[4];
  for (int i = 0; i < 4; ++i) parts[i] = _mm512_loadu_si512(table + 64 * i);
  mapVectors<uint8_t>(dst, src, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    const __m512i bytes = loadBytes(from).raw;
    const __m512i low = lookup128(parts[0], parts[1], bytes);
    const __m512i high = lookup128(parts[2], parts[3], bytes);
    hn::StoreU(ByteVec{_mm512_mask_mov_epi8(low, _mm512_movepi8_mask(bytes), high)}, ByteTag(), to);
  });
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif
