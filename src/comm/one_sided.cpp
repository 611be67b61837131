// Registered memory and one-sided calls: windows, put with signal, signal, wait for signals.
//
// A put writes straight into the peer's window (shared memory, the same process, or process_vm_writev for
// private memory of a process on this host), then raises a counter in the peer's segment (release), which
// wait (acquire) looks at. There is no one-sided path over the network yet: such a call says so.
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "comm/group.hpp"
#include "engine/host/idle.hpp"
#include "transport/memory.hpp"

namespace tutti::comm {
namespace {

uint64_t nextId() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: only uniqueness matters
}

Status checkSignal(int signal, int context) {
  if (signal < 0 || signal >= transport::kSignals) {
    return makeError(Code::InvalidArgument, "signal index {} is not one of 0..{}", signal,
                     transport::kSignals - 1);
  }
  if (context != 0)
    return makeError(Code::InvalidArgument, "context {} is not 0, the only one there is on host memory",
                     context);
  return {};
}

Status checkReach(Communicator& comm, int peer) {
  if (comm.links().route(peer) != transport::Route::Tcp) return {};
  return makeError(Code::InvalidUsage, "one-sided calls do not reach rank {}: it is on another host", peer);
}

Status raiseSignal(Communicator& comm, int peer, int signal) {
  TUTTI_ASSIGN(transport::Segment * segment, comm.links().segmentOf(peer, comm.wait()));
  segment->signal(comm.rank(), signal).fetch_add(1, std::memory_order_release);
  transport::ring(segment->doorbell());
  return {};
}

Status checkPut(Communicator& comm, size_t bytes, int peer, uint64_t id, size_t offset) {
  auto window = comm.windows().find(id);
  if (window == comm.windows().end())
    return Error(Code::InvalidArgument, "this window does not belong to this communicator");
  const Window::Part& part = window->second.parts[peer];
  if (offset > part.bytes || bytes > part.bytes - offset) {
    return makeError(Code::InvalidArgument, "{} bytes at offset {} do not fit rank {}'s window of {} bytes",
                     bytes, offset, peer, part.bytes);
  }
  return checkReach(comm, peer);
}

/// REQUIRES checkPut().
Status put(Communicator& comm, const void* data, size_t bytes, int peer, const Window& window,
           size_t offset) {
  const Window::Part& part = window.parts[peer];
  transport::Links& links = comm.links();
  if (links.route(peer) != transport::Route::Shm) {
    kernels::copy(reinterpret_cast<void*>(part.address + offset), data, bytes);
    return {};
  }
  if (part.allocation != 0) {
    TUTTI_ASSIGN(std::byte * memory, links.mapped(peer, part.allocation, part.offset + offset, comm.wait()));
    kernels::copy(memory, data, bytes);
    return {};
  }
  size_t done = 0;
  while (done < bytes) {
    iovec local{const_cast<std::byte*>(static_cast<const std::byte*>(data)) + done, bytes - done};
    iovec remote{reinterpret_cast<void*>(part.address + offset + done), bytes - done};
    ssize_t written = process_vm_writev(links.pidOf(peer), &local, 1, &remote, 1, 0);
    if (written <= 0) {
      return makeSystemError(errno,
                             "writing into rank {}'s window, which is private memory (windows on "
                             "ncclMemAlloc memory need no such right)",
                             peer);
    }
    done += static_cast<size_t>(written);
  }
  return {};
}

/// Waits until `wait.count` more signals than were taken before have come.
Status awaitSignal(Communicator& comm, const WaitSignal& wait) {
  auto& taken = comm.signalsTaken();
  taken.resize(static_cast<size_t>(comm.nRanks()) * transport::kSignals);
  uint64_t& before = taken[static_cast<size_t>(wait.peer) * transport::kSignals + wait.signal];
  const uint64_t wanted = before + static_cast<uint64_t>(wait.count);
  std::atomic<uint64_t>& counter = comm.links().segment().signal(wait.peer, wait.signal);
  transport::Doorbell& bell = comm.links().doorbell();
  const engine::EngineOptions& options = comm.engine().options();
  engine::Idle idle(options.idle);
  while (counter.load(std::memory_order_acquire) < wanted) {
    if (comm.control().faultWord().load(std::memory_order_relaxed) != 0)
      return control::errorOf(comm.control().fault());
    if (options.timeoutMs > 0 && idle.waitedNs() > options.timeoutMs * 1'000'000) {
      return makeError(Code::Timeout, "rank {} waited {} ms for {} signals {} of rank {}; {} came",
                       comm.rank(), options.timeoutMs, wait.count, wait.signal, wait.peer,
                       counter.load(std::memory_order_relaxed) - before);
    }
    if (!idle.pause(false)) continue;
    uint32_t ticket = transport::prepareSleep(bell);
    if (counter.load(std::memory_order_acquire) >= wanted) {
      transport::cancelSleep(bell);
      break;
    }
    transport::sleep(bell, ticket, options.idle.sleepNs);
  }
  before = wanted;
  return {};
}

Status submitOneSided(Communicator& comm, OneSided oneSided, HostStream* stream) {
  TUTTI_TRY(comm.takesCalls());
  Task task;
  task.comm = comm.shared_from_this();
  task.what = std::move(oneSided);
  task.stream = stream;
  return submit(std::move(task));
}

/// Tells all ranks where this rank's part of the window lies, and learns of theirs.
Status exchangeWindow(Communicator& comm, void* memory, size_t bytes, uint64_t id) {
  Window window{memory, bytes, {}};
  Window::Part own;
  own.address = reinterpret_cast<uint64_t>(memory);
  own.bytes = bytes;
  if (auto spot = comm.links().share(memory, bytes)) {
    own.allocation = spot->allocation;
    own.offset = spot->offset;
  }
  control::Bytes mine(sizeof(own));
  std::memcpy(mine.data(), &own, sizeof(own));
  TUTTI_ASSIGN(std::vector<control::Bytes> all, comm.control().allGather(mine, comm.initWait()));
  window.parts.resize(comm.nRanks());
  for (int r = 0; r < comm.nRanks(); ++r) {
    if (all[r].size() != sizeof(own)) {
      return makeError(Code::InternalError, "rank {} sent a malformed window", r);
    }
    std::memcpy(&window.parts[r], all[r].data(), sizeof(own));
  }
  comm.windows()[id] = std::move(window);
  return {};
}

}  // namespace

