// What this rank has called lately: the last 128 calls, written by the calling thread with plain stores, read
// by the service thread when another rank asks why it waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace tutti::control {

/// One call on a communicator, in numbers only; the layer above knows what they mean. Two ranks made the same
/// call if and only if `signature` is equal.
struct CallRecord {
  uint64_t seq = 0;        ///< 1, 2, 3, ... per communicator
  uint64_t signature = 0;  ///< what must be equal on all ranks
  uint64_t count = 0;
  uint32_t kind = 0;
  uint32_t flags = 0;
  int32_t root = -1;
  uint8_t dtype = 0;
  uint8_t op = 0;
};

/// Thread safety: one writer at a time (record); any number of readers. A reader never sees a torn record: it
/// gets none.
class CallHistory {
 public:
  static constexpr size_t kSlots = 128;

  /// Stores `call`; REQUIRES call.seq > last(). A few plain stores on x86: no fence, no read-modify-write.
  void record(const CallRecord& call) {
    Slot& slot = slots_[call.seq % kSlots];
    // SYNC POINT writer: seq = 0 (torn) is stored before any new field, the new seq after all of them. The
    // field stores are release so that a reader that saw one of them also sees the 0 or what came after it.
    slot.seq.store(0, std::memory_order_relaxed);  // relaxed: ordered before the fields by their release
    slot.signature.store(call.signature, std::memory_order_release);
    slot.count.store(call.count, std::memory_order_release);
    slot.kindFlags.store(uint64_t{call.kind} << 32 | call.flags, std::memory_order_release);
    slot.rest.store(uint64_t{static_cast<uint32_t>(call.root)} << 32 | uint64_t{call.dtype} << 8 | call.op,
                    std::memory_order_release);
    slot.seq.store(call.seq, std::memory_order_release);
    last_.store(call.seq, std::memory_order_release);
  }

  /// Sequence number of the newest call, 0 before the first.
  uint64_t last() const { return last_.load(std::memory_order_acquire); }

  /// The record of call `seq`; nothing if it has not been made, has been overwritten, or is being written.
  std::optional<CallRecord> find(uint64_t seq) const;

 private:
  struct Slot {
    std::atomic<uint64_t> seq{0};
    std::atomic<uint64_t> signature{0};
    std::atomic<uint64_t> count{0};
    std::atomic<uint64_t> kindFlags{0};
    std::atomic<uint64_t> rest{0};
  };
  std::array<Slot, kSlots> slots_;
  std::atomic<uint64_t> last_{0};
};

}  // namespace tutti::control
