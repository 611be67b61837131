#include "control/socket_link.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/log.hpp"

namespace tutti::control {
namespace {

constexpr size_t kReadChunk = 64 * 1024;
constexpr size_t kMaxVectors = 64;
constexpr size_t kReadBudget = 1024 * 1024;  // per wake-up, so that one busy link does not starve others

}  // namespace

void setDeathDetection(int fd, int64_t heartbeatMs) {
  if (heartbeatMs <= 0) return;
  const int on = 1;
  const int idleSeconds = static_cast<int>(std::max<int64_t>(1, heartbeatMs / 1000));
  const int count = 3;
  const auto timeoutMs = static_cast<unsigned>(std::min<int64_t>(heartbeatMs * 3, INT32_MAX));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idleSeconds, sizeof(idleSeconds));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idleSeconds, sizeof(idleSeconds));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeoutMs, sizeof(timeoutMs));
}

std::shared_ptr<SocketLink> SocketLink::server(EventLoop& loop, TrackedFd fd, std::string remote,
                                               FindKey findKey, OnOpen onOpen) {
  std::shared_ptr<SocketLink> link(new SocketLink(loop, std::move(fd), std::move(remote)));
  link->state_ = State::AwaitHello;
  link->findKey_ = std::move(findKey);
  link->onOpen_ = std::move(onOpen);
  if (Status status = link->startWatching(); !status.ok()) link->fail(status.error().message());
  return link;
}

std::shared_ptr<SocketLink> SocketLink::client(EventLoop& loop, TrackedFd fd, std::string remote,
                                               const Key& key, Wish wish, OnOpen onOpen) {
  std::shared_ptr<SocketLink> link(new SocketLink(loop, std::move(fd), std::move(remote)));
  link->state_ = State::Connecting;
  link->key_ = key;
  link->wish_ = wish;
  link->onOpen_ = std::move(onOpen);
  link->wantWrite_ = true;
  if (Status status = link->startWatching(); !status.ok()) link->fail(status.error().message());
  return link;
}

SocketLink::~SocketLink() {
  shut();
}

Status SocketLink::startWatching() {
  const std::weak_ptr<SocketLink> weak = weak_from_this();
  return loop_.watch(fd_.get(), wantWrite_ ? EPOLLIN | EPOLLOUT : EPOLLIN, [weak](uint32_t events) {
    if (const auto self = weak.lock()) self->handleEvents(events);
  });
}

void SocketLink::shut() {
  if (fd_.valid()) loop_.unwatch(fd_.get());
  fd_.reset();
  state_ = State::Closed;
  out_.clear();
  in_.clear();
}

void SocketLink::fail(const std::string& why) {
  if (state_ == State::Closed && !onOpen_) return;
  const auto self = shared_from_this();  // the owner may drop its reference in the call
  const bool tell = !closing_;
  shut();
  if (onOpen_) {
    const OnOpen onOpen = std::exchange(onOpen_, nullptr);
    // From the loop, never from within server() or client(): the caller has not stored the link yet.
    loop_.defer([onOpen, self, why] { onOpen(Error(Code::RemoteError, why)); });
    return;
  }
  if (!tell) return;
  if (const auto to = owner()) to->onClosed(self, why);
}

void SocketLink::close() {
  if (state_ == State::Closed) return;
  closing_ = true;
  onOpen_ = nullptr;
  if (state_ == State::Open) flush();
  if (state_ == State::Closed) return;
  if (out_.empty() || state_ != State::Open) {
    shut();
    return;
  }
  // Keeps itself alive until the queue has gone; a peer that does not read is cut off after a while.
  loop_.callAfterMs(2000, [self = shared_from_this()] { self->shut(); });
}

UniqueFd SocketLink::detach() {
  flush();
  if (state_ != State::Open || !out_.empty() || inUsed_ != in_.size()) return {};
  loop_.unwatch(fd_.get());
  UniqueFd fd = fd_.release();
  const int flags = fcntl(fd.get(), F_GETFL);
  fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  state_ = State::Closed;
  return fd;
}

void SocketLink::handleEvents(uint32_t events) {
  const auto self = shared_from_this();
  if (state_ == State::Connecting) {
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      connectError_ = error;
      fail(std::strerror(error));
      return;
    }
    state_ = State::AwaitChallenge;
    randomBytes(clientNonce_);
    sendRaw(encodeHello({key_.id, clientNonce_}));
    return;
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readSome();
  if (state_ != State::Closed && (events & EPOLLOUT)) flush();
}

size_t SocketLink::wanted() const {
  const size_t have = in_.size() - inUsed_;
  switch (state_) {
    case State::AwaitHello:
      return kHelloBytes - have;
    case State::AwaitChallenge:
      return kChallengeBytes - have;
    case State::AwaitProof:
      return kProofBytes - have;
    default:
      break;
  }
  if (!exact_) return kReadChunk;
  if (have < kFrameHeaderBytes) return kFrameHeaderBytes - have;
  const auto header = decodeHeader(std::span(in_).subspan(inUsed_, kFrameHeaderBytes));
  return header ? kFrameHeaderBytes + header->length - have : 1;
}

void SocketLink::readSome() {
  size_t budget = kReadBudget;
  while (state_ != State::Closed && budget > 0) {
    const size_t want = std::min(wanted(), kReadChunk);
    const size_t before = in_.size();
    in_.resize(before + want);
    iovec vector{in_.data() + before, want};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    if (wish_ == Wish::ReceiveFd) {
      message.msg_control = control;
      message.msg_controllen = sizeof(control);
    }
    const ssize_t got = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const int error = errno;
    in_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got > 0 && wish_ == Wish::ReceiveFd) {
      for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr; entry = CMSG_NXTHDR(&message, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) continue;
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(entry), sizeof(fd));
        receivedFd_.reset(fd);
      }
    }
    if (got < 0 && error == EINTR) continue;
    if (got < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return;
    if (got <= 0) {
      fail(got == 0 ? "connection closed" : std::strerror(error));
      return;
    }
    budget -= std::min(budget, static_cast<size_t>(got));
    while (consume()) {
    }
  }
}

bool SocketLink::consume() {
  if (state_ == State::Closed) return false;
  const std::span<const uint8_t> have = std::span<const uint8_t>(in_).subspan(inUsed_);
  if (state_ != State::Open) {
    if (wanted() != 0) return false;
    onHandshakeBytes();
    return state_ == State::Open;
  }
  const auto compact = [this] {
    if (inUsed_ == 0) return;
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(inUsed_));
    inUsed_ = 0;
    if (in_.capacity() > 4 * kReadChunk && in_.size() < kReadChunk) in_.shrink_to_fit();
  };
  if (have.size() < kFrameHeaderBytes) {
    compact();
    return false;
  }
  const auto header = decodeHeader(have.first(kFrameHeaderBytes));
  if (!header) {
    TUTTI_WARN("control: dropped {}: it sent a frame that is none", remote_);
    fail("it sent a frame that is none");
    return false;
  }
  if (have.size() < kFrameHeaderBytes + header->length) {
    compact();
    return false;
  }
  const auto body = have.subspan(kFrameHeaderBytes, header->length);
  const SharedBytes payload = share(Bytes(body.begin(), body.end()));
  inUsed_ += kFrameHeaderBytes + header->length;
  if (inUsed_ == in_.size()) compact();
  if (owner() == nullptr) {
    shut();
    return false;
  }
  deliver(header->type, payload);
  return state_ == State::Open;
}

void SocketLink::deliver(FrameType type, const SharedBytes& payload) {
  if (closing_ || state_ != State::Open) return;
  if (const auto to = owner()) to->onFrame(shared_from_this(), type, payload);
}

