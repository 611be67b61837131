// Segment: a rank's piece of memory that its peers map too. A memfd: nothing is left behind after kill -9.
#pragma once

#include <memory>
#include <vector>

#include "core/result.hpp"
#include "core/unique_fd.hpp"
#include "transport/layout.hpp"

namespace tutti::transport {

/// Owns a mapping. Thread safety: immutable after creation; what it maps is shared by design.
class Segment {
 public:
  /// A new, zeroed segment for `rank`.
  static Result<std::shared_ptr<Segment>> create(uint64_t commHash, int rank, const Geometry& geometry);
  /// Maps a peer's segment; refuses one of another version, communicator, rank or geometry.
  static Result<std::shared_ptr<Segment>> attach(UniqueFd fd, uint64_t commHash, int rank,
                                                 const Geometry& geometry);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::byte* base() const { return base_; }
  const Geometry& geometry() const { return geometry_; }
  Result<UniqueFd> duplicateFd() const;
  /// Bytes of memory that exist now (pages that carry data).
  size_t residentBytes() const;
  /// Of these, what dropPayload() would give back.
  size_t payloadBytes() const;
  /// Gives back the memory of boards and of inbox FIFOs in which nothing waits; what others see of them is as
  /// in a new segment, but for the counters. REQUIRES that no rank moves data meanwhile.
  void dropPayload();

  FifoView fifo(int sender, int channel) const { return fifoAt(base_, geometry_, sender, channel); }
  BoardView board(int board) const { return boardAt(base_, geometry_, board); }
  Counter& ack(int board, int writer) const { return ackAt(base_, geometry_, board, writer); }
  std::atomic<uint64_t>& signal(int sender, int index) const {
    return signalAt(base_, geometry_, sender, index);
  }
  FreedList& freed() const { return reinterpret_cast<SegmentHeader*>(base_)->freed; }
  Doorbell& doorbell() const { return doorbellAt(base_, geometry_); }

 private:
  Segment(UniqueFd fd, std::byte* base, const Geometry& geometry)
      : fd_(std::move(fd)), base_(base), geometry_(geometry) {}
  static Result<std::shared_ptr<Segment>> map(UniqueFd fd, const Geometry& geometry);
  struct Range {
    size_t offset;
    size_t bytes;
  };
  std::vector<Range> payload() const;

  UniqueFd fd_;
  std::byte* base_;
  Geometry geometry_;
};

/// Segments of this process, so that ranks that are threads reach each other's without a second mapping.
void publishLocalSegment(uint64_t commHash, int rank, std::shared_ptr<Segment> segment);
void withdrawLocalSegment(uint64_t commHash, int rank);
std::shared_ptr<Segment> findLocalSegment(uint64_t commHash, int rank);

}  // namespace tutti::transport
