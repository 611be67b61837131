// Service: the one control thread of a process, with its listeners, and who is to be found there.
//
// It starts when first needed. At exit its thread is stopped before the process goes on to tear down. After
// fork() the child has none until it needs one: the parent's sockets are closed there, and what the parent
// made is `inherited()` and unusable.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "control/event_loop.hpp"
#include "control/job_deaths.hpp"
#include "control/link.hpp"
#include "control/roster.hpp"
#include "control/socket_link.hpp"
#include "core/clock.hpp"

namespace tutti::control {

class Node;
class Rendezvous;

/// A connection attempt that may be given up. Service thread only.
class Connecting {
 public:
  virtual ~Connecting() = default;
  virtual void cancel() = 0;
};

struct ConnectOptions {
  Key key;
  Deadline deadline = Deadline::never();  ///< retries until then
  bool refusedIsFinal = false;            ///< a refused connection means that the process is gone: no retry
  bool toUnixName = false;                ///< to the peer's fd server; the link takes a descriptor
  bool listened = false;  ///< the address is known to have been listening: a refusal soon is final
};
using OnConnected = std::function<void(Result<LinkPtr>)>;

/// Thread safety: get, loop().post, self, inherited from any thread; all else on the service thread.
class Service {
 public:
  /// This process's service, started if need be.
  static Result<Service*> get();

  EventLoop& loop() { return loop_; }
  const PeerInfo& self() const { return self_; }
  bool inherited() const { return generation_ != processGeneration(); }
  int64_t heartbeatMs() const { return heartbeatMs_; }
  /// NCCL_SOCKET_RETRY_CNT where set (else -1: until the deadline), and the step between such tries.
  int64_t connectRetries() const { return connectRetries_; }
  int64_t retrySleepMs() const { return retrySleepMs_; }
  bool reportsProgress() const { return reportsProgress_; }

  // ---- keys: counted, known as long as someone holds them
  void holdKey(const Key& key);
  void dropKey(uint64_t id);

  // ---- who is here
  void addRendezvous(uint64_t id, std::shared_ptr<Rendezvous> rendezvous);
  void removeRendezvous(uint64_t id);
  std::shared_ptr<Rendezvous> findRendezvous(uint64_t id) const;
  /// Ids that have served stay known for a while, so that a rank that comes late is told; the oldest are
  /// retired.
  void retireLater(std::function<void()> retire);
  /// False if there is one already. What came for it early is handed to it.
  bool addNode(uint64_t commId, int rank, std::shared_ptr<Node> node);
  void removeNode(uint64_t commId, int rank);

  /// Decoded once per process, not once per rank.
  std::shared_ptr<const Roster> rosterOf(const SharedBytes& result);

  const JobDeaths& jobDeaths() const { return jobDeaths_; }
  /// Whether a process of this host was in a communicator with this one: then its death is no news to the
  /// user.
  bool hasMet(int pid) const { return met_.contains(static_cast<uint32_t>(pid)); }

  // ---- connections
  /// A link to the service of `peer`, its first frame to be sent by the caller. Within the process: without
  /// sockets.
  std::shared_ptr<Connecting> connect(const PeerInfo& peer, const ConnectOptions& options,
                                      OnConnected onConnected);
  /// Even within the process a real socket: for streams.
  std::shared_ptr<Connecting> connectSocket(const PeerInfo& peer, const ConnectOptions& options,
                                            OnConnected onConnected);
  std::shared_ptr<Connecting> connectAddress(const Address& address, const ConnectOptions& options,
                                             OnConnected onConnected);
  /// One end of a local link; the other is treated as if it had been accepted.
  LinkPtr connectHere(uint64_t keyId);
  /// Accepts at one more address (NCCL_COMM_ID), until the returned descriptor is given to stopListening.
  Result<TrackedFd> listenAt(const Address& address);
  void stopListening(TrackedFd fd);

 private:
  class Acceptor;
  struct Opening {
    LinkPtr link;
    EventLoop::TimerId timer;
  };
  struct Parked {
    uint64_t commId;
    int rank;
    LinkPtr link;
    std::vector<std::pair<FrameType, SharedBytes>> frames;
    int64_t untilNs;
  };

  Service() = default;
  Status start();
  Status startListeners();
  Status watchListener(int fd, bool isTcp);
  void acceptAll(int listener, bool isTcp);
  void admit(TrackedFd fd, std::string remote, bool isTcp);
  void logDropped(const std::string& remote, const std::string& why);
  void onFirstFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload);
  bool handToNode(uint64_t commId, int rank, const LinkPtr& link, FrameType type, const SharedBytes& payload);
  void park(uint64_t commId, int rank, const LinkPtr& link, FrameType type, const SharedBytes& payload);
  void forget(const LinkPtr& link);

  const uint32_t generation_ = processGeneration();
  EventLoop loop_;
  PeerInfo self_;
  int64_t heartbeatMs_ = 0;
  int64_t connectRetries_ = -1;
  int64_t retrySleepMs_ = 0;
  bool reportsProgress_ = false;
  JobDeaths jobDeaths_;
  std::set<uint32_t> met_;
  TrackedFd listener_;
  TrackedFd unixListener_;
  std::shared_ptr<Acceptor> acceptor_;
  struct HeldKey {
    Key key;
    int holders = 0;
  };
  std::unordered_map<uint64_t, HeldKey> keys_;
  std::unordered_map<uint64_t, std::shared_ptr<Rendezvous>> rendezvous_;
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Node>> nodes_;
  std::weak_ptr<const Bytes> rosterBytes_;
  std::weak_ptr<const Roster> roster_;
  std::deque<Opening> opening_;  ///< sockets before their first frame, oldest first
  std::unordered_map<Link*, LinkPtr> openingHere_;
  std::deque<Parked> parked_;
  std::deque<std::function<void()>> retiring_;
  size_t dropped_ = 0;
  Service* abandoned_ = nullptr;  ///< of the parent process; kept reachable, never touched
};

/// Raises the soft limit of open files to the hard one; false if it is there already.
bool raiseFileLimit();

}  // namespace tutti::control
