// Ring algorithms (Patarasuk and Yuan, 2009): bandwidth-optimal, latency linear in n.
//
//   AllReduce      n-1 steps reduce blocks around the ring, n-1 steps pass the results on: 2(n-1)/n * S bytes
//   sent per rank ReduceScatter  n-1 steps: (n-1)/n * S AllGather      n-1 steps: (n-1)/n * S Broadcast a
//   chain from the root: S per rank, pipelined by chunks Reduce         a chain that ends in the root: S per
//   rank
//
// Memory traffic per rank and byte sent, host engine: one read of the slot, one of the own block, one write
// of the next slot.
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

bool supports(const Request& request, Protocol, const Limits&) {
  switch (request.collective) {
    case Collective::AllReduce:
    case Collective::ReduceScatter:
    case Collective::AllGather:
    case Collective::Broadcast:
    case Collective::Reduce:
      return true;
    default:
      return false;
  }
}

Plan build(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const Affine next = fixed((rank + 1) % n);
  const Affine prev = fixed((rank + n - 1) % n);
  const size_t chunk = chunkFor(request, messageBytes(protocol, limits));
  auto block = [&](int base) {
    return walking(base, -1, n);
  };  // the blocks that pass by a rank go down as k goes up
  Lane lane;
  Plan plan;

  switch (request.collective) {
    case Collective::AllReduce:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::Split, n, chunk);
      add(lane, Make().take(input(fixed(rank))).to(next));
      add(lane, Make().from(prev).reduce(input(block(rank - 1))).to(next).times(n - 2));
      add(lane,
          Make().from(prev).reduce(input(block(rank + 1))).finish().into(output(block(rank + 1))).to(next));
      add(lane, Make().from(prev).into(output(block(rank))).to(next).times(n - 2));
      add(lane, Make().from(prev).into(output(block(rank + 2))));
      break;
    case Collective::ReduceScatter:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::PerRank, n, chunk);
      add(lane, Make().take(input(block(rank - 1))).to(next));
      add(lane, Make().from(prev).reduce(input(block(rank - 2))).to(next).times(n - 2));
      add(lane, Make().from(prev).reduce(input(fixed(rank))).finish().into(output(fixed(0))));
      break;
    case Collective::AllGather:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::PerRank, n, chunk);
      add(lane, Make().take(input(fixed(0))).into(output(fixed(rank))).to(next));
      add(lane, Make().from(prev).into(output(block(rank - 1))).to(next).times(n - 2));
      add(lane, Make().from(prev).into(output(block(rank + 1))));
      break;
    case Collective::Broadcast: {
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::Split, 1, chunk);
      const bool last = (rank + 1) % n == request.root;
      if (rank == request.root) {
        add(lane, Make().take(input(fixed(0))).into(output(fixed(0))).to(next));
      } else if (last) {
        add(lane, Make().from(prev).into(output(fixed(0))));
      } else {
        add(lane, Make().from(prev).into(output(fixed(0))).to(next));
      }
      break;
    }
    default: {  // Reduce
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::Split, 1, chunk);
      const bool first = (rank + n - 1) % n == request.root;
      if (rank == request.root) {
        add(lane, Make().from(prev).reduce(input(fixed(0))).finish().into(output(fixed(0))));
      } else if (first) {
        add(lane, Make().take(input(fixed(0))).to(next));
      } else {
        add(lane, Make().from(prev).reduce(input(fixed(0))).to(next));
      }
      break;
    }
  }
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace

const Builder kRing{Algorithm::Ring, "ring: bandwidth-optimal, latency linear in ranks", supports, build};

}  // namespace tutti::algos
