// Communicator: one rank's membership in a group of ranks that call collectives together.
//
// Life: constructed (Starting) -> start() runs (Ready or Failed) -> finalize() -> close(). Calls become jobs
// (calls.hpp), jobs are played by the engine. What the ranks must agree on (slot sizes, allowed algorithms)
// is rank 0's word, carried by the control plane when the communicator is made.
//
// Thread safety: moving data, splitting and ending: one thread at a time, which a Turn enforces; abort(),
// asyncStatus() and questions: any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "algos/plan_book.hpp"
#include "algos/selector.hpp"
#include "comm/comm.hpp"
#include "comm/core_links.hpp"
#include "comm/host_stream.hpp"
#include "comm/plan_cache.hpp"
#include "comm/topology_view.hpp"
#include "control/control_plane.hpp"
#include "engine/host/host_engine.hpp"
#include "transport/links.hpp"

namespace tutti::comm {

/// A PreMulSum operator. The scalar is read when the operator is made, or (device residence) at each call.
struct CustomOp {
  DataType type;
  uint64_t scalarBits = 0;
  const void* scalar = nullptr;  ///< set: read at each call
};

/// Memory that all ranks registered together: where each rank's lies, so that peers can put into it.
struct Window {
  void* memory = nullptr;
  size_t bytes = 0;
  struct Part {
    uint64_t address = 0;  ///< in the owner's process
    uint64_t bytes = 0;
    uint32_t allocation = 0;  ///< of the owner's shared memory; 0: private memory
    uint32_t index = 0;       ///< the owner's id for messages
    uint64_t offset = 0;
  };
  std::vector<Part> parts;  ///< by rank
};

class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  /// `device`: what ncclCommCuDevice answers; -1: the rank.
  Communicator(int nRanks, int rank, const CommOptions& options, int device = -1);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// How the control plane comes to be: join() or derive().
  using Connect = std::function<Result<std::unique_ptr<control::ControlPlane>>(
      control::Bytes selfInfo, control::Wait wait, control::OnFault onFault)>;
  /// Collective. Ends in Ready or Failed, and returns which. `mayMeasure`: this is rank 0, and the others may
  /// wait for it to calibrate the machine.
  Status start(const Connect& connect, bool mayMeasure = false);

  int rank() const { return rank_; }
  int nRanks() const { return nRanks_; }
  int device() const { return device_ >= 0 ? device_ : rank_; }
  const CommOptions& options() const { return options_; }
  bool blocking() const { return options_.blocking; }

  /// Whether calls can be made: started, no fault, not suspended, not finalized.
  Status usable() const;
  /// Whether a call may be taken, to be played later. A nonblocking communicator takes none while it is being
  /// made, as with NCCL: nothing is known yet that a call could be checked against.
  Status takesCalls() const;
  Status asyncStatus() const;
  void noteAsyncError(const Error& error);
  void noteLastError(const std::string& text) {
    std::lock_guard lock(errorMutex_);
    lastError_ = text;
  }
  std::string lastError() const {
    std::lock_guard lock(errorMutex_);
    return lastError_;
  }
  /// How queued work of a nonblocking communicator ended. A refusal is told by asyncStatus() until the next
  /// call is queued; any other error stays.
  void noteQueuedEnd(const Status& status);

  /// Work that streams will do keeps the order in which it was queued, whatever the streams: it takes a
  /// ticket when it is queued, and its Turn waits for the tickets before.
  uint64_t takeTicket() { return ticketsGiven_.fetch_add(1, std::memory_order_relaxed) + 1; }
  /// Waits until all that was queued before this call is done.
  void awaitQueued() const { awaitServed(ticketsGiven_.load(std::memory_order_relaxed)); }

  /// The stream that a nonblocking communicator works on; made at first use.
  HostStream& ownStream();
  void taskQueued();
  void taskDone() { pending_.fetch_sub(1, std::memory_order_release); }

  /// Waits until all ranks have come here or left, where each is a process of its own; ranks that share a
  /// process may be finalized by one thread one after the other, and do not wait. Needs a Turn, unless alone.
  Status finalize();
  /// Leaves without waiting for anybody.
  void leave();
  /// True the first time.
  bool claimFinalize() { return !finalizeClaimed_.exchange(true, std::memory_order_relaxed); }
  void abort(control::FaultKind kind);
  bool suspended() const { return suspended_.load(std::memory_order_relaxed); }
  /// Refuses calls until resume(), and gives back the memory that calls need, where canGiveBack(). Needs a
  /// Turn; waits for all ranks, as finalize() does.
  Status suspend();
  void resume() { suspended_.store(false, std::memory_order_relaxed); }
  /// Whether suspend() gives memory back: it has to wait for the other ranks, which it cannot where one
  /// thread may have several of them to suspend.
  bool canGiveBack() const { return control_ && links_ && nRanks_ > 1 && oneRankPerProcess(); }

  /// A cached plan for the call, made and bound at first use.
  Result<const PlanEntry*> planFor(const PlanKey& key, const CallOptions* options);
  /// Whether the last call of this signature (in place or not) found all ranks' buffers within reach of all
  /// ranks. Equal on all ranks, as all make the same calls: the next such call takes a plan for such buffers,
  /// and looks again. Null when there are too many signatures.
  bool* sharedFlag(uint64_t signature);
  /// The plan of the newest call, or null.
  const PlanEntry* lastPlan() const { return plans_.last(); }
  Result<kernels::Reduction> reductionFor(DataType type, int op) const;
  /// The same with the operator as it was when the call was made.
  Result<kernels::Reduction> reductionFor(DataType type, int op, const std::optional<CustomOp>& custom) const;
  /// The operator behind a number from kFirstCustomOp on, if it exists and is for `type`.
  Result<CustomOp> customOp(DataType type, int op) const;
  /// Numbers this call and lets the control plane know of it.
  uint64_t recordCall(control::CallRecord record) {
    record.seq = ++callNumber_;
    control_->recordCall(record);
    return record.seq;
  }
  uint64_t lastCall() const { return callNumber_; }
  /// Sends and receives are numbered for errors only.
  uint64_t nextP2p() { return ++p2pNumber_; }
  /// While held, plans that have been handed out stay.
  void holdPlans(bool hold) { plans_.hold(hold); }

