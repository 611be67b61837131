#include "control/node.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace tutti::control {
namespace {

/// How long a rank that refuses connections may turn out to have left in order.
constexpr int64_t kGoneGraceMs = 300;
/// The same when others have left already: at the end of a job they go one after the other, and words may get
/// lost between processes that are exiting.
constexpr int64_t kGoneGraceAtEndMs = 5000;
/// How long the meeting place may take to say why a neighbour went during bring-up.
constexpr int64_t kJoinGraceMs = 250;

}  // namespace

Node::Node(Service& service, NodeOptions options)
    : service_(service),
      rank_(options.rank),
      nRanks_(options.nRanks),
      key_(options.key),
      selfInfo_(std::move(options.selfInfo)),
      describe_(std::move(options.describe)),
      onFault_(std::move(options.onFault)),
      leftFlags_(static_cast<size_t>(options.nRanks)) {}

Node::~Node() = default;

void Node::dropCallbacks() {
  const std::lock_guard lock(callbackMutex_);
  describe_ = nullptr;
  onFault_ = nullptr;
}

std::string Node::describeRank(int rank) const {
  if (roster_) return fmt::format("rank {} ({})", rank, roster_->peers[static_cast<size_t>(rank)].text());
  const auto found = known_.find(rank);
  return found == known_.end() ? fmt::format("rank {}", rank)
                               : fmt::format("rank {} ({})", rank, found->second.text());
}

void Node::onArrival(const LinkPtr& link, FrameType type, const SharedBytes& payload) {
  if (type == FrameType::Link) return acceptLink(link, payload);
  if (type == FrameType::Fetch) {
    const auto message = decodeFetch(*payload);
    link->setOwner(shared_from_this());
    if (message && !leftSelf_) return broker_.onFetch(message->name, link);
    link->send(FrameType::FetchReply, share(encode(FetchReplyMsg{"the rank has left the communicator"})));
    return link->close();
  }
  const auto message = decodeStream(*payload);
  auto* socket = dynamic_cast<SocketLink*>(link.get());
  if (!message || socket == nullptr || static_cast<int>(message->from) >= nRanks_ || leftSelf_) {
    link->send(FrameType::StreamAck, share(encode(StreamAckMsg{"the rank takes no streams any more"})));
    return link->close();
  }
  link->send(FrameType::StreamAck, share(encode(StreamAckMsg{})));
  UniqueFd fd = socket->detach();
  if (fd.valid()) broker_.onStream(static_cast<int>(message->from), message->tag, std::move(fd));
}

void Node::acceptLink(const LinkPtr& link, const SharedBytes& payload) {
  const auto message = decodeLink(*payload);
  const int from = message ? static_cast<int>(message->from) : -1;
  if (!message || from >= nRanks_ || from == rank_ || removed_) return link->close();
  if (!joined_ && !known_.contains(from)) known_[from] = message->peer;
  link->setOwner(shared_from_this(), from);
  if (const auto old = links_.find(from); old != links_.end()) old->second->close();
  links_[from] = link;
  // The same back: now the other side knows that this rank has it.
  link->send(FrameType::Link, share(encode(LinkMsg{commId_, static_cast<uint32_t>(rank_),
                                                   static_cast<uint32_t>(from), service_.self()})));
  sendSync(link);
}

void Node::addLink(int rank, const LinkPtr& link) {
  if (auto* socket = dynamic_cast<SocketLink*>(link.get())) socket->readFreely();
  link->setOwner(shared_from_this(), rank);
  if (const auto old = links_.find(rank); old != links_.end()) old->second->close();
  links_[rank] = link;
  link->send(FrameType::Link, share(encode(LinkMsg{commId_, static_cast<uint32_t>(rank_),
                                                   static_cast<uint32_t>(rank), service_.self()})));
  sendSync(link);
}

