// The verifier's memory: user buffers in cells that hold symbolic values, and who last touched them. Internal
// to the verifier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "algos/verify_values.hpp"

namespace tutti::algos::verify {

/// Vector clock of a lane: how many plays of each other lane are known to be over.
using Clock = std::vector<uint32_t>;

inline void join(Clock& into, const Clock& other) {
  for (size_t i = 0; i < other.size(); ++i) into[i] = into[i] < other[i] ? other[i] : into[i];
}

/// One play: its lane (counted over all ranks), which play of the lane it was, and which step that was of.
struct Event {
  uint32_t lane = 0;
  uint32_t time = 0;  ///< 0: none
  uint32_t step = 0;

  bool before(const Clock& clock) const { return time <= clock[lane]; }
};

/// `count` elements that hold `value`; element i comes from element origin + i of the contributing inputs.
struct Piece {
  Value value = kNothing;
  size_t origin = 0;
  size_t count = 0;
};

/// Two accesses that nothing orders.
struct Conflict {
  Event other;
  bool otherWrites = false;
  size_t element = 0;
};

class Memory {
 public:
  struct Cell {
    size_t begin = 0, end = 0;
    Value value = kNothing;
    size_t origin = 0;
    Event writer;
    std::vector<Event> readers;  ///< since the last write, the latest of each lane
  };

  /// `cuts`: every offset at which an access may begin or end; `size` elements in all.
  void cut(std::vector<size_t> cuts, size_t size);
  size_t size() const { return cells_.empty() ? 0 : cells_.back().end; }
  std::span<const Cell> cells() const { return cells_; }

  void fill(size_t begin, size_t count, Value value, size_t origin);
  /// The contents of [begin, begin + count), appended to `out`. REQUIRES: begin and end are cuts.
  void look(size_t begin, size_t count, std::vector<Piece>& out) const;
  /// Notes a read. False: it is not ordered after the last write, see `conflict`.
  bool noteRead(size_t begin, size_t count, const Event& event, const Clock& clock, Conflict& conflict);
  /// Notes a write and stores. False: not ordered after an earlier access.
  bool write(size_t begin, std::span<const Piece> pieces, const Event& event, const Clock& clock,
             Conflict& conflict);
  /// Whether [begin, begin + count) is a row of whole cells.
  bool isCut(size_t begin, size_t count) const;

 private:
  size_t cellAt(size_t begin) const;
  std::vector<Cell> cells_;
};

}  // namespace tutti::algos::verify
