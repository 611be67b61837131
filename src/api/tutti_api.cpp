// tutti/tutti.h: version, host streams, collectives with a count per rank, seeing inside.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "api/checks.hpp"
#include "api/guard.hpp"
#include "api/missing_calls.hpp"
#include "core/log.hpp"
#include "core/param.hpp"
#include "tutti/tutti.h"

#define TUTTI_OWN_API(type, name, parameters) extern "C" TUTTI_EXPORT type name parameters

namespace tutti::api {
namespace {

/// body: (HostStream&) -> Status.
template <typename Body>
ncclResult_t guardStream(const char* call, tuttiStream_t stream, Body&& body) {
  return guard(call, [&]() -> Status {
    StreamTable::Pin pin = gStreams.value.enterShared(stream);
    if (!pin) return badStream(stream);
    return body(*pin->stream);
  });
}

Status copyText(const std::string& from, char* text, size_t size) {
  TUTTI_NEED(text);
  if (size == 0) return Error(Code::InvalidArgument, "size is 0");
  const size_t length = std::min(from.size(), size - 1);
  std::memcpy(text, from.data(), length);
  text[length] = '\0';
  return {};
}

/// Where one side of a V collective lies: a count and an offset per rank.
Status checkBlocks(const char* what, const void* buff, std::span<const size_t> counts,
                   std::span<const size_t> offsets, DataType type) {
  bool empty = true;
  for (size_t i = 0; i < counts.size(); ++i) {
    size_t end;
    if (__builtin_add_overflow(counts[i], offsets[i], &end) || !fits(end, type, 1)) {
      return makeError(Code::InvalidArgument,
                       "{}: block of rank {} ({} elements at {}) ends beyond 2^63 bytes", what, i, counts[i],
                       offsets[i]);
    }
    empty = empty && counts[i] == 0;
  }
  if (!empty && buff == nullptr) return nullArgument(what);
  return {};
}

}  // namespace
}  // namespace tutti::api

using namespace tutti;
using namespace tutti::api;

