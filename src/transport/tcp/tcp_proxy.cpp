#include "transport/net_proxy.hpp"

namespace tutti::transport {

Result<std::unique_ptr<NetProxy>> makeTcpProxy(control::ControlPlane&, const Geometry&, Doorbell&) {
  return makeError(Code::InvalidUsage, "the TCP transport is not built yet");
}

}  // namespace tutti::transport
