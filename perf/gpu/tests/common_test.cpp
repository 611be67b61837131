// The parts of perf/gpu that need no GPU: medians, JSON, options, forked ranks with barrier, time limit and
// descriptors.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "common/failure.hpp"
#include "common/process.hpp"
#include "common/report.hpp"

namespace tutti::gpuperf {
namespace {

Options parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "program");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return Options::parse(static_cast<int>(argv.size()), argv.data(), "test",
                        {{"library", "default.so", "help"}});
}

std::string textOf(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Spread, OddEvenAndNone) {
  EXPECT_EQ(spreadOf({3, 1, 2}).median, 2);
  EXPECT_EQ(spreadOf({4, 1, 2, 3}).median, 2.5);
  EXPECT_EQ(spreadOf({4, 1, 2, 3}).min, 1);
  EXPECT_EQ(spreadOf({4, 1, 2, 3}).max, 4);
  EXPECT_EQ(spreadOf({}).samples, 0);
}

TEST(Row, BandwidthAndRatio) {
  Row row;
  row.us = spreadOf({2});
  row.bandwidth(4000, 4);
  std::vector<std::pair<std::string, double>> expected{
      {"bytes", 4000}, {"GBps", 2}, {"limit_GBps", 4}, {"ratio", 0.5}};
  EXPECT_EQ(row.counters, expected);
}

TEST(Options, OwnAndCommonOnes) {
  Options options = parse({"--smoke", "--filter=^a/b", "--library=x.so", "--json=f"});
  EXPECT_TRUE(options.smoke && options.quick);
  EXPECT_EQ(options.samples, 1);
  EXPECT_EQ(options.text("library"), "x.so");
  EXPECT_EQ(options.jsonPath, "f");
  EXPECT_TRUE(options.wants("a/b/c"));
  EXPECT_FALSE(options.wants("x/a/b"));
  EXPECT_EQ(parse({}).text("library"), "default.so");
}

TEST(OptionsDeathTest, MistakesEndWithStatus2) {
  EXPECT_EXIT(parse({"--nonsense"}), testing::ExitedWithCode(2), "unknown option");
  EXPECT_EXIT(parse({"--samples=x"}), testing::ExitedWithCode(2), "not a number");
  EXPECT_EXIT(parse({"--filter=("}), testing::ExitedWithCode(2), "regular expression");
}

TEST(Report, JsonHoldsResultsErrorsAndReasons) {
  std::string path = testing::TempDir() + "gpu_report_" + std::to_string(getpid()) + ".json";
  Options options = parse({"--json=" + path, "--filter=^(good|bad|lacking)$"});
  Report report(options, "test");
  report.measure("good", [](Row& row) {
    row.us = spreadOf({1, 2, 3});
    row.counter("torn", 0);
    row.label = "say \"so\"\n";
  });
  report.measure("bad", [](Row&) { throw Failure("broke"); });
  report.measure("lacking", [](Row&) { throw NotAvailable("old driver"); });
  report.measure("other", [](Row&) { FAIL() << "the filter excludes it"; });
  EXPECT_EQ(report.finish(), 1);
  std::string text = textOf(path);
  EXPECT_NE(text.find("\"name\": \"good\", \"run_type\": \"iteration\", \"iterations\": 0, \"samples\": 3, "
                      "\"real_time\": 2"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\"label\": \"say \\\"so\\\"\\u000a\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"error_occurred\": true, \"error_message\": \"broke\""), std::string::npos);
  EXPECT_NE(text.find("\"skipped\": true, \"skip_message\": \"old driver\""), std::string::npos);
  EXPECT_NE(text.find("\"complete\": true"), std::string::npos);
  EXPECT_EQ(text.find("other"), std::string::npos);
  std::remove(path.c_str());
}

struct Shared {
  ChildNote notes[4];
  ProcessBarrier barrier;
  std::atomic<int> sum;
  int seen[4];
};

TEST(Processes, MeetAtTheBarrierEveryRound) {
  SharedMemory memory(sizeof(Shared));
  auto& shared = *memory.as<Shared>();
  std::string trouble = runProcesses(4, 30, shared.notes, [&](int rank) {
    for (int round = 1; round <= 20; ++round) {
      shared.sum.fetch_add(rank);
      if (!shared.barrier.wait(4, 20)) return 1;
      if (shared.sum.load() != 6 * round) return 2;
      if (!shared.barrier.wait(4, 20)) return 3;
    }
    shared.seen[rank] = 1;
    return 0;
  });
  EXPECT_EQ(trouble, "");
  for (int seen : shared.seen) EXPECT_EQ(seen, 1);
}

TEST(Processes, ABarrierWithoutTheOthersBreaks) {
  SharedMemory memory(sizeof(Shared));
  auto& shared = *memory.as<Shared>();
  EXPECT_FALSE(shared.barrier.wait(2, 0.05));
  EXPECT_FALSE(shared.barrier.wait(2, 10));
}

TEST(Processes, TheirReasonsComeBack) {
  SharedMemory memory(sizeof(Shared));
  auto& shared = *memory.as<Shared>();
  std::string trouble = runProcesses(2, 30, shared.notes, [&](int rank) -> int {
    if (rank == 1) throw std::runtime_error("no such thing");
    return 0;
  });
  EXPECT_EQ(trouble, "process 1 failed: no such thing");
}

TEST(Processes, OneThatHangsIsEnded) {
  SharedMemory memory(sizeof(Shared));
  auto& shared = *memory.as<Shared>();
  std::string trouble = runProcesses(1, 0.3, shared.notes, [&](int) {
    pause();
    return 0;
  });
  EXPECT_NE(trouble.find("did not end within"), std::string::npos) << trouble;
}

TEST(Processes, ADescriptorArrivesOpen) {
  int ends[2], data[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(pipe(data), 0);
  sendDescriptor(ends[0], data[1]);
  int received = receiveDescriptor(ends[1], 5);
  ASSERT_EQ(write(received, "x", 1), 1);
  char got = 0;
  ASSERT_EQ(read(data[0], &got, 1), 1);
  EXPECT_EQ(got, 'x');
  EXPECT_THROW(receiveDescriptor(ends[1], 0.01), Failure);
  for (int descriptor : {ends[0], ends[1], data[0], data[1], received}) close(descriptor);
}

}  // namespace
}  // namespace tutti::gpuperf
