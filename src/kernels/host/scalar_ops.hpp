// What every kernel computes, one element at a time. A type is described by its storage and how to widen and
// narrow it.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/dtype.hpp"
#include "kernels/host/narrow_float.hpp"

namespace tutti::kernels::scalar {

/// Per data type: Storage (what memory holds), Wide (what sums are kept in), widen, narrow.
template <DataType type>
struct Element;

template <typename S>
struct IntegerElement {
  using Storage = S;
  using Wide = std::make_unsigned_t<S>;  // unsigned: overflow wraps
  static constexpr bool kFloating = false;
  static Wide widen(S x) { return static_cast<Wide>(x); }
  static S narrow(Wide x) { return static_cast<S>(x); }
};
template <>
struct Element<DataType::Int8> : IntegerElement<int8_t> {};
template <>
struct Element<DataType::Uint8> : IntegerElement<uint8_t> {};
template <>
struct Element<DataType::Int32> : IntegerElement<int32_t> {};
template <>
struct Element<DataType::Uint32> : IntegerElement<uint32_t> {};
template <>
struct Element<DataType::Int64> : IntegerElement<int64_t> {};
template <>
struct Element<DataType::Uint64> : IntegerElement<uint64_t> {};

/// Floating types are stored as their bits; kInfinity is the largest magnitude that is not NaN.
template <>
struct Element<DataType::Float32> {
  using Storage = uint32_t;
  using Wide = float;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7f800000;
  static constexpr Storage kNan = kNanFloat32;
  static Wide widen(Storage x) { return std::bit_cast<float>(x); }
  static Storage narrow(Wide x) { return x == x ? std::bit_cast<uint32_t>(x) : kNan; }
};
template <>
struct Element<DataType::Float64> {
  using Storage = uint64_t;
  using Wide = double;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7ff0000000000000;
  static constexpr Storage kNan = kNanFloat64;
  static Wide widen(Storage x) { return std::bit_cast<double>(x); }
  static Storage narrow(Wide x) { return x == x ? std::bit_cast<uint64_t>(x) : kNan; }
};
template <>
struct Element<DataType::Float16> {
  using Storage = uint16_t;
  using Wide = float;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7c00;
  static constexpr Storage kNan = kNanFloat16;
  static Wide widen(Storage x) { return floatFromFloat16(x); }
  static Storage narrow(Wide x) { return float16FromFloat(x); }
};
template <>
struct Element<DataType::Bfloat16> {
  using Storage = uint16_t;
  using Wide = float;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7f80;
  static constexpr Storage kNan = kNanBfloat16;
  static Wide widen(Storage x) { return floatFromBfloat16(x); }
  static Storage narrow(Wide x) { return bfloat16FromFloat(x); }
};
template <>
struct Element<DataType::Float8e4m3> {
  using Storage = uint8_t;
  using Wide = float;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7e;  // none: the largest number
  static constexpr Storage kNan = kNanFloat8e4m3;
  static Wide widen(Storage x) { return floatFromFloat8e4m3(x); }
  static Storage narrow(Wide x) { return float8e4m3FromFloat(x); }
};
template <>
struct Element<DataType::Float8e5m2> {
  using Storage = uint8_t;
  using Wide = float;
  static constexpr bool kFloating = true;
  static constexpr Storage kInfinity = 0x7c;
  static constexpr Storage kNan = kNanFloat8e5m2;
  static Wide widen(Storage x) { return floatFromFloat8e5m2(x); }
  static Storage narrow(Wide x) { return float8e5m2FromFloat(x); }
};

/// Sum and Prod as a fold over Wide; Max and Min as a fold over the storage.
template <DataType type, ReduceOp op>
struct Fold {
  using E = Element<type>;
  using Storage = typename E::Storage;
  static constexpr bool kInStorage = op == ReduceOp::Max || op == ReduceOp::Min;
  using Acc = std::conditional_t<kInStorage, Storage, typename E::Wide>;

  static Acc load(Storage x) {
    if constexpr (kInStorage) {
      return x;
    } else {
      return E::widen(x);
    }
  }
  static Storage store(Acc x) {
    if constexpr (!kInStorage) {
      return E::narrow(x);
    } else if constexpr (E::kFloating) {
      return isNan(x) ? E::kNan : x;
    } else {
      return x;
    }
  }
  static Acc combine(Acc a, Acc b) {
    if constexpr (op == ReduceOp::Sum) {
      return static_cast<Acc>(a + b);
    } else if constexpr (op == ReduceOp::Prod) {
      return static_cast<Acc>(a * b);
    } else if constexpr (E::kFloating) {
      if (isNan(a)) return b;
      if (isNan(b)) return a;
      return (order(a) < order(b)) == (op == ReduceOp::Max) ? b : a;
    } else {
      return (a < b) == (op == ReduceOp::Max) ? b : a;
    }
  }

 private:
  static constexpr bool isNan(Storage x) {
    if constexpr (E::kFloating) {
      return static_cast<Storage>(x << 1) > static_cast<Storage>(E::kInfinity << 1);
    } else {
      return false;
    }
  }
  /// Signed integers in the order of the numbers, -0 below +0.
  static constexpr auto order(Storage x) {
    using Signed = std::make_signed_t<Storage>;
    const auto bits = static_cast<Signed>(x);
    return bits >= 0
               ? bits
               : static_cast<Signed>(bits ^ static_cast<Signed>(~(Storage{1} << (sizeof(Storage) * 8 - 1))));
  }
};

}  // namespace tutti::kernels::scalar
