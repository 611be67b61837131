#include "control/fault.hpp"

namespace tutti::control {

std::string_view nameOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::None:
      return "none";
    case FaultKind::Dead:
      return "dead";
    case FaultKind::Aborted:
      return "aborted";
    case FaultKind::Mismatch:
      return "mismatch";
    case FaultKind::Revoked:
      return "revoked";
    case FaultKind::Timeout:
      return "timeout";
    case FaultKind::LocalError:
      return "error";
  }
  return "unknown";
}

Code codeOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::Mismatch:
      return Code::InvalidUsage;
    case FaultKind::Revoked:
      return Code::InvalidUsage;
    case FaultKind::Timeout:
      return Code::Timeout;
    default:
      return Code::RemoteError;
  }
}

Error errorOf(const Fault& fault) {
  return Error(codeOf(fault.kind), fault.text);
}

}  // namespace tutti::control
