#include "algos/verify_matrix.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "algos/algorithm.hpp"

namespace tutti::algos {
namespace {

constexpr DataType kTypes[] = {DataType::Float32, DataType::Int8, DataType::Float64, DataType::Bfloat16};

// Beyond this, a case takes seconds: fewer counts, one protocol.
constexpr int kManyRanks = 256;

bool isLogarithmic(Algorithm algorithm) {
  return algorithm == Algorithm::Tree || algorithm == Algorithm::RecursiveDoubling ||
         (algorithm >= Algorithm::RecursiveHalving && algorithm != Algorithm::Forest);
}

/// Ranks that send little, much and nothing: block sizes that have nothing to do with each other.
std::vector<size_t> unevenCounts(int nRanks, size_t most) {
  std::vector<size_t> counts;
  for (int from = 0; from < nRanks; ++from) {
    for (int to = 0; to < nRanks; ++to) {
      counts.push_back(static_cast<size_t>(from * 7 + to * 13) % 5 == 0 ? 0
                                                                        : (from * 31 + to * 17) % (most + 1));
    }
  }
  return counts;
}

std::string titleOf(const Request& r, Algorithm algorithm, Protocol protocol, bool uneven) {
  return fmt::format("{} {}/{} ranks={} count={}{} type={} root={}{}", nameOf(r.collective),
                     nameOf(algorithm), nameOf(protocol), r.nRanks, r.count, uneven ? " (uneven)" : "",
                     nameOf(r.type), r.root, r.inPlace ? " in place" : "");
}

class Matrix {
 public:
  explicit Matrix(const MatrixOptions& options) : options_(options) {}

  /// One rank count of one algorithm and collective.
  MatrixRow verifyOne(const Builder& builder, Collective collective, int nRanks, bool large) const {
    MatrixRow row;
    row.algorithm = builder.algorithm;
    row.collective = collective;
    Request request;
    request.collective = collective;
    request.nRanks = nRanks;
    request.type = kTypes[nRanks % std::size(kTypes)];
    const Limits limits = matrixLimits(nRanks);
    // Each plan of a forest is found by playing all of it.
    const bool few = large || (builder.algorithm == Algorithm::Forest && nRanks > 24);
    for (Protocol protocol : {Protocol::Simple, Protocol::LL}) {
      request.count = 1;
      request.root = 0;
      request.inPlace = false;
      if (!builder.supports(request, protocol, limits)) continue;
      if (protocol == Protocol::LL && (nRanks > kManyRanks || (few && !large))) continue;
      const Plan shape = builder.build(request, protocol, 0, limits);
      std::vector<size_t> counts = matrixCounts(shape);
      if (!few) {
        // Where the shape follows the count, what large counts change too.
        request.count = 100'000;
        for (size_t count : matrixCounts(builder.build(request, protocol, 0, limits)))
          counts.push_back(count);
        std::sort(counts.begin(), counts.end());
        counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
      }
      if (few) counts = {counts.front(), counts[counts.size() / 2]};
      if (few && nRanks <= kManyRanks) counts.push_back(matrixCounts(shape).back());
      std::vector<int> roots = {0};
      if (hasRoot(collective)) roots = {0, nRanks / 2, nRanks - 1};
      roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
      const bool canAlias = collective != Collective::AllToAll && collective != Collective::AllToAllV;
      for (size_t count : counts) {
        request.count = count;
        for (int root : roots) {
          request.root = root;
          for (bool inPlace : {false, true}) {
            if (inPlace && !canAlias) continue;
            request.inPlace = inPlace;
            verify(row, request, protocol, limits, {});
          }
        }
        if (collective == Collective::AllToAllV) {
          verify(row, request, protocol, limits, unevenCounts(nRanks, count));
        }
      }
    }
    return row;
  }

 private:
  void verify(MatrixRow& row, const Request& request, Protocol protocol, const Limits& limits,
              std::vector<size_t> counts) const {
    const bool uneven = !counts.empty();
    VerifyStats stats;
    VerifyOptions verifyOptions;
    verifyOptions.limits = limits;
    verifyOptions.counts = std::move(counts);
    verifyOptions.stats = &stats;
    Status status;
    Result<std::vector<Plan>> plans = buildPlans(request, row.algorithm, protocol, limits);
    if (plans.ok()) {
      if (options_.change) options_.change(*plans);
      status = verifyPlans(*plans, verifyOptions);
    } else {
      status = std::move(plans).error();
    }
    ++row.cases;
    row.plays += stats.plays;
    if (status.ok()) return;
    if (row.failed++ == 0) {
      row.firstFailure = titleOf(request, row.algorithm, protocol, uneven) + ": " + status.error().message();
    }
  }

