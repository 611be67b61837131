// Boards: slot rings with one writer and many readers. What a rank publishes, every rank that maps its
// segment reads in place.
//
// Slots are numbered by the communicator: call c, round r has the same number on every rank, whether or not
// it publishes there. A slot is written again only when every reader that its last use was for has
// acknowledged it.
//
// Thread safety: one thread per side at a time. SYNC POINT: SlotHeader::seq (or the LL flags) publishes the
// bytes; a reader's Counter (release, in the reader's own segment; acquire by the writer) gives the slot
// back.
#pragma once

#include <vector>

#include "transport/layout.hpp"

namespace tutti::transport {

/// Everybody's acknowledgements and doorbells, as the writer needs them. Null for ranks that are not
/// connected.
struct BoardPeer {
  Counter* ackToMe[kBoards] = {};  ///< in the peer's segment: what it has finished reading of my boards
  Counter* myAck[kBoards] = {};    ///< in my segment: what I have finished reading of its boards
  BoardView board[kBoards];        ///< the peer's boards
  Doorbell* doorbell = nullptr;
};

/// What a slot header says; see SlotHeader.
struct Publication {
  size_t bytes = 0;
  uint32_t signature = 0;
  Carrier carrier = Carrier::Slot;
  uint64_t address = 0;
  uint32_t allocation = 0;
  Carrier outCarrier = Carrier::Slot;
  uint64_t outAddress = 0;
  uint32_t outAllocation = 0;
  uint64_t pushed = 0;
};

class BoardWriter {
 public:
  BoardWriter() = default;
  BoardWriter(BoardView view, int index, int self)
      : view_(view),
        index_(index),
        self_(self),
        lastUse_(view.depth),
        lastUseLL_(kLLDepth),
        lastUseSmall_(kLLSmallDepth) {}

  /// Whether slot `seq` may be written: its last use has been read by all it was for.
  bool ready(const std::vector<BoardPeer>& peers, uint64_t seq) {
    return free(peers, lastUse_[seq % view_.depth]);
  }
  /// The same of an LL slot for `lines` lines.
  bool readyLL(const std::vector<BoardPeer>& peers, uint64_t seq, size_t lines) {
    return free(peers, lastUseLL(seq, lines));
  }
  /// Whether `reader` (-1: everyone) has finished reading slot `seq`.
  bool consumed(const std::vector<BoardPeer>& peers, uint64_t seq, int reader) {
    if (reader >= 0) return seen(peers, reader) >= seq || look(peers, reader) >= seq;
    if (allSeen_ >= seq) return true;
    uint64_t least = UINT64_MAX;
    for (size_t r = 0; r < peers.size(); ++r) {
      if (static_cast<int>(r) == self_) continue;
      uint64_t ack = seen(peers, r);
      if (ack < seq) ack = look(peers, r);
      if (ack < least) least = ack;
      if (least < seq) return false;
    }
    allSeen_ = least;
    return true;
  }
  /// It is known otherwise that everyone has finished reading slot `seq`.
  void sawConsumed(uint64_t seq) {
    if (allSeen_ < seq) allSeen_ = seq;
  }
  /// The same of one reader.
  void sawConsumed(const std::vector<BoardPeer>& peers, int reader, uint64_t seq) {
    if (seen(peers, reader) < seq) seen_[reader] = seq;
  }

  std::byte* slot(uint64_t seq) const { return view_.slot(seq); }
  LLLine* llSlot(uint64_t seq, size_t lines) const { return view_.ll.slot(seq, lines); }

  void publish(const std::vector<BoardPeer>& peers, uint64_t seq, int reader, const Publication& what) {
    SlotHeader& header = view_.header(seq);
    header.signature = what.signature;
    header.carrier = what.carrier;
    header.bytes = what.bytes;
    header.address = what.address;
    header.allocation = what.allocation;
    header.outCarrier = what.outCarrier;
    header.outAddress = what.outAddress;
    header.outAllocation = what.outAllocation;
    header.pushed = what.pushed;
    header.seq.store(seq, std::memory_order_release);
    lastUse_[seq % view_.depth] = {seq, reader};
    wake(peers, reader);
  }
  /// After the lines of llSlot(seq, lines) have been written with llFlag(seq, signature).
  void publishLL(const std::vector<BoardPeer>& peers, uint64_t seq, size_t lines, int reader) {
    lastUseLL(seq, lines) = {seq, reader};
    wake(peers, reader);
  }

 private:
  struct Use {
    uint64_t seq = 0;
    int reader = -1;
  };

  Use& lastUseLL(uint64_t seq, size_t lines) {
    return lines <= kLLSmallLines ? lastUseSmall_[seq % kLLSmallDepth] : lastUseLL_[seq % kLLDepth];
  }
  bool free(const std::vector<BoardPeer>& peers, const Use& use) {
    return use.seq == 0 || consumed(peers, use.seq, use.reader);
  }
  void wake(const std::vector<BoardPeer>& peers, int reader) {
    if (reader >= 0) {
      ring(*peers[reader].doorbell);
      return;
    }
    for (size_t r = 0; r < peers.size(); ++r) {
      if (static_cast<int>(r) != self_) ring(*peers[r].doorbell);
    }
  }

  uint64_t& seen(const std::vector<BoardPeer>& peers, size_t reader) {
    if (seen_.size() < peers.size()) seen_.resize(peers.size(), 0);
    return seen_[reader];
  }
  uint64_t look(const std::vector<BoardPeer>& peers, size_t reader) {
    return seen_[reader] = peers[reader].ackToMe[index_]->value.load(std::memory_order_acquire);
  }

  BoardView view_;
  int index_ = 0;
  int self_ = 0;
  std::vector<uint64_t> seen_;  ///< each reader's acknowledgement as last read
  uint64_t allSeen_ = 0;        ///< all readers have acknowledged at least this
  std::vector<Use> lastUse_;    ///< of each Simple slot
  std::vector<Use> lastUseLL_;  ///< of each large LL slot
  std::vector<Use> lastUseSmall_;
};

/// The header of slot `seq` of `peer`'s board once it is published, else null.
inline const SlotHeader* peekBoard(const BoardPeer& peer, int board, uint64_t seq) {
  const SlotHeader& header = peer.board[board].header(seq);
  return header.seq.load(std::memory_order_acquire) == seq ? &header : nullptr;
}

/// This reader is done with slot `seq` of `peer`'s board.
inline void acknowledge(const BoardPeer& peer, int board, uint64_t seq) {
  peer.myAck[board]->value.store(seq, std::memory_order_release);
  ring(*peer.doorbell);
}

}  // namespace tutti::transport
