// Preloaded in front of libnccl.so.2: AllReduce works, and then one byte is changed, as SPOIL says. The perf
// programs must notice.
#include <nccl.h>

#include <cstdlib>
#include <cstring>

extern "C" __attribute__((visibility("default"))) ncclResult_t ncclAllReduce(const void* sendbuff,
                                                                             void* recvbuff, size_t count,
                                                                             ncclDataType_t datatype,
                                                                             ncclRedOp_t op, ncclComm_t comm,
                                                                             cudaStream_t stream) {
  ncclResult_t result = pncclAllReduce(sendbuff, recvbuff, count, datatype, op, comm, stream);
  const char* what = std::getenv("SPOIL");
  size_t bytes = count * 4;  // the tests use float
  // Not the one-element calls with which the programs meet before they take the time.
  if (result != ncclSuccess || !what || bytes < 64) return result;
  auto* received = static_cast<unsigned char*>(recvbuff);
  auto* sent = static_cast<unsigned char*>(const_cast<void*>(sendbuff));
  if (std::strcmp(what, "last") == 0) received[bytes - 1] ^= 1;
  if (std::strcmp(what, "behind") == 0) received[bytes] ^= 1;
  if (std::strcmp(what, "before") == 0) received[-1] ^= 1;
  if (std::strcmp(what, "sent") == 0 && sent != received) sent[bytes / 2] ^= 1;
  return result;
}
