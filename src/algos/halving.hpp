// Halving and doubling: the skeleton that recursive halving (Rabenseifner) and Swing share. Internal.
#pragma once

#include "algos/plan.hpp"

namespace tutti::algos {

/// How 2^steps members pair up. At step s every member exchanges with a partner; the blocks in the order of
/// position() are halved from step to step, and partners of step s agree in all halves before it.
struct Pairing {
  int members = 1;  ///< a power of two
  int (*partner)(int member, int step, int members);
  /// Which block the member ends up with. Bit (steps-1-s) says which half it keeps at step s.
  int (*position)(int member, int members);
};

/// AllReduce: halving with reduction, then doubling. Ranks beyond the largest power of two hand their vector
/// to a member first and get the result from it last.
Plan buildHalvingAllReduce(const Request& request, Algorithm algorithm, Protocol protocol, int rank,
                           const Limits& limits, const Pairing& pairing);
/// Whether a message of the plan above fits a slot.
bool fitsHalvingAllReduce(const Request& request, Protocol protocol, const Limits& limits);

}  // namespace tutti::algos
