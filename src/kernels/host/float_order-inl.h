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

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return keyOf(hn::BitCast(D(), loadBytes(p))); }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) { return hn::BitCast(ByteTag(), bitsOf(wide)); }
  static HWY_INLINE void combine(Wide& wide, Wide other) {
    wide = op == kMax ? hn::Max(wide, other) : hn::Min(wide, other);
  }

  static HWY_INLINE Wide keyOf(Wide bits) {
    const Wide ordered = invertNegative(bits);
    return op == kMax ? hn::Add(ordered, turn()) : hn::Sub(ordered, turn());
  }
  static HWY_INLINE Wide bitsOf(Wide key) {
    const Wide bits = invertNegative(op == kMax ? hn::Sub(key, turn()) : hn::Add(key, turn()));
    // Both signs' NaNs lie side by side at the losing end.
    constexpr T kLast = op == kMax ? static_cast<T>(std::numeric_limits<T>::min() + 2 * kTurn)
                                   : static_cast<T>(kMagnitude - 2 * kTurn);
    const auto isNan = op == kMax ? hn::Lt(key, hn::Set(D(), kLast)) : hn::Gt(key, hn::Set(D(), kLast));
    return hn::IfThenElse(isNan, hn::Set(D(), static_cast<T>(E::kNan)), bits);
  }

 private:
  static constexpr T kMagnitude = std::numeric_limits<T>::max();
  /// As many steps as there are NaNs of one sign.
  static constexpr T kTurn = static_cast<T>(kMagnitude - static_cast<T>(E::kInfinity));
  static HWY_INLINE Wide turn() { return hn::Set(D(), kTurn); }
  static HWY_INLINE Wide invertNegative(Wide bits) {
    const Wide magnitude = hn::Set(D(), kMagnitude);
#if HWY_TARGET == HWY_AVX3
    if constexpr (sizeof(T) == 1) {  // no shift of bytes: 0x7f - x under the mask of signs is the same
      const __mmask64 negative = _mm512_movepi8_mask(bits.raw);
      return Wide{_mm512_mask_sub_epi8(bits.raw, negative, magnitude.raw, bits.raw)};
    } else {
      return Wide{_mm512_ternarylogic_epi32(bits.raw, hn::BroadcastSignBit(bits).raw, magnitude.raw, 0x78)};
    }
#else
    return hn::Xor(bits, hn::And(hn::BroadcastSignBit(bits), magnitude));
#endif
  }
};

#if HWY_TARGET == HWY_AVX3
/// Max and Min of Float32 and Float64 by the processor's own minimum of that kind, unless NaN comes out: of a
/// number and a signalling NaN it makes NaN, and of two NaNs not the canonical one.
template <DataType type, int op>
struct RangeKernel : PlainKernel {
  using Order = OrderKernel<type, op>;
  using T = std::conditional_t<type == DataType::Float32, float, double>;
  using D = hn::ScalableTag<T>;
  using Wide = hn::Vec<D>;
  static constexpr bool kFloating = true;
  static constexpr int kUnroll = 4;

  static HWY_INLINE Wide load(const Byte* p, NoSpecial) { return hn::BitCast(D(), loadBytes(p)); }
  static HWY_INLINE ByteVec narrow(Wide wide, NoSpecial) { return hn::BitCast(ByteTag(), wide); }

  template <int N>
  static HWY_INLINE void combineAll(Wide (&wide)[N], const Wide (&others)[N], NoSpecial) {
    Wide results[N];
    for (int v = 0; v < N; ++v) results[v] = winner(wide[v], others[v]);
    bool nan = false;
    for (int v = 0; v < N; v += 2) nan |= anyNan(results[v], results[v + 1 < N ? v + 1 : v]);
    if (HWY_UNLIKELY(nan)) {
      for (int v = 0; v < N; ++v) results[v] = careful(wide[v], others[v]);
    }
    for (int v = 0; v < N; ++v) wide[v] = results[v];
  }

 private:
  static HWY_INLINE Wide winner(Wide a, Wide b) {
    constexpr int kHow =
        op == kMax ? 5 : 4;  // the larger or the smaller value, with its own sign; -0 below +0
    if constexpr (type == DataType::Float32) {
      return Wide{_mm512_range_ps(a.raw, b.raw, kHow)};
    } else {
      return Wide{_mm512_range_pd(a.raw, b.raw, kHow)};
    }
  }
  static HWY_INLINE bool anyNan(Wide a, Wide b) {
    if constexpr (type == DataType::Float32) {
      return _mm512_cmp_ps_mask(a.raw, b.raw, _CMP_UNORD_Q) != 0;
    } else {
      return _mm512_cmp_pd_mask(a.raw, b.raw, _CMP_UNORD_Q) != 0;
    }
  }
  static HWY_INLINE Wide careful(Wide a, Wide b) {
    const typename Order::D d;
    typename Order::Wide key = Order::keyOf(hn::BitCast(d, a));
    Order::combine(key, Order::keyOf(hn::BitCast(d, b)));
    return hn::BitCast(D(), Order::bitsOf(key));
  }
};
template <DataType type, int op>
using BestOrderKernel = std::conditional_t<type == DataType::Float32 || type == DataType::Float64,
                                           RangeKernel<type, op>, OrderKernel<type, op>>;
#else
template <DataType type, int op>
using BestOrderKernel = OrderKernel<type, op>;
#endif

template <DataType type>
void installOrder(KernelTable& table) {
  install<BestOrderKernel<type, kMax>>(table, type, kMax);
  install<BestOrderKernel<type, kMin>>(table, type, kMin);
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
