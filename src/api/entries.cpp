#include "api/entries.hpp"

namespace tutti::api {

constinit Immortal<CommTable> gComms;
constinit Immortal<StreamTable> gStreams;

Error badComm(const void* comm) {
  switch (gComms.value.classify(comm)) {
    case HandleState::Null:
      return Error(Code::InvalidArgument, "comm is NULL");
    case HandleState::Stale:
      return makeError(Code::InvalidArgument, "comm {} was destroyed or aborted", comm);
    default:
      return makeError(Code::InvalidArgument, "comm {} is not a communicator of this library", comm);
  }
}

Error badStream(const void* stream) {
  switch (gStreams.value.classify(stream)) {
    case HandleState::Null:
      return Error(Code::InvalidArgument, "stream is NULL");
    case HandleState::Stale:
      return makeError(Code::InvalidArgument, "stream {} was destroyed", stream);
    default:
      return makeError(Code::InvalidArgument,
                       "stream {} is not a host stream: buffers are host memory here, so pass NULL (the call "
                       "waits) or a stream of tuttiStreamCreate",
                       stream);
  }
}

}  // namespace tutti::api
