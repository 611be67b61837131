// `tutti verify`: proves the built-in algorithms, or plans that a user wrote.
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "algos/verify_matrix.hpp"
#include "core/bytes.hpp"
#include "parse.hpp"
#include "plan/plan_json.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using namespace algos;  // NOLINT

/// "64" or "2-64". A single rank has nothing to exchange and counts from two.
bool parseRange(const std::string& text, int& low, int& high) {
  const size_t dash = text.find('-');
  auto first = parseInteger(text.substr(0, dash));
  auto last = dash == std::string::npos ? first : parseInteger(text.substr(dash + 1));
  if (!first || !last || *first < 1 || *last < *first || *last > 4096 || *last < 2) return false;
  low = static_cast<int>(std::max<int64_t>(2, *first));
  high = static_cast<int>(*last);
  return true;
}

int verifyBuiltin(const MatrixOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<MatrixRow> rows = verifyMatrix(options);
  uint64_t cases = 0, failed = 0, plays = 0;
  fmt::print("{:<12} {:<14} {:>8} {:>8} {:>12}\n", "algorithm", "collective", "cases", "wrong",
             "steps played");
  for (const MatrixRow& row : rows) {
    cases += row.cases;
    failed += row.failed;
    plays += row.plays;
    fmt::print("{:<12} {:<14} {:>8} {:>8} {:>12}\n", nameOf(row.algorithm), nameOf(row.collective), row.cases,
               row.failed, row.plays);
    if (row.failed > 0) fmt::print("    {}\n", row.firstFailure);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{:<12} {:<14} {:>8} {:>8} {:>12}  {:.1f} s: {}\n", "total", "", cases, failed, plays, seconds,
             failed == 0 ? "all proved" : "NOT PROVED");
  return failed == 0 && cases > 0 ? kExitOk : kExitFailed;
}

int verifyFile(const std::string& name, const VerifyOptions& options) {
  std::stringstream text;
  if (name == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream file(name);
    if (!file) {
      fmt::print(stderr, "tutti verify: {} is neither an algorithm nor a file that can be read\n", name);
      return kExitUsage;
    }
    text << file.rdbuf();
  }
  Result<std::vector<Plan>> plans = readPlans(text.str());
  if (!plans.ok()) {
    fmt::print(stderr, "tutti verify: {}: {}\n", name, plans.error().message());
    return kExitFailed;
  }
  VerifyStats stats;
  VerifyOptions all = options;
  all.stats = &stats;
  if (Status status = verifyPlans(*plans, all); !status.ok()) {
    fmt::print("{}: WRONG: {}\n", name, status.error().message());
    return kExitFailed;
  }
  const Request& request = plans->front().request;
  fmt::print(
      "{}: proved: {} of {} elements on {} ranks; {} steps played, {} messages of {} elements in all, {} "
      "elements published, {} read off boards\n",
      name, nameOf(request.collective), request.count, request.nRanks, stats.plays, stats.messages,
      stats.elementsSent, stats.elementsPublished, stats.elementsRead);
  return kExitOk;
}

}  // namespace

int verifyMain(int argc, char** argv) {
  CLI::App app{
      "Plays plans on symbols and proves them: every output element holds each contribution that it should "
      "exactly "
      "once, results are bitwise equal on all ranks, no deadlock, no race, nothing out of bounds.",
      "tutti verify"};
  std::string what, ranks = "1-64";
  bool everything = false;
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  VerifyOptions options;
  app.add_option("ALGO|FILE", what,
                 "an algorithm, or a file with the plans of all ranks as `tutti plan --rank all` writes "
                 "them, text or JSON; - "
                 "is "
                 "the standard input");
  app.add_flag("--all", everything, "all algorithms");
  app.add_option("--ranks", ranks, "rank counts of the matrix: 64 or 1-64")->capture_default_str();
  app.add_option("--threads", threads, "threads to use")->check(CLI::Range(1, 1024));
  app.add_option("--depth", options.limits.depth, "of a file: slots of a FIFO")->capture_default_str();
  app.add_option("--slot-bytes", options.limits.slotBytes, "of a file: payload of a slot")
      ->capture_default_str();
  app.add_option("--board-bytes", options.limits.boardBytes, "of a file: payload of a board")
      ->capture_default_str();
  app.add_option("--ll-bytes", options.limits.llBytes, "of a file: payload of an LL message")
      ->capture_default_str();
  if (auto status = parse(app, "verify", argc, argv)) return *status;

  if (everything == !what.empty()) {
    fmt::print(stderr, "tutti verify: say --all, an algorithm, or a file\n");
    return kExitUsage;
  }
  MatrixOptions matrix;
  matrix.threads = static_cast<int>(threads);
  if (!parseRange(ranks, matrix.minRanks, matrix.maxRanks)) {
    fmt::print(stderr, "tutti verify: --ranks {} is not like 64 or 1-64 (at most 4096)\n", ranks);
    return kExitUsage;
  }
  if (everything) return verifyBuiltin(matrix);
  if (auto algorithm = algorithmFromName(what)) {
    matrix.algorithms = {*algorithm};
    return verifyBuiltin(matrix);
  }
  return verifyFile(what, options);
}

}  // namespace tutti::tools
