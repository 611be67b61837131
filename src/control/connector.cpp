// Service's outgoing connections: attempts with backoff until one is open or the deadline has come.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "control/service.hpp"

namespace tutti::control {
namespace {

constexpr int64_t kAttemptMs = 10'000;
constexpr int64_t kFirstPauseMs = 5;
constexpr int64_t kLongestPauseMs = 500;
/// A process that once listened and refuses for so long has gone.
constexpr int64_t kRefusalMs = 500;

struct Target {
  Address tcp;
  std::array<uint8_t, 16> unixName{};
  bool isUnix = false;

  std::string text() const { return isUnix ? "the fd server" : tcp.text(); }
  socklen_t fill(sockaddr_storage& out) const {
    if (!isUnix) return tcp.toSockaddr(out);
    std::memset(&out, 0, sizeof(out));
    auto& address = reinterpret_cast<sockaddr_un&>(out);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, unixName.data(), unixName.size());
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + unixName.size());
  }
};

class Connector : public Connecting, public std::enable_shared_from_this<Connector> {
 public:
  Connector(Service& service, Target target, const ConnectOptions& options, OnConnected onConnected)
      : service_(service), target_(target), options_(options), onConnected_(std::move(onConnected)) {}

  void begin() {
    service_.loop().defer([self = shared_from_this()] { self->attempt(); });
  }

  void cancel() override {
    onConnected_ = nullptr;
    service_.loop().cancel(timer_);
    if (link_) link_->close();
    link_.reset();
  }

 private:
  void attempt() {
    if (!onConnected_) return;
    sockaddr_storage address;
    const socklen_t length = target_.fill(address);
    const auto open = [&] {
      return socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    };
    int raw = open();
    if (raw < 0 && errno == EMFILE && raiseFileLimit()) raw = open();
    if (raw < 0) return onFailed(makeSystemError(errno, "socket").message(), false);
    TrackedFd fd{UniqueFd(raw)};
    if (!target_.isUnix) {
      const int on = 1;
      setsockopt(raw, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      setDeathDetection(raw, service_.heartbeatMs());
    }
    if (::connect(raw, reinterpret_cast<const sockaddr*>(&address), length) != 0 && errno != EINPROGRESS) {
      const int error = errno;
      return onFailed(std::strerror(error), error == ECONNREFUSED);
    }
    const std::weak_ptr<Connector> weak = weak_from_this();
    link_ =
        SocketLink::client(service_.loop(), std::move(fd), target_.text(), options_.key,
                           options_.toUnixName ? SocketLink::Wish::ReceiveFd : SocketLink::Wish::Frames,
                           [self = shared_from_this()](Status status) { self->onOpen(std::move(status)); });
    timer_ = service_.loop().callAfterMs(
        std::min<int64_t>(kAttemptMs, options_.deadline.remainingMs(kAttemptMs)), [weak] {
          if (const auto self = weak.lock(); self && self->link_)
            self->link_->fail("it did not answer in time");
        });
  }

  void onOpen(Status status) {
    service_.loop().cancel(timer_);
    if (!onConnected_) return;
    if (status.ok()) {
      LinkPtr link = std::move(link_);
      std::exchange(onConnected_, nullptr)(std::move(link));
      return;
    }
    const bool refused = link_ && link_->connectError() == ECONNREFUSED;
    link_.reset();
    onFailed(status.error().message(), refused);
  }

  void onFailed(const std::string& why, bool refused) {
    if (!onConnected_) return;
    ++failures_;
    if (refused && firstRefusalNs_ == 0) firstRefusalNs_ = nowNs();
    const int64_t allowed = service_.connectRetries();
    const bool gone =
        refused && (options_.refusedIsFinal || (allowed < 0 && options_.listened &&
                                                nowNs() - firstRefusalNs_ >= kRefusalMs * 1'000'000));
    if (gone || options_.deadline.expired() || (allowed >= 0 && failures_ > allowed)) {
      std::exchange(onConnected_,
                    nullptr)(makeError(Code::RemoteError, "connecting to {}: {}", target_.text(), why));
      return;
    }
    const std::weak_ptr<Connector> weak = weak_from_this();
    // Set by the user: NCCL's way, each pause one step longer.
    if (allowed >= 0) pauseMs_ = service_.retrySleepMs() * failures_;
    // The last look at one that refuses is not to be late.
    if (options_.listened && refused && allowed < 0) {
      const int64_t refusedMs = (nowNs() - firstRefusalNs_) / 1'000'000;
      pauseMs_ = std::clamp<int64_t>(kRefusalMs - refusedMs, 1, pauseMs_);
    }
    const int64_t pause = std::min<int64_t>(pauseMs_, options_.deadline.remainingMs(pauseMs_) + 1);
    pauseMs_ = std::min(pauseMs_ * 2, kLongestPauseMs);
    timer_ = service_.loop().callAfterMs(pause, [self = shared_from_this()] { self->attempt(); });
  }

  Service& service_;
  const Target target_;
  const ConnectOptions options_;
  OnConnected onConnected_;
  std::shared_ptr<SocketLink> link_;
  EventLoop::TimerId timer_;
  int64_t pauseMs_ = kFirstPauseMs;
  int64_t failures_ = 0;
  int64_t firstRefusalNs_ = 0;
};

/// An attempt that cannot fail: the other end is in this process.
class LocalConnecting : public Connecting {
 public:
  explicit LocalConnecting(std::shared_ptr<bool> cancelled) : cancelled_(std::move(cancelled)) {}
  void cancel() override { *cancelled_ = true; }

 private:
  std::shared_ptr<bool> cancelled_;
};

}  // namespace

std::shared_ptr<Connecting> Service::connect(const PeerInfo& peer, const ConnectOptions& options,
                                             OnConnected onConnected) {
  if (peer.process != self_.process || options.toUnixName)
    return connectSocket(peer, options, std::move(onConnected));
  auto cancelled = std::make_shared<bool>(false);
  loop_.defer([this, cancelled, keyId = options.key.id, onConnected = std::move(onConnected)] {
    if (!*cancelled) onConnected(connectHere(keyId));
  });
  return std::make_shared<LocalConnecting>(cancelled);
}

std::shared_ptr<Connecting> Service::connectSocket(const PeerInfo& peer, const ConnectOptions& options,
                                                   OnConnected onConnected) {
  auto connector = std::make_shared<Connector>(
      *this, Target{peer.listener, peer.unixName, options.toUnixName}, options, std::move(onConnected));
  connector->begin();
  return connector;
}

std::shared_ptr<Connecting> Service::connectAddress(const Address& address, const ConnectOptions& options,
                                                    OnConnected onConnected) {
  auto connector =
      std::make_shared<Connector>(*this, Target{address, {}, false}, options, std::move(onConnected));
  connector->begin();
  return connector;
}

}  // namespace tutti::control
