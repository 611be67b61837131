// Swing (De Sensi, Bonato, Saam, Hoefler, "Swing: short-cutting rings for higher bandwidth allreduce", 2024):
// halving and doubling like Rabenseifner's, with partners that stay near on a ring or torus: at step s an
// even rank r exchanges with r + d(s), an odd one with r - d(s), where d(s) = 1, -1, 3, -5, 11, ... = (1 -
// (-2)^(s+1)) / 3.
//
//   AllReduce  2*log2(n) steps; 2(n-1)/n * S bytes sent per rank; on a ring a message travels at most a third
//   of the way round, where recursive halving sends the largest ones across half of it.
//   Ranks beyond the largest power of two hand in and get back whole vectors: 2 steps and S bytes more.
//
// Memory traffic per rank: 2S read and S written while reducing, S read and written while gathering, and each
// byte sent written to a slot.
#include <bit>

#include "algos/algorithm.hpp"
#include "algos/halving.hpp"

namespace tutti::algos {
namespace {

int stepsOf(int members) {
  return std::bit_width(static_cast<unsigned>(members)) - 1;
}

/// 1, -1, 3, -5, 11, ...
int distanceAt(int step) {
  int power = 1;
  for (int i = 0; i <= step; ++i) power *= -2;
  return (1 - power) / 3;
}

int swingPartner(int member, int step, int members) {
  const int d = distanceAt(step);
  return (member + (member % 2 == 0 ? d : -d) + 2 * members) % members;
}

/// Follow an odd member's last exchange to an even one, e. An exchange at step s changes e by an odd multiple
/// of 2^(s+1): bit s+1 of e tells the two sides of step s apart, and no later step changes it. The last step
/// pairs an odd with an even member.
int swingPosition(int member, int members) {
  const int steps = stepsOf(members);
  const int e = member % 2 == 0 ? member : swingPartner(member, steps - 1, members);
  int place = 0;
  for (int s = 0; s + 1 < steps; ++s) place = place * 2 + (e >> (s + 1) & 1);
  return place * 2 + member % 2;
}

bool supportsSwing(const Request& request, Protocol protocol, const Limits& limits) {
  return request.collective == Collective::AllReduce && fitsHalvingAllReduce(request, protocol, limits);
}

Plan buildSwing(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int members = static_cast<int>(std::bit_floor(static_cast<unsigned>(request.nRanks)));
  return buildHalvingAllReduce(request, Algorithm::Swing, protocol, rank, limits,
                               {members, swingPartner, swingPosition});
}

}  // namespace

const Builder kSwing{Algorithm::Swing, "swing: halving and doubling between ranks that are near on a ring",
                     supportsSwing, buildSwing};

}  // namespace tutti::algos
