#include "algos/verify_memory.hpp"

#include <algorithm>

namespace tutti::algos::verify {

void Memory::cut(std::vector<size_t> cuts, size_t size) {
  cells_.clear();
  cuts.push_back(0);
  cuts.push_back(size);
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  for (size_t i = 0; i + 1 < cuts.size() && cuts[i + 1] <= size; ++i) {
    cells_.push_back({cuts[i], cuts[i + 1], kNothing, 0, {}, {}});
  }
}

size_t Memory::cellAt(size_t begin) const {
  return std::lower_bound(cells_.begin(), cells_.end(), begin,
                          [](const Cell& cell, size_t at) { return cell.begin < at; }) -
         cells_.begin();
}

bool Memory::isCut(size_t begin, size_t count) const {
  const size_t first = cellAt(begin);
  if (first == cells_.size() || cells_[first].begin != begin) return false;
  const size_t end = cellAt(begin + count);
  return begin + count == size() || (end < cells_.size() && cells_[end].begin == begin + count);
}

void Memory::fill(size_t begin, size_t count, Value value, size_t origin) {
  for (size_t i = cellAt(begin); i < cells_.size() && cells_[i].begin < begin + count; ++i) {
    cells_[i].value = value;
    cells_[i].origin = origin + (cells_[i].begin - begin);
  }
}

void Memory::look(size_t begin, size_t count, std::vector<Piece>& out) const {
  const size_t start = out.size();
  for (size_t i = cellAt(begin); i < cells_.size() && cells_[i].begin < begin + count; ++i) {
    const Cell& cell = cells_[i];
    const size_t length = cell.end - cell.begin;
    if (out.size() > start && out.back().value == cell.value &&
        out.back().origin + out.back().count == cell.origin) {
      out.back().count += length;
    } else {
      out.push_back({cell.value, cell.origin, length});
    }
  }
}

bool Memory::noteRead(size_t begin, size_t count, const Event& event, const Clock& clock,
                      Conflict& conflict) {
  for (size_t i = cellAt(begin); i < cells_.size() && cells_[i].begin < begin + count; ++i) {
    Cell& cell = cells_[i];
    if (!cell.writer.before(clock)) {
      conflict = {cell.writer, true, cell.begin};
      return false;
    }
    auto same = std::find_if(cell.readers.begin(), cell.readers.end(),
                             [&](const Event& reader) { return reader.lane == event.lane; });
    if (same == cell.readers.end()) {
      cell.readers.push_back(event);
    } else {
      *same = event;
    }
  }
  return true;
}

bool Memory::write(size_t begin, std::span<const Piece> pieces, const Event& event, const Clock& clock,
                   Conflict& conflict) {
  size_t at = begin, used = 0, which = 0;  // `used` elements of pieces[which] are stored
  for (size_t i = cellAt(begin); i < cells_.size() && which < pieces.size(); ++i) {
    Cell& cell = cells_[i];
    if (!cell.writer.before(clock)) {
      conflict = {cell.writer, true, cell.begin};
      return false;
    }
    for (const Event& reader : cell.readers) {
      if (reader.before(clock)) continue;
      conflict = {reader, false, cell.begin};
      return false;
    }
    const size_t length = cell.end - cell.begin;
    cell.readers.clear();
    cell.writer = event;
    cell.value = pieces[which].value;
    cell.origin = pieces[which].origin + used;
    used += length;
    // A cell that holds the ends of two pieces holds no one value: whoever looks at it finds nothing.
    if (used > pieces[which].count) cell.value = kNothing;
    while (which < pieces.size() && used >= pieces[which].count) used -= pieces[which++].count;
    at += length;
  }
  return true;
}

}  // namespace tutti::algos::verify
