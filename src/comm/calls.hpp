// Calls: what a user asked for, turned into jobs for the engine.
#pragma once

#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "comm/communicator.hpp"

namespace tutti::comm {

/// A send or a receive.
struct P2pCall {
  bool isSend = false;
  const void* send = nullptr;
  void* recv = nullptr;
  size_t count = 0;
  DataType type = DataType::Int8;
  int peer = 0;
};

/// A V form with its arrays kept.
struct KeptVectorCall {
  VectorCall call;
  std::vector<size_t> sendCounts, sendOffsets, recvCounts, recvOffsets;
};

/// One-sided work: before all jobs of a group (put, signal) or after them (wait).
struct OneSided {
  bool waits = false;
  std::string name;               ///< for errors: "PutSignal(to rank 3)"
  std::function<Status()> check;  ///< of arguments, before anything of the group is done; may be empty
  std::function<Status()> work;
};

/// One call, kept until it is played.
struct Task {
  std::shared_ptr<Communicator> comm;
  std::variant<CollectiveCall, P2pCall, std::shared_ptr<KeptVectorCall>, OneSided> what;
  std::shared_ptr<CallOptions> options;  ///< what a CollectiveCall's options point at
  std::optional<CustomOp> custom;  ///< what its operator was when the call was made; it may be gone since
  HostStream* stream = nullptr;
};

/// What can be said of a call before any rank knows of it: its operator, and buffers that cannot be. Fills
/// `custom`.
Status checkCall(const Communicator& comm, const CollectiveCall& call, std::optional<CustomOp>& custom);
/// "AllReduce(count 100, float, sum)", "Send(count 20, int32, to rank 1)": for errors.
std::string describeTask(const Task& task);

/// Plays one collective now, on this thread, without keeping anything: the hot path.
Status playNow(Communicator& comm, const CollectiveCall& call);
/// The place of queued work among all that is queued on a communicator.
struct Ticket {
  std::shared_ptr<Communicator> comm;
  uint64_t number = 0;
};
/// One ticket for each communicator of the tasks. Under a lock that all who queue share, and that they hold
/// until the work is on its streams: so that no two pieces of work wait for each other.
std::vector<Ticket> takeTickets(const std::vector<Task>& tasks);

/// Plays tasks together; returns when this rank's part of all of them is complete. `tickets`: of queued
/// tasks. Refuses before anything has been done: a refusal (InvalidUsage, InvalidArgument) leaves no trace,
/// unless the communicator has a fault.
Status playTogether(std::vector<Task>& tasks, const std::vector<Ticket>& tickets = {});
/// The cost model's answer for the tasks, in microseconds.
Result<double> predict(const std::vector<Task>& tasks);

}  // namespace tutti::comm
