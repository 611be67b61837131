// UniqueId: the 128 bytes that one process hands to all ranks so that they find each other (ncclUniqueId).
#pragma once

#include <array>
#include <cstdint>

#include "control/address.hpp"
#include "core/result.hpp"

namespace tutti::control {

using Secret = std::array<uint8_t, 16>;

/// Where the rendezvous is and what proves membership.
struct UniqueIdFields {
  uint64_t id = 0;             ///< random name of the rendezvous
  Secret secret{};             ///< never sent: only proven
  Address address;             ///< of the root's process
  bool rankZeroRoots = false;  ///< from NCCL_COMM_ID: nobody listens until rank 0 joins
};

/// Layout: magic, version, fields, checksum over all before it. Opaque to everyone else.
struct UniqueId {
  std::array<uint8_t, 128> bytes{};

  static UniqueId encode(const UniqueIdFields& fields);
  /// InvalidArgument if these are not the bytes of a UniqueId of this version.
  Result<UniqueIdFields> decode() const;
  bool operator==(const UniqueId&) const = default;
};
static_assert(sizeof(UniqueId) == 128);

/// Makes a new id and starts its rendezvous in this process. With NCCL_COMM_ID=host:port the id is the same
/// in every process that has that setting, and rank 0 starts the rendezvous when it joins.
Result<UniqueId> createUniqueId();

}  // namespace tutti::control
