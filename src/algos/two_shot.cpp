// Two-shot over boards: publish everything; rank r reduces block r from all boards and publishes the result
// on a second board; everybody (or the root) reads the results. Reduction work is spread: each rank reads and
// reduces S, copies (n-1)/n * S.
//
//   AllReduce  two hand-overs; memory traffic per rank: S written, S read for the reduction, S/n written, S
//   read of results Reduce     the same, only the root reads the results
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

bool supportsTwoShot(const Request& request, Protocol protocol, const Limits& limits) {
  return limits.boards &&
         (request.collective == Collective::AllReduce || request.collective == Collective::Reduce) &&
         boardChunk(request, protocol, limits, request.nRanks) > 0;
}

Plan buildTwoShot(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const Affine own = fixed(rank);
  const Affine others = walking(rank + 1, 1, n);
  Plan plan = planFor(request, Algorithm::TwoShot, protocol, rank, Layout::Split, n,
                      boardChunk(request, protocol, limits, n));
  plan.usesBoards = true;
  Lane lane;
  add(lane, Make().take(input(fixed(0), n)).publish(0));
  Make reduceOwn;
  reduceOwn.readAll(0, own).reduce(input(own), Order::RankOrder).finish();
  if (request.collective == Collective::AllReduce) {
    add(lane, reduceOwn.into(output(own)).publish(1));
    add(lane, Make().readOne(1, others, fixed(0)).into(output(others)).times(n - 1));
  } else if (rank == request.root) {
    add(lane, reduceOwn.into(output(own)));
    add(lane, Make().readOne(1, others, fixed(0)).into(output(others)).times(n - 1));
  } else {
    add(lane, reduceOwn.publish(1, request.root));
  }
  plan.lanes.push_back(std::move(lane));
  return plan;
}

}  // namespace

const Builder kTwoShot{Algorithm::TwoShot,
                       "two-shot: each rank reduces its share off the boards, then all read the results",
                       supportsTwoShot, buildTwoShot};

}  // namespace tutti::algos
