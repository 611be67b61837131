#include "common/pattern.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "common/numbers.hpp"
#include "core/result.hpp"

namespace tutti::perf {
namespace {

TEST(Numbers, KnownBits) {
  EXPECT_EQ(encodeFloat(DataType::Float16, 1.0), 0x3c00u);
  EXPECT_EQ(encodeFloat(DataType::Float16, -2.5), 0xc100u);
  EXPECT_EQ(encodeFloat(DataType::Float16, 65504), 0x7bffu);
  EXPECT_EQ(encodeFloat(DataType::Bfloat16, 1.0), 0x3f80u);
  EXPECT_EQ(encodeFloat(DataType::Float8e4m3, 1.0), 0x38u);
  EXPECT_EQ(encodeFloat(DataType::Float8e4m3, 448), 0x7eu);
  EXPECT_EQ(encodeFloat(DataType::Float8e4m3, std::ldexp(1, -9)), 0x01u);
  EXPECT_EQ(encodeFloat(DataType::Float8e5m2, 1.0), 0x3cu);
  EXPECT_EQ(encodeFloat(DataType::Float8e5m2, 57344), 0x7bu);
  EXPECT_EQ(encodeFloat(DataType::Float8e5m2, 1.125), 0x3cu);  // tie, to even
  EXPECT_EQ(encodeFloat(DataType::Float8e5m2, 1.9), 0x40u);    // carries into the exponent
  EXPECT_TRUE(std::isnan(decodeFloat(DataType::Float8e4m3, 0x7f)));
  EXPECT_TRUE(std::isinf(decodeFloat(DataType::Float8e5m2, 0x7c)));
}

TEST(Numbers, FloatsAgreeWithTheCompiler) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    auto bits32 = static_cast<uint32_t>(random());
    float f;
    std::memcpy(&f, &bits32, 4);
    if (std::isfinite(f)) {
      EXPECT_EQ(decodeFloat(DataType::Float32, bits32), static_cast<double>(f));
      EXPECT_EQ(encodeFloat(DataType::Float32, f), bits32);
    }
    uint64_t bits64 = random();
    double d;
    std::memcpy(&d, &bits64, 8);
    if (std::isfinite(d)) {
      EXPECT_EQ(decodeFloat(DataType::Float64, bits64), d);
      EXPECT_EQ(encodeFloat(DataType::Float64, d), bits64);
    }
  }
}

TEST(Numbers, EveryShortFloatRoundTrips) {
  for (DataType type : {DataType::Float16, DataType::Bfloat16, DataType::Float8e4m3, DataType::Float8e5m2}) {
    for (uint64_t bits = 0; bits < 1ull << (8 * sizeOf(type)); ++bits) {
      double value = decodeFloat(type, bits);
      if (std::isfinite(value)) {
        ASSERT_EQ(encodeFloat(type, value), bits) << nameOf(type);
      }
    }
  }
}

/// One step of a reduction as a library does it: in the type, rounded.
uint64_t combine(DataType type, ReduceOp op, uint64_t a, uint64_t b) {
  uint64_t mask = sizeOf(type) == 8 ? ~0ull : (1ull << (8 * sizeOf(type))) - 1;
  if (isFloat(type)) {
    double x = decodeFloat(type, a), y = decodeFloat(type, b);
    double r = op == ReduceOp::Prod  ? x * y
               : op == ReduceOp::Max ? std::max(x, y)
               : op == ReduceOp::Min ? std::min(x, y)
                                     : x + y;
    return encodeFloat(type, r);
  }
  uint64_t flip = isSigned(type) ? (mask >> 1) + 1 : 0;
  if (op == ReduceOp::Prod) return (a * b) & mask;
  if (op == ReduceOp::Max) return (a ^ flip) > (b ^ flip) ? a : b;
  if (op == ReduceOp::Min) return (a ^ flip) < (b ^ flip) ? a : b;
  return (a + b) & mask;
}

uint64_t average(DataType type, uint64_t sum, int ranks) {
  if (isFloat(type)) return encodeFloat(type, decodeFloat(type, sum) / ranks);
  int shift = 64 - 8 * static_cast<int>(sizeOf(type));
  if (!isSigned(type)) return sum / static_cast<uint64_t>(ranks);
  int64_t wide = static_cast<int64_t>(sum << shift) >> shift;
  uint64_t result = static_cast<uint64_t>(wide / ranks);
  return result << shift >> shift;
}