void Node::sendSync(const LinkPtr& link) {
  for (const auto& [rank, text] : dead_)
    link->send(FrameType::Fault, share(encode(FaultMsg{FaultKind::Dead, rank, text})));
  const Fault now = fault();
  if (now.kind != FaultKind::None && now.kind != FaultKind::Dead) {
    link->send(FrameType::Fault, share(encode(FaultMsg{now.kind, now.rank, now.text})));
  }
  for (const auto& [rank, lastCall] : leftRanks_) {
    link->send(FrameType::Left, share(encode(LeftMsg{static_cast<uint32_t>(rank), lastCall})));
  }
}

void Node::onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) {
  if (removed_) return;
  if (link == rendezvous_) return onRendezvous(type, payload);
  if (!unconfirmed_.empty()) unconfirmed_.erase(link->tag());
  switch (type) {
    case FrameType::Link:
      return;  // the other side's confirmation
    case FrameType::Gather:
      return onGather(link, payload);
    case FrameType::GatherResult: {
      Reader reader(*payload);
      const uint32_t seq = reader.u32();
      if (reader.ok()) return onGatherResult(seq, payload);
      break;
    }
    case FrameType::Fault:
      if (const auto message = decodeFault(*payload); message && message->rank < nRanks_) {
        if (message->kind == FaultKind::Dead && message->rank >= 0)
          return markDead(message->rank, message->text, link);
        return spreadFault({message->kind, message->rank, message->text}, link);
      }
      break;
    case FrameType::Left:
      if (const auto message = decodeLeft(*payload); message && static_cast<int>(message->rank) < nRanks_) {
        return markLeft(static_cast<int>(message->rank), message->lastCall, link, payload);
      }
      break;
    case FrameType::Probe:
      if (const auto message = decodeProbe(*payload); message && static_cast<int>(message->rank) < nRanks_) {
        return onProbe(*message, payload, link);
      }
      break;
    case FrameType::Survey:
      if (const auto message = decodeSurvey(*payload)) return onSurvey(*message, payload, link);
      break;
    case FrameType::SurveyReply:
      if (const auto message = decodeSurveyReply(*payload)) return onSurveyReply(*message, payload);
      break;
    default:
      break;
  }
  TUTTI_WARN("control: rank {}: a message of type {} from {} makes no sense; link dropped", rank_,
             static_cast<int>(type), link->remote());
  link->close();
  onClosed(link, "it sent nonsense");
}

void Node::onClosed(const LinkPtr& link, const std::string& why) {
  if (removed_) return;
  if (link == rendezvous_) return onRendezvousClosed(why);
  broker_.onLinkClosed(link);
  const int rank = link->tag();
  const auto found = links_.find(rank);
  if (rank < 0 || found == links_.end() || found->second != link) return;
  links_.erase(found);
  if (leftRanks_.contains(rank) || isGone(rank)) {
    gone_.insert(rank);
    heal();
    return maybeRemove();
  }
  // A link that had barely been made says nothing: the other end may have been on its way out, in order.
  if (unconfirmed_.erase(rank) != 0) return markGone(rank, why);
  suspectDead(rank, fmt::format("{} died ({})", describeRank(rank), why));
}

void Node::suspectDead(int rank, const std::string& text) {
  if (joined_ || !rendezvous_) return markDead(rank, text, {});
  service_.loop().callAfterMs(kJoinGraceMs, [weak = weak_from_this(), rank, text] {
    if (const auto self = weak.lock(); self && !self->removed_) self->markDead(rank, text, {});
  });
}

void Node::markGone(int rank, const std::string& why) {
  gone_.insert(rank);
  if (!leftRanks_.contains(rank) && !dead_.contains(rank)) {
    // Perhaps it left in order and its word has not come round the gap in the tree yet.
    const int64_t grace = leftRanks_.empty() ? kGoneGraceMs : kGoneGraceAtEndMs;
    service_.loop().callAfterMs(grace, [self = shared_from_this(), rank, why] {
      if (self->removed_ || self->leftSelf_ || self->leftRanks_.contains(rank)) return;
      self->markDead(rank, fmt::format("{} died ({})", self->describeRank(rank), why), {});
    });
  }
  heal();
  maybeRemove();
}

