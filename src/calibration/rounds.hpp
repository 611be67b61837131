// Rounds: a time, measured so often that other work on the machine does not matter, or else refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/clock.hpp"
#include "core/result.hpp"

namespace tutti::calibration {

/// Rounds are short beside a time slice, so other work spoils few of them and the best ones are right. How
/// right shows in how well they agree.
class Rounds {
 public:
  void add(double ns) { ns_.push_back(ns); }
  int count() const { return static_cast<int>(ns_.size()); }

  /// The median of the best three; an error where there are fewer, or the worst of them takes `tolerance`
  /// times as long as the best.
  Result<double> value(const char* what, double tolerance = 1.3) {
    if (ns_.size() < 3)
      return makeError(Code::Timeout, "{}: too little of the machine was left to measure it", what);
    std::partial_sort(ns_.begin(), ns_.begin() + 3, ns_.end());
    if (ns_[2] > tolerance * ns_[0])
      return makeError(Code::Timeout, "{}: the measurements do not agree ({:.0f} to {:.0f} ns)", what, ns_[0],
                       ns_[2]);
    return ns_[1];
  }

 private:
  std::vector<double> ns_;
};

/// Times `work`, which does its thing `n` times in about `roundNs`, for `sliceNs` or until `deadlineNs` of
/// nowNs(). Nanoseconds for one.
template <typename Work>
Result<double> timed(const char* what, int64_t sliceNs, int64_t deadlineNs, const Work& work) {
  constexpr int64_t kRoundNs = 20'000;
  work();  // brings its memory into the caches
  int64_t start = nowNs();
  work();
  const int repeat =
      static_cast<int>(std::clamp<int64_t>(kRoundNs / std::max<int64_t>(1, nowNs() - start), 1, 10000));
  Rounds rounds;
  const int64_t end = std::min(nowNs() + sliceNs, deadlineNs);
  for (int64_t now = nowNs(); (now < end || rounds.count() < 3) && now < deadlineNs; now = nowNs()) {
    for (int i = 0; i < repeat; ++i) work();
    rounds.add(static_cast<double>(nowNs() - now) / repeat);
  }
  return rounds.value(what);
}

}  // namespace tutti::calibration
