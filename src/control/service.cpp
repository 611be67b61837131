#include "control/service.hpp"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "control/node.hpp"
#include "control/rendezvous.hpp"
#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::control {
namespace {

constexpr int kBacklog = 4096;
constexpr int64_t kHandshakeMs = 5000;
constexpr size_t kMaxOpening = 2048;
constexpr size_t kMaxParked = 8192;
constexpr size_t kMaxParkedFrames = 64;
constexpr size_t kMaxRetiring = 64;
constexpr int64_t kParkMs = 600'000;

// The process's service. Never destroyed: nodes and links refer to it, and it costs nothing once its thread
// has stopped.
std::mutex gMutex;
Service* gService = nullptr;
Service* gAbandoned = nullptr;
bool gExiting = false;

void onExit() {
  Service* service = nullptr;
  {
    const std::lock_guard lock(gMutex);
    gExiting = true;
    service = gService;
  }
  if (service != nullptr && !service->inherited()) service->loop().stop();
}

// The lock is held across fork so that the child finds it free and the pointers whole.
void beforeFork() {
  gMutex.lock();
}
void afterForkInParent() {
  gMutex.unlock();
}
void afterForkInChild() {
  closeTrackedFdsInChild();
  gAbandoned = gService;
  gService = nullptr;
  gMutex.unlock();
}

}  // namespace

bool raiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return false;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/// Owns links between the end of the handshake and their first frame, and those that are parked.
class Service::Acceptor : public LinkOwner {
 public:
  explicit Acceptor(Service& service) : service_(service) {}
  void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) override {
    service_.onFirstFrame(link, type, payload);
  }
  void onClosed(const LinkPtr& link, const std::string&) override { service_.forget(link); }

 private:
  Service& service_;
};

Result<Service*> Service::get() {
  const std::lock_guard lock(gMutex);
  if (gExiting) return Error(Code::SystemError, "the process is exiting");
  if (gService != nullptr) return gService;
  static bool handlersSet = false;
  // The log's and the table's statics exist before the exit handler is registered, and so outlive the
  // service's thread.
  TUTTI_INFO(Bootstrap, "starting the control service");
  auto service = std::unique_ptr<Service>(new Service());
  TUTTI_TRY(service->start());
  if (!handlersSet) {
    handlersSet = true;
    std::atexit(onExit);
    pthread_atfork(beforeFork, afterForkInParent, afterForkInChild);
  }
  service->abandoned_ = gAbandoned;
  gService = service.release();
  return gService;
}

Status Service::start() {
  heartbeatMs_ = params::getInt("TUTTI_HEARTBEAT_MS");
  if (params::isSet("NCCL_SOCKET_RETRY_CNT")) connectRetries_ = params::getInt("NCCL_SOCKET_RETRY_CNT");
  reportsProgress_ = params::getBool("NCCL_REPORT_CONNECT_PROGRESS");
  retrySleepMs_ = params::getInt("NCCL_SOCKET_RETRY_SLEEP_MSEC");
  jobDeaths_ = JobDeaths::ofThisJob();
  acceptor_ = std::make_shared<Acceptor>(*this);
  const HostIdentity host = HostIdentity::local();
  randomBytes(self_.process);
  randomBytes(self_.unixName);
  self_.pid = static_cast<uint32_t>(getpid());
  self_.hostHash = host.hash;
  self_.hostName = host.name;
  TUTTI_TRY(startListeners());
  TUTTI_TRY(loop_.start());
  loop_.post([this] {
    (void)watchListener(listener_.get(), true);
    (void)watchListener(unixListener_.get(), false);
  });
  TUTTI_INFO(Bootstrap, "control service listens at {}", self_.listener.text());
  return {};
}

Status Service::startListeners() {
  TUTTI_ASSIGN(const Interface chosen, localInterface());
  TUTTI_ASSIGN(listener_, listenAt(chosen.address));
  sockaddr_storage bound;
  socklen_t length = sizeof(bound);
  if (getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0)
    return makeSystemError(errno, "getsockname");
  self_.listener = Address::fromSockaddr(reinterpret_cast<const sockaddr*>(&bound));

  unixListener_ = TrackedFd(UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, self_.unixName.data(), self_.unixName.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + self_.unixName.size());
  if (!unixListener_.valid() ||
      bind(unixListener_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(unixListener_.get(), kBacklog) != 0) {
    return makeSystemError(errno, "opening the unix socket for descriptors");
  }
  return {};
}

Result<TrackedFd> Service::listenAt(const Address& address) {
  sockaddr_storage native;
  const socklen_t length = address.toSockaddr(native);
  TrackedFd fd{UniqueFd(socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))};
  if (!fd.valid()) return makeSystemError(errno, "socket");
  const int on = 1;
  if (address.port != 0) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&native), length) != 0)
    return makeSystemError(errno, "bind {}", address.text());
  if (::listen(fd.get(), kBacklog) != 0) return makeSystemError(errno, "listen at {}", address.text());
  // Before the loop runs, start() does this.
  if (listener_.valid()) TUTTI_TRY(watchListener(fd.get(), true));
  return fd;
}

