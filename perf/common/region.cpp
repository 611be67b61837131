#include "region.hpp"

#include <algorithm>
#include <cstring>

#include "numbers.hpp"

namespace tutti::perf {
namespace {

constexpr unsigned char kGuard = 0xa5;

/// Counts guard bytes that changed.
size_t disturbed(const unsigned char* at, size_t bytes) {
  size_t count = 0;
  for (size_t i = 0; i < bytes; ++i) count += at[i] != kGuard;
  return count;
}

}  // namespace

void Verdict::add(const Verdict& other) {
  wrong += other.wrong;
  if (story.empty()) story = other.story;
}

void Region::lay(const std::vector<Piece>& pieces, size_t offset) {
  for (Piece piece : pieces) {
    if (piece.count == 0) continue;
    piece.at += offset;
    size_t end = piece.at + piece.count;
    std::vector<Piece> kept;
    for (const Piece& old : pieces_) {
      size_t oldEnd = old.at + old.count;
      if (oldEnd <= piece.at || old.at >= end) {
        kept.push_back(old);
        continue;
      }
      if (old.at < piece.at) {
        Piece left = old;
        left.count = piece.at - old.at;
        kept.push_back(left);
      }
      if (oldEnd > end) {
        Piece right = old;
        right.at = end;
        right.first += end - old.at;
        right.count = oldEnd - end;
        kept.push_back(right);
      }
    }
    kept.push_back(piece);
    pieces_ = std::move(kept);
  }
  std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) { return a.at < b.at; });
}

std::vector<Region::Ground> Region::uncovered() const {
  std::vector<Ground> grounds;
  size_t at = 0;
  for (const Piece& piece : pieces_) {
    if (piece.at > at) grounds.push_back({at, piece.at - at});
    at = piece.at + piece.count;
  }
  if (at < elements_) grounds.push_back({at, elements_ - at});
  return grounds;
}

void Region::write(void* base) const {
  auto* bytes = static_cast<unsigned char*>(base);
  size_t size = sizeOf(pattern_.type);
  std::memset(bytes - kGuardBytes, kGuard, kGuardBytes);
  std::memset(bytes + elements_ * size, kGuard, kGuardBytes);
  for (const Ground& ground : uncovered())
    std::memset(bytes + ground.first * size, kGuard, ground.count * size);
  for (const Piece& piece : pieces_) {
    Stretch(pattern_, piece.source, piece.stream, piece.first, piece.count).write(bytes + piece.at * size);
  }
}

Verdict Region::compare(const void* base, const std::string& label) const {
  const auto* bytes = static_cast<const unsigned char*>(base);
  size_t size = sizeOf(pattern_.type);
  Verdict verdict;
  for (const Piece& piece : pieces_) {
    Stretch run(pattern_, piece.source, piece.stream, piece.first, piece.count);
    Stretch::Difference difference = run.compare(bytes + piece.at * size);
    if (difference.wrong == 0) continue;
    verdict.add({difference.wrong,
                 fmt::format("{}: {} wrong, first at element {}: expected {} (0x{:x}), got {} (0x{:x})",
                             label, difference.wrong, piece.at + difference.first,
                             asNumber(pattern_.type, difference.expected), difference.expected,
                             asNumber(pattern_.type, difference.got), difference.got)});
  }
  size_t outside =
      disturbed(bytes - kGuardBytes, kGuardBytes) + disturbed(bytes + elements_ * size, kGuardBytes);
  for (const Ground& ground : uncovered())
    outside += disturbed(bytes + ground.first * size, ground.count * size);
  if (outside > 0) {
    verdict.add(
        {outside, fmt::format("{}: {} bytes that the call must not touch were changed", label, outside)});
  }
  return verdict;
}

RankRegions regionsOf(const Collective& collective, const Pattern& pattern, const Place& place,
                      bool inPlace) {
  const Shape& shape = place.shape;
  auto rank = static_cast<size_t>(place.rank);
  std::vector<Piece> input = collective.input(place);
  std::vector<Piece> output = collective.output(place);
  if (!inPlace) {
    RankRegions regions{Region(pattern, shape.send), Region(pattern, shape.receive),
                        Region(pattern, shape.receive)};
    regions.sendBefore.lay(input, 0);
    regions.receiveAfter.lay(output, 0);
    return regions;
  }
  // In place one buffer holds both; it is as long as the longer of the two.
  size_t elements = std::max(shape.send, shape.receive);
  RankRegions regions{Region(pattern, 0), Region(pattern, elements), Region(pattern, elements)};
  regions.receiveBefore.lay(input, shape.sendInPlace * rank);
  regions.receiveAfter.lay(input, shape.sendInPlace * rank);
  regions.receiveAfter.lay(output, shape.receiveInPlace * rank);
  return regions;
}

}  // namespace tutti::perf
