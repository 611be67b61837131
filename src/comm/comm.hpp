// The communicator room's face: one function for each thing that the C interface needs. See communicator.hpp
// for the object.
//
// An Error with Code::InProgress means "a nonblocking communicator goes on with it".
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/types.hpp"
#include "control/unique_id.hpp"
#include "core/result.hpp"

namespace tutti::comm {

class Communicator;
class HostStream;

/// Shared with open groups and streams, from under which a destroy or an abort must not pull it.
using NewComm = std::shared_ptr<Communicator>;

// --- the library
Result<control::UniqueId> createUniqueId();
Result<void*> memoryAllocate(size_t bytes);
Status memoryFree(void* memory);

// --- making and ending communicators. In an open group, or where `options` say nonblocking, the communicator
// is returned before it is usable: asyncStatus() tells.
Result<NewComm> create(int nRanks, int rank, std::span<const control::UniqueId> ids,
                       const CommOptions& options);
Result<std::vector<NewComm>> createAll(std::span<const int> devices);
/// Null for a rank that gave no color (color < 0). `options` null: the parent's.
Result<NewComm> split(Communicator& parent, int color, int key, const CommOptions* options);
Result<NewComm> shrink(Communicator& parent, std::span<const int> excluded, bool abortFirst,
                       const CommOptions* options);
Result<control::UniqueId> createGrowId(Communicator& comm);
/// `parent` null for ranks that join. `id` null for ranks of the parent that did not make it.
Result<NewComm> grow(Communicator* parent, int nRanks, const control::UniqueId* id, int rank,
                     const CommOptions* options);
Status finalize(Communicator& comm);
/// Finalizes where that was not done. Nothing is called on it afterwards, except by those that still share
/// it.
Status close(Communicator& comm);
/// Makes all calls that are inside it return soon, here and elsewhere. Any thread.
Status abort(Communicator& comm);
Status revoke(Communicator& comm);
Status suspend(Communicator& comm);
Status resume(Communicator& comm);

// --- asking; any thread
int rankOf(const Communicator& comm);
int sizeOf(const Communicator& comm);
int deviceOf(const Communicator& comm);
uint64_t hashOf(const Communicator& comm);
MemoryUse memoryUseOf(const Communicator& comm);
/// Success, InProgress, or what went wrong.
Status asyncStatus(const Communicator& comm);
/// The last error on this communicator in words, from whichever thread or stream; "" when there was none.
void noteLastError(Communicator& comm, const std::string& text);
std::string lastErrorOf(const Communicator& comm);
std::string describe(const Communicator& comm);
/// "Send", "Recv", and what is made of them: "SendRecv", "HyperCube". They are no collectives, and nothing is
/// chosen for them.
bool explainsAsP2p(std::string_view name);
std::string explainP2p(const Communicator& comm);
Result<std::string> explain(Communicator& comm, const algos::Request& request);

// --- memory a communicator knows; ids are never 0 and unique in the process
Result<uint64_t> registerBuffer(Communicator& comm, void* memory, size_t bytes);
Status deregisterBuffer(Communicator& comm, uint64_t id);
Result<uint64_t> registerWindow(Communicator& comm, void* memory, size_t bytes, int flags);
Status deregisterWindow(Communicator& comm, uint64_t id);
Result<void*> windowMemory(Communicator& comm, uint64_t id);

// --- operators
Result<int> createPreMulSum(Communicator& comm, const void* scalar, DataType type, bool readNow);
Status destroyOp(Communicator& comm, int op);

// --- moving data; `stream` null: complete on return
Status collective(Communicator& comm, const CollectiveCall& call, HostStream* stream);
Status vectorCollective(Communicator& comm, const VectorCall& call, HostStream* stream);
Status send(Communicator& comm, const void* data, size_t count, DataType type, int peer, HostStream* stream);
Status receive(Communicator& comm, void* data, size_t count, DataType type, int peer, HostStream* stream);
Status putSignal(Communicator& comm, const void* data, size_t count, DataType type, int peer, uint64_t window,
                 size_t offset, int signal, int context, HostStream* stream);
Status signal(Communicator& comm, int peer, int signal, int context, HostStream* stream);
Status waitSignal(Communicator& comm, std::span<const WaitSignal> waits, HostStream* stream);

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
Status synchronize(HostStream& stream);
Status query(HostStream& stream);
Status close(HostStream& stream);
Status addCallback(HostStream& stream, void (*fn)(void*), void* arg);

}  // namespace tutti::comm
