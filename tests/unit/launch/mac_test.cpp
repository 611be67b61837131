#include "launch/mac.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace tutti::launch {
namespace {

// The vectors of the SipHash paper's appendix and its reference implementation: key 00..0f, message 00, 01,
// 02, ...
TEST(Mac, SipHashVectors) {
  Block128 key;
  std::iota(key.begin(), key.end(), uint8_t{0});
  std::string message(15, '\0');
  std::iota(message.begin(), message.end(), '\0');
  EXPECT_EQ(sipHash(key, ""), 0x726fdb47dd0e0e31ull);
  EXPECT_EQ(sipHash(key, message.substr(0, 8)), 0x93f5f5799a932462ull);
  EXPECT_EQ(sipHash(key, message), 0xa129ca6149be45e5ull);
}

TEST(Mac, DependsOnKeyAndMessage) {
  Block128 a = keyFrom("a"), b = keyFrom("b");
  EXPECT_FALSE(sameBlock(a, b));
  EXPECT_TRUE(sameBlock(macOf(a, "text"), macOf(a, "text")));
  EXPECT_FALSE(sameBlock(macOf(a, "text"), macOf(a, "texu")));
  EXPECT_FALSE(sameBlock(macOf(a, "text"), macOf(b, "text")));
  EXPECT_FALSE(sameBlock(randomBlock(), randomBlock()));
}

TEST(Mac, Hex) {
  Block128 block = randomBlock();
  auto back = blockFromHex(toHex(block));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, block);
  EXPECT_FALSE(blockFromHex("").ok());
  EXPECT_FALSE(blockFromHex(std::string(31, 'a')).ok());
  EXPECT_FALSE(blockFromHex(std::string(32, 'g')).ok());
}

}  // namespace
}  // namespace tutti::launch
