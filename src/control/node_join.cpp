// Node: from nothing to a member of the tree with a roster.
#include <algorithm>

#include "control/node.hpp"
#include "core/log.hpp"

namespace tutti::control {
namespace {

constexpr int64_t kLookForDeathsMs = 50;

}  // namespace

void Node::beginJoin(const UniqueIdFields& id, const CheckInMsg& checkIn, Deadline deadline,
                     std::shared_ptr<Done> done) {
  joinDone_ = std::move(done);
  deadline_ = deadline;
  rendezvousId_ = id;
  checkIn_ = checkIn;
  this->checkIn();
  // A communicator of fewer ranks than there are processes may do without the one that died.
  const JobDeaths& deaths = service_.jobDeaths();
  if (removed_ || deaths.size() < 2 || nRanks_ < deaths.size()) return;
  std::set<int> known;
  for (const Death& death : deaths.read()) {
    if (service_.hasMet(death.pid)) known.insert(death.pid);
  }
  watchDeaths(known);
}

/// Until bring-up is over: a process of this job that died before it came to the meeting place is known to
/// the launcher only.
void Node::watchDeaths(const std::set<int>& knownPids) {
  if (joined_ || removed_) return;
  for (const Death& death : service_.jobDeaths().read()) {
    if (knownPids.contains(death.pid)) continue;
    // Where the dead had come, the meeting place has more to say.
    return suspectDuringJoin(
        fmt::format("the process of rank {} (pid {}, as counted by the launcher) {} while the {} ranks were "
                    "coming together",
                    death.rank, death.pid, death.how, nRanks_));
  }
  service_.loop().callAfterMs(kLookForDeathsMs, [weak = weak_from_this(), knownPids] {
    if (const auto self = weak.lock()) self->watchDeaths(knownPids);
  });
}

void Node::suspectDuringJoin(const std::string& text) {
  service_.loop().callAfterMs(kLookForDeathsMs, [weak = weak_from_this(), text] {
    const auto self = weak.lock();
    if (self && !self->joined_ && !self->removed_) self->failJoin(Error(Code::RemoteError, text), true);
  });
}

void Node::checkIn() {
  const auto onConnected = [self = shared_from_this()](Result<LinkPtr> link) {
    self->checkingIn_.reset();
    if (self->removed_) {
      if (link.ok()) link.value()->close();
      return;
    }
    if (!link.ok()) {
      return self->failJoin(makeError(self->deadline_.expired() ? Code::Timeout : Code::RemoteError,
                                      "cannot reach the process that made the unique id: {}",
                                      link.error().message()));
    }
    self->rendezvous_ = link.value();
    if (auto* socket = dynamic_cast<SocketLink*>(link.value().get())) socket->readFreely();
    link.value()->setOwner(self);
    link.value()->send(FrameType::CheckIn, share(encode(self->checkIn_)));
  };
  const Key key{rendezvousId_.id, rendezvousId_.secret};
  if (service_.findRendezvous(key.id)) return onConnected(service_.connectHere(key.id));
  ConnectOptions options{key, deadline_};
  options.listened = !rendezvousId_.rankZeroRoots;  // else rank 0 may not have opened it yet
  checkingIn_ = service_.connectAddress(rendezvousId_.address, options, onConnected);
}

void Node::onRendezvousClosed(const std::string& why) {
  rendezvous_.reset();
  if (root_.root.pid == 0 && rendezvousId_.rankZeroRoots && !deadline_.expired()) {
    // The meeting place of NCCL_COMM_ID still served the communicator before; it opens again.
    service_.loop().callAfterMs(20, [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->removed_ && !self->joined_) self->checkIn();
    });
    return;
  }
  const std::string who = root_.rank >= 0 ? fmt::format("rank {} ({})", root_.rank, root_.root.text())
                          : root_.root.pid != 0
                              ? fmt::format("the process that made the unique id ({})", root_.root.text())
                              : std::string("the process that made the unique id");
  failJoin(makeError(Code::RemoteError, "{} died during initialisation ({})", who, why), true);
}

void Node::onRendezvous(FrameType type, const SharedBytes& payload) {
  if (type == FrameType::Welcome) {
    if (const auto message = decodeWelcome(*payload)) root_ = *message;
  } else if (type == FrameType::Ready) {
    if (const auto message = decodeReady(*payload); message && static_cast<int>(message->rank) == rank_)
      onReady(*message);
  } else if (type == FrameType::JoinFail) {
    const auto message = decodeJoinFail(*payload);
    if (!message || (message->rank != kEveryRank && static_cast<int>(message->rank) != rank_)) return;
    if (rendezvous_) rendezvous_->close();
    rendezvous_.reset();
    failJoin(Error(static_cast<Code>(message->code), message->text), true);
  }
}

void Node::onReady(const ReadyMsg& message) {
  if (!enterTree(message.commId))
    return failJoin(Error(Code::InternalError, "two communicators of one name"));
  if (message.hasParent) {
    known_[treeParent(rank_)] = message.parent;
    connectParent(message.parent, false);
  }
  beginGather(0, share(encodeRosterEntry(service_.self(), selfInfo_)), nullptr);
}

