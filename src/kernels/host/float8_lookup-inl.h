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

#include "kernels/host/byte_lookup-inl.h"
#include "kernels/host/narrow_float.hpp"
#include "kernels/host/scalar_ops.hpp"
#include "kernels/host/simd_loops-inl.h"

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

/// Levels from here on are infinity and NaN, here and in float8_product-inl.h.
inline constexpr int kFirstSpecialLevel = 232;

/// The tables of a format with F bits of fraction. `kFirst` is the level of the smallest normal number.
template <class Format>
struct Float8Tables {
  static constexpr int F = Format::kFraction;
  static constexpr int kSteps = 1 << F;  ///< levels per power of two
  static constexpr int kFirst = F == 3 ? 104 : 80;
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
    if (code >= Format::kFirstSpecial) return kFirstSpecialLevel;
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

/// The largest level seen. Start with Float8LookupSpecial{}: zero.
struct Float8LookupSpecial {
  __m512i largest;
  HWY_INLINE void note(__m512i levels) { largest = _mm512_max_epu8(largest, levels); }
};

/// What the kernels on bytes share; NaN, and the infinities of e5m2, are left to plain C++.
template <class Format>
struct Float8LookupBase {
  using T = uint8_t;
  using Wide = ByteVec;
  using Special = Float8LookupSpecial;
  static constexpr DataType kType = Format::kType;
  static constexpr bool kFloating = false;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, Special&) { return loadBytes(p); }
  static HWY_INLINE ByteVec narrow(Wide wide, Special&) { return wide; }
  static HWY_INLINE bool isSpecial(const Special& special) {
    return _mm512_cmpge_epu8_mask(special.largest, allBytes(kFirstSpecialLevel)) != 0;
  }
};

/// Max and Min as in float_order-inl.h, with one instruction from bits to their order and back.
template <class Format, int op>
struct Float8OrderKernel : PlainKernel, EachVector<Float8OrderKernel<Format, op>> {
  using E = scalar::Element<Format::kType>;
  using T = uint8_t;
  using Wide = ByteVec;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) {
    const __m512i ordered = invertNegativeBytes<0>(loadBytes(p).raw);
    return Wide{op == kMax ? _mm512_add_epi8(ordered, turn()) : _mm512_sub_epi8(ordered, turn())};
  }
  static HWY_INLINE void combine(Wide& wide, Wide other) {
    wide.raw = op == kMax ? _mm512_max_epi8(wide.raw, other.raw) : _mm512_min_epi8(wide.raw, other.raw);
  }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) {
    const __m512i last = allBytes(op == kMax ? -128 + 2 * kTurn : 127 - 2 * kTurn);
    const __mmask64 number =
        op == kMax ? _mm512_cmpge_epi8_mask(wide.raw, last) : _mm512_cmple_epi8_mask(wide.raw, last);
    const __m512i ordered =
        op == kMax ? _mm512_sub_epi8(wide.raw, turn()) : _mm512_add_epi8(wide.raw, turn());
    return ByteVec{_mm512_mask_mov_epi8(allBytes(E::kNan), number, invertNegativeBytes<0>(ordered))};
  }

 private:
  static constexpr int kTurn = 0x7f - E::kInfinity;
  static HWY_INLINE __m512i turn() { return allBytes(kTurn); }
};

template <class Format>
struct Float8SumKernel : Float8LookupBase<Format> {
  using Tables = Float8Tables<Format>;
  using Wide = ByteVec;
  using Special = Float8LookupSpecial;
  static constexpr int kOp = kSum;

  template <int N>
  static HWY_INLINE void combineAll(Wide (&wide)[N], const Wide (&others)[N], Special& special) {
    static constexpr Tables kTables;
    __m512i more[N], less[N], last[N], total[N], distance[N], code[N];
    __mmask64 opposite[N];
    for (int v = 0; v < N; ++v) {
      const __m512i a = lookup128(tableAt(kTables.level), tableAt(kTables.level + 64), wide[v].raw);
      const __m512i b = lookup128(tableAt(kTables.level), tableAt(kTables.level + 64), others[v].raw);
      more[v] = _mm512_max_epu8(a, b);
      less[v] = _mm512_min_epu8(a, b);
      special.note(more[v]);
      opposite[v] = _mm512_movepi8_mask(_mm512_xor_si512(wide[v].raw, others[v].raw));
    }
    for (int v = 0; v < N; ++v) {
      last[v] = _mm512_or_si512(more[v], allBytes(Tables::kSteps - 1));
      const __m512i apart = _mm512_min_epu8(_mm512_sub_epi8(last[v], less[v]), allBytes(Tables::kNothing));
      const __m512i significand = lookup64(tableAt(kTables.larger), more[v]);
      const __m512i other = lookup64(tableAt(kTables.smaller), apart);
      const __m512i plus = _mm512_add_epi8(significand, other);
      total[v] = _mm512_mask_sub_epi8(plus, opposite[v], significand, other);
    }
    for (int v = 0; v < N; ++v) {
      distance[v] = lookup128(tableAt(kTables.below), tableAt(kTables.below + 64), total[v]);
      if constexpr (Tables::F == 3) {
        const __m512i high = lookup128(tableAt(kTables.below + 128), tableAt(kTables.below + 192), total[v]);
        distance[v] = _mm512_mask_mov_epi8(distance[v], _mm512_movepi8_mask(total[v]), high);
      }
    }
    for (int v = 0; v < N; ++v) {
      const __m512i result = _mm512_subs_epu8(last[v], distance[v]);
      // The table has the denormals' codes; for normal numbers it has less than their code.
      const __m512i normal =
          _mm512_min_epu8(_mm512_subs_epu8(result, allBytes(Tables::kToCode)), allBytes(Format::kLargest));
      code[v] = _mm512_max_epu8(normal, lookup64(tableAt(kTables.denormal), result));
    }
    for (int v = 0; v < N; ++v) {
      // The sign is that of x + y + 1, where a negative number of magnitude m counts as -m - 1, so that an
      // exact cancellation is +0. With 128 added to both, it is in the average's uppermost bit, inverted.
      const __m512i average =
          _mm512_avg_epu8(invertNegativeBytes<0x80>(wide[v].raw), invertNegativeBytes<0x80>(others[v].raw));
      wide[v].raw = _mm512_ternarylogic_epi32(allBytes(0x7f), code[v], average, 0xc5);
    }
  }
};

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif
