#include "control/rendezvous.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "core/log.hpp"

namespace tutti::control {
namespace {

constexpr size_t kMaxNamed = 32;

}  // namespace

std::string formatRanks(const std::vector<int>& sorted) {
  std::string text;
  size_t parts = 0;
  for (size_t i = 0; i < sorted.size();) {
    size_t j = i;
    while (j + 1 < sorted.size() && sorted[j + 1] == sorted[j] + 1) ++j;
    if (++parts > kMaxNamed) return text + ", ...";
    if (!text.empty()) text += ", ";
    text += j == i ? fmt::format("{}", sorted[i]) : fmt::format("{}-{}", sorted[i], sorted[j]);
    i = j + 1;
  }
  return text;
}

std::string formatMs(int64_t ms) {
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms % 1000 < 50 || ms >= 10'000) return fmt::format("{} s", (ms + 500) / 1000);
  return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
}

void Rendezvous::open(TrackedFd listener) {
  listener_ = std::move(listener);
  service_.holdKey({id_.id, id_.secret});
  service_.addRendezvous(id_.id, shared_from_this());
}

std::string Rendezvous::describe(uint32_t rank) const {
  const auto found = members_.find(rank);
  return found == members_.end() ? fmt::format("rank {}", rank)
                                 : fmt::format("rank {} ({})", rank, found->second.peer.text());
}

void Rendezvous::onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) {
  if (link == upstream_) return onUpstream(type, payload);
  switch (type) {
    case FrameType::CheckIn:
      if (const auto message = decodeCheckIn(*payload)) return onCheckIn(link, *message, payload);
      break;
    case FrameType::Relay:
      if (const auto message = decodeRelay(*payload)) {
        relays_[link] = *message;
        return welcome(link);
      }
      break;
    case FrameType::JoinDone:
      if (const auto message = decodeJoinDone(*payload)) {
        if (relaying_) passUp(type, payload);
        return onMemberDone(message->rank);
      }
      break;
    case FrameType::JoinFail:
      if (const auto message = decodeJoinFail(*payload)) return onMemberFailed(link, *message);
      break;
    default:
      break;
  }
  TUTTI_WARN("control: dropped {}: it sent a message of type {} that makes no sense during bring-up",
             link->remote(), static_cast<int>(type));
  link->close();
  onClosed(link, "it sent nonsense");
}

void Rendezvous::onCheckIn(const LinkPtr& link, const CheckInMsg& message, const SharedBytes& payload) {
  const auto refuse = [&](const std::string& text, Code code = Code::InvalidUsage) {
    link->send(FrameType::JoinFail,
               share(encode(JoinFailMsg{message.rank, static_cast<int32_t>(code), text})));
    if (!relays_.contains(link)) {
      link->close();
      links_.erase(link);
    }
  };
  const std::string who = fmt::format("rank {} ({})", message.rank, message.peer.text());
  if (finished_) {
    refuse(fmt::format("{} comes too late: {}", who, outcome_), failure_);
    return noteTold(message.rank);
  }
  if (members_.empty() && nRanks_ == 0) {
    nRanks_ = message.nRanks;
    firstRank_ = message.rank;
    startNs_ = nowNs();
    if (message.firstId != id_.id) relay(message);
  }
  if (message.nRanks != nRanks_) {
    const std::string text =
        fmt::format("{} was given {} ranks, {} was given {}: all ranks must be given the same number", who,
                    message.nRanks, describe(firstRank_), nRanks_);
    refuse(text);
    return failAll(Code::InvalidArgument, text);
  }
  const auto found = members_.find(message.rank);
  if (found != members_.end() && found->second.done && id_.rankZeroRoots) {
    // It is already about the next communicator of NCCL_COMM_ID; this place will be closed, and opened again,
    // for that.
    link->close();
    links_.erase(link);
    return;
  }
  if (found != members_.end() && found->second.joinNonce != message.joinNonce) {
    const std::string text =
        fmt::format("two processes or threads claim to be rank {} of {}: {} and {}", message.rank, nRanks_,
                    found->second.peer.text(), message.peer.text());
    refuse(text);
    return failAll(Code::InvalidArgument, text);
  }
  members_[message.rank] = Member{link, message.joinNonce, message.peer, false};
  if (localRank_ < 0 && message.peer.process == service_.self().process) {
    localRank_ = static_cast<int32_t>(message.rank);
    for (const LinkPtr& each : links_) welcome(each);
  } else {
    welcome(link);
  }
  armTimer(message.timeoutMs);
  reportProgress();
  if (relaying_) return passUp(FrameType::CheckIn, payload);
  if (members_.size() == nRanks_ && !ready_) sendReady();
}