int Node::effectiveParent() const {
  for (int rank = treeParent(rank_); rank >= 0; rank = treeParent(rank)) {
    if (!isGone(rank)) return rank;
  }
  for (int rank = 0; rank < rank_; ++rank) {
    if (!isGone(rank)) return rank;
  }
  return -1;
}

void Node::heal() {
  if (!joined_ || removed_ || (leftSelf_ && links_.empty())) return;
  const int to = effectiveParent();
  if (to < 0 || links_.contains(to) || healingTo_ == to) return;
  if (connecting_) connecting_->cancel();
  healingTo_ = to;
  const auto patience = Deadline::afterMs(std::max<int64_t>(service_.heartbeatMs() * 3, 1000));
  connecting_ = service_.connect(roster_->peers[static_cast<size_t>(to)], {key_, patience, true},
                                 [self = shared_from_this(), to](Result<LinkPtr> link) {
                                   self->connecting_.reset();
                                   self->healingTo_ = -1;
                                   if (self->removed_) {
                                     if (link.ok()) link.value()->close();
                                     return;
                                   }
                                   if (!link.ok()) return self->markGone(to, link.error().message());
                                   self->unconfirmed_.insert(to);
                                   self->addLink(to, link.value());
                                 });
}

void Node::maybeRemove() {
  if (!leftSelf_ || removed_) return;
  // Cheap and nearly always enough: the sets may overlap, so their sizes bound the number of ranks accounted
  // for.
  if (leftRanks_.size() + dead_.size() + gone_.size() < static_cast<size_t>(nRanks_)) return;
  for (int rank = 0; rank < nRanks_; ++rank) {
    if (rank != rank_ && !leftRanks_.contains(rank) && !isGone(rank)) return;
  }
  remove();
}

void Node::remove() {
  if (removed_) return;
  removed_ = true;
  const auto self = shared_from_this();
  for (auto& [rank, link] : links_) link->close();
  links_.clear();
  if (connecting_) connecting_->cancel();
  connecting_.reset();
  service_.loop().cancel(probeTimer_);
  broker_.clear();
  gathers_.clear();
  surveys_.clear();
  if (entered_) service_.removeNode(commId_, rank_);
  entered_ = false;
  service_.dropKey(key_.id);
}

void Node::addFdWait(const CompletionPtr<UniqueFd>& completion) {
  std::erase_if(fdWaits_, [](const auto& each) { return each.expired(); });
  fdWaits_.push_back(completion);
}

void Node::beginStream(int peer, uint32_t tag, Deadline deadline, CompletionPtr<UniqueFd> completion) {
  if (removed_) return (void)completion->complete(Error(Code::InvalidUsage, "the communicator has ended"));
  // The opener's half: connect, name the stream, wait for the word that it has been taken, then bare the
  // socket.
  class Opening : public LinkOwner, public std::enable_shared_from_this<Opening> {
   public:
    explicit Opening(CompletionPtr<UniqueFd> completion) : completion_(std::move(completion)) {}
    void hold(const LinkPtr& link) {
      link_ = link;
      self_ = shared_from_this();
      link->setOwner(self_);
    }
    void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) override {
      const auto message = type == FrameType::StreamAck ? decodeStreamAck(*payload) : std::nullopt;
      if (message && message->error.empty()) {
        if (UniqueFd fd = static_cast<SocketLink&>(*link).detach(); fd.valid()) {
          completion_->complete(std::move(fd));
        } else {
          completion_->complete(Error(Code::InternalError, "a stream's socket could not be taken over"));
        }
      } else {
        completion_->complete(
            Error(Code::RemoteError, message ? message->error : "the peer gave no sensible answer"));
        link->close();
      }
      end();
    }
    void onClosed(const LinkPtr&, const std::string& why) override {
      completion_->complete(makeError(Code::RemoteError, "the peer closed the connection: {}", why));
      end();
    }

   private:
    void end() {
      link_.reset();
      const auto last = std::move(self_);
    }
    CompletionPtr<UniqueFd> completion_;
    LinkPtr link_;
    std::shared_ptr<Opening> self_;  // until the answer
  };
  addFdWait(completion);
  const LinkMsg route{commId_, static_cast<uint32_t>(rank_), static_cast<uint32_t>(peer), {}};
  service_.connectSocket(roster_->peers[static_cast<size_t>(peer)], {key_, deadline, true},
                         [completion, route, tag](Result<LinkPtr> link) {
                           if (!link.ok()) return (void)completion->complete(std::move(link).error());
                           std::make_shared<Opening>(completion)->hold(link.value());
                           link.value()->send(
                               FrameType::Stream,
                               share(encode(StreamMsg{route.commId, route.from, route.to, tag})));
                         });
}

