// Words for writing algorithms down: block references, peers and steps, so that a builder reads like the
// paper.
#pragma once

#include <algorithm>

#include "algos/plan.hpp"

namespace tutti::algos::kit {

inline Affine fixed(int value) {
  return {value, 0, 0};
}
/// (base + stride*k) mod n
inline Affine walking(int base, int stride, int n) {
  return {((base % n) + n) % n, stride, n};
}

inline BlockRef input(Affine index, int span = 1) {
  return {Buffer::Input, index, span};
}
inline BlockRef output(Affine index, int span = 1) {
  return {Buffer::Output, index, span};
}
inline BlockRef scratch(Affine index, int span = 1) {
  return {Buffer::Scratch, index, span};
}
/// `span` blocks from `first` on, with block n-1 followed by block 0.
inline BlockRef ring(Buffer buffer, int first, int span, int n) {
  if (first % n + span <= n) return {buffer, fixed(first % n), span};
  return {buffer, walking(first, 0, n), span, 1, 1};
}

/// A step under construction: Make().from(prev).reduce(input(b)).to(next).times(n - 2)
class Make {
 public:
  Make& take(BlockRef src) {
    step_.src = src;
    return *this;
  }
  Make& from(Affine peer) {
    step_.recvFrom.add(peer);
    return *this;
  }
  Make& to(Affine peer) {
    step_.sendTo.add(peer);
    return *this;
  }
  Make& into(BlockRef dst) {
    step_.dst = dst;
    return *this;
  }
  /// Combines what comes in with the local block `own`.
  Make& reduce(BlockRef own, Order order = Order::PeerFirst) {
    step_.src = own;
    step_.reduces = true;
    step_.order = order;
    return *this;
  }
  Make& finish() {
    step_.finishes = true;
    return *this;
  }
  Make& times(int repeat) {
    step_.repeat = repeat;
    return *this;
  }
  Make& publish(int channel, int reader = -1) {
    step_.publishes = true;
    step_.publishChannel = static_cast<uint8_t>(channel);
    step_.publishFor = reader;
    return *this;
  }
  Make& readAll(int channel, Affine block) {
    step_.readFrom = Reads::All;
    step_.readChannel = static_cast<uint8_t>(channel);
    step_.readBlock = block;
    return *this;
  }
  Make& readOne(int channel, Affine peer, Affine block) {
    step_.readFrom = Reads::One;
    step_.readChannel = static_cast<uint8_t>(channel);
    step_.readPeer = peer;
    step_.readBlock = block;
    return *this;
  }
  operator Step() const { return step_; }  // NOLINT: implicit on purpose

 private:
  Step step_;
};

/// Adds the step unless it repeats zero times.
inline void add(Lane& lane, const Step& step) {
  if (step.repeat > 0) lane.steps.push_back(step);
}

/// Elements of a chunk such that `span` of them fit `bytes`, whole cache lines where possible, at least 1.
inline size_t chunkFor(const Request& request, size_t bytes, int span = 1) {
  size_t elements = bytes / span / request.elementBytes();
  size_t unit = std::max<size_t>(1, 64 / request.elementBytes());
  if (elements > unit) elements = elements / unit * unit;
  return std::max<size_t>(1, elements);
}

inline size_t messageBytes(Protocol protocol, const Limits& limits) {
  return protocol == Protocol::LL ? limits.llBytes : limits.slotBytes;
}
/// Lines of 56 bytes: each block of a published LL span starts a line of its own.
inline constexpr size_t kLLLineData = 56;

/// Elements of a chunk such that `span` of them fit a board slot; 0 if not one element does.
inline size_t boardChunk(const Request& request, Protocol protocol, const Limits& limits, int span) {
  if (protocol == Protocol::LL)
    return limits.llBytes / kLLLineData / span * kLLLineData / request.elementBytes();
  return span * request.elementBytes() <= limits.boardBytes ? chunkFor(request, limits.boardBytes, span) : 0;
}

inline Plan planFor(const Request& request, Algorithm algorithm, Protocol protocol, int rank, Layout layout,
                    int nBlocks, size_t chunkCount) {
  Plan plan;
  plan.request = request;
  plan.algorithm = algorithm;
  plan.protocol = protocol;
  plan.rank = rank;
  plan.layout = layout;
  plan.nBlocks = nBlocks;
  plan.chunkCount = chunkCount;
  return plan;
}

}  // namespace tutti::algos::kit