  control::ControlPlane& control() { return *control_; }
  const control::ControlPlane* controlIfStarted() const { return control_.get(); }
  engine::HostEngine& engine() { return *engine_; }
  transport::Links& links() { return *links_; }
  const transport::Links* linksIfStarted() const { return links_.get(); }
  const algos::Selector& selector() const { return *selector_; }
  size_t spareBytes() const { return engine_ ? engine_->spareBytes() : 0; }
  /// Null before start(), and for a communicator of one rank.
  const TopologyView* topology() const { return topology_.get(); }
  control::Wait wait() const { return {Deadline::never(), &aborted_}; }
  control::Wait initWait() const;

  /// Tags for derived communicators: every rank takes part in each split, only survivors in a shrink.
  uint64_t nextSplitTag() { return 2 * ++splits_; }
  uint64_t nextShrinkTag() { return 2 * ++shrinks_ + 1; }

  std::vector<std::optional<CustomOp>>& customOps() { return customOps_; }
  std::unordered_map<uint64_t, Window>& windows() { return windows_; }
  std::unordered_map<uint64_t, std::pair<void*, size_t>>& buffers() { return buffers_; }
  std::vector<uint64_t>& signalsTaken() { return signalsTaken_; }

 private:
  friend class Turn;
  enum class Phase : int { Starting, Ready, Failed, Finalized };

  Status startChecked(const Connect& connect, bool mayMeasure);
  /// Queued work is inside calls, which end at a fault or deadline of their own: so does this wait.
  void awaitServed(uint64_t ticket) const {
    for (uint64_t served = ticketsServed_.load(std::memory_order_acquire); served < ticket;
         served = ticketsServed_.load(std::memory_order_acquire)) {
      ticketsServed_.wait(served, std::memory_order_acquire);
    }
  }
  void serve(uint64_t ticket) {
    ticketsServed_.store(ticket, std::memory_order_release);
    ticketsServed_.notify_all();
  }
  Result<algos::Selector> makeSelector() const;
  Status readPlanFile();
  static constexpr size_t kMostSharedFlags = 65536;
  Status lookAround();
  Result<CoreLinks> shareFindings();
  Result<CoreLinks> lookAtCores() const;
  Status followLinks(const CoreLinks& links);
  Status awaitAllFinalize();
  bool oneRankPerProcess() const;
  /// What to return when connecting to a peer failed, with the fault that is behind it or that it becomes.
  Error cannotConnect(Error error);

  int nRanks_;  ///< known from the start, or (a split in a group) once started
  int rank_;
  const int device_;
  CommOptions options_;
  std::atomic<Phase> phase_{Phase::Starting};
  std::atomic<bool> aborted_{false};
  std::atomic<bool> suspended_{false};
  std::atomic<bool> finalizeClaimed_{false};
  std::atomic<uint32_t> inUse_{0};
  std::atomic<uint64_t> ticketsGiven_{0};   ///< by the thread that calls; relaxed: it reads what it wrote
  std::atomic<uint64_t> ticketsServed_{0};  ///< SYNC POINT: release when the work is done
  std::atomic<int> pending_{0};
  mutable std::mutex errorMutex_;
  std::optional<Error> asyncError_;
  std::optional<Error> refused_;
  std::string lastError_;

  std::unique_ptr<control::ControlPlane> control_;
  std::shared_ptr<const TopologyView> topology_;
  std::unique_ptr<transport::Links> links_;
  std::unique_ptr<engine::HostEngine> engine_;
  std::optional<algos::Selector> selector_;
  algos::PlanBook planBook_;                       ///< TUTTI_PLAN_FILE's
  std::optional<algos::Selector> sharedSelector_;  ///< for buffers within reach of all ranks
  std::unordered_map<uint64_t, bool> sharedFlags_;
  PlanCache plans_;
  uint64_t netChunkBytes_ = 0;  ///< NCCL_P2P_NET_CHUNKSIZE of rank 0; 0: not set
  uint64_t callNumber_ = 0;
  uint64_t p2pNumber_ = 0;
  uint64_t splits_ = 0;
  uint64_t shrinks_ = 0;
  std::vector<std::optional<CustomOp>> customOps_;
  std::unordered_map<uint64_t, Window> windows_;
  std::unordered_map<uint64_t, std::pair<void*, size_t>> buffers_;
  std::vector<uint64_t> signalsTaken_;
  std::mutex streamMutex_;
  std::unique_ptr<HostStream> ownStream_;
};

/// The right to move data on a communicator, held by one thread at a time. Uncontended it is one atomic
/// exchange; a second thread waits for its turn. A call that is made at once comes behind all that is queued
/// on streams; queued work comes behind the tickets before its own.
class Turn {
 public:
  /// `ticket` 0: not queued.
  explicit Turn(Communicator& comm, uint64_t ticket = 0);
  ~Turn() {
    comm_.inUse_.store(0, std::memory_order_release);
    if (ticket_ != 0) comm_.serve(ticket_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Communicator& comm_;
  const uint64_t ticket_;
};

/// "AllReduce(count 100, float, sum)": what the control plane shows of a recorded call.
std::string describeCall(const control::CallRecord& record);

}  // namespace tutti::comm
