// Stands in for comm/ until that is there: everything answers "not built yet".
#include "api/backend.hpp"

namespace tutti::comm {
class Communicator {};
class HostStream {};
}  // namespace tutti::comm

namespace tutti::api::backend {
namespace {

Error notBuilt() {
  return Error(Code::InvalidUsage, "not built yet: this library has no communicators");
}

}  // namespace

Result<control::UniqueId> createUniqueId() {
  return notBuilt();
}
Result<void*> memoryAllocate(size_t) {
  return notBuilt();
}
Status memoryFree(void*) {
  return notBuilt();
}

Result<NewComm> create(int, int, std::span<const control::UniqueId>, const CommOptions&) {
  return notBuilt();
}
Result<std::vector<NewComm>> createAll(std::span<const int>) {
  return notBuilt();
}
Result<NewComm> split(Communicator&, int, int, const CommOptions*) {
  return notBuilt();
}
Result<NewComm> shrink(Communicator&, std::span<const int>, bool, const CommOptions*) {
  return notBuilt();
}
Result<control::UniqueId> createGrowId(Communicator&) {
  return notBuilt();
}
Result<NewComm> grow(Communicator*, int, const control::UniqueId*, int, const CommOptions*) {
  return notBuilt();
}
Status finalize(Communicator&) {
  return notBuilt();
}
Status close(Communicator&) {
  return notBuilt();
}
Status abort(Communicator&) {
  return notBuilt();
}
Status revoke(Communicator&) {
  return notBuilt();
}
Status suspend(Communicator&) {
  return notBuilt();
}
Status resume(Communicator&) {
  return notBuilt();
}

int rankOf(const Communicator&) {
  return 0;
}
int sizeOf(const Communicator&) {
  return 1;
}
int deviceOf(const Communicator&) {
  return 0;
}
uint64_t hashOf(const Communicator&) {
  return 0;
}
MemoryUse memoryUseOf(const Communicator&) {
  return {};
}
Status asyncStatus(const Communicator&) {
  return {};
}
std::string describe(const Communicator&) {
  return {};
}
Result<std::string> explain(Communicator&, const algos::Request&) {
  return notBuilt();
}

Result<uint64_t> registerBuffer(Communicator&, void*, size_t) {
  return notBuilt();
}
Status deregisterBuffer(Communicator&, uint64_t) {
  return notBuilt();
}
Result<uint64_t> registerWindow(Communicator&, void*, size_t, int) {
  return notBuilt();
}
Status deregisterWindow(Communicator&, uint64_t) {
  return notBuilt();
}
Result<void*> windowMemory(Communicator&, uint64_t) {
  return notBuilt();
}
Result<int> createPreMulSum(Communicator&, const void*, DataType, bool) {
  return notBuilt();
}
Status destroyOp(Communicator&, int) {
  return notBuilt();
}

Status collective(Communicator&, const CollectiveCall&, HostStream*) {
  return notBuilt();
}
Status vectorCollective(Communicator&, const VectorCall&, HostStream*) {
  return notBuilt();
}
Status send(Communicator&, const void*, size_t, DataType, int, HostStream*) {
  return notBuilt();
}
Status receive(Communicator&, void*, size_t, DataType, int, HostStream*) {
  return notBuilt();
}
Status putSignal(Communicator&, const void*, size_t, DataType, int, uint64_t, size_t, int, int, HostStream*) {
  return notBuilt();
}
Status signal(Communicator&, int, int, int, HostStream*) {
  return notBuilt();
}
Status waitSignal(Communicator&, std::span<const WaitSignal>, HostStream*) {
  return notBuilt();
}

Status groupStart() {
  return notBuilt();
}
Status groupEnd() {
  return notBuilt();
}
Result<double> groupSimulateEndUs() {
  return notBuilt();
}
void groupNoteError(const Error&) {}
void groupWhenSettled(std::function<void(const Status&)> settled) {
  settled(Status());
}

Result<std::shared_ptr<HostStream>> createStream() {
  return notBuilt();
}
Status synchronize(HostStream&) {
  return notBuilt();
}
Status query(HostStream&) {
  return notBuilt();
}
Status close(HostStream&) {
  return notBuilt();
}
Status addCallback(HostStream&, void (*)(void*), void*) {
  return notBuilt();
}

}  // namespace tutti::api::backend
