// The collectives: ncclAllReduce and its kin, plain and ...Config.
//
// Hot path: between the client and comm/ lie a handle check and a few compares; no lock, allocation, system
// call or text.
#include "api/checks.hpp"
#include "api/config.hpp"
#include "api/guard.hpp"

namespace tutti::api {
namespace {

using algos::Collective;

/// The arguments as they came; what a collective does not have stays at its default.
struct Raw {
  const void* send;
  void* recv;
  size_t count;
  ncclDataType_t type;
  ncclComm_t comm;
  cudaStream_t stream;
  ncclRedOp_t op = ncclSum;
  int root = 0;
  const ncclCollConfig_t* config = nullptr;
};

/// Number of blocks of `count` elements in the largest buffer of a call.
template <Collective kind>
size_t blocksOf(int nRanks) {
  constexpr bool oneBlock =
      kind == Collective::AllReduce || kind == Collective::Reduce || kind == Collective::Broadcast;
  return oneBlock ? 1 : static_cast<size_t>(nRanks);
}

/// Whether this rank must bring a send or a receive buffer.
template <Collective kind>
bool needsSend(bool isRoot) {
  return kind == Collective::Broadcast || kind == Collective::Scatter ? isRoot : true;
}
template <Collective kind>
bool needsRecv(bool isRoot) {
  return kind == Collective::Reduce || kind == Collective::Gather ? isRoot : true;
}

/// NCCL_CHECK_POINTERS: the buffers that this rank must bring, as long as the collective has them.
template <Collective kind>
Status checkBuffers(const Raw& raw, int nRanks, bool isRoot) {
  constexpr bool wideSend =
      kind == Collective::ReduceScatter || kind == Collective::AllToAll || kind == Collective::Scatter;
  constexpr bool wideRecv =
      kind == Collective::AllGather || kind == Collective::AllToAll || kind == Collective::Gather;
  const size_t bytes = raw.count * sizeOf(static_cast<DataType>(rawValue(raw.type)));
  const auto ranks = static_cast<size_t>(nRanks);
  if (needsSend<kind>(isRoot)) TUTTI_TRY(checkMapped("sendbuff", raw.send, wideSend ? bytes * ranks : bytes));
  if (needsRecv<kind>(isRoot)) TUTTI_TRY(checkMapped("recvbuff", raw.recv, wideRecv ? bytes * ranks : bytes));
  return {};
}

template <Collective kind>
Status check(const Raw& raw, const Communicator& comm) {
  const int type = rawValue(raw.type);
  if (!isType(type)) [[unlikely]]
    return badType(type);
  const int nRanks = comm::sizeOf(comm);
  if constexpr (algos::reduces(kind)) {
    if (!isOp(rawValue(raw.op))) [[unlikely]]
      return badOp(rawValue(raw.op));
  }
  bool isRoot = true;
  if constexpr (algos::hasRoot(kind)) {
    if (!isRank(raw.root, nRanks)) [[unlikely]]
      return badRank("root", raw.root, nRanks);
    isRoot = raw.root == comm::rankOf(comm);
  }
  const DataType dataType = static_cast<DataType>(type);
  if (!fits(raw.count, dataType, blocksOf<kind>(nRanks))) [[unlikely]] {
    return tooLarge(raw.count, dataType, blocksOf<kind>(nRanks));
  }
  if (raw.count != 0) {
    if (raw.send == nullptr && needsSend<kind>(isRoot)) [[unlikely]]
      return nullArgument("sendbuff");
    if (raw.recv == nullptr && needsRecv<kind>(isRoot)) [[unlikely]]
      return nullArgument("recvbuff");
    if (checksPointers()) [[unlikely]]
      return checkBuffers<kind>(raw, nRanks, isRoot);
  }
  return {};
}

template <Collective kind>
ncclResult_t run(const char* name, const Raw& raw) {
  return guardComm(name, raw.comm, [&](Communicator& comm) -> Status {
    TUTTI_TRY(check<kind>(raw, comm));
    comm::CollectiveCall call{.collective = kind,
                              .send = raw.send,
                              .recv = raw.recv,
                              .count = raw.count,
                              .type = static_cast<DataType>(rawValue(raw.type)),
                              .op = rawValue(raw.op),
                              .root = raw.root};
    if (raw.config == nullptr) [[likely]] {
      return withStream(raw.stream, [&](HostStream* stream) { return comm::collective(comm, call, stream); });
    }
    TUTTI_ASSIGN(const CallOptions options, readCollConfig(raw.config));
    call.options = &options;
    return withStream(raw.stream, [&](HostStream* stream) { return comm::collective(comm, call, stream); });
  });
}

}  // namespace
}  // namespace tutti::api

using tutti::algos::Collective;
using tutti::api::run;

TUTTI_API(ncclResult_t, AllReduce,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
           ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::AllReduce>("ncclAllReduce", {.send = sendbuff,
                                                      .recv = recvbuff,
                                                      .count = count,
                                                      .type = datatype,
                                                      .comm = comm,
                                                      .stream = stream,
                                                      .op = op});
}

TUTTI_API(ncclResult_t, AllReduceConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
           ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::AllReduce>("ncclAllReduceConfig", {.send = sendbuff,
                                                            .recv = recvbuff,
                                                            .count = count,
                                                            .type = datatype,
                                                            .comm = comm,
                                                            .stream = stream,
                                                            .op = op,
                                                            .config = config});
}

