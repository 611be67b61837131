// A Plan is one rank's program for one collective: pure data, no pointers, no devices.
//
// Shape. A plan has lanes; lanes run side by side, each is a list of steps played in order. The data is cut
// into *rounds* of *blocks* of at most `chunkCount` elements: for every round, a lane plays each of its steps
// `repeat` times, and one play moves one chunk (or `span` neighbouring chunks) as one message. So a ring of
// 100 000 ranks is five steps.
//
// A step takes a value from up to three kinds of sources, and puts it in up to three kinds of places:
//   sources: a local block (src), chunks received from peers (recvFrom), chunks read off peers' boards
//   (readFrom) places:  a local block (dst), peers (sendTo), the own board (publishes)
// Several sources are combined with the call's operator, in the order that `order` states; every rank that
// computes the same block uses the same order or a commuted pair of it, so results agree bit for bit.
//
// Messages between two ranks on one channel arrive in order, each in one slot; a sender may be `depth`
// messages ahead. A *board* is a slot ring with one writer and many readers: what a rank publishes, every
// local peer can read in place. Board slots are numbered by (call, round), the same on every rank.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "algos/forest_trees.hpp"
#include "algos/rank_order.hpp"
#include "algos/request.hpp"
#include "core/result.hpp"

namespace tutti::algos {

/// A number that walks with a repeated step: at(k) = offset + (base + stride*k), the bracket wrapped into
/// [0, modulus) when modulus > 0.
struct Affine {
  int32_t base = 0;
  int32_t stride = 0;
  int32_t modulus = 0;
  int32_t offset = 0;

  /// `extra` is added inside the wrap.
  int at(int k, int64_t extra = 0) const {
    int64_t value = base + static_cast<int64_t>(stride) * k + extra;
    if (modulus > 0) {
      value %= modulus;
      if (value < 0) value += modulus;
    }
    return static_cast<int>(value + offset);
  }
  bool operator==(const Affine&) const = default;
};

/// Scratch: memory of the engine's for the length of a call, Plan::scratchBlocks blocks that every round uses
/// anew.
enum class Buffer : uint8_t { None, Input, Output, Scratch };

/// `span` blocks of a buffer: neighbours from index.at(k) on, or a pattern of them. One message (or one
/// value) holds them all, packed in the order of i. The pattern is made of runs: `run` blocks, `pace` apart,
/// and then the next run `jump` further on; the starts of runs wrap with the index.
struct BlockRef {
  Buffer buffer = Buffer::None;
  Affine index;
  int32_t span = 1;
  int32_t run = 0;  ///< blocks in a run; 0: all of them
  int32_t jump = 0;
  int32_t pace = 1;

  /// The i-th block at repetition k.
  int at(int k, int i) const {
    const int64_t in = run == 0 ? i : i % run;
    const int64_t start = run == 0 ? index.at(k) : index.at(k, static_cast<int64_t>(i / run) * jump);
    return static_cast<int>(start + in * pace);
  }
  bool operator==(const BlockRef&) const = default;
};

/// Up to kMax peers of one step.
struct Peers {
  static constexpr int kMax = 4;
  std::array<Affine, kMax> peer{};
  int32_t count = 0;