bool Node::enterTree(uint64_t commId) {
  commId_ = commId;
  for (int child = rank_ * kTreeFanout + 1; child <= rank_ * kTreeFanout + kTreeFanout && child < nRanks_;
       ++child) {
    children_.push_back(child);
  }
  entered_ = true;
  if (service_.addNode(commId, rank_, shared_from_this())) return true;
  entered_ = false;
  return false;
}

void Node::connectParent(const PeerInfo& parent, bool refusedIsFinal) {
  const int to = treeParent(rank_);
  connecting_ = service_.connect(
      parent, {key_, deadline_, refusedIsFinal}, [self = shared_from_this(), to](Result<LinkPtr> link) {
        self->connecting_.reset();
        if (self->removed_) {
          if (link.ok()) link.value()->close();
          return;
        }
        if (!link.ok())
          return self->suspectDead(
              to, fmt::format("{} cannot be reached: {}", self->describeRank(to), link.error().message()));
        self->addLink(to, link.value());
        for (auto& [type, payload] : self->waitingUp_) link.value()->send(type, payload);
        self->waitingUp_.clear();
      });
}

void Node::onRoster(const SharedBytes& result) {
  const auto roster = service_.rosterOf(result);
  if (!roster || static_cast<int>(roster->peers.size()) != nRanks_) {
    return failJoin(Error(Code::InternalError, "the list of ranks is damaged"));
  }
  roster_ = roster;
  joined_ = true;
  live_.store(
      true,
      std::memory_order_relaxed);  // relaxed: a fault that misses it is seen by the joiner in faultWord()
  known_.clear();
  if (rendezvous_) {
    rendezvous_->send(FrameType::JoinDone, share(encode(JoinDoneMsg{static_cast<uint32_t>(rank_)})));
    rendezvous_->close();
    rendezvous_.reset();
  }
  endJoin(Nothing{});
}

void Node::endJoin(Result<Nothing> result) {
  if (const auto done = std::exchange(joinDone_, nullptr)) done->complete(std::move(result));
}

void Node::abandonJoin(const Error& error) {
  if (!joined_) return failJoin(error);
  spreadFault(
      {FaultKind::LocalError, rank_, fmt::format("{} gave up: {}", describeRank(rank_), error.message())},
      {});
  beginLeave(std::make_shared<Done>());
}

void Node::failJoin(const Error& error, bool verbatim) {
  if (joined_ || removed_) return;
  // Neighbours hear the reason before they see the links end.
  const std::string text =
      verbatim ? error.message()
               : fmt::format("rank {} ({}) gave up: {}", rank_, service_.self().text(), error.message());
  setFault({FaultKind::LocalError, rank_, text});
  flood(FrameType::Fault, share(encode(FaultMsg{FaultKind::LocalError, rank_, text})), {});
  if (rendezvous_) {
    rendezvous_->send(FrameType::JoinFail,
                      share(encode(JoinFailMsg{verbatim ? kEveryRank : static_cast<uint32_t>(rank_),
                                               static_cast<int32_t>(error.code()), error.message()})));
    rendezvous_->close();
    rendezvous_.reset();
  }
  if (checkingIn_) checkingIn_->cancel();
  checkingIn_.reset();
  endJoin(Error(error));
  remove();
}

void Node::beginDerive(std::shared_ptr<Node> parent, std::vector<int> members, uint64_t commId,
                       Deadline deadline, std::shared_ptr<Done> done) {
  joinDone_ = std::move(done);
  deadline_ = deadline;
  members_ = std::move(members);
  for (size_t i = 0; i < members_.size(); ++i)
    known_[static_cast<int>(i)] = parent->roster_->peers[static_cast<size_t>(members_[i])];
  std::erase_if(parent->derived_, [](const auto& each) { return each.expired(); });
  parent->derived_.push_back(weak_from_this());
  for (size_t i = 0; i < members_.size(); ++i) {
    if (const auto dead = parent->dead_.find(members_[i]); dead != parent->dead_.end()) {
      return failJoin(
          makeError(Code::RemoteError, "rank {} of the new communicator is dead: {}", i, dead->second));
    }
    if (parent->leftRanks_.contains(members_[i])) {
      return failJoin(makeError(Code::InvalidUsage,
                                "rank {} of the new communicator, {}, has left the one it is made from", i,
                                parent->describeRank(members_[i])));
    }
  }
  if (!enterTree(commId))
    return failJoin(Error(Code::InvalidUsage, "these ranks have made a communicator with this tag before"));
  if (rank_ != 0) connectParent(known_.at(treeParent(rank_)), true);
  beginGather(0, share(encodeRosterEntry(service_.self(), selfInfo_)), nullptr);
}

void Node::watchParentComm(int parentRank, const std::string& text) {
  const auto found = std::find(members_.begin(), members_.end(), parentRank);
  if (found == members_.end() || removed_) return;
  const int mine = static_cast<int>(found - members_.begin());
  markDead(
      mine,
      fmt::format("{} died; in the communicator that this one was made from: {}", describeRank(mine), text),
      {});
}

}  // namespace tutti::control
