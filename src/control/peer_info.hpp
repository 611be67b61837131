// PeerInfo: what every rank knows about every other: its process, host and where its control service listens.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "control/address.hpp"

namespace tutti::control {

/// Two processes are on the same host, for shared memory and fd passing, if and only if these are equal.
struct HostIdentity {
  uint64_t hash = 0;  ///< of boot id and network namespace, or of NCCL_HOSTID
  std::string name;   ///< hostname, for messages

  /// Of this process, read anew.
  static HostIdentity local();
};

/// Random per process (again after fork).
using ProcessToken = std::array<uint8_t, 16>;

struct PeerInfo {
  ProcessToken process{};
  uint32_t pid = 0;
  uint64_t hostHash = 0;
  std::string hostName;                ///< at most 64 bytes
  Address listener;                    ///< its control service, TCP
  std::array<uint8_t, 16> unixName{};  ///< its fd server, abstract unix socket

  std::string text() const;  ///< "host pid 123"
};

}  // namespace tutti::control
