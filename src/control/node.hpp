// Node: one rank of one communicator, as the service sees it. ControlPlane is its face for other rooms.
//
// The ranks form a tree (kTreeFanout children each). Gathers go up and down the original tree. Floods
// (faults, departures, probes, surveys) go over all links, each node passing on what is new to it. A node
// whose parent has died, or has left and exited, links itself to its nearest ancestor that is there, or else
// to the smallest rank that is: so floods go on reaching all.
//
// A node outlives its ControlPlane: it goes on forwarding until all ranks have left or died, or the process
// ends.
//
// Thread safety: functions under "any thread" from any thread; all else on the service thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "control/broker.hpp"
#include "control/call_history.hpp"
#include "control/completion.hpp"
#include "control/rendezvous.hpp"
#include "control/service.hpp"

namespace tutti::control {

struct NodeOptions {
  int rank = 0;
  int nRanks = 1;
  Bytes selfInfo;
  Key key;
  DescribeCall describe;
  OnFault onFault;
};

class Node : public LinkOwner, public std::enable_shared_from_this<Node> {
 public:
  Node(Service& service, NodeOptions options);
  ~Node() override;

  // ---- any thread
  int rank() const { return rank_; }
  int nRanks() const { return nRanks_; }
  uint64_t keyId() const { return key_.id; }
  const Key& key() const { return key_; }
  Service& service() { return service_; }
  bool inherited() const { return service_.inherited(); }
  const std::atomic<uint32_t>& faultWord() const { return faultWord_; }
  Fault fault() const;
  /// Sets the fault here and floods it from the service thread.
  void raise(Fault fault);
  bool hasLeft(int rank) const {
    return leftFlags_[static_cast<size_t>(rank)].load(std::memory_order_acquire) != 0;
  }
  void recordCall(const CallRecord& call) {
    history_.record(call);
    // relaxed: a missed change is made up for by the timer that goes with it.
    if (call.seq >= wantedCall_.load(std::memory_order_relaxed)) [[unlikely]]
      wakeProbes();
  }
  const CallHistory& history() const { return history_; }
  Broker& broker() { return broker_; }
  /// No callback runs, or begins to, after this.
  void dropCallbacks();
  /// Of a joined node, fixed from then on.
  const Roster& roster() const { return *roster_; }
  uint64_t commId() const { return commId_; }

  // ---- bring-up
  /// Checks in at the root of `id` (the caller's of `ids`), then joins the tree. `done` completes when the
  /// roster is there.
  void beginJoin(const UniqueIdFields& id, const CheckInMsg& checkIn, Deadline deadline,
                 std::shared_ptr<Done> done);
  /// Joins the tree of a communicator derived from `parent`; members[r] is the parent's rank of the new rank
  /// r.
  void beginDerive(std::shared_ptr<Node> parent, std::vector<int> members, uint64_t commId, Deadline deadline,
                   std::shared_ptr<Done> done);
  /// Gives up: tells the others why, and vanishes. `verbatim`: the words are already those for all to hear.
  void failJoin(const Error& error, bool verbatim = false);
  /// The caller of the join has stopped waiting for it.
  void abandonJoin(const Error& error);

  // ---- gathers
  void beginGather(uint32_t seq, SharedBytes mine, CompletionPtr<SharedBytes> completion);

  // ---- calls
  void beginProbe(uint64_t seq);
  struct SurveyResult {
    std::vector<bool> answered;
    std::vector<SurveyReplyMsg> behind;
  };
  void beginSurvey(SurveyOf of, uint64_t seq, CompletionPtr<SurveyResult> completion);
  /// What has come so far, for a survey that did not complete.
  void endSurvey(const CompletionPtr<SurveyResult>& survey, const CompletionPtr<SurveyResult>& soFar);

  // ---- brokering
  void beginStream(int peer, uint32_t tag, Deadline deadline, CompletionPtr<UniqueFd> completion);
  void beginFetch(int peer, uint32_t name, Deadline deadline, CompletionPtr<UniqueFd> completion);
  void answerFetches(const std::vector<LinkPtr>& links, uint32_t name);

  // ---- the end
  void beginLeave(std::shared_ptr<Done> flushed);

  // ---- from the service
  /// A link, stream or fetch that names this node.
  void onArrival(const LinkPtr& link, FrameType type, const SharedBytes& payload);
  void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) override;
  void onClosed(const LinkPtr& link, const std::string& why) override;

 private:
  struct PendingGather {
    std::vector<GatherEntry> entries;
    std::vector<SharedBytes> keep;
    std::set<int> childrenIn;
    bool mine = false;
    CompletionPtr<SharedBytes> completion;
  };
  struct PendingSurvey {
    int from = -1;  ///< the neighbour to whom answers go; -1: this rank asked
    CompletionPtr<SurveyResult> completion;
    SurveyResult result;
    int64_t startNs = 0;
  };

  // bring-up (node_join.cpp)
  void checkIn();
  void onRendezvousClosed(const std::string& why);
  void watchDeaths(const std::set<int>& knownPids);
  void suspectDuringJoin(const std::string& text);
  void onRendezvous(FrameType type, const SharedBytes& payload);
  void onReady(const ReadyMsg& message);
  bool enterTree(uint64_t commId);
  void connectParent(const PeerInfo& parent, bool refusedIsFinal);
  void onRoster(const SharedBytes& result);
  void watchParentComm(int parentRank, const std::string& text);
  void endJoin(Result<Nothing> result);

