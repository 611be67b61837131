// Float16, Bfloat16 and the two Float8 formats as bit patterns: exact widening to float, and rounding from
// float to nearest even. These scalar functions define what every kernel computes.
#pragma once

#include <bit>
#include <cstdint>

namespace tutti::kernels {

/// The NaN that a reduction returns, per format.
inline constexpr uint16_t kNanFloat16 = 0x7e00;
inline constexpr uint16_t kNanBfloat16 = 0x7fc0;
inline constexpr uint8_t kNanFloat8e4m3 = 0x7f;
inline constexpr uint8_t kNanFloat8e5m2 = 0x7e;
inline constexpr uint32_t kNanFloat32 = 0x7fc00000;
inline constexpr uint64_t kNanFloat64 = 0x7ff8000000000000;

namespace detail {

/// A sign bit, then exponent (bias `Bias`), then `ManBits` of fraction, in a word with `Bits` bits. `Over` is
/// what a magnitude above the largest finite one rounds to: infinity, or that largest one for a saturating
/// format.
template <int Bits, int ManBits, int Bias, uint32_t LargestNumber, uint32_t Over, uint32_t Nan>
struct Format {
  static constexpr uint32_t kSign = 1u << (Bits - 1);

  static float widen(uint32_t code) {
    const uint32_t magnitude = code & (kSign - 1);
    const uint32_t sign = (code & kSign) << (32 - Bits);
    if (magnitude > LargestNumber) return std::bit_cast<float>(kNanFloat32);
    const uint32_t exponent = magnitude >> ManBits;
    if (exponent == 0) {  // denormal: an integer times the smallest one, exact in float
      const float unit = std::bit_cast<float>(static_cast<uint32_t>(127 - Bias + 1 - ManBits) << 23);
      const float value = static_cast<float>(magnitude) * unit;
      return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
    }
    constexpr uint32_t kAllOnes = (1u << (Bits - 1 - ManBits)) - 1;
    if (exponent == kAllOnes && (LargestNumber & ((1u << ManBits) - 1)) == 0) {  // a format with infinity
      return std::bit_cast<float>(0x7f800000u | sign);
    }
    return std::bit_cast<float>(((magnitude << (23 - ManBits)) + (static_cast<uint32_t>(127 - Bias) << 23)) |
                                sign);
  }

  static uint32_t narrow(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> (32 - Bits)) & kSign;
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return Nan;
    constexpr int kDrop = 23 - ManBits;
    constexpr int kSmallestNormal = 127 - Bias + 1;
    const int exponent = static_cast<int>(magnitude >> 23);
    uint32_t code;
    if (exponent >= kSmallestNormal) {
      const uint32_t rounded = magnitude + ((1u << (kDrop - 1)) - 1) + ((magnitude >> kDrop) & 1);
      code = (rounded >> kDrop) - (static_cast<uint32_t>(127 - Bias) << ManBits);
      if (code > Over) code = Over;
    } else {
      const int shift = kDrop + kSmallestNormal - exponent;
      if (shift > 24) return sign;  // below half of the smallest denormal
      const uint32_t full = (magnitude & 0x7fffff) | 0x800000;
      code = full >> shift;
      const uint32_t rest = full & ((1u << shift) - 1);
      const uint32_t half = 1u << (shift - 1);
      if (rest > half || (rest == half && (code & 1) != 0)) ++code;
    }
    return code | sign;
  }
};

using Half = Format<16, 10, 15, 0x7c00, 0x7c00, kNanFloat16>;
using E4m3 = Format<8, 3, 7, 0x7e, 0x7e, kNanFloat8e4m3>;
using E5m2 = Format<8, 2, 15, 0x7c, 0x7b, kNanFloat8e5m2>;

}  // namespace detail

inline float floatFromFloat16(uint16_t code) {
  return detail::Half::widen(code);
}
inline uint16_t float16FromFloat(float value) {
  return static_cast<uint16_t>(detail::Half::narrow(value));
}

inline float floatFromBfloat16(uint16_t code) {
  return std::bit_cast<float>(static_cast<uint32_t>(code) << 16);
}
inline uint16_t bfloat16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return kNanBfloat16;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// e4m3 has no infinity (OCP "FN"): 0x7f and 0xff are its NaNs. Rounding saturates at 448.
inline float floatFromFloat8e4m3(uint8_t code) {
  return detail::E4m3::widen(code);
}
inline uint8_t float8e4m3FromFloat(float value) {
  return static_cast<uint8_t>(detail::E4m3::narrow(value));
}

/// e5m2 has infinities, but rounding saturates at 57344 and never makes one.
inline float floatFromFloat8e5m2(uint8_t code) {
  return detail::E5m2::widen(code);
}
inline uint8_t float8e5m2FromFloat(float value) {
  return static_cast<uint8_t>(detail::E5m2::narrow(value));
}

}  // namespace tutti::kernels
