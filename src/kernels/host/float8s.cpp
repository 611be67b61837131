// Float8 e4m3 and e5m2.
//
// Sum works on scaled floats: a byte's exponent and fraction are moved to the bottom of a float's exponent
// and the top of its fraction, which is the value times 2^(bias - 127). Denormals of the byte become
// denormals of the float. So widening is a shift and a mask, sums are exact up to the float's 24 bits just as
// unscaled ones are, and narrowing drops the low bits with one rounding, denormals included. Prod needs the
// true scale: its inputs are multiplied by 2^(127 - bias), and its results back, after those in the denormal
// range were rounded to multiples of the smallest one. NaN and infinity do not survive the move. Vectors with
// such inputs are left to plain C++.
#include <limits>

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/host/float8s.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/host/float8_lookup-inl.h"
#include "kernels/host/float8_product-inl.h"
#include "kernels/host/float_order-inl.h"
#include "kernels/host/simd_loops-inl.h"
#include "kernels/host/wide_float-inl.h"

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace tutti::kernels::HWY_NAMESPACE {

using ShortTag = hn::ScalableTag<uint16_t>;
using ShortVec = hn::Vec<ShortTag>;

constexpr float powerOfTwo(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(127 + exponent) << 23);
}

struct E4m3Format {
  static constexpr DataType kType = DataType::Float8e4m3;
  static constexpr int kFraction = 3;
  static constexpr int kBias = 7;
  static constexpr uint8_t kLargest = 0x7e;
  static constexpr uint8_t kFirstSpecial = 0x7f;
};
struct E5m2Format {
  static constexpr DataType kType = DataType::Float8e5m2;
  static constexpr int kFraction = 2;
  static constexpr int kBias = 15;
  static constexpr uint8_t kLargest = 0x7b;
  static constexpr uint8_t kFirstSpecial = 0x7c;
};

/// v[j] holds the elements of byte j of every 32-bit word.
struct FourFloats {
  FloatVec v[4];
};

/// Bits of `yes` where `mask` is 1, of `no` elsewhere.
HWY_INLINE ShortVec select(uint16_t mask, ShortVec yes, ShortVec no) {
  const ShortVec m = hn::Set(ShortTag(), mask);
#if HWY_TARGET == HWY_AVX3
  return ShortVec{_mm512_ternarylogic_epi32(m.raw, yes.raw, no.raw, 0xca)};
#else
  return hn::Or(hn::And(m, yes), hn::AndNot(m, no));
#endif
}

/// The largest magnitude byte seen, and whether a float became NaN. Start with Float8Special{}: all zero.
struct Float8Special {
  ByteVec magnitudes;
  bool nan;
};

template <class Format>
struct Float8Codec {
  static constexpr int kExponentBits = 7 - Format::kFraction;
  static constexpr int kShift =
      8 - kExponentBits;  ///< from a byte's exponent to a float's, both left-aligned
  static constexpr int kDropped = 23 - Format::kFraction;
  static constexpr uint32_t kMask = 0x80000000u | (0x7fu << kDropped);

  static HWY_INLINE FourFloats widenScaled(const Byte* p, ByteVec& magnitudes) {
    const hn::ScalableTag<int16_t> d16;
    const ByteVec bytes = loadBytes(p);
    magnitudes = hn::Max(magnitudes, hn::And(bytes, hn::Set(ByteTag(), uint8_t{0x7f})));
    const auto pairs = hn::BitCast(d16, bytes);
    // The arithmetic shift leaves the sign in place; the mask clears its copies and what the neighbour byte
    // left below.
    const WordVec odd = hn::BitCast(WordTag(), hn::ShiftRight<kShift>(pairs));
    const WordVec even = hn::BitCast(WordTag(), hn::ShiftRight<kShift>(hn::ShiftLeft<8>(pairs)));
    return {{masked(hn::ShiftLeft<16>(even)), masked(hn::ShiftLeft<16>(odd)), masked(even), masked(odd)}};
  }

