#include "comm/calls.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::comm {

using algos::Collective;
using engine::Job;

namespace {

/// Longer than the news of a death takes to reach everybody.
constexpr int64_t kFaultGraceMs = 300;

/// In place as nccl.h defines it.
bool inPlace(const Communicator& comm, const CollectiveCall& call) {
  const auto* send = static_cast<const std::byte*>(call.send);
  const auto* recv = static_cast<const std::byte*>(call.recv);
  const size_t own = static_cast<size_t>(comm.rank()) * call.count * sizeOf(call.type);
  switch (call.collective) {
    case Collective::AllGather:
      return send == recv + own;
    case Collective::Gather:
      return comm.rank() == call.root && send == recv + own;
    case Collective::ReduceScatter:
      return recv == send + own;
    case Collective::Scatter:
      return comm.rank() == call.root && recv == send + own;
    default:
      return send == recv;
  }
}

algos::Request requestOf(const Communicator& comm, const CollectiveCall& call) {
  algos::Request request;
  request.collective = call.collective;
  request.count = call.count;
  request.type = call.type;
  request.op = call.op >= kFirstCustomOp ? ReduceOp::PreMulSum : static_cast<ReduceOp>(call.op);
  request.root = call.root;
  request.nRanks = comm.nRanks();
  request.inPlace = inPlace(comm, call);
  return request;
}

/// A communicator of one: the result is the input, scaled where the operator says so.
void playAlone(const kernels::Reduction& reduction, const CollectiveCall& call) {
  if (algos::reduces(call.collective) && kernels::needsPreScale(reduction)) {
    kernels::preScale(reduction, call.recv, call.send, call.count);
  } else if (call.recv != call.send) {
    kernels::copy(call.recv, call.send, call.count * sizeOf(call.type));
  }
}

std::string describeCollective(const CollectiveCall& call) {
  control::CallRecord record;
  record.kind = static_cast<uint32_t>(call.collective);
  record.count = call.count;
  record.root = call.root;
  record.dtype = static_cast<uint8_t>(call.type);
  record.op =
      static_cast<uint8_t>(call.op >= kFirstCustomOp ? ReduceOp::PreMulSum : static_cast<ReduceOp>(call.op));
  return describeCall(record);
}

void fill(Job& job, Communicator& comm, const CollectiveCall& call, const PlanEntry& entry) {
  job.engine = &comm.engine();
  job.plan = &entry.plan;
  job.express = &entry.express;
  job.input = call.send;
  job.output = call.recv;
  job.signature = entry.signature;
  job.sharedByAll = entry.sharedByAll;
  job.trusted = entry.ended >= PlanEntry::kTrustedFrom;
}

/// Whether a play of `plan` tells every rank of every other one whether its buffers can be reached: each rank
/// must have a share of its own, as that is where it looks.
bool tellsShared(const algos::Plan& plan) {
  if (!plan.usesBoards || plan.protocol != algos::Protocol::Simple ||
      plan.request.nRanks > engine::kMostOffers || plan.request.collective != Collective::AllReduce ||
      plan.lanes.size() != 1) {
    return false;
  }
  for (int block = 0; block < plan.nBlocks; ++block) {
    if (plan.extent(plan.lanes[0], 0, block).count == 0) return false;
  }
  return true;
}

/// The plan of the last call, if this one is the same but for its buffers. What prepare() would find, at less
/// cost.
const PlanEntry* repeated(const Communicator& comm, const CollectiveCall& call) {
  const PlanEntry* last = comm.lastPlan();
  if (last == nullptr || !last->isPlainCall()) return nullptr;
  if (last->sharedByAll != nullptr && *last->sharedByAll != last->key.shared) return nullptr;
  const algos::Request& request = last->key.request;
  const bool same = request.collective == call.collective && request.count == call.count &&
                    request.type == call.type && static_cast<int>(request.op) == call.op &&
                    request.root == call.root && call.options == nullptr && call.count > 0 &&
                    request.inPlace == inPlace(comm, call);
  return same && call.op < kFirstCustomOp ? last : nullptr;
}

/// All of `job` but its number and its reduction. REQUIRES more than one rank.
Result<const PlanEntry*> prepare(Communicator& comm, const CollectiveCall& call, Job& job) {
  PlanKey key;
  key.request = requestOf(comm, call);
  if (key.request.inPlace && call.collective == Collective::AllToAll) [[unlikely]] {
    return Error(Code::InvalidUsage, "ncclAlltoAll cannot work in place: give it two buffers");
  }
  if (call.options != nullptr && !call.options->algorithms.empty()) {
    key.optionsHash =
        std::hash<std::string>()(call.options->algorithms) * 2 + call.options->algorithmsForced + 1;
  }
  TUTTI_ASSIGN(const PlanEntry* entry, comm.planFor(key, call.options));
  if (entry->sharedByAll != nullptr && *entry->sharedByAll) {
    key.shared = true;
    TUTTI_ASSIGN(entry, comm.planFor(key, call.options));
  }
  fill(job, comm, call, *entry);
  return entry;
}

}  // namespace

