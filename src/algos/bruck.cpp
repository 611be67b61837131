// Bruck's algorithms (Bruck, Ho, Kipnis, Upfal, Weathersby, "Efficient algorithms for all-to-all
// communications in multiport message-passing systems", 1997): ceil(log2(n)) steps for any n.
//
//   AllGather  at distance d = 1, 2, 4, ...: send the d blocks one has to rank-d, get as many from rank+d:
//              (n-1) * S sent per rank. Blocks go to their places at once; nothing is rotated at the end.
//   AllToAll   block i of what one still has to pass on is i ranks from home: at distance d, send those with
//              bit d of i to rank+d: about n/2 * log2(n) * S sent per rank. For small blocks.
//
// Memory traffic: each byte sent is packed into a slot and written out of it; AllToAll copies everything into
// scratch blocks first (i ranks from home at block i) and out of them last, n * S each.
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// How many of 0 .. n-1 have the bit `d` set.
int countWithBit(int n, int d) {
  return n / (2 * d) * d + std::max(0, n % (2 * d) - d);
}

int longestStep(int n) {
  int most = 1;
  for (int d = 1; d < n; d *= 2) most = std::max(most, countWithBit(n, d));
  return most;
}

bool supportsBruck(const Request& request, Protocol protocol, const Limits& limits) {
  return (request.collective == Collective::AllGather || request.collective == Collective::AllToAll) &&
         longestStep(request.nRanks) * request.elementBytes() <= messageBytes(protocol, limits);
}

Plan buildBruck(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  Plan plan = planFor(request, Algorithm::Bruck, protocol, rank, Layout::PerRank, n,
                      chunkFor(request, messageBytes(protocol, limits), longestStep(n)));
  auto rankAt = [&](int distance) { return fixed((rank + distance + n) % n); };
  Lane lane;
  if (request.collective == Collective::AllGather) {
    add(lane, Make().take(input(fixed(0))).into(output(fixed(rank))));
    for (int d = 1; d < n; d *= 2) {
      const int count = std::min(d, n - d);
      add(lane, Make().take(ring(Buffer::Output, rank, count, n)).to(rankAt(-d)));
      add(lane, Make().from(rankAt(d)).into(ring(Buffer::Output, rank + d, count, n)));
    }
  } else {
    plan.scratchBlocks = n;
    add(lane, Make().take(ring(Buffer::Input, rank, n, n)).into(scratch(fixed(0), n)));
    for (int d = 1; d < n; d *= 2) {
      BlockRef withBit = scratch(fixed(d), countWithBit(n, d));
      withBit.run = d;
      withBit.jump = 2 * d;
      add(lane, Make().take(withBit).to(rankAt(d)));
      add(lane, Make().from(rankAt(-d)).into(withBit));
    }
    add(lane, Make().take(scratch({0, 1, 0})).into(output(walking(rank, -1, n))).times(n));
  }
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace

const Builder kBruck{Algorithm::Bruck, "bruck: AllGather and AllToAll in ceil(log2(n)) steps for any n",
                     supportsBruck, buildBruck};

}  // namespace tutti::algos
