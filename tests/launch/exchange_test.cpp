// Exchange between real processes: what it delivers, and whom it names when it cannot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.hpp"
#include "core/result.hpp"

namespace tutti::test {
namespace {

using testing::HasSubstr;

const std::string kTutti = TUTTI_BINARY;
const std::string kProbe = PROBE_BINARY;

int count(const std::string& text, const std::string& what) {
  int found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

int freePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) return 0;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return ntohs(address.sin_port);
}

TEST(Exchange, AloneWithoutLauncher) {
  Outcome outcome = run(kProbe + " check");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr("rank 0 of 1 local 0 of 1 by none ok"));
}

TEST(Exchange, UnderTuttiRun) {
  for (int ranks : {1, 2, 3, 64}) {
    Outcome outcome = run(fmt::format("{} run -n {} -- {} check", kTutti, ranks, kProbe));
    EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
    EXPECT_EQ(count(outcome.out, " by tutti run ok"), ranks);
  }
}

TEST(Exchange, SeveralInARow) {
  Outcome outcome = run(fmt::format("{} run -n 3 -- sh -c '{} twice && {} check'", kTutti, kProbe, kProbe));
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_EQ(count(outcome.out, " ok"), 6);
}

TEST(Exchange, NamesWhoIsMissing) {
  Outcome outcome =
      run(fmt::format("TUTTI_INIT_TIMEOUT_MS=400 {} run -n 4 --grace 0.5 -- {} absent 2", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(count(outcome.out, "for rank 2 of 4"), 3) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("TUTTI_INIT_TIMEOUT_MS"));
}

TEST(Exchange, NamesWhoDoesNotCall) {
  Outcome outcome =
      run(fmt::format("TUTTI_INIT_TIMEOUT_MS=400 {} run -n 3 --grace 0.5 -- {} lazy 1", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(count(outcome.out, "for rank 1 of 3 to call broadcast"), 2) << outcome.out;
}

TEST(Exchange, NamesWhoHasEnded) {
  Outcome outcome = run(fmt::format("{} run -n 3 -- {} leave 1", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(count(outcome.out, "the process of rank 1 has ended"), 2) << outcome.out;
  outcome = run(fmt::format("{} run -n 3 -- {} quit 2", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(count(outcome.out, "rank 2"), 2) << outcome.out;
  outcome = run(fmt::format("{} run -n 3 -- {} die 1", kTutti, kProbe));
  EXPECT_EQ(count(outcome.out, "rank 1"), 2) << outcome.out;
  EXPECT_THAT(outcome.err, testing::ContainsRegex("rank . of 3"));
}

TEST(Exchange, TellsTwoClaimsAndOtherSizes) {
  Outcome outcome = run(fmt::format("{} run -n 3 -- {} double 1", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_GE(count(outcome.out, "two processes say that they are rank 0 of 3"), 2) << outcome.out;
  outcome = run(fmt::format("{} run -n 3 -- {} size 1", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_GE(count(outcome.out, "rank 1 says that there are 4 ranks, others say 3"), 1) << outcome.out;
}

TEST(Exchange, TellsWhoCallsSomethingElse) {
  Outcome outcome = run(fmt::format("{} run -n 3 -- {} mismatch 1", kTutti, kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_GE(count(outcome.out, "allGather (root 0)"), 3) << outcome.out;
}

TEST(Exchange, ByHandAtAnAddress) {
  for (const char* variable : {"TUTTI_COMM_ADDR", "NCCL_COMM_ID"}) {
    std::string common = fmt::format("TUTTI_SIZE=2 {}=127.0.0.1:{} ", variable, freePort());
    Background first(common + "TUTTI_RANK=1 exec " + kProbe + " twice");
    Outcome zero = run(common + "TUTTI_RANK=0 " + kProbe + " twice");
    EXPECT_EQ(zero.status, 0) << zero.out;
    EXPECT_EQ(first.finish().status, 0);
  }
  Outcome wrong = run("TUTTI_SIZE=2 TUTTI_RANK=0 TUTTI_COMM_ADDR=nowhere " + kProbe + " check");
  EXPECT_EQ(wrong.status, 3);
  EXPECT_THAT(wrong.out, HasSubstr("TUTTI_COMM_ADDR: 'nowhere' is not host:port"));
  Outcome without = run("TUTTI_SIZE=2 TUTTI_RANK=0 " + kProbe + " check");
  EXPECT_THAT(without.out, HasSubstr("Set TUTTI_COMM_ADDR=host:port"));
}

TEST(Exchange, DropsWhoDoesNotKnowTheSecret) {
  std::string common =
      fmt::format("TUTTI_INIT_TIMEOUT_MS=1000 TUTTI_SIZE=2 TUTTI_COMM_ADDR=127.0.0.1:{} ", freePort());
  Background stranger(common + "TUTTI_RENDEZVOUS_SECRET=guess TUTTI_RANK=1 exec " + kProbe + " check");
  Outcome zero = run(common + "TUTTI_RENDEZVOUS_SECRET=right TUTTI_RANK=0 " + kProbe + " check");
  EXPECT_EQ(zero.status, 3);
  EXPECT_THAT(zero.out, HasSubstr("for rank 1 of 2"));
  EXPECT_EQ(stranger.finish().status, 3);
}

TEST(Exchange, RankZeroMissing) {
  Outcome outcome = run(
      fmt::format("TUTTI_INIT_TIMEOUT_MS=300 TUTTI_SIZE=2 TUTTI_RANK=1 TUTTI_COMM_ADDR=127.0.0.1:{} {} check",
                  freePort(), kProbe));
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.out, HasSubstr("rank 0 has not come"));
}

TEST(Exchange, SlurmVariables) {
  std::string job = fmt::format("SLURM_JOB_ID={} SLURM_STEP_ID=0 SLURM_NTASKS=2 ", getpid());
  // One node, then two.
  for (const char* nodes : {"SLURM_NNODES=1 SLURM_LOCALID=$R",
                            "SLURM_NNODES=2 SLURM_LOCALID=0 SLURM_NODEID=$R SLURM_TASKS_PER_NODE='1(x2)' "
                            "SLURM_STEP_NODELIST='127.0.0.[1-2]'"}) {
    Outcome outcome =
        run(fmt::format("for R in 0 1; do {} SLURM_PROCID=$R {} {} check & done; wait", job, nodes, kProbe));
    EXPECT_EQ(count(outcome.out, " by slurm ok"), 2) << outcome.out << outcome.err;
  }
}

}  // namespace
}  // namespace tutti::test
