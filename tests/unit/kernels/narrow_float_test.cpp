#include "kernels/host/narrow_float.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>

#include "reference.hpp"

namespace tutti::kernels {
namespace {

struct Codec {
  const char* name;
  const reference::Format* format;
  float (*widen)(uint32_t);
  uint32_t (*narrow)(float);
};

const Codec kCodecs[] = {
    {"float16", &reference::kHalf, [](uint32_t x) { return floatFromFloat16(static_cast<uint16_t>(x)); },
     [](float x) -> uint32_t { return float16FromFloat(x); }},
    {"bfloat16", &reference::kBfloat, [](uint32_t x) { return floatFromBfloat16(static_cast<uint16_t>(x)); },
     [](float x) -> uint32_t { return bfloat16FromFloat(x); }},
    {"e4m3", &reference::kE4m3, [](uint32_t x) { return floatFromFloat8e4m3(static_cast<uint8_t>(x)); },
     [](float x) -> uint32_t { return float8e4m3FromFloat(x); }},
    {"e5m2", &reference::kE5m2, [](uint32_t x) { return floatFromFloat8e5m2(static_cast<uint8_t>(x)); },
     [](float x) -> uint32_t { return float8e5m2FromFloat(x); }},
};

TEST(NarrowFloat, EveryCodeWidensExactly) {
  for (const Codec& codec : kCodecs) {
    for (uint32_t code = 0; code < 1u << codec.format->bits(); ++code) {
      const double expected = codec.format->decode(code);
      const float actual = codec.widen(code);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(actual)) << codec.name << " " << code;
      } else {
        ASSERT_EQ(expected, actual) << codec.name << " " << code;
        ASSERT_EQ(std::signbit(expected), std::signbit(actual)) << codec.name << " " << code;
      }
    }
  }
}

TEST(NarrowFloat, EveryNumberComesBack) {
  for (const Codec& codec : kCodecs) {
    for (uint32_t code = 0; code < 1u << codec.format->bits(); ++code) {
      const double value = codec.format->decode(code);
      const bool kept = std::isfinite(value) || (std::isinf(value) && !codec.format->saturates);
      ASSERT_EQ(codec.narrow(codec.widen(code)), kept ? code : codec.format->encode(value))
          << codec.name << " " << code;
    }
  }
}

/// Around every value, and around every midpoint between neighbours: exactly there, and one float to either
/// side.
TEST(NarrowFloat, RoundsToNearestEven) {
  for (const Codec& codec : kCodecs) {
    const auto& ladder = codec.format->ladder();
    for (size_t i = 0; i < ladder.size(); ++i) {
      const double next = i + 1 < ladder.size() ? ladder[i + 1] : 2 * ladder[i] - ladder[i - 1];
      for (const double point : {ladder[i], (ladder[i] + next) / 2}) {
        const float at = static_cast<float>(point);
        for (const float value : {at, std::nextafter(at, INFINITY), std::nextafter(at, -INFINITY)}) {
          ASSERT_EQ(codec.narrow(value), codec.format->encode(value)) << codec.name << " " << value;
          ASSERT_EQ(codec.narrow(-value), codec.format->encode(-value)) << codec.name << " " << -value;
        }
      }
    }
  }
}

TEST(NarrowFloat, RandomFloats) {
  std::mt19937 random(7);
  for (int i = 0; i < 300000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    for (const Codec& codec : kCodecs) {
      ASSERT_EQ(codec.narrow(value), codec.format->encode(value)) << codec.name << " " << value;
    }
  }
}

TEST(NarrowFloat, SpecialValues) {
  EXPECT_EQ(float16FromFloat(65519.0f), 0x7bff);
  EXPECT_EQ(float16FromFloat(65520.0f), 0x7c00);
  EXPECT_EQ(float16FromFloat(-INFINITY), 0xfc00);
  EXPECT_EQ(float16FromFloat(std::nanf("1")), kNanFloat16);
  EXPECT_EQ(bfloat16FromFloat(3.4e38f), 0x7f80);
  EXPECT_EQ(bfloat16FromFloat(-std::nanf("1")), kNanBfloat16);
  EXPECT_EQ(float8e4m3FromFloat(1000.0f), 0x7e);
  EXPECT_EQ(float8e4m3FromFloat(-INFINITY), 0xfe);
  EXPECT_EQ(float8e4m3FromFloat(std::nanf("")), kNanFloat8e4m3);
  EXPECT_EQ(float8e5m2FromFloat(INFINITY), 0x7b);
  EXPECT_EQ(float8e5m2FromFloat(-1e30f), 0xfb);
  EXPECT_EQ(float8e5m2FromFloat(std::nanf("")), kNanFloat8e5m2);
}

#ifdef __FLT16_MAX__
TEST(NarrowFloat, Float16AgreesWithTheCompiler) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const auto bits = static_cast<uint16_t>(code);
    _Float16 theirs;
    std::memcpy(&theirs, &bits, sizeof(theirs));
    const float widened = static_cast<float>(theirs);
    if (std::isnan(widened)) {
      ASSERT_TRUE(std::isnan(floatFromFloat16(bits)));
      continue;
    }
    ASSERT_EQ(widened, floatFromFloat16(bits));
    for (const float factor : {1.0f, 1.0004f, 0.9996f, 1.00024414f}) {
      const _Float16 rounded = static_cast<_Float16>(widened * factor);
      uint16_t expected;
      std::memcpy(&expected, &rounded, sizeof(expected));
      ASSERT_EQ(float16FromFloat(widened * factor), expected) << widened << " * " << factor;
    }
  }
}
#endif

}  // namespace
}  // namespace tutti::kernels
