// A plain second opinion on every kernel, written to share nothing with src/kernels: numbers are decoded by
// ldexp, and rounded by a search among all values of the format.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/dtype.hpp"

namespace tutti::reference {

/// A floating format of at most 16 bits.
struct Format {
  int exponentBits;
  int fractionBits;
  bool
      hasInfinity;  ///< an all-ones exponent means infinity or NaN; otherwise only all ones everywhere is NaN
  bool saturates;
  uint32_t nan;

  int bits() const { return 1 + exponentBits + fractionBits; }
  uint32_t signBit() const { return 1u << (bits() - 1); }

  double decode(uint32_t code) const {
    const uint32_t magnitude = code & (signBit() - 1);
    const double sign = (code & signBit()) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(magnitude >> fractionBits);
    const uint32_t fraction = magnitude & ((1u << fractionBits) - 1);
    const int allOnes = (1 << exponentBits) - 1;
    const int bias = (1 << (exponentBits - 1)) - 1;
    if (hasInfinity && exponent == allOnes) {
      return fraction == 0 ? sign * INFINITY : std::numeric_limits<double>::quiet_NaN();
    }
    if (!hasInfinity && magnitude == signBit() - 1) return std::numeric_limits<double>::quiet_NaN();
    if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fractionBits);
    return sign * std::ldexp(fraction + (1u << fractionBits), exponent - bias - fractionBits);
  }

  bool isNan(uint32_t code) const { return std::isnan(decode(code)); }

  /// All finite values from 0 upward; the index is the code.
  const std::vector<double>& ladder() const {
    static std::vector<double> ladders[4];
    std::vector<double>& values = ladders[exponentBits == 4   ? 0
                                          : fractionBits == 2 ? 1
                                          : fractionBits == 7 ? 2
                                                              : 3];
    if (values.empty()) {
      for (uint32_t code = 0; std::isfinite(decode(code)) && code < signBit(); ++code)
        values.push_back(decode(code));
    }
    return values;
  }

  uint32_t encode(double value) const {
    if (std::isnan(value)) return nan;
    const uint32_t sign = std::signbit(value) ? signBit() : 0;
    const double magnitude = std::fabs(value);
    const std::vector<double>& values = ladder();
    const auto largest = static_cast<uint32_t>(values.size() - 1);
    // The step behind the largest value decides what overflows.
    const double beyond = 2 * values[largest] - values[largest - 1];
    if (magnitude >= values[largest]) {
      const bool overflows =
          magnitude >= (values[largest] + beyond) / 2;  // the tie goes to the even one: beyond
      return sign | (overflows && !saturates ? largest + 1 : largest);
    }
    const auto above = std::upper_bound(values.begin(), values.end(), magnitude);
    const auto low = static_cast<uint32_t>(above - values.begin() - 1);
    const double toLow = magnitude - values[low];
    const double toHigh = values[low + 1] - magnitude;
    const bool up = toHigh < toLow || (toHigh == toLow && low % 2 == 1);
    return sign | (up ? low + 1 : low);
  }
};

inline constexpr Format kHalf{5, 10, true, false, 0x7e00};
inline constexpr Format kBfloat{8, 7, true, false, 0x7fc0};
inline constexpr Format kE4m3{4, 3, false, true, 0x7f};
inline constexpr Format kE5m2{5, 2, true, true, 0x7e};

inline const Format* formatOf(DataType type) {
  switch (type) {
    case DataType::Float16:
      return &kHalf;
    case DataType::Bfloat16:
      return &kBfloat;
    case DataType::Float8e4m3:
      return &kE4m3;
    case DataType::Float8e5m2:
      return &kE5m2;
    default:
      return nullptr;
  }
}

