// Forest: spanning trees that the topology room has packed into a machine's links, so that all of them at
// once come near the bound (after ForestColl, Zhao et al., 2024). Every rank is the root of k trees.
//
//   AllGather      every rank's block goes down its trees: (n-1) * S sent per rank on average, along links
//                  that have room for it; as many hops as the deepest tree has
//   ReduceScatter  up the trees, (n-1) * S
//   AllReduce      n*k blocks up their trees and down again, 2(n-1)/n * S
//
// In which order a rank serves its trees is found by playing the forest: a message is sent when the one
// before it to the same peer has been taken, what comes is always taken first, so that no order can block
// with FIFOs of two slots. All ranks play the same play.
//
// Memory traffic: AllGather reads the slot and writes output and next slot; ReduceScatter reads slot and
// input (or scratch) and writes scratch or the next slot.
#include <deque>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"
#include "algos/forest_trees.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// Some trees, block t for tree t, played by all ranks at once; keeps one rank's steps.
class TreePlay {
 public:
  TreePlay(std::vector<const ForestTrees::Tree*> trees, Collective collective, int self)
      : trees_(std::move(trees)), collective_(collective), self_(self) {
    const size_t n = trees_[0]->parent.size();
    toSend_.resize(n);
    arrived_.resize(n);
    onTheWay_.assign(n, std::vector<bool>(n));
    children_.resize(trees_.size());
    missing_.resize(trees_.size());
    isPartial_.resize(trees_.size());
    for (size_t t = 0; t < trees_.size(); ++t) {
      children_[t].resize(n);
      isPartial_[t].resize(n);
      for (size_t r = 0; r < n; ++r) {
        if (trees_[t]->parent[r] >= 0) children_[t][trees_[t]->parent[r]].push_back(static_cast<int>(r));
      }
      for (const auto& below : children_[t]) missing_[t].push_back(static_cast<int>(below.size()));
    }
  }

  Lane lane() {
    const int n = static_cast<int>(toSend_.size());
    for (int t = 0; t < static_cast<int>(trees_.size()); ++t) start(t);
    for (bool moved = true; moved;) {
      moved = false;
      for (int rank = 0; rank < n; ++rank) moved |= receiveOne(rank) || sendOne(rank);
    }
    return std::move(lane_);
  }

 private:
  struct Message {
    int tree = 0;
    bool up = false;
    int to = 0;
  };

  void emit(int rank, const Step& step) {
    if (rank == self_) add(lane_, step);
  }

  void start(int t) {
    const int root = trees_[t]->root;
    if (collective_ == Collective::AllGather) {
      emit(root, Make().take(input(fixed(0))).into(output(fixed(root))));
      push(root, t);
      return;
    }
    for (int r = 0; r < static_cast<int>(toSend_.size()); ++r) {
      if (missing_[t][r] == 0) toSend_[r].push_back({t, true, trees_[t]->parent[r]});
    }
  }
  /// What `rank` has complete goes down to its children.
  void push(int rank, int t) {
    for (int child : children_[t][rank]) toSend_[rank].push_back({t, false, child});
  }
  bool hasRoom(int from, int to) const { return !onTheWay_[from][to]; }
  void put(int from, const Message& message) {
    onTheWay_[from][message.to] = true;
    arrived_[message.to].emplace_back(from, message);
  }

  /// Of all-gathers, blocks are those of the trees' roots.
  Affine blockOf(int t) const { return fixed(collective_ == Collective::AllReduce ? t : trees_[t]->root); }
  BlockRef partial(int t) const {
    return collective_ == Collective::AllReduce ? output(blockOf(t)) : scratch(blockOf(t));
  }
  BlockRef sumAt(int rank, int t) const { return isPartial_[t][rank] ? partial(t) : input(blockOf(t)); }

  bool sendOne(int rank) {
    auto& waiting = toSend_[rank];
    for (auto message = waiting.begin(); message != waiting.end(); ++message) {
      if (!hasRoom(rank, message->to)) continue;
      const BlockRef value = message->up ? sumAt(rank, message->tree) : output(blockOf(message->tree));
      emit(rank, Make().take(value).to(fixed(message->to)));
      put(rank, *message);
      waiting.erase(message);
      return true;
    }
    return false;
  }

  bool receiveOne(int rank) {
    if (arrived_[rank].empty()) return false;
    const auto [from, message] = arrived_[rank].front();
    arrived_[rank].pop_front();
    onTheWay_[from][rank] = false;
    if (message.up) {
      takeUp(rank, from, message.tree);
    } else {
      takeDown(rank, from, message.tree);
    }
    return true;
  }

