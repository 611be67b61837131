#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "kernels/host/kernel_table.hpp"
#include "kernels/host/reduce.hpp"

namespace tutti::kernels {
namespace {

using CopyFn = void (*)(void*, const void*, size_t);

void checkCopy(CopyFn fn, size_t bytes, size_t from, size_t to) {
  std::vector<unsigned char> source(bytes + 128);
  std::iota(source.begin(), source.end(), static_cast<unsigned char>(bytes));
  std::vector<unsigned char> dest(bytes + 128, 0xee);
  std::vector<unsigned char> expected = dest;
  std::copy_n(source.begin() + static_cast<long>(from), bytes, expected.begin() + static_cast<long>(to));
  fn(dest.data() + to, source.data() + from, bytes);
  ASSERT_EQ(dest, expected) << bytes << " bytes from +" << from << " to +" << to;
}

TEST(Copy, EverySmallSizeAndOffset) {
  for (size_t bytes = 0; bytes < 300; ++bytes) {
    for (const size_t offset : {0, 1, 7, 33}) {
      if (bytes < 64) checkCopy(copySmall, bytes, offset, (offset * 3) % 64);
      checkCopy([](void* dst, const void* src, size_t n) { copy(dst, src, n); }, bytes, offset,
                (offset * 3) % 64);
      checkCopy(copyStreaming, bytes, offset, (offset * 3) % 64);
    }
  }
}

TEST(Copy, StreamingAtEveryLevel) {
  for (int level = 0; level <= static_cast<int>(bestSimdLevel()); ++level) {
    const CopyFn fn = kernelTable(static_cast<SimdLevel>(level)).copyStreaming;
    for (const size_t bytes : {64, 127, 128, 255, 256, 257, 4096, 4097, 100001}) {
      for (const size_t offset : {0, 1, 31, 63}) checkCopy(fn, bytes, offset, 64 - offset);
    }
  }
}

/// What other threads see behind a flag is the data, when the fence stands before the flag.
TEST(Copy, StreamedDataIsThereWhenItsFlagIs) {
  constexpr size_t kBytes = 4096;
  constexpr int kRounds = 200;
  std::vector<unsigned char> source(kBytes), shared(kBytes);
  std::atomic<int> ready{0}, taken{0};
  std::thread reader([&] {
    for (int round = 1; round <= kRounds; ++round) {
      while (ready.load(std::memory_order_acquire) < round) std::this_thread::yield();
      const auto expected = static_cast<unsigned char>(round);
      EXPECT_EQ(shared.front(), expected);
      EXPECT_EQ(shared[kBytes / 2], expected);
      EXPECT_EQ(shared.back(), expected);
      taken.store(round, std::memory_order_release);
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    std::fill(source.begin(), source.end(), static_cast<unsigned char>(round));
    while (taken.load(std::memory_order_acquire) < round - 1) std::this_thread::yield();
    copyStreaming(shared.data(), source.data(), kBytes);
    streamFence();
    ready.store(round, std::memory_order_release);
  }
  reader.join();
}

TEST(Copy, OntoItself) {
  std::vector<unsigned char> data(1000);
  std::iota(data.begin(), data.end(), static_cast<unsigned char>(0));
  const std::vector<unsigned char> before = data;
  copy(data.data(), data.data(), data.size());
  copySmall(data.data(), data.data(), 63);
  copyStreaming(data.data(), data.data(), data.size());
  EXPECT_EQ(data, before);
}

TEST(SimdLevel, ActiveIsAvailable) {
  EXPECT_LE(static_cast<int>(activeSimdLevel()), static_cast<int>(bestSimdLevel()));
  EXPECT_EQ(nameOf(SimdLevel::Avx512), "avx512");
  EXPECT_EQ(nameOf(SimdLevel::Scalar), "scalar");
}

TEST(SimdLevel, EveryTableIsComplete) {
  for (int level = 0; level <= static_cast<int>(bestSimdLevel()); ++level) {
    const KernelTable& table = kernelTable(static_cast<SimdLevel>(level));
    for (int t = 0; t < kDataTypeCount; ++t) {
      for (int op = 0; op < kArithmeticOpCount; ++op) {
        EXPECT_NE(table.pair[t][op], nullptr);
        EXPECT_NE(table.pairStreaming[t][op], nullptr);
        EXPECT_NE(table.many[t][op], nullptr);
        EXPECT_NE(table.manyStreaming[t][op], nullptr);
      }
      EXPECT_NE(table.scale[t], nullptr);
      EXPECT_NE(table.divide[t], nullptr);
    }
    EXPECT_NE(table.copyStreaming, nullptr);
  }
}

}  // namespace
}  // namespace tutti::kernels
