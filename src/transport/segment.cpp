#include "transport/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace tutti::transport {
namespace {

struct LocalSegments {
  std::mutex mutex;
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Segment>> byRank;
};

LocalSegments& localSegments() {
  static auto* segments = new LocalSegments;  // never destroyed: communicators may outlive static destructors
  return *segments;
}

}  // namespace

Result<std::shared_ptr<Segment>> Segment::map(UniqueFd fd, const Geometry& geometry) {
  void* base =
      mmap(nullptr, geometry.totalBytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (base == MAP_FAILED) {
    return makeSystemError(errno, "mapping {} bytes of shared memory", geometry.totalBytes());
  }
  // Sparse on purpose: a core dump of gigabytes of holes helps nobody.
  madvise(base, geometry.totalBytes(), MADV_DONTDUMP);
  return std::shared_ptr<Segment>(new Segment(std::move(fd), static_cast<std::byte*>(base), geometry));
}

Result<std::shared_ptr<Segment>> Segment::create(uint64_t commHash, int rank, const Geometry& geometry) {
  UniqueFd fd(memfd_create("tutti-segment", MFD_CLOEXEC));
  if (!fd) return makeSystemError(errno, "memfd_create for a shared-memory segment");
  if (ftruncate(fd.get(), static_cast<off_t>(geometry.totalBytes())) != 0) {
    return makeSystemError(errno, "growing a shared-memory segment to {} bytes", geometry.totalBytes());
  }
  TUTTI_ASSIGN(auto segment, map(std::move(fd), geometry));
  auto* header = new (segment->base()) SegmentHeader{};
  header->rank = rank;
  header->commHash = commHash;
  header->geometry = geometry;
  header->version = SegmentHeader::kVersion;
  header->magic = SegmentHeader::kMagic;
  return segment;
}

Result<std::shared_ptr<Segment>> Segment::attach(UniqueFd fd, uint64_t commHash, int rank,
                                                 const Geometry& geometry) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return makeSystemError(errno, "looking at rank {}'s shared-memory segment", rank);
  if (static_cast<size_t>(info.st_size) != geometry.totalBytes()) {
    return makeError(Code::InvalidUsage,
                     "rank {}'s shared-memory segment has {} bytes, not {}: the ranks run with different "
                     "TUTTI_SLOT_BYTES, "
                     "TUTTI_FIFO_DEPTH or different versions of this library",
                     rank, info.st_size, geometry.totalBytes());
  }
  TUTTI_ASSIGN(auto segment, map(std::move(fd), geometry));
  const auto* header = reinterpret_cast<const SegmentHeader*>(segment->base());
  if (header->magic != SegmentHeader::kMagic || header->version != SegmentHeader::kVersion ||
      header->rank != rank || header->commHash != commHash || !(header->geometry == geometry)) {
    return makeError(Code::InternalError, "rank {}'s shared-memory segment is not one of this communicator",
                     rank);
  }
  return segment;
}

Segment::~Segment() {
  munmap(base_, geometry_.totalBytes());
}

Result<UniqueFd> Segment::duplicateFd() const {
  UniqueFd copy(fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return makeSystemError(errno, "duplicating a segment's descriptor");
  return copy;
}

size_t Segment::residentBytes() const {
  struct stat info {};
  return fstat(fd_.get(), &info) == 0 ? static_cast<size_t>(info.st_blocks) * 512 : 0;
}

/// Slots and LL lines; headers and counters, which carry numbers, lie in pages of their own.
std::vector<Segment::Range> Segment::payload() const {
  std::vector<Range> ranges;
  const Geometry& g = geometry_;
  if (g.boardBytes > 0) {
    const size_t bytes = g.llRegion() + g.boardDepth * g.boardBytes;
    for (size_t i = 1; i <= kBoards; ++i)
      ranges.push_back({g.boardsOffset() + i * g.boardStride() - bytes, bytes});
  }
  for (size_t i = 0; i < static_cast<size_t>(g.nRanks) * kChannels; ++i) {
    ranges.push_back(
        {g.inboxOffset() + i * g.fifoStride() + Geometry::kPage, g.llRegion() + g.depth * g.slotBytes});
  }
  return ranges;
}

size_t Segment::payloadBytes() const {
  size_t pages = 0;
  std::vector<unsigned char> there;
  for (const Range& range : payload()) {
    there.assign(range.bytes / Geometry::kPage, 0);
    if (mincore(base_ + range.offset, range.bytes, there.data()) != 0) continue;
    for (const unsigned char page : there) pages += page & 1;
  }
  return pages * Geometry::kPage;
}

void Segment::dropPayload() {
  // What has been sent and not been taken yet: by sends alone, which use no LL lines.
  const auto waits = [](const FifoView& fifo) {
    const uint64_t taken = fifo.head->value.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < fifo.depth; ++i)
      if (fifo.headers[i].seq.load(std::memory_order_acquire) > taken) return true;
    return false;
  };
  std::vector<Range> ranges = payload();
  unsigned char there = 0;
  for (int sender = 0; sender < geometry_.nRanks; ++sender) {
    for (int channel = 0; channel < kChannels; ++channel) {
      // A look at an untouched FIFO would make its page.
      const FifoView view = fifo(sender, channel);
      if (mincore(view.head, Geometry::kPage, &there) != 0 || (there & 1) == 0 || !waits(view)) continue;
      const auto offset =
          static_cast<size_t>(reinterpret_cast<std::byte*>(view.head) - base_) + Geometry::kPage;
      std::erase_if(ranges, [&](const Range& range) { return range.offset == offset; });
    }
  }
  for (const Range& range : ranges) {
    fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
              static_cast<off_t>(range.bytes));
  }
}

void publishLocalSegment(uint64_t commHash, int rank, std::shared_ptr<Segment> segment) {
  std::lock_guard lock(localSegments().mutex);
  localSegments().byRank[{commHash, rank}] = std::move(segment);
}

void withdrawLocalSegment(uint64_t commHash, int rank) {
  std::lock_guard lock(localSegments().mutex);
  localSegments().byRank.erase({commHash, rank});
}

std::shared_ptr<Segment> findLocalSegment(uint64_t commHash, int rank) {
  std::lock_guard lock(localSegments().mutex);
  auto it = localSegments().byRank.find({commHash, rank});
  return it == localSegments().byRank.end() ? nullptr : it->second;
}

}  // namespace tutti::transport
