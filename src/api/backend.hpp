// The seam between api/ and comm/: one declaration for each thing that the C interface needs from the room
// below. Arguments are normalised and checked as far as that is possible without knowing the state of the
// communicator: pointers are there, numbers are in range, handles are resolved, roots and peers are below
// size(), sizes do not overflow.
//
// An Error with Code::InProgress means "a nonblocking communicator goes on with it".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "algos/request.hpp"
#include "control/unique_id.hpp"
#include "core/dtype.hpp"
#include "core/result.hpp"

namespace tutti::comm {
class Communicator;
class HostStream;
}  // namespace tutti::comm

namespace tutti::api {

using comm::Communicator;
using comm::HostStream;

/// ncclConfig_t in plain form: a value is there only where the user set it.
struct CommOptions {
  bool blocking = true;
  std::optional<int> minChannels, maxChannels;
  std::optional<std::string> netName, commName;
  bool splitShare = false, shrinkShare = false;
  std::optional<int> trafficClass;
  std::optional<int> ctaPolicy;
  std::optional<int> channelsPerNetPeer;
  std::optional<int> rmaContexts, rmaSignals;
  std::optional<bool> rmaEagerInit;
  std::optional<int> maxP2pPeers;
  bool operator==(const CommOptions&) const = default;
};

/// ncclCollConfig_t in plain form.
struct CallOptions {
  std::optional<int> minChannels, maxChannels;
  std::string algorithms;        ///< NCCL_ALGO's notation; "": any
  bool algorithmsForced = true;  ///< an error where none of them fits
  std::optional<int> ctaPolicy;
  bool operator==(const CallOptions&) const = default;
};

/// One collective. `op` is below kFirstCustomOp for the built-in operators, otherwise what createPreMulSum()
/// gave.
struct CollectiveCall {
  algos::Collective collective;
  const void* send;
  void* recv;
  size_t count;
  DataType type;
  int op = 0;
  int root = 0;
  const CallOptions* options = nullptr;
};
inline constexpr int kFirstCustomOp = 5;

/// The V forms; arrays have one entry per rank and live until the call returns.
struct VectorCall {
  algos::Collective collective;
  const void* send;
  std::span<const size_t> sendCounts, sendOffsets;
  void* recv;
  std::span<const size_t> recvCounts, recvOffsets;
  DataType type;
  int op = 0;
};

struct WaitSignal {
  int count, peer, signal, context;
};

struct MemoryUse {
  uint64_t suspendable = 0, persistent = 0;
  bool suspended = false;
};

/// A new communicator. In an open group it only becomes usable when the group ends well.
using NewComm = std::shared_ptr<Communicator>;  // shared with open groups and streams, which an abort must
                                                // not pull it from

namespace backend {

// --- the library
Result<control::UniqueId> createUniqueId();
Result<void*> memoryAllocate(size_t bytes);
Status memoryFree(void* memory);

// --- making and ending communicators
Result<NewComm> create(int nRanks, int rank, std::span<const control::UniqueId> ids,
                       const CommOptions& options);
Result<std::vector<NewComm>> createAll(std::span<const int> devices);
/// Null for a rank that gave no color (color < 0). `options` null: the parent's.
Result<NewComm> split(Communicator&, int color, int key, const CommOptions* options);
Result<NewComm> shrink(Communicator&, std::span<const int> excluded, bool abortFirst,
                       const CommOptions* options);
Result<control::UniqueId> createGrowId(Communicator&);
/// `parent` null for ranks that join. `id` null for ranks of the parent that did not make it.
Result<NewComm> grow(Communicator* parent, int nRanks, const control::UniqueId* id, int rank,
                     const CommOptions* options);
Status finalize(Communicator&);
/// Finalizes where that was not done. Nothing is called on it afterwards, except by those that still share
/// it.
Status close(Communicator&);
/// Makes all calls that are inside it return soon, here and elsewhere. Any thread.
Status abort(Communicator&);
Status revoke(Communicator&);
Status suspend(Communicator&);
Status resume(Communicator&);

// --- asking; any thread
int rankOf(const Communicator&);
int sizeOf(const Communicator&);
int deviceOf(const Communicator&);
uint64_t hashOf(const Communicator&);
MemoryUse memoryUseOf(const Communicator&);
/// Success, InProgress (only where options.blocking was false), or what went wrong.
Status asyncStatus(const Communicator&);
std::string describe(const Communicator&);
Result<std::string> explain(Communicator&, const algos::Request&);

// --- memory a communicator knows; ids are never 0 and unique in the process
Result<uint64_t> registerBuffer(Communicator&, void* memory, size_t bytes);
Status deregisterBuffer(Communicator&, uint64_t id);
Result<uint64_t> registerWindow(Communicator&, void* memory, size_t bytes, int flags);
Status deregisterWindow(Communicator&, uint64_t id);
Result<void*> windowMemory(Communicator&, uint64_t id);

// --- operators
Result<int> createPreMulSum(Communicator&, const void* scalar, DataType type, bool readNow);
Status destroyOp(Communicator&, int op);

// --- moving data; `stream` null: complete on return
Status collective(Communicator&, const CollectiveCall&, HostStream* stream);
Status vectorCollective(Communicator&, const VectorCall&, HostStream* stream);
Status send(Communicator&, const void* data, size_t count, DataType type, int peer, HostStream* stream);
Status receive(Communicator&, void* data, size_t count, DataType type, int peer, HostStream* stream);
Status putSignal(Communicator&, const void* data, size_t count, DataType type, int peer, uint64_t window,
                 size_t offset, int signal, int context, HostStream* stream);
Status signal(Communicator&, int peer, int signal, int context, HostStream* stream);
Status waitSignal(Communicator&, std::span<const WaitSignal> waits, HostStream* stream);

// --- groups; of the calling thread
Status groupStart();
Status groupEnd();
Result<double> groupSimulateEndUs();
/// A call failed its checks: in a group, the group will fail with this.
void groupNoteError(const Error& error);
/// Calls `settled` when the outermost group ends, with its result; at once and with success where no group is
/// open.
void groupWhenSettled(std::function<void(const Status&)> settled);

// --- host streams
Result<std::shared_ptr<HostStream>> createStream();
Status synchronize(HostStream&);
Status query(HostStream&);
Status close(HostStream&);
Status addCallback(HostStream&, void (*fn)(void*), void* arg);

}  // namespace backend
}  // namespace tutti::api
