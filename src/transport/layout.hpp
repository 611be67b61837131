// What lies where in a rank's segment: the one description that all processes of a communicator share.
//
// A segment belongs to one rank of one communicator. It holds the rank's doorbell, its boards (others read
// them), the acknowledgements that it gives to other ranks' boards, and its inbox: one FIFO per sender and
// channel, which the sender writes. Memory is sparse: only pages that carry data exist, so the layout is
// sized for all ranks and connections cost nothing until used.
//
// The layout is versioned; attach() refuses a segment of another version or geometry.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transport/doorbell.hpp"

namespace tutti::transport {

inline constexpr int kChannels =
    3;  ///< FIFOs per direction of a pair: two for collectives, one for send/recv
inline constexpr int kP2pChannel = 2;
inline constexpr int kBoards = 2;    ///< boards per rank
inline constexpr int kSignals = 16;  ///< one-sided signal counters per sender
inline constexpr size_t kLineBytes = 64;
inline constexpr uint32_t kFreedSlots =
    32;                                   ///< the last so many freed allocations are told to peers by number
inline constexpr uint32_t kLLDepth = 16;  ///< LL slots of a FIFO or board
inline constexpr uint32_t kLLSmallDepth = 64;  ///< of those for messages of at most kLLSmallLines
inline constexpr size_t kLLSmallLines = 2;
inline constexpr size_t kLLLineData = 56;  ///< payload of a line that carries its own flag

/// How the bytes of a message are to be found.
enum class Carrier : uint32_t {
  Slot = 0,    ///< in the slot
  Direct = 1,  ///< at `address`, same process
  Shared = 2,  ///< at offset `address` of the sender's shared allocation `allocation`
  Remote = 3,  ///< at `address` of the sender's process: to be read with process_vm_readv
  Pushed = 4,  ///< where the reader wants them: the writer has put them there
};

/// The flag line of a Simple message. `seq` is stored last (release) and makes the rest visible.
struct alignas(kLineBytes) SlotHeader {
  std::atomic<uint64_t> seq;
  uint32_t signature;
  Carrier carrier;
  uint64_t bytes;
  uint64_t address;
  uint32_t allocation;
  // Boards only. Where the writer's output buffer begins, for readers that can put results there (Direct,
  // Shared), or Slot: not offered. And what this publication has put in place already: a bit per reader.
  Carrier outCarrier;
  uint64_t outAddress;
  uint32_t outAllocation;
  uint64_t pushed;
};
static_assert(sizeof(SlotHeader) == kLineBytes);

/// A line of an LL message: 56 bytes of data and a flag, stored last: sequence number above, signature below.
struct alignas(kLineBytes) LLLine {
  std::byte data[kLLLineData];
  std::atomic<uint64_t> flag;
};
static_assert(sizeof(LLLine) == kLineBytes);

/// The LL slots of a FIFO or a board. Messages of a line or two have slots of their own, one behind the
/// other: a stream of them stays on two pages, and its sender rarely has to ask how far the receiver has
/// come.
struct LLArea {
  LLLine* small = nullptr;
  LLLine* large = nullptr;
  uint32_t stride = 0;  ///< lines from a large slot to the next

  /// Of message `n` with `lines` lines.
  LLLine* slot(uint64_t n, size_t lines) const {
    return lines <= kLLSmallLines ? small + (n % kLLSmallDepth) * kLLSmallLines
                                  : large + (n % kLLDepth) * stride;
  }
  /// Of a message `n` that has not as many lines as was thought.
  const LLLine* otherSlot(uint64_t n, size_t lines) const {
    return slot(n, lines <= kLLSmallLines ? kLLSmallLines + 1 : 1);
  }
  static constexpr uint32_t depth(size_t lines) { return lines <= kLLSmallLines ? kLLSmallDepth : kLLDepth; }
};

struct alignas(kLineBytes) Counter {
  std::atomic<uint64_t> value;
};

/// Sizes that all ranks of a communicator agree on.
struct Geometry {
  int nRanks = 0;
  uint32_t depth = 4;             ///< slots of a FIFO
  size_t slotBytes = 128 * 1024;  ///< a multiple of 4096
  uint32_t boardDepth = 2;
  size_t boardBytes = 256 * 1024;  ///< a multiple of 4096; 0: no boards
  uint32_t llLines = 128;          ///< lines of one LL slot
  bool operator==(const Geometry&) const = default;