  void add(Affine p) { peer[count++] = p; }
  bool operator==(const Peers&) const = default;
};

/// In which order several sources are combined.
enum class Order : uint8_t {
  LocalFirst,  ///< local op received[0] op received[1] ...
  PeerFirst,   ///< received[0] op ... op local
  RankOrder,   ///< readFrom == All: rank 0's op rank 1's op ...; the own contribution is the local block
};

enum class Reads : uint8_t { None, All, One };

struct Step {
  BlockRef src;
  BlockRef dst;
  Peers recvFrom;
  Peers sendTo;
  Reads readFrom = Reads::None;
  Affine readPeer;   ///< Reads::One: whose board
  Affine readBlock;  ///< which block of the published span, counted from its first
  uint8_t readChannel = 0;
  bool publishes = false;  ///< puts the value on the own board, channel publishChannel
  uint8_t publishChannel = 0;
  int32_t publishFor = -1;  ///< the one rank that will read it, or -1: all ranks
  bool reduces = false;
  bool finishes =
      false;  ///< the value is complete: apply what the operator does last (Avg divides by nRanks)
  Order order = Order::LocalFirst;
  int32_t repeat = 1;
  bool operator==(const Step&) const = default;
};

/// The name of a step in the terms of the field: "send", "recvReduceCopySend", "publish", "readReduce",
/// "copy", ...
std::string nameOf(const Step& step);

struct Lane {
  uint8_t channel = 0;  ///< which connection of a pair it uses
  int32_t part = 0;     ///< this lane's share of the data: part of parts
  int32_t parts = 1;
  std::vector<Step> steps;
  bool operator==(const Lane&) const = default;
};

/// How block b of round r lies in the user's buffers.
enum class Layout : uint8_t {
  Split,    ///< one vector of `count` elements, each round cuts the next nBlocks chunks off it (AllReduce,
            ///< Broadcast)
  PerRank,  ///< nBlocks vectors of `count` elements, one after the other; round r is chunk r of each
            ///< (AllGather, ...)
};

/// Where a block chunk lies: element offset from the buffer's start, and length in elements.
struct Extent {
  size_t offset = 0;
  size_t count = 0;
};

struct Plan {
  Request request;
  Algorithm algorithm = Algorithm::Ring;
  Protocol protocol = Protocol::Simple;
  int rank = 0;
  Layout layout = Layout::Split;
  int32_t nBlocks = 1;
  size_t chunkCount = 1;  ///< elements of a block per round, at most
  bool usesBoards = false;
  int32_t scratchBlocks = 0;  ///< of chunkCount elements each
  std::vector<Lane> lanes;

  /// The most that a block brings to a publication; the same on all ranks.
  size_t publishedBytes() const { return std::min(chunkCount, request.count) * request.elementBytes(); }

  /// Elements of this lane's part of the vector (Split), or of each block (PerRank).
  Extent partOf(const Lane& lane) const;
  int64_t rounds(const Lane& lane) const;
  /// Block `block` of round `round`, in Input or Output (both have the same numbering; see inputOffset in the
  /// engine).
  Extent extent(const Lane& lane, int64_t round, int block) const;
  /// Scratch block `block`: where it lies in the scratch memory, whatever the round; it is as long as block
  /// (block mod nBlocks) of the round.
  Extent scratchExtent(const Lane& lane, int64_t round, int block) const;
  /// Most board rounds of any lane: how far a call moves the board numbering.
  int64_t boardRounds() const;

  bool operator==(const Plan&) const = default;
};

/// What the machine offers a plan: sizes of slots and of what one message may carry.
struct Limits {
  size_t slotBytes = 128 * 1024;   ///< payload of one message between two ranks, Simple
  size_t boardBytes = 256 * 1024;  ///< payload of one board slot, Simple
  size_t llMaxBytes = SIZE_MAX;    ///< calls of more bytes do not use LL
  size_t llBytes = 3584;           ///< payload of one LL message or LL board slot
  bool boards = false;             ///< every rank can read every rank's board
  int depth = 4;
  int ranksPerHost = 0;  ///< hosts hold this many consecutive ranks each; 0: they do not, or nobody knows
  int hostsPerSite = 0;  ///< likewise of hosts; 0: one site
  std::shared_ptr<const RankOrder> order;     ///< null: by number
  std::shared_ptr<const ForestTrees> forest;  ///< null: the machine's links were not packed
};

/// Text form, one line per step; parsePlan reads it back. See docs/plans.md.
std::string toText(const Plan& plan);
Result<Plan> parsePlan(std::string_view text);

}  // namespace tutti::algos
