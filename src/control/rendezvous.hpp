// Rendezvous: the meeting place of one unique id, in the process that made it.
//
// Root (id 0): collects one CheckIn per rank; when all are there, answers each with the communicator's name
// and its parent in the tree (Ready); then stays until every rank has said JoinDone, so that a rank that dies
// on the way is noticed and told to all. Root of another id: passes on what its ranks say to root 0, and
// back: no root has more than nRanks / nIds + nIds connections. Messages: two per rank each way, of a few
// hundred bytes; memory O(nRanks) at root 0, until all are done.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "control/completion.hpp"
#include "control/service.hpp"

namespace tutti::control {

/// "3, 5-7" of a sorted list.
std::string formatRanks(const std::vector<int>& sorted);
/// "60 s", "250 ms".
std::string formatMs(int64_t ms);

class Rendezvous : public LinkOwner, public std::enable_shared_from_this<Rendezvous> {
 public:
  Rendezvous(Service& service, const UniqueIdFields& id) : service_(service), id_(id) {}
  /// Makes it findable. `listener`: of NCCL_COMM_ID, closed at the end.
  void open(TrackedFd listener = {});

  void adopt(const LinkPtr& link) { links_.insert(link); }
  /// Completes `told` once every rank knows that bring-up has failed: those that come late too. At once if it
  /// has not failed.
  void whenAllTold(std::shared_ptr<Done> told);
  void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) override;
  void onClosed(const LinkPtr& link, const std::string& why) override;

 private:
  struct Member {
    LinkPtr link;
    uint64_t joinNonce = 0;
    PeerInfo peer;
    bool done = false;
  };

  void onCheckIn(const LinkPtr& link, const CheckInMsg& message, const SharedBytes& payload);
  void onMemberFailed(const LinkPtr& link, const JoinFailMsg& message);
  void onMemberDone(uint32_t rank);
  void sendReady();
  void welcome(const LinkPtr& link);
  void reportProgress();
  void armTimer(uint32_t timeoutMs);
  void onTimer();
  void failAll(Code code, const std::string& text);
  void finish(const std::string& outcome);
  void noteTold(uint32_t rank);
  std::string describe(uint32_t rank) const;

  // As root of an id that is not the first.
  void relay(const CheckInMsg& message);
  void passUp(FrameType type, const SharedBytes& payload);
  void onUpstream(FrameType type, const SharedBytes& payload);

  Service& service_;
  const UniqueIdFields id_;
  TrackedFd listener_;
  std::set<LinkPtr> links_;
  std::map<uint32_t, Member> members_;
  std::map<LinkPtr, RelayMsg> relays_;
  uint32_t nRanks_ = 0;
  uint32_t firstRank_ = 0;  ///< who said nRanks_
  int32_t localRank_ = -1;  ///< a rank in this process
  size_t done_ = 0;
  int64_t startNs_ = 0;
  int64_t timerAtNs_ = 0;
  EventLoop::TimerId timer_;
  bool ready_ = false;
  bool finished_ = false;
  std::string outcome_;
  bool failed_ = false;
  Code failure_ = Code::InvalidUsage;
  std::set<uint32_t> told_;  ///< of the failure
  std::vector<std::shared_ptr<Done>> toldWaits_;

  bool relaying_ = false;
  LinkPtr upstream_;
  std::shared_ptr<Connecting> connecting_;
  std::vector<std::pair<FrameType, SharedBytes>> waitingUp_;
  WelcomeMsg rootZero_;
};

/// The tree: every rank but 0 has a parent with a smaller number.
inline constexpr int kTreeFanout = 4;
constexpr int treeParent(int rank) {
  return rank == 0 ? -1 : (rank - 1) / kTreeFanout;
}

}  // namespace tutti::control