void SocketLink::onHandshakeBytes() {
  const Bytes bytes(in_.begin() + static_cast<ptrdiff_t>(inUsed_), in_.end());
  in_.clear();
  inUsed_ = 0;
  if (state_ == State::AwaitHello) {
    const auto hello = decodeHello(bytes);
    if (!hello) return fail("it does not speak this protocol");
    const auto key = findKey_(hello->keyId);
    if (!key) return fail("it asked for a communicator that this process does not have");
    key_ = *key;
    clientNonce_ = hello->nonce;
    randomBytes(serverNonce_);
    state_ = State::AwaitProof;
    sendRaw(
        encodeChallenge({serverNonce_, proofOf("server", key_.secret, key_.id, clientNonce_, serverNonce_)}));
    return;
  }
  if (state_ == State::AwaitChallenge) {
    const auto challenge = decodeChallenge(bytes);
    if (!challenge ||
        !equalMacs(challenge->mac, proofOf("server", key_.secret, key_.id, clientNonce_, challenge->nonce))) {
      return fail("the process there does not know this communicator's secret");
    }
    const Mac mac = proofOf("client", key_.secret, key_.id, clientNonce_, challenge->nonce);
    sendRaw(Bytes(mac.begin(), mac.end()));
    if (state_ != State::Closed) becomeOpen();
    return;
  }
  Mac mac{};
  std::copy(bytes.begin(), bytes.end(), mac.begin());
  if (!equalMacs(mac, proofOf("client", key_.secret, key_.id, clientNonce_, serverNonce_))) {
    return fail("it does not know the communicator's secret");
  }
  becomeOpen();
}

void SocketLink::becomeOpen() {
  state_ = State::Open;
  findKey_ = nullptr;
  if (onOpen_) std::exchange(onOpen_, nullptr)(Status());
}

void SocketLink::send(FrameType type, SharedBytes payload) {
  if (state_ == State::Closed || closing_) return;
  const FrameHeader header{static_cast<uint32_t>(payload->size()), type};
  queue(Out{encodeHeader(header), kFrameHeaderBytes, std::move(payload), 0, {}});
}

void SocketLink::sendFd(FrameType type, SharedBytes payload, int fd) {
  if (state_ == State::Closed || closing_) return;
  const FrameHeader header{static_cast<uint32_t>(payload->size()), type};
  queue(Out{encodeHeader(header), kFrameHeaderBytes, std::move(payload), 0,
            UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0))});
}

void SocketLink::sendRaw(Bytes bytes) {
  queue(Out{{}, 0, share(std::move(bytes)), 0, {}});
}

void SocketLink::queue(Out out) {
  out_.push_back(std::move(out));
  if (flushScheduled_ || wantWrite_) return;
  // What is sent while one batch of events is worked off goes out in one call.
  flushScheduled_ = true;
  loop_.defer([self = shared_from_this()] {
    self->flushScheduled_ = false;
    self->flush();
  });
}

void SocketLink::flush() {
  if (state_ == State::Closed || state_ == State::Connecting) return;
  while (!out_.empty()) {
    std::array<iovec, kMaxVectors> vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    for (Out& next : out_) {
      if (message.msg_iovlen + 2 > kMaxVectors) break;
      if (next.fd.valid() && next.sent == 0) {
        if (message.msg_iovlen != 0) break;  // the descriptor goes with the first byte of its frame
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        cmsghdr* entry = CMSG_FIRSTHDR(&message);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(sizeof(int));
        const int fd = next.fd.get();
        std::memcpy(CMSG_DATA(entry), &fd, sizeof(fd));
      }
      size_t skip = next.sent;
      const auto add = [&](const uint8_t* data, size_t size) {
        const size_t cut = std::min(skip, size);
        skip -= cut;
        if (size > cut) vectors[message.msg_iovlen++] = {const_cast<uint8_t*>(data) + cut, size - cut};
      };
      add(next.header.data(), next.headerBytes);
      add(next.body->data(), next.body->size());
    }
    const ssize_t result = sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0 && errno == EINTR) continue;
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (result < 0) {
      // What the peer said before it went is still to be read: the read side reports the end.
      out_.clear();
      break;
    }
    auto sent = static_cast<size_t>(result);
    while (!out_.empty()) {
      Out& next = out_.front();
      const size_t part = std::min(sent, next.headerBytes + next.body->size() - next.sent);
      next.sent += part;
      sent -= part;
      if (next.sent < next.headerBytes + next.body->size()) break;
      out_.pop_front();
    }
  }
  const bool want = !out_.empty();
  if (want != wantWrite_) {
    wantWrite_ = want;
    loop_.rewatch(fd_.get(), want ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  if (closing_ && out_.empty()) shut();
}

}  // namespace tutti::control
