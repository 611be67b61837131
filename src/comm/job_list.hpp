// JobList: the calls of a group, as jobs for the engine.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <vector>

#include "comm/calls.hpp"

namespace tutti::comm {

/// In place as nccl.h defines it.
bool inPlace(const Communicator& comm, const CollectiveCall& call);
algos::Request requestOf(const Communicator& comm, const CollectiveCall& call);
/// A communicator of one: the result is the input, scaled where the operator says so.
void playAlone(const kernels::Reduction& reduction, const CollectiveCall& call);
/// What `job` takes from a call and its plan: all but its number and its reduction.
void fill(engine::Job& job, Communicator& comm, const CollectiveCall& call, const PlanEntry& entry);
/// The plan for a call, as if nothing were known of the ranks' buffers. REQUIRES more than one rank.
Result<const PlanEntry*> planOf(Communicator& comm, const CollectiveCall& call);
/// The plan for the same call where all ranks' buffers are within reach of all ranks.
Result<const PlanEntry*> sharedPlanOf(Communicator& comm, const CollectiveCall& call, const PlanEntry& entry);

/// Puts the jobs of a group together: collectives of a communicator one after the other, sends and receives
/// side by side, but those between the same two ranks in order.
///
/// Two steps: add() resolves everything that may be refused; commit() then numbers and records the calls and
/// does what needs no other rank.
///
/// What the ranks learn from one call for the next (Communicator::sharedFlag) must not depend on how they
/// group their calls, which may differ: so a call that may take either of two plans takes both along, and the
/// engine chooses when the job starts, as a call outside a group would.
class JobList {
 public:
  Status add(const Task& task);
  /// A rank's sends to itself are copies; each needs its receive in the same group.
  Status checkSelf() const;
  void commit();

  std::span<const engine::Job> jobs() const { return jobs_; }
  /// `error` of job `index`, with what was called.
  Error inCall(Error error, size_t index) const;

 private:
  struct Queue {
    const Communicator* comm;
    int kind;  ///< 0 collectives, 1 sends, 2 receives
    int peer;
    auto operator<=>(const Queue&) const = default;  // NOLINT(modernize-use-nullptr): sees one where none is
  };
  struct SelfPair {
    std::vector<P2pCall> sends, receives;
  };
  struct Alone {
    kernels::Reduction reduction;
    CollectiveCall call;
  };
  struct Call {
    const Task* task;
    const PlanEntry* entry;  ///< null: a send or a receive, which is not recorded
    int job;                 ///< -1: recorded, but there is nothing to play
  };
  struct Choice {
    int job;
    engine::Job* whenShared;  ///< what it may turn into
  };
  struct Origin {
    const Task* task = nullptr;
    uint64_t number = 0;
    bool isP2p = false;
  };

  Status addCollective(Communicator& comm, const CollectiveCall& call);
  Status addVector(Communicator& comm, const KeptVectorCall& kept);
  Status addP2p(Communicator& comm, const P2pCall& call);
  void keepReusedInputsStaged();
  engine::Job& append(engine::Job job, const PlanEntry* entry, const Queue& queue);

  const Task* task_ = nullptr;
  std::vector<engine::Job> jobs_;
  std::vector<Choice> choices_;  ///< in order
  std::deque<engine::Job> whenShared_;
  std::vector<Origin> origins_;  ///< of jobs_
  std::vector<Call> calls_;      ///< in order
  std::vector<Alone> alone_;
  std::map<Queue, int> last_;
  std::map<const Communicator*, SelfPair> self_;
};

}  // namespace tutti::comm