  static HWY_INLINE ByteVec narrowScaled(const FourFloats& wide) {
    WordVec t[4];
    for (int j = 0; j < 4; ++j) t[j] = addForRounding<kDropped>(hn::BitCast(WordTag(), saturate(wide.v[j])));
    // Sign, exponent and fraction now are bits 31 and (kDropped + 6 .. kDropped): upper halves are gathered
    // in pairs.
    const ShortVec even = upperHalves(t[2], t[0]);
    const ShortVec odd = upperHalves(t[3], t[1]);
    const ShortVec low = select(0x007f, hn::ShiftRight<kDropped - 16>(even), hn::ShiftRight<8>(even));
    const ShortVec high = select(0x7f00, hn::ShiftLeft<24 - kDropped>(odd), odd);
    return hn::BitCast(ByteTag(), select(0xff00, high, low));
  }

  static HWY_INLINE void toTrueScale(FourFloats& wide) {
    const FloatVec up = hn::Set(FloatTag(), powerOfTwo(127 - Format::kBias));
    for (FloatVec& v : wide.v) v = hn::Mul(v, up);
  }

  static HWY_INLINE void fromTrueScale(FourFloats& wide) {
    constexpr int kSmallestNormal = 1 - Format::kBias;
    const FloatTag d;
    const FloatVec down = hn::Set(d, powerOfTwo(Format::kBias - 127));
    const FloatVec normal = hn::Set(d, powerOfTwo(kSmallestNormal));
    // A float of this size has the smallest denormal as its last place: adding it rounds.
    const FloatVec rounder = hn::Set(d, 1.5f * powerOfTwo(kSmallestNormal - Format::kFraction + 23));
    for (FloatVec& v : wide.v) {
      const FloatVec denormal = hn::CopySign(hn::Sub(hn::Add(v, rounder), rounder), v);
      v = hn::Mul(hn::IfThenElse(hn::Lt(hn::Abs(v), normal), denormal, v), down);
    }
  }

  static HWY_INLINE bool anyNan(const FourFloats& wide) {
    const auto low = hn::Or(hn::IsNaN(wide.v[0]), hn::IsNaN(wide.v[1]));
    const auto high = hn::Or(hn::IsNaN(wide.v[2]), hn::IsNaN(wide.v[3]));
    return !hn::AllFalse(FloatTag(), hn::Or(low, high));
  }

  static HWY_INLINE bool isSpecial(const Float8Special& special) {
#if HWY_TARGET == HWY_AVX3
    const auto first = _mm512_set1_epi8(static_cast<char>(Format::kFirstSpecial));
    return special.nan || _mm512_cmpge_epu8_mask(special.magnitudes.raw, first) != 0;
#else
    const hn::ScalableTag<int8_t> d;  // magnitudes are below 0x80
    const auto largest = hn::Set(d, static_cast<int8_t>(Format::kFirstSpecial - 1));
    return special.nan || !hn::AllFalse(d, hn::Gt(hn::BitCast(d, special.magnitudes), largest));
#endif
  }

 private:
  static HWY_INLINE FloatVec masked(WordVec v) {
    return hn::BitCast(FloatTag(), hn::And(v, hn::Set(WordTag(), kMask)));
  }
  static HWY_INLINE FloatVec saturate(FloatVec v) {
    const FloatTag d;
    const FloatVec largest = hn::BitCast(d, hn::Set(WordTag(), uint32_t{Format::kLargest} << kDropped));
#if HWY_TARGET == HWY_AVX3
    return FloatVec{_mm512_range_ps(v.raw, largest.raw, 2)};  // the smaller magnitude, with v's sign
#else
    return hn::Max(hn::Min(v, largest), hn::Neg(largest));
#endif
  }
  static HWY_INLINE ShortVec upperHalves(WordVec odd, WordVec even) {
    return hn::OddEven(hn::BitCast(ShortTag(), odd), hn::BitCast(ShortTag(), hn::ShiftRight<16>(even)));
  }
};