void Service::stopListening(TrackedFd fd) {
  if (fd.valid()) loop_.unwatch(fd.get());
}

Status Service::watchListener(int fd, bool isTcp) {
  return loop_.watch(fd, EPOLLIN, [this, fd, isTcp](uint32_t) { acceptAll(fd, isTcp); });
}

void Service::acceptAll(int listener, bool isTcp) {
  for (int budget = 64; budget > 0; --budget) {
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    const int raw =
        accept4(listener, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (raw < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE && raiseFileLimit()) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        TUTTI_WARN("control: cannot accept connections: {}; trying again", std::strerror(errno));
        loop_.rewatch(listener, 0);
        loop_.callAfterMs(100, [this, listener] { loop_.rewatch(listener, EPOLLIN); });
      }
      return;
    }
    admit(TrackedFd(UniqueFd(raw)),
          isTcp ? Address::fromSockaddr(reinterpret_cast<sockaddr*>(&from)).text() : "a process of this host",
          isTcp);
  }
}

void Service::admit(TrackedFd fd, std::string remote, bool isTcp) {
  if (isTcp) {
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setDeathDetection(fd.get(), heartbeatMs_);
  }
  if (opening_.size() >= kMaxOpening) {
    const LinkPtr oldest = opening_.front().link;
    logDropped(oldest->remote(), "too many connections wait for their handshake");
    oldest->close();
    forget(oldest);
  }
  auto holder = std::make_shared<std::weak_ptr<SocketLink>>();
  const auto findKey = [this](uint64_t id) -> std::optional<Key> {
    const auto found = keys_.find(id);
    if (found == keys_.end()) return std::nullopt;
    return found->second.key;
  };
  const auto link =
      SocketLink::server(loop_, std::move(fd), remote, findKey, [this, holder, remote](Status status) {
        const auto self = holder->lock();
        if (!status.ok()) {
          logDropped(remote, status.error().message());
          if (self) forget(self);
          return;
        }
        self->setOwner(acceptor_);
      });
  *holder = link;
  const std::weak_ptr<SocketLink> weak = link;
  const auto timer = loop_.callAfterMs(kHandshakeMs, [this, weak] {
    const auto self = weak.lock();
    if (!self) return;
    logDropped(self->remote(), "it said nothing that counts within 5 s");
    self->close();
    forget(self);
  });
  opening_.push_back({link, timer});
}

void Service::logDropped(const std::string& remote, const std::string& why) {
  // A flood of strangers must not become a flood of lines.
  if (++dropped_ <= 20 || dropped_ % 256 == 0)
    TUTTI_WARN("control: dropped connection {} from {}: {}", dropped_, remote, why);
}

void Service::forget(const LinkPtr& link) {
  if (openingHere_.erase(link.get()) != 0) return;
  const auto opening = std::find_if(opening_.begin(), opening_.end(),
                                    [&](const Opening& entry) { return entry.link == link; });
  if (opening != opening_.end()) {
    loop_.cancel(opening->timer);
    opening_.erase(opening);
  }
  std::erase_if(parked_, [&](const Parked& entry) { return entry.link == link; });
}

LinkPtr Service::connectHere(uint64_t keyId) {
  auto [mine, theirs] = makeLocalLinks(loop_, keyId);
  theirs->setOwner(acceptor_);
  openingHere_[theirs.get()] = theirs;
  return mine;
}