class Reductions : public ::testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(Reductions, ResultsDoNotDependOnTheOrder) {
  auto [t, o, ranks] = GetParam();
  Pattern p{static_cast<DataType>(t), static_cast<ReduceOp>(o), ranks, 17};
  std::mt19937 random(static_cast<unsigned>(ranks));
  std::vector<int> order(ranks);
  std::iota(order.begin(), order.end(), 0);
  bool anything = false;
  for (size_t index = 0; index < 300; ++index) {
    uint64_t expected = elementBits(p, Source::Reduced, 0, index);
    anything |= asNumber(p.type, expected) != 0;
    std::shuffle(order.begin(), order.end(), random);
    for (bool scaledFirst : {false, true}) {  // avg: divide the sum, or scale each input by a rounded 1/ranks
      if (scaledFirst && !(p.op == ReduceOp::Avg && isFloat(p.type))) continue;
      std::vector<uint64_t> values;
      for (int rank : order) {
        uint64_t bits = elementBits(p, Source::Input, rank, index);
        if (p.op == ReduceOp::PreMulSum) {
          uint64_t scalar = preMulScalar(p, rank);
          bits = isFloat(p.type)
                     ? encodeFloat(p.type, decodeFloat(p.type, bits) * decodeFloat(p.type, scalar))
                     : combine(p.type, ReduceOp::Prod, bits, scalar);
        }
        if (scaledFirst) {
          double factor = decodeFloat(p.type, encodeFloat(p.type, 1.0 / ranks));
          bits = encodeFloat(p.type, decodeFloat(p.type, bits) * factor);
        }
        values.push_back(bits);
      }
      // Pair neighbours until one is left: a tree of random shape.
      while (values.size() > 1) {
        size_t at = random() % (values.size() - 1);
        values[at] = combine(p.type, p.op, values[at], values[at + 1]);
        values.erase(values.begin() + static_cast<long>(at) + 1);
      }
      uint64_t got = values[0];
      if (p.op == ReduceOp::Avg && !scaledFirst) got = average(p.type, got, ranks);
      double slack = tolerance(p, index);
      if (slack == 0) {
        ASSERT_EQ(asNumber(p.type, got), asNumber(p.type, expected))
            << nameOf(p.type) << " " << nameOf(p.op) << " " << index;
      } else {
        ASSERT_NEAR(asNumber(p.type, got), asNumber(p.type, expected), slack)
            << nameOf(p.type) << " " << index;
      }
    }
  }
  // Only averages of small integers over very many ranks have nothing left to show.
  bool mayVanish = p.op == ReduceOp::Avg && !isFloat(p.type) && ranks > 100;
  EXPECT_TRUE(anything || mayVanish);
}

std::string nameOfCase(const ::testing::TestParamInfo<std::tuple<int, int, int>>& info) {
  auto [t, o, ranks] = info.param;
  return fmt::format("{}_{}_{}", nameOf(static_cast<DataType>(t)), nameOf(static_cast<ReduceOp>(o)), ranks);
}
INSTANTIATE_TEST_SUITE_P(All, Reductions,
                         ::testing::Combine(::testing::Range(0, kDataTypeCount),
                                            ::testing::Range(0, kReduceOpCount),
                                            ::testing::Values(1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 64, 130, 300)),
                         nameOfCase);

TEST(Tolerance, OnlyUnevenAveragesOfFloatsHaveOne) {
  for (int t = 0; t < kDataTypeCount; ++t) {
    for (int o = 0; o < kReduceOpCount; ++o) {
      for (int ranks : {1, 2, 3, 4, 8}) {
        Pattern p{static_cast<DataType>(t), static_cast<ReduceOp>(o), ranks, 3};
        bool rounds = p.op == ReduceOp::Avg && isFloat(p.type) && ranks == 3;
        bool found = false;
        for (size_t i = 0; i < 50; ++i) found |= tolerance(p, i) > 0;
        EXPECT_EQ(found, rounds) << nameOf(p.type) << " " << nameOf(p.op) << " " << ranks;
      }
    }
  }
}

TEST(Stretch, ComparesWhatItWrote) {
  for (size_t count : {0u, 1u, 100u, 8191u, 8192u, 50000u}) {
    Stretch run({DataType::Int32, ReduceOp::Sum, 2, 5}, Source::Raw, 1, 12345, count);
    std::vector<uint32_t> data(count + 1, 7);
    run.write(data.data());
    EXPECT_EQ(data[count], 7u);
    EXPECT_EQ(run.compare(data.data()).wrong, 0u);
    if (count < 2) continue;
    data[count - 1] ^= 1u << 31;
    data[count / 2] ^= 1;
    Stretch::Difference difference = run.compare(data.data());
    EXPECT_EQ(difference.wrong, count == 1 ? 1u : 2u);
    EXPECT_EQ(difference.first, count / 2);
    EXPECT_EQ(difference.got, difference.expected ^ 1u);
  }
}

TEST(Stretch, SeesDataFromElsewhere) {
  Pattern p{DataType::Float32, ReduceOp::Sum, 4, 5};
  constexpr size_t kCount = 20000;
  Stretch here(p, Source::Raw, 1, 0, kCount);
  std::vector<uint32_t> data(kCount);
  for (size_t shift : {1u, 16u, 64u, 1024u, 4096u, 8192u, 65536u}) {
    Stretch(p, Source::Raw, 1, shift, kCount).write(data.data());
    EXPECT_GT(here.compare(data.data()).wrong, kCount / 2) << shift;
  }
  Stretch(p, Source::Raw, 2, 0, kCount).write(data.data());
  EXPECT_GT(here.compare(data.data()).wrong, kCount / 2) << "another rank's";
  Stretch({p.type, p.op, p.ranks, 6}, Source::Raw, 1, 0, kCount).write(data.data());
  EXPECT_GT(here.compare(data.data()).wrong, kCount / 2) << "an earlier call's";
}

TEST(Stretch, NoNumberIsNeverRight) {
  Pattern p{DataType::Float32, ReduceOp::Avg, 3, 5};
  Stretch run(p, Source::Reduced, 0, 0, 10);
  std::vector<float> data(10);
  run.write(data.data());
  EXPECT_EQ(run.compare(data.data()).wrong, 0u);
  data[3] = NAN;
  EXPECT_EQ(run.compare(data.data()).wrong, 1u);
}

}  // namespace
}  // namespace tutti::perf
