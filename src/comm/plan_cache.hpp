// PlanCache: the plans that a communicator has made, found again by what was called.
#pragma once

#include <memory>
#include <unordered_map>

#include "algos/plan.hpp"
#include "control/call_history.hpp"
#include "engine/host/express.hpp"

namespace tutti::comm {

/// What makes two calls share a plan.
struct PlanKey {
  algos::Request request;
  uint64_t optionsHash = 0;  ///< of per-call options; 0: none
  int sendTo = -1;           ///< a send to this peer ...
  int recvFrom = -1;         ///< ... or a receive from it; request then holds count and type only
  bool shared = false;       ///< all ranks' buffers are within reach of all ranks
  bool operator==(const PlanKey&) const = default;
};

struct PlanKeyHash {
  size_t operator()(const PlanKey& key) const;
};

struct PlanEntry {
  PlanKey key;
  algos::Plan plan;
  engine::Express express;
  control::CallRecord record;  ///< all but the sequence number
  uint32_t signature = 0;      ///< of messages

  /// Calls that have ended well, up to kTrustedFrom; see Job::trusted.
  mutable uint32_t ended = 0;
  static constexpr uint32_t kTrustedFrom = 16;

  bool* sharedByAll = nullptr;  ///< Communicator::sharedFlag() of this call, if a play of the plan finds out

  /// A collective without options of its own.
  bool isPlainCall() const { return key.optionsHash == 0 && key.sendTo < 0 && key.recvFrom < 0; }
};

/// Thread safety: one thread at a time. Bounded: at kMost entries it starts anew, but not while it is held: a
/// group uses all its plans at once, however many they are.
class PlanCache {
 public:
  static constexpr size_t kMost = 4096;

  /// What find() or insert() gave last, or null.
  const PlanEntry* last() const { return last_; }
  const PlanEntry* find(const PlanKey& key) {
    if (last_ != nullptr && last_->key == key) return last_;
    auto it = entries_.find(key);
    if (it == entries_.end()) return nullptr;
    return last_ = it->second.get();
  }
  const PlanEntry* insert(std::unique_ptr<PlanEntry> entry) {
    if (entries_.size() >= kMost && !held_) clear();
    const PlanKey key = entry->key;
    return last_ = (entries_[key] = std::move(entry)).get();
  }
  /// While held, what find() and insert() have returned stays.
  void hold(bool held) { held_ = held; }
  size_t size() const { return entries_.size(); }
  /// REQUIRES that it is not held, and that nothing it returned is in use.
  void clear() {
    entries_.clear();
    last_ = nullptr;
  }

 private:
  std::unordered_map<PlanKey, std::unique_ptr<PlanEntry>, PlanKeyHash> entries_;
  const PlanEntry* last_ = nullptr;
  bool held_ = false;
};

/// Messages and call records of a request: equal on two ranks if and only if they made the same call.
uint64_t signatureOf(const algos::Request& request, bool counted);

}  // namespace tutti::comm