TUTTI_OWN_API(ncclResult_t, tuttiGetVersion, (int* version)) {
  return guard("tuttiGetVersion", [&]() -> Status {
    TUTTI_NEED(version);
    *version = TUTTI_VERSION_CODE;
    return {};
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiStreamCreate, (tuttiStream_t * stream)) {
  return guard("tuttiStreamCreate", [&]() -> Status {
    TUTTI_NEED(stream);
    *stream = nullptr;
    auto entry = std::make_unique<StreamEntry>();
    TUTTI_ASSIGN(entry->stream, comm::createStream());
    std::shared_ptr<HostStream> made = entry->stream;
    Result<void*> handle = gStreams.value.insert(std::move(entry));
    if (!handle.ok()) {
      (void)comm::close(*made);
      return std::move(handle).error();
    }
    *stream = static_cast<tuttiStream_t>(*handle);
    return {};
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiStreamSynchronize, (tuttiStream_t stream)) {
  return guardStream("tuttiStreamSynchronize", stream, [](HostStream& s) { return comm::synchronize(s); });
}

TUTTI_OWN_API(ncclResult_t, tuttiStreamQuery, (tuttiStream_t stream)) {
  return guardStream("tuttiStreamQuery", stream, [](HostStream& s) { return comm::query(s); });
}

TUTTI_OWN_API(ncclResult_t, tuttiStreamAddCallback, (tuttiStream_t stream, void (*fn)(void*), void* arg)) {
  return guardStream("tuttiStreamAddCallback", stream, [&](HostStream& s) -> Status {
    TUTTI_NEED(fn);
    return comm::addCallback(s, fn, arg);
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiStreamDestroy, (tuttiStream_t stream)) {
  return guard("tuttiStreamDestroy", [&]() -> Status {
    if (stream == nullptr) return {};
    bool stuck = false;
    auto entry = gStreams.value.retire(stream, Deadline::afterMs(kRetireTimeoutMs), &stuck);
    if (stuck)
      return makeError(Code::InternalError, "another thread is still inside a call on stream {}",
                       static_cast<void*>(stream));
    if (entry == nullptr) return badStream(stream);
    return comm::close(*entry->stream);
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiAllToAllv,
              (const void* sendbuff, const size_t sendcounts[], const size_t sdispls[], void* recvbuff,
               const size_t recvcounts[], const size_t rdispls[], ncclDataType_t datatype, ncclComm_t comm,
               cudaStream_t stream)) {
  return guardComm("tuttiAllToAllv", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(sendcounts);
    TUTTI_NEED(sdispls);
    TUTTI_NEED(recvcounts);
    TUTTI_NEED(rdispls);
    if (!isType(rawValue(datatype))) return badType(rawValue(datatype));
    const auto n = static_cast<size_t>(comm::sizeOf(c));
    const comm::VectorCall call{.collective = algos::Collective::AllToAllV,
                                .send = sendbuff,
                                .sendCounts = {sendcounts, n},
                                .sendOffsets = {sdispls, n},
                                .recv = recvbuff,
                                .recvCounts = {recvcounts, n},
                                .recvOffsets = {rdispls, n},
                                .type = typeOf(datatype)};
    TUTTI_TRY(checkBlocks("sendbuff", sendbuff, call.sendCounts, call.sendOffsets, call.type));
    TUTTI_TRY(checkBlocks("recvbuff", recvbuff, call.recvCounts, call.recvOffsets, call.type));
    return withStream(stream, [&](HostStream* s) { return comm::vectorCollective(c, call, s); });
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiAllGatherv,
              (const void* sendbuff, size_t sendcount, void* recvbuff, const size_t recvcounts[],
               const size_t displs[], ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream)) {
  return guardComm("tuttiAllGatherv", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(recvcounts);
    TUTTI_NEED(displs);
    if (!isType(rawValue(datatype))) return badType(rawValue(datatype));
    const auto n = static_cast<size_t>(comm::sizeOf(c));
    const int rank = comm::rankOf(c);
    if (sendcount != recvcounts[rank]) {
      return makeError(Code::InvalidArgument, "sendcount {} is not recvcounts[{}], which is {}", sendcount,
                       rank, recvcounts[rank]);
    }
    if (sendcount != 0) TUTTI_NEED(sendbuff);
    const size_t zero = 0;
    const comm::VectorCall call{.collective = algos::Collective::AllGatherV,
                                .send = sendbuff,
                                .sendCounts = {&sendcount, 1},
                                .sendOffsets = {&zero, 1},
                                .recv = recvbuff,
                                .recvCounts = {recvcounts, n},
                                .recvOffsets = {displs, n},
                                .type = typeOf(datatype)};
    TUTTI_TRY(checkBlocks("recvbuff", recvbuff, call.recvCounts, call.recvOffsets, call.type));
    return withStream(stream, [&](HostStream* s) { return comm::vectorCollective(c, call, s); });
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiReduceScatterv,
              (const void* sendbuff, void* recvbuff, const size_t recvcounts[], ncclDataType_t datatype,
               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)) {
  return guardComm("tuttiReduceScatterv", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(recvcounts);
    if (!isType(rawValue(datatype))) return badType(rawValue(datatype));
    if (!isOp(rawValue(op))) return badOp(rawValue(op));
    const auto n = static_cast<size_t>(comm::sizeOf(c));
    const int rank = comm::rankOf(c);
    std::vector<size_t> offsets(n, 0);
    for (size_t i = 1; i < n; ++i) {
      if (__builtin_add_overflow(offsets[i - 1], recvcounts[i - 1], &offsets[i])) {
        return tooLarge(recvcounts[i - 1], typeOf(datatype), 1);
      }
    }
    if (recvcounts[rank] != 0) TUTTI_NEED(recvbuff);
    const size_t zero = 0;
    const comm::VectorCall call{.collective = algos::Collective::ReduceScatterV,
                                .send = sendbuff,
                                .sendCounts = {recvcounts, n},
                                .sendOffsets = offsets,
                                .recv = recvbuff,
                                .recvCounts = {&recvcounts[rank], 1},
                                .recvOffsets = {&zero, 1},
                                .type = typeOf(datatype),
                                .op = rawValue(op)};
    TUTTI_TRY(checkBlocks("sendbuff", sendbuff, call.sendCounts, call.sendOffsets, call.type));
    return withStream(stream, [&](HostStream* s) { return comm::vectorCollective(c, call, s); });
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiCommDescribe, (ncclComm_t comm, char* text, size_t size)) {
  return guardQuery("tuttiCommDescribe", comm,
                    [&](Communicator& c) { return copyText(comm::describe(c), text, size); });
}

TUTTI_OWN_API(ncclResult_t, tuttiExplain,
              (ncclComm_t comm, const char* collective, size_t count, ncclDataType_t datatype, ncclRedOp_t op,
               char* text, size_t size)) {
  return guardComm("tuttiExplain", comm, [&](Communicator& c) -> Status {
    TUTTI_NEED(collective);
    if (!isType(rawValue(datatype))) return badType(rawValue(datatype));
    if (comm::explainsAsP2p(collective)) return copyText(comm::explainP2p(c), text, size);
    const std::optional<algos::Collective> kind = algos::collectiveFromName(collective);
    if (!kind) return makeError(Code::InvalidArgument, "there is no collective \"{}\"", collective);
    const int opValue = rawValue(op);
    if (!isOp(opValue)) return badOp(opValue);
    if (!fits(count, typeOf(datatype), static_cast<size_t>(comm::sizeOf(c)))) {
      return tooLarge(count, typeOf(datatype), static_cast<size_t>(comm::sizeOf(c)));
    }
    const algos::Request request{
        .collective = *kind,
        .count = count,
        .type = typeOf(datatype),
        .op = opValue < comm::kFirstCustomOp ? static_cast<ReduceOp>(opValue) : ReduceOp::PreMulSum,
        .nRanks = comm::sizeOf(c)};
    TUTTI_ASSIGN(const std::string answer, comm::explain(c, request));
    return copyText(answer, text, size);
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiParamsReload, (void)) {
  return guard("tuttiParamsReload", []() -> Status {
    params::reload();
    log::reset();
    readCheckSettings();
    return params::checkAll();
  });
}

TUTTI_OWN_API(ncclResult_t, tuttiMissingCalls, (char* text, size_t size)) {
  return guard("tuttiMissingCalls", [&]() -> Status {
    std::string names;
    for (std::string_view name : missingCalls()) {
      names += name;
      names += '\n';
    }
    return copyText(names, text, size);
  });
}
