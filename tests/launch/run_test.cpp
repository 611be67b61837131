// `tutti run` and the other verbs, as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "command.hpp"
#include "core/result.hpp"

namespace tutti::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kTutti = TUTTI_BINARY;

std::vector<std::string> sortedLines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

char stateOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  size_t end = line.rfind(')');
  return end == std::string::npos ? '?' : line[end + 2];
}

/// The pid that a rank printed as "rank R pid P".
pid_t pidOfRank(const std::string& out, int rank) {
  std::string key = fmt::format("rank {} pid ", rank);
  size_t at = out.find(key);
  return at == std::string::npos ? -1 : std::atoi(out.c_str() + at + key.size());
}

TEST(TuttiRun, GivesEachRankItsPlace) {
  Outcome outcome =
      run(kTutti + " run -n 3 -- sh -c 'echo $TUTTI_RANK/$TUTTI_SIZE $TUTTI_LOCAL_RANK/$TUTTI_LOCAL_SIZE'");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(sortedLines(outcome.out), testing::ElementsAre("0/3 0/3", "1/3 1/3", "2/3 2/3"));
  EXPECT_EQ(outcome.err, "");
}

TEST(TuttiRun, RefusesWrongCommandLines) {
  struct Case {
    const char* line;
    int status;
    const char* says;
  };
  for (const Case& wrong :
       {Case{"run -n 2 true", 2, "'--'"}, Case{"run -n 2", 2, "'--' is missing"},
        Case{"run -n 0 -- true", 2, "0"}, Case{"run -n -3 -- true", 2, "-3"},
        Case{"run -n 99999 -- true", 2, "99999"}, Case{"run -n two -- true", 2, "two"},
        Case{"run -- true", 2, "required"}, Case{"run -n 2 --", 2, "no program"},
        Case{"run -n 2 --speed -- true", 2, "--speed"}, Case{"run -n 2 --bind-to moon -- true", 2, "moon"},
        Case{"run -n 2 -- no-such-program-here", 127, "no-such-program-here"},
        Case{"run -n 2 -- /no/such/program", 127, "/no/such/program"},
        Case{"run -n 2 -- /etc/passwd", 126, "not executable"}, Case{"run -n 2 -- /etc", 127, "/etc"}}) {
    Outcome outcome = run(kTutti + " " + wrong.line);
    EXPECT_EQ(outcome.status, wrong.status) << wrong.line;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.says)) << wrong.line;
    EXPECT_EQ(outcome.out, "") << wrong.line;
  }
}

TEST(TuttiRun, VerbsRefuseWrongCommandLines) {
  struct Case {
    const char* line;
    const char* says;
  };
  for (const Case& wrong :
       {Case{"plan", "COLLECTIVE is required"}, Case{"plan allreduce --ranks 0", "--ranks"},
        Case{"plan foo", "'foo'"}, Case{"plan allreduce --bytes x", "--bytes"}, Case{"verify --foo", "--foo"},
        Case{"verify /nonexistent", "/nonexistent"}, Case{"simulate --ranks x", "--ranks"},
        Case{"explain", "collective"}, Case{"topo --foo", "--foo"}, Case{"calibrate --foo", "--foo"},
        Case{"params foo", "'foo'"}, Case{"params --foo", "--foo"}, Case{"doctor foo", "'foo'"},
        Case{"foo", "'foo'"}}) {
    Outcome outcome = run(kTutti + " " + wrong.line);
    EXPECT_EQ(outcome.status, 2) << wrong.line;
    EXPECT_THAT(outcome.err, HasSubstr("tutti")) << wrong.line;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.says)) << wrong.line;
    EXPECT_EQ(outcome.out, "") << wrong.line;
  }
}

TEST(TuttiRun, ReturnsTheFirstFailure) {
  Outcome outcome =
      run(kTutti + " run -n 3 --grace 0.2 -- sh -c 'test $TUTTI_RANK = 1 && exit 7; sleep 100'");
  EXPECT_EQ(outcome.status, 7);
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 of 3 ended with exit status 7"));
  EXPECT_THAT(outcome.err, HasSubstr("ranks 0, 2 are still running"));

  outcome = run(kTutti + " run -n 2 --grace 0.2 -- sh -c 'test $TUTTI_RANK = 0 && kill -9 $$; sleep 100'");
  EXPECT_EQ(outcome.status, 137);
  EXPECT_THAT(outcome.err, HasSubstr("rank 0 of 2 was killed by signal 9"));
}

TEST(TuttiRun, LetsSurvivorsReportBeforeTheyAreEnded) {
  Outcome outcome = run(
      kTutti +
      " run -n 2 --grace 30 -- sh -c 'test $TUTTI_RANK = 1 && exit 5; sleep 0.3; echo my own error; exit 6'");
  EXPECT_EQ(outcome.status, 5);
  EXPECT_THAT(outcome.out, HasSubstr("my own error"));
}

