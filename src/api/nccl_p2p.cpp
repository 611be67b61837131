// Point to point and one-sided calls, operators of one's own, and groups.
#include <cstring>

#include "api/checks.hpp"
#include "api/config.hpp"
#include "api/guard.hpp"

namespace tutti::api {
namespace {

/// What Send, Recv and PutSignal have in common.
Status checkMessage(const Communicator& comm, const char* buffName, const void* buff, size_t count, int type,
                    int peer) {
  if (!isType(type)) [[unlikely]]
    return badType(type);
  const int nRanks = comm::sizeOf(comm);
  if (!isRank(peer, nRanks)) [[unlikely]]
    return badRank("peer", peer, nRanks);
  const DataType dataType = static_cast<DataType>(type);
  if (!fits(count, dataType, 1)) [[unlikely]]
    return tooLarge(count, dataType, 1);
  if (buff == nullptr && count != 0) [[unlikely]]
    return nullArgument(buffName);
  if (checksPointers()) [[unlikely]]
    return checkMapped(buffName, buff, count * sizeOf(dataType));
  return {};
}

Status checkSignal(const Communicator& comm, int peer, int sigIdx, int ctx) {
  const int nRanks = comm::sizeOf(comm);
  if (!isRank(peer, nRanks)) return badRank("peer", peer, nRanks);
  if (sigIdx < 0) return makeError(Code::InvalidArgument, "sigIdx {} is negative", sigIdx);
  if (ctx < 0) return makeError(Code::InvalidArgument, "ctx {} is negative", ctx);
  return {};
}

Status checkNoFlags(unsigned int flags) {
  if (flags == 0) return {};
  return makeError(Code::InvalidArgument, "flags {:#x} are not 0, the only value so far", flags);
}

}  // namespace
}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

TUTTI_API(ncclResult_t, Send,
          (const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
           cudaStream_t stream)) {
  return guardComm("ncclSend", comm, [&](Communicator& c) -> Status {
    TUTTI_TRY(checkMessage(c, "sendbuff", sendbuff, count, rawValue(datatype), peer));
    return withStream(
        stream, [&](HostStream* s) { return comm::send(c, sendbuff, count, typeOf(datatype), peer, s); });
  });
}

TUTTI_API(ncclResult_t, Recv,
          (void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm,
           cudaStream_t stream)) {
  return guardComm("ncclRecv", comm, [&](Communicator& c) -> Status {
    TUTTI_TRY(checkMessage(c, "recvbuff", recvbuff, count, rawValue(datatype), peer));
    return withStream(
        stream, [&](HostStream* s) { return comm::receive(c, recvbuff, count, typeOf(datatype), peer, s); });
  });
}

TUTTI_API(ncclResult_t, PutSignal,
          (const void* localbuff, size_t count, ncclDataType_t datatype, int peer, ncclWindow_t peerWin,
           size_t peerWinOffset, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm,
           cudaStream_t stream)) {
  return guardComm("ncclPutSignal", comm, [&](Communicator& c) -> Status {
    TUTTI_TRY(checkMessage(c, "localbuff", localbuff, count, rawValue(datatype), peer));
    TUTTI_TRY(checkSignal(c, peer, sigIdx, ctx));
    TUTTI_TRY(checkNoFlags(flags));
    TUTTI_NEED(peerWin);
    if (peerWinOffset > static_cast<size_t>(INT64_MAX) - count * sizeOf(typeOf(datatype))) {
      return makeError(Code::InvalidArgument, "peerWinOffset {} is too large", peerWinOffset);
    }
    return withStream(stream, [&](HostStream* s) {
      return comm::putSignal(c, localbuff, count, typeOf(datatype), peer,
                             reinterpret_cast<uintptr_t>(peerWin), peerWinOffset, sigIdx, ctx, s);
    });
  });
}

