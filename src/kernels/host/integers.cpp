// Integer kernels: all operators wrap around, so signed and unsigned share Sum and Prod.
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/integers.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/host/byte_lookup-inl.h"
#include "kernels/host/simd_loops-inl.h"

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

template <typename V>
HWY_INLINE V multiply(V a, V b) {
  using D = hn::DFromV<V>;
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    // There is no product of bytes: even and odd bytes are multiplied in 16-bit lanes, of which the low byte
    // counts.
    const hn::Repartition<uint16_t, D> d16;
    const auto a16 = hn::BitCast(d16, a);
    const auto b16 = hn::BitCast(d16, b);
    const auto high = hn::Set(d16, static_cast<uint16_t>(0xff00));
    const auto even = hn::Mul(a16, b16);
    const auto odd = hn::Mul(hn::ShiftRight<8>(a16), hn::And(b16, high));
    return hn::BitCast(D(), hn::IfVecThenElse(high, odd, even));
  } else {
    return a * b;
  }
}

template <typename Lane, int op>
struct IntegerKernel : PlainKernel, EachVector<IntegerKernel<Lane, op>> {
  using T = Lane;
  using D = hn::ScalableTag<T>;
  using Wide = hn::Vec<D>;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return hn::BitCast(D(), loadBytes(p)); }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) { return hn::BitCast(ByteTag(), wide); }
  static HWY_INLINE void combine(Wide& wide, Wide other) {
    if constexpr (op == kSum) {
      wide = hn::Add(wide, other);
    } else if constexpr (op == kProd) {
      wide = multiply(wide, other);
    } else if constexpr (op == kMax) {
      wide = hn::Max(wide, other);
    } else {
      wide = hn::Min(wide, other);
    }
  }
};

template <typename T>
void scale(void* dst, const void* src, size_t count, Factor factor) {
  const hn::ScalableTag<T> d;
  const auto by = hn::Set(d, static_cast<T>(factor.bits));
  mapVectors<T>(dst, src, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    const auto product = multiply(hn::BitCast(d, loadBytes(from)), by);
    hn::StoreU(hn::BitCast(ByteTag(), product), ByteTag(), to);
  });
}

/// Left to the compiler's vectoriser. Truncating a floating quotient is exact here: one that is no whole
/// number is at least 1 / divisor away from the next, which is more than the last place of a float (bytes) or
/// double (32 bits) quotient.
template <typename T>
void divide(void* dst, size_t count, int divisor) {
  using Real = std::conditional_t<sizeof(T) == 1, float, double>;
  using Whole =
      std::conditional_t<sizeof(T) == 1, int32_t, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>>;
  const DefaultFloatMode mode;
  const Real by = static_cast<Real>(divisor);
  auto* at = static_cast<Byte*>(dst);
  for (size_t i = 0; i < count; ++i, at += sizeof(T)) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    value = static_cast<T>(static_cast<Whole>(static_cast<Real>(value) / by));
    std::memcpy(at, &value, sizeof(T));
  }
}

#if HWY_TARGET == HWY_AVX3
template <typename T>
void divideByTable(void* dst, size_t count, int divisor) {
  constexpr size_t kWorthATable = 2048;
  if (count < kWorthATable) return divide<T>(dst, count, divisor);
  uint8_t table[256];
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i);
  divide<T>(table, 256, divisor);
  mapBytes(dst, dst, count, table);
}
#endif

template <typename T>
void fillType(KernelTable& table, DataType type) {
  install<IntegerKernel<std::make_unsigned_t<T>, kSum>>(table, type, kSum);
  install<IntegerKernel<std::make_unsigned_t<T>, kProd>>(table, type, kProd);
  install<IntegerKernel<T, kMax>>(table, type, kMax);
  install<IntegerKernel<T, kMin>>(table, type, kMin);
  table.scale[static_cast<int>(type)] = scale<std::make_unsigned_t<T>>;
  if constexpr (sizeof(T) <= 4) table.divide[static_cast<int>(type)] = divide<T>;
#if HWY_TARGET == HWY_AVX3
  if constexpr (sizeof(T) == 1) {
    if (hasByteLookup()) table.divide[static_cast<int>(type)] = divideByTable<T>;
  }
#endif
}

void fillIntegers(KernelTable& table) {
  fillType<int8_t>(table, DataType::Int8);
  fillType<uint8_t>(table, DataType::Uint8);
  fillType<int32_t>(table, DataType::Int32);
  fillType<uint32_t>(table, DataType::Uint32);
  fillType<int64_t>(table, DataType::Int64);
  fillType<uint64_t>(table, DataType::Uint64);
  table.copyStreaming = streamCopy;
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::kernels {
void fillIntegers(SimdLevel level, KernelTable& table) {
  TUTTI_SIMD_FILL(fillIntegers, level, table);
}
}  // namespace tutti::kernels
#endif
