// The host engine plays plans on CPU memory: one rank, one communicator.
//
// How it plays. Each lane of a job is a little state machine: (round, step, repeat). playOnce() looks whether
// all that the next play needs is there (messages, free slots, published boards); if so it moves the bytes
// and steps on, else it returns Blocked and touches nothing. One thread plays all lanes of all jobs of a
// group, of several communicators if need be; it spins, yields and sleeps only when none of them can move
// (Idle), and looks at the fault word each time round.
//
// Hot path: no lock, no allocation (scratch and lane states are kept), no system call while messages come in
// time.
//
// Thread safety: one thread at a time.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "control/control_plane.hpp"
#include "core/result.hpp"
#include "engine/host/core_watch.hpp"
#include "engine/host/express.hpp"
#include "engine/host/idle.hpp"
#include "engine/host/job.hpp"
#include "engine/host/slot_stores.hpp"
#include "transport/links.hpp"

namespace tutti::engine {

/// Most ranks that can offer their outputs to each other.
inline constexpr int kMostOffers = 64;
/// A plan for buffers within reach of all ranks publishes up to so much at once. A buffer that is out of
/// reach after all goes through memory of this size.
inline constexpr size_t kBounceBytes = 64 << 20;

struct EngineOptions {
  IdlePolicy idle;
  int64_t timeoutMs = 0;          ///< 0: no limit
  int ranksPerCore = 1;           ///< of the busiest core
  bool spreadCores = true;        ///< ranks that share a core move to emptier ones
  bool checkCalls = true;         ///< a call whose rank only sends returns when what it sent has been taken
  size_t directMinBytes = 16384;  ///< from here on, buffers that peers can reach are read in place
  size_t remoteMinBytes = SIZE_MAX;  ///< from here on, sends are read with process_vm_readv
};

/// Where one lane of one job stands.
struct LaneState {
  const algos::Lane* lane = nullptr;
  int64_t round = 0;
  int64_t rounds = 0;
  int step = 0;
  int repeat = 0;
  int blockedOn = -1;      ///< rank that the last Blocked waited for
  bool matesWait = false;  ///< all ranks that share this core have done their part of what it waited for

  bool done() const { return round >= rounds; }
};

/// A send or a publication of a buffer in place: the buffer is the user's again when it has been read.
struct Outstanding {
  transport::SendEnd* end = nullptr;  ///< null: board
  uint64_t upTo = 0;                  ///< message number, or board slot
  int board = 0;
  int reader = -1;
};

/// A buffer that lies in an allocation which local peers can map.
struct SharedBuffer {
  bool shared = false;
  transport::SharedSpot spot;
  const std::byte* base = nullptr;

  uint64_t offsetOf(const void* pointer) const {
    return spot.offset + (static_cast<const std::byte*>(pointer) - base);
  }
};

struct JobState {
  const Job* job = nullptr;
  std::vector<LaneState> lanes;
  std::vector<Outstanding> outstanding;
  uint64_t boardBase = 0;
  bool directInput = false;  ///< peers may read the input buffer in place, instead of a copy of it
  SharedBuffer input;        ///< where the buffers lie in shared memory, if they do
  SharedBuffer output;
  bool offersOutput = false;             ///< peers may put results into the output buffer
  bool sharedByAll = false;              ///< see Job
  std::unique_ptr<std::byte[]> scratch;  ///< the plan's scratch blocks; kept from job to job
  size_t scratchBytes = 0;
  bool started = false;
  bool done = false;
};

class HostEngine {
 public:
  HostEngine(transport::Links& links, control::ControlPlane& control, const EngineOptions& options);

  /// Connects what `plan` needs. Once per plan, before its first play.
  Status bind(const algos::Plan& plan, const control::Wait& wait);

  /// Optionally before play(job, begun): sends at once what waits for nobody, so that it travels while the
  /// caller does what else there is to do. Returns `begun`.
  static size_t begin(const Job& job);
  /// Plays one job by itself; blocking. The same as for a span of one, sooner where the plan has an Express.
  static Status play(const Job& job, size_t begun = 0);

  /// Plays `jobs`, which may belong to several engines, until all are done or one failed; blocking. The jobs
  /// of an engine that have `after` == -1 run side by side. `culprit`, on failure: the job that failed, or
  /// the first that a fault kept from ending.
  static Status play(std::span<const Job> jobs, size_t* culprit = nullptr);

  SlotStores& stores() { return stores_; }
  /// Memory that play() has made for itself, and makes again where it is missing. Any thread.
  size_t spareBytes() const { return spareBytes_.load(std::memory_order_relaxed); }
  /// REQUIRES that no peer is in a call.
  void dropSpare();

  const EngineOptions& options() const { return options_; }
  transport::Links& links() { return links_; }
  int rank() const { return links_.rank(); }

 private:
  friend class StepPlayer;
  enum class Outcome { Blocked, Moved, Failed };

  static bool goesExpress(const Job& job);
  size_t playExpress(const Job& job, size_t first, size_t end);
  static Status playStates(std::span<const Job> jobs, std::vector<JobState>& states, size_t* culprit);
  void start(JobState& state);
  Outcome progress(JobState& state);
  bool drained(JobState& state);
  Error takeFailure() { return std::move(*failure_); }
  Outcome fail(Error error) {
    failure_ = std::make_unique<Error>(std::move(error));
    return Outcome::Failed;
  }
  Outcome failMismatch(const JobState& state, int peer, const std::string& detail);
  /// Called when nothing has moved for a while: probes, looks for ranks that left, minds the deadline.
  Status whileStuck(JobState& state, int64_t waitedNs, int64_t& nextProbeNs);
  std::string describeWait(const JobState& state) const;
  std::byte* scratch(size_t index, size_t bytes);
  /// Memory that peers reach, in place of slot `slot` of board `board`, for publications too large for that.
  /// Null when there is no memory.
  std::byte* bounce(int board, uint64_t slot, size_t bytes);

  transport::Links& links_;
  control::ControlPlane& control_;
  EngineOptions options_;
  CoreWatch cores_;
  SlotStores stores_;
  uint64_t boardSeq_ = 0;
  std::unique_ptr<Error> failure_;
  struct Scratch {
    std::unique_ptr<std::byte[]> memory;
    size_t bytes = 0;
  };
  std::vector<Scratch> scratch_;
  std::vector<transport::SharedMemory> bounces_;
  std::atomic<size_t> spareBytes_{0};  ///< of scratch_ and bounces_; relaxed: a figure for the user
  std::vector<const void*> sources_;
  std::vector<const void*> pieces_;  ///< the same, further on
  std::vector<std::byte*> targets_;  ///< where else a result goes
};

}  // namespace tutti::engine