  void takeUp(int rank, int from, int t) {
    Make step;
    step.from(fixed(from)).reduce(sumAt(rank, t));
    const int parent = trees_[t]->parent[rank];
    const bool last = --missing_[t][rank] == 0;
    if (last && parent >= 0 && hasRoom(rank, parent)) {
      emit(rank, step.to(fixed(parent)));
      put(rank, {t, true, parent});
      return;
    }
    if (last && parent < 0) {
      emit(rank,
           step.finish().into(collective_ == Collective::AllReduce ? output(blockOf(t)) : output(fixed(0))));
      if (collective_ == Collective::AllReduce) push(rank, t);
      return;
    }
    emit(rank, step.into(partial(t)));
    isPartial_[t][rank] = true;
    if (last) toSend_[rank].push_back({t, true, parent});
  }

  void takeDown(int rank, int from, int t) {
    Make step;
    step.from(fixed(from)).into(output(blockOf(t)));
    int sent = 0;
    for (int child : children_[t][rank]) {
      if (sent < Peers::kMax && hasRoom(rank, child)) {
        step.to(fixed(child));
        put(rank, {t, false, child});
        ++sent;
      } else {
        toSend_[rank].push_back({t, false, child});
      }
    }
    emit(rank, step);
  }

  std::vector<const ForestTrees::Tree*> trees_;
  Collective collective_;
  int self_;
  Lane lane_;
  std::vector<std::vector<std::vector<int>>> children_;  ///< by tree and rank
  std::vector<std::vector<int>> missing_;                ///< children whose sums have not come, likewise
  std::vector<std::vector<bool>> isPartial_;             ///< whether the sum has left the input, likewise
  std::vector<std::deque<Message>> toSend_;              ///< by rank
  std::vector<std::deque<std::pair<int, Message>>> arrived_;  ///< by rank, with who sent it
  std::vector<std::vector<bool>> onTheWay_;                   ///< by sender and receiver: one at a time
};

bool supportsForest(const Request& request, Protocol, const Limits& limits) {
  if (limits.forest == nullptr || limits.forest->perRank < 1 ||
      limits.forest->trees.size() != static_cast<size_t>(limits.forest->perRank) * request.nRanks) {
    return false;
  }
  switch (request.collective) {
    case Collective::AllReduce:
      return true;
    case Collective::AllGather:
    case Collective::ReduceScatter:
      return limits.forest->perRank <= 2;  // a rank's block is cut by lanes, of which each needs a channel
    default:
      return false;
  }
}

Plan buildForest(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int n = request.nRanks;
  const ForestTrees& forest = *limits.forest;
  const bool perRank = request.collective != Collective::AllReduce;
  const int blocks = perRank ? n : n * forest.perRank;
  Plan plan = planFor(request, Algorithm::Forest, protocol, rank, perRank ? Layout::PerRank : Layout::Split,
                      blocks, chunkFor(request, messageBytes(protocol, limits)));
  const int lanes = perRank ? forest.perRank : 1;
  for (int l = 0; l < lanes; ++l) {
    std::vector<const ForestTrees::Tree*> trees;
    for (size_t t = static_cast<size_t>(l); t < forest.trees.size(); t += static_cast<size_t>(lanes)) {
      trees.push_back(&forest.trees[t]);
    }
    Lane lane = TreePlay(std::move(trees), request.collective, rank).lane();
    lane.channel = static_cast<uint8_t>(l);
    lane.part = l;
    lane.parts = lanes;
    for (Step& step : lane.steps) {  // each lane has scratch blocks of its own
      if (step.src.buffer == Buffer::Scratch) step.src.index.base += l * n;
      if (step.dst.buffer == Buffer::Scratch) step.dst.index.base += l * n;
    }
    plan.lanes.push_back(std::move(lane));
  }
  if (request.collective == Collective::ReduceScatter) plan.scratchBlocks = lanes * n;
  return plan;
}

}  // namespace

ForestTrees ForestTrees::of(const topology::ChannelGraph& packed, int nRanks) {
  std::vector<std::vector<Tree>> byRoot(static_cast<size_t>(nRanks));
  for (const topology::ForestTree& from : packed.trees) {
    if (from.root < 0 || from.root >= nRanks) return {};
    Tree tree{from.root, std::vector<int>(static_cast<size_t>(nRanks), -1)};
    int reached = 1;
    for (const auto& edge : from.edges) {
      if (edge.from < 0 || edge.to < 0 || edge.from >= nRanks || edge.to >= nRanks || edge.to == from.root)
        return {};
      reached += tree.parent[edge.to] < 0;
      tree.parent[edge.to] = edge.from;
    }
    if (reached != nRanks) return {};
    for (int c = 0; c < from.copies; ++c) byRoot[from.root].push_back(tree);
  }
  ForestTrees forest;
  for (auto& trees : byRoot) {
    if (trees.size() != byRoot[0].size()) return {};
    for (Tree& tree : trees) forest.trees.push_back(std::move(tree));
  }
  forest.perRank = static_cast<int>(byRoot.empty() ? 0 : byRoot[0].size());
  return forest;
}

const Builder kForest{Algorithm::Forest, "forest: spanning trees packed into the machine's links",
                      supportsForest, buildForest};

}  // namespace tutti::algos
