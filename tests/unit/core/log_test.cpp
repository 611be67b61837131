#include "core/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "core/host.hpp"
#include "core/log_settings.hpp"
#include "unit/core/scoped_env.hpp"

namespace tutti::log {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  void SetUp() override { env_.set("HOME", folder_.path("")); }
  ~LogTest() override {
    for (const char* name :
         {"NCCL_DEBUG", "NCCL_DEBUG_FILE", "NCCL_DEBUG_SUBSYS", "NCCL_WARN_ENABLE_DEBUG_INFO"})
      unsetenv(name);
    params::reload();
    reset();
    setThreadRank(-1);
  }
  /// Logs into a file of the test's folder from now on.
  void start(const std::string& level, const std::string& file = "log") {
    env_.set("NCCL_DEBUG", level);
    env_.set("NCCL_DEBUG_FILE", folder_.path(file));
    reset();
  }
  std::string logged() const { return folder_.read("log"); }

  ScopedFolder folder_;
  ScopedEnv env_;
};

TEST_F(LogTest, LevelsIncludeThoseBefore) {
  start("warn");
  TUTTI_WARN("one {}", 1);
  TUTTI_INFO(Init, "two");
  EXPECT_THAT(logged(), HasSubstr("NCCL WARN one 1\n"));
  EXPECT_THAT(logged(), Not(HasSubstr("two")));
  start("INFO");
  TUTTI_INFO(Init, "three");
  TUTTI_TRACE(Init, "four");
  EXPECT_THAT(logged(), HasSubstr("one 1")) << "a reset in one process appends to its file";
  EXPECT_THAT(logged(), HasSubstr("NCCL INFO three\n"));
  EXPECT_THAT(logged(), Not(HasSubstr("four")));
  start("TRACE");
  TUTTI_TRACE(Init, "five");
  EXPECT_THAT(logged(), HasSubstr("NCCL TRACE five\n"));
}

TEST_F(LogTest, NothingIsFormattedOrWrittenWhenNotWanted) {
  start("NONE");
  int formatted = 0;
  TUTTI_WARN("{}", ++formatted);
  TUTTI_INFO(Init, "{}", ++formatted);
  EXPECT_EQ(formatted, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("log")));
}

TEST_F(LogTest, SubsystemsSelectInfoButNotWarnings) {
  env_.set("NCCL_DEBUG_SUBSYS", "net,COLL");
  start("INFO");
  TUTTI_INFO(Net, "from net");
  TUTTI_INFO(Init, "from init");
  TUTTI_WARN("a warning");
  EXPECT_THAT(logged(), HasSubstr("from net"));
  EXPECT_THAT(logged(), HasSubstr("a warning"));
  EXPECT_THAT(logged(), Not(HasSubstr("from init")));
}

TEST_F(LogTest, LineNamesHostProcessThreadAndRank) {
  start("INFO");
  TUTTI_INFO(Init, "plain");
  EXPECT_EQ(logged(), fmt::format("{}:{}:{} NCCL INFO plain\n", hostName(), getpid(), gettid()));
  setThreadRank(3);
  TUTTI_INFO(Init, "ranked");
  EXPECT_THAT(logged(), HasSubstr(fmt::format(":{} [3] NCCL INFO ranked\n", gettid())));
  TUTTI_WARN("careful");
  EXPECT_THAT(
      logged(),
      MatchesRegex("(.|\n)*\n\\[[0-9]{4}-[0-9-]+ [0-9:]+\\] [^\n]* log_test.cpp:[0-9]+ NCCL WARN careful\n"))
      << "warnings have a time stamp and a place";
}

TEST_F(LogTest, OneLinePerCall) {
  start("INFO");
  TUTTI_INFO(Init, "first\nsecond\n");
  EXPECT_THAT(logged(), HasSubstr("NCCL INFO first second\n"));
  EXPECT_EQ(std::ranges::count(logged(), '\n'), 1);
}

TEST_F(LogTest, FileNameTakesHostAndProcess) {
  start("WARN", "log.%h.%p.txt");
  TUTTI_WARN("here");
  EXPECT_THAT(folder_.read(fmt::format("log.{}.{}.txt", hostName(), getpid())), HasSubstr("here"));
}

TEST_F(LogTest, OldContentsOfTheFileGo) {
  folder_.write("log", "yesterday\n");
  start("WARN");
  TUTTI_WARN("today");
  EXPECT_THAT(logged(), Not(HasSubstr("yesterday")));
}

TEST_F(LogTest, ForkedChildWritesUnderItsOwnProcess) {
  start("WARN", "log.%p");
  TUTTI_WARN("parent");
  const pid_t child = fork();
  if (child == 0) {
    TUTTI_WARN("child");
    _exit(0);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(folder_.read(fmt::format("log.{}", child)), HasSubstr(fmt::format(":{}:{} ", child, child)));
  EXPECT_THAT(folder_.read(fmt::format("log.{}", getpid())), Not(HasSubstr("child")));
}

TEST_F(LogTest, ThreadsDoNotMixLines) {
  start("INFO");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      setThreadRank(i);
      for (int n = 0; n < 100; ++n) TUTTI_INFO(Init, "{}", std::string(200, static_cast<char>('a' + i)));
    });
  }
  for (auto& thread : threads) thread.join();
  std::istringstream lines(logged());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const char last = line.back();
    EXPECT_THAT(line, HasSubstr(fmt::format("[{}] NCCL INFO ", last - 'a')));
    EXPECT_EQ(std::ranges::count(line.substr(line.size() - 200), last), 200);
  }
  EXPECT_EQ(count, 400);
}