void Rendezvous::reportProgress() {
  if (!service_.reportsProgress()) return;
  // Each tenth of the ranks, so that a large job's log stays short.
  const size_t step = std::max<size_t>(1, nRanks_ / 10);
  if (members_.size() % step == 0 || members_.size() == nRanks_)
    TUTTI_INFO(Bootstrap, "{} of {} ranks have checked in", members_.size(), nRanks_);
}

void Rendezvous::welcome(const LinkPtr& link) {
  link->send(FrameType::Welcome, share(encode(WelcomeMsg{localRank_, service_.self()})));
}

void Rendezvous::sendReady() {
  ready_ = true;
  const uint64_t commId = randomU64();
  for (const auto& [rank, member] : members_) {
    ReadyMsg message{rank, commId, rank != 0, {}};
    if (rank != 0)
      message.parent = members_.at(static_cast<uint32_t>(treeParent(static_cast<int>(rank)))).peer;
    member.link->send(FrameType::Ready, share(encode(message)));
  }
}

void Rendezvous::onMemberDone(uint32_t rank) {
  const auto found = members_.find(rank);
  if (found == members_.end() || found->second.done || finished_) return;
  found->second.done = true;
  ++done_;
  // A relay's members are all there before the first of them gets Ready.
  if (done_ == (relaying_ ? members_.size() : nRanks_)) {
    finish(fmt::format(
        "this unique id has already made a communicator of {} ranks; each communicator takes a new id",
        nRanks_));
  }
}

void Rendezvous::onMemberFailed(const LinkPtr& link, const JoinFailMsg& message) {
  if (finished_) return;
  // A relay reports in the words that all are to hear.
  if (message.rank == kEveryRank) return failAll(static_cast<Code>(message.code), message.text);
  failAll(Code::RemoteError, fmt::format("{} gave up: {}", describe(message.rank), message.text));
}

void Rendezvous::onClosed(const LinkPtr& link, const std::string& why) {
  links_.erase(link);
  if (finished_) return;
  if (link == upstream_) {
    const std::string who =
        rootZero_.rank >= 0 ? fmt::format("rank {} ({})", rootZero_.rank, rootZero_.root.text())
                            : fmt::format("the process of the first unique id ({})", rootZero_.root.text());
    return failAll(Code::RemoteError, fmt::format("{} died during initialisation ({})", who, why));
  }
  if (const auto relayed = relays_.find(link); relayed != relays_.end()) {
    const RelayMsg gone = relayed->second;
    relays_.erase(relayed);
    std::vector<int> ranks;
    std::vector<int> there;
    for (const auto& [rank, member] : members_) {
      if (member.link != link || member.done) continue;
      ranks.push_back(static_cast<int>(rank));
      if (member.peer.process == gone.peer.process) there.push_back(static_cast<int>(rank));
    }
    if (ranks.empty()) return;
    return failAll(Code::RemoteError,
                   fmt::format("rank {} ({}), where unique id {} was made, died during initialisation ({})",
                               there.empty() ? "?" : formatRanks(there), gone.peer.text(), gone.index, why));
  }
  for (const auto& [rank, member] : members_) {
    if (member.link != link || member.done) continue;
    return failAll(Code::RemoteError, fmt::format("{} died during initialisation ({})", describe(rank), why));
  }
}

void Rendezvous::armTimer(uint32_t timeoutMs) {
  // A relay leaves it to root 0, which knows all; its own timer is for a root 0 that cannot be reached.
  const int64_t atNs = nowNs() + (int64_t{timeoutMs} + (relaying_ ? 400 : 0)) * 1'000'000;
  if (timer_.number != 0 && timerAtNs_ <= atNs) return;
  service_.loop().cancel(timer_);
  timerAtNs_ = atNs;
  timer_ = service_.loop().callAt(atNs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->onTimer();
  });
}

void Rendezvous::onTimer() {
  timer_ = {};
  if (finished_) return;
  const std::string within = formatMs((nowNs() - startNs_) / 1'000'000);
  std::vector<int> missing;
  std::vector<int> unfinished;
  if (!relaying_) {
    for (uint32_t rank = 0; rank < nRanks_; ++rank) {
      const auto found = members_.find(rank);
      if (found == members_.end()) {
        missing.push_back(static_cast<int>(rank));
      } else if (!found->second.done) {
        unfinished.push_back(static_cast<int>(rank));
      }
    }
  }
  if (relaying_) {
    failAll(Code::Timeout,
            fmt::format("the process of the first unique id did not answer within {}", within));
  } else if (!missing.empty()) {
    failAll(Code::Timeout, fmt::format("rank{} {} of {} did not check in within {}",
                                       missing.size() > 1 ? "s" : "", formatRanks(missing), nRanks_, within));
  } else {
    failAll(Code::Timeout,
            fmt::format("rank{} {} of {} checked in, but did not connect to the others within {}",
                        unfinished.size() > 1 ? "s" : "", formatRanks(unfinished), nRanks_, within));
  }
}