// Registering plain memory gains nothing on this transport: an honest no-op that remembers what was
// registered.
Result<uint64_t> registerBuffer(Communicator& comm, void* memory, size_t bytes) {
  TUTTI_TRY(comm.usable());
  const uint64_t id = nextId();
  comm.buffers()[id] = {memory, bytes};
  return id;
}

Status deregisterBuffer(Communicator& comm, uint64_t id) {
  if (comm.buffers().erase(id) == 0)
    return Error(Code::InvalidArgument, "this buffer is not registered with this communicator");
  return {};
}

Result<uint64_t> registerWindow(Communicator& comm, void* memory, size_t bytes, int) {
  TUTTI_TRY(comm.usable());
  const uint64_t id = nextId();
  // Collective: in a group it waits for the group's end, where one thread may register for several of its
  // ranks.
  NewComm kept = comm.shared_from_this();
  TUTTI_TRY(
      submitStart({kept, [kept, memory, bytes, id] { return exchangeWindow(*kept, memory, bytes, id); }}));
  return id;
}

Status deregisterWindow(Communicator& comm, uint64_t id) {
  if (comm.windows().erase(id) == 0)
    return Error(Code::InvalidArgument, "this window does not belong to this communicator");
  return {};
}

Result<void*> windowMemory(Communicator& comm, uint64_t id) {
  auto it = comm.windows().find(id);
  if (it == comm.windows().end())
    return Error(Code::InvalidArgument, "this window does not belong to this communicator");
  return it->second.memory;
}

Status putSignal(Communicator& comm, const void* data, size_t count, DataType type, int peer, uint64_t window,
                 size_t offset, int signal, int context, HostStream* stream) {
  TUTTI_TRY(checkSignal(signal, context));
  const size_t bytes = count * tutti::sizeOf(type);
  OneSided call;
  call.name = fmt::format("PutSignal({} bytes, to rank {}, signal {})", bytes, peer, signal);
  call.check = [&comm, bytes, peer, window, offset] { return checkPut(comm, bytes, peer, window, offset); };
  call.work = [&comm, data, bytes, peer, window, offset, signal]() -> Status {
    TUTTI_TRY(put(comm, data, bytes, peer, comm.windows().at(window), offset));
    return raiseSignal(comm, peer, signal);
  };
  return submitOneSided(comm, std::move(call), stream);
}

Status signal(Communicator& comm, int peer, int signal, int context, HostStream* stream) {
  TUTTI_TRY(checkSignal(signal, context));
  OneSided call;
  call.name = fmt::format("Signal(to rank {}, signal {})", peer, signal);
  call.check = [&comm, peer] { return checkReach(comm, peer); };
  call.work = [&comm, peer, signal] { return raiseSignal(comm, peer, signal); };
  return submitOneSided(comm, std::move(call), stream);
}

Status waitSignal(Communicator& comm, std::span<const WaitSignal> waits, HostStream* stream) {
  for (const WaitSignal& wait : waits) TUTTI_TRY(checkSignal(wait.signal, wait.context));
  std::vector<WaitSignal> kept(waits.begin(), waits.end());
  OneSided call;
  call.waits = true;
  call.name = fmt::format("WaitSignal({} signal{})", waits.size(), waits.size() == 1 ? "" : "s");
  call.work = [&comm, kept = std::move(kept)]() -> Status {
    for (const WaitSignal& wait : kept) TUTTI_TRY(awaitSignal(comm, wait));
    return {};
  };
  return submitOneSided(comm, std::move(call), stream);
}

}  // namespace tutti::comm
