// Recursive doubling (Thakur, Rabenseifner, Gropp, 2005, section 4.1): every rank exchanges the whole vector
// with a partner at distance 1, 2, 4, ...: log2(n) steps, log2(n) * S bytes sent per rank. Ranks beyond the
// largest power of two hand their vector to a partner first and get the result from it last (two steps more).
//
// Bitwise equality: at each distance both partners compute (lower group) op (upper group).
#include <bit>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

bool supportsRecursiveDoubling(const Request& request, Protocol, const Limits&) {
  return request.collective == Collective::AllReduce;
}

Plan buildRecursiveDoubling(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const int core = static_cast<int>(std::bit_floor(static_cast<unsigned>(n)));
  const int extra = n - core;
  const BlockRef in = input(fixed(0));
  const BlockRef out = output(fixed(0));
  Plan plan = planFor(request, Algorithm::RecursiveDoubling, protocol, rank, Layout::Split, 1,
                      chunkFor(request, messageBytes(protocol, limits)));
  Lane lane;
  if (rank >= core) {
    add(lane, Make().take(in).to(fixed(rank - core)));
    add(lane, Make().from(fixed(rank - core)).into(out));
  } else {
    const bool hasExtra = rank < extra;
    BlockRef value = in;
    if (hasExtra) {
      Make fold;
      fold.from(fixed(rank + core)).reduce(in, Order::LocalFirst).into(out);
      if (core == 1) fold.finish();
      add(lane, fold);
      value = out;
    }
    for (int distance = 1; distance < core; distance *= 2) {
      const Affine partner = fixed(rank ^ distance);
      const bool lower = (rank & distance) == 0;
      add(lane, Make().take(value).to(partner));
      Make fold;
      fold.from(partner).reduce(value, lower ? Order::LocalFirst : Order::PeerFirst).into(out);
      if (distance * 2 >= core) fold.finish();
      add(lane, fold);
      value = out;
    }
    if (hasExtra) add(lane, Make().take(out).to(fixed(rank + core)));
  }
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace

const Builder kRecursiveDoubling{Algorithm::RecursiveDoubling,
                                 "recursive doubling: log2(n) exchanges of the whole vector",
                                 supportsRecursiveDoubling, buildRecursiveDoubling};

}  // namespace tutti::algos
