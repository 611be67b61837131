// What the C interface asks of a communicator, in plain form: numbers in range, handles resolved, sizes that
// do not overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "algos/request.hpp"
#include "core/dtype.hpp"

namespace tutti::comm {

/// ncclConfig_t in plain form: a value is there only where the user set it.
struct CommOptions {
  bool blocking = true;
  std::optional<int> minChannels, maxChannels;
  std::optional<std::string> netName, commName;
  bool splitShare = false, shrinkShare = false;
  std::optional<int> trafficClass;
  std::optional<int> ctaPolicy;
  std::optional<int> channelsPerNetPeer;
  std::optional<int> rmaContexts, rmaSignals;
  std::optional<bool> rmaEagerInit;
  std::optional<int> maxP2pPeers;
  bool operator==(const CommOptions&) const = default;
};

/// ncclCollConfig_t in plain form.
struct CallOptions {
  std::optional<int> minChannels, maxChannels;
  std::string algorithms;        ///< NCCL_ALGO's notation; "": any
  bool algorithmsForced = true;  ///< an error where none of them fits
  std::optional<int> ctaPolicy;
  bool operator==(const CallOptions&) const = default;
};

/// Operator numbers of nccl.h up to here; what createPreMulSum() returns from here on.
inline constexpr int kFirstCustomOp = 5;

/// One collective.
struct CollectiveCall {
  algos::Collective collective;
  const void* send;
  void* recv;
  size_t count;
  DataType type;
  int op = 0;
  int root = 0;
  const CallOptions* options = nullptr;
};

/// The V forms; arrays have one entry per rank and live until the call returns.
struct VectorCall {
  algos::Collective collective;
  const void* send;
  std::span<const size_t> sendCounts, sendOffsets;
  void* recv;
  std::span<const size_t> recvCounts, recvOffsets;
  DataType type;
  int op = 0;
};

struct WaitSignal {
  int count, peer, signal, context;
};

struct MemoryUse {
  uint64_t suspendable = 0, persistent = 0;
  bool suspended = false;
};

}  // namespace tutti::comm
