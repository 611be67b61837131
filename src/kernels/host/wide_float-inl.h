// Helpers on vectors of float and double: the canonical NaN, rounding away low bits. Compiled once per SIMD
// target.
#if defined(TUTTI_WIDE_FLOAT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TUTTI_WIDE_FLOAT_INL_H
#undef TUTTI_WIDE_FLOAT_INL_H
#else
#define TUTTI_WIDE_FLOAT_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/host/simd_loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;
using WordTag = hn::ScalableTag<uint32_t>;
using WordVec = hn::Vec<WordTag>;

/// Every NaN becomes the canonical one.
template <typename V>
HWY_INLINE V oneNan(V v) {
  using T = hn::TFromD<hn::DFromV<V>>;
  const hn::DFromV<V> d;
  const V nan = hn::Set(d, std::numeric_limits<T>::quiet_NaN());
#if HWY_TARGET == HWY_AVX3
  // One instruction: classify v; the table's digits for the two kinds of NaN (0 and 1) say "keep the first
  // operand", which is nan, the others (1) say "take v".
  constexpr int kTakeNumber = 0x11111100;
  if constexpr (sizeof(T) == 4) {
    return V{_mm512_fixupimm_ps(nan.raw, v.raw, _mm512_set1_epi32(kTakeNumber), 0)};
  } else {
    return V{_mm512_fixupimm_pd(nan.raw, v.raw, _mm512_set1_epi64(kTakeNumber), 0)};
  }
#else
  return hn::IfThenElse(hn::IsNaN(v), nan, v);
#endif
}

/// Adds what makes dropping the low kBits bits round to nearest, ties to even. REQUIRES no carry out of the
/// word.
template <int kBits>
HWY_INLINE WordVec addForRounding(WordVec v) {
  const WordTag d;
  const WordVec biased = hn::Add(v, hn::Set(d, (1u << (kBits - 1)) - 1));
#if HWY_TARGET == HWY_AVX3
  const __mmask16 odd = _mm512_test_epi32_mask(v.raw, _mm512_set1_epi32(1 << kBits));
  return WordVec{_mm512_mask_add_epi32(biased.raw, odd, biased.raw, _mm512_set1_epi32(1))};
#else
  return hn::Add(biased, hn::And(hn::ShiftRight<kBits>(v), hn::Set(d, 1u)));
#endif
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