std::string describeTask(const Task& task) {
  if (const auto* call = std::get_if<CollectiveCall>(&task.what)) return describeCollective(*call);
  if (const auto* p2p = std::get_if<P2pCall>(&task.what)) {
    return fmt::format("{}(count {}, {}, {} rank {})", p2p->isSend ? "Send" : "Recv", p2p->count,
                       nameOf(p2p->type), p2p->isSend ? "to" : "from", p2p->peer);
  }
  if (const auto* vector = std::get_if<std::shared_ptr<KeptVectorCall>>(&task.what)) {
    return fmt::format("{}({})", algos::nameOf((*vector)->call.collective), nameOf((*vector)->call.type));
  }
  return std::get<OneSided>(task.what).name;
}

Status checkCall(const Communicator& comm, const CollectiveCall& call, std::optional<CustomOp>& custom) {
  if (call.collective == Collective::AllToAll && call.send == call.recv && call.count > 0 &&
      comm.nRanks() > 1) {
    return Error(Code::InvalidUsage, "ncclAlltoAll cannot work in place: give it two buffers");
  }
  if (call.op >= kFirstCustomOp && algos::reduces(call.collective)) {
    TUTTI_ASSIGN(custom, comm.customOp(call.type, call.op));
  }
  return {};
}

bool* Communicator::sharedFlag(uint64_t signature) {
  if (sharedFlags_.size() >= kMostSharedFlags && !sharedFlags_.contains(signature)) return nullptr;
  // Ranks that are threads reach everything.
  return &sharedFlags_
              .try_emplace(signature, links_->allThreads() && engine_->options().directMinBytes != SIZE_MAX)
              .first->second;
}

