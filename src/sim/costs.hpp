// What a rank's own work costs: the o, and the work per byte, of LogGP.
#pragma once

#include "algos/cost.hpp"
#include "sim/stamp.hpp"

namespace tutti::sim {

struct Costs {
  double sendUs = 0;       ///< per message sent or published
  double recvUs = 0;       ///< per message received or read
  double llMessageUs = 0;  ///< instead of the two above where messages are LL; 0: the same
  double llLineNs = 0;     ///< LL: work per line of 56 bytes in and out
  double readGBps = 0;     ///< adding up what is read off boards, per byte of all sources; 0: as reduceGBps
  double reduceGBps = 0;   ///< combining one more source, per byte; 0: takes no time
  double copyGBps = 0;     ///< putting a value in one more place; 0: takes no time
  double handoverUs = 0;   ///< Simple: a flag after the data, on top of the way's latency
  double launchUs = 0;     ///< from the call until the first step
  bool lanesShareCore = false;  ///< lanes of a rank work one at a time
  double slowdown = 1;          ///< all work times this (ranks that share cores)

  /// A host where ranks sit on cores, by the machine that the cost model has measured; `touchedBytes` by the
  /// ranks of a core in the call: beyond its caches it is slower.
  static Costs ofHost(const algos::Machine& machine, double touchedBytes = 0);
  /// A GPU: work goes on beside the links, many lanes at once. Round figures, see docs/simulator.md.
  static Costs ofGpu();
};

}  // namespace tutti::sim
