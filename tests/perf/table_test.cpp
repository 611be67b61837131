#include "common/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/split.hpp"
#include "common/traffic.hpp"

namespace tutti::perf {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> result;
  for (std::string word; in >> word;) result.push_back(word);
  return result;
}

TEST(Table, FittedNumbers) {
  EXPECT_EQ(fitted(0, 7), "   0.00");
  EXPECT_EQ(fitted(0.0912345, 7), " 0.0912");
  EXPECT_EQ(fitted(1.23456, 7), "  1.235");
  EXPECT_EQ(fitted(12.3456, 7), "  12.35");
  EXPECT_EQ(fitted(1234.567, 7), "1234.57");
  EXPECT_EQ(fitted(123456.7, 7), " 123457");
  EXPECT_EQ(fitted(12345678.9, 7), "1.2e+07");
  EXPECT_EQ(fitted(1234.567, 6), "1234.6");
  EXPECT_EQ(fitted(12345678, 6), " 1e+07");
}

TEST(Table, ARowHasNcclTestsColumns) {
  Row row{.bytes = 1048576, .count = 262144, .type = "float", .op = "sum", .root = -1};
  row.outOfPlace = Measurement{.microseconds = 123.456, .algorithmGBps = 8.5, .busGBps = 12.75, .wrong = 0};
  row.inPlace =
      Measurement{.microseconds = 100, .algorithmGBps = 10.5, .busGBps = 15.7, .wrong = std::nullopt};
  std::string text = rowText(Options{}, row);
  EXPECT_EQ(text,
            "     1048576        262144     float     sum      -1   123.46   8.500   12.75       0"
            "   100.00   10.50   15.70     N/A\n");
  row.inPlace.reset();
  EXPECT_EQ(words(rowText(Options{}, row)).size(), 13u);
}

TEST(Table, ColumnTitlesStandAboveTheirColumns) {
  Options options;
  Row row{.bytes = 8, .count = 2, .type = "float", .op = "sum"};
  row.outOfPlace = row.inPlace = Measurement{};
  for (bool perIteration : {false, true}) {
    options.perIteration = perIteration;
    if (perIteration) row.outOfPlace->perIteration = row.inPlace->perIteration = Statistics{};
    std::string line;
    std::istringstream lines(columnsText(options));
    std::string titles;
    for (; std::getline(lines, line);) {
      if (line.find("size") != std::string::npos) titles = line;
    }
    std::string text = rowText(options, row);
    text.pop_back();
    titles.pop_back();  // the blank before the time stamp
    EXPECT_EQ(titles.size(), text.size());
    EXPECT_EQ(words(titles).size() - 1, words(text).size() + (row.root == -1 ? 0 : 1));
  }
}

TEST(Table, HeaderSaysWhatRuns) {
  Options options;
  options.stepFactor = 2;
  options.notes = {"something"};
  std::string text = headerText(options, {23203, 23203, 100}, "all_reduce_perf");
  EXPECT_THAT(text, HasSubstr("(Tutti 0.1.0) nccl-headers=23203 nccl-library=23203"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "# nThread 1 nGpus 1 minBytes 33554432 maxBytes 33554432 step: 2(factor) warmup iters: 1 iters: 20 "
          "agg iters: 1 validation: 1 graph: 0"));
  EXPECT_THAT(text, HasSubstr("# Note: something"));
  EXPECT_THAT(headerText(options, {23203, 22000, -1}, "x"), HasSubstr("another library"));
  EXPECT_EQ(deviceLine({3, 1, 4242, "node1", 2, "Some CPU"}),
            "#  Rank  3 Group  1 Pid   4242 on      node1 device  2 [host memory] Some CPU\n");
}

TEST(Table, FooterJudges) {
  EXPECT_THAT(footerText(0, 1.5, std::nullopt, "p"),
              HasSubstr("# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 1.5 \n"));
  EXPECT_THAT(footerText(2, 1.5, 1.6, "p"),
              HasSubstr("# Out of bounds values : 2 FAILED\n# Avg bus bandwidth    : 1.5 OK\n"));
  EXPECT_THAT(footerText(0, 1.5, 2.0, "p"), HasSubstr(": 1.5 FAILED"));
}

TEST(Table, Sizes) {
  EXPECT_EQ(sizeText(8), "8 B");
  EXPECT_EQ(sizeText(4096), "4 KiB");
  EXPECT_EQ(sizeText(128u << 20), "128 MiB");
  EXPECT_EQ(sizeText(1500), "1500 B");
  EXPECT_EQ(memoryText(1536), "1.50 KB");
  EXPECT_EQ(memoryText(50 << 20), "50.0 MB");
}

TEST(Statistics, OfKnownTimes) {
  std::vector<double> times(100);
  for (int i = 0; i < 100; ++i) times[i] = 100 - i;
  Statistics s = statisticsOf(times);
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 100);
  EXPECT_EQ(s.p95, 95);
  EXPECT_EQ(s.p99, 99);
  EXPECT_DOUBLE_EQ(s.mean, 50.5);
  EXPECT_NEAR(s.deviation, 28.866, 0.001);
  EXPECT_EQ(statisticsOf(std::vector<double>{3}).p99, 3);
}

TEST(Split, Colors) {
  EXPECT_EQ(*splitColor(nullptr, nullptr, 5), 0);
  EXPECT_EQ(*splitColor("AND 0x3", nullptr, 6), 2);
  EXPECT_EQ(*splitColor("&1", nullptr, 7), 1);
  EXPECT_EQ(*splitColor("or 0b11", nullptr, 4), 7);
  EXPECT_EQ(*splitColor("MOD 8", nullptr, 11), 3);
  EXPECT_EQ(*splitColor("/4", nullptr, 11), 2);
  EXPECT_EQ(*splitColor("MOD 8", "1", 11), 1);
  EXPECT_EQ(*splitColor(nullptr, "f0", 0x5a), 0x50);
  for (const char* bad : {"XOR 1", "MOD 0", "AND", "DIV x", "AND 0xzz", ""})
    EXPECT_FALSE(splitColor(bad, nullptr, 1).ok()) << bad;
}

TEST(Traffic, DistanceWeighted) {
  Traffic weighted = Traffic::generated(1);
  EXPECT_EQ(weighted.bytes(0, 0, 4, 6144), 0u);
  EXPECT_EQ(weighted.bytes(0, 1, 4, 6144), 1024u);
  EXPECT_EQ(weighted.bytes(0, 3, 4, 6144), 3072u);
  EXPECT_EQ(weighted.bytes(3, 0, 4, 6144), 1024u);
  EXPECT_EQ(weighted.mostSent(4, 4, 6144), 1536u);
  EXPECT_EQ(weighted.mostReceived(4, 4, 6144), 1536u);
  EXPECT_EQ(Traffic::generated(0).bytes(1, 1, 4, 4096), 1024u);
  EXPECT_EQ(weighted.bytes(0, 0, 1, 100), 96u);
}

TEST(Traffic, Matrix) {
  auto traffic = Traffic::matrix("100 200 150\n50 100 75\n\n 300 150 200", 1);
  ASSERT_TRUE(traffic.ok());
  EXPECT_EQ(traffic->dimension(), 3);
  EXPECT_EQ(traffic->bytes(0, 1, 2, 0), 192u);
  EXPECT_EQ(traffic->bytes(2, 0, 3, 0), 288u);
  EXPECT_EQ(traffic->mostSent(3, 1, 0), 288u + 144 + 192);
  EXPECT_EQ(traffic->mostReceived(2, 1, 0), 192u + 96);
  for (const char* bad : {"", "1 2", "1 2\n3", "1 x\n3 4", "1 -2\n3 4", "1 1e300\n1 1", "1 nan\n1 1"}) {
    EXPECT_FALSE(Traffic::matrix(bad, 1).ok()) << bad;
  }
}

}  // namespace
}  // namespace tutti::perf