void Service::onFirstFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) {
  const LinkPtr keep = link;
  for (Parked& entry : parked_) {
    if (entry.link != link) continue;
    if (entry.frames.size() < kMaxParkedFrames) entry.frames.emplace_back(type, payload);
    return;
  }
  forget(link);
  const auto bad = [&] {
    logDropped(link->remote(),
               fmt::format("its first frame (type {}) makes no sense", static_cast<int>(type)));
    link->close();
  };
  if (type != FrameType::Stream) {
    if (auto* socket = dynamic_cast<SocketLink*>(link.get())) socket->readFreely();
  }
  switch (type) {
    case FrameType::CheckIn:
    case FrameType::Relay: {
      const auto rendezvous = findRendezvous(link->keyId());
      if (!rendezvous) {
        link->send(FrameType::JoinFail,
                   share(encode(JoinFailMsg{
                       kEveryRank, static_cast<int32_t>(Code::InvalidUsage),
                       "the unique id is not (or no longer) in use for bringing up a communicator"})));
        link->close();
        return;
      }
      link->setOwner(rendezvous);
      rendezvous->adopt(link);
      rendezvous->onFrame(link, type, payload);
      return;
    }
    case FrameType::Link: {
      const auto message = decodeLink(*payload);
      if (!message) return bad();
      if (!handToNode(message->commId, static_cast<int>(message->to), link, type, payload)) {
        park(message->commId, static_cast<int>(message->to), link, type, payload);
      }
      return;
    }
    case FrameType::Stream: {
      const auto message = decodeStream(*payload);
      if (!message) return bad();
      if (!handToNode(message->commId, static_cast<int>(message->to), link, type, payload)) {
        park(message->commId, static_cast<int>(message->to), link, type, payload);
      }
      return;
    }
    case FrameType::Fetch: {
      const auto message = decodeFetch(*payload);
      if (!message) return bad();
      if (!handToNode(message->commId, static_cast<int>(message->owner), link, type, payload)) {
        park(message->commId, static_cast<int>(message->owner), link, type, payload);
      }
      return;
    }
    default:
      return bad();
  }
}

bool Service::handToNode(uint64_t commId, int rank, const LinkPtr& link, FrameType type,
                         const SharedBytes& payload) {
  const auto found = nodes_.find({commId, rank});
  if (found == nodes_.end()) return false;
  const std::shared_ptr<Node> node = found->second;
  if (node->keyId() != link->keyId()) {
    logDropped(link->remote(), "it proved the secret of another communicator");
    link->close();
    return true;
  }
  node->onArrival(link, type, payload);
  return true;
}

void Service::park(uint64_t commId, int rank, const LinkPtr& link, FrameType type,
                   const SharedBytes& payload) {
  const int64_t now = nowNs();
  while (!parked_.empty() && (parked_.size() >= kMaxParked || parked_.front().untilNs < now)) {
    parked_.front().link->close();
    parked_.pop_front();
  }
  link->setOwner(acceptor_);
  parked_.push_back({commId, rank, link, {{type, payload}}, now + kParkMs * 1'000'000});
}

void Service::holdKey(const Key& key) {
  HeldKey& held = keys_[key.id];
  held.key = key;
  ++held.holders;
}

void Service::dropKey(uint64_t id) {
  const auto found = keys_.find(id);
  if (found != keys_.end() && --found->second.holders == 0) keys_.erase(found);
}

void Service::addRendezvous(uint64_t id, std::shared_ptr<Rendezvous> rendezvous) {
  rendezvous_[id] = std::move(rendezvous);
}

void Service::removeRendezvous(uint64_t id) {
  rendezvous_.erase(id);
}

void Service::retireLater(std::function<void()> retire) {
  retiring_.push_back(std::move(retire));
  if (retiring_.size() <= kMaxRetiring) return;
  const auto oldest = std::move(retiring_.front());
  retiring_.pop_front();
  oldest();
}

std::shared_ptr<const Roster> Service::rosterOf(const SharedBytes& result) {
  if (auto roster = roster_.lock(); roster && rosterBytes_.lock() == result) return roster;
  auto roster = decodeRoster(result);
  if (roster && jobDeaths_.size() > 0) {
    for (const PeerInfo& peer : roster->peers)
      if (peer.hostHash == self_.hostHash) met_.insert(peer.pid);
  }
  rosterBytes_ = result;
  roster_ = roster;
  return roster;
}

std::shared_ptr<Rendezvous> Service::findRendezvous(uint64_t id) const {
  const auto found = rendezvous_.find(id);
  return found == rendezvous_.end() ? nullptr : found->second;
}

bool Service::addNode(uint64_t commId, int rank, std::shared_ptr<Node> node) {
  if (!nodes_.emplace(std::pair(commId, rank), std::move(node)).second) return false;
  std::vector<Parked> early;
  for (auto entry = parked_.begin(); entry != parked_.end();) {
    if (entry->commId == commId && entry->rank == rank) {
      early.push_back(std::move(*entry));
      entry = parked_.erase(entry);
    } else {
      ++entry;
    }
  }
  for (const Parked& entry : early) {
    handToNode(commId, rank, entry.link, entry.frames[0].first, entry.frames[0].second);
    // What followed the first frame goes to whoever took the link, after what is being done now.
    for (size_t i = 1; i < entry.frames.size(); ++i) {
      loop_.defer([link = entry.link, frame = entry.frames[i]] { link->deliver(frame.first, frame.second); });
    }
  }
  return true;
}

void Service::removeNode(uint64_t commId, int rank) {
  nodes_.erase({commId, rank});
}

}  // namespace tutti::control