void Node::beginFetch(int peer, uint32_t name, Deadline deadline, CompletionPtr<UniqueFd> completion) {
  if (removed_) return (void)completion->complete(Error(Code::InvalidUsage, "the communicator has ended"));
  class Fetching : public LinkOwner, public std::enable_shared_from_this<Fetching> {
   public:
    explicit Fetching(CompletionPtr<UniqueFd> completion) : completion_(std::move(completion)) {}
    void hold(const LinkPtr& link) {
      link_ = link;
      self_ = shared_from_this();
      link->setOwner(self_);
    }
    void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) override {
      const auto message = type == FrameType::FetchReply ? decodeFetchReply(*payload) : std::nullopt;
      UniqueFd fd = static_cast<SocketLink&>(*link).takeReceivedFd();
      if (message && message->error.empty() && fd.valid()) {
        completion_->complete(std::move(fd));
      } else {
        completion_->complete(Error(
            Code::RemoteError, message && !message->error.empty() ? message->error : "no descriptor came"));
      }
      link->close();
      end();
    }
    void onClosed(const LinkPtr&, const std::string& why) override {
      completion_->complete(makeError(Code::RemoteError, "the peer closed the connection: {}", why));
      end();
    }

   private:
    void end() {
      link_.reset();
      const auto last = std::move(self_);
    }
    CompletionPtr<UniqueFd> completion_;
    LinkPtr link_;
    std::shared_ptr<Fetching> self_;
  };
  addFdWait(completion);
  ConnectOptions options{key_, deadline, true, true};
  const FetchMsg message{commId_, static_cast<uint32_t>(rank_), static_cast<uint32_t>(peer), name};
  service_.connectSocket(roster_->peers[static_cast<size_t>(peer)], options,
                         [completion, message](Result<LinkPtr> link) {
                           if (!link.ok()) return (void)completion->complete(std::move(link).error());
                           std::make_shared<Fetching>(completion)->hold(link.value());
                           link.value()->send(FrameType::Fetch, share(encode(message)));
                         });
}

void Node::answerFetches(const std::vector<LinkPtr>& links, uint32_t name) {
  for (const LinkPtr& link : links) answerFetch(link, broker_.duplicate(name));
}

void Node::beginLeave(std::shared_ptr<Done> flushed) {
  if (!leftSelf_ && !removed_) {
    leftSelf_ = true;
    markLeft(rank_, history_.last(), {});
    if (!removed_) broker_.clear();
  }
  // Done when the word is out: this process may exit right after.
  const auto all =
      std::all_of(links_.begin(), links_.end(), [](const auto& entry) { return entry.second->flushed(); });
  if (all || removed_) return (void)flushed->complete(Nothing{});
  service_.loop().callAfterMs(1, [self = shared_from_this(), flushed] { self->beginLeave(flushed); });
}

}  // namespace tutti::control
