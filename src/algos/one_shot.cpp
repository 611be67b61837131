// One-shot over boards: publish once, then everybody reads what it needs straight off the others' boards. One
// hand-over of latency whatever n is; each rank reads (and for reductions computes) everything itself.
//
//   AllReduce      publish S, read (n-1)*S      Reduce   non-roots publish, the root reads all
//   ReduceScatter  publish S, read (n-1)/n*S    Broadcast, Scatter  the root publishes
//   AllGather, AllToAll, Gather: publish own, read the others'
//
// A message-free relative of this is DeepSpeed's shared-memory kernel and MPI's "release-gather"; boards need
// no exit barrier because a slot is reused only after its readers have moved past it.
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// Blocks in one published slot.
int publishedSpan(const Request& request) {
  switch (request.collective) {
    case Collective::ReduceScatter:
    case Collective::AllToAll:
    case Collective::Scatter:
      return request.nRanks;
    default:
      return 1;
  }
}

bool supportsOneShot(const Request& request, Protocol protocol, const Limits& limits) {
  if (!limits.boards) return false;
  switch (request.collective) {
    case Collective::AllToAllV:
    case Collective::AllGatherV:
    case Collective::ReduceScatterV:
      return false;
    default:
      return boardChunk(request, protocol, limits, publishedSpan(request)) > 0;
  }
}

Plan buildOneShot(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const int root = request.root;
  const int span = publishedSpan(request);
  const size_t chunk = boardChunk(request, protocol, limits, span);
  const bool split = request.collective == Collective::AllReduce ||
                     request.collective == Collective::Reduce || request.collective == Collective::Broadcast;
  Plan plan = planFor(request, Algorithm::OneShot, protocol, rank, split ? Layout::Split : Layout::PerRank,
                      split ? 1 : n, chunk);
  plan.usesBoards = true;
  const Affine zero = fixed(0);
  const Affine others = walking(rank + 1, 1, n);  // the other n-1 ranks, starting behind oneself
  Lane lane;

  switch (request.collective) {
    case Collective::AllReduce:
      add(lane, Make().take(input(zero)).publish(0));
      add(lane, Make().readAll(0, zero).reduce(input(zero), Order::RankOrder).finish().into(output(zero)));
      break;
    case Collective::Reduce:
      if (rank == root) {
        add(lane, Make().readAll(0, zero).reduce(input(zero), Order::RankOrder).finish().into(output(zero)));
      } else {
        add(lane, Make().take(input(zero)).publish(0, root));
      }
      break;
    case Collective::Broadcast:
      if (rank == root) {
        add(lane, Make().take(input(zero)).into(output(zero)).publish(0));
      } else {
        add(lane, Make().readOne(0, fixed(root), zero).into(output(zero)));
      }
      break;
    case Collective::AllGather:
      add(lane, Make().take(input(zero)).into(output(fixed(rank))).publish(0));
      add(lane, Make().readOne(0, others, zero).into(output(others)).times(n - 1));
      break;
    case Collective::ReduceScatter:
      add(lane, Make().take(input(zero, n)).publish(0));
      add(lane, Make()
                    .readAll(0, fixed(rank))
                    .reduce(input(fixed(rank)), Order::RankOrder)
                    .finish()
                    .into(output(zero)));
      break;
    case Collective::AllToAll:
      add(lane, Make().take(input(zero, n)).publish(0));
      add(lane, Make().readOne(0, others, fixed(rank)).into(output(others)).times(n - 1));
      add(lane, Make().take(input(fixed(rank))).into(output(fixed(rank))));
      break;
    case Collective::Gather:
      if (rank == root) {
        add(lane, Make().take(input(zero)).into(output(fixed(rank))));
        add(lane, Make().readOne(0, others, zero).into(output(others)).times(n - 1));
      } else {
        add(lane, Make().take(input(zero)).publish(0, root));
      }
      break;
    default:  // Scatter
      if (rank == root) {
        add(lane, Make().take(input(zero, n)).publish(0));
        add(lane, Make().take(input(fixed(rank))).into(output(zero)));
      } else {
        add(lane, Make().readOne(0, fixed(root), fixed(rank)).into(output(zero)));
      }
      break;
  }
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace

const Builder kOneShot{Algorithm::OneShot, "one-shot: publish, then everybody reads the others' boards",
                       supportsOneShot, buildOneShot};

}  // namespace tutti::algos