  const MatrixOptions& options_;
};

/// A binary tree and a chain from each rank, or the tree alone: enough to be played, not to be fast.
std::shared_ptr<const ForestTrees> matrixForest(int n) {
  auto forest = std::make_shared<ForestTrees>();
  forest->perRank = 1 + n % 2;
  for (int root = 0; root < n; ++root) {
    for (int j = 0; j < forest->perRank; ++j) {
      ForestTrees::Tree tree{root, std::vector<int>(static_cast<size_t>(n), -1)};
      for (int v = 1; v < n; ++v) tree.parent[(root + v) % n] = (root + (j == 0 ? (v - 1) / 2 : v - 1)) % n;
      forest->trees.push_back(std::move(tree));
    }
  }
  return forest;
}

}  // namespace

Limits matrixLimits(int nRanks) {
  Limits limits;
  limits.slotBytes = 256;
  limits.boardBytes = std::max<size_t>(512, static_cast<size_t>(nRanks) * 8);
  limits.llBytes = 56 * static_cast<size_t>(std::max(2, nRanks));
  limits.boards = true;
  limits.depth = 2;
  for (int perHost : {8, 6, 5, 4, 3, 2}) {
    if (limits.ranksPerHost == 0 && nRanks % perHost == 0 && nRanks > perHost) limits.ranksPerHost = perHost;
  }
  const int hosts = limits.ranksPerHost > 0 ? nRanks / limits.ranksPerHost : 0;
  if (hosts > 3 && hosts % 2 == 0) limits.hostsPerSite = hosts / 2;
  if (nRanks <= 64) limits.forest = matrixForest(nRanks);
  return limits;
}

std::vector<size_t> matrixCounts(const Plan& shape) {
  const size_t chunk = shape.chunkCount;
  const size_t round = shape.layout == Layout::Split ? chunk * shape.nBlocks : chunk;
  std::vector<size_t> counts = {1,         chunk - 1, chunk,     chunk + 1,
                                round - 1, round,     round + 1, 3 * round + chunk / 2 + 1};
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  counts.erase(std::remove(counts.begin(), counts.end(), size_t{0}), counts.end());
  return counts;
}

Result<std::vector<Plan>> buildPlans(const Request& request, Algorithm algorithm, Protocol protocol,
                                     const Limits& limits) {
  std::vector<Plan> plans;
  for (int rank = 0; rank < request.nRanks; ++rank) {
    TUTTI_ASSIGN(Plan plan, buildPlan(request, algorithm, protocol, rank, limits));
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::vector<MatrixRow> verifyMatrix(const MatrixOptions& options) {
  struct Job {
    const Builder* builder;
    Collective collective;
    int nRanks;
    bool large;
  };
  std::vector<Job> jobs;
  for (const Builder& builder : builtinAlgorithms()) {
    if (!options.algorithms.empty() && std::find(options.algorithms.begin(), options.algorithms.end(),
                                                 builder.algorithm) == options.algorithms.end()) {
      continue;
    }
    for (int c = 0; c < kCollectiveCount; ++c) {
      const Collective collective = static_cast<Collective>(c);
      for (int n = std::max(2, options.minRanks); n <= options.maxRanks; ++n) {
        jobs.push_back({&builder, collective, n, false});
      }
      if (!isLogarithmic(builder.algorithm)) continue;
      for (int n : options.largeRanks) jobs.push_back({&builder, collective, n, true});
    }
  }
  // The longest first, so that the threads end together.
  std::stable_sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.nRanks > b.nRanks; });

  Matrix matrix(options);
  std::map<std::pair<Algorithm, Collective>, MatrixRow> rows;
  std::mutex mutex;
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const Job& job = jobs[i];
      MatrixRow one = matrix.verifyOne(*job.builder, job.collective, job.nRanks, job.large);
      if (one.cases == 0) continue;
      std::lock_guard lock(mutex);
      MatrixRow& row = rows[{one.algorithm, one.collective}];
      row.algorithm = one.algorithm;
      row.collective = one.collective;
      row.cases += one.cases;
      row.failed += one.failed;
      row.plays += one.plays;
      if (!one.firstFailure.empty()) row.firstFailure = std::move(one.firstFailure);
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < options.threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  std::vector<MatrixRow> result;
  for (auto& [key, row] : rows) result.push_back(std::move(row));
  return result;
}

}  // namespace tutti::algos
