// Ranks as processes: death at any moment, brokering across processes, many of them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <optional>
#include <random>

#include "harness.hpp"
#include "processes.hpp"

namespace tutti::control::testing {
namespace {

using ::testing::HasSubstr;

std::vector<Child> startAll(const std::string& role, const std::vector<UniqueId>& ids, int n,
                            const std::string& argument = "") {
  std::vector<Child> children;
  for (int rank = 0; rank < n; ++rank) children.emplace_back(role, ids, rank, n, argument);
  return children;
}

/// Joins and says "joined"; on failure says why.
std::unique_ptr<ControlPlane> joinAs(const RoleContext& context, int64_t ms = 20'000) {
  auto plane = ControlPlane::join(joinOptions(context.ids, context.rank, context.nRanks, ms));
  if (!plane.ok()) {
    context.say("error: " + plane.error().message());
    return nullptr;
  }
  context.say("joined");
  return std::move(plane).value();
}

const Role kGathers("gathers", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  if (plane->peer(context.rank).pid != static_cast<uint32_t>(getpid())) return 3;
  for (int other = 0; other < context.nRanks; ++other) {
    if (!plane->sameHost(other) || plane->sameProcess(other) != (other == context.rank)) return 4;
    if (textOf(plane->infoOf(other)) != fmt::format("info of {}", other)) return 5;
  }
  for (int round = 0; round < 10; ++round) {
    auto all = plane->allGather(bytesOfText(std::to_string(context.rank + round)), within(20'000));
    if (!all.ok()) return 6;
    for (int other = 0; other < context.nRanks; ++other) {
      if (textOf(all.value()[static_cast<size_t>(other)]) != std::to_string(other + round)) return 7;
    }
  }
  plane->leave();
  return plane->faultWord().load() == 0 ? 0 : 8;
});

// Waits for a fault and says it.
int sayFault(const RoleContext& context, ControlPlane& plane) {
  if (!eventually([&] { return plane.faultWord().load(std::memory_order_acquire) != 0; })) return 9;
  context.say(plane.fault().text);
  return 0;
}

const Role kWaits("waits", [](const RoleContext& context) {
  auto plane = joinAs(context);
  return plane ? sayFault(context, *plane) : 2;
});

// Gathers until something ends it, then says what.
const Role kGathersOn("gathersOn", [](const RoleContext& context) {
  auto plane = joinAs(context, 1500);
  if (!plane) return 0;
  while (true) {
    auto all = plane->allGather({}, within(10'000));
    if (all.ok()) continue;
    context.say("error: " + all.error().message());
    return 0;
  }
});

TEST(Process, Gathers) {
  const UniqueId id = createUniqueId().value();
  for (Child& child : startAll("gathers", {id}, 9)) EXPECT_EQ(child.wait(), 0);
}

TEST(Process, SeveralRoots) {
  // Ids made in different processes: here and, by the same program, in the ranks' own processes is what
  // launchers do; two from here and the ranks elsewhere is the harder case, since no root is a rank.
  const std::vector<UniqueId> ids = {createUniqueId().value(), createUniqueId().value(),
                                     createUniqueId().value()};
  for (Child& child : startAll("gathers", ids, 7)) EXPECT_EQ(child.wait(), 0);
}

TEST(Process, DeathIsKnownToAll) {
  std::mt19937 random(7);
  for (const int n : {2, 3, 9}) {
    const UniqueId id = createUniqueId().value();
    auto children = startAll("waits", {id}, n);
    for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
    const int victim = static_cast<int>(random() % static_cast<unsigned>(n));
    const pid_t pid = children[static_cast<size_t>(victim)].pid();
    const int64_t start = nowNs();
    children[static_cast<size_t>(victim)].kill();
    for (int rank = 0; rank < n; ++rank) {
      if (rank == victim) continue;
      const std::string text = children[static_cast<size_t>(rank)].hear();
      EXPECT_THAT(text, HasSubstr(fmt::format("rank {} (", victim)));
      EXPECT_THAT(text, HasSubstr(fmt::format("pid {}) died", pid)));
    }
    RecordProperty("ms", std::to_string((nowNs() - start) / 1'000'000));
  }
}

TEST(Process, TwoDeathsAreKnownToAll) {
  constexpr int kRanks = 12;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("waits", {id}, kRanks);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  children[0].kill();
  children[1].kill();
  for (int rank = 2; rank < kRanks; ++rank) {
    const std::string text = children[static_cast<size_t>(rank)].hear();
    EXPECT_TRUE(text.find("rank 0 (") == 0 || text.find("rank 1 (") == 0) << text;
    EXPECT_THAT(text, HasSubstr("died"));
  }
}

TEST(Process, DeathAtAnyMoment) {
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    constexpr int kRanks = 5;
    const UniqueId id = createUniqueId().value();
    auto children = startAll("gathersOn", {id}, kRanks);
    const auto victim = static_cast<size_t>(random() % kRanks);
    const std::string name = fmt::format("{} (", victim);
    usleep(random() % 60'000);
    const pid_t pid = children[victim].pid();
    children[victim].kill();
    for (size_t rank = 0; rank < kRanks; ++rank) {
      if (rank == victim) continue;
      std::string text = children[rank].hear();
      if (text == "joined") text = children[rank].hear();
      const bool died = text.find("died") != std::string::npos &&
                        text.find(fmt::format("pid {})", pid)) != std::string::npos;
      const bool neverCame =
          text.find(fmt::format("rank {} of 5 did not check in", victim)) != std::string::npos;
      EXPECT_TRUE(died || neverCame) << "round " << round << " victim " << victim << ": " << text;
    }
  }
}

const Role kMakesId("makesId", [](const RoleContext& context) {
  std::string hex;
  const UniqueId id = createUniqueId().value();
  for (const uint8_t byte : id.bytes) hex += fmt::format("{:02x}", byte);
  context.say(hex);
  if (context.hear() != "join") return 1;
  RoleContext with = context;
  with.ids = {id};
  with.nRanks = 4;
  auto plane = joinAs(with, 1500);
  while (plane && plane->barrier(within(10'000)).ok()) {
  }
  return 0;
});

UniqueId idFromHex(const std::string& hex) {
  UniqueId id;
  if (hex.size() != 256) return id;
  for (size_t i = 0; i < 128; ++i)
    id.bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  return id;
}

// Rank 0 has made the id, as is usual, and its process dies at any moment.
TEST(Process, RankZeroWithTheRootDiesAtAnyMoment) {
  std::mt19937 random(5);
  for (int round = 0; round < 10; ++round) {
    Child root("makesId", {}, 0, 1);
    const UniqueId id = idFromHex(root.hear());
    std::vector<Child> children;
    for (int rank = 1; rank < 4; ++rank) children.emplace_back("gathersOn", std::vector{id}, rank, 4);
    root.say("join");
    usleep(random() % 30'000);
    const pid_t pid = root.pid();
    root.kill();
    for (Child& child : children) {
      std::string text = child.hear();
      if (text == "joined") text = child.hear();
      const bool died = text.find("died") != std::string::npos &&
                        text.find(fmt::format("pid {}", pid)) != std::string::npos;
      // A rank that came after the death finds nobody.
      const bool nobody =
          text.find("cannot reach the process that made the unique id") != std::string::npos ||
          text.find("died during initialisation") != std::string::npos;
      EXPECT_TRUE(died || nobody) << "round " << round << ": " << text;
    }
  }
}

TEST(Process, RootsProcessDiesDuringJoin) {
  Child root("makesId", {}, 0, 1);
  const std::string hex = root.hear();
  ASSERT_EQ(hex.size(), 256u);
  UniqueId id;
  for (size_t i = 0; i < 128; ++i)
    id.bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  std::vector<Child> children;
  children.emplace_back("gathers", std::vector{id}, 0, 3);
  children.emplace_back("gathers", std::vector{id}, 1, 3);
  usleep(200'000);
  const pid_t pid = root.pid();
  root.kill();
  for (Child& child : children) {
    const std::string text = child.hear();
    // On a busy machine a rank may come only after the death.
    if (text.find("cannot reach the process that made the unique id") != std::string::npos) continue;
    EXPECT_THAT(text, HasSubstr("died during initialisation"));
    EXPECT_THAT(text, HasSubstr(fmt::format("pid {}", pid)));
  }
}

const Role kLeavesOrWaits("leavesOrWaits", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  const std::string order = context.hear();
  if (order == "leave") {
    plane->leave();
    if (plane->faultWord().load() == 0) return 0;
    context.say(plane->fault().text);
    return 3;
  }
  if (order == "exit") {
    _exit(0);  // no leave()
  }
  return sayFault(context, *plane);
});

TEST(Process, LeavingIsNoDeathAndTheTreeHeals) {
  // 1 is the parent of 5 to 8, 0 of 1 to 4. When both have left and exited, those below must still hear of a
  // death elsewhere.
  constexpr int kRanks = 14;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("leavesOrWaits", {id}, kRanks);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  for (const size_t gone : {1u, 0u, 2u}) {
    children[gone].say("leave");
    EXPECT_EQ(children[gone].wait(), 0);
  }
  usleep(100'000);
  for (size_t rank = 3; rank < kRanks; ++rank) {
    if (rank != 13) children[rank].say("wait");
  }
  const pid_t pid = children[13].pid();
  children[13].kill();
  for (size_t rank = 3; rank < 13; ++rank) {
    EXPECT_THAT(children[rank].hear(), HasSubstr(fmt::format("pid {}) died", pid)));
    EXPECT_EQ(children[rank].wait(), 0);
  }
}

TEST(Process, AllLeaveAtOnce) {
  constexpr int kRanks = 16;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("leavesOrWaits", {id}, kRanks);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  for (Child& child : children) child.say("leave");
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
}

TEST(Process, ExitWithoutLeavingIsDeath) {
  const UniqueId id = createUniqueId().value();
  auto children = startAll("leavesOrWaits", {id}, 3);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  children[1].say("exit");
  children[0].say("wait");
  children[2].say("wait");
  EXPECT_THAT(children[0].hear(), HasSubstr("rank 1 ("));
  EXPECT_THAT(children[2].hear(), HasSubstr("rank 1 ("));
}

TEST(Process, StoppedIsNotDead) {
  const UniqueId id = createUniqueId().value();
  auto children = startAll("leavesOrWaits", {id}, 3);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  children[1].kill(SIGSTOP);
  usleep(500'000);
  children[1].kill(SIGCONT);
  for (Child& child : children) child.say("leave");
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
}

const Role kShrinks("shrinks", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  if (int status = sayFault(context, *plane); status != 0) return status;
  if (context.hear() != "derive") return 3;
  DeriveOptions options;
  for (int rank = context.nRanks - 1; rank >= 0; --rank) {
    if (rank != 0 && rank != 2) options.ranks.push_back(rank);
  }
  options.tag = 1;
  options.selfInfo = bytesOfText(std::to_string(context.rank));
  options.wait = within(10'000);
  auto derived = plane->derive(options);
  if (!derived.ok()) {
    context.say(derived.error().message());
    return 4;
  }
  for (int rank = 0; rank < derived.value()->nRanks(); ++rank) {
    if (textOf(derived.value()->infoOf(rank)) != std::to_string(options.ranks[static_cast<size_t>(rank)]))
      return 5;
  }
  plane.reset();
  if (!derived.value()->barrier(within(10'000)).ok()) return 6;
  context.say("derived");
  if (context.hear() == "wait") return sayFault(context, *derived.value());
  return 0;
});

TEST(Process, DeriveWithoutTheDead) {
  constexpr int kRanks = 9;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("shrinks", {id}, kRanks);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  children[0].kill();
  children[2].kill();
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank == 2) continue;
    EXPECT_THAT(children[static_cast<size_t>(rank)].hear(), HasSubstr("died"));
  }
  for (int rank = 1; rank < kRanks; ++rank) children[static_cast<size_t>(rank)].say("derive");
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank == 2) continue;
    EXPECT_EQ(children[static_cast<size_t>(rank)].hear(), "derived") << rank;
  }
  // And the new communicator has a failure detector of its own.
  const pid_t pid = children[5].pid();
  children[5].kill();
  for (int rank = 1; rank < kRanks; ++rank) children[static_cast<size_t>(rank)].say("wait");
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank == 2 || rank == 5) continue;
    const std::string text = children[static_cast<size_t>(rank)].hear();
    EXPECT_THAT(text, HasSubstr(fmt::format("pid {}", pid)));
    EXPECT_THAT(text, HasSubstr("died"));
  }
}

TEST(Process, DeathDuringDerive) {
  constexpr int kRanks = 9;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("shrinks", {id}, kRanks);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  children[0].kill();
  children[2].kill();
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank == 2) continue;
    ASSERT_THAT(children[static_cast<size_t>(rank)].hear(), HasSubstr("died"));
  }
  // 5 never calls derive, and dies while the others are in it.
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank != 5) children[static_cast<size_t>(rank)].say("derive");
  }
  usleep(100'000);
  const pid_t pid = children[5].pid();
  children[5].kill();
  for (int rank = 1; rank < kRanks; ++rank) {
    if (rank == 2 || rank == 5) continue;
    const std::string text = children[static_cast<size_t>(rank)].hear();
    EXPECT_THAT(text, HasSubstr(fmt::format("pid {}", pid)));
    EXPECT_THAT(text, HasSubstr("died"));
  }
}

const Role kBrokers("brokers", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  const int n = context.nRanks;
  const int next = (context.rank + 1) % n;
  const int previous = (context.rank + n - 1) % n;
  // Streams: a ring; even ranks open first, odd ones accept first.
  std::optional<UniqueFd> out;
  std::optional<UniqueFd> in;
  for (int turn = 0; turn < 2; ++turn) {
    auto fd = (turn == context.rank % 2) ? plane->acceptStream(previous, 7, within(10'000))
                                         : plane->openStream(next, 7, within(10'000));
    if (!fd.ok()) {
      context.say(fd.error().message());
      return 3;
    }
    ((turn == context.rank % 2) ? in : out) = std::move(fd).value();
  }
  const int mine = context.rank;
  int theirs = -1;
  if (write(out->get(), &mine, sizeof(mine)) != sizeof(mine)) return 4;
  if (read(in->get(), &theirs, sizeof(theirs)) != sizeof(theirs) || theirs != previous) return 5;
  // Descriptors: rank r offers memory that holds r, late if r is odd.
  if (context.rank % 2) usleep(50'000);
  UniqueFd memory(memfd_create("test", MFD_CLOEXEC));
  if (write(memory.get(), &mine, sizeof(mine)) != sizeof(mine)) return 6;
  plane->offerFd(5, std::move(memory));
  for (int other = 0; other < n; ++other) {
    auto fd = plane->fetchFd(other, 5, within(10'000));
    if (!fd.ok()) {
      context.say(fd.error().message());
      return 7;
    }
    if (pread(fd.value().get(), &theirs, sizeof(theirs), 0) != sizeof(theirs) || theirs != other) return 8;
  }
  if (!plane->barrier(within(10'000)).ok()) return 9;
  plane->leave();
  return 0;
});

TEST(Process, StreamsAndDescriptors) {
  const UniqueId id = createUniqueId().value();
  for (Child& child : startAll("brokers", {id}, 4))
    EXPECT_EQ(child.wait(), 0) << child.hear() << child.hear();
}

const Role kHosts("hosts", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  const bool rightly =
      plane->sameHost(0) == (context.rank % 2 == 0) && plane->sameHost(1) == (context.rank % 2 == 1);
  const bool refused = !plane->fetchFd(1 - context.rank % 2, 1, within(100)).ok();
  const bool streams =
      context.rank > 1 || (context.rank == 0 ? plane->openStream(1, 1, within(10'000)).ok()
                                             : plane->acceptStream(0, 1, within(10'000)).ok());
  if (!plane->barrier(within(10'000)).ok()) return 3;
  plane->leave();
  return rightly && refused && streams ? 0 : 4;
});

TEST(Process, HostIdIsObeyed) {
  const UniqueId id = createUniqueId().value();
  std::vector<Child> children;
  for (int rank = 0; rank < 4; ++rank) {
    children.emplace_back("hosts", std::vector{id}, rank, 4, "",
                          std::vector{fmt::format("NCCL_HOSTID=host{}", rank % 2)});
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0);
}

const Role kNamed("named", [](const RoleContext& context) {
  for (int round = 0; round < 5; ++round) {
    auto id = createUniqueId();
    if (!id.ok()) return 2;
    RoleContext with = context;
    with.ids = {id.value()};
    auto plane = joinAs(with);
    if (!plane) return 3;
    if (!plane->barrier(within(10'000)).ok()) return 4;
  }
  return 0;
});

TEST(Process, CommIdFromTheEnvironment) {
  // A port that was free a moment ago.
  UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(probe.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string setting = fmt::format("NCCL_COMM_ID=127.0.0.1:{}", ntohs(address.sin_port));
  std::vector<Child> children;
  probe.reset();
  for (const int rank : {3, 1, 2, 0}) {
    children.emplace_back("named", std::vector<UniqueId>{}, rank, 4, "",
                          std::vector{setting, std::string("NCCL_SOCKET_IFNAME=lo")});
  }
  for (Child& child : children) EXPECT_EQ(child.wait(), 0) << child.hear();
}

const Role kForks("forks", [](const RoleContext& context) {
  auto plane = joinAs(context);
  if (!plane) return 2;
  if (context.rank != 1) return sayFault(context, *plane);
  const pid_t child = fork();
  if (child == 0) {
    // The communicator is the parent's; a new one can be made; and this process must not keep the parent's
    // sockets open.
    const bool refused = !plane->barrier(within(1000)).ok() && !plane->allGather({}, within(1000)).ok();
    plane.reset();
    auto id = createUniqueId();
    auto own = id.ok() ? ControlPlane::join(joinOptions({id.value()}, 0, 1, 5000)) : std::move(id).error();
    context.say(refused && own.ok() && own.value()->barrier(within(5000)).ok() ? "child fine"
                                                                               : "child failed");
    usleep(3'000'000);
    _exit(0);
  }
  pause();
  return 0;
});

#if defined(__SANITIZE_THREAD__)
#define TUTTI_SKIP_FORK_UNDER_TSAN GTEST_SKIP() << "no threads after fork under ThreadSanitizer"
#else
#define TUTTI_SKIP_FORK_UNDER_TSAN (void)0
#endif

TEST(Process, ForkedChildDoesNotHideDeath) {
  TUTTI_SKIP_FORK_UNDER_TSAN;
  const UniqueId id = createUniqueId().value();
  auto children = startAll("forks", {id}, 3);
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  EXPECT_EQ(children[1].hear(), "child fine");
  const pid_t pid = children[1].pid();
  children[1].kill();
  EXPECT_THAT(children[0].hear(), HasSubstr(fmt::format("pid {}) died", pid)));
  EXPECT_THAT(children[2].hear(), HasSubstr(fmt::format("pid {}) died", pid)));
}

TEST(Process, Many) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int kRanks = 24;
#else
  constexpr int kRanks = 512;
#endif
  const UniqueId id = createUniqueId().value();
  const int64_t start = nowNs();
  auto children = startAll("leavesOrWaits", {id}, kRanks);
  const int64_t started = nowNs();
  for (Child& child : children) ASSERT_EQ(child.hear(), "joined");
  const int64_t joined = nowNs();
  for (Child& child : children) child.say("leave");
  for (Child& child : children) EXPECT_EQ(child.wait(), 0) << child.hear();
  const int64_t ended = nowNs();
  fmt::print("{} processes: started in {} ms, joined {} ms later, left and ended {} ms later\n", kRanks,
             (started - start) / 1'000'000, (joined - started) / 1'000'000, (ended - joined) / 1'000'000);
}

}  // namespace
}  // namespace tutti::control::testing
