// Pairwise exchange: every pair of ranks that has something for each other moves it directly, in an order in
// which at step k rank r sends to r+1+k and receives from r-1-k, so that nobody is everybody's target at
// once.
//
//   AllToAll, AllToAllV  n-1 sends and receives of one block each
//   AllGather            n-1 sends of the own block
//   Gather, Scatter      the root receives or sends n-1 blocks
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

bool supportsPairwise(const Request& request, Protocol, const Limits&) {
  switch (request.collective) {
    case Collective::AllToAll:
    case Collective::AllToAllV:
    case Collective::AllGather:
    case Collective::Gather:
    case Collective::Scatter:
      return true;
    default:
      return false;
  }
}

Plan buildPairwise(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const int root = request.root;
  Plan plan = planFor(request, Algorithm::Pairwise, protocol, rank, Layout::PerRank, n,
                      chunkFor(request, messageBytes(protocol, limits)));
  const Affine zero = fixed(0);
  const Affine own = fixed(rank);
  const Affine ahead = walking(rank + 1, 1, n);
  const Affine behind = walking(rank - 1, -1, n);
  // An exchange in place overwrites block p by what p sends; the own block p must have left before: one lane,
  // send first.
  Lane sends;
  Lane receives;

  switch (request.collective) {
    case Collective::AllToAll:
    case Collective::AllToAllV:
      add(sends, Make().take(input(own)).into(output(own)));
      add(sends, Make().take(input(ahead)).to(ahead).times(n - 1));
      add(receives, Make().from(behind).into(output(behind)).times(n - 1));
      break;
    case Collective::AllGather:
      add(sends, Make().take(input(zero)).into(output(own)));
      add(sends, Make().take(input(zero)).to(ahead).times(n - 1));
      add(receives, Make().from(behind).into(output(behind)).times(n - 1));
      break;
    case Collective::Gather:
      if (rank == root) {
        add(receives, Make().take(input(zero)).into(output(own)));
        add(receives, Make().from(behind).into(output(behind)).times(n - 1));
      } else {
        add(sends, Make().take(input(zero)).to(fixed(root)));
      }
      break;
    default:  // Scatter
      if (rank == root) {
        add(sends, Make().take(input(own)).into(output(zero)));
        add(sends, Make().take(input(ahead)).to(ahead).times(n - 1));
      } else {
        add(receives, Make().from(fixed(root)).into(output(zero)));
      }
      break;
  }
  if (!sends.steps.empty()) plan.lanes.push_back(std::move(sends));
  if (!receives.steps.empty()) plan.lanes.push_back(std::move(receives));
  return plan;
}

}  // namespace

const Builder kPairwise{Algorithm::Pairwise, "pairwise: each pair exchanges directly", supportsPairwise,
                        buildPairwise};

}  // namespace tutti::algos
