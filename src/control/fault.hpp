// What can go wrong with a communicator as a whole. The first fault of a communicator stays; every rank hears
// of it.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.hpp"

namespace tutti::control {

enum class FaultKind : uint8_t {
  None = 0,
  Dead = 1,        ///< a rank's process is gone, or cannot be reached any more
  Aborted = 2,     ///< a rank called ncclCommAbort
  Mismatch = 3,    ///< two ranks made different calls
  Revoked = 4,     ///< a rank called ncclCommRevoke
  Timeout = 5,     ///< a rank gave up waiting
  LocalError = 6,  ///< a rank failed for a reason of its own
};

struct Fault {
  FaultKind kind = FaultKind::None;
  int rank = -1;     ///< the rank at fault (of this communicator), -1 if there is no one
  std::string text;  ///< for the user: names ranks, hosts, processes, calls
};

/// "dead", "aborted", ...
std::string_view nameOf(FaultKind kind);

/// The code that a call on a communicator with such a fault returns: Mismatch -> InvalidUsage, Timeout ->
/// Timeout, others -> RemoteError.
Code codeOf(FaultKind kind);

/// `fault` as the Error to return. REQUIRES kind != None.
Error errorOf(const Fault& fault);

/// ControlPlane::faultWord(): 0, or the kind in the low byte and rank + 1 above.
constexpr uint32_t packFault(FaultKind kind, int rank) {
  return static_cast<uint32_t>(kind) | static_cast<uint32_t>(rank + 1) << 8;
}
constexpr FaultKind faultKindOf(uint32_t word) {
  return static_cast<FaultKind>(word & 0xff);
}
constexpr int faultRankOf(uint32_t word) {
  return static_cast<int>(word >> 8) - 1;
}

}  // namespace tutti::control
