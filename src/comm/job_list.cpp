#include "comm/job_list.hpp"

#include <algorithm>

namespace tutti::comm {

using algos::Collective;
using engine::Job;

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

void playAlone(const kernels::Reduction& reduction, const CollectiveCall& call) {
  if (algos::reduces(call.collective) && kernels::needsPreScale(reduction)) {
    kernels::preScale(reduction, call.recv, call.send, call.count);
  } else if (call.recv != call.send) {
    kernels::copy(call.recv, call.send, call.count * sizeOf(call.type));
  }
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

Result<const PlanEntry*> planOf(Communicator& comm, const CollectiveCall& call) {
  PlanKey key;
  key.request = requestOf(comm, call);
  if (key.request.inPlace && call.collective == Collective::AllToAll) [[unlikely]] {
    return Error(Code::InvalidUsage, "ncclAlltoAll cannot work in place: give it two buffers");
  }
  if (call.options != nullptr && !call.options->algorithms.empty()) {
    key.optionsHash =
        std::hash<std::string>()(call.options->algorithms) * 2 + call.options->algorithmsForced + 1;
  }
  return comm.planFor(key, call.options);
}

Result<const PlanEntry*> sharedPlanOf(Communicator& comm, const CollectiveCall& call,
                                      const PlanEntry& entry) {
  PlanKey key = entry.key;
  key.shared = true;
  return comm.planFor(key, call.options);
}

Status JobList::add(const Task& task) {
  task_ = &task;
  Communicator& comm = *task.comm;
  if (const auto* call = std::get_if<CollectiveCall>(&task.what)) return addCollective(comm, *call);
  if (const auto* p2p = std::get_if<P2pCall>(&task.what)) return addP2p(comm, *p2p);
  if (const auto* kept = std::get_if<std::shared_ptr<KeptVectorCall>>(&task.what))
    return addVector(comm, **kept);
  const auto& oneSided = std::get<OneSided>(task.what);
  return oneSided.check ? oneSided.check() : Status();
}

Status JobList::checkSelf() const {
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
        return makeError(Code::InvalidUsage, "rank {} sends {} bytes to itself but receives {}", comm->rank(),
                         sent, received);
      }
    }
  }
  return {};
}

void JobList::commit() {
  for (const Alone& alone : alone_) {
    if (alone.call.count > 0) playAlone(alone.reduction, alone.call);
  }
  for (const auto& [comm, pair] : self_) {
    for (size_t i = 0; i < pair.sends.size(); ++i) {
      kernels::copy(pair.receives[i].recv, pair.sends[i].send,
                    pair.sends[i].count * sizeOf(pair.sends[i].type));
    }
  }
  auto nextChoice = choices_.begin();
  for (const Call& call : calls_) {
    Communicator& comm = *call.task->comm;
    const uint64_t number = call.entry != nullptr ? comm.recordCall(call.entry->record) : comm.nextP2p();
    if (call.job < 0) continue;
    Origin& origin = origins_[static_cast<size_t>(call.job)];
    origin = {call.task, number, call.entry == nullptr};
    if (call.entry == nullptr) continue;
    jobs_[static_cast<size_t>(call.job)].setCall(number);
    if (nextChoice != choices_.end() && nextChoice->job == call.job)
      (nextChoice++)->whenShared->setCall(number);
  }
  keepReusedInputsStaged();
}

Error JobList::inCall(Error error, size_t index) const {
  const Origin& origin = origins_[index];
  return std::move(error).context(fmt::format("rank {}: {} ({} #{})", origin.task->comm->rank(),
                                              describeTask(*origin.task),
                                              origin.isP2p ? "send/receive" : "call", origin.number));
}

Status JobList::addCollective(Communicator& comm, const CollectiveCall& call) {
  Job job;
  TUTTI_ASSIGN(job.reduction, comm.reductionFor(call.type, call.op, task_->custom));
  if (comm.nRanks() == 1) {
    alone_.push_back({job.reduction, call});
    return {};
  }
  TUTTI_ASSIGN(const PlanEntry* entry, planOf(comm, call));
  if (call.count == 0) {
    calls_.push_back({task_, entry, -1});
    return {};
  }
  fill(job, comm, call, *entry);
  Job& added = append(job, entry, {&comm, 0, 0});
  if (entry->sharedByAll == nullptr) return {};
  TUTTI_ASSIGN(const PlanEntry* shared, sharedPlanOf(comm, call, *entry));
  fill(job, comm, call, *shared);
  whenShared_.push_back(job);
  added.whenShared = &whenShared_.back();
  choices_.push_back({calls_.back().job, &whenShared_.back()});
  return {};
}

Status JobList::addVector(Communicator& comm, const KeptVectorCall& kept) {
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

Status JobList::addP2p(Communicator& comm, const P2pCall& call) {
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
void JobList::keepReusedInputsStaged() {
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

Job& JobList::append(Job job, const PlanEntry* entry, const Queue& queue) {
  const int index = static_cast<int>(jobs_.size());
  auto [it, first] = last_.try_emplace(queue, -1);
  job.after = it->second;
  it->second = index;
  jobs_.push_back(job);
  origins_.emplace_back();
  calls_.push_back({task_, entry, index});
  return jobs_.back();
}

}  // namespace tutti::comm
