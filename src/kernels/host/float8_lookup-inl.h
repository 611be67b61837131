// Float8 a + b on 64 bytes at a time, without leaving bytes: AVX-512 with the byte permutations of
// AVX512_VBMI, which are tables of 64 or 128 entries. Two to three times as fast as the way over floats in
// float8s.cpp, and the same bits.
//
// 1. A table turns a byte into a "level": 2^F steps per power of two (F bits of fraction), denormals
// normalised, the sign
//    dropped. Zero lies so far below the smallest number, and infinity above the largest, that they need no
//    case of their own further down. Levels are ordered as the magnitudes, so the larger and the smaller one
//    are a max and a min.
// 2. The distance in powers of two and the smaller one's fraction make the index of a table with the smaller
// significand in
//    units of the larger one's, with three more bits (guard, round, and sticky: whether anything was shifted
//    out).
// 3. The larger significand plus or minus that one is a number of at most 8 bits. A table says how far below
// (or, shifted by
//    one power of two, above) the larger level the correctly rounded result lies.
// 4. Levels become bytes by a subtraction, and a table for denormals and zero.
#if defined(TUTTI_FLOAT8_LOOKUP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_FLOAT8_LOOKUP_INL_H
#undef TUTTI_FLOAT8_LOOKUP_INL_H
#else
#define TUTTI_FLOAT8_LOOKUP_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/host/narrow_float.hpp"
#include "kernels/host/simd_loops-inl.h"

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

/// The tables of a format with F bits of fraction. `kFirst` is the level of the smallest normal number.
template <class Format>
struct Float8Tables {
  static constexpr int F = Format::kFraction;
  static constexpr int kSteps = 1 << F;  ///< levels per power of two
  static constexpr int kFirst = F == 3 ? 104 : 80;
  static constexpr int kInfinity = 232;  ///< e5m2 only
  static constexpr int kNan = 255;
  static constexpr int kNothing =
      F == 3 ? 63 : 31;  ///< the first index of step 2 at which nothing is left to add
  /// Results are kept one power of two lower than levels, so that step 3 only ever subtracts.
  static constexpr int kToCode = kFirst - kSteps - kSteps;

  alignas(64) uint8_t level[128];
  alignas(64) uint8_t larger[64];   ///< low bits of the larger level -> its significand, times 8
  alignas(64) uint8_t smaller[64];  ///< index of step 2 -> the smaller significand, times 8, shifted
  alignas(64)
      uint8_t below[256];  ///< sum of significands -> distance below the last level of the larger one's power
  alignas(64) uint8_t denormal[64];  ///< low bits of a result below the normal numbers -> code

  constexpr Float8Tables() : level{}, larger{}, smaller{}, below{}, denormal{} {
    for (int code = 0; code < 128; ++code) level[code] = static_cast<uint8_t>(levelOf(code));
    for (int i = 0; i < 64; ++i) larger[i] = static_cast<uint8_t>((kSteps + i % kSteps) * 8);
    for (int i = 0; i < kNothing; ++i) {
      const int shift = i / kSteps;
      const int significand = (kSteps + (kSteps - 1 - i % kSteps)) * 8;
      const bool sticky = (significand & ((1 << shift) - 1)) != 0;
      smaller[i] = static_cast<uint8_t>((significand >> shift) | (sticky ? 1 : 0));
    }
    for (int sum = 0; sum < 256; ++sum) below[sum] = static_cast<uint8_t>(distanceOf(sum));
    for (int code = 1; code < kSteps; ++code)
      denormal[(levelOf(code) - kSteps) % 64] = static_cast<uint8_t>(code);
  }

 private:
  static constexpr int levelOf(int code) {
    if (code == 0) return 0;
    if (code >= Format::kFirstSpecial) return F == 2 && code == Format::kFirstSpecial ? kInfinity : kNan;
    if (code >= kSteps) return code - kSteps + kFirst;
    int power = 0;  // a denormal: doubled until it has its leading bit
    for (; code < kSteps; code *= 2) ++power;
    return kFirst - power * kSteps + (code - kSteps);
  }
  static constexpr int distanceOf(int sum) {
    if (sum == 0) return 255;  // exact cancellation: zero, by saturation
    // The power of two of the sum, relative to the larger operand's, and the sum rounded to kSteps .. 2 *
    // kSteps.
    int power = 0;
    while ((sum >> power) >= 16 * kSteps) ++power;
    while (power > -8 && (power > 0 ? sum >> power : sum << -power) < 8 * kSteps) --power;
    const int shift = 3 + power;
    int rounded = shift >= 0 ? sum >> shift : sum << -shift;
    if (shift > 0) {
      const int rest = sum & ((1 << shift) - 1);
      const int half = 1 << (shift - 1);
      if (rest > half || (rest == half && rounded % 2 == 1)) ++rounded;
    }
    const int distance = (kSteps - 1) - (power * kSteps + rounded - kSteps) + kSteps;
    return distance < 0 ? 0 : distance;  // sums this large do not occur
  }
};

