#include "kernels/host/reduce.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/result.hpp"
#include "kernels/host/kernel_table.hpp"
#include "reference.hpp"

namespace tutti::kernels {
namespace {

using Bytes = std::vector<unsigned char>;

constexpr size_t kCounts[] = {0, 1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 100, 1000, 4097};
constexpr size_t kMaxCount = 4097;
constexpr size_t kOffsets[] = {0, 1, 3, 64 - 8};
constexpr unsigned char kGuard = 0xa5;

std::vector<SimdLevel> levels() {
  std::vector<SimdLevel> all;
  for (int level = 0; level <= static_cast<int>(bestSimdLevel()); ++level)
    all.push_back(static_cast<SimdLevel>(level));
  return all;
}

/// Half of the elements are random bits (NaN, infinity and denormals among them), half are tame.
Bytes makeInput(DataType type, size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count * sizeOf(type));
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  for (size_t i = 0; i < count; ++i) {
    if (random() % 2 != 0) continue;
    const double tame =
        std::ldexp(static_cast<double>(random() % 2001) - 1000, static_cast<int>(random() % 12) - 14);
    unsigned char* at = bytes.data() + i * sizeOf(type);
    if (type == DataType::Float32) {
      const float value = static_cast<float>(tame);
      std::memcpy(at, &value, sizeof(value));
    } else if (type == DataType::Float64) {
      std::memcpy(at, &tame, sizeof(tame));
    } else if (const auto* format = reference::formatOf(type)) {
      const uint32_t code = format->encode(tame);
      std::memcpy(at, &code, sizeOf(type));
    }
  }
  return bytes;
}

/// A copy of `bytes` at `offset` from an aligned address, with guard bytes around it.
class Placed {
 public:
  Placed(const unsigned char* bytes, size_t size, size_t offset) : size_(size), storage_(size + 256, kGuard) {
    const auto base = reinterpret_cast<uintptr_t>(storage_.data());
    start_ = (64 - base % 64) + 64 + offset;
    if (size != 0) std::memcpy(data(), bytes, size);
  }
  unsigned char* data() { return storage_.data() + start_; }
  bool guardsIntact() const {
    const auto isGuard = [](unsigned char byte) { return byte == kGuard; };
    return std::all_of(storage_.begin(), storage_.begin() + static_cast<long>(start_), isGuard) &&
           std::all_of(storage_.begin() + static_cast<long>(start_ + size_), storage_.end(), isGuard);
  }

 private:
  size_t size_;
  size_t start_ = 0;
  Bytes storage_;
};

/// The first difference between `actual` and `expected`, or "".
std::string difference(DataType type, const unsigned char* actual, const Bytes& expected, size_t count) {
  const size_t size = sizeOf(type);
  if (count == 0 || std::memcmp(actual, expected.data(), count * size) == 0) return "";
  for (size_t i = 0; i < count; ++i) {
    if (std::memcmp(actual + i * size, expected.data() + i * size, size) == 0) continue;
    uint64_t is = 0, should = 0;
    std::memcpy(&is, actual + i * size, size);
    std::memcpy(&should, expected.data() + i * size, size);
    return fmt::format("element {}: {:#x} instead of {:#x}", i, is, should);
  }
  return "";
}

class EveryTypeAndOp : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  DataType type() const { return static_cast<DataType>(std::get<0>(GetParam())); }
  ReduceOp op() const { return static_cast<ReduceOp>(std::get<1>(GetParam())); }
  int typeIndex() const { return std::get<0>(GetParam()); }
  int opIndex() const { return arithmeticOp(op()); }
};

