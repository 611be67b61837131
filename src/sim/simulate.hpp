// The simulator's front: plays a workload over a network, and says how long it took and why.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/costs.hpp"
#include "sim/network.hpp"
#include "sim/workload.hpp"

namespace tutti::sim {

/// Told about everything that takes time, as far as somebody wants to draw it.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// A rank played a step (or computed), from `begin` to `end`.
  virtual void play(int rank, int item, int lane, int step, TimePs begin, TimePs end) = 0;
  /// A link was taken for a message of `bytes`.
  virtual void transfer(uint32_t link, int from, int to, uint64_t bytes, TimePs begin, TimePs end) = 0;
};

struct Options {
  Costs costs;
  uint64_t seed = 1;                              ///< of start skew and of the choice of ways
  double skewUs = 0;                              ///< ranks start at a random time from 0 to this
  std::vector<std::pair<int, double>> slowRanks;  ///< rank, and how many times longer its work takes
  /// Symmetry: ranks r and r + period do the same at the same time, so that only the first `period` are
  /// played. For rings over equal machines; 0: none. All blocks then count as large as the largest.
  int period = 0;
  /// Symmetry inside machines of so many ranks, on rails of their own: rank l does on channel c what rank 0
  /// does on channel c - l, so that only rank 0 of each machine is played. Items are `foldChannels` channels,
  /// or (0) the same for all ranks. REQUIRES a network that folds so. Blocks as with `period`.
  int fold = 0;
  int foldChannels = 0;
  /// A lane of more rounds plays so many of them; the others are taken as long as those in the middle of what
  /// was played. REQUIRES lanes of equally many rounds, and items that do not wait for each other. 0: all are
  /// played.
  uint32_t mostRounds = 0;
  TimePs stopAfter = kUnknown;      ///< give up when it takes longer (Report::stopped)
  bool split = false;               ///< fill Report::split; costs about a third of the speed
  uint64_t maxEvents = UINT64_MAX;  ///< an error beyond
  Recorder* recorder = nullptr;
};

struct ItemReport {
  TimePs begin = kUnknown;  ///< first rank
  TimePs end = 0;           ///< last rank
};

struct Report {
  TimePs end = 0;
  Split split;  ///< of the rank that ends last
  int lastRank = 0;
  uint64_t events = 0;
  uint64_t messages = 0;
  std::vector<ItemReport> items;
  uint32_t skippedRounds = 0;  ///< that were not played
  TimePs roundPs = 0;          ///< what each of them was taken to take
  int roundsRepeat = 0;        ///< times repeat exactly after so many rounds; 0: not exactly
  double roundSpread = 0;      ///< by which share the rounds' mean still changed while they were played
  bool stopped = false;        ///< longer than Options::stopAfter: `end` is a lower bound
  TimePs computing = 0;        ///< of the rank that computes longest
  double wallSeconds = 0;
  double cpuSeconds = 0;  ///< of the thread that simulated: what counts on a busy machine
};

/// Errors: a plan that does not exist, a way over a dead link (named), a deadlock (who waits for whom).
Result<Report> simulate(Network& network, const Workload& workload, const Options& options);

}  // namespace tutti::sim