template <typename T>
T from(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

template <typename T>
std::vector<T> elementsOf(const std::vector<const unsigned char*>& inputs, size_t i) {
  std::vector<T> values;
  for (const unsigned char* p : inputs) values.push_back(from<T>(p + i * sizeof(T)));
  return values;
}

template <typename T>
T reduceIntegers(ReduceOp op, const std::vector<T>& values) {
  using U = std::make_unsigned_t<T>;
  switch (op) {
    case ReduceOp::Max:
      return *std::max_element(values.begin(), values.end());
    case ReduceOp::Min:
      return *std::min_element(values.begin(), values.end());
    default:
      break;
  }
  U acc = static_cast<U>(values[0]);
  for (size_t s = 1; s < values.size(); ++s) {
    const U next = static_cast<U>(values[s]);
    acc = op == ReduceOp::Prod ? static_cast<U>(acc * next) : static_cast<U>(acc + next);
  }
  return static_cast<T>(acc);
}

/// Which of the values wins; -1 where all are NaN. `F` is float or double, exact for every type.
template <typename F>
int winner(ReduceOp op, const std::vector<F>& values) {
  int best = -1;
  for (size_t s = 0; s < values.size(); ++s) {
    if (std::isnan(values[s])) continue;
    if (best < 0) {
      best = static_cast<int>(s);
      continue;
    }
    const F a = values[static_cast<size_t>(best)];
    const F b = values[s];
    const bool less = b < a || (b == a && std::signbit(b) && !std::signbit(a));
    const bool greater = b > a || (b == a && !std::signbit(b) && std::signbit(a));
    if (op == ReduceOp::Max ? greater : less) best = static_cast<int>(s);
  }
  return best;
}

template <typename F>
F accumulate(ReduceOp op, const std::vector<F>& values) {
  F acc = values[0];
  for (size_t s = 1; s < values.size(); ++s) acc = op == ReduceOp::Prod ? acc * values[s] : acc + values[s];
  return std::isnan(acc) ? std::numeric_limits<F>::quiet_NaN() : acc;
}

template <typename F>
F reduceFloats(ReduceOp op, const std::vector<F>& values) {
  if (op != ReduceOp::Max && op != ReduceOp::Min) return accumulate(op, values);
  const int best = winner(op, values);
  return best < 0 ? std::numeric_limits<F>::quiet_NaN() : values[static_cast<size_t>(best)];
}

inline uint32_t reduceNarrow(const Format& format, ReduceOp op, const std::vector<uint32_t>& codes) {
  std::vector<float> values;
  for (uint32_t code : codes) values.push_back(static_cast<float>(format.decode(code)));
  if (op != ReduceOp::Max && op != ReduceOp::Min) return format.encode(accumulate(op, values));
  const int best = winner(op, values);
  return best < 0 ? format.nan : codes[static_cast<size_t>(best)];
}

template <typename T>
void append(std::vector<unsigned char>& out, T value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

/// The expected bytes of the arithmetic part (Avg and PreMulSum: the sum) over all inputs, left to right.
inline std::vector<unsigned char> reduce(DataType type, ReduceOp op,
                                         const std::vector<const unsigned char*>& inputs, size_t count) {
  std::vector<unsigned char> out;
  out.reserve(count * sizeOf(type));
  for (size_t i = 0; i < count; ++i) {
    switch (type) {
      case DataType::Int8:
        append(out, reduceIntegers(op, elementsOf<int8_t>(inputs, i)));
        break;
      case DataType::Uint8:
        append(out, reduceIntegers(op, elementsOf<uint8_t>(inputs, i)));
        break;
      case DataType::Int32:
        append(out, reduceIntegers(op, elementsOf<int32_t>(inputs, i)));
        break;
      case DataType::Uint32:
        append(out, reduceIntegers(op, elementsOf<uint32_t>(inputs, i)));
        break;
      case DataType::Int64:
        append(out, reduceIntegers(op, elementsOf<int64_t>(inputs, i)));
        break;
      case DataType::Uint64:
        append(out, reduceIntegers(op, elementsOf<uint64_t>(inputs, i)));
        break;
      case DataType::Float32:
        append(out, reduceFloats(op, elementsOf<float>(inputs, i)));
        break;
      case DataType::Float64:
        append(out, reduceFloats(op, elementsOf<double>(inputs, i)));
        break;
      case DataType::Float16:
      case DataType::Bfloat16: {
        std::vector<uint32_t> codes;
        for (uint16_t code : elementsOf<uint16_t>(inputs, i)) codes.push_back(code);
        append(out, static_cast<uint16_t>(reduceNarrow(*formatOf(type), op, codes)));
        break;
      }
      case DataType::Float8e4m3:
      case DataType::Float8e5m2: {
        std::vector<uint32_t> codes;
        for (uint8_t code : elementsOf<uint8_t>(inputs, i)) codes.push_back(code);
        append(out, static_cast<uint8_t>(reduceNarrow(*formatOf(type), op, codes)));
        break;
      }
    }
  }
  return out;
}

}  // namespace tutti::reference