TEST(TuttiRun, KillsWhoIgnoresTheEnd) {
  std::string mark = newMark();
  Outcome outcome = run(mark + " " + kTutti +
                        " run -n 3 --grace 0.2 -- sh -c 'trap \"\" TERM INT; test $TUTTI_RANK = 1 && exit 3; "
                        "sleep 100; sleep 100'");
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(countMarked(mark), 0);
}

TEST(TuttiRun, LabelsWholeLines) {
  Outcome outcome = run(kTutti + " run -n 2 -l -- sh -c 'echo one; echo two >&2; printf three'");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(sortedLines(outcome.out), testing::ElementsAre("[0] one", "[0] three", "[1] one", "[1] three"));
  EXPECT_THAT(sortedLines(outcome.err), testing::ElementsAre("[0] two", "[1] two"));

  outcome = run(kTutti +
                " run -n 4 --prefix -- sh -c 'i=0; while [ $i -lt 500 ]; do echo line of rank $TUTTI_RANK; "
                "i=$((i+1)); done'");
  auto lines = sortedLines(outcome.out);
  ASSERT_EQ(lines.size(), 2000u);
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(std::count(lines.begin(), lines.end(), fmt::format("[{0}] line of rank {0}", rank)), 500);
  }
}

TEST(TuttiRun, GivesInputToRankZero) {
  Outcome outcome = run("echo hello | " + kTutti + " run -n 3 -l -- cat");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, "[0] hello\n");
}

TEST(TuttiRun, SetsVariables) {
  Outcome outcome = run("OUTER=kept GONE=old " + kTutti +
                        " run -n 1 -x GONE=new -x MORE='a b=c' -- sh -c 'echo $OUTER $GONE $MORE'");
  EXPECT_EQ(outcome.out, "kept new a b=c\n");
}

TEST(TuttiRun, BindsToCoresOnRequest) {
  std::string show = " -- sh -c 'grep Cpus_allowed_list /proc/self/status'";
  Outcome bound = run(kTutti + " run -n 3 --bind-to core" + show);
  EXPECT_EQ(bound.status, 0);
  for (const std::string& line : sortedLines(bound.out))
    EXPECT_EQ(line.find_first_of(",-"), std::string::npos) << line;
  Outcome unbound = run(kTutti + " run -n 1 --bind-to none" + show);
  EXPECT_EQ(unbound.out, run("grep Cpus_allowed_list /proc/self/status").out);
}

TEST(TuttiRun, PassesSignalsOn) {
  Background job("exec " + kTutti +
                 " run -n 3 -- sh -c 'trap \"echo got usr1; exit 0\" USR1; echo ready $TUTTI_RANK; while :; "
                 "do sleep 0.05; done'");
  for (int rank = 0; rank < 3; ++rank) ASSERT_TRUE(job.waitForOutput(fmt::format("ready {}", rank)));
  kill(job.pid(), SIGUSR1);
  Outcome outcome = job.finish();
  EXPECT_EQ(outcome.status, 0);
  auto lines = sortedLines(outcome.out);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "got usr1"), 3);
}

TEST(TuttiRun, InterruptEndsEverything) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    std::string mark = newMark();
    Background job(mark + " exec " + kTutti +
                   " run -n 3 -- sh -c 'ulimit -c 0; echo ready $TUTTI_RANK; sleep 100 & sleep 100'");
    for (int rank = 0; rank < 3; ++rank) ASSERT_TRUE(job.waitForOutput(fmt::format("ready {}", rank)));
    kill(job.pid(), signal);
    EXPECT_EQ(job.finish().status, 128 + signal);
    EXPECT_EQ(countMarked(mark), 0) << signal;
  }
}

TEST(TuttiRun, SecondInterruptKills) {
  std::string mark = newMark();
  Background job(mark + " exec " + kTutti +
                 " run -n 2 --grace 1000 -- sh -c 'trap \"echo caught\" INT; echo ready $TUTTI_RANK; while "
                 ":; do sleep 0.05; done'");
  for (int rank = 0; rank < 2; ++rank) ASSERT_TRUE(job.waitForOutput(fmt::format("ready {}", rank)));
  kill(job.pid(), SIGINT);
  ASSERT_TRUE(job.waitForOutput("caught"));
  kill(job.pid(), SIGINT);
  EXPECT_EQ(job.finish().status, 130);
  EXPECT_EQ(countMarked(mark), 0);
}

TEST(TuttiRun, TimeoutEndsEverything) {
  std::string mark = newMark();
  Outcome outcome = run(mark + " " + kTutti + " run -n 2 --timeout 0.3 --grace 0.2 -- sh -c 'sleep 100'");
  EXPECT_EQ(outcome.status, 124);
  EXPECT_THAT(outcome.err, HasSubstr("--timeout"));
  EXPECT_EQ(countMarked(mark), 0);
}

