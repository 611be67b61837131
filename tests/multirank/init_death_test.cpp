// kill -9 of a process before it has come to the others: under `tutti run` the survivors' ncclCommInitRank
// ends with an error that names it, long before TUTTI_INIT_TIMEOUT_MS. The unique id travels by a file, so
// that nothing but the launcher can know.
//
// The ranks are this program again, as the test InitDeath.DISABLED_Rank. The seed is printed;
// TUTTI_TEST_SEED repeats a run.
#include <gtest/gtest.h>
#include <nccl.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "deaths.hpp"

namespace {

namespace fs = std::filesystem;

int number(const char* name) {
  const char* text = getenv(name);
  return text != nullptr ? atoi(text) : 0;
}

/// Writes the id so that it is there in full or not at all.
void writeId(const fs::path& path, const ncclUniqueId& id) {
  std::ofstream(path.string() + ".new", std::ios::binary).write(id.internal, sizeof(id.internal));
  fs::rename(path.string() + ".new", path);
}

TEST(InitDeath, DISABLED_Rank) {
  const int rank = number("TUTTI_RANK");
  const int n = number("TUTTI_SIZE");
  const int victim = number("INIT_DEATH_VICTIM");
  const fs::path path = getenv("INIT_DEATH_FILE");
  if (rank == victim) {
    std::thread([] {
      usleep(number("INIT_DEATH_US"));
      kill(getpid(), SIGKILL);
    }).detach();
  }
  ncclUniqueId id{};
  if (rank == 0) {
    ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
    writeId(path, id);
  }
  for (int i = 0; !fs::exists(path); ++i) {
    // Rank 0 has died before it wrote: a launcher's business, not the library's.
    if (i == 2000) _exit(9);
    usleep(1000);
  }
  std::ifstream(path, std::ios::binary).read(id.internal, sizeof(id.internal));
  if (rank == victim && number("INIT_DEATH_LATE") != 0) pause();
  ncclComm_t comm = nullptr;
  const double began = deaths::nowMs();
  const ncclResult_t result = ncclCommInitRank(&comm, n, id, rank);
  printf("RANK %d RESULT %d AFTER %.0f ms: %s\n", rank, static_cast<int>(result), deaths::nowMs() - began,
         result == ncclSuccess ? "" : ncclGetLastError(nullptr));
  fflush(stdout);
  // What follows init is another test's business; an end in order needs a moment to get round.
  if (result == ncclSuccess) usleep(500'000);
  _exit(result == ncclSuccess ? 0 : 3);
}

struct Line {
  int rank = -1;
  int result = -1;
  int ms = 0;
  std::string text;
};

struct Outcome {
  int status = -1;
  std::vector<Line> lines;
};

Outcome runRanks(int n, int victim, int afterUs, bool late, std::string& all) {
  const std::string file =
      (fs::temp_directory_path() / ("tutti-init-death-" + std::to_string(getpid()))).string();
  fs::remove(file);
  std::ostringstream command;
  command << "env INIT_DEATH_FILE=" << file << " INIT_DEATH_VICTIM=" << victim << " INIT_DEATH_US=" << afterUs
          << " INIT_DEATH_LATE=" << late
          << " TUTTI_INIT_TIMEOUT_MS=100000 " TUTTI_BINARY " run --grace 120 -n " << n << " -- "
          << fs::read_symlink("/proc/self/exe").string()
          << " --gtest_also_run_disabled_tests --gtest_filter=InitDeath.DISABLED_Rank 2>&1";
  FILE* pipe = popen(command.str().c_str(), "r");
  Outcome outcome;
  char buffer[8192];
  while (pipe != nullptr && fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    all += buffer;
    Line line;
    char text[4096] = "";
    if (sscanf(buffer, "RANK %d RESULT %d AFTER %d ms: %4095[^\n]", &line.rank, &line.result, &line.ms,
               text) < 3)
      continue;
    line.text = text;
    outcome.lines.push_back(line);
  }
  outcome.status = WEXITSTATUS(pclose(pipe));
  fs::remove(file);
  return outcome;
}

TEST(InitDeath, ThatTheLauncherAloneSees) {
  int worstMs = 0;
  for (int victim : {0, 1, 3}) {
    std::string all;
    const auto [status, lines] = runRanks(4, victim, 50'000, true, all);
    EXPECT_EQ(status, 128 + SIGKILL) << all;
    EXPECT_EQ(lines.size(), 3u) << all;
    for (const Line& line : lines) {
      EXPECT_EQ(line.result, ncclRemoteError) << line.text;
      // Rank 0 made the id: its end is noticed by itself.
      const bool byId =
          victim == 0 && line.text.find("the process that made the unique id") != std::string::npos;
      EXPECT_TRUE(byId || deaths::names(line.text, victim)) << line.text;
      EXPECT_TRUE(byId || line.text.find("signal 9") != std::string::npos) << line.text;
      worstMs = std::max(worstMs, line.ms);
    }
  }
  printf("  last survivor out of ncclCommInitRank after %d ms\n", worstMs);
  EXPECT_LT(worstMs, deaths::kHangMs);
}

TEST(InitDeath, AtARandomMoment) {
  constexpr int kRounds = 20;
  const char* text = getenv("TUTTI_TEST_SEED");
  const auto seed = text != nullptr ? static_cast<unsigned>(atoi(text)) : std::random_device{}();
  std::mt19937 random(seed);
  int worstMs = 0;
  int told = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int n = 2 + static_cast<int>(random() % 4);
    const int victim = 1 + static_cast<int>(random() % static_cast<unsigned>(n - 1));
    const int afterUs = static_cast<int>(random() % 40'000);
    std::string all;
    const auto [status, lines] = runRanks(n, victim, afterUs, false, all);
    EXPECT_EQ(status, 128 + SIGKILL) << all;
    for (const Line& line : lines) {
      if (line.result == ncclSuccess) continue;  // it died behind the end of init
      EXPECT_TRUE(deaths::names(line.text, victim))
          << "seed " << seed << ", round " << round << ", rank " << victim << " of " << n << " died after "
          << afterUs << " us: " << all;
      worstMs = std::max(worstMs, line.ms);
      ++told;
    }
  }
  printf("  seed %u: %d survivors told, the last after %d ms\n", seed, told, worstMs);
  EXPECT_LT(worstMs, deaths::kHangMs);
}

}  // namespace