TEST_F(LogTest, WarningMayTurnInfoOn) {
  env_.set("NCCL_WARN_ENABLE_DEBUG_INFO", "1");
  start("WARN");
  TUTTI_INFO(Init, "before");
  TUTTI_WARN("trouble");
  TUTTI_INFO(Init, "after");
  EXPECT_THAT(logged(), Not(HasSubstr("before")));
  EXPECT_THAT(logged(), HasSubstr("after"));
}

TEST_F(LogTest, EnvironmentIsToldOnce) {
  env_.set("TUTTI_FIFO_DEPTH", "8");
  start("INFO");
  ASSERT_TRUE(params::checkAll().ok());
  ASSERT_TRUE(params::checkAll().ok());
  const std::string line = "TUTTI_FIFO_DEPTH set by environment to 8\n";
  ASSERT_THAT(logged(), HasSubstr(line));
  EXPECT_EQ(logged().find(line), logged().rfind(line));
}

/// Runs `body` in a child process whose standard output is `out` (-1: closed); its wait status.
template <typename Body>
int inChild(int out, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    out >= 0 ? dup2(out, STDOUT_FILENO) : close(STDOUT_FILENO);
    if (out >= 0) close(out);
    signal(SIGPIPE, SIG_DFL);
    setenv("NCCL_DEBUG", "WARN", 1);
    unsetenv("NCCL_DEBUG_FILE");
    params::reload();
    reset();
    body();
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(LogTest, BrokenPipeDoesNotEndTheProcess) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  const int status = inChild(ends[1], [] { TUTTI_WARN("to nobody"); });
  close(ends[1]);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(LogTest, ClosedOutputIsNotWrittenTo) {
  // The number of the closed stream goes to the next file that is opened: the log must not end up there.
  const std::string path = folder_.path("victim");
  const int status = inChild(-1, [&] {
    const int victim = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    if (victim != STDOUT_FILENO) _exit(1);
    TUTTI_WARN("lost");
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(folder_.read("victim"), "");
}

TEST_F(LogTest, FullPipeCostsTheLineOnly) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  while (::write(ends[1], "x", 1) == 1) {
  }
  const int status = inChild(ends[1], [] { TUTTI_WARN("no room"); });
  close(ends[0]);
  close(ends[1]);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(LogTest, UnwritableFileFallsBackToStandardOutput) {
  testing::internal::CaptureStdout();
  start("WARN", "no/such/folder/log");
  TUTTI_WARN("still here");
  const std::string out = testing::internal::GetCapturedStdout();
  EXPECT_THAT(out, HasSubstr("cannot be written"));
  EXPECT_THAT(out, HasSubstr("still here"));
}

TEST(LogSettings, Subsystems) {
  EXPECT_EQ(*parseSubsystems("INIT"), uint64_t{Init});
  EXPECT_EQ(*parseSubsystems("init, Net,,"), uint64_t{Init | Net});
  EXPECT_EQ(*parseSubsystems("ALL"), uint64_t{All});
  EXPECT_EQ(*parseSubsystems("^NET"), ~uint64_t{Net});
  EXPECT_EQ(*parseSubsystems("^ALL"), 0u);
  EXPECT_EQ(*parseSubsystems(""), 0u);
  EXPECT_FALSE(parseSubsystems("INIT,BOGUS").ok());
  EXPECT_TRUE(checkSubsystems("RAS").ok());
  EXPECT_FALSE(checkSubsystems("RAT").ok());
}

TEST(LogSettings, Levels) {
  EXPECT_EQ(levelFromName("trace"), Level::Trace);
  EXPECT_EQ(levelFromName("Version"), Level::Version);
  EXPECT_EQ(levelFromName("ATTN"), Level::Warn);
  EXPECT_EQ(levelFromName("ALL"), Level::None);
  EXPECT_EQ(levelFromName(""), Level::None);
  EXPECT_EQ(*parseLevels("WARN,INFO"), 0b1100u);
  EXPECT_EQ(*parseLevels("^WARN"), ~0b100u);
  EXPECT_FALSE(checkLevels("WARN,LOUD").ok());
}

TEST(LogSettings, FileNames) {
  EXPECT_EQ(expandFileName("/l/%h-%p.%%p", "box", 12), "/l/box-12.%p");
  EXPECT_EQ(expandFileName("%x%", "box", 12), "%x%");
}

TEST(LogSettings, Timestamps) {
  const timespec now{0, 123'456'789};
  EXPECT_EQ(formatTimestamp("%3f|%9f|%1f|%%3f", now), "123|123456789|1|%3f");
  EXPECT_EQ(formatTimestamp("%S ", now), "00 ");
  EXPECT_EQ(formatTimestamp(std::string(300, 'x'), now), "") << "too long: none";
}

}  // namespace
}  // namespace tutti::log
