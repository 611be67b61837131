// PlanCache: the plans that a communicator has made, found again by what was called.
#pragma once

#include <memory>
#include <unordered_map>

#include "algos/plan.hpp"
#include "control/call_history.hpp"

namespace tutti::comm {

/// What makes two calls share a plan.
struct PlanKey {
  algos::Request request;
  uint64_t optionsHash = 0;  ///< of per-call options; 0: none
  int sendTo = -1;           ///< a send to this peer ...
  int recvFrom = -1;         ///< ... or a receive from it; request then holds count and type only
  bool operator==(const PlanKey&) const = default;
};

struct PlanKeyHash {
  size_t operator()(const PlanKey& key) const;
};

struct PlanEntry {
  PlanKey key;
  algos::Plan plan;
  control::CallRecord record;  ///< all but the sequence number
  uint32_t signature = 0;      ///< of messages
};

/// Thread safety: one thread at a time. Bounded: at kMost entries it starts anew.
class PlanCache {
 public:
  static constexpr size_t kMost = 4096;

  const PlanEntry* find(const PlanKey& key) {
    if (last_ != nullptr && last_->key == key) return last_;
    auto it = entries_.find(key);
    if (it == entries_.end()) return nullptr;
    return last_ = it->second.get();
  }
  const PlanEntry* insert(std::unique_ptr<PlanEntry> entry) {
    // Entries handed out before may be in use by a group that is being put together: retired, not destroyed.
    if (entries_.size() >= kMost) {
      retired_.swap(entries_);
      entries_.clear();
    }
    const PlanKey key = entry->key;
    return last_ = (entries_[key] = std::move(entry)).get();
  }

 private:
  std::unordered_map<PlanKey, std::unique_ptr<PlanEntry>, PlanKeyHash> entries_;
  std::unordered_map<PlanKey, std::unique_ptr<PlanEntry>, PlanKeyHash> retired_;
  const PlanEntry* last_ = nullptr;
};

/// Messages and call records of a request: equal on two ranks if and only if they made the same call.
uint64_t signatureOf(const algos::Request& request, bool counted);

}  // namespace tutti::comm
