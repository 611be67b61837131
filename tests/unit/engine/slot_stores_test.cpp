#include "engine/host/slot_stores.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace tutti::engine {
namespace {

TEST(SlotStores, StartAndForce) {
  SlotStores stores(4, 1);
  EXPECT_FALSE(stores.streams(2, 1 << 20)) << "plain until told otherwise";
  stores.set(Stores::Auto);
  stores.start(2, true);
  EXPECT_TRUE(stores.streams(2, SlotStores::kLeastBytes));
  EXPECT_FALSE(stores.streams(2, SlotStores::kLeastBytes - 1));
  EXPECT_FALSE(stores.streams(3, 1 << 20));
  EXPECT_TRUE(stores.streams(-1, 1 << 20)) << "boards are written for the slowest of their readers";
  stores.set(Stores::Plain);
  stores.start(2, true);
  EXPECT_FALSE(stores.streams(2, 1 << 20)) << "what is forced stays";
  stores.set(Stores::Streaming);
  stores.start(2, false);
  EXPECT_TRUE(stores.streams(0, 1 << 20) && stores.streams(2, 1 << 20));
}

/// Whatever the votes say meanwhile, all bytes arrive, and none beside them.
TEST(SlotStores, CopiesAreWhole) {
  for (const Stores kind : {Stores::Plain, Stores::Streaming, Stores::Auto}) {
    SlotStores stores(2, 0);
    stores.set(kind);
    std::vector<unsigned char> from(50'000), to(50'100);
    std::iota(from.begin(), from.end(), 1);
    for (int i = 0; i < 1000; ++i) {
      const size_t bytes = static_cast<size_t>(i) * 50;
      std::fill(to.begin(), to.end(), 0xee);
      stores.copy(i % 3 == 0 ? -1 : 1, to.data() + i % 64, from.data(), bytes);
      ASSERT_TRUE(
          std::equal(from.begin(), from.begin() + static_cast<ptrdiff_t>(bytes), to.begin() + i % 64));
      ASSERT_EQ(to[i % 64 + bytes], 0xee);
    }
  }
}

}  // namespace
}  // namespace tutti::engine
