// kill -9 of a random rank at a random moment between the start of bring-up and the end of the process: every
// survivor either finishes or returns an error that names the dead rank and what was called, and none hangs.
// The seed is printed; TUTTI_TEST_SEED repeats a run, TUTTI_TEST_DEATHS makes it longer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "deaths.hpp"
#include "operations.hpp"
#include "ranks.hpp"

namespace {

int setting(const char* name, int otherwise) {
  const char* text = getenv(name);
  return text != nullptr ? atoi(text) : otherwise;
}

/// Some work of every kind, then an orderly end. The first error ends it.
std::string live(int rank, int n, ncclComm_t comm, unsigned seed) {
  std::mt19937 random(seed);  // the same on all ranks
  for (int i = 0; i < 40; ++i) {
    const ops::Operation o = ops::randomOperation(random, n, 3000);
    ops::Part part(o, rank, n);
    RANK_TRY(ncclGroupStart());
    RANK_TRY(part.issue(comm));
    RANK_TRY(ncclGroupEnd());
    if (std::string wrong = part.check(); !wrong.empty()) return wrong;
    RANK_TRY(ncclGroupStart());
    int out = rank;
    int in = -1;
    RANK_TRY(ncclSend(&out, 1, ncclInt32, (rank + 1) % n, comm, nullptr));
    RANK_TRY(ncclRecv(&in, 1, ncclInt32, (rank + n - 1) % n, comm, nullptr));
    RANK_TRY(ncclGroupEnd());
  }
  RANK_TRY(ncclCommFinalize(comm));
  return "";
}

struct Setup {
  const char* transport;
  int n;
};

class RandomDeath : public ::testing::TestWithParam<Setup> {};

TEST_P(RandomDeath, SurvivorsFinishOrNameTheDead) {
  const char* transport = GetParam().transport;
  const int n = GetParam().n;
  ranks::Settings settings({{"TUTTI_TRANSPORT", transport}, {"TUTTI_INIT_TIMEOUT_MS", "5000"}});
  const auto seed =
      static_cast<unsigned>(setting("TUTTI_TEST_SEED", static_cast<int>(std::random_device{}())));
  std::mt19937 random(seed);
  double worstMs = 0;
  int told = 0;
  const int rounds = setting("TUTTI_TEST_DEATHS", 25);
  for (int round = 0; round < rounds; ++round) {
    const int victim = static_cast<int>(random() % static_cast<unsigned>(n));
    const int afterUs = static_cast<int>(random() % 60'000);
    const unsigned work = static_cast<unsigned>(random());
    deaths::Board& board = deaths::freshBoard();
    const std::string wrong = ranks::asProcesses(
        n,
        [&](int rank, int, ncclComm_t comm) -> std::string {
          const std::string error = live(rank, n, comm, work);
          if (error.empty() || board.diedMs == 0) return error;
          return deaths::judge(board, error, victim, "");
        },
        victim,
        [&](int rank) {
          if (rank == victim) deaths::dieIn(board, afterUs);
        });
    worstMs = std::max(worstMs, board.worstMs.load());
    if (board.worstMs > 0) ++told;
    // What init says is not judged above; a rank that the victim's end kept from coming up says so here.
    std::string rest;
    for (size_t at = 0, end; (end = wrong.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::string line = wrong.substr(at, end - at);
      const std::string error = line.substr(line.find(": "));
      const bool ofInit = error.find("ncclCommInitRank") != std::string::npos;
      const bool byId = victim == 0 && error.find("process that made the unique id") != std::string::npos;
      const bool atEnd = error.find("ncclCommDestroy") != std::string::npos;
      if ((ofInit || atEnd) && (deaths::names(error, victim) || byId)) continue;
      rest += line + "\n";
    }
    EXPECT_EQ(rest, "") << "seed " << seed << ", round " << round << ": rank " << victim << " of " << n
                        << " died after " << afterUs << " us, " << transport;
  }
  printf(
      "  %s, %d ranks, seed %u: %d deaths, in %d of them a call failed, last survivor told after %.1f ms\n",
      transport, n, seed, rounds, told, worstMs);
  EXPECT_LT(worstMs, deaths::kHangMs);
}

INSTANTIATE_TEST_SUITE_P(Transports, RandomDeath,
                         ::testing::Values(Setup{"auto", 3}, Setup{"auto", 6}, Setup{"tcp", 3}));

}  // namespace