// In assembly, because the target that this file is compiled for does not include AVX512_VBMI. The caller has
// asked the CPU.
HWY_INLINE __m512i lookup64(__m512i table, __m512i index) {
  __m512i result;
  asm("vpermb %1, %2, %0" : "=v"(result) : "v"(table), "v"(index));
  return result;
}
HWY_INLINE __m512i lookup128(__m512i low, __m512i high, __m512i index) {
  asm("vpermi2b %2, %1, %0" : "+v"(index) : "v"(low), "v"(high));
  return index;
}

/// sum[v] = a[v] + b[v] for N vectors, step by step side by side: one vector's steps all wait for each other.
template <class Format, int N>
HWY_INLINE void addFloat8(const __m512i (&a)[N], const __m512i (&b)[N], __m512i (&sum)[N]) {
  using Tables = Float8Tables<Format>;
  static constexpr Tables kTables;
  const auto table = [](const uint8_t* bytes) HWY_ATTR { return _mm512_load_si512(bytes); };
  const auto constant = [](int value) HWY_ATTR { return _mm512_set1_epi8(static_cast<char>(value)); };

  __m512i levelA[N], levelB[N], more[N], less[N], last[N], significand[N], other[N], total[N], distance[N],
      code[N];
  __mmask64 opposite[N];
  for (int v = 0; v < N; ++v) {
    levelA[v] = lookup128(table(kTables.level), table(kTables.level + 64), a[v]);
    levelB[v] = lookup128(table(kTables.level), table(kTables.level + 64), b[v]);
  }
  for (int v = 0; v < N; ++v) {
    more[v] = _mm512_max_epu8(levelA[v], levelB[v]);
    less[v] = _mm512_min_epu8(levelA[v], levelB[v]);
    last[v] = _mm512_or_si512(more[v], constant(Tables::kSteps - 1));
    opposite[v] = _mm512_movepi8_mask(_mm512_xor_si512(a[v], b[v]));
  }
  for (int v = 0; v < N; ++v) {
    const __m512i apart = _mm512_min_epu8(_mm512_sub_epi8(last[v], less[v]), constant(Tables::kNothing));
    significand[v] = lookup64(table(kTables.larger), more[v]);
    other[v] = lookup64(table(kTables.smaller), apart);
  }
  for (int v = 0; v < N; ++v) {
    const __m512i plus = _mm512_add_epi8(significand[v], other[v]);
    total[v] = _mm512_mask_sub_epi8(plus, opposite[v], significand[v], other[v]);
  }
  for (int v = 0; v < N; ++v) {
    distance[v] = lookup128(table(kTables.below), table(kTables.below + 64), total[v]);
    if constexpr (Tables::F == 3) {
      const __m512i high = lookup128(table(kTables.below + 128), table(kTables.below + 192), total[v]);
      distance[v] = _mm512_mask_mov_epi8(distance[v], _mm512_movepi8_mask(total[v]), high);
    }
  }
  for (int v = 0; v < N; ++v) {
    const __m512i result = _mm512_subs_epu8(last[v], distance[v]);
    const __m512i normal =
        _mm512_min_epu8(_mm512_subs_epu8(result, constant(Tables::kToCode)), constant(Format::kLargest));
    const __mmask64 small = _mm512_cmplt_epu8_mask(result, constant(Tables::kFirst - Tables::kSteps));
    code[v] = _mm512_mask_mov_epi8(normal, small, lookup64(table(kTables.denormal), result));
  }
  for (int v = 0; v < N; ++v) {
    // The sign of the larger one; an exact cancellation, also that of zeros, is +0.
    const __m512i larger = _mm512_mask_mov_epi8(a[v], _mm512_cmplt_epu8_mask(levelA[v], levelB[v]), b[v]);
    const __mmask64 cancelled = _mm512_mask_cmpeq_epi8_mask(opposite[v], levelA[v], levelB[v]);
    const __m512i sign = _mm512_mask_mov_epi8(larger, cancelled, _mm512_setzero_si512());
    __mmask64 nan = _mm512_cmpeq_epi8_mask(more[v], constant(Tables::kNan));
    if constexpr (Tables::F == 2) {  // infinity minus infinity
      nan |= _mm512_mask_cmpeq_epi8_mask(opposite[v], less[v], constant(Tables::kInfinity));
    }
    constexpr int kNanCode = Tables::F == 3 ? kNanFloat8e4m3 : kNanFloat8e5m2;
    sum[v] = _mm512_mask_mov_epi8(_mm512_ternarylogic_epi32(constant(0x7f), code[v], sign, 0xca), nan,
                                  constant(kNanCode));
  }
}

/// A sum of two, as a kernel for the loops.
template <class Format>
struct Float8LookupKernel : PlainKernel {
  using T = uint8_t;
  using Wide = ByteVec;
  static constexpr int kUnroll = 2;
  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return loadBytes(p); }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) { return wide; }
  template <int N>
  static HWY_INLINE void combineAll(Wide (&wide)[N], const Wide (&others)[N]) {
    __m512i a[N], b[N], sum[N];
    for (int v = 0; v < N; ++v) {
      a[v] = wide[v].raw;
      b[v] = others[v].raw;
    }
    addFloat8<Format, N>(a, b, sum);
    for (int v = 0; v < N; ++v) wide[v].raw = sum[v];
  }
};

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif
