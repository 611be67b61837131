// The programs themselves, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

struct Output {
  int status = -1;
  std::string text;  ///< stdout and stderr

  /// The table's rows, in words.
  std::vector<std::vector<std::string>> rows() const {
    std::vector<std::vector<std::string>> all;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      size_t first = line.find_first_not_of(' ');
      if (first == 0 || first == std::string::npos || !isdigit(static_cast<unsigned char>(line[first])))
        continue;
      std::istringstream words(line);
      all.emplace_back();
      for (std::string word; words >> word;) all.back().push_back(word);
    }
    return all;
  }
};

Output shell(const std::string& command) {
  Output output;
  FILE* pipe = popen(("timeout 120 env " + command + " 2>&1").c_str(), "r");
  if (!pipe) return output;
  char part[4096];
  while (size_t got = fread(part, 1, sizeof(part), pipe)) output.text.append(part, got);
  int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return output;
}

Output run(const std::string& program, const std::string& arguments, const std::string& before = "") {
  return shell(before + " " TUTTI_BIN "/" + program + "_perf " + arguments);
}

void expectGood(const Output& output, size_t rows) {
  EXPECT_EQ(output.status, 0) << output.text;
  EXPECT_EQ(output.rows().size(), rows) << output.text;
  EXPECT_THAT(output.text, HasSubstr("# Out of bounds values : 0 OK"));
  EXPECT_THAT(output.text, HasSubstr("# Avg bus bandwidth    : "));
}

class Programs : public ::testing::TestWithParam<const char*> {};

TEST_P(Programs, Threads) {
  expectGood(run(GetParam(), "-t 2 -b 0 -e 64K -f 16 -n 2"), 5);
}

TEST_P(Programs, RanksOfOneThread) {
  expectGood(run(GetParam(), "-g 4 -b 512 -e 64K -f 16 -n 2 -m 2"), 2);
}

TEST_P(Programs, ThreadsOfSeveralRanksOnStreams) {
  expectGood(run(GetParam(), "-t 2 -g 2 -p 1 -b 512 -e 64K -f 16 -n 2 -y 0"), 2);
}

TEST_P(Programs, EveryType) {
  expectGood(run(GetParam(), "-t 2 -b 4K -e 4K -n 1 -d all"), 12);
}

TEST_P(Programs, OneRank) {
  expectGood(run(GetParam(), "-b 4K -e 4K -n 1"), 1);
}

#ifdef TUTTI_RUN
TEST_P(Programs, Processes) {
  expectGood(run(GetParam(), "-b 0 -e 1M -f 32 -n 2", TUTTI_RUN " run -n 2 --"), 5);
}
#endif

INSTANTIATE_TEST_SUITE_P(All, Programs,
                         ::testing::Values("all_reduce", "all_gather", "reduce_scatter", "alltoall",
                                           "alltoallv", "broadcast", "reduce", "gather", "scatter",
                                           "sendrecv", "hypercube"),
                         [](const auto& info) { return info.param; });

TEST(Perf, EveryTypeAndOp) {
  expectGood(run("all_reduce", "-t 3 -b 1K -e 1K -n 1 -d all -o all"), 72);
  expectGood(run("reduce_scatter", "-g 3 -b 1K -e 1K -n 1 -d all -o all"), 72);
}

TEST(Perf, EveryRoot) {
  expectGood(run("broadcast", "-t 3 -b 1K -e 1K -n 1 -r all"), 3);
}

TEST(Perf, TheTable) {
  Output output = run("all_reduce", "-t 2 -b 1K -e 4K -f 2 -n 3 -w 2");
  expectGood(output, 3);
  EXPECT_THAT(
      output.text,
      HasSubstr("# nThread 2 nGpus 1 minBytes 1024 maxBytes 4096 step: 2(factor) warmup iters: 2 iters: 3"));
  EXPECT_THAT(output.text, ContainsRegex("#  Rank  1 Group  0 Pid +[0-9]+ on +[^ ]+ device  1"));
  EXPECT_THAT(output.text, HasSubstr("# Transport: "));
  EXPECT_THAT(output.text, HasSubstr("# CPU: "));
  EXPECT_THAT(output.text, HasSubstr("# Algorithm: float sum: 1 KiB"));
  auto rows = output.rows();
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows) {
    ASSERT_EQ(row.size(), 13u);
    EXPECT_EQ(row[2], "float");
    EXPECT_EQ(row[3], "sum");
    EXPECT_EQ(row[4], "-1");
    EXPECT_EQ(row[8], "0");
    EXPECT_EQ(row[12], "0");
    EXPECT_GT(std::stod(row[5]), 0);
    EXPECT_NEAR(std::stod(row[6]), std::stod(row[7]), 0.02 * std::stod(row[6]) + 0.001)
        << "2 ranks: the factor is 1";
  }
  EXPECT_EQ(rows[2][0], "4096");
  EXPECT_EQ(rows[2][1], "1024");
}

TEST(Perf, OptionsThatChangeHowItMeasures) {
  for (const char* option :
       {"-z 1", "-z 2", "-z 3", "-a 0", "-a 2",      "-a 3",     "-u 1",     "-c 3",  "-c 0", "-w 0",
        "-G 2", "-C 1", "-M 1", "-R 1", "-p 1 -R 2", "--cold 0", "--cold 1", "-T 60", "-S 1", "-x 0"}) {
    SCOPED_TRACE(option);
    Output output = run("all_reduce", std::string("-t 2 -b 1K -e 8K -f 8 -n 3 ") + option);
    expectGood(output, 2);
  }
  Output twice = run("all_reduce", "-t 2 -b 1K -e 8K -f 8 -n 3 -N 2");
  expectGood(twice, 4);
  Output iterations = run("all_reduce", "-t 2 -b 1K -e 1K -n 5 -I 1 -K 1");
  ASSERT_EQ(iterations.rows().size(), 1u) << iterations.text;
  EXPECT_EQ(iterations.rows()[0].size(), 21u);
}

TEST(Perf, WrongOptionsAreSaid) {
  Output output = run("all_reduce", "-d complex");
  EXPECT_EQ(output.status, 2);
  EXPECT_THAT(output.text, HasSubstr("-d (--datatype)"));
  output = run("broadcast", "-t 2 -r 2 -b 8 -e 8");
  EXPECT_NE(output.status, 0);
  EXPECT_THAT(output.text, HasSubstr("not below the 2 ranks"));
  output = run("hypercube", "-g 3 -b 8 -e 8");
  EXPECT_NE(output.status, 0);
  EXPECT_THAT(output.text, HasSubstr("power of two"));
  EXPECT_EQ(run("all_reduce", "--help").status, 0);
  EXPECT_THAT(run("all_reduce", "--version").text, HasSubstr("Tutti"));
}

TEST(Perf, AnAlgorithmThatOnlyTheMeasuredCollectiveHas) {
  expectGood(run("alltoall", "-t 2 -b 1K -e 1K -n 1", "NCCL_ALGO=pairwise"), 1);
}

TEST(Perf, TooLittleBandwidthFails) {
  Output output = run("all_reduce", "-t 2 -b 8 -e 8 -n 1", "NCCL_TESTS_MIN_BW=1e9");
  EXPECT_NE(output.status, 0);
  EXPECT_THAT(output.text, ContainsRegex("Avg bus bandwidth    : .* FAILED"));
}

TEST(Perf, TrafficMatrix) {
  auto path = std::filesystem::temp_directory_path() / ("tutti_matrix_" + std::to_string(getpid()));
  std::ofstream(path) << "100 200 0\n0 320 75\n300 150 200\n";
  std::string before =
      "NCCL_TESTS_ALLTOALLV_MATRIX_FILE=" + path.string() + " NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY=1";
  Output output = run("alltoallv", "-t 3 -b 4K -e 4K -n 2", before);
  expectGood(output, 1);
  EXPECT_THAT(output.text, HasSubstr("#   rank=2 send_bytes=624 recv_bytes=256"));
  EXPECT_THAT(run("alltoallv", "-t 3 -b 1K -e 4K", before).text, HasSubstr("-b and -e"));
  EXPECT_THAT(run("alltoallv", "-t 4 -b 4K -e 4K", before).text, HasSubstr("for 3 ranks"));
  EXPECT_THAT(run("alltoallv", "-t 3 -b 64 -e 64", before).text, HasSubstr("needs -b"));
  std::filesystem::remove(path);
}

TEST(Perf, Json) {
  auto path = std::filesystem::temp_directory_path() / ("tutti_perf_" + std::to_string(getpid()) + ".json");
  Output output = run("reduce", "-t 2 -b 1K -e 2K -f 2 -n 2 -J " + path.string());
  expectGood(output, 2);
  auto json = nlohmann::json::parse(std::ifstream(path));
  EXPECT_EQ(json["results"].size(), 2u);
  EXPECT_EQ(json["results"][1]["size"], 2048);
  EXPECT_EQ(json["results"][1]["in_place"]["nwrong"], 0.0);
  EXPECT_EQ(json["config"]["devices"].size(), 2u);
  EXPECT_NE(json["tutti"]["transport"], "");
  std::filesystem::remove(path);
}

#ifdef TUTTI_SPOIL
TEST(Perf, OneWrongByteFailsTheRun) {
  std::string preload = "LD_PRELOAD=" TUTTI_SPOIL;
  expectGood(run("all_reduce", "-t 2 -b 1K -e 1K -n 1", preload), 1);
  for (const char* what : {"last", "behind", "before", "sent"}) {
    SCOPED_TRACE(what);
    Output output = run("all_reduce", "-t 2 -b 1K -e 1K -n 1", preload + " SPOIL=" + what);
    EXPECT_NE(output.status, 0);
    EXPECT_THAT(output.text, HasSubstr("FAILED"));
    ASSERT_EQ(output.rows().size(), 1u) << output.text;
    EXPECT_EQ(output.rows()[0][8], "2") << "one on each rank";
    EXPECT_EQ(output.rows()[0][12], std::string(what) == "sent" ? "0" : "2");
    EXPECT_THAT(output.text, HasSubstr("rank 1"));
  }
}
#endif

#ifdef TUTTI_RUN
TEST(Perf, GroupsSideBySide) {
  Output output = run("all_gather", "-b 1K -e 1K -n 1", "NCCL_TESTS_SPLIT='MOD 2' " TUTTI_RUN " run -n 4 --");
  expectGood(output, 1);
  EXPECT_THAT(output.text, HasSubstr("Rank  3 Group  1"));
  ASSERT_EQ(output.rows().size(), 1u);
  EXPECT_EQ(output.rows()[0][1], "128") << "two ranks share 1 KiB";
}
#endif

}  // namespace
