// Max and Min of all floating types, on their bits. Compiled once per SIMD target.
//
// Bits become signed integers in the order of the numbers (negative ones have their magnitude bits inverted),
// turned in the ring of integers so far that every NaN, of either sign, lies at the losing end. Then the
// operator is the integer one.
#if defined(TUTTI_FLOAT_ORDER_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_FLOAT_ORDER_INL_H
#undef TUTTI_FLOAT_ORDER_INL_H
#else
#define TUTTI_FLOAT_ORDER_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/host/scalar_ops.hpp"
#include "kernels/host/simd_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

template <DataType type, int op>
struct OrderKernel : PlainKernel, EachVector<OrderKernel<type, op>> {
  using E = scalar::Element<type>;
  using T = std::make_signed_t<typename E::Storage>;
  using D = hn::ScalableTag<T>;
  using Wide = hn::Vec<D>;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) {
    const Wide ordered = invertNegative(hn::BitCast(D(), loadBytes(p)));
    return op == kMax ? hn::Add(ordered, turn()) : hn::Sub(ordered, turn());
  }
  static HWY_INLINE void combine(Wide& wide, Wide other) {
    wide = op == kMax ? hn::Max(wide, other) : hn::Min(wide, other);
  }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) {
    const Wide bits = invertNegative(op == kMax ? hn::Sub(wide, turn()) : hn::Add(wide, turn()));
    const auto isNan = hn::Gt(hn::And(bits, magnitude()), hn::Set(D(), static_cast<T>(E::kInfinity)));
    return hn::BitCast(ByteTag(), hn::IfThenElse(isNan, hn::Set(D(), static_cast<T>(E::kNan)), bits));
  }

 private:
  static constexpr T kMagnitude = std::numeric_limits<T>::max();
  static HWY_INLINE Wide magnitude() { return hn::Set(D(), kMagnitude); }
  /// As many steps as there are NaNs of one sign.
  static HWY_INLINE Wide turn() {
    return hn::Set(D(), static_cast<T>(kMagnitude - static_cast<T>(E::kInfinity)));
  }
  static HWY_INLINE Wide invertNegative(Wide bits) {
#if HWY_TARGET == HWY_AVX3
    if constexpr (sizeof(T) == 1) {  // no shift of bytes: 0x7f - x under the mask of signs is the same
      const __mmask64 negative = _mm512_movepi8_mask(bits.raw);
      return Wide{_mm512_mask_sub_epi8(bits.raw, negative, magnitude().raw, bits.raw)};
    }
#endif
    return hn::Xor(bits, hn::And(hn::BroadcastSignBit(bits), magnitude()));
  }
};

template <DataType type>
void installOrder(KernelTable& table) {
  install<OrderKernel<type, kMax>>(table, type, kMax);
  install<OrderKernel<type, kMin>>(table, type, kMin);
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