  // tree (node.cpp)
  void acceptLink(const LinkPtr& link, const SharedBytes& payload);
  void addLink(int rank, const LinkPtr& link);
  void markGone(int rank, const std::string& why);
  void sendSync(const LinkPtr& link);
  int effectiveParent() const;
  void heal();
  bool isGone(int rank) const { return dead_.contains(rank) || gone_.contains(rank); }
  void maybeRemove();
  void remove();
  std::string describeRank(int rank) const;

  // floods (node_flood.cpp)
  void flood(FrameType type, const SharedBytes& payload, const LinkPtr& except);
  bool setFault(const Fault& fault);
  void spreadFault(const Fault& fault, const LinkPtr& except);
  void tellFault(const Fault& fault);
  void markDead(int rank, const std::string& text, const LinkPtr& except);
  /// A link to it ended. During bring-up the meeting place knows better who went first, and is heard first.
  void suspectDead(int rank, const std::string& text);
  /// `payload`: as it came, to be passed on; null if it begins here.
  void markLeft(int rank, uint64_t lastCall, const LinkPtr& except, const SharedBytes& payload = nullptr);
  void endWaits(const Error& error);

  // gathers (node_gather.cpp)
  void onGather(const LinkPtr& link, const SharedBytes& payload);
  void advanceGather(uint32_t seq);
  void onGatherResult(uint32_t seq, const SharedBytes& payload);

  // calls (node_calls.cpp)
  void wakeProbes();
  void onProbe(const ProbeMsg& probe, const SharedBytes& payload, const LinkPtr& except);
  void compareProbe(const ProbeMsg& probe);
  void recheckProbes();
  std::string describeCall(const CallRecord& call) const;
  void onSurvey(const SurveyMsg& survey, const SharedBytes& payload, const LinkPtr& from);
  void onSurveyReply(const SurveyReplyMsg& reply, const SharedBytes& payload);
  void completeSurvey(PendingSurvey& survey);
  friend class ControlPlane;

  Service& service_;
  const int rank_;
  const int nRanks_;
  const Key key_;
  const Bytes selfInfo_;

  // ---- shared with other threads
  std::atomic<uint32_t> faultWord_{0};
  mutable std::mutex faultMutex_;
  Fault fault_;
  mutable std::recursive_mutex
      callbackMutex_;  ///< held while a callback runs; recursive: onFault may call raise()
  DescribeCall describe_;
  OnFault onFault_;
  std::atomic<bool> live_{false};  ///< joined: faults are told to onFault_
  std::vector<std::atomic<uint8_t>> leftFlags_;
  CallHistory history_;
  std::atomic<uint64_t> wantedCall_{UINT64_MAX};  ///< probes wait for calls from this one on
  Broker broker_;
  // Written before the join completes, read after.
  std::shared_ptr<const Roster> roster_;
  uint64_t commId_ = 0;

  // ---- of API threads: one at a time
  uint32_t nextGather_ = 1;
  std::atomic<bool> left_{false};

  // ---- of the service thread
  bool entered_ = false;  ///< in the service's table
  bool joined_ = false;
  bool removed_ = false;
  bool leftSelf_ = false;
  std::map<int, LinkPtr> links_;
  std::vector<int> children_;      ///< of the original tree
  std::map<int, PeerInfo> known_;  ///< neighbours, before the roster is there
  std::map<int, std::string> dead_;
  std::set<int> gone_;                 ///< not reachable: left and exited, or not known to be dead yet
  std::map<int, uint64_t> leftRanks_;  ///< and their last call
  std::shared_ptr<Connecting> connecting_;
  int healingTo_ = -1;
  std::set<int> unconfirmed_;  ///< linked to by healing, and not heard from yet
  Deadline deadline_ = Deadline::never();

  LinkPtr rendezvous_;
  UniqueIdFields rendezvousId_;
  CheckInMsg checkIn_;
  std::shared_ptr<Connecting> checkingIn_;
  WelcomeMsg root_;
  std::shared_ptr<Done> joinDone_;
  std::vector<int> members_;                  ///< of a derived communicator: ranks of the parent
  std::vector<std::weak_ptr<Node>> derived_;  ///< communicators derived from this one, in this process

  std::map<uint32_t, PendingGather> gathers_;
  uint32_t gathersSeen_ = 0;  ///< newest gather that this rank has begun, plus one
  std::vector<std::pair<FrameType, SharedBytes>> waitingUp_;

  std::set<std::pair<uint64_t, uint64_t>> seenProbes_;  ///< (seq, signature)
  std::vector<ProbeMsg> waitingProbes_;
  uint64_t stuckIn_ = 0;
  EventLoop::TimerId probeTimer_;
  std::map<std::pair<uint32_t, uint64_t>, PendingSurvey> surveys_;
  std::vector<std::weak_ptr<Completion<UniqueFd>>> fdWaits_;
  void addFdWait(const CompletionPtr<UniqueFd>& completion);
};

}  // namespace tutti::control