TEST_P(EveryTypeAndOp, PairsAgreeWithTheReference) {
  const size_t size = sizeOf(type());
  const Bytes a = makeInput(type(), kMaxCount, 1);
  const Bytes b = makeInput(type(), kMaxCount, 2);
  const Bytes expected = reference::reduce(type(), op(), {a.data(), b.data()}, kMaxCount);
  const Bytes swapped = reference::reduce(type(), op(), {b.data(), a.data()}, kMaxCount);
  ASSERT_EQ(expected, swapped) << "the operator is commutative";
  for (const SimdLevel level : levels()) {
    const KernelTable& table = kernelTable(level);
    for (const ReduceFn fn :
         {table.pair[typeIndex()][opIndex()], table.pairStreaming[typeIndex()][opIndex()]}) {
      for (const size_t count : kCounts) {
        for (const size_t offset : kOffsets) {
          // The long arrays at one odd offset only: they are most of the time.
          if (count > 1000 && offset != 3) continue;
          for (int alias = 0; alias < 3; ++alias) {  // dst apart, dst == a, dst == b
            Placed dst(Bytes(count * size).data(), count * size, alias == 0 ? (offset * 5) % 64 : offset);
            Placed left(a.data(), count * size, offset);
            Placed right(b.data(), count * size, offset / 2);
            Placed& out = alias == 0 ? dst : alias == 1 ? left : right;
            fn(out.data(), left.data(), right.data(), count);
            ASSERT_EQ(difference(type(), out.data(), expected, count), "")
                << nameOf(level) << " count " << count << " offset " << offset << " alias " << alias;
            ASSERT_TRUE(dst.guardsIntact() && left.guardsIntact() && right.guardsIntact())
                << nameOf(level) << " count " << count << " offset " << offset;
          }
        }
      }
    }
  }
}

