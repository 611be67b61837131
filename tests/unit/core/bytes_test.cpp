#include "core/bytes.hpp"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(ParseInteger, TakesDecimalHexAndSigns) {
  EXPECT_EQ(parseInteger("0"), 0);
  EXPECT_EQ(parseInteger(" 42\t"), 42);
  EXPECT_EQ(parseInteger("-2"), -2);
  EXPECT_EQ(parseInteger("+7"), 7);
  EXPECT_EQ(parseInteger("0x10"), 16);
  EXPECT_EQ(parseInteger("-0X1f"), -31);
  EXPECT_EQ(parseInteger("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parseInteger("-9223372036854775808"), INT64_MIN);
}

TEST(ParseInteger, RefusesAnythingElse) {
  for (const char* text : {"", " ", "-", "+", "--1", "+-1", "1 2", "1.0", "0x", "x1", "1e3",
                           "9223372036854775808", "-9223372036854775809", "99999999999999999999"}) {
    EXPECT_EQ(parseInteger(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(ParseBytes, TakesSuffixes) {
  EXPECT_EQ(parseBytes("0"), 0);
  EXPECT_EQ(parseBytes("4096"), 4096);
  EXPECT_EQ(parseBytes("8B"), 8);
  EXPECT_EQ(parseBytes("4k"), 4096);
  EXPECT_EQ(parseBytes("4KB"), 4096);
  EXPECT_EQ(parseBytes("4KiB"), 4096);
  EXPECT_EQ(parseBytes("1M"), 1 << 20);
  EXPECT_EQ(parseBytes("1.5M"), 3 << 19);
  EXPECT_EQ(parseBytes("2G"), int64_t{1} << 31);
  EXPECT_EQ(parseBytes("1T"), int64_t{1} << 40);
  EXPECT_EQ(parseBytes("0x1000"), 4096);
  EXPECT_EQ(parseBytes("0xB"), 11) << "a hexadecimal digit, not a suffix";
}

TEST(ParseBytes, RefusesAnythingElse) {
  for (const char* text : {"", "K", "B", "iB", "KiB", "-1", "-1K", "1.5", "1.0001K", "1P", "1KK", "1 000",
                           "4iB", "inf", "nanK", "16777216T", "9007199254740992K", "1e3K", ".5K"}) {
    EXPECT_EQ(parseBytes(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(FormatBytes, IsExactAndReadBack) {
  EXPECT_EQ(formatBytes(0), "0");
  EXPECT_EQ(formatBytes(1023), "1023");
  EXPECT_EQ(formatBytes(1024), "1K");
  EXPECT_EQ(formatBytes(4194304), "4M");
  EXPECT_EQ(formatBytes(4194305), "4194305");
  EXPECT_EQ(formatBytes(int64_t{3} << 50), "3072T");
  for (int64_t bytes : {int64_t{1}, int64_t{1536}, int64_t{1} << 40, INT64_MAX}) {
    EXPECT_EQ(parseBytes(formatBytes(bytes)), bytes);
  }
}

TEST(Text, TrimsAndComparesWithoutCase) {
  EXPECT_EQ(trimmed(" \ta b\r\n"), "a b");
  EXPECT_EQ(trimmed(" \t"), "");
  EXPECT_TRUE(equalsIgnoreCase("WaRn", "warn"));
  EXPECT_FALSE(equalsIgnoreCase("warn", "warns"));
  EXPECT_FALSE(equalsIgnoreCase("[", "{")) << "only letters have a case";
}

}  // namespace
}  // namespace tutti