Result<const PlanEntry*> Communicator::planFor(const PlanKey& key, const CallOptions* options) {
  if (const PlanEntry* entry = plans_.find(key)) [[likely]] {
    return entry;
  }
  auto entry = std::make_unique<PlanEntry>();
  entry->key = key;
  const algos::Request& request = key.request;
  if (key.sendTo >= 0 || key.recvFrom >= 0) {
    algos::Plan& plan = entry->plan;
    plan.request = request;
    plan.algorithm = algos::Algorithm::Pairwise;
    plan.rank = rank_;
    plan.layout = algos::Layout::PerRank;
    size_t chunkBytes = selector_->limits().slotBytes;
    const int peer = std::max(key.sendTo, key.recvFrom);
    if (netChunkBytes_ > 0 && links_->route(peer) == transport::Route::Tcp)
      chunkBytes = std::min<size_t>(chunkBytes, netChunkBytes_);
    plan.chunkCount = std::max<size_t>(1, chunkBytes / request.elementBytes());
    algos::Step step;
    const algos::BlockRef block{key.sendTo >= 0 ? algos::Buffer::Input : algos::Buffer::Output, {}, 1};
    if (key.sendTo >= 0) {
      step.src = block;
      step.sendTo.add({key.sendTo, 0, 0});
    } else {
      step.dst = block;
      step.recvFrom.add({key.recvFrom, 0, 0});
    }
    plan.lanes.push_back({transport::kP2pChannel, 0, 1, {step}});
    entry->signature =
        static_cast<uint32_t>(request.bytes() * 0x9e3779b1u + static_cast<uint32_t>(request.bytes() >> 32)) |
        1;
  } else {
    const algos::Selector& selector = key.shared ? *sharedSelector_ : *selector_;
    algos::Filter filter = selector.filter();
    if (options != nullptr && !options->algorithms.empty()) {
      TUTTI_ASSIGN(filter, algos::Filter::parse(options->algorithms, ""));
    }
    const bool vector = request.collective == Collective::AllToAllV;
    // Ranks of a V call know different counts: nothing that depends on them may be chosen.
    if (vector) filter.protocols.fill(1u << static_cast<int>(algos::Protocol::Simple));
    std::optional<algos::Plan> loaded;
    if (!vector && (options == nullptr || options->algorithms.empty())) {
      TUTTI_ASSIGN(loaded, planBook_.planFor(request, rank_));
    }
    Result<algos::Choice> choice =
        loaded ? algos::Choice{loaded->algorithm, loaded->protocol, 0} : selector.choose(request, filter);
    if (!choice.ok() && options != nullptr && !options->algorithmsForced) choice = selector.choose(request);
    if (!choice.ok()) return std::move(choice).error();
    const bool isLoaded = loaded.has_value();
    if (isLoaded) {
      entry->plan = std::move(*loaded);
    } else {
      TUTTI_ASSIGN(entry->plan,
                   algos::buildPlan(request, choice->algorithm, choice->protocol, rank_, selector.limits()));
    }
    const uint64_t signature = signatureOf(request, !vector);
    // Ranks that group their calls differently may disagree about `shared`: an error then, never wrong data.
    entry->signature = (static_cast<uint32_t>(signature >> 32) ^ (key.shared ? 0x5bd1e994u : 0)) | 1;
    entry->record.signature = signature;
    entry->record.kind = static_cast<uint32_t>(request.collective);
    entry->record.count = request.count;
    entry->record.root = request.root;
    entry->record.dtype = static_cast<uint8_t>(request.type);
    entry->record.op = static_cast<uint8_t>(request.op);
    if (!isLoaded && key.optionsHash == 0 && request.bytes() >= engine_->options().directMinBytes &&
        tellsShared(entry->plan))
      entry->sharedByAll = sharedFlag(signature);
    if (params::getBool("TUTTI_EXPLAIN")) {
      // A line each: the log folds line breaks.
      std::istringstream lines(selector.explain(request, filter));
      for (std::string line; std::getline(lines, line);) TUTTI_WARN("{}", line);
    }
    TUTTI_INFO(Tuning, "{}: {}/{}{}, {}", describeCall(entry->record), algos::nameOf(choice->algorithm),
               algos::nameOf(choice->protocol), key.shared ? ", buffers in reach of all" : "",
               isLoaded ? "of TUTTI_PLAN_FILE" : fmt::format("predicted {:.2f} us", choice->predictedUs));
  }
  if (Status bound = engine_->bind(entry->plan, wait()); !bound.ok())
    return cannotConnect(std::move(bound).error());
  entry->express = engine::Express(
      entry->plan, *links_, std::min(engine_->options().directMinBytes, engine_->options().remoteMinBytes));
  return plans_.insert(std::move(entry));
}

