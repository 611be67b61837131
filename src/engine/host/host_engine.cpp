#include "engine/host/host_engine.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "engine/host/step_player.hpp"

namespace tutti::engine {

using algos::Lane;
using algos::Plan;
using algos::Reads;
using algos::Step;

namespace {

constexpr int64_t kFirstProbeNs = 10'000'000;
constexpr size_t kSmallBytes = 64 << 10;
constexpr int64_t kProbeEveryNs = 200'000'000;

bool onlySends(const Plan& plan) {
  for (const Lane& lane : plan.lanes) {
    for (const Step& step : lane.steps) {
      if (step.recvFrom.count > 0 || step.readFrom != Reads::None) return false;
    }
  }
  return true;
}

/// Whether peers may read the input in place while this rank goes on: not where it overwrites what they still
/// read.
bool inputStaysPut(const Job& job) {
  if (job.inputReused) return false;
  const algos::Request& request = job.plan->request;
  if (algos::reduces(request.collective) && kernels::needsPreScale(job.reduction)) return false;
  return !(request.inPlace && request.collective == algos::Collective::AllReduce &&
           job.plan->algorithm == algos::Algorithm::OneShot);
}

/// Whether the buffer holds a block for (or of) every rank.
bool hasWideInput(algos::Collective c) {
  using enum algos::Collective;
  return c == ReduceScatter || c == AllToAll || c == Scatter;
}
bool hasWideOutput(algos::Collective c) {
  using enum algos::Collective;
  return c == AllGather || c == AllToAll || c == Gather;
}

int64_t roundsOf(const Job& job, const Lane& lane) {
  // An empty send is a message too: its receiver may be waiting for more.
  if (job.isP2p()) return std::max<int64_t>(1, job.plan->rounds(lane));
  if (job.vectors.sendCounts == nullptr) return job.plan->rounds(lane);
  size_t most = 0;
  for (int r = 0; r < job.plan->request.nRanks; ++r) {
    most = std::max({most, job.vectors.sendCounts[r], job.vectors.recvCounts[r]});
  }
  // At least one, for the messages by which ranks find out that their counts differ.
  return std::max<int64_t>(1, static_cast<int64_t>((most + job.plan->chunkCount - 1) / job.plan->chunkCount));
}

}  // namespace

HostEngine::HostEngine(transport::Links& links, control::ControlPlane& control, const EngineOptions& options)
    : links_(links),
      control_(control),
      options_(options),
      cores_(links, options.spreadCores, options.ranksPerCore),
      stores_(links.nRanks(), links.rank()),
      sources_(links.nRanks() + algos::Peers::kMax + 1) {}

Status HostEngine::bind(const Plan& plan, const control::Wait& wait) {
  if (plan.usesBoards) TUTTI_TRY(links_.connectBoards(wait));
  for (const Lane& lane : plan.lanes) {
    for (const Step& step : lane.steps) {
      for (int k = 0; k < step.repeat; ++k) {
        for (int i = 0; i < step.sendTo.count; ++i)
          TUTTI_TRY(links_.connectSend(step.sendTo.peer[i].at(k), lane.channel, wait));
        for (int i = 0; i < step.recvFrom.count; ++i) {
          TUTTI_TRY(links_.connectRecv(step.recvFrom.peer[i].at(k), lane.channel, wait));
        }
      }
    }
  }
  return {};
}

std::byte* HostEngine::scratch(size_t index, size_t bytes) {
  if (index >= scratch_.size()) scratch_.resize(index + 1);
  Scratch& entry = scratch_[index];
  if (entry.bytes < bytes) {
    const size_t before = entry.bytes;
    entry.bytes = std::max<size_t>(bytes, 4096);
    spareBytes_.fetch_add(entry.bytes - before, std::memory_order_relaxed);
    entry.memory.reset(new std::byte[entry.bytes]);
  }
  return entry.memory.get();
}

std::byte* HostEngine::bounce(int board, uint64_t slot, size_t bytes) {
  const uint32_t depth = links_.geometry().boardDepth;
  bounces_.resize(transport::kBoards * depth);
  transport::SharedMemory& memory = bounces_[board * depth + slot % depth];
  if (memory.bytes() < bytes) {
    auto made = transport::SharedMemory::make(bytes);
    if (!made.ok()) {
      fail(std::move(made).error());
      return nullptr;
    }
    spareBytes_.fetch_add(made->bytes() - memory.bytes(), std::memory_order_relaxed);
    memory = std::move(made).value();
  }
  return memory.base();
}

void HostEngine::dropSpare() {
  scratch_.clear();
  bounces_.clear();
  spareBytes_.store(0, std::memory_order_relaxed);
}

void HostEngine::start(JobState& state) {
  if (state.job->whenShared != nullptr && *state.job->sharedByAll) state.job = state.job->whenShared;
  const Job& job = *state.job;
  const Plan& plan = *job.plan;
  state.started = true;
  state.boardBase = boardSeq_;
  boardSeq_ += static_cast<uint64_t>(plan.boardRounds());
  state.lanes.resize(plan.lanes.size());
  for (size_t i = 0; i < plan.lanes.size(); ++i) {
    state.lanes[i] = LaneState{&plan.lanes[i], 0, roundsOf(job, plan.lanes[i]), 0, 0, -1};
  }
  if (const size_t bytes = plan.scratchBlocks * plan.chunkCount * plan.request.elementBytes();
      bytes > state.scratchBytes) {
    state.scratch.reset(new std::byte[bytes]);
    state.scratchBytes = bytes;
  }
  state.outstanding.clear();
  state.input = {};
  state.output = {};
  const size_t bytes = plan.request.bytes();
  const bool large = bytes >= options_.directMinBytes;
  state.directInput = large && inputStaysPut(job);
  if (large && links_.nRanks() > 1 && !links_.allThreads()) {
    auto look = [&](const void* buffer, bool wide, SharedBuffer& out) {
      if (buffer == nullptr) return;
      const size_t whole = wide ? bytes * static_cast<size_t>(links_.nRanks()) : bytes;
      if (auto spot = links_.share(buffer, whole)) out = {true, *spot, static_cast<const std::byte*>(buffer)};
    };
    if (state.directInput) look(job.input, hasWideInput(plan.request.collective), state.input);
    look(job.output, hasWideOutput(plan.request.collective), state.output);
  }
  state.offersOutput =
      large && plan.usesBoards && plan.protocol == algos::Protocol::Simple &&
      plan.request.collective == algos::Collective::AllReduce && links_.nRanks() <= kMostOffers &&
      (links_.allThreads() || (state.output.shared && (plan.request.inPlace || state.input.shared)));
  state.sharedByAll = state.offersOutput;
}

HostEngine::Outcome HostEngine::progress(JobState& state) {
  bool moved = false;
  bool running = false;
  for (LaneState& lane : state.lanes) {
    while (!lane.done()) {
      Outcome outcome = StepPlayer(*this, state, lane).play();
      if (outcome == Outcome::Failed) return outcome;
      if (outcome == Outcome::Blocked) break;
      moved = true;
      const Step& step = lane.lane->steps[lane.step];
      if (++lane.repeat < step.repeat) continue;
      lane.repeat = 0;
      if (++lane.step < static_cast<int>(lane.lane->steps.size())) continue;
      lane.step = 0;
      ++lane.round;
    }
    running |= !lane.done();
  }
  if (!running && drained(state)) {
    state.done = true;
    if (state.job->sharedByAll != nullptr) *state.job->sharedByAll = state.sharedByAll;
    return Outcome::Moved;
  }
  return moved ? Outcome::Moved : Outcome::Blocked;
}

/// Whether everything that peers read in place has been read; and, with checked calls that are not trusted
/// yet, whether a rank that only sent knows that its messages were taken, so that no call is over before the
/// peers have made theirs.
bool HostEngine::drained(JobState& state) {
  const Job& job = *state.job;
  const Plan& plan = *job.plan;
  if (options_.checkCalls && !job.trusted && job.callNumber != 0 && onlySends(plan)) {
    for (const Lane& lane : plan.lanes) {
      for (const Step& step : lane.steps) {
        for (int k = 0; k < step.repeat; ++k) {
          for (int i = 0; i < step.sendTo.count; ++i) {
            transport::SendEnd& end = links_.sendEnd(lane.channel, step.sendTo.peer[i].at(k));
            if (!end.consumed(end.next)) return false;
          }
        }
        const uint64_t last = state.boardBase + static_cast<uint64_t>(plan.rounds(lane));
        if (step.publishes &&
            !links_.boardWriter(step.publishChannel).consumed(links_.boardPeers(), last, step.publishFor)) {
          return false;
        }
      }
    }
  }
  for (const Outstanding& out : state.outstanding) {
    const bool read = out.end != nullptr
                          ? out.end->consumed(out.upTo)
                          : links_.boardWriter(out.board).consumed(links_.boardPeers(), out.upTo, out.reader);
    if (!read) return false;
  }
  return true;
}

std::string HostEngine::describeWait(const JobState& state) const {
  for (const LaneState& lane : state.lanes) {
    if (lane.done()) continue;
    const Step& step = lane.lane->steps[lane.step];
    std::string text = fmt::format("in step {} ({}) of {}/{}, round {} of {}", lane.step + 1,
                                   algos::nameOf(step), algos::nameOf(state.job->plan->algorithm),
                                   algos::nameOf(state.job->plan->protocol), lane.round + 1, lane.rounds);
    if (lane.blockedOn >= 0) text += fmt::format(", waiting for rank {}", lane.blockedOn);
    return text;
  }
  return "waiting for peers to take its data";
}

HostEngine::Outcome HostEngine::failMismatch(const JobState& state, int peer, const std::string& detail) {
  const Job& job = *state.job;
  if (job.callNumber != 0) {
    // The control plane compares the calls of all ranks and finds the words; give it a moment.
    control_.probe(job.callNumber);
    // The calls of a V form are equal even where the counts are not: then there is nothing to be found.
    Deadline deadline = Deadline::afterMs(job.vectors.sendCounts != nullptr ? 200 : 1000);
    while (control_.faultWord().load(std::memory_order_acquire) == 0 && !deadline.expired()) {
      uint32_t ticket = transport::prepareSleep(links_.doorbell());
      transport::sleep(links_.doorbell(), ticket, 1'000'000);
    }
  }
  if (control_.faultWord().load(std::memory_order_acquire) == 0) {
    std::string text = fmt::format("rank {} and rank {} made calls that do not match", rank(), peer);
    if (!detail.empty()) text += ": " + detail;
    control_.raise({control::FaultKind::Mismatch, peer, text});
  }
  return fail(control::errorOf(control_.fault()));
}

Status HostEngine::whileStuck(JobState& state, int64_t waitedNs, int64_t& nextProbeNs) {
  if (waitedNs < nextProbeNs) return {};
  nextProbeNs = waitedNs + kProbeEveryNs;
  const Job& job = *state.job;
  if (job.callNumber != 0) control_.probe(job.callNumber);
  for (const LaneState& lane : state.lanes) {
    if (lane.done() || lane.blockedOn < 0 || !control_.hasLeft(lane.blockedOn)) continue;
    // What it sent before it left may have come in the meantime: only a second stuck look convinces.
    if (waitedNs < 2 * kProbeEveryNs) continue;
    return makeError(Code::RemoteError,
                     "rank {} has destroyed the communicator, but rank {} still waits for it {}",
                     lane.blockedOn, rank(), describeWait(state));
  }
  if (options_.timeoutMs > 0 && waitedNs > options_.timeoutMs * 1'000'000) {
    std::string missing;
    if (job.callNumber != 0)
      missing = control_.describeMissing(job.callNumber, {Deadline::afterMs(1000), nullptr});
    std::string text = fmt::format("rank {} gave up after {} ms {}{}{}", rank(), options_.timeoutMs,
                                   describeWait(state), missing.empty() ? "" : "; ", missing);
    control_.raise({control::FaultKind::Timeout, rank(), text});
    return control::errorOf(control_.fault());
  }
  return {};
}

namespace {

/// Kept per thread: after the first calls nothing here allocates. A callback that plays again on this thread
/// would find it in use, but the engine calls nobody.
std::vector<JobState>& statesFor(std::span<const Job> jobs) {
  thread_local std::vector<JobState> states;
  if (states.size() < jobs.size()) states.resize(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    states[i].job = &jobs[i];
    states[i].started = states[i].done = false;
  }
  return states;
}

}  // namespace

size_t HostEngine::playExpress(const Job& job, size_t first, size_t end) {
  const ShortWait wait(cores_, options_.idle.spinNs > 0, options_.idle.crowded);
  return job.express->play(job, links_, boardSeq_ + 1, first, end, wait,
                           scratch(0, job.express->scratchBytes()), sources_.data(), stores_);
}

bool HostEngine::goesExpress(const Job& job) {
  if (job.express == nullptr || job.express->empty()) return false;
  return !job.express->onlySends() || job.trusted || !job.engine->options_.checkCalls;
}

size_t HostEngine::begin(const Job& job) {
  return goesExpress(job) ? job.engine->playExpress(job, 0, job.express->leading()) : 0;
}

Status HostEngine::play(const Job& job, size_t begun) {
  const std::span<const Job> jobs(&job, 1);
  if (!goesExpress(job)) return play(jobs);
  HostEngine& engine = *job.engine;
  const Express& express = *job.express;
  const size_t played = engine.playExpress(job, begun, express.moves().size());
  if (played == express.moves().size()) [[likely]] {
    engine.boardSeq_ += static_cast<uint64_t>(job.plan->boardRounds());
    return {};
  }
  std::vector<JobState>& states = statesFor(jobs);
  engine.start(states[0]);
  for (size_t l = 0; l < states[0].lanes.size(); ++l) {
    LaneState& lane = states[0].lanes[l];
    const auto next =
        std::find_if(express.moves().begin() + static_cast<ptrdiff_t>(played), express.moves().end(),
                     [&](const Move& move) { return move.lane == static_cast<int>(l); });
    if (next == express.moves().end()) {
      lane.round = lane.rounds;
      continue;
    }
    lane.step = next->step;
    lane.repeat = next->repeat;
  }
  return playStates(jobs, states, nullptr);
}

Status HostEngine::play(std::span<const Job> jobs, size_t* culprit) {
  if (jobs.empty()) return {};
  return playStates(jobs, statesFor(jobs), culprit);
}

Status HostEngine::playStates(std::span<const Job> jobs, std::vector<JobState>& states, size_t* culprit) {
  bool oneEngine = true;
  for (const Job& job : jobs) oneEngine &= job.engine == jobs[0].engine;
  Idle idle(jobs[0].engine->options_.idle);
  // In a large call the mates of a core may well work as long as a time slice.
  const bool small = jobs[0].plan->request.bytes() <= kSmallBytes;
  int64_t nextProbeNs = kFirstProbeNs;

  // One turn over all jobs. Blocked: nothing moved; Moved: something did.
  Error* failed = nullptr;
  HostEngine* failedEngine = nullptr;
  auto turn = [&](bool& allDone) {
    bool moved = false;
    allDone = true;
    for (size_t i = 0; i < jobs.size(); ++i) {
      JobState& state = states[i];
      if (state.done) continue;
      if (jobs[i].after >= 0 && !states[jobs[i].after].done) {
        allDone = false;
        continue;
      }
      HostEngine& engine = *jobs[i].engine;
      if (!state.started) engine.start(state);
      Outcome outcome = engine.progress(state);
      if (outcome == Outcome::Failed) {
        failedEngine = &engine;
        failed = engine.failure_.get();
        if (culprit != nullptr) *culprit = i;
        return false;
      }
      moved |= outcome == Outcome::Moved;
      allDone &= state.done;
    }
    return moved;
  };

  auto findFault = [&]() -> control::ControlPlane* {
    for (size_t i = 0; i < jobs.size(); ++i) {
      control::ControlPlane& control = jobs[i].engine->control_;
      if (states[i].done || control.faultWord().load(std::memory_order_relaxed) == 0) continue;
      if (culprit != nullptr) *culprit = i;
      return &control;
    }
    return nullptr;
  };

  // The lane that the first unfinished job waits in, or null.
  auto waitingLane = [&]() -> const LaneState* {
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (states[i].done || !states[i].started) continue;
      for (const LaneState& lane : states[i].lanes) {
        if (!lane.done() && lane.blockedOn >= 0) return &lane;
      }
      break;
    }
    return nullptr;
  };

