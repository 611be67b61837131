// HandleTable: turns objects into opaque handles that can be checked, and back, without a lock.
//
// A handle is an address inside a reserved range that is never mapped, so no other pointer can be equal to
// one, and nobody can look through it. The address encodes a slot and a generation; a slot comes back with a
// new generation, so a handle that outlived its object is recognised until the slot was reused kGenerations
// times (slots are reused oldest first).
//
// Lifetime. find() gives a Pin; while any Pin exists, retire() waits and the object lives. There are two
// kinds:
//   - enter(): for the calls that move data, of which there is one at a time per handle. Plain stores; the
//   cost of making
//     them visible in time is paid by retire(), with membarrier(2).
//   - enterShared(): for calls that any thread may make at any time. Two atomic read-modify-writes.
//
// Thread safety: all calls from any thread; enter() on one handle by one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "api/asymmetric_barrier.hpp"
#include "core/clock.hpp"
#include "core/result.hpp"

namespace tutti::api {

/// Reserves `bytes` of address space without memory; 0 if the system refuses.
uintptr_t reserveAddresses(size_t bytes);

/// What a value that is not a live handle is.
enum class HandleState { Live, Null, Stale, Foreign };

template <typename T, int kSlotBits = 12, int kGenerationBits = 10>
class HandleTable {
 public:
  static constexpr uint32_t kSlots = 1u << kSlotBits;
  static constexpr uint32_t kGenerations = 1u << kGenerationBits;
  static constexpr int kStepBits = 4;  // handles are 16 bytes apart, as malloc's pointers are
  static constexpr size_t kRangeBytes = size_t{1} << (kSlotBits + kGenerationBits + kStepBits);

 private:
  struct alignas(64) Slot {
    std::atomic<uint32_t> tag{0};     // 2 * generation, + 1 while live
    std::atomic<uint32_t> inside{0};  // 1 while a Pin of enter() exists; written by one thread at a time
    std::atomic<uint32_t> shared{0};  // Pins of enterShared()
    T* object = nullptr;              // published by `tag`
  };

 public:
  /// Keeps one object alive. Empty where the handle was not live.
  class Pin {
   public:
    Pin(Pin&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)), shared_(other.shared_) {}
    Pin& operator=(Pin&&) = delete;
    ~Pin() {
      if (slot_ == nullptr) return;
      // Release pairs with the acquire in retire(): what this call did to the object is done before it goes.
      if (shared_) {
        slot_->shared.fetch_sub(1, std::memory_order_release);
      } else {
        slot_->inside.store(0, std::memory_order_release);
      }
    }
    explicit operator bool() const { return slot_ != nullptr; }
    T& operator*() const { return *slot_->object; }
    T* operator->() const { return slot_->object; }

   private:
    friend class HandleTable;
    Pin(Slot* slot, bool shared) : slot_(slot), shared_(shared) {}
    Slot* slot_;
    bool shared_;
  };

  constexpr HandleTable() = default;
  HandleTable(const HandleTable&) = delete;
  HandleTable& operator=(const HandleTable&) = delete;

  /// A new handle for `object`. SystemError when all slots are in use or the address range cannot be had.
  Result<void*> insert(std::unique_ptr<T> object) {
    std::lock_guard lock(mutex_);
    if (base_.load(std::memory_order_relaxed) == 0) {
      prepareAsymmetricBarrier();
      uintptr_t base = reserveAddresses(kRangeBytes);
      if (base == 0)
        return makeError(Code::SystemError, "cannot reserve {} bytes of address space for handles",
                         kRangeBytes);
      base_.store(base, std::memory_order_relaxed);
    }
    uint32_t index;
    if (used_ < kSlots) {
      index = used_++;
    } else if (freeCount_ > 0) {
      index = free_[freeHead_];
      freeHead_ = (freeHead_ + 1) % kSlots;
      --freeCount_;
    } else {
      return makeError(Code::SystemError, "all {} handles are in use", kSlots);
    }
    Slot& slot = slots_[index];
    uint32_t generation = slot.tag.load(std::memory_order_relaxed) / 2;
    owners_[index] = std::move(object);
    slot.object = owners_[index].get();
    slot.tag.store(2 * generation + 1, std::memory_order_release);  // pairs with the acquire in enter()
    uintptr_t place = (static_cast<uintptr_t>(index) << kGenerationBits) + generation;
    return reinterpret_cast<void*>(base_.load(std::memory_order_relaxed) + (place << kStepBits));
  }