Error Communicator::cannotConnect(Error error) {
  // A peer that has gone because of another's death, of which this rank has not heard yet: it soon will.
  const Deadline soon = Deadline::afterMs(kFaultGraceMs);
  while (control_->faultWord().load(std::memory_order_acquire) == 0 && !soon.expired()) {
    timespec nap{0, 1'000'000};
    nanosleep(&nap, nullptr);
  }
  if (control_->faultWord().load(std::memory_order_acquire) != 0) return control::errorOf(control_->fault());
  // The others are on their way into the call and would wait for this rank.
  control_->raise(
      {control::FaultKind::LocalError, rank_,
       fmt::format("rank {} ({}) cannot connect: {}", rank_, control_->peer(rank_).text(), error.message())});
  return error;
}

Result<CustomOp> Communicator::customOp(DataType type, int op) const {
  const size_t index = static_cast<size_t>(op - kFirstCustomOp);
  if (index >= customOps_.size() || !customOps_[index]) {
    return makeError(Code::InvalidArgument,
                     "operator {} was not made for this communicator, or has been destroyed", op);
  }
  const CustomOp& custom = *customOps_[index];
  if (custom.type != type) {
    return makeError(Code::InvalidArgument, "operator {} was made for {}, not for {}", op,
                     nameOf(custom.type), nameOf(type));
  }
  return custom;
}

Result<kernels::Reduction> Communicator::reductionFor(DataType type, int op,
                                                      const std::optional<CustomOp>& custom) const {
  if (!custom) return kernels::Reduction::of(type, static_cast<ReduceOp>(op), nRanks_);
  return kernels::Reduction::preMulSum(type,
                                       custom->scalar != nullptr ? custom->scalar : &custom->scalarBits);
}

Result<kernels::Reduction> Communicator::reductionFor(DataType type, int op) const {
  if (op < kFirstCustomOp) [[likely]]
    return kernels::Reduction::of(type, static_cast<ReduceOp>(op), nRanks_);
  TUTTI_ASSIGN(const CustomOp custom, customOp(type, op));
  return reductionFor(type, op, custom);
}

Status playNow(Communicator& comm, const CollectiveCall& call) {
  Turn turn(comm);
  TUTTI_TRY(comm.usable());
  Job job;
  size_t begun = 0;
  const PlanEntry* entry = repeated(comm, call);
  if (entry != nullptr) [[likely]] {
    job.reduction.type = call.type;
    job.reduction.op = static_cast<ReduceOp>(call.op);
    job.reduction.nRanks = comm.nRanks();
    fill(job, comm, call, *entry);
    begun = engine::HostEngine::begin(job);
    job.callNumber = comm.recordCall(entry->record);
  } else {
    TUTTI_ASSIGN(job.reduction, comm.reductionFor(call.type, call.op));
    if (comm.nRanks() == 1) {
      if (call.count > 0) playAlone(job.reduction, call);
      return {};
    }
    TUTTI_ASSIGN(entry, prepare(comm, call, job));
    job.callNumber = comm.recordCall(entry->record);
    if (call.count == 0) return {};
  }
  Status status = engine::HostEngine::play(job, begun);
  if (!status.ok()) [[unlikely]] {
    return std::move(status).error().context(
        fmt::format("rank {}: {} (call #{})", comm.rank(), describeCall(entry->record), job.callNumber));
  }
  if (!job.trusted) ++entry->ended;
  return status;
}

namespace {

/// Puts the jobs of a group together: collectives of a communicator one after the other, sends and receives
/// side by side, but those between the same two ranks in order.
///
/// Two steps: add() resolves everything that may be refused; commit() then numbers and records the calls and
/// does what needs no other rank.
class JobList {
 public:
  Status add(const Task& task) {
    task_ = &task;
    Communicator& comm = *task.comm;
    if (const auto* call = std::get_if<CollectiveCall>(&task.what)) return addCollective(comm, *call);
    if (const auto* p2p = std::get_if<P2pCall>(&task.what)) return addP2p(comm, *p2p);
    if (const auto* kept = std::get_if<std::shared_ptr<KeptVectorCall>>(&task.what))
      return addVector(comm, **kept);
    const auto& oneSided = std::get<OneSided>(task.what);
    return oneSided.check ? oneSided.check() : Status();
  }

