// One rank's buffer in a check: what is written before the call, and what must be there after it, guard bytes
// included.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "collective.hpp"
#include "pattern.hpp"

namespace tutti::perf {

/// Bytes before and after the data that a call must not touch. The owner of the memory keeps them free.
inline constexpr size_t kGuardBytes = 256;

/// Wrong elements of one comparison, with the first one told.
struct Verdict {
  size_t wrong = 0;
  std::string story;  ///< empty when nothing is wrong

  void add(const Verdict& other);
};

/// The `bytes` bytes at `base`, as pieces over a ground of guard bytes.
class Region {
 public:
  /// `elements`: the length; pieces may not reach beyond it.
  Region(const Pattern& pattern, size_t elements) : pattern_(pattern), elements_(elements) {}

  /// Lays pieces `offset` elements from the region's begin; later pieces cover earlier ones.
  void lay(const std::vector<Piece>& pieces, size_t offset);

  /// Writes guards, ground and pieces. REQUIRES kGuardBytes writable before and after.
  void write(void* base) const;
  /// Compares everything that write() would have written. `label` goes into the story.
  Verdict compare(const void* base, const std::string& label) const;

 private:
  struct Ground {
    size_t first;
    size_t count;
  };
  std::vector<Ground> uncovered() const;

  Pattern pattern_;
  size_t elements_;
  std::vector<Piece> pieces_;  ///< disjoint; `at` counts from the region's begin
};

/// The two regions of a rank; in place only `receive` is used.
struct RankRegions {
  Region sendBefore, receiveBefore;
  Region receiveAfter;
};
RankRegions regionsOf(const Collective& collective, const Pattern& pattern, const Place& place, bool inPlace);

}  // namespace tutti::perf
