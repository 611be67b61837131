#include "transport/links.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "core/log.hpp"

namespace tutti::transport {
namespace {

constexpr uint32_t kSegmentName = 1;
constexpr uint32_t kFirstAllocationName = 16;

}  // namespace

std::string_view nameOf(Route route) {
  constexpr std::string_view kNames[] = {"self", "thread", "shm", "tcp"};
  return kNames[static_cast<int>(route)];
}

Result<std::unique_ptr<Links>> Links::create(control::ControlPlane& control, const LinkOptions& options) {
  registerDoorbells();
  Geometry geometry = options.geometry;
  geometry.nRanks = control.nRanks();
  std::unique_ptr<Links> links(new Links(control, geometry));
  const int n = control.nRanks();
  TUTTI_ASSIGN(links->segment_, Segment::create(control.commHash(), control.rank(), geometry));
  TUTTI_ASSIGN(UniqueFd fd, links->segment_->duplicateFd());
  control.offerFd(kSegmentName, std::move(fd));
  publishLocalSegment(control.commHash(), control.rank(), links->segment_);
  links->chooseRoutes(options.forceNetwork);
  links->peerSegments_.resize(n);
  links->peerFreedSeen_.resize(n);
  links->peerSegments_[control.rank()] = links->segment_;
  links->sendEnds_.resize(static_cast<size_t>(n) * kChannels);
  links->recvEnds_.resize(static_cast<size_t>(n) * kChannels);
  return links;
}

Links::~Links() {
  if (proxy_) {
    Status flushed = proxy_->flush({Deadline::afterMs(5000), nullptr});
    if (!flushed.ok())
      TUTTI_INFO(Net, "rank {} closes its connections: {}", rank(), flushed.error().message());
    proxy_.reset();
  }
  withdrawLocalSegment(control_.commHash(), control_.rank());
  for (auto& [key, mapping] : mappings_) munmap(mapping.base, mapping.bytes);
}

void Links::chooseRoutes(bool forceNetwork) {
  const int n = nRanks();
  routes_.resize(n);
  allLocal_ = allThreads_ = true;
  for (int peer = 0; peer < n; ++peer) {
    Route route = Route::Tcp;
    if (peer == rank()) {
      route = Route::Self;
    } else if (!forceNetwork && control_.sameProcess(peer)) {
      route = Route::Thread;
    } else if (!forceNetwork && control_.sameHost(peer)) {
      route = Route::Shm;
    }
    routes_[peer] = route;
    allLocal_ &= route != Route::Tcp;
    allThreads_ &= route == Route::Self || route == Route::Thread;
  }
  // The answer must be the same on all ranks, so it is about all pairs: one host for everybody, not only seen
  // from here.
  for (int peer = 0; peer < n && allThreads_; ++peer) allThreads_ = control_.sameProcess(peer);
}

Result<NetProxy*> Links::proxy() {
  if (!proxy_) {
    TUTTI_ASSIGN(proxy_, makeTcpProxy(control_, geometry_, doorbell()));
  }
  return proxy_.get();
}

Result<Segment*> Links::segmentOf(int peer, const control::Wait& wait) {
  if (!peerSegments_[peer]) {
    if (routes_[peer] == Route::Thread) {
      peerSegments_[peer] = findLocalSegment(control_.commHash(), peer);
      if (!peerSegments_[peer]) {
        return makeError(Code::RemoteError,
                         "rank {} (a thread of this process) has destroyed the communicator", peer);
      }
    } else {
      TUTTI_ASSIGN(UniqueFd fd, control_.fetchFd(peer, kSegmentName, wait));
      TUTTI_ASSIGN(peerSegments_[peer], Segment::attach(std::move(fd), control_.commHash(), peer, geometry_));
    }
    TUTTI_INFO(Shm, "rank {} reaches rank {} via {}", rank(), peer, nameOf(routes_[peer]));
  }
  return peerSegments_[peer].get();
}

Status Links::connectSend(int peer, int channel, const control::Wait& wait) {
  auto& slot = sendEnds_[static_cast<size_t>(channel) * nRanks() + peer];
  if (slot) return {};
  auto end = std::make_unique<SendEnd>();
  if (routes_[peer] == Route::Tcp) {
    TUTTI_ASSIGN(NetProxy * net, proxy());
    TUTTI_ASSIGN(end->fifo, net->outbound(peer, channel, wait));
    end->receiver = &net->doorbell();
  } else {
    TUTTI_ASSIGN(Segment * segment, segmentOf(peer, wait));
    end->fifo = segment->fifo(rank(), channel);
    end->receiver = &segment->doorbell();
  }
  slot = std::move(end);
  return {};
}

Status Links::connectRecv(int peer, int channel, const control::Wait& wait) {
  auto& slot = recvEnds_[static_cast<size_t>(channel) * nRanks() + peer];
  if (slot) return {};
  auto end = std::make_unique<RecvEnd>();
  if (routes_[peer] == Route::Tcp) {
    TUTTI_ASSIGN(NetProxy * net, proxy());
    TUTTI_ASSIGN(end->fifo, net->inbound(peer, channel, wait));
    end->sender = &net->doorbell();
  } else {
    // What a peer sent before it left lies in this rank's own segment: only its doorbell is gone, and nobody
    // sleeps there.
    Result<Segment*> segment = control_.hasLeft(peer) ? Result<Segment*>(nullptr) : segmentOf(peer, wait);
    const bool gone =
        segment.ok() ? *segment == nullptr : routes_[peer] == Route::Thread || control_.hasLeft(peer);
    if (!segment.ok() && !gone) return std::move(segment).error();
    end->fifo = segment_->fifo(peer, channel);
    end->sender = gone ? &nobody_ : &(*segment)->doorbell();
  }
  slot = std::move(end);
  return {};
}

Status Links::connectBoards(const control::Wait& wait) {
  if (!boardPeers_.empty()) return {};
  std::vector<BoardPeer> peers(nRanks());
  for (int peer = 0; peer < nRanks(); ++peer) {
    TUTTI_ASSIGN(Segment * segment, segmentOf(peer, wait));
    peers[peer].doorbell = &segment->doorbell();
    for (int board = 0; board < kBoards; ++board) {
      peers[peer].board[board] = segment->board(board);
      peers[peer].ackToMe[board] = &segment->ack(board, rank());
      peers[peer].myAck[board] = &segment_->ack(board, peer);
    }
  }
  for (int board = 0; board < kBoards; ++board) {
    boardWriters_.emplace_back(segment_->board(board), board, rank());
  }
  boardPeers_ = std::move(peers);
  return {};
}

std::optional<SharedSpot> Links::share(const void* buffer, size_t bytes) {
  if (freedCount() != freedSeen_) [[unlikely]]
    sweepOffers();
  std::optional<SharedSpot> spot = findShared(buffer, bytes);
  if (!spot) return std::nullopt;
  if (!offered_.contains(spot->allocation)) {
    auto fd = duplicateSharedFd(spot->allocation);
    if (!fd.ok()) return std::nullopt;
    control_.offerFd(kFirstAllocationName + spot->allocation, std::move(fd).value());
    offered_.insert(spot->allocation);
  }
  return spot;
}

void Links::sweepOffers() {
  freedSeen_ = freedCount();
  FreedList& list = segment_->freed();
  std::erase_if(offered_, [&](uint32_t allocation) {
    if (sharedBase(allocation) != nullptr) return false;
    control_.withdrawFd(kFirstAllocationName + allocation);
    const uint64_t count =
        list.count.load(std::memory_order_relaxed);  // relaxed: this thread alone writes it
    list.numbers[count % kFreedSlots].store(allocation, std::memory_order_relaxed);
    list.count.store(count + 1, std::memory_order_release);
    return true;
  });
}

void Links::sweepMappings(int peer) {
  const FreedList& list = peerSegments_[peer]->freed();
  const uint64_t count = list.count.load(std::memory_order_acquire);
  uint64_t& seen = peerFreedSeen_[peer];
  if (count == seen) return;
  // A ring that has gone round does not tell all: then everything goes, and what is still alive is mapped
  // anew.
  const bool all = count - seen > kFreedSlots / 2;
  auto gone = [&](uint32_t allocation) {
    for (uint64_t i = seen; i < count; ++i) {
      if (list.numbers[i % kFreedSlots].load(std::memory_order_relaxed) == allocation) return true;
    }
    return false;
  };
  std::erase_if(mappings_, [&](const auto& entry) {
    if (static_cast<int>(entry.first >> 32) != peer) return false;
    if (!all && !gone(static_cast<uint32_t>(entry.first))) return false;
    munmap(entry.second.base, entry.second.bytes);
    return true;
  });
  seen = count;
}

Result<std::byte*> Links::mapped(int peer, uint32_t allocation, uint64_t offset, const control::Wait& wait) {
  if (routes_[peer] == Route::Thread || routes_[peer] == Route::Self) {
    auto* base = static_cast<std::byte*>(sharedBase(allocation));
    if (base == nullptr)
      return makeError(Code::InvalidUsage, "rank {} has freed the buffer of a call in progress", peer);
    return base + offset;
  }
  if (peerSegments_[peer]) sweepMappings(peer);
  Mapping& mapping = mappings_[static_cast<uint64_t>(peer) << 32 | allocation];
  if (mapping.base == nullptr) {
    TUTTI_ASSIGN(UniqueFd fd, control_.fetchFd(peer, kFirstAllocationName + allocation, wait));
    off_t bytes = lseek(fd.get(), 0, SEEK_END);
    if (bytes <= 0) return makeSystemError(errno, "looking at rank {}'s shared allocation", peer);
    void* base = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (base == MAP_FAILED)
      return makeSystemError(errno, "mapping {} bytes of rank {}'s shared allocation", bytes, peer);
    mapping = {static_cast<std::byte*>(base), static_cast<size_t>(bytes)};
  }
  if (offset >= mapping.bytes)
    return makeError(Code::InternalError, "offset {} lies outside rank {}'s allocation", offset, peer);
  return mapping.base + offset;
}

}  // namespace tutti::transport