TEST_P(EveryTypeAndOp, ManySourcesAgreeWithTheReference) {
  const size_t size = sizeOf(type());
  std::vector<Bytes> inputs;
  for (unsigned s = 0; s < 9; ++s) inputs.push_back(makeInput(type(), kMaxCount, 10 + s));
  for (int nSrcs = 1; nSrcs <= 9; ++nSrcs) {
    std::vector<const unsigned char*> views;
    for (int s = 0; s < nSrcs; ++s) views.push_back(inputs[static_cast<size_t>(s)].data());
    const Bytes expected = nSrcs == 1 ? inputs[0] : reference::reduce(type(), op(), views, kMaxCount);
    for (const SimdLevel level : levels()) {
      const KernelTable& table = kernelTable(level);
      const ReduceManyFn plain = table.many[typeIndex()][opIndex()];
      const ReduceManyFn streaming = table.manyStreaming[typeIndex()][opIndex()];
      for (const size_t count : kCounts) {
        // dst apart (streamed, to where a vector starts and where none does, and not), or one of the sources
        for (int alias = -3; alias < nSrcs; alias += alias < 0 ? 1 : 4) {
          std::vector<Placed> placed;
          std::vector<const void*> srcs;
          for (int s = 0; s < nSrcs; ++s) {
            placed.emplace_back(inputs[static_cast<size_t>(s)].data(), count * size,
                                static_cast<size_t>(s * 7) % 64);
          }
          for (Placed& source : placed) srcs.push_back(source.data());
          Placed apart(Bytes(count * size).data(), count * size, alias == -1 ? 5 : alias == -2 ? 24 : 0);
          Placed& out = alias < 0 ? apart : placed[static_cast<size_t>(alias)];
          const bool streams = alias == -3 || alias == -2 || alias == 4;
          (streams ? streaming : plain)(out.data(), srcs.data(), nSrcs, count);
          streamFence();
          ASSERT_EQ(difference(type(), out.data(), expected, count), "")
              << nameOf(level) << " sources " << nSrcs << " count " << count << " alias " << alias;
          ASSERT_TRUE(out.guardsIntact()) << nameOf(level) << " sources " << nSrcs << " count " << count;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Host, EveryTypeAndOp,
                         testing::Combine(testing::Range(0, kDataTypeCount),
                                          testing::Range(0, kReduceOpCount)),
                         [](const auto& info) {
                           return std::string(nameOf(static_cast<DataType>(std::get<0>(info.param)))) + "_" +
                                  std::string(nameOf(static_cast<ReduceOp>(std::get<1>(info.param))));
                         });

/// All 65536 pairs of Float8 values, and every Float16 and Bfloat16 value against a few partners.
TEST(ReduceExhaustive, NarrowTypes) {
  for (const DataType type :
       {DataType::Float8e4m3, DataType::Float8e5m2, DataType::Float16, DataType::Bfloat16}) {
    const size_t size = sizeOf(type);
    const size_t count = 65536;
    // Zeros, the denormals at both ends, one, the largest numbers, infinities and NaNs of Float16 and of
    // Bfloat16.
    for (const uint32_t partner :
         {0u,      0x8000u, 1u,      0x8001u, 0x3ffu,  0x83ffu, 0x7fu,   0x400u,  0x3c00u, 0x3f80u,
          0x7bffu, 0x7f7fu, 0x7c00u, 0xfc00u, 0x7f80u, 0xff80u, 0x7c01u, 0xfe00u, 0x7f81u, 0xffffu}) {
      if (size == 1 && partner != 0) break;
      Bytes a(count * size), b(count * size);
      for (size_t i = 0; i < count; ++i) {
        const auto left = static_cast<uint16_t>(size == 1 ? i & 0xff : i);
        const auto right = static_cast<uint16_t>(size == 1 ? i >> 8 : partner);
        std::memcpy(a.data() + i * size, &left, size);
        std::memcpy(b.data() + i * size, &right, size);
      }
      for (int op = 0; op < kArithmeticOpCount; ++op) {
        const Bytes expected =
            reference::reduce(type, static_cast<ReduceOp>(op), {a.data(), b.data()}, count);
        for (const SimdLevel level : levels()) {
          Bytes out(count * size);
          kernelTable(level).pair[static_cast<int>(type)][op](out.data(), a.data(), b.data(), count);
          ASSERT_EQ(difference(type, out.data(), expected, count), "")
              << nameOf(type) << " " << nameOf(static_cast<ReduceOp>(op)) << " " << nameOf(level);
        }
      }
    }
  }
}

/// Without NaN or infinity among the inputs, the Float8 SIMD kernels stay on their fast path: all pairs of
/// finite values.
TEST(ReduceExhaustive, FiniteFloat8Pairs) {
  for (const DataType type : {DataType::Float8e4m3, DataType::Float8e5m2}) {
    const unsigned largest = type == DataType::Float8e4m3 ? 0x7e : 0x7b;
    Bytes a, b;
    for (unsigned x = 0; x < 256; ++x) {
      for (unsigned y = 0; y < 256; ++y) {
        if ((x & 0x7f) > largest || (y & 0x7f) > largest) continue;
        a.push_back(static_cast<unsigned char>(x));
        b.push_back(static_cast<unsigned char>(y));
      }
    }
    for (int op = 0; op < kArithmeticOpCount; ++op) {
      const Bytes expected =
          reference::reduce(type, static_cast<ReduceOp>(op), {a.data(), b.data()}, a.size());
      for (const SimdLevel level : levels()) {
        Bytes out(a.size());
        kernelTable(level).pair[static_cast<int>(type)][op](out.data(), a.data(), b.data(), a.size());
        ASSERT_EQ(difference(type, out.data(), expected, a.size()), "")
            << nameOf(type) << " " << nameOf(static_cast<ReduceOp>(op)) << " " << nameOf(level);
      }
    }
  }
}

/// Every pair of what is special in Float32 and Float64, among them signalling and negative NaNs.
template <typename Bits>
void checkSpecialPairs(DataType type, Bits infinity, Bits one, Bits largest) {
  const Bits quiet = infinity | ((infinity & (0 - infinity)) >> 1);
  std::vector<Bits> values;
  for (const Bits magnitude : {Bits{0}, Bits{1}, infinity & (0 - infinity), one, largest, infinity,
                               static_cast<Bits>(infinity + 1), quiet, static_cast<Bits>(quiet + 77)}) {
    values.push_back(magnitude);
    values.push_back(magnitude | (Bits{1} << (sizeof(Bits) * 8 - 1)));
  }
  std::vector<Bits> a, b;
  for (const Bits x : values) {
    for (const Bits y : values) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  const auto* left = reinterpret_cast<const unsigned char*>(a.data());
  const auto* right = reinterpret_cast<const unsigned char*>(b.data());
  for (int op = 0; op < kArithmeticOpCount; ++op) {
    const Bytes expected = reference::reduce(type, static_cast<ReduceOp>(op), {left, right}, a.size());
    for (const SimdLevel level : levels()) {
      Bytes out(a.size() * sizeof(Bits));
      kernelTable(level).pair[static_cast<int>(type)][op](out.data(), left, right, a.size());
      ASSERT_EQ(difference(type, out.data(), expected, a.size()), "")
          << nameOf(type) << " " << nameOf(static_cast<ReduceOp>(op)) << " " << nameOf(level);
    }
  }
}

TEST(ReduceExhaustive, SpecialFloats) {
  checkSpecialPairs<uint32_t>(DataType::Float32, 0x7f800000, 0x3f800000, 0x7f7fffff);
  checkSpecialPairs<uint64_t>(DataType::Float64, 0x7ff0000000000000, 0x3ff0000000000000, 0x7fefffffffffffff);
}

TEST(ReduceExhaustive, FiniteFloat8OfThree) {
  std::mt19937 random(3);
  for (const DataType type : {DataType::Float8e4m3, DataType::Float8e5m2}) {
    const uint8_t largest = type == DataType::Float8e4m3 ? 0x7e : 0x7b;
    const size_t count = 200000;
    std::vector<Bytes> inputs(3, Bytes(count));
    std::vector<const unsigned char*> views;
    std::vector<const void*> srcs;
    for (Bytes& input : inputs) {
      for (auto& byte : input)
        byte = static_cast<unsigned char>((random() % (largest + 1)) | (random() & 0x80));
      views.push_back(input.data());
      srcs.push_back(input.data());
    }
    for (const ReduceOp op : {ReduceOp::Sum, ReduceOp::Prod}) {
      const Bytes expected = reference::reduce(type, op, views, count);
      for (const SimdLevel level : levels()) {
        Bytes out(count);
        kernelTable(level).many[static_cast<int>(type)][static_cast<int>(op)](out.data(), srcs.data(), 3,
                                                                              count);
        ASSERT_EQ(difference(type, out.data(), expected, count), "") << nameOf(type) << " " << nameOf(level);
      }
    }
  }
}

TEST(Reduce, NanAndSignedZeros) {
  for (const SimdLevel level : levels()) {
    const KernelTable& table = kernelTable(level);
    const float nan = std::bit_cast<float>(0xffc12345u);
    const float a[8] = {nan, 1, -0.0f, 0.0f, INFINITY, -INFINITY, nan, 3};
    const float b[8] = {2, nan, 0.0f, -0.0f, -INFINITY, INFINITY, -nan, 4};
    uint32_t out[8];
    const int type = static_cast<int>(DataType::Float32);
    const uint32_t canonical = 0x7fc00000;
    table.pair[type][static_cast<int>(ReduceOp::Sum)](out, a, b, 8);
    EXPECT_EQ(out[0], canonical) << nameOf(level);
    EXPECT_EQ(out[1], canonical) << nameOf(level);
    EXPECT_EQ(out[4], canonical) << nameOf(level);
    EXPECT_EQ(out[6], canonical) << nameOf(level);
    table.pair[type][static_cast<int>(ReduceOp::Max)](out, a, b, 8);
    EXPECT_EQ(out[0], std::bit_cast<uint32_t>(2.0f)) << nameOf(level);
    EXPECT_EQ(out[1], std::bit_cast<uint32_t>(1.0f)) << nameOf(level);
    EXPECT_EQ(out[2], 0u) << nameOf(level);
    EXPECT_EQ(out[3], 0u) << nameOf(level);
    EXPECT_EQ(out[6], canonical) << nameOf(level);
    table.pair[type][static_cast<int>(ReduceOp::Min)](out, a, b, 8);
    EXPECT_EQ(out[2], 0x80000000u) << nameOf(level);
    EXPECT_EQ(out[3], 0x80000000u) << nameOf(level);
    EXPECT_EQ(out[5], std::bit_cast<uint32_t>(-INFINITY)) << nameOf(level);
  }
}

TEST(Reduce, SaturatesFloat8OnlyThere) {
  const uint8_t big = 0x7e;  // 448
  uint8_t out = 0;
  reduce2(Reduction::of(DataType::Float8e4m3, ReduceOp::Sum), &out, &big, &big, 1);
  EXPECT_EQ(out, 0x7e);
  const uint16_t half = 0x7bff;
  uint16_t halfOut = 0;
  reduce2(Reduction::of(DataType::Float16, ReduceOp::Sum), &halfOut, &half, &half, 1);
  EXPECT_EQ(halfOut, 0x7c00);
}

TEST(Reduce, AvgOfIntegersTruncates) {
  const int8_t bytes[4] = {-7, 7, -128, 127};
  for (const SimdLevel level : levels()) {
    const KernelTable& table = kernelTable(level);
    int8_t out[4];
    std::memcpy(out, bytes, sizeof(out));
    table.divide[static_cast<int>(DataType::Int8)](out, 4, 2);
    EXPECT_EQ(out[0], -3);
    EXPECT_EQ(out[1], 3);
    EXPECT_EQ(out[2], -64);
    EXPECT_EQ(out[3], 63);
    std::memcpy(out, bytes, sizeof(out));
    table.divide[static_cast<int>(DataType::Int8)](out, 4, 300);  // more ranks than the type can count
    for (const int8_t value : out) EXPECT_EQ(value, 0);
  }
}

template <typename T>
void checkDivide(DataType type) {
  const Bytes input = makeInput(type, 1003, 5);
  for (const int divisor : {1, 2, 3, 7, 8, 255, 256, 257, 1000, 65537, 2147483647}) {
    Bytes expected(input.size());
    for (size_t i = 0; i < 1003; ++i) {
      T value;
      std::memcpy(&value, input.data() + i * sizeof(T), sizeof(T));
      if constexpr (std::is_integral_v<T>) {
        using Big = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
        value = static_cast<T>(static_cast<Big>(value) / static_cast<Big>(divisor));
      } else {
        value /= static_cast<T>(divisor);
        if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
      }
      std::memcpy(expected.data() + i * sizeof(T), &value, sizeof(T));
    }
    for (const SimdLevel level : levels()) {
      Placed data(input.data(), input.size(), 1);
      kernelTable(level).divide[static_cast<int>(type)](data.data(), 1003, divisor);
      ASSERT_EQ(difference(type, data.data(), expected, 1003), "")
          << nameOf(type) << nameOf(level) << " / " << divisor;
      ASSERT_TRUE(data.guardsIntact());
    }
  }
}

TEST(Reduce, FinishDivides) {
  checkDivide<int8_t>(DataType::Int8);
  checkDivide<uint8_t>(DataType::Uint8);
  checkDivide<int32_t>(DataType::Int32);
  checkDivide<uint32_t>(DataType::Uint32);
  checkDivide<int64_t>(DataType::Int64);
  checkDivide<uint64_t>(DataType::Uint64);
  checkDivide<float>(DataType::Float32);
  checkDivide<double>(DataType::Float64);
}

/// Long arrays of bytes are scaled and divided by a table where the processor has the instructions.
TEST(Reduce, StepsOnLongArraysAgreeWithThoseOnShortOnes) {
  const size_t count = 40000;
  for (const DataType type : {DataType::Int8, DataType::Uint8, DataType::Float8e4m3, DataType::Float8e5m2}) {
    const int t = static_cast<int>(type);
    const Bytes input = makeInput(type, count, 31);
    for (const double real : {1.0 / 3, -7.5, 1e-3, 1e9, static_cast<double>(INFINITY), std::nan("")}) {
      const Factor factor{real, 7};
      Bytes expected(count);
      kernelTable(SimdLevel::Scalar).scale[t](expected.data(), input.data(), count, factor);
      for (const SimdLevel level : levels()) {
        Bytes out(count);
        kernelTable(level).scale[t](out.data(), input.data(), count, factor);
        ASSERT_EQ(difference(type, out.data(), expected, count), "")
            << nameOf(type) << " " << nameOf(level) << " * " << real;
      }
    }
    for (const int divisor : {1, 3, 128, 255, 1000}) {
      Bytes expected = input;
      kernelTable(SimdLevel::Scalar).divide[t](expected.data(), count, divisor);
      for (const SimdLevel level : levels()) {
        Bytes out = input;
        kernelTable(level).divide[t](out.data(), count, divisor);
        ASSERT_EQ(difference(type, out.data(), expected, count), "")
            << nameOf(type) << " " << nameOf(level) << " / " << divisor;
      }
    }
  }
}

/// Scaling and dividing is the same at every level, for every type, and right for the narrow ones.
TEST(Reduce, StepsAgreeAcrossLevels) {
  for (int t = 0; t < kDataTypeCount; ++t) {
    const auto type = static_cast<DataType>(t);
    const size_t count = 4097;
    const Bytes input = makeInput(type, count, 9);
    for (const double real : {1.0 / 3, 2.0, -0.75, 1e-3}) {
      const Factor factor{real, 0x0102030405060708u + static_cast<uint64_t>(real * 1000)};
      Bytes expected(input.size());
      kernelTable(SimdLevel::Scalar).scale[t](expected.data(), input.data(), count, factor);
      if (const auto* format = reference::formatOf(type)) {
        for (size_t i = 0; i < count; ++i) {
          uint32_t in = 0, out = 0;
          std::memcpy(&in, input.data() + i * sizeOf(type), sizeOf(type));
          std::memcpy(&out, expected.data() + i * sizeOf(type), sizeOf(type));
          const float product = static_cast<float>(format->decode(in)) * static_cast<float>(real);
          ASSERT_EQ(out, format->encode(product)) << nameOf(type) << " " << in << " * " << real;
        }
      }
      for (const SimdLevel level : levels()) {
        for (const size_t n : kCounts) {
          Placed data(input.data(), n * sizeOf(type), 3);
          kernelTable(level).scale[t](data.data(), data.data(), n, factor);  // in place
          ASSERT_EQ(difference(type, data.data(), expected, n), "")
              << nameOf(type) << " " << nameOf(level) << " " << n;
          ASSERT_TRUE(data.guardsIntact());
        }
      }
    }
    if (kernelTable(SimdLevel::Scalar).divide[t] == nullptr) continue;
    Bytes expected = input;
    kernelTable(SimdLevel::Scalar).divide[t](expected.data(), count, 3);
    for (const SimdLevel level : levels()) {
      Bytes out = input;
      kernelTable(level).divide[t](out.data(), count, 3);
      ASSERT_EQ(difference(type, out.data(), expected, count), "") << nameOf(type) << " " << nameOf(level);
    }
  }
}

TEST(Reduce, AvgAndPreMulSumThroughTheInterface) {
  for (int t = 0; t < kDataTypeCount; ++t) {
    const auto type = static_cast<DataType>(t);
    const Reduction avg = Reduction::of(type, ReduceOp::Avg, 4);
    EXPECT_NE(needsPreScale(avg), needsFinish(avg)) << nameOf(type);
    EXPECT_FALSE(needsPreScale(Reduction::of(type, ReduceOp::Avg, 1)) ||
                 needsFinish(Reduction::of(type, ReduceOp::Avg, 1)));
    EXPECT_FALSE(needsPreScale(Reduction::of(type, ReduceOp::Sum, 4)) ||
                 needsFinish(Reduction::of(type, ReduceOp::Sum, 4)));
  }
  const float in[3] = {1, 2, -6};
  float out[3];
  const float half = 0.5f;
  preScale(Reduction::preMulSum(DataType::Float32, &half), out, in, 3);
  EXPECT_EQ(out[2], -3);
  const int64_t three = 3;
  const int64_t big[2] = {int64_t{1} << 62, -5};
  int64_t product[2];
  preScale(Reduction::preMulSum(DataType::Int64, &three), product, big, 2);
  EXPECT_EQ(product[0], static_cast<int64_t>(uint64_t{3} << 62));
  EXPECT_EQ(product[1], -15);
  finish(Reduction::of(DataType::Float32, ReduceOp::Avg, 2), out, 3);
  EXPECT_EQ(out[2], -1.5f);
  const uint16_t four = 0x4400;
  uint16_t scaled = 0;
  preScale(Reduction::of(DataType::Float16, ReduceOp::Avg, 4), &scaled, &four, 1);
  EXPECT_EQ(scaled, 0x3c00);
}

#if defined(__x86_64__)
TEST(Reduce, TheThreadsFloatModeHasNoInfluence) {
  const unsigned before = _mm_getcsr();
  for (int t = 0; t < kDataTypeCount; ++t) {
    const auto type = static_cast<DataType>(t);
    const Bytes a = makeInput(type, 500, 21), b = makeInput(type, 500, 22), c = makeInput(type, 500, 23);
    const void* srcs[3] = {a.data(), b.data(), c.data()};
    for (int op = 0; op < kArithmeticOpCount; ++op) {
      for (const SimdLevel level : levels()) {
        const KernelTable& table = kernelTable(level);
        Bytes normal(a.size()), flushed(a.size()), normalMany(a.size()), flushedMany(a.size());
        table.pair[t][op](normal.data(), a.data(), b.data(), 500);
        table.many[t][op](normalMany.data(), srcs, 3, 500);
        const unsigned odd = before | 0x8040 | 0x2000;  // flush both ways, round down
        _mm_setcsr(odd);
        table.pair[t][op](flushed.data(), a.data(), b.data(), 500);
        table.many[t][op](flushedMany.data(), srcs, 3, 500);
        const unsigned after = _mm_getcsr();
        _mm_setcsr(before);
        EXPECT_EQ(after & ~0x3fu, odd & ~0x3fu) << "the mode is the caller's again";
        EXPECT_EQ(normal, flushed) << nameOf(type) << " " << op << " " << nameOf(level);
        EXPECT_EQ(normalMany, flushedMany) << nameOf(type) << " " << op << " " << nameOf(level);
      }
    }
  }
}
#endif

}  // namespace
}  // namespace tutti::kernels
