#include "comm/calls.hpp"

#include <algorithm>
#include <map>

#include "comm/job_list.hpp"

namespace tutti::comm {

using algos::Collective;
using engine::Job;

namespace {

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

/// The plan of the last call, if this one is the same but for its buffers. What planOf() would find, at
/// less cost.
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
    job.setCall(comm.lastCall() + 1);
    begun = engine::HostEngine::begin(job);
    comm.recordCall(entry->record);
  } else {
    TUTTI_ASSIGN(job.reduction, comm.reductionFor(call.type, call.op));
    if (comm.nRanks() == 1) {
      if (call.count > 0) playAlone(job.reduction, call);
      return {};
    }
    TUTTI_ASSIGN(entry, planOf(comm, call));
    if (entry->sharedByAll != nullptr && *entry->sharedByAll) {
      TUTTI_ASSIGN(entry, sharedPlanOf(comm, call, *entry));
    }
    fill(job, comm, call, *entry);
    job.setCall(comm.recordCall(entry->record));
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
