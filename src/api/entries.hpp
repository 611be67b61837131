// What stands behind the handles that clients hold.
#pragma once

#include <memory>

#include "api/handle_table.hpp"
#include "api/last_error.hpp"
#include "comm/comm.hpp"
#include "nccl.h"

namespace tutti::api {

using comm::Communicator;
using comm::HostStream;

struct CommEntry {
  comm::NewComm comm;
};

struct StreamEntry {
  std::shared_ptr<HostStream> stream;  // shared with the work that is queued on it
};

using CommTable = HandleTable<CommEntry, 14>;
using StreamTable = HandleTable<StreamEntry, 12>;

extern Immortal<CommTable> gComms;
extern Immortal<StreamTable> gStreams;

/// How long a call that frees a handle waits for other threads to leave it.
inline constexpr int kRetireTimeoutMs = 10'000;

/// "comm is NULL", "comm 0x... was destroyed", "comm 0x... is not a communicator of this library".
Error badComm(const void* comm);
Error badStream(const void* stream);

/// Runs body(HostStream*) with the stream behind `stream`; with null for NULL.
template <typename Body>
Status withStream(cudaStream_t stream, Body&& body) {
  if (stream == nullptr) return body(static_cast<HostStream*>(nullptr));
  StreamTable::Pin pin = gStreams.value.enterShared(stream);
  if (!pin) return badStream(stream);
  return body(pin->stream.get());
}

}  // namespace tutti::api
