// The cost model: what a plan will cost, from a few measured numbers of the machine.
#pragma once

#include "algos/request.hpp"

namespace tutti::algos {

/// Rates and latencies between ranks. All ranks of a communicator use the same values.
struct Machine {
  double handoverUs = 0.12;  ///< one flag from rank to rank
  double networkUs = 25;     ///< the same over the network, per message
  double copyGBps = 12;      ///< one rank copying into a slot
  double reduceGBps = 10;    ///< one rank reading two vectors and writing one, per byte of result
  double networkGBps = 2;
  double lineNs = 4;                 ///< extra work per LL line
  double messageUs = 0.08;           ///< work per message besides its bytes
  double switchUs = 1.2;             ///< giving the core to another rank, where ranks share cores
  int ranksPerCore = 1;              ///< ranks on the busiest core, rounded up
  size_t directMinBytes = SIZE_MAX;  ///< from here on, boards are read in the publishers' buffers, uncopied
  bool network = false;              ///< some pair of ranks is on different hosts
};

/// Microseconds for `request` by this algorithm and protocol. A model for ranking, fitted on two- to
/// eight-rank runs.
double predictUs(const Request& request, Algorithm algorithm, Protocol protocol, const Machine& machine);

}  // namespace tutti::algos
