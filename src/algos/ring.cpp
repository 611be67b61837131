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

bool supportsRing(const Request& request, Protocol, const Limits&) {
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

/// The ranks at positions first, first-1, ... (`count` of them), cut where their numbers stop to run evenly:
/// each run is one step. By number there is one run; in a machine's order about one per group of ranks.
template <typename Emit>
void forEachRun(const RankOrder* order, int n, int first, int count, Emit emit) {
  if (order == nullptr) return emit(walking(first, -1, n), count);
  auto rankAt = [&](int k) { return order->rankAt[((first - k) % n + n) % n]; };
  for (int k = 0; k < count;) {
    int length = 1;
    const int stride = k + 1 < count ? rankAt(k + 1) - rankAt(k) : 0;
    while (k + length < count && rankAt(k + length) - rankAt(k + length - 1) == stride) ++length;
    emit(Affine{rankAt(k), length > 1 ? stride : 0, 0}, length);
    k += length;
  }
}

Plan buildRing(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const RankOrder* order = limits.order.get();
  const int at = order != nullptr ? order->positionOf[rank] : rank;
  auto rankAt = [&](int position) {
    position = (position % n + n) % n;
    return order != nullptr ? order->rankAt[position] : position;
  };
  const Affine next = fixed(rankAt(at + 1));
  const Affine prev = fixed(rankAt(at - 1));
  const size_t chunk = chunkFor(request, messageBytes(protocol, limits));
  auto block = [&](int base) {
    return walking(base, -1, n);
  };  // the blocks that pass by a rank go down as k goes up
  auto ofRankAt = [&](int position) { return order != nullptr ? fixed(rankAt(position)) : block(position); };
  Lane lane;
  Plan plan;

  switch (request.collective) {
    case Collective::AllReduce:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::Split, n, chunk);
      add(lane, Make().take(input(fixed(at))).to(next));
      add(lane, Make().from(prev).reduce(input(block(at - 1))).to(next).times(n - 2));
      add(lane, Make().from(prev).reduce(input(block(at + 1))).finish().into(output(block(at + 1))).to(next));
      add(lane, Make().from(prev).into(output(block(at))).to(next).times(n - 2));
      add(lane, Make().from(prev).into(output(block(at + 2))));
      break;
    case Collective::ReduceScatter:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::PerRank, n, chunk);
      add(lane, Make().take(input(ofRankAt(at - 1))).to(next));
      forEachRun(order, n, at - 2, n - 2, [&](Affine blocks, int times) {
        add(lane, Make().from(prev).reduce(input(blocks)).to(next).times(times));
      });
      add(lane, Make().from(prev).reduce(input(fixed(rank))).finish().into(output(fixed(0))));
      break;
    case Collective::AllGather:
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::PerRank, n, chunk);
      add(lane, Make().take(input(fixed(0))).into(output(fixed(rank))).to(next));
      forEachRun(order, n, at - 1, n - 2, [&](Affine blocks, int times) {
        add(lane, Make().from(prev).into(output(blocks)).to(next).times(times));
      });
      add(lane, Make().from(prev).into(output(ofRankAt(at + 1))));
      break;
    case Collective::Broadcast: {
      plan = planFor(request, Algorithm::Ring, protocol, rank, Layout::Split, 1, chunk);
      const bool last = rankAt(at + 1) == request.root;
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
      const bool first = rankAt(at - 1) == request.root;
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

const Builder kRing{Algorithm::Ring, "ring: bandwidth-optimal, latency linear in ranks", supportsRing,
                    buildRing};

}  // namespace tutti::algos
