#include "algos/plan.hpp"

#include <algorithm>

namespace tutti::algos {
namespace {

// Chunks are cut at multiples of this many bytes, so that vectors and cache lines stay whole.
constexpr size_t kAlignBytes = 64;

size_t alignedUp(size_t elements, size_t elementBytes) {
  size_t unit = std::max<size_t>(1, kAlignBytes / elementBytes);
  return (elements + unit - 1) / unit * unit;
}

}  // namespace

Extent Plan::partOf(const Lane& lane) const {
  if (lane.parts <= 1) return {0, request.count};
  size_t share = alignedUp((request.count + lane.parts - 1) / lane.parts, request.elementBytes());
  size_t begin = std::min(request.count, share * lane.part);
  size_t end = std::min(request.count, begin + share);
  return {begin, end - begin};
}

int64_t Plan::rounds(const Lane& lane) const {
  size_t perRound = layout == Layout::Split ? chunkCount * nBlocks : chunkCount;
  if (lane.parts <= 1 && request.count <= perRound) return request.count > 0;  // the small call: no division
  return static_cast<int64_t>((partOf(lane).count + perRound - 1) / perRound);
}

Extent Plan::extent(const Lane& lane, int64_t round, int block) const {
  if (lane.parts <= 1 && nBlocks == 1) {  // the most common shape, and the one of small calls: no division
    size_t begin = std::min(request.count, static_cast<size_t>(round) * chunkCount);
    return {begin, std::min(chunkCount, request.count - begin)};
  }
  Extent part = partOf(lane);
  if (layout == Layout::PerRank) {
    size_t begin = std::min(part.count, static_cast<size_t>(round) * chunkCount);
    size_t length = std::min(chunkCount, part.count - begin);
    return {static_cast<size_t>(block) * request.count + part.offset + begin, length};
  }
  size_t perRound = chunkCount * nBlocks;
  size_t begin = std::min(part.count, static_cast<size_t>(round) * perRound);
  size_t left = part.count - begin;
  // The last round shares what is left evenly, so that no rank idles while another moves a whole chunk.
  size_t chunk =
      left >= perRound
          ? chunkCount
          : std::min(chunkCount, alignedUp((left + nBlocks - 1) / nBlocks, request.elementBytes()));
  size_t blockBegin = std::min(left, chunk * static_cast<size_t>(block));
  return {part.offset + begin + blockBegin, std::min(chunk, left - blockBegin)};
}

Extent Plan::scratchExtent(const Lane& lane, int64_t round, int block) const {
  return {static_cast<size_t>(block) * chunkCount, extent(lane, round, block % nBlocks).count};
}

int64_t Plan::boardRounds() const {
  if (!usesBoards) return 0;
  int64_t most = 0;
  for (const Lane& lane : lanes) most = std::max(most, rounds(lane));
  return most;
}

std::string nameOf(const Step& step) {
  bool reading = step.readFrom != Reads::None;
  bool receiving = step.recvFrom.count > 0;
  std::string name;
  if (reading) {
    name = step.reduces ? "readReduce" : "read";
  } else if (receiving) {
    name = step.reduces ? "recvReduce" : "recv";
  }
  if (step.dst.buffer != Buffer::None) {
    // A plain receive is called "recv", not "recvCopy", unless it also sends.
    bool plain = (receiving || reading) && !step.reduces && step.sendTo.count == 0 && !step.publishes;
    if (!plain) name += name.empty() ? "copy" : "Copy";
  }
  if (step.sendTo.count > 0) name += name.empty() ? "send" : "Send";
  if (step.publishes) name += name.empty() ? "publish" : "Publish";
  return name.empty() ? "nop" : name;
}

}  // namespace tutti::algos
