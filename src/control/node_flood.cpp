// Node: what everyone must hear.
#include "control/node.hpp"
#include "core/log.hpp"

namespace tutti::control {

Fault Node::fault() const {
  const std::lock_guard lock(faultMutex_);
  return fault_;
}

bool Node::setFault(const Fault& fault) {
  {
    const std::lock_guard lock(faultMutex_);
    if (fault_.kind != FaultKind::None) return false;
    fault_ = fault;
    if (fault_.text.size() > kMaxText) fault_.text.resize(kMaxText);
    // Pairs with the acquire of those who go on to read fault(); pollers may read it relaxed.
    faultWord_.store(packFault(fault.kind, fault.rank), std::memory_order_release);
  }
  tellFault(fault);
  return true;
}

void Node::tellFault(const Fault& fault) {
  if (!live_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(callbackMutex_);
  if (onFault_) onFault_(fault);
}

void Node::raise(Fault fault) {
  if (fault.kind == FaultKind::None || !setFault(fault)) return;
  service_.loop().post([self = shared_from_this(), fault] {
    if (self->removed_) return;
    if (fault.kind == FaultKind::Dead && fault.rank >= 0 && fault.rank < self->nRanks_) {
      self->markDead(fault.rank, fault.text, {});
    } else {
      self->flood(FrameType::Fault, share(encode(FaultMsg{fault.kind, fault.rank, fault.text})), {});
    }
    self->endWaits(errorOf(fault));
  });
}

void Node::flood(FrameType type, const SharedBytes& payload, const LinkPtr& except) {
  for (const auto& [rank, link] : links_) {
    if (link != except) link->send(type, payload);
  }
}

void Node::spreadFault(const Fault& fault, const LinkPtr& except) {
  if (!setFault(fault)) return;
  TUTTI_INFO(Init, "rank {}: communicator {:x}: {}", rank_, commId_, fault.text);
  flood(FrameType::Fault, share(encode(FaultMsg{fault.kind, fault.rank, fault.text})), except);
  endWaits(errorOf(fault));
}

void Node::markDead(int rank, const std::string& text, const LinkPtr& except) {
  if (rank == rank_ || !dead_.emplace(rank, text).second) return;
  flood(FrameType::Fault, share(encode(FaultMsg{FaultKind::Dead, rank, text})), except);
  const Fault fault{FaultKind::Dead, rank, text};
  if (setFault(fault)) {
    TUTTI_INFO(Init, "rank {}: communicator {:x}: {}", rank_, commId_, text);
    endWaits(errorOf(fault));
  }
  for (const auto& weak : std::vector(derived_)) {
    if (const auto derived = weak.lock()) derived->watchParentComm(rank, text);
  }
  // A process dies with all its ranks.
  if (roster_) {
    const auto& peers = roster_->peers;
    for (int other = 0; other < nRanks_; ++other) {
      if (other == rank ||
          peers[static_cast<size_t>(other)].process != peers[static_cast<size_t>(rank)].process)
        continue;
      if (!dead_.contains(other) && other != rank_) {
        dead_.emplace(other, text);
        flood(FrameType::Fault, share(encode(FaultMsg{FaultKind::Dead, other, text})), except);
      }
    }
  }
  heal();
  maybeRemove();
}

void Node::markLeft(int rank, uint64_t lastCall, const LinkPtr& except, const SharedBytes& payload) {
  if (!leftRanks_.emplace(rank, lastCall).second) return;
  leftFlags_[static_cast<size_t>(rank)].store(1, std::memory_order_release);
  flood(FrameType::Left, payload ? payload : share(encode(LeftMsg{static_cast<uint32_t>(rank), lastCall})),
        except);
  if (rank != rank_) {
    const Error error =
        makeError(Code::InvalidUsage, "{} has destroyed the communicator", describeRank(rank));
    for (auto& [seq, gather] : gathers_) {
      if (gather.completion) gather.completion->complete(Error(error));
    }
    if (stuckIn_ > lastCall && !leftSelf_) beginProbe(stuckIn_);
  }
  maybeRemove();
}

void Node::endWaits(const Error& error) {
  if (!joined_) failJoin(error, true);
  for (auto& [seq, gather] : gathers_) {
    if (gather.completion) gather.completion->complete(Error(error));
  }
  for (auto& [key, survey] : surveys_) {
    if (survey.completion) survey.completion->complete(Error(error));
  }
  for (const auto& weak : fdWaits_) {
    if (const auto completion = weak.lock()) completion->complete(Error(error));
  }
  fdWaits_.clear();
  broker_.failWaits(error);
}

}  // namespace tutti::control
