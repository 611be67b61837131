// The face of the room: calls that are neither about making communicators (create.cpp) nor one-sided
// (one_sided.cpp).
#include "comm/comm.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "comm/calls.hpp"
#include "comm/communicator.hpp"
#include "comm/group.hpp"
#include "transport/memory.hpp"

namespace tutti::comm {

Result<void*> memoryAllocate(size_t bytes) {
  return transport::allocateShared(bytes);
}
Status memoryFree(void* memory) {
  return transport::freeShared(memory);
}

// ----------------------------------------------------------------------------------------------------------------
// ending

Status finalize(Communicator& comm) {
  if (!comm.claimFinalize())
    return Error(Code::InvalidArgument, "the communicator has been finalized already");
  NewComm kept = comm.shared_from_this();
  if (comm.blocking()) return submitStart({kept, [kept] { return kept->finalize(); }});
  comm.taskQueued();
  return submitStart({kept, [kept] {
                        Status status = kept->finalize();
                        kept->noteQueuedEnd(status);
                        kept->taskDone();
                        return status;
                      }});
}

Status close(Communicator& comm) {
  comm.awaitQueued();
  if (!comm.blocking())
    (void)comm.ownStream().synchronize();  // its error has been told by ncclCommGetAsyncError
  comm.leave();
  return {};
}

Status abort(Communicator& comm) {
  comm.abort(control::FaultKind::Aborted);
  return {};
}

Status revoke(Communicator& comm) {
  TUTTI_TRY(comm.usable());
  comm.abort(control::FaultKind::Revoked);
  return {};
}

Status suspend(Communicator& comm) {
  Turn turn(comm);
  TUTTI_TRY(comm.usable());
  return comm.suspend();
}

Status resume(Communicator& comm) {
  comm.resume();
  return comm.usable();
}

// ----------------------------------------------------------------------------------------------------------------
// asking

int rankOf(const Communicator& comm) {
  return comm.rank();
}
int sizeOf(const Communicator& comm) {
  return comm.nRanks();
}
int deviceOf(const Communicator& comm) {
  return comm.rank();
}
uint64_t hashOf(const Communicator& comm) {
  return comm.controlIfStarted() != nullptr ? comm.controlIfStarted()->commHash() : 0;
}

MemoryUse memoryUseOf(const Communicator& comm) {
  MemoryUse use;
  if (const transport::Links* links = comm.linksIfStarted(); links != nullptr) {
    const size_t all = links->segment().residentBytes();
    const size_t payload = std::min(all, links->segment().payloadBytes());
    const size_t spare = comm.spareBytes();
    use.suspendable = comm.canGiveBack() ? payload + spare : 0;
    use.persistent = all + spare - use.suspendable;
  }
  use.suspended = comm.suspended();
  return use;
}

Status asyncStatus(const Communicator& comm) {
  return comm.asyncStatus();
}

void noteLastError(Communicator& comm, const std::string& text) {
  comm.noteLastError(text);
}

std::string lastErrorOf(const Communicator& comm) {
  return comm.lastError();
}

std::string describe(const Communicator& comm) {
  const control::ControlPlane* control = comm.controlIfStarted();
  const transport::Links* links = comm.linksIfStarted();
  if (control == nullptr || links == nullptr) return fmt::format("{} ranks, not ready", comm.nRanks());
  std::set<uint64_t> hosts;
  std::set<std::string> routes;
  for (int r = 0; r < comm.nRanks(); ++r) {
    hosts.insert(control->peer(r).hostHash);
    if (r != comm.rank()) routes.insert(std::string(transport::nameOf(links->route(r))));
  }
  return fmt::format("{} rank{}, {} host{}, {}", comm.nRanks(), comm.nRanks() == 1 ? "" : "s", hosts.size(),
                     hosts.size() == 1 ? "" : "s",
                     routes.empty() ? "self" : fmt::format("{}", fmt::join(routes, "+")));
}

bool explainsAsP2p(std::string_view name) {
  constexpr std::string_view kNames[] = {"Send", "Recv", "SendRecv", "HyperCube"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::string explainP2p(const Communicator& comm) {
  return comm.nRanks() == 1 ? "copy" : "pairwise/Simple";
}

Result<std::string> explain(Communicator& comm, const algos::Request& request) {
  TUTTI_TRY(comm.usable());
  if (comm.nRanks() == 1) return std::string("copy");
  algos::Request asked = request;
  asked.nRanks = comm.nRanks();
  TUTTI_ASSIGN(algos::Choice choice, comm.selector().choose(asked));
  return fmt::format("{}/{}", algos::nameOf(choice.algorithm), algos::nameOf(choice.protocol));
}

// -------------------------------------------------------------------------------------------------------------
// operators

Result<int> createPreMulSum(Communicator& comm, const void* scalar, DataType type, bool readNow) {
  TUTTI_TRY(comm.usable());
  CustomOp op{type, 0, readNow ? nullptr : scalar};
  if (readNow) std::memcpy(&op.scalarBits, scalar, sizeOf(type));
  auto& ops = comm.customOps();
  auto free = std::find(ops.begin(), ops.end(), std::nullopt);
  if (free == ops.end()) free = ops.insert(ops.end(), std::nullopt);
  *free = op;
  return kFirstCustomOp + static_cast<int>(free - ops.begin());
}

Status destroyOp(Communicator& comm, int op) {
  const size_t index = static_cast<size_t>(op) - kFirstCustomOp;
  if (op < kFirstCustomOp || index >= comm.customOps().size() || !comm.customOps()[index]) {
    return makeError(Code::InvalidArgument,
                     "operator {} was not made for this communicator, or has been destroyed", op);
  }
  comm.customOps()[index].reset();
  return {};
}

// ------------------------------------------------------------------------------------------------------------
// moving data

Status collective(Communicator& comm, const CollectiveCall& call, HostStream* stream) {
  if (stream == nullptr && comm.blocking() && !groupIsOpen()) [[likely]] {
    return playNow(comm, call);
  }
  TUTTI_TRY(comm.takesCalls());
  Task task;
  TUTTI_TRY(checkCall(comm, call, task.custom));
  task.comm = comm.shared_from_this();
  task.what = call;
  task.stream = stream;
  if (call.options != nullptr) task.options = std::make_shared<CallOptions>(*call.options);
  return submit(std::move(task));
}

Status vectorCollective(Communicator& comm, const VectorCall& call, HostStream* stream) {
  TUTTI_TRY(comm.takesCalls());
  auto kept = std::make_shared<KeptVectorCall>();
  kept->call = call;
  kept->sendCounts.assign(call.sendCounts.begin(), call.sendCounts.end());
  kept->sendOffsets.assign(call.sendOffsets.begin(), call.sendOffsets.end());
  kept->recvCounts.assign(call.recvCounts.begin(), call.recvCounts.end());
  kept->recvOffsets.assign(call.recvOffsets.begin(), call.recvOffsets.end());
  Task task;
  if (algos::reduces(call.collective) && call.op >= kFirstCustomOp) {
    TUTTI_ASSIGN(task.custom, comm.customOp(call.type, call.op));
  }
  task.comm = comm.shared_from_this();
  task.what = std::move(kept);
  task.stream = stream;
  return submit(std::move(task));
}

namespace {

Status submitP2p(Communicator& comm, const P2pCall& call, HostStream* stream) {
  TUTTI_TRY(comm.takesCalls());
  Task task;
  task.comm = comm.shared_from_this();
  task.what = call;
  task.stream = stream;
  return submit(std::move(task));
}

}  // namespace

Status send(Communicator& comm, const void* data, size_t count, DataType type, int peer, HostStream* stream) {
  return submitP2p(comm, {true, data, nullptr, count, type, peer}, stream);
}

Status receive(Communicator& comm, void* data, size_t count, DataType type, int peer, HostStream* stream) {
  return submitP2p(comm, {false, nullptr, data, count, type, peer}, stream);
}

// ----------------------------------------------------------------------------------------------------------------
// streams

Result<std::shared_ptr<HostStream>> createStream() {
  return std::make_shared<HostStream>();
}
Status synchronize(HostStream& stream) {
  return stream.synchronize();
}
Status query(HostStream& stream) {
  return stream.query();
}
Status close(HostStream& stream) {
  return stream.synchronize();
}

Status addCallback(HostStream& stream, void (*fn)(void*), void* arg) {
  stream.push([fn, arg] {
    fn(arg);
    return Status();
  });
  return {};
}

}  // namespace tutti::comm
