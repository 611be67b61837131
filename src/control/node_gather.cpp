// Node: small messages of all ranks to all ranks, up the tree and down again.
//
// Each rank sends its parent one message with its own part and those of its subtree, when all of these are
// there; rank 0 sends the whole down. Two messages per link and gather; the lower end of a link carries few
// bytes up and all of them down.
#include <algorithm>

#include "control/node.hpp"
#include "core/log.hpp"

namespace tutti::control {

void Node::beginGather(uint32_t seq, SharedBytes mine, CompletionPtr<SharedBytes> completion) {
  const uint32_t word = faultWord_.load(std::memory_order_acquire);
  if (removed_ || word != 0) {
    if (completion)
      completion->complete(removed_ ? Error(Code::InvalidUsage, "the communicator has ended")
                                    : errorOf(fault()));
    return;
  }
  for (const auto& [rank, lastCall] : leftRanks_) {
    if (rank != rank_ && completion) {
      completion->complete(
          makeError(Code::InvalidUsage, "{} has destroyed the communicator", describeRank(rank)));
      return;
    }
  }
  gathersSeen_ = seq + 1;
  PendingGather& gather = gathers_[seq];
  gather.mine = true;
  gather.completion = std::move(completion);
  gather.entries.push_back({static_cast<uint32_t>(rank_), *mine});
  gather.keep.push_back(std::move(mine));
  advanceGather(seq);
}

void Node::onGather(const LinkPtr& link, const SharedBytes& payload) {
  const auto message = decodeGather(*payload);
  const int child = link->tag();
  if (!message || std::find(children_.begin(), children_.end(), child) == children_.end()) {
    TUTTI_WARN("control: rank {}: a gather from {} that makes no sense", rank_, describeRank(child));
    return;
  }
  PendingGather& gather = gathers_[message->seq];
  if (!gather.childrenIn.insert(child).second) return;
  gather.entries.insert(gather.entries.end(), message->entries.begin(), message->entries.end());
  gather.keep.push_back(payload);
  advanceGather(message->seq);
}

void Node::advanceGather(uint32_t seq) {
  PendingGather& gather = gathers_[seq];
  if (!gather.mine || gather.childrenIn.size() != children_.size()) return;
  if (rank_ == 0) {
    std::sort(gather.entries.begin(), gather.entries.end(),
              [](const GatherEntry& a, const GatherEntry& b) { return a.rank < b.rank; });
  }
  const SharedBytes message = share(encode(GatherMsg{seq, std::move(gather.entries)}));
  gather.entries.clear();
  gather.keep.clear();
  if (rank_ == 0) return onGatherResult(seq, message);
  if (const auto parent = links_.find(treeParent(rank_)); parent != links_.end()) {
    parent->second->send(FrameType::Gather, message);
  } else {
    waitingUp_.emplace_back(FrameType::Gather, message);
  }
}

void Node::onGatherResult(uint32_t seq, const SharedBytes& payload) {
  const auto found = gathers_.find(seq);
  if (found == gathers_.end()) return;
  const CompletionPtr<SharedBytes> completion = found->second.completion;
  gathers_.erase(found);
  for (const int child : children_) {
    if (const auto link = links_.find(child); link != links_.end())
      link->second->send(FrameType::GatherResult, payload);
  }
  if (seq == 0) return onRoster(payload);
  if (completion) completion->complete(SharedBytes(payload));
}

}  // namespace tutti::control
