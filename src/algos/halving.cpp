#include "algos/halving.hpp"

#include <bit>

#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

int membersOf(int nRanks) {
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(nRanks)));
}

/// Blocks in the longest message: a whole round where ranks are folded in, else half of one.
int longestSpan(int nRanks) {
  const int members = membersOf(nRanks);
  return members == nRanks ? members / 2 : members;
}

}  // namespace

bool fitsHalvingAllReduce(const Request& request, Protocol protocol, const Limits& limits) {
  return longestSpan(request.nRanks) * request.elementBytes() <= messageBytes(protocol, limits);
}

Plan buildHalvingAllReduce(const Request& request, Algorithm algorithm, Protocol protocol, int rank,
                           const Limits& limits, const Pairing& pairing) {
  const int n = request.nRanks;
  const int members = pairing.members;
  const int steps = std::bit_width(static_cast<unsigned>(members)) - 1;
  Plan plan = planFor(request, algorithm, protocol, rank, Layout::Split, members,
                      chunkFor(request, messageBytes(protocol, limits), longestSpan(n)));
  Lane lane;
  const Affine zero = fixed(0);
  if (rank >= members) {
    add(lane, Make().take(input(zero, members)).to(fixed(rank - members)));
    add(lane, Make().from(fixed(rank - members)).into(output(zero, members)));
    plan.lanes.push_back(std::move(lane));
    return plan;
  }
  const bool hasExtra = rank + members < n;
  Buffer have = Buffer::Input;
  if (hasExtra) {
    add(lane, Make()
                  .from(fixed(rank + members))
                  .reduce(input(zero, members), Order::LocalFirst)
                  .into(output(zero, members)));
    have = Buffer::Output;
  }
  auto blocks = [](Buffer buffer, int first, int count) { return BlockRef{buffer, fixed(first), count}; };
  const int position = pairing.position(rank, members);
  for (int s = 0; s < steps; ++s) {
    const int half = members >> (s + 1);
    const int keep = position / half * half, give = keep ^ half;
    const int partner = pairing.partner(rank, s, members);
    add(lane, Make().take(blocks(have, give, half)).to(fixed(partner)));
    Make fold;
    fold.from(fixed(partner))
        .reduce(blocks(have, keep, half), rank < partner ? Order::LocalFirst : Order::PeerFirst)
        .into(output(fixed(keep), half));
    if (s + 1 == steps) fold.finish();
    add(lane, fold);
    have = Buffer::Output;
  }
  for (int s = steps - 1; s >= 0; --s) {
    const int half = members >> (s + 1);
    const int own = position / half * half;
    const Affine partner = fixed(pairing.partner(rank, s, members));
    add(lane, Make().take(output(fixed(own), half)).to(partner));
    add(lane, Make().from(partner).into(output(fixed(own ^ half), half)));
  }
  if (hasExtra) add(lane, Make().take(output(zero, members)).to(fixed(rank + members)));
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace tutti::algos
