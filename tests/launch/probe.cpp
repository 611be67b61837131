// A rank that exercises the launch room; what it does is the first argument. Exit status 0: all as expected,
// 3: an Exchange call failed (its error is on stdout), 4: wrong data.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "launch/launch.hpp"

using tutti::launch::Exchange;
using tutti::launch::World;

namespace {

int failed(const World& world, const tutti::Error& error) {
  fmt::print("rank {} error {} {}\n", world.rank, static_cast<int>(error.code()), error.message());
  std::fflush(stdout);
  return 3;
}

int wrong(const World& world, const std::string& what) {
  fmt::print("rank {} wrong {}\n", world.rank, what);
  return 4;
}

std::string contribution(int rank) {
  return std::string(static_cast<size_t>(rank % 7) * 11, 'a') + std::to_string(rank);
}

int check(const World& world, Exchange& exchange) {
  for (int root : {0, world.size - 1}) {
    char id[128];
    std::memset(id, world.rank == root ? 'r' + root % 5 : 0, sizeof(id));
    if (auto status = exchange.broadcast(id, sizeof(id), root); !status.ok())
      return failed(world, status.error());
    for (char byte : id) {
      if (byte != 'r' + root % 5) return wrong(world, "broadcast");
    }
  }
  auto all = exchange.allGather(contribution(world.rank));
  if (!all.ok()) return failed(world, all.error());
  if (static_cast<int>((*all).size()) != world.size) return wrong(world, "allGather's size");
  for (int rank = 0; rank < world.size; ++rank) {
    if ((*all)[rank] != contribution(rank)) return wrong(world, "allGather");
  }
  for (int i = 0; i < 3; ++i) {
    if (auto status = exchange.barrier(); !status.ok()) return failed(world, status.error());
  }
  return 0;
}

int withExchange(const World& world, const std::string& mode, int who) {
  if (mode == "absent" && world.rank == who) {
    pause();
    return 0;
  }
  if (mode == "leave" && world.rank == who) return 0;
  World claimed = world;
  if (mode == "double" && world.rank == who) claimed.rank = 0;
  if (mode == "size" && world.rank == who) ++claimed.size;
  int opens = mode == "twice" ? 2 : 1;
  for (int i = 0; i < opens; ++i) {
    auto exchange = Exchange::open(claimed);
    if (!exchange.ok()) return failed(world, exchange.error());
    if (mode == "die" && world.rank == who) kill(getpid(), SIGKILL);
    if (mode == "quit" && world.rank == who) _exit(0);
    if (mode == "lazy" && world.rank == who) {
      pause();
      return 0;
    }
    if (mode == "mismatch" && world.rank == who) {
      auto all = (*exchange)->allGather("x");
      return all.ok() ? 0 : failed(world, all.error());
    }
    if (int status = check(world, **exchange); status != 0) return status;
  }
  fmt::print("rank {} of {} local {} of {} by {} ok\n", world.rank, world.size, world.localRank,
             world.localSize, world.launcher);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "check";
  int who = argc > 2 ? std::atoi(argv[2]) : 0;
  if (mode == "help") {
    fmt::print("{}", tutti::launch::helpText());
    return 0;
  }
  auto world = tutti::launch::detect();
  if (!world.ok()) {
    fmt::print("detect error {}\n", world.error().message());
    return 3;
  }
  return withExchange(*world, mode, who);
}