TUTTI_API(ncclResult_t, Signal,
          (int peer, int sigIdx, int ctx, unsigned int flags, ncclComm_t comm, cudaStream_t stream)) {
  return guardComm("ncclSignal", comm, [&](Communicator& c) -> Status {
    TUTTI_TRY(checkSignal(c, peer, sigIdx, ctx));
    TUTTI_TRY(checkNoFlags(flags));
    return withStream(stream, [&](HostStream* s) { return comm::signal(c, peer, sigIdx, ctx, s); });
  });
}

TUTTI_API(ncclResult_t, WaitSignal,
          (int nDesc, ncclWaitSignalDesc_t* signalDescs, ncclComm_t comm, cudaStream_t stream)) {
  return guardComm("ncclWaitSignal", comm, [&](Communicator& c) -> Status {
    if (nDesc < 0) return makeError(Code::InvalidArgument, "nDesc {} is negative", nDesc);
    if (nDesc > 0) TUTTI_NEED(signalDescs);
    std::vector<comm::WaitSignal> waits;
    waits.reserve(static_cast<size_t>(nDesc));
    for (int i = 0; i < nDesc; ++i) {
      const ncclWaitSignalDesc_t& desc = signalDescs[i];
      Status ok = checkSignal(c, desc.peer, desc.sigIdx, desc.ctx);
      if (!ok.ok()) return std::move(ok).error().context(fmt::format("signalDescs[{}]", i));
      if (desc.opCnt < 0) {
        return makeError(Code::InvalidArgument, "signalDescs[{}]: opCnt {} is negative", i, desc.opCnt);
      }
      waits.push_back({.count = desc.opCnt, .peer = desc.peer, .signal = desc.sigIdx, .context = desc.ctx});
    }
    return withStream(stream, [&](HostStream* s) { return comm::waitSignal(c, waits, s); });
  });
}

TUTTI_API(ncclResult_t, RedOpCreatePreMulSum,
          (ncclRedOp_t * op, void* scalar, ncclDataType_t datatype, ncclScalarResidence_t residence,
           ncclComm_t comm)) {
  return guardComm("ncclRedOpCreatePreMulSum", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(op);
    TUTTI_NEED(scalar);
    if (!isType(rawValue(datatype))) return badType(rawValue(datatype));
    const int where = rawValue(residence);
    if (where != ncclScalarDevice && where != ncclScalarHostImmediate) {
      return makeError(Code::InvalidArgument,
                       "residence {} is neither ncclScalarDevice nor ncclScalarHostImmediate", where);
    }
    TUTTI_ASSIGN(const int made,
                 comm::createPreMulSum(c, scalar, typeOf(datatype), where == ncclScalarHostImmediate));
    std::memcpy(op, &made, sizeof(made));
    return {};
  });
}

TUTTI_API(ncclResult_t, RedOpDestroy, (ncclRedOp_t op, ncclComm_t comm)) {
  return guardComm("ncclRedOpDestroy", comm, [&](Communicator& c) -> Status {
    const int value = rawValue(op);
    if (!isOp(value)) return badOp(value);
    if (value < comm::kFirstCustomOp)
      return makeError(Code::InvalidArgument, "op {} is built in and cannot be destroyed", value);
    return comm::destroyOp(c, value);
  });
}

TUTTI_API(ncclResult_t, GroupStart, ()) {
  return guard("ncclGroupStart", [] { return comm::groupStart(); });
}

TUTTI_API(ncclResult_t, GroupEnd, ()) {
  return guard("ncclGroupEnd", [] { return comm::groupEnd(); });
}

TUTTI_API(ncclResult_t, GroupSimulateEnd, (ncclSimInfo_t * simInfo)) {
  return guard("ncclGroupSimulateEnd", [&]() -> Status {
    TUTTI_NEED(simInfo);
    constexpr ncclSimInfo_t fresh = NCCL_SIM_INFO_INITIALIZER;
    TUTTI_TRY(checkHead(simInfo, fresh.magic, "NCCL_SIM_INFO_INITIALIZER"));
    TUTTI_ASSIGN(const double us, comm::groupSimulateEndUs());
    if (simInfo->size >= offsetof(ncclSimInfo_t, estimatedTime) + sizeof(float)) {
      simInfo->estimatedTime = static_cast<float>(us);
    }
    return {};
  });
}