  Pin enter(const void* handle) {
    uint32_t liveTag;
    Slot* slot = decode(handle, &liveTag);
    // The first look keeps calls with a stale handle away from the flag of the slot's next owner.
    if (slot == nullptr || slot->tag.load(std::memory_order_relaxed) != liveTag) return Pin(nullptr, false);
    slot->inside.store(1, std::memory_order_relaxed);
    asymmetricLightBarrier();  // pairs with the heavy one in retire(): one of the two sees the other's store
    Pin pin(slot, false);
    if (slot->tag.load(std::memory_order_acquire) == liveTag) return pin;
    return Pin(nullptr, false);
  }

  Pin enterShared(const void* handle) {
    uint32_t liveTag;
    Slot* slot = decode(handle, &liveTag);
    if (slot == nullptr) return Pin(nullptr, true);
    slot->shared.fetch_add(
        1, std::memory_order_seq_cst);  // ordered before the load below, against retire()'s pair
    Pin pin(slot, true);
    if (slot->tag.load(std::memory_order_seq_cst) == liveTag) return pin;
    return Pin(nullptr, true);
  }

  /// Makes the handle invalid, waits until no Pin is left, and gives the object back. Null where the handle
  /// was not live. REQUIRES that the calling thread holds no Pin on it. Gives up waiting at `deadline`: the
  /// object is then leaked, because somebody is inside it, and the result is null with *stuck = true.
  std::unique_ptr<T> retire(const void* handle, const Deadline& deadline, bool* stuck) {
    *stuck = false;
    Slot* slot;
    uint32_t index;
    {
      std::lock_guard lock(mutex_);
      uint32_t liveTag;
      slot = decode(handle, &liveTag);
      if (slot == nullptr || slot->tag.load(std::memory_order_relaxed) != liveTag) return nullptr;
      index = static_cast<uint32_t>(slot - slots_.data());
      uint32_t next = (liveTag / 2 + 1) % kGenerations;
      slot->tag.store(2 * next, std::memory_order_seq_cst);
    }
    asymmetricHeavyBarrier();
    while (slot->inside.load(std::memory_order_acquire) != 0 ||
           slot->shared.load(std::memory_order_acquire) != 0) {
      if (deadline.expired()) {
        (void)owners_[index].release();  // the slot is never used again either
        *stuck = true;
        return nullptr;
      }
      sleepMicroseconds(50);
    }
    std::lock_guard lock(mutex_);
    std::unique_ptr<T> object = std::move(owners_[index]);
    free_[(freeHead_ + freeCount_++) % kSlots] = index;
    return object;
  }

  /// For messages; not for the hot path.
  HandleState classify(const void* handle) {
    if (handle == nullptr) return HandleState::Null;
    uint32_t liveTag;
    Slot* slot = decode(handle, &liveTag);
    if (slot == nullptr) return HandleState::Foreign;
    if (slot->tag.load(std::memory_order_acquire) == liveTag) return HandleState::Live;
    std::lock_guard lock(mutex_);
    return static_cast<uint32_t>(slot - slots_.data()) < used_ ? HandleState::Stale : HandleState::Foreign;
  }

 private:
  Slot* decode(const void* handle, uint32_t* liveTag) {
    // Relaxed: whoever has a handle got it after the store. Before the first insert base_ is 0, and small
    // numbers decode to slots that are not live.
    uintptr_t offset = reinterpret_cast<uintptr_t>(handle) - base_.load(std::memory_order_relaxed);
    if (offset >= kRangeBytes || (offset & ((1u << kStepBits) - 1)) != 0) return nullptr;
    uintptr_t place = offset >> kStepBits;
    *liveTag = 2 * static_cast<uint32_t>(place & (kGenerations - 1)) + 1;
    return &slots_[place >> kGenerationBits];
  }

  std::atomic<uintptr_t> base_{0};
  std::array<Slot, kSlots> slots_{};
  std::mutex mutex_;  // guards what follows
  std::array<std::unique_ptr<T>, kSlots> owners_{};
  uint32_t used_ = 0;  // slots that were ever used; all of them are, once, before any is reused
  std::array<uint32_t, kSlots> free_{};  // a ring: oldest first
  uint32_t freeHead_ = 0;
  uint32_t freeCount_ = 0;
};

/// A global that is never destroyed: threads may still use it while the process exits.
template <typename T>
union Immortal {
  constexpr Immortal() : value() {}
  ~Immortal() {}
  T value;
};

}  // namespace tutti::api
