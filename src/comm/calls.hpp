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
  std::function<Status()> work;
};

/// One call, kept until it is played.
struct Task {
  std::shared_ptr<Communicator> comm;
  std::variant<CollectiveCall, P2pCall, std::shared_ptr<KeptVectorCall>, OneSided> what;
  std::shared_ptr<CallOptions> options;  ///< what a CollectiveCall's options point at
  HostStream* stream = nullptr;
};

/// Plays one collective now, on this thread, without keeping anything: the hot path.
Status playNow(Communicator& comm, const CollectiveCall& call);
/// Plays tasks together; returns when this rank's part of all of them is complete.
Status playTogether(std::vector<Task>& tasks);
/// The cost model's answer for the tasks, in microseconds.
Result<double> predict(const std::vector<Task>& tasks);

}  // namespace tutti::comm
