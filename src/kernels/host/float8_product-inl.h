// Float8 a * b on 64 bytes at a time, without leaving bytes, by the tables of float8_lookup-inl.h: AVX-512
// with AVX512_VBMI.
//
// 1. Tables turn the two bytes into "levels": 2^F steps per power of two (F bits of fraction), denormals
// normalised, counted
//    up for a and down for b. Their difference S, which saturates at zero, is the level of the product but
//    for what the fractions' product adds to it. Zero is so low, or so far down, that S is zero too.
// 2. The two fractions make the index of a table with that addition, rounded to nearest even. What then is
// below the
//    normal numbers becomes negative.
// 3. Denormal results are rounded elsewhere: another table of the fractions has the addition in quarters of a
// level,
//    rounded to odd, so that rounding a second time is right. A table of these quarter levels, from half of
//    the smallest denormal up to the smallest normal number, has the codes. Its index wraps around for larger
//    products, but all of its values are at most the smallest normal number: the larger one of the two
//    results is the right one.
#if defined(TUTTI_FLOAT8_PRODUCT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_FLOAT8_PRODUCT_INL_H
#undef TUTTI_FLOAT8_PRODUCT_INL_H
#else
#define TUTTI_FLOAT8_PRODUCT_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/host/float8_lookup-inl.h"
#include "kernels/host/simd_loops-inl.h"

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

/// The tables of a format with F bits of fraction.
template <class Format>
struct Float8ProductTables {
  static constexpr int F = Format::kFraction;
  static constexpr int kSteps = 1 << F;
  static constexpr int kSmallestPower = 1 - Format::kBias - F;
  static constexpr int kLevels = (((1 << (7 - F)) + F - 1) << F) - 1;  ///< the last level
  static constexpr int kDown = kSteps * (-kSmallestPower - 2);         ///< sum of two levels minus S
  static constexpr int kSpecial = 255;
  /// S plus the addition minus the code, for normal results.
  static constexpr int kToCode = kSteps * (F + 1);

  alignas(64) uint8_t up[128];       ///< a's level
  alignas(64) uint8_t down[128];     ///< kLevels minus b's level
  alignas(64) uint8_t addition[64];  ///< fractions, as the low bits of the two levels -> levels
  alignas(64) uint8_t
      subtraction[64];                ///< the same -> one power of two minus the addition, in quarter levels
  alignas(64) uint8_t denormal[128];  ///< quarter levels above half of the smallest denormal -> code

  constexpr Float8ProductTables() : up{}, down{}, addition{}, subtraction{}, denormal{} {
    constexpr int kUp = kLevels - kDown;
    down[0] = kLevels + kUp;
    for (int code = 1; code < 128; ++code) {
      const bool special = code >= Format::kFirstSpecial;
      up[code] = static_cast<uint8_t>(special ? kSpecial : kUp + levelOf(code));
      down[code] = static_cast<uint8_t>(special ? kSpecial : kLevels - levelOf(code));
    }
    for (int x = 0; x < kSteps; ++x) {
      for (int y = 0; y < kSteps; ++y) {
        // With less than three bits of fraction, the index has garbage above its two fractions.
        for (int above = 0; above < 64; above += kSteps * kSteps) {
          const int index = above + (x + kUp) % kSteps + (kLevels - y) % kSteps * kSteps;
          addition[index] = static_cast<uint8_t>(levelOfProduct(x, y, F) - x - y);
          subtraction[index] = static_cast<uint8_t>(4 * (kSteps + x + y) - levelOfProduct(x, y, F + 2));
        }
      }
    }
    for (int i = 0; i < 128; ++i) {
      const int power =
          i / (4 * kSteps);  // the value is significand * 2^power / (8 * kSteps) smallest denormals
      const int value = (4 * kSteps + i % (4 * kSteps)) << power;
      const int code = value / (8 * kSteps);
      const int rest = value % (8 * kSteps);
      const bool roundUp = rest > 4 * kSteps || (rest == 4 * kSteps && code % 2 == 1);
      denormal[i] = static_cast<uint8_t>(power > F ? 0 : code + (roundUp ? 1 : 0));
    }
  }

 private:
  static constexpr int levelOf(int code) {
    if (code >= kSteps) return code + (F - 1) * kSteps;
    int power = F;
    for (; code < kSteps; code *= 2) --power;
    return power * kSteps + code - kSteps;
  }
  /// The level of (1 + x / kSteps) * (1 + y / kSteps) in 2^bits steps per power of two: rounded to nearest
  /// even with F bits, to odd with more.
  static constexpr int levelOfProduct(int x, int y, int bits) {
    const int product = (kSteps + x) * (kSteps + y);  // 2 * F bits of fraction
    const int power = product >= 2 * kSteps * kSteps ? 1 : 0;
    // Counted in eighths of a step, which is exact.
    const int eighths = (product << (bits + 3)) >> (2 * F + power);
    const int steps = eighths / 8;
    const int rest = eighths % 8;
    const bool exact = (product << (bits + 3)) == eighths << (2 * F + power);
    int rounded = steps;
    if (bits == F) {
      if (rest > 4 || (rest == 4 && (!exact || steps % 2 == 1))) ++rounded;
    } else if (rest != 0 || !exact) {
      rounded |= 1;
    }
    return (power << bits) + rounded - (1 << bits);
  }
};

template <class Format>
struct Float8ProductKernel : Float8LookupBase<Format> {
  using Tables = Float8ProductTables<Format>;
  using Wide = ByteVec;
  using Special = Float8LookupSpecial;
  static constexpr int kOp = kProd;

  template <int N>
  static HWY_INLINE void combineAll(Wide (&wide)[N], const Wide (&others)[N], Special& special) {
    static constexpr Tables kTables;
    __m512i level[N], fractions[N], quarters[N];
    for (int v = 0; v < N; ++v) {
      const __m512i up = lookup128(tableAt(kTables.up), tableAt(kTables.up + 64), wide[v].raw);
      const __m512i down = lookup128(tableAt(kTables.down), tableAt(kTables.down + 64), others[v].raw);
      special.note(_mm512_max_epu8(up, down));
      level[v] = _mm512_subs_epu8(up, down);
      // What a 16-bit shift moves across bytes lands in the bits that come from `up`.
      fractions[v] = _mm512_ternarylogic_epi32(allBytes(Tables::kSteps - 1), up,
                                               _mm512_slli_epi16(down, Tables::F), 0xca);
    }
    for (int v = 0; v < N; ++v) {
      const __m512i twice = _mm512_add_epi8(level[v], level[v]);
      quarters[v] = _mm512_subs_epu8(_mm512_add_epi8(twice, twice),
                                     lookup64(tableAt(kTables.subtraction), fractions[v]));
      level[v] = _mm512_add_epi8(level[v], lookup64(tableAt(kTables.addition), fractions[v]));
    }
    for (int v = 0; v < N; ++v) {
      const __m512i inRange = _mm512_min_epu8(level[v], allBytes(Format::kLargest + Tables::kToCode));
      const __m512i normal = _mm512_sub_epi8(inRange, allBytes(Tables::kToCode));
      const __m512i denormal =
          Tables::F == 3 ? lookup128(tableAt(kTables.denormal), tableAt(kTables.denormal + 64), quarters[v])
                         : lookup64(tableAt(kTables.denormal), quarters[v]);
      const __m512i code = _mm512_max_epi8(normal, denormal);
      const __m512i signs = _mm512_xor_si512(wide[v].raw, others[v].raw);
      wide[v].raw = _mm512_ternarylogic_epi32(allBytes(0x7f), code, signs, 0xca);
    }
  }
};

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif
