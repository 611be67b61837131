// Links: one rank's connections to all its peers, made when first asked for.
//
// Which way to a peer: the same process -> its segment directly (Thread); the same host -> its segment,
// mapped (Shm); elsewhere, or where TUTTI_TRANSPORT/NCCL_SHM_DISABLE say so -> a network proxy that offers
// the same FIFOs (Tcp).
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/control_plane.hpp"
#include "transport/board.hpp"
#include "transport/fifo.hpp"
#include "transport/memory.hpp"
#include "transport/net_proxy.hpp"
#include "transport/segment.hpp"

namespace tutti::transport {

enum class Route : uint8_t { Self, Thread, Shm, Tcp };
std::string_view nameOf(Route route);

struct LinkOptions {
  Geometry geometry;          ///< nRanks is set by create()
  bool forceNetwork = false;  ///< TCP even between ranks of one host
};

/// Thread safety: one thread at a time, as the rank itself. Lifetime: the ControlPlane outlives it.
class Links {
 public:
  /// Not collective, but peers can connect only after they have passed a barrier that follows everyone's
  /// create().
  static Result<std::unique_ptr<Links>> create(control::ControlPlane& control, const LinkOptions& options);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  int rank() const { return control_.rank(); }
  int nRanks() const { return control_.nRanks(); }
  Route route(int peer) const { return routes_[peer]; }
  /// Every rank can map every other's segment.
  bool allLocal() const { return allLocal_; }
  bool allThreads() const { return allThreads_; }
  const Geometry& geometry() const { return geometry_; }
  Doorbell& doorbell() const { return segment_->doorbell(); }
  Segment& segment() const { return *segment_; }
  /// The same, kept alive: for those who ring the doorbell from other threads.
  std::shared_ptr<Segment> sharedSegment() const { return segment_; }

  /// Makes the end exist. May block for a moment on first use of a peer.
  Status connectSend(int peer, int channel, const control::Wait& wait);
  Status connectRecv(int peer, int channel, const control::Wait& wait);
  /// Maps all peers' segments. REQUIRES allLocal().
  Status connectBoards(const control::Wait& wait);

  /// REQUIRES that the end has been connected.
  SendEnd& sendEnd(int channel, int peer) { return *sendEnds_[channel * nRanks() + peer]; }
  RecvEnd& recvEnd(int channel, int peer) { return *recvEnds_[channel * nRanks() + peer]; }
  BoardWriter& boardWriter(int board) { return boardWriters_[board]; }
  std::vector<BoardPeer>& boardPeers() { return boardPeers_; }

  /// Offers the allocation that holds a buffer to local peers and says where in it the buffer lies; nothing
  /// if it is private.
  std::optional<SharedSpot> share(const void* buffer, size_t bytes);
  /// `offset` in allocation `allocation` of `peer`, mapped here on first use.
  Result<std::byte*> mapped(int peer, uint32_t allocation, uint64_t offset, const control::Wait& wait);

  /// The doorbell of a peer whose segment is mapped already, else null.
  const Doorbell* doorbellOf(int peer) const {
    return peerSegments_[peer] ? &peerSegments_[peer]->doorbell() : nullptr;
  }
  /// The segment of a peer on this host, mapped on first use.
  Result<Segment*> segmentOf(int peer, const control::Wait& wait);
  /// The process id of a peer, for process_vm_readv.
  int pidOf(int peer) const { return static_cast<int>(control_.peer(peer).pid); }

 private:
  Links(control::ControlPlane& control, Geometry geometry) : control_(control), geometry_(geometry) {}
  void chooseRoutes(bool forceNetwork);
  /// Withdraws what has been freed here and tells the peers.
  void sweepOffers();
  /// Unmaps what `peer` has freed since the last look.
  void sweepMappings(int peer);
  Result<NetProxy*> proxy();

  struct Mapping {
    std::byte* base = nullptr;
    size_t bytes = 0;
  };

  control::ControlPlane& control_;
  Geometry geometry_;
  std::shared_ptr<Segment> segment_;
  Doorbell nobody_;  ///< in place of that of a peer that has left
  std::vector<std::shared_ptr<Segment>> peerSegments_;
  std::vector<Route> routes_;
  bool allLocal_ = false;
  bool allThreads_ = false;
  std::vector<std::unique_ptr<SendEnd>> sendEnds_;
  std::vector<std::unique_ptr<RecvEnd>> recvEnds_;
  std::vector<BoardWriter> boardWriters_;
  std::vector<BoardPeer> boardPeers_;
  std::unique_ptr<NetProxy> proxy_;
  std::unordered_map<uint64_t, Mapping> mappings_;  ///< by peer << 32 | allocation
  std::unordered_set<uint32_t> offered_;
  uint64_t freedSeen_ = 0;               ///< of this process, freedCount()
  std::vector<uint64_t> peerFreedSeen_;  ///< of each peer's FreedList
};

}  // namespace tutti::transport
