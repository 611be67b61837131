// The two ends of a FIFO: one sender, one receiver, messages in order, at most `depth` on the way.
//
// Usage, sender:   if (end.ready()) { fill end.slot(); end.publish(bytes, signature); }
// Usage, receiver: if (const SlotHeader* h = end.peek()) { use it; end.release(); }
//
// Thread safety: one thread per end at a time. SYNC POINT: SlotHeader::seq (release by the sender, acquire by
// the receiver) publishes the slot's bytes; Counter head (release by the receiver, acquire by the sender)
// gives the slot back, so the sender never overwrites bytes that are still being read. LL lines carry their
// own flags in place of the header; the head is shared.
#pragma once

#include <cstdint>

#include "transport/layout.hpp"

namespace tutti::transport {

struct SendEnd {
  FifoView fifo;
  Doorbell* receiver = nullptr;
  uint64_t next = 0;      ///< number of the next message
  uint64_t headSeen = 0;  ///< the receiver's head as last read

  bool ready() { return within(fifo.depth); }
  /// The same for an LL message of `lines` lines: there are more of its slots.
  bool readyLL(size_t lines) { return within(LLArea::depth(lines)); }
  /// All messages before number `upTo` have been taken.
  bool consumed(uint64_t upTo) {
    if (headSeen >= upTo) return true;
    headSeen = fifo.head->value.load(std::memory_order_acquire);
    return headSeen >= upTo;
  }
  /// It is known otherwise that all messages before number `upTo` have been taken.
  void sawConsumed(uint64_t upTo) {
    if (headSeen < upTo) headSeen = upTo;
  }
  std::byte* slot() const { return fifo.slot(next); }
  LLLine* llSlot(size_t lines) const { return fifo.ll.slot(next, lines); }

  void publish(size_t bytes, uint32_t signature, Carrier carrier = Carrier::Slot, uint64_t address = 0,
               uint32_t allocation = 0) {
    SlotHeader& header = fifo.header(next);
    header.signature = signature;
    header.carrier = carrier;
    header.bytes = bytes;
    header.address = address;
    header.allocation = allocation;
    header.seq.store(next + 1, std::memory_order_release);
    ++next;
    ring(*receiver);
  }
  /// After the lines of llSlot() have been written with llFlag(next, signature).
  void publishLL() {
    ++next;
    ring(*receiver);
  }

 private:
  bool within(uint32_t depth) {
    if (next - headSeen < depth) return true;
    headSeen = fifo.head->value.load(std::memory_order_acquire);
    return next - headSeen < depth;
  }
};

struct RecvEnd {
  FifoView fifo;
  Doorbell* sender = nullptr;
  uint64_t next = 0;

  const SlotHeader* peek() const {
    const SlotHeader& header = fifo.header(next);
    return header.seq.load(std::memory_order_acquire) == next + 1 ? &header : nullptr;
  }
  const std::byte* slot() const { return fifo.slot(next); }
  const LLLine* llSlot(size_t lines) const { return fifo.ll.slot(next, lines); }

  void release() {
    ++next;
    fifo.head->value.store(next, std::memory_order_release);
    ring(*sender);
  }
};

}  // namespace tutti::transport
