// From numbers to indices: open addressing, nothing is ever removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tutti::sim {

/// splitmix64's mixer: every bit of the result depends on every bit of `x`.
constexpr uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class FlatMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  /// The value of `key`, kNone where there is none yet: the caller then sets it. Valid until the next call.
  uint32_t& operator[](uint64_t key) {
    if (2 * (used_ + 1) > keys_.size()) grow();
    const size_t at = find(key);
    if (keys_[at] == kFree) {
      keys_[at] = key;
      values_[at] = kNone;
      ++used_;
    }
    return values_[at];
  }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;

  size_t find(uint64_t key) const {
    size_t at = mixed(key) & (keys_.size() - 1);
    while (keys_[at] != kFree && keys_[at] != key) at = (at + 1) & (keys_.size() - 1);
    return at;
  }
  void grow() {
    std::vector<uint64_t> keys(keys_.empty() ? 64 : 2 * keys_.size(), kFree);
    std::vector<uint32_t> values(keys.size(), kNone);
    keys.swap(keys_);
    values.swap(values_);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == kFree) continue;
      const size_t at = find(keys[i]);
      keys_[at] = keys[i];
      values_[at] = values[i];
    }
  }

  std::vector<uint64_t> keys_;
  std::vector<uint32_t> values_;
  size_t used_ = 0;
};

}  // namespace tutti::sim