template <class Format, int op>
struct Float8Kernel : EachVector<Float8Kernel<Format, op>> {
  using Codec = Float8Codec<Format>;
  using T = uint8_t;
  using Wide = FourFloats;
  using Special = Float8Special;
  static constexpr DataType kType = Format::kType;
  static constexpr int kOp = op;
  static constexpr bool kFloating = true;
  static constexpr int kUnroll = 1;

  static HWY_INLINE Wide load(const Byte* p, Special& special) {
    Wide wide = Codec::widenScaled(p, special.magnitudes);
    if (op == kProd) Codec::toTrueScale(wide);
    return wide;
  }
  static HWY_INLINE void combine(Wide& wide, const Wide& other) {
    for (int j = 0; j < 4; ++j) {
      wide.v[j] = op == kSum ? hn::Add(wide.v[j], other.v[j]) : hn::Mul(wide.v[j], other.v[j]);
    }
  }
  static HWY_INLINE ByteVec narrow(Wide wide, Special& special) {
    if (op == kProd) {
      special.nan = Codec::anyNan(wide);  // infinity, by overflow of many large factors, times zero
      Codec::fromTrueScale(wide);
    }
    return Codec::narrowScaled(wide);
  }
  static HWY_INLINE bool isSpecial(const Special& special) { return Codec::isSpecial(special); }
};

template <class Format>
void scale(void* dst, const void* src, size_t count, Factor factor) {
  using Codec = Float8Codec<Format>;
  const float by = static_cast<float>(factor.real);
  mapVectors<uint8_t>(dst, src, count, [&](Byte* to, const Byte* from) HWY_ATTR {
    Float8Special special{};
    FourFloats wide = Codec::widenScaled(from, special.magnitudes);
    Codec::toTrueScale(wide);
    for (FloatVec& v : wide.v) v = hn::Mul(v, hn::Set(FloatTag(), by));
    special.nan = Codec::anyNan(wide);
    Codec::fromTrueScale(wide);
    const ByteVec result = Codec::narrowScaled(wide);
    if (HWY_UNLIKELY(Codec::isSpecial(special)))
      return scaleFloat8(Format::kType, to, from, kVecBytes, factor);
    hn::StoreU(result, ByteTag(), to);
  });
}

#if HWY_TARGET == HWY_AVX3
/// A Float8 has so few values that all of their products are a table.
template <class Format>
void scaleByTable(void* dst, const void* src, size_t count, Factor factor) {
  constexpr size_t kWorthATable = 16384;
  if (count < kWorthATable) return scale<Format>(dst, src, count, factor);
  uint8_t table[256];
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i);
  scaleFloat8(Format::kType, table, table, 256, factor);
  mapBytes(dst, src, count, table);
}
#endif

template <class Format>
void fillType(KernelTable& table) {
  using Sum = Float8Kernel<Format, kSum>;
  install<Sum>(table, Format::kType, kSum);
  using Prod = Float8Kernel<Format, kProd>;
  install<Prod>(table, Format::kType, kProd);
  installOrder<Format::kType>(table);
  table.scale[static_cast<int>(Format::kType)] = scale<Format>;
#if HWY_TARGET == HWY_AVX3
  if (hasByteLookup()) {
    table.scale[static_cast<int>(Format::kType)] = scaleByTable<Format>;
    install<Sum, Float8SumKernel<Format>>(table, Format::kType, kSum);
    install<Prod, Float8ProductKernel<Format>>(table, Format::kType, kProd);
    install<Float8OrderKernel<Format, kMax>>(table, Format::kType, kMax);
    install<Float8OrderKernel<Format, kMin>>(table, Format::kType, kMin);
  }
#endif
}

void fillFloat8s(KernelTable& table) {
  fillType<E4m3Format>(table);
  fillType<E5m2Format>(table);
}

}  // namespace tutti::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace tutti::kernels {
void fillFloat8s(SimdLevel level, KernelTable& table) {
  TUTTI_SIMD_FILL(fillFloat8s, level, table);
}
}  // namespace tutti::kernels
#endif
