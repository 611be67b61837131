// Binomial and k-nomial trees (Thakur, Rabenseifner, Gropp, 2005, sections 4.3 and 4.5; k-nomial: Ruefenacht,
// Bull, Booth, 2017). Ranks are counted from the root: v = (rank - root) mod n. Written to base k, the parent
// of v is v with its lowest digit that is not 0 made 0; v's subtree is the v .. v + k^z - 1 with z low zeros.
//
//   Broadcast, Reduce  k = 4: log4(n) levels, at most 3*log4(n) messages of S one after the other at the
//                      root; pipelined by chunks
//   Gather, Scatter    k = 2: log2(n) steps; the root moves (n-1) * S, an inner rank its subtree's blocks;
//                      a fewest-steps alternative to n-1 messages at the root
//
// Memory traffic: an inner rank of Reduce keeps the partial result in a scratch block between levels (2S
// read, S written per child); of Gather and Scatter, its subtree's blocks, once in and once out.
#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

constexpr int kRadix = 4;

/// A rank's place in a k-nomial tree over positions 0 .. n-1.
struct Knomial {
  int parent = -1;
  int subtree = 0;  ///< positions in it, itself included
  /// Levels from the nearest children to the farthest: positions v + c * k^level, c = 1 .. k-1.
  std::vector<std::vector<int>> levels;

  Knomial(int n, int v, int k) {
    int weight = 1;
    for (; weight < n && v / weight % k == 0; weight *= k) {
      std::vector<int> children;
      for (int c = 1; c < k && v + c * weight < n; ++c) children.push_back(v + c * weight);
      if (!children.empty()) levels.push_back(std::move(children));
    }
    if (v > 0) parent = v - v / weight % k * weight;
    subtree = std::min(weight, n - v);
  }
};

class TreeLanes {
 public:
  TreeLanes(int n, int rank, int root, int radix)
      : n_(n), root_(root), self_((rank - root + n) % n), place_(n, self_, radix) {}

  Lane broadcast() const {
    Lane lane;
    std::vector<Affine> children;  // the largest subtrees first
    for (auto level = place_.levels.rbegin(); level != place_.levels.rend(); ++level) {
      for (auto child = level->rbegin(); child != level->rend(); ++child) children.push_back(rankOf(*child));
    }
    Make step;
    if (isRoot()) {
      step.take(input(fixed(0))).into(output(fixed(0)));
    } else {
      step.from(rankOf(place_.parent)).into(output(fixed(0)));
    }
    for (size_t i = 0; i < children.size(); ++i) {
      if (i > 0 && i % Peers::kMax == 0) {
        add(lane, step);
        step = Make().take(output(fixed(0)));
      }
      step.to(children[i]);
    }
    add(lane, step);
    return lane;
  }

  Lane reduce() const {
    Lane lane;
    if (place_.levels.empty()) {
      add(lane, Make().take(input(fixed(0))).to(rankOf(place_.parent)));
      return lane;
    }
    BlockRef have = input(fixed(0));
    const BlockRef keep = isRoot() ? output(fixed(0)) : scratch(fixed(0));
    for (size_t i = 0; i < place_.levels.size(); ++i) {
      Make step;
      for (int child : place_.levels[i]) step.from(rankOf(child));
      step.reduce(have, Order::LocalFirst);
      const bool last = i + 1 == place_.levels.size();
      if (last && !isRoot()) {
        add(lane, step.to(rankOf(place_.parent)));
        break;
      }
      if (last) step.finish();
      add(lane, step.into(keep));
      have = keep;
    }
    return lane;
  }

  Lane gather() const {
    Lane lane;
    if (place_.levels.empty()) {
      add(lane, Make().take(input(fixed(0))).to(rankOf(place_.parent)));
      return lane;
    }
    add(lane, Make().take(input(fixed(0))).into(isRoot() ? output(fixed(root_)) : scratch(fixed(0))));
    for (const auto& level : place_.levels) {
      add(lane, Make().from(rankOf(level[0])).into(blocksOf(level[0], Buffer::Output)));
    }
    if (!isRoot()) add(lane, Make().take(scratch(fixed(0), place_.subtree)).to(rankOf(place_.parent)));
    return lane;
  }

  Lane scatter() const {
    Lane lane;
    if (place_.levels.empty()) {
      add(lane, Make().from(rankOf(place_.parent)).into(output(fixed(0))));
      return lane;
    }
    if (!isRoot()) add(lane, Make().from(rankOf(place_.parent)).into(scratch(fixed(0), place_.subtree)));
    for (auto level = place_.levels.rbegin(); level != place_.levels.rend(); ++level) {
      add(lane, Make().take(blocksOf((*level)[0], Buffer::Input)).to(rankOf((*level)[0])));
    }
    add(lane, Make().take(isRoot() ? input(fixed(root_)) : scratch(fixed(0))).into(output(fixed(0))));
    return lane;
  }

  int scratchBlocks(Collective collective) const {
    if (isRoot() || place_.levels.empty() || collective == Collective::Broadcast) return 0;
    return collective == Collective::Reduce ? 1 : place_.subtree;
  }

 private:
  bool isRoot() const { return self_ == 0; }
  Affine rankOf(int position) const { return fixed((position + root_) % n_); }
  /// The blocks of a child's subtree: in rank order in the root's buffer, else in scratch from one's own on.
  BlockRef blocksOf(int child, Buffer atRoot) const {
    const int count = std::min(child - self_, n_ - child);
    return isRoot() ? ring(atRoot, child + root_, count, n_) : scratch(fixed(child - self_), count);
  }

  int n_, root_, self_;
  Knomial place_;
};

bool isPerRank(Collective c) {
  return c == Collective::Gather || c == Collective::Scatter;
}

bool supportsBinomial(const Request& request, Protocol protocol, const Limits& limits) {
  if (request.collective == Collective::Broadcast || request.collective == Collective::Reduce) return true;
  return isPerRank(request.collective) &&
         std::max(1, request.nRanks / 2) * request.elementBytes() <= messageBytes(protocol, limits);
}

Plan buildBinomial(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const bool perRank = isPerRank(request.collective);
  Plan plan =
      planFor(request, Algorithm::Binomial, protocol, rank, perRank ? Layout::PerRank : Layout::Split,
              perRank ? n : 1, chunkFor(request, messageBytes(protocol, limits), perRank ? n / 2 : 1));
  const TreeLanes tree(n, rank, request.root, perRank ? 2 : kRadix);
  plan.scratchBlocks = tree.scratchBlocks(request.collective);
  plan.lanes.push_back(request.collective == Collective::Broadcast ? tree.broadcast()
                       : request.collective == Collective::Reduce  ? tree.reduce()
                       : request.collective == Collective::Gather  ? tree.gather()
                                                                   : tree.scatter());
  return plan;
}

}  // namespace

const Builder kBinomial{Algorithm::Binomial,
                        "binomial and k-nomial trees: Broadcast, Reduce, Gather, Scatter in log(n) steps",
                        supportsBinomial, buildBinomial};

}  // namespace tutti::algos
