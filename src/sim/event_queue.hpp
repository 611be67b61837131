// What happens next: a radix heap. Times never run backwards, which makes it faster than a binary heap: an
// event moves through few buckets, each written and read in one sweep.
//
// Events of equal time come out in the order in which they went in, so that a run is the same every time.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <vector>

#include "sim/big_vector.hpp"
#include "sim/stamp.hpp"

namespace tutti::sim {

enum class EventKind : uint32_t { Hop, Ready, Finish, Timer };

struct Event {
  TimePs time;
  uint32_t kindAndSubject;  ///< 2 bits of kind, then the message, lane or item
  uint32_t other;           ///< the link, or the rank

  Event() = default;
  Event(TimePs at, EventKind kind, uint32_t subject, uint32_t second)
      : time(at), kindAndSubject(static_cast<uint32_t>(kind) << 30 | subject), other(second) {}
  EventKind kind() const { return static_cast<EventKind>(kindAndSubject >> 30); }
  uint32_t subject() const { return kindAndSubject & 0x3fffffffu; }
};

class EventQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  /// REQUIRES event.time not before the last one popped.
  void push(const Event& event) {
    assert(event.time >= last_);
    put(event);
    ++size_;
  }

  /// REQUIRES !empty(). `soon(event, close)` is called for events that will be popped shortly; `close`: very
  /// shortly.
  template <typename Soon>
  Event pop(Soon soon) {
    if (head_ == buckets_[0].size()) refill(soon);
    --size_;
    return buckets_[0][head_++];
  }

 private:
  // Buckets of so few events, or this close in time, are about to be popped.
  static constexpr size_t kFew = 128;
  static constexpr size_t kClose = 16;
  size_t bucketOf(TimePs time) const {
    return static_cast<size_t>(std::bit_width(static_cast<uint64_t>(time ^ last_)));
  }
  void put(const Event& event) {
    const size_t b = bucketOf(event.time);
    buckets_[b].push_back(event);
    filled_ |= uint64_t{1} << b;
  }

  template <typename Soon>
  void refill(Soon soon) {
    buckets_[0].clear();
    head_ = 0;
    filled_ &= ~uint64_t{1};
    const auto b = static_cast<size_t>(std::countr_zero(filled_));
    BigVector<Event>& from = buckets_[b];
    TimePs least = from[0].time;
    for (const Event& e : from) least = e.time < least ? e.time : least;
    last_ = least;
    filled_ &= ~(uint64_t{1} << b);
    const bool few = from.size() <= kFew;
    const bool close = from.size() <= kClose;
    for (const Event& e : from) {
      put(e);
      if (few) soon(e, close);
    }
    from.clear();
  }

  std::array<BigVector<Event>, 64> buckets_;
  uint64_t filled_ = 0;  ///< a bit per bucket that holds something
  size_t head_ = 0;      ///< next of bucket 0
  size_t size_ = 0;
  TimePs last_ = 0;
};

}  // namespace tutti::sim
