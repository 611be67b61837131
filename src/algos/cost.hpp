// The cost model: what a plan will cost, from a few measured numbers of the machine.
#pragma once

#include "algos/request.hpp"

namespace tutti::algos {

/// Rates and latencies between ranks. All ranks of a communicator use the same values.
struct Machine {
  double handoverUs = 0.09;  ///< one line with data and flag from rank to rank
  double networkUs = 25;     ///< the same over the network, per message
  double copyGBps = 60;      ///< one rank copying, in its L2 cache
  double reduceGBps = 55;    ///< one rank adding a vector to another, per byte of result, in its L2 cache
  double readGBps = 112;  ///< one rank adding up several ranks' vectors at once, per byte of those, likewise
  double networkGBps = 2;
  double lineNs = 3;          ///< extra work per LL line
  double messageUs = 0.04;    ///< work per Simple message besides its bytes
  double llMessageUs = 0.01;  ///< the same of an LL message
  double switchUs = 1.05;     ///< giving the core to another rank, where ranks share cores
  int ranksPerCore = 1;       ///< ranks on the busiest core, rounded up
  size_t l2Bytes = 1 << 20;   ///< what a core's ranks touch in a call: up to here the rates are as above
  size_t l3Bytes = 24 << 20;
  double l3Factor = 2;               ///< how much slower it is up to l3Bytes
  double memoryFactor = 2.7;         ///< ... and beyond
  size_t directMinBytes = SIZE_MAX;  ///< from here on, boards are read in the publishers' buffers, uncopied
  bool network = false;              ///< some pair of ranks is on different hosts
};

/// Microseconds for `request` by this algorithm and protocol. A model for ranking, fitted on two- to
/// eight-rank runs.
double predictUs(const Request& request, Algorithm algorithm, Protocol protocol, const Machine& machine);

}  // namespace tutti::algos