TEST(TuttiRun, LeavesNoGrandchild) {
  std::string mark = newMark();
  Outcome outcome = run(mark + " " + kTutti +
                        " run -n 2 -- sh -c 'sleep 100 & setsid sleep 100 & (setsid sh -c \"sleep 100 & "
                        "sleep 100\" &) ; exit 0'");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(countMarked(mark), 0);
}

TEST(TuttiRun, KilledLeavesNoProcess) {
  std::string mark = newMark();
  Background job(mark + " exec " + kTutti +
                 " run -n 3 -- sh -c 'sleep 100 & setsid sleep 100 & echo rank $TUTTI_RANK pid $$ ready; "
                 "sleep 100; sleep 100'");
  for (int rank = 0; rank < 3; ++rank) ASSERT_TRUE(job.waitForOutput(fmt::format("rank {} pid", rank)));
  EXPECT_GE(countMarked(mark), 7);
  kill(job.pid(), SIGKILL);
  EXPECT_EQ(job.finish().status, 137);
  EXPECT_TRUE(waitForNone(mark)) << countMarked(mark) << " processes are left";
}

TEST(TuttiRun, StopsAndContinuesItsRanks) {
  Background job("exec " + kTutti +
                 " run -n 2 -- sh -c 'trap \"exit 0\" USR1; echo rank $TUTTI_RANK pid $$ ready; while :; do "
                 "sleep 0.05; done'");
  ASSERT_TRUE(job.waitForOutput("rank 0 pid"));
  ASSERT_TRUE(job.waitForOutput("rank 1 pid"));
  kill(job.pid(), SIGTSTP);
  auto reaches = [&](pid_t pid, bool stopped) {
    for (int i = 0; i < 500; ++i) {
      if ((stateOf(pid) == 'T') == stopped) return true;
      poll(nullptr, 0, 10);
    }
    return false;
  };
  EXPECT_TRUE(reaches(job.pid(), true));
  kill(job.pid(), SIGCONT);
  EXPECT_TRUE(reaches(job.pid(), false));
  kill(job.pid(), SIGUSR1);
  Outcome outcome = job.finish();
  EXPECT_EQ(outcome.status, 0) << "a rank was not continued";
  EXPECT_GT(pidOfRank(outcome.out, 0), 0);
}

TEST(TuttiRun, StartsManyMoreRanksThanCores) {
  Outcome outcome = run(kTutti + " run -n 64 -- sh -c 'echo $TUTTI_RANK'");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(sortedLines(outcome.out).size(), 64u);
}

TEST(TuttiRun, NestsWithoutMixingUp) {
  Outcome outcome = run(kTutti + " run -n 2 -- " + kTutti + " run -n 2 -- " + PROBE_BINARY + " check");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_EQ(sortedLines(outcome.out).size(), 4u);
}

TEST(TuttiRun, OtherVerbs) {
  EXPECT_EQ(run(kTutti + " --help").status, 0);
  EXPECT_THAT(run(kTutti + " --help").out, testing::AllOf(HasSubstr("run"), HasSubstr("doctor"),
                                                          HasSubstr("simulate"), Not(HasSubstr("trace"))));
  EXPECT_THAT(run(kTutti + " --version").out, HasSubstr("tutti 0."));
  EXPECT_THAT(run(kTutti + " help run").out, HasSubstr("--timeout"));
  EXPECT_EQ(run(kTutti).status, 2);
  EXPECT_EQ(run(kTutti + " nonsense").status, 2);
  Outcome trace = run(kTutti + " trace");
  EXPECT_EQ(trace.status, 2);
  EXPECT_THAT(trace.err, HasSubstr("not built yet"));
  EXPECT_THAT(run(kTutti + " doctor").out,
              testing::AllOf(HasSubstr("cores"), HasSubstr("SIMD"), HasSubstr("launcher")));
}

TEST(TuttiRun, ParamsSaysWhoSetThem) {
  Outcome one = run("NCCL_BUFFSIZE=1M " + kTutti + " params NCCL_BUFFSIZE");
  EXPECT_EQ(one.status, 0);
  EXPECT_THAT(one.out, testing::AllOf(HasSubstr("1M"), HasSubstr("environment"), HasSubstr("default 4M")));
  EXPECT_THAT(run(kTutti + " params").out, HasSubstr("TUTTI_COMM_ADDR"));
  Outcome set = run("NCCL_BUFFSIZE=1M " + kTutti + " params --set --json");
  EXPECT_THAT(set.out, testing::AllOf(HasSubstr("\"NCCL_BUFFSIZE\""), Not(HasSubstr("\"NCCL_ALGO\""))));
  Outcome wrong = run("NCCL_BUFFSIZE=plenty " + kTutti + " params NCCL_BUFFSIZE");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.out, HasSubstr("plenty"));
  EXPECT_EQ(run(kTutti + " params NCCL_NO_SUCH").status, 2);
}

}  // namespace
}  // namespace tutti::test
