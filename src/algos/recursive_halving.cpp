// Recursive halving and doubling (Rabenseifner, "Optimization of collective reduction operations", 2004;
// Thakur, Rabenseifner, Gropp, 2005, sections 4.2 and 4.4): as few bytes as a ring in log2(n) steps.
//
//   AllReduce      halve the vector and reduce, then double it: 2*log2(n) steps, 2(n-1)/n * S sent per rank
//   ReduceScatter  the first half of that over one block per rank: log2(n) steps, (n-1) * S sent
//   AllGather      the second half: log2(n) steps, (n-1) * S sent
//
// Where n is no power of two: AllReduce folds the ranks beyond it in as recursive doubling does (2 steps and
// S more); in the others pairs of neighbours (0,1), (2,3), ... count as one member, whose upper rank works
// for both (2 steps, n * S more for that pair).
//
// Memory traffic per rank: a reduction reads the slot and the local blocks and writes them back, S(n-1)/n in
// all (ReduceScatter: (n-1) * S, into scratch blocks); each byte sent is copied to a slot.
#include <bit>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"
#include "algos/halving.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

int partner(int member, int step, int members) {
  return member ^ (members >> (step + 1));
}
int position(int member, int) {
  return member;
}

/// Members of the forms over one block per rank: the first `pairs` are two neighbours each.
struct Members {
  int n, count, pairs;

  explicit Members(int nRanks)
      : n(nRanks),
        count(static_cast<int>(std::bit_floor(static_cast<unsigned>(nRanks)))),
        pairs(nRanks - count) {}
  bool isHelped(int rank) const { return rank < 2 * pairs && rank % 2 == 0; }
  bool isHelper(int rank) const { return rank < 2 * pairs && rank % 2 == 1; }
  int memberOf(int rank) const { return rank < 2 * pairs ? rank / 2 : rank - pairs; }
  int rankOf(int member) const { return member < pairs ? 2 * member + 1 : member + pairs; }
  int firstBlock(int member) const { return member < pairs ? 2 * member : member + pairs; }
  int blocks(int from, int to) const { return firstBlock(to) - firstBlock(from); }
  /// Blocks in the longest message.
  int longestSpan() const { return pairs > 0 ? n : n / 2; }
};

Lane reduceScatterLane(int n, int rank) {
  const Members m(n);
  Lane lane;
  if (m.isHelped(rank)) {
    add(lane, Make().take(input(fixed(0), n)).to(fixed(rank + 1)));
    add(lane, Make().from(fixed(rank + 1)).into(output(fixed(0))));
    return lane;
  }
  Buffer have = Buffer::Input;
  if (m.isHelper(rank)) {
    add(lane, Make().from(fixed(rank - 1)).reduce(input(fixed(0), n)).into(scratch(fixed(0), n)));
    have = Buffer::Scratch;
  }
  const int self = m.memberOf(rank);
  for (int half = m.count / 2; half > 0; half /= 2) {
    const int keep = self / half * half, give = keep ^ half;
    const int peer = m.rankOf(self ^ half);
    add(lane, Make().take({have, fixed(m.firstBlock(give)), m.blocks(give, give + half)}).to(fixed(peer)));
    const int first = m.firstBlock(keep), count = m.blocks(keep, keep + half);
    Make fold;
    fold.from(fixed(peer))
        .reduce({have, fixed(first), count}, rank < peer ? Order::LocalFirst : Order::PeerFirst)
        .into(scratch(fixed(first), count));
    if (half == 1) fold.finish();
    if (half == 1 && count == 1) fold.into(output(fixed(0)));
    add(lane, fold);
    have = Buffer::Scratch;
  }
  if (m.isHelper(rank)) {
    add(lane, Make().take(scratch(fixed(rank))).into(output(fixed(0))));
    add(lane, Make().take(scratch(fixed(rank - 1))).to(fixed(rank - 1)));
  }
  return lane;
}

Lane allGatherLane(int n, int rank) {
  const Members m(n);
  Lane lane;
  Make own;
  own.take(input(fixed(0))).into(output(fixed(rank)));
  // All but the helped rank's block, from the one behind it on.
  auto allBut = [n](int helped) { return ring(Buffer::Output, helped + 1, n - 1, n); };
  if (m.isHelped(rank)) {
    add(lane, own.to(fixed(rank + 1)));
    add(lane, Make().from(fixed(rank + 1)).into(allBut(rank)));
    return lane;
  }
  add(lane, own);
  if (m.isHelper(rank)) add(lane, Make().from(fixed(rank - 1)).into(output(fixed(rank - 1))));
  const int self = m.memberOf(rank);
  for (int half = 1; half < m.count; half *= 2) {
    const int mine = self / half * half, other = mine ^ half;
    const Affine peer = fixed(m.rankOf(self ^ half));
    add(lane, Make().take(output(fixed(m.firstBlock(mine)), m.blocks(mine, mine + half))).to(peer));
    add(lane, Make().from(peer).into(output(fixed(m.firstBlock(other)), m.blocks(other, other + half))));
  }
  if (m.isHelper(rank)) add(lane, Make().take(allBut(rank - 1)).to(fixed(rank - 1)));
  return lane;
}

bool supportsRecursiveHalving(const Request& request, Protocol protocol, const Limits& limits) {
  switch (request.collective) {
    case Collective::AllReduce:
      return fitsHalvingAllReduce(request, protocol, limits);
    case Collective::ReduceScatter:
    case Collective::AllGather:
      return Members(request.nRanks).longestSpan() * request.elementBytes() <= messageBytes(protocol, limits);
    default:
      return false;
  }
}

Plan buildRecursiveHalving(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const Members m(n);
  if (request.collective == Collective::AllReduce) {
    return buildHalvingAllReduce(request, Algorithm::RecursiveHalving, protocol, rank, limits,
                                 {m.count, partner, position});
  }
  Plan plan = planFor(request, Algorithm::RecursiveHalving, protocol, rank, Layout::PerRank, n,
                      chunkFor(request, messageBytes(protocol, limits), m.longestSpan()));
  if (request.collective == Collective::ReduceScatter) {
    plan.scratchBlocks = n;
    plan.lanes.push_back(reduceScatterLane(n, rank));
  } else {
    plan.lanes.push_back(allGatherLane(n, rank));
  }
  return plan;
}

}  // namespace

const Builder kRecursiveHalving{Algorithm::RecursiveHalving,
                                "recursive halving and doubling: a ring's bytes in log2(n) steps",
                                supportsRecursiveHalving, buildRecursiveHalving};

}  // namespace tutti::algos