  /// One line more than a slot needs: first lines of slots a page apart would fight for one set of the L1
  /// cache.
  uint32_t llStride() const { return llLines + 1; }
  static constexpr size_t llSmallRegion() { return page(kLLSmallDepth * kLLSmallLines * kLineBytes); }
  size_t llRegion() const { return llSmallRegion() + page(kLLDepth * llStride() * kLineBytes); }
  size_t llBytes() const { return llLines * kLLLineData; }

  // Byte offsets within the segment.
  size_t doorbellOffset() const { return kPage; }
  size_t acksOffset() const { return 2 * kPage; }
  size_t signalsOffset() const { return acksOffset() + page(sizeof(Counter) * kBoards * nRanks); }
  size_t boardsOffset() const { return signalsOffset() + page(sizeof(uint64_t) * kSignals * nRanks); }
  size_t boardStride() const {
    if (boardBytes == 0) return 0;
    return page(sizeof(SlotHeader) * boardDepth) + llRegion() + boardDepth * boardBytes;
  }
  size_t inboxOffset() const { return boardsOffset() + kBoards * boardStride(); }
  size_t fifoStride() const { return kPage + llRegion() + depth * slotBytes; }
  size_t totalBytes() const { return inboxOffset() + static_cast<size_t>(nRanks) * kChannels * fifoStride(); }

  static constexpr size_t kPage = 4096;
  static constexpr size_t page(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
};

/// Which of the owner's shared allocations are gone, so that peers unmap them: a ring of their numbers.
/// SYNC POINT: `count` (release by the owner, acquire by peers) publishes the numbers before it.
struct FreedList {
  std::atomic<uint64_t> count;
  std::atomic<uint32_t> numbers[kFreedSlots];
};

/// First page of a segment.
struct SegmentHeader {
  static constexpr uint64_t kMagic = 0x5455545449534547;  // "TUTTISEG"
  static constexpr uint32_t kVersion = 3;
  uint64_t magic;
  uint32_t version;
  int32_t rank;
  uint64_t commHash;
  Geometry geometry;
  FreedList freed;
};
static_assert(sizeof(SegmentHeader) <= Geometry::kPage);

/// A FIFO as one side sees it: pointers into the receiver's segment (or into a network proxy's memory).
struct FifoView {
  Counter* head = nullptr;  ///< messages taken, written by the receiver
  SlotHeader* headers = nullptr;
  LLArea ll;
  std::byte* slots = nullptr;
  uint32_t depth = 0;
  size_t slotBytes = 0;

  SlotHeader& header(uint64_t n) const { return headers[n % depth]; }
  std::byte* slot(uint64_t n) const { return slots + (n % depth) * slotBytes; }
};

/// A board as writer or reader sees it.
struct BoardView {
  SlotHeader* headers = nullptr;
  LLArea ll;
  std::byte* slots = nullptr;
  uint32_t depth = 0;
  size_t slotBytes = 0;

  SlotHeader& header(uint64_t n) const { return headers[n % depth]; }
  std::byte* slot(uint64_t n) const { return slots + (n % depth) * slotBytes; }
};

FifoView fifoAt(std::byte* segment, const Geometry& geometry, int sender, int channel);
/// A FIFO laid out in `memory` of geometry.fifoStride() zeroed bytes, for network proxies.
FifoView fifoIn(std::byte* memory, const Geometry& geometry);
BoardView boardAt(std::byte* segment, const Geometry& geometry, int board);
/// The acknowledgement that the segment's owner gives to `writer`'s board.
Counter& ackAt(std::byte* segment, const Geometry& geometry, int board, int writer);
/// How often `sender` has raised signal `index` of the segment's owner.
std::atomic<uint64_t>& signalAt(std::byte* segment, const Geometry& geometry, int sender, int index);
Doorbell& doorbellAt(std::byte* segment, const Geometry& geometry);

}  // namespace tutti::transport