  // Partly played: this rank's numbering no longer agrees with the others', so nobody may go on as if nothing
  // had been.
  auto giveUp = [&]() -> Status {
    control::ControlPlane& control = failedEngine->control_;
    if (control.faultWord().load(std::memory_order_acquire) == 0) {
      control.raise({control::FaultKind::LocalError, failedEngine->rank(), failed->message()});
    }
    return failedEngine->takeFailure();
  };

  for (;;) {
    bool allDone = false;
    bool moved = turn(allDone);
    if (failed != nullptr) return giveUp();
    if (allDone) return {};
    if (control::ControlPlane* faulted = findFault()) return control::errorOf(faulted->fault());
    if (moved) {
      idle.reset();
      nextProbeNs = kFirstProbeNs;
      continue;
    }
    HostEngine& first = *jobs[0].engine;
    if (idle.starting()) first.cores_.startWait();
    const LaneState* lane = waitingLane();
    const bool crowded = first.options_.idle.crowded;
    const bool needsThisCore =
        lane == nullptr ? crowded : (crowded && !lane->matesWait) || first.cores_.sharesCore(lane->blockedOn);
    const bool sleepNow = idle.pause(needsThisCore, !small || !first.cores_.yieldsAreDear());
    if (small) first.cores_.noteYield(idle.awayNs());
    if (!sleepNow) {
      first.cores_.waiting(idle.lookedAtNs());
      continue;
    }

    for (size_t i = 0; i < jobs.size(); ++i) {
      if (states[i].done || !states[i].started) continue;
      int64_t probeAt = nextProbeNs;
      Status status = jobs[i].engine->whileStuck(states[i], idle.waitedNs(), probeAt);
      if (status.ok()) continue;
      if (culprit != nullptr) *culprit = i;
      return status;
    }
    if (idle.waitedNs() >= nextProbeNs) nextProbeNs = idle.waitedNs() + kProbeEveryNs;

    // Announce sleep, look once more, sleep. With several engines there are several bells: nap on the first
    // one.
    transport::Doorbell& bell = jobs[0].engine->links_.doorbell();
    uint32_t ticket = transport::prepareSleep(bell);
    moved = turn(allDone);
    if (moved || allDone || failed != nullptr) {
      transport::cancelSleep(bell);
      idle.reset();
      if (failed != nullptr) return giveUp();
      if (allDone) return {};
      continue;
    }
    // A fault that came before the announcement has rung in vain.
    if (findFault() != nullptr) {
      transport::cancelSleep(bell);
      continue;
    }
    transport::sleep(bell, ticket, oneEngine ? idle.sleepNs() : 50'000);
  }
}

}  // namespace tutti::engine