void Rendezvous::failAll(Code code, const std::string& text) {
  if (finished_) return;
  TUTTI_INFO(Bootstrap, "bring-up failed: {}", text);
  const SharedBytes payload = share(encode(JoinFailMsg{kEveryRank, static_cast<int32_t>(code), text}));
  if (relaying_)
    passUp(FrameType::JoinFail, share(encode(JoinFailMsg{kEveryRank, static_cast<int32_t>(code), text})));
  for (const LinkPtr& link : links_) {
    if (link != upstream_) link->send(FrameType::JoinFail, payload);
  }
  failed_ = true;
  failure_ = code;
  for (const auto& [rank, member] : members_) told_.insert(rank);
  finish(fmt::format("bringing up this communicator has failed already: {}", text));
}

void Rendezvous::noteTold(uint32_t rank) {
  told_.insert(rank);
  if (told_.size() < nRanks_) return;
  for (const auto& each : std::exchange(toldWaits_, {})) each->complete(Nothing{});
}

void Rendezvous::whenAllTold(std::shared_ptr<Done> told) {
  if (!failed_ || relaying_ || told_.size() >= nRanks_) return (void)told->complete(Nothing{});
  toldWaits_.push_back(std::move(told));
}

void Rendezvous::finish(const std::string& outcome) {
  finished_ = true;
  outcome_ = outcome;
  service_.loop().cancel(timer_);
  if (connecting_) connecting_->cancel();
  connecting_.reset();
  // Links that have been told to end are flushed first. Members that are done have closed theirs or are about
  // to.
  for (const LinkPtr& link : links_) link->close();
  if (upstream_) upstream_->close();
  links_.clear();
  relays_.clear();
  members_.clear();
  upstream_.reset();
  waitingUp_.clear();

  const auto retire = [this] {
    service_.removeRendezvous(id_.id);
    service_.dropKey(id_.id);
  };
  if (listener_.valid()) {
    service_.stopListening(std::move(listener_));
    return retire();
  }
  service_.retireLater([keep = shared_from_this(), retire] { retire(); });
}

void Rendezvous::relay(const CheckInMsg& message) {
  relaying_ = true;
  const Key key{message.firstId, maskSecret(message.firstSecret, id_.secret, message.joinNonce)};
  const SharedBytes hello = share(encode(RelayMsg{message.idIndex, service_.self()}));
  const auto onConnected = [weak = weak_from_this(), hello](Result<LinkPtr> link) {
    const auto self = weak.lock();
    if (!self || self->finished_) {
      if (link.ok()) link.value()->close();
      return;
    }
    if (!link.ok()) return self->failAll(Code::RemoteError, link.error().message());
    self->upstream_ = link.value();
    if (auto* socket = dynamic_cast<SocketLink*>(link.value().get())) socket->readFreely();
    link.value()->setOwner(self);
    link.value()->send(FrameType::Relay, hello);
    for (auto& [type, payload] : self->waitingUp_) link.value()->send(type, payload);
    self->waitingUp_.clear();
  };
  if (service_.findRendezvous(key.id)) {
    service_.loop().defer([onConnected, this, keep = shared_from_this(), id = key.id] {
      onConnected(service_.connectHere(id));
    });
    return;
  }
  connecting_ =
      service_.connectAddress(message.firstAddress, {key, Deadline::afterMs(message.timeoutMs)}, onConnected);
}

void Rendezvous::passUp(FrameType type, const SharedBytes& payload) {
  if (upstream_) {
    upstream_->send(type, payload);
  } else {
    waitingUp_.emplace_back(type, payload);
  }
}

void Rendezvous::onUpstream(FrameType type, const SharedBytes& payload) {
  if (type == FrameType::Welcome) {
    if (const auto message = decodeWelcome(*payload)) rootZero_ = *message;
  } else if (type == FrameType::Ready) {
    const auto message = decodeReady(*payload);
    if (!message) return;
    ready_ = true;
    if (const auto found = members_.find(message->rank); found != members_.end())
      found->second.link->send(type, payload);
  } else if (type == FrameType::JoinFail) {
    const auto message = decodeJoinFail(*payload);
    if (message) failAll(static_cast<Code>(message->code), message->text);
  }
}

}  // namespace tutti::control
