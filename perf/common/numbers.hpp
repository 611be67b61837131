// Element types as numbers: bits to double and back. Written apart from the library's kernels on purpose: the
// check must not share a mistake with what it checks.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/dtype.hpp"

namespace tutti::perf {

/// A binary floating format. `precision` counts the hidden bit; exponents are of values 1.xxx * 2^e.
struct FloatFormat {
  int exponentBits;
  int precision;
  int minExponent;  ///< of the smallest normal number
  int bits() const { return exponentBits + precision; }
  /// The smallest positive number.
  double smallest() const { return std::ldexp(1.0, minExponent - (precision - 1)); }
  /// The largest relative error of rounding to nearest.
  double roundoff() const { return std::ldexp(1.0, -precision); }
};

constexpr bool isFloat(DataType type) {
  return static_cast<int>(type) >= static_cast<int>(DataType::Float16);
}
constexpr bool isSigned(DataType type) {
  return type == DataType::Int8 || type == DataType::Int32 || type == DataType::Int64 || isFloat(type);
}

/// REQUIRES isFloat(type).
constexpr FloatFormat formatOf(DataType type) {
  switch (type) {
    case DataType::Float16:
      return {5, 11, -14};
    case DataType::Bfloat16:
      return {8, 8, -126};
    case DataType::Float8e4m3:
      return {4, 4, -6};
    case DataType::Float8e5m2:
      return {5, 3, -14};
    case DataType::Float32:
      return {8, 24, -126};
    default:
      return {11, 53, -1022};
  }
}

/// The bits of `value`, rounded to the nearest (ties to even). REQUIRES that it is finite and below the
/// type's maximum.
inline uint64_t encodeFloat(DataType type, double value) {
  FloatFormat format = formatOf(type);
  uint64_t sign = std::signbit(value) ? 1ull << (format.bits() - 1) : 0;
  if (value == 0) return sign;
  int exponent = 0;
  double fraction = std::frexp(std::fabs(value), &exponent);  // [0.5, 1)
  int biased = exponent - 1 - format.minExponent + 1;
  int drop = biased < 1 ? 1 - biased : 0;  // subnormal: fewer bits
  auto mantissa = static_cast<uint64_t>(std::nearbyint(std::ldexp(fraction, format.precision - drop)));
  if (drop > 0) return sign | mantissa;
  // Adding lets a mantissa that was rounded up to a power of two carry into the exponent.
  return sign | ((static_cast<uint64_t>(biased - 1) << (format.precision - 1)) + mantissa);
}

/// The number that `bits` stand for; infinities and NaN as such (e4m3 has only NaN).
inline double decodeFloat(DataType type, uint64_t bits) {
  FloatFormat format = formatOf(type);
  uint64_t fractionMask = (1ull << (format.precision - 1)) - 1;
  uint64_t exponentMask = (1ull << format.exponentBits) - 1;
  uint64_t fraction = bits & fractionMask;
  uint64_t biased = (bits >> (format.precision - 1)) & exponentMask;
  bool negative = (bits >> (format.bits() - 1)) & 1;
  double magnitude;
  if (biased == exponentMask && (type != DataType::Float8e4m3 || fraction == fractionMask)) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else if (biased == 0) {
    magnitude = std::ldexp(static_cast<double>(fraction), format.minExponent - (format.precision - 1));
  } else {
    magnitude = std::ldexp(static_cast<double>(fraction | (fractionMask + 1)),
                           static_cast<int>(biased) - 1 + format.minExponent - (format.precision - 1));
  }
  return negative ? -magnitude : magnitude;
}

inline uint64_t loadBits(const void* at, size_t size) {
  uint64_t bits = 0;
  std::memcpy(&bits, at, size);
  return bits;
}
inline void storeBits(void* at, size_t size, uint64_t bits) {
  std::memcpy(at, &bits, size);
}

/// For messages: the element as a number.
inline double asNumber(DataType type, uint64_t bits) {
  if (isFloat(type)) return decodeFloat(type, bits);
  if (!isSigned(type)) return static_cast<double>(bits);
  int shift = 64 - 8 * static_cast<int>(sizeOf(type));
  return static_cast<double>(static_cast<int64_t>(bits << shift) >> shift);
}

}  // namespace tutti::perf