  /// A rank's sends to itself are copies; each needs its receive in the same group.
  Status checkSelf() const {
    for (const auto& [comm, pair] : self_) {
      if (pair.sends.size() != pair.receives.size()) {
        return makeError(Code::InvalidUsage,
                         "rank {} has {} sends to itself and {} receives from itself in one group",
                         comm->rank(), pair.sends.size(), pair.receives.size());
      }
      for (size_t i = 0; i < pair.sends.size(); ++i) {
        const size_t sent = pair.sends[i].count * sizeOf(pair.sends[i].type);
        const size_t received = pair.receives[i].count * sizeOf(pair.receives[i].type);
        if (sent != received) {
          return makeError(Code::InvalidUsage, "rank {} sends {} bytes to itself but receives {}",
                           comm->rank(), sent, received);
        }
      }
    }
    return {};
  }

  void commit() {
    for (const Alone& alone : alone_) {
      if (alone.call.count > 0) playAlone(alone.reduction, alone.call);
    }
    for (const auto& [comm, pair] : self_) {
      for (size_t i = 0; i < pair.sends.size(); ++i) {
        kernels::copy(pair.receives[i].recv, pair.sends[i].send,
                      pair.sends[i].count * sizeOf(pair.sends[i].type));
      }
    }
    for (const Call& call : calls_) {
      Communicator& comm = *call.task->comm;
      const uint64_t number = call.entry != nullptr ? comm.recordCall(call.entry->record) : comm.nextP2p();
      if (call.job < 0) continue;
      Origin& origin = origins_[static_cast<size_t>(call.job)];
      origin = {call.task, number, call.entry == nullptr};
      if (call.entry != nullptr) jobs_[static_cast<size_t>(call.job)].callNumber = number;
    }
    keepReusedInputsStaged();
  }

  std::span<const Job> jobs() const { return jobs_; }

  /// `error` of job `index`, with what was called.
  Error inCall(Error error, size_t index) const {
    const Origin& origin = origins_[index];
    return std::move(error).context(fmt::format("rank {}: {} ({} #{})", origin.task->comm->rank(),
                                                describeTask(*origin.task),
                                                origin.isP2p ? "send/receive" : "call", origin.number));
  }

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
  struct Origin {
    const Task* task = nullptr;
    uint64_t number = 0;
    bool isP2p = false;
  };

  Status addCollective(Communicator& comm, const CollectiveCall& call) {
    Job job;
    TUTTI_ASSIGN(job.reduction, comm.reductionFor(call.type, call.op, task_->custom));
    if (comm.nRanks() == 1) {
      alone_.push_back({job.reduction, call});
      return {};
    }
    TUTTI_ASSIGN(const PlanEntry* entry, prepare(comm, call, job));
    if (call.count > 0) {
      append(job, entry, {&comm, 0, 0});
    } else {
      calls_.push_back({task_, entry, -1});
    }
    return {};
  }

