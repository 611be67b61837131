// ControlPlane: everything the ranks of one communicator say to each other that is not payload.
//
//   join / derive      find each other, and a tree of links over which everything below travels
//   allGather, barrier collectives of small messages, for setup
//   faults             a dead, aborted or mistaken rank is known to all within milliseconds; faultWord() is
//   all a hot path reads calls              recordCall() each call; a rank that is stuck probes, and ranks
//   that called something else are found out brokering          TCP streams and file descriptors between two
//   ranks, for the transports
//
// Thread safety: join, derive, allGather, barrier: one thread at a time per ControlPlane, the same order on
// all ranks. recordCall: one thread at a time. All else: any thread. All work is done by one service thread
// per process. fork(): in the child, a ControlPlane of the parent answers every call with an error; new ones
// can be made.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/call_history.hpp"
#include "control/fault.hpp"
#include "control/peer_info.hpp"
#include "control/unique_id.hpp"
#include "core/clock.hpp"
#include "core/result.hpp"
#include "core/unique_fd.hpp"

namespace tutti::control {

using Bytes = std::vector<uint8_t>;

/// Turns a record into words without a rank: "AllReduce(count 200, float32, sum)". Called on the service
/// thread.
using DescribeCall = std::function<std::string(const CallRecord&)>;
/// Called once, on the service thread or on the one that raised, after faultWord() has been set: to wake
/// sleepers. Short; must not call the ControlPlane's blocking functions or destroy it.
using OnFault = std::function<void(const Fault&)>;

/// A wait ends at the deadline (Timeout), when *abort becomes true (InvalidUsage "aborted"; within about 50
/// ms), or when the communicator has a fault (errorOf(fault)).
struct Wait {
  Deadline deadline = Deadline::never();
  const std::atomic<bool>* abort = nullptr;
};

struct JoinOptions {
  std::vector<UniqueId> ids;  ///< one or more (ncclCommInitRankScalable), the same list on all ranks
  int rank = 0;
  int nRanks = 1;
  Bytes selfInfo;  ///< given to all ranks; at most kMaxSelfInfo bytes
  Wait wait;
  DescribeCall describe;
  OnFault onFault;
};
inline constexpr size_t kMaxSelfInfo = 64 * 1024;

struct DeriveOptions {
  std::vector<int> ranks;  ///< of the parent, in the order of the new ranks; this rank is among them
  uint64_t tag = 0;        ///< the same on all of them; a (ranks, tag) must not be used twice on one parent
  Bytes selfInfo;
  Wait wait;
  DescribeCall describe;
  OnFault onFault;
};

class Node;

class ControlPlane {
 public:
  /// Collective over nRanks callers. At the deadline all callers that are there fail with the names of the
  /// missing. Also for Grow: members and newcomers join a fresh id with their new ranks.
  static Result<std::unique_ptr<ControlPlane>> join(JoinOptions options);

  /// Collective over options.ranks only: other ranks of the parent take no part and may be dead or gone. The
  /// parent's fault, if it has one, is no obstacle unless it is the death of a member.
  Result<std::unique_ptr<ControlPlane>> derive(DeriveOptions options);

  /// leave()s if that has not been done.
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  int rank() const;
  int nRanks() const;
  uint64_t commHash() const;  ///< equal on all ranks, different per communicator, not secret
  std::span<const uint8_t> infoOf(int rank) const;
  const PeerInfo& peer(int rank) const;
  bool sameHost(int rank) const { return peer(rank).hostHash == peer(this->rank()).hostHash; }
  bool sameProcess(int rank) const { return peer(rank).process == peer(this->rank()).process; }

  /// Collective, in call order. Entry r is what rank r gave.
  Result<std::vector<Bytes>> allGather(std::span<const uint8_t> mine, Wait wait = {});
  Status barrier(Wait wait = {});

  // ---- faults
  /// 0 while healthy, else packFault(kind, rank). The address is good for the ControlPlane's life.
  const std::atomic<uint32_t>& faultWord() const;
  Fault fault() const;
  /// Makes `fault` this communicator's fault here, at once, and on all ranks soon; a no-op if it has one.
  void raise(Fault fault);

  // ---- calls
  /// REQUIRES call.seq greater than that of the call before. A handful of stores: fit for the hot path.
  void recordCall(const CallRecord& call);
  /// This rank is stuck in its call `seq` (recorded): compares it with call `seq` of every rank, now or when
  /// they get there. Returns at once; a difference becomes a Mismatch fault on all ranks. Cheap to repeat.
  void probe(uint64_t seq);
  /// Asks all ranks how far they are; the answer is text for the user: "rank 3 has not made call #17; its
  /// last was #16 Broadcast(...)", or "" if all ranks have made call `seq`. Ranks that do not answer by the
  /// deadline are named as such.
  std::string describeMissing(uint64_t seq, Wait wait);

  // ---- the end
  /// This rank destroys the communicator: from now on its EOF is no death. Waits at most 200 ms for that to
  /// be sent.
  void leave();
  bool hasLeft(int rank) const;

  // ---- brokering; peers prove the communicator's secret
  /// A connected TCP socket to `peer` (blocking, CLOEXEC), which gets the other end by acceptStream(this
  /// rank, tag). Either may come first.
  Result<UniqueFd> openStream(int peer, uint32_t tag, Wait wait = {});
  Result<UniqueFd> acceptStream(int peer, uint32_t tag, Wait wait = {});
  /// Lets ranks on this host fetch a duplicate of `fd`, any number of times, until withdrawFd or leave.
  void offerFd(uint32_t name, UniqueFd fd);
  void withdrawFd(uint32_t name);
  /// Waits until `peer` has offered `name`. REQUIRES sameHost(peer).
  Result<UniqueFd> fetchFd(int peer, uint32_t name, Wait wait = {});

 private:
  explicit ControlPlane(std::shared_ptr<Node> node);
  std::shared_ptr<Node> node_;
};

}  // namespace tutti::control
