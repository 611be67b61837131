// NetProxy: what a network transport implements. To the engine it looks like shared memory: a FIFO in this
// process that the proxy drains into the network (outbound) or fills from it (inbound). Flow control is the
// FIFO's own: a full inbound FIFO stops the proxy from reading, and the network's back-pressure stops the
// sender.
#pragma once

#include <memory>

#include "control/control_plane.hpp"
#include "transport/layout.hpp"

namespace tutti::transport {

/// One per rank and communicator. Thread safety: called by the rank's thread; its own work runs on threads of
/// its own.
class NetProxy {
 public:
  virtual ~NetProxy() = default;

  /// A FIFO whose messages travel to `peer`'s inbound FIFO of the same channel, in order. The view stays
  /// valid for the proxy's life. Does not wait for the peer's engine.
  virtual Result<FifoView> outbound(int peer, int channel, const control::Wait& wait) = 0;
  virtual Result<FifoView> inbound(int peer, int channel, const control::Wait& wait) = 0;
  /// To be rung after publishing to an outbound FIFO or taking from an inbound one.
  virtual Doorbell& doorbell() = 0;
  /// Blocks until every message published to outbound FIFOs has left this process, or the wait ends. Called
  /// before destruction.
  virtual Status flush(const control::Wait& wait) = 0;
};

/// TCP. `engine` is rung when a message has arrived or a slot has become free. Only Simple messages whose
/// bytes are in the slot (Carrier::Slot) may be published.
Result<std::unique_ptr<NetProxy>> makeTcpProxy(control::ControlPlane& control, const Geometry& geometry,
                                               Doorbell& engine);

}  // namespace tutti::transport