  Status addVector(Communicator& comm, const KeptVectorCall& kept) {
    const VectorCall& call = kept.call;
    const int n = comm.nRanks();
    auto at = [&](const void* base, size_t element) {
      return static_cast<const std::byte*>(base) + element * sizeOf(call.type);
    };
    if (call.collective == Collective::AllGatherV) {
      for (int root = 0; root < n; ++root) {
        void* place = const_cast<std::byte*>(at(call.recv, kept.recvOffsets[root]));
        CollectiveCall part{Collective::Broadcast,
                            root == comm.rank() ? call.send : place,
                            place,
                            kept.recvCounts[root],
                            call.type,
                            0,
                            root};
        TUTTI_TRY(addCollective(comm, part));
      }
      return {};
    }
    if (call.collective == Collective::ReduceScatterV) {
      size_t offset = 0;
      for (int root = 0; root < n; ++root) {
        CollectiveCall part{Collective::Reduce,
                            at(call.send, offset),
                            call.recv,
                            kept.sendCounts[root],
                            call.type,
                            call.op,
                            root};
        TUTTI_TRY(addCollective(comm, part));
        offset += kept.sendCounts[root];
      }
      return {};
    }
    if (n == 1) {
      const size_t count = std::min(kept.sendCounts[0], kept.recvCounts[0]);
      alone_.push_back({kernels::Reduction(),
                        {Collective::AllToAll, at(call.send, kept.sendOffsets[0]),
                         const_cast<std::byte*>(at(call.recv, kept.recvOffsets[0])), count, call.type}});
      return {};
    }
    PlanKey key;
    key.request = {Collective::AllToAllV, 0, call.type, ReduceOp::Sum, 0, n, false};
    TUTTI_ASSIGN(const PlanEntry* entry, comm.planFor(key, nullptr));
    Job job;
    job.engine = &comm.engine();
    job.plan = &entry->plan;
    job.input = call.send;
    job.output = call.recv;
    job.vectors = {kept.sendCounts.data(), kept.sendOffsets.data(), kept.recvCounts.data(),
                   kept.recvOffsets.data()};
    job.signature = entry->signature;
    append(job, entry, {&comm, 0, 0});
    return {};
  }

  Status addP2p(Communicator& comm, const P2pCall& call) {
    if (call.peer == comm.rank()) {
      (call.isSend ? self_[&comm].sends : self_[&comm].receives).push_back(call);
      return {};
    }
    PlanKey key;
    key.request.collective = Collective::AllToAll;
    key.request.count = call.count;
    key.request.type = call.type;
    key.request.nRanks = comm.nRanks();
    (call.isSend ? key.sendTo : key.recvFrom) = call.peer;
    TUTTI_ASSIGN(const PlanEntry* entry, comm.planFor(key, nullptr));
    Job job;
    job.engine = &comm.engine();
    job.plan = &entry->plan;
    job.input = call.send;
    job.output = call.recv;
    job.signature = entry->signature;
    append(job, nullptr, {&comm, call.isSend ? 1 : 2, call.peer});
    return {};
  }

  /// A send from a buffer that a receive of the group writes to leaves by copies, as far as the FIFO reaches.
  void keepReusedInputsStaged() {
    for (Job& send : jobs_) {
      if (!send.isP2p() || send.input == nullptr) continue;
      const auto* begin = static_cast<const std::byte*>(send.input);
      const auto* end = begin + send.plan->request.bytes();
      send.inputReused = std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& other) {
        if (!other.isP2p() || other.output == nullptr) return false;
        const auto* to = static_cast<const std::byte*>(other.output);
        return to < end && begin < to + other.plan->request.bytes();
      });
    }
  }

  void append(Job job, const PlanEntry* entry, const Queue& queue) {
    const int index = static_cast<int>(jobs_.size());
    auto [it, first] = last_.try_emplace(queue, -1);
    job.after = it->second;
    it->second = index;
    jobs_.push_back(job);
    origins_.emplace_back();
    calls_.push_back({task_, entry, index});
  }

  const Task* task_ = nullptr;
  std::vector<Job> jobs_;
  std::vector<Origin> origins_;  ///< of jobs_
  std::vector<Call> calls_;      ///< in order
  std::vector<Alone> alone_;
  std::map<Queue, int> last_;
  std::map<const Communicator*, SelfPair> self_;
};

/// Keeps the plans of the communicators of a group.
class PlanHold {
 public:
  explicit PlanHold(Communicator& comm) : comm_(comm) { comm_.holdPlans(true); }
  ~PlanHold() { comm_.holdPlans(false); }
  PlanHold(const PlanHold&) = delete;
  PlanHold& operator=(const PlanHold&) = delete;

