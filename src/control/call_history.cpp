#include "control/call_history.hpp"

namespace tutti::control {

std::optional<CallRecord> CallHistory::find(uint64_t seq) const {
  if (seq == 0) return std::nullopt;
  const Slot& slot = slots_[seq % kSlots];
  // SYNC POINT reader: pairs with record(). The first load acquires the stored fields of `seq`; if a field
  // was of a later record, its acquire makes that record's seq = 0 (or newer) visible to the last load, which
  // then differs.
  if (slot.seq.load(std::memory_order_acquire) != seq) return std::nullopt;
  CallRecord call;
  call.seq = seq;
  call.signature = slot.signature.load(std::memory_order_acquire);
  call.count = slot.count.load(std::memory_order_acquire);
  const uint64_t kindFlags = slot.kindFlags.load(std::memory_order_acquire);
  const uint64_t rest = slot.rest.load(std::memory_order_acquire);
  if (slot.seq.load(std::memory_order_relaxed) != seq)
    return std::nullopt;  // relaxed: ordered by the acquires above
  call.kind = static_cast<uint32_t>(kindFlags >> 32);
  call.flags = static_cast<uint32_t>(kindFlags);
  call.root = static_cast<int32_t>(rest >> 32);
  call.dtype = static_cast<uint8_t>(rest >> 8);
  call.op = static_cast<uint8_t>(rest);
  return call;
}

}  // namespace tutti::control