TUTTI_API(ncclResult_t, Reduce,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
           int root, ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::Reduce>("ncclReduce", {.send = sendbuff,
                                                .recv = recvbuff,
                                                .count = count,
                                                .type = datatype,
                                                .comm = comm,
                                                .stream = stream,
                                                .op = op,
                                                .root = root});
}

TUTTI_API(ncclResult_t, ReduceConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
           int root, ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::Reduce>("ncclReduceConfig", {.send = sendbuff,
                                                      .recv = recvbuff,
                                                      .count = count,
                                                      .type = datatype,
                                                      .comm = comm,
                                                      .stream = stream,
                                                      .op = op,
                                                      .root = root,
                                                      .config = config});
}

TUTTI_API(ncclResult_t, Broadcast,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::Broadcast>("ncclBroadcast", {.send = sendbuff,
                                                      .recv = recvbuff,
                                                      .count = count,
                                                      .type = datatype,
                                                      .comm = comm,
                                                      .stream = stream,
                                                      .root = root});
}

TUTTI_API(ncclResult_t, Bcast,
          (void* buff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm,
           cudaStream_t stream)) {
  return run<Collective::Broadcast>("ncclBcast", {.send = buff,
                                                  .recv = buff,
                                                  .count = count,
                                                  .type = datatype,
                                                  .comm = comm,
                                                  .stream = stream,
                                                  .root = root});
}

TUTTI_API(ncclResult_t, BroadcastConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::Broadcast>("ncclBroadcastConfig", {.send = sendbuff,
                                                            .recv = recvbuff,
                                                            .count = count,
                                                            .type = datatype,
                                                            .comm = comm,
                                                            .stream = stream,
                                                            .root = root,
                                                            .config = config});
}

TUTTI_API(ncclResult_t, AllGather,
          (const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm,
           cudaStream_t stream)) {
  return run<Collective::AllGather>("ncclAllGather", {.send = sendbuff,
                                                      .recv = recvbuff,
                                                      .count = sendcount,
                                                      .type = datatype,
                                                      .comm = comm,
                                                      .stream = stream});
}

TUTTI_API(ncclResult_t, AllGatherConfig,
          (const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm,
           cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::AllGather>("ncclAllGatherConfig", {.send = sendbuff,
                                                            .recv = recvbuff,
                                                            .count = sendcount,
                                                            .type = datatype,
                                                            .comm = comm,
                                                            .stream = stream,
                                                            .config = config});
}

TUTTI_API(ncclResult_t, ReduceScatter,
          (const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op,
           ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::ReduceScatter>("ncclReduceScatter", {.send = sendbuff,
                                                              .recv = recvbuff,
                                                              .count = recvcount,
                                                              .type = datatype,
                                                              .comm = comm,
                                                              .stream = stream,
                                                              .op = op});
}

TUTTI_API(ncclResult_t, ReduceScatterConfig,
          (const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op,
           ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::ReduceScatter>("ncclReduceScatterConfig", {.send = sendbuff,
                                                                    .recv = recvbuff,
                                                                    .count = recvcount,
                                                                    .type = datatype,
                                                                    .comm = comm,
                                                                    .stream = stream,
                                                                    .op = op,
                                                                    .config = config});
}

TUTTI_API(ncclResult_t, AlltoAll,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
           cudaStream_t stream)) {
  return run<Collective::AllToAll>(
      "ncclAlltoAll",
      {.send = sendbuff, .recv = recvbuff, .count = count, .type = datatype, .comm = comm, .stream = stream});
}

TUTTI_API(ncclResult_t, AlltoAllConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclComm_t comm,
           cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::AllToAll>("ncclAlltoAllConfig", {.send = sendbuff,
                                                          .recv = recvbuff,
                                                          .count = count,
                                                          .type = datatype,
                                                          .comm = comm,
                                                          .stream = stream,
                                                          .config = config});
}

TUTTI_API(ncclResult_t, Gather,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::Gather>("ncclGather", {.send = sendbuff,
                                                .recv = recvbuff,
                                                .count = count,
                                                .type = datatype,
                                                .comm = comm,
                                                .stream = stream,
                                                .root = root});
}

TUTTI_API(ncclResult_t, GatherConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::Gather>("ncclGatherConfig", {.send = sendbuff,
                                                      .recv = recvbuff,
                                                      .count = count,
                                                      .type = datatype,
                                                      .comm = comm,
                                                      .stream = stream,
                                                      .root = root,
                                                      .config = config});
}

TUTTI_API(ncclResult_t, Scatter,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream)) {
  return run<Collective::Scatter>("ncclScatter", {.send = sendbuff,
                                                  .recv = recvbuff,
                                                  .count = count,
                                                  .type = datatype,
                                                  .comm = comm,
                                                  .stream = stream,
                                                  .root = root});
}

TUTTI_API(ncclResult_t, ScatterConfig,
          (const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root,
           ncclComm_t comm, cudaStream_t stream, const ncclCollConfig_t* config)) {
  return run<Collective::Scatter>("ncclScatterConfig", {.send = sendbuff,
                                                        .recv = recvbuff,
                                                        .count = count,
                                                        .type = datatype,
                                                        .comm = comm,
                                                        .stream = stream,
                                                        .root = root,
                                                        .config = config});
}