 private:
  Communicator& comm_;
};

}  // namespace

std::vector<Ticket> takeTickets(const std::vector<Task>& tasks) {
  std::vector<Ticket> tickets;
  for (const Task& task : tasks) {
    if (std::none_of(tickets.begin(), tickets.end(), [&](const Ticket& t) { return t.comm == task.comm; }))
      tickets.push_back({task.comm, task.comm->takeTicket()});
  }
  return tickets;
}

namespace {

Status playResolved(std::vector<Task>& tasks, const std::vector<Ticket>& tickets) {
  std::map<Communicator*, uint64_t> comms;
  for (Task& task : tasks) comms.emplace(task.comm.get(), 0);
  for (const Ticket& ticket : tickets) comms[ticket.comm.get()] = ticket.number;
  // In address order: two groups over the same communicators cannot lock each other out.
  std::vector<std::unique_ptr<Turn>> turns;
  std::vector<std::unique_ptr<PlanHold>> holds;
  for (auto [comm, ticket] : comms) turns.push_back(std::make_unique<Turn>(*comm, ticket));
  for (const Task& task : tasks) {
    Status status = task.comm->usable();
    if (!status.ok()) {
      return std::move(status).error().context(
          fmt::format("rank {}: {}", task.comm->rank(), describeTask(task)));
    }
  }
  for (auto [comm, ticket] : comms) holds.push_back(std::make_unique<PlanHold>(*comm));

  JobList list;
  for (Task& task : tasks) {
    if (auto* call = std::get_if<CollectiveCall>(&task.what)) call->options = task.options.get();
    Status status = list.add(task);
    if (!status.ok()) {
      return std::move(status).error().context(
          fmt::format("rank {}: {}", task.comm->rank(), describeTask(task)));
    }
  }
  TUTTI_TRY(list.checkSelf());

  auto runOneSided = [&](bool waits) -> Status {
    for (Task& task : tasks) {
      auto* oneSided = std::get_if<OneSided>(&task.what);
      if (oneSided == nullptr || oneSided->waits != waits) continue;
      Status status = oneSided->work();
      if (!status.ok()) {
        return std::move(status).error().context(
            fmt::format("rank {}: {}", task.comm->rank(), oneSided->name));
      }
    }
    return {};
  };
  TUTTI_TRY(runOneSided(false));
  list.commit();
  size_t culprit = 0;
  Status played = engine::HostEngine::play(list.jobs(), &culprit);
  if (!played.ok()) return list.inCall(std::move(played).error(), culprit);
  return runOneSided(true);
}

}  // namespace

Status playTogether(std::vector<Task>& tasks, const std::vector<Ticket>& tickets) {
  Status status = playResolved(tasks, tickets);
  // A group's end and a stream's work name no communicator: those who ask theirs hear of it nevertheless.
  if (!status.ok()) {
    for (Task& task : tasks) task.comm->noteLastError(status.error().message());
  }
  return status;
}

Result<double> predict(const std::vector<Task>& tasks) {
  double total = 0;
  for (const Task& task : tasks) {
    TUTTI_TRY(task.comm->usable());
    if (const auto* call = std::get_if<CollectiveCall>(&task.what);
        call != nullptr && task.comm->nRanks() > 1) {
      TUTTI_ASSIGN(algos::Choice choice, task.comm->selector().choose(requestOf(*task.comm, *call)));
      total += choice.predictedUs;
    } else if (const auto* p2p = std::get_if<P2pCall>(&task.what)) {
      const algos::Machine& machine = task.comm->selector().machine();
      total +=
          machine.handoverUs + 2e-3 * static_cast<double>(p2p->count * sizeOf(p2p->type)) / machine.copyGBps;
    }
  }
  return total;
}

}  // namespace tutti::comm
