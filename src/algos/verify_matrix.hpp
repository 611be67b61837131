// The matrix of everything there is to verify: algorithms x collectives x protocols x ranks x counts around
// chunk boundaries x roots x in and out of place. For the tests and for `tutti verify --all`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "algos/verify.hpp"

namespace tutti::algos {

struct MatrixOptions {
  int minRanks = 2;
  int maxRanks = 64;
  std::vector<Algorithm> algorithms;  ///< empty: all
  /// Further rank counts for the algorithms whose steps grow with log2(ranks).
  std::vector<int> largeRanks = {100, 127, 128, 1000};
  int threads = 1;
  /// Applied to every set of plans before it is verified, for tests of the matrix itself.
  std::function<void(std::vector<Plan>&)> change;
};

/// One algorithm and collective, over all else.
struct MatrixRow {
  Algorithm algorithm = Algorithm::Ring;
  Collective collective = Collective::AllReduce;
  uint64_t cases = 0;
  uint64_t failed = 0;
  uint64_t plays = 0;
  std::string firstFailure;  ///< with the request that it happened in
};

/// Small slots, so that few elements make many rounds. FIFOs of one slot: what runs there runs in deeper
/// ones.
Limits matrixLimits(int nRanks);
/// Counts at which something changes: one element, ends of chunks and rounds, several rounds.
std::vector<size_t> matrixCounts(const Plan& shape);

/// All ranks' plans, or why there are none.
Result<std::vector<Plan>> buildPlans(const Request& request, Algorithm algorithm, Protocol protocol,
                                     const Limits& limits);

/// Rows in the order of the enums; combinations that no builder supports have none.
std::vector<MatrixRow> verifyMatrix(const MatrixOptions& options);

}  // namespace tutti::algos
