// PAT, parallel aggregated trees (Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter operations
// at scale", 2025): one binomial tree per block, all shifted copies of each other, played at once. A message
// carries the same edge of several trees, at most as many blocks as fit a slot: log2(n) steps for small
// blocks, n-1 for large ones, and never more than log2(n) slots of scratch.
//
//   AllGather      (n-1) * S sent per rank in n/a - 1 + log2(a) messages of up to a blocks
//   ReduceScatter  the same backwards
//
// The block of rank r - o (mod n) is at *offset* o. It goes to rank r+d from offset o to o+d, where d is
// below o's lowest bit: far first for AllGather, near first for ReduceScatter. The a trees of one message
// have offsets J = N/a apart, N the power of two from n on: distances of J and more go by halving over all
// trees at once ("high"); those below J, depth first ("low").
//
// Memory traffic per byte sent: AllGather reads the output and the slot and writes both; ReduceScatter reads
// slot and input, and writes a scratch block that is read again when it is sent.
#include <bit>

#include "algos/algorithm.hpp"
#include "algos/builder_kit.hpp"

namespace tutti::algos {
namespace {

using namespace kit;  // NOLINT: the words of this room

/// Trees that share a message: as many as fit a slot.
int aggregationFor(const Request& request, Protocol protocol, const Limits& limits) {
  const size_t most =
      std::max<size_t>(1, messageBytes(protocol, limits) / std::max<size_t>(1, request.bytes()));
  const auto all = std::bit_ceil(static_cast<unsigned>(request.nRanks));
  return static_cast<int>(std::bit_floor(std::min<size_t>(most, all)));
}

class Trees {
 public:
  Trees(int n, int rank, int aggregation)
      : n_(n),
        rank_(rank),
        all_(static_cast<int>(std::bit_ceil(static_cast<unsigned>(n)))),
        aggregation_(aggregation),
        low_(all_ / aggregation) {}

  Lane allGather() {
    add(lane_, Make().take(input(fixed(0))).into(output(fixed(rank_))));
    for (int d = all_ / 2; d >= low_; d /= 2) {
      exchange(behind(0, 2 * d, countFrom(d, 2 * d)), behind(d, 2 * d, countFrom(d, 2 * d)), d);
    }
    spread(0, low_);
    return std::move(lane_);
  }

  Lane reduceScatter() {
    Value sums = collect(0, low_, 0);
    for (int d = low_; d < all_; d *= 2) {
      const int given = countFrom(d, 2 * d);
      // Offsets d, 3d, 5d, ... of the sums leave; 0, 2d, 4d, ... take in what comes.
      sums = foldIn(sums, d, given, 2 * d / low_, d / low_, 0);
    }
    // The last reduction was that of the own block.
    Step& last = lane_.steps.back();
    last.dst = output(fixed(0));
    last.finishes = true;
    return std::move(lane_);
  }

  int scratchBlocks() const { return mostDepth_ * aggregation_; }

 private:
  /// The sums at offsets l, l + J, l + 2J, ...: still the input, or in scratch from `first` on.
  struct Value {
    int offset = 0;
    int count = 0;
    bool inScratch = false;
    int first = 0;
  };

  /// How many of first, first + apart, ... are below n.
  int countFrom(int first, int apart) const { return first >= n_ ? 0 : (n_ - 1 - first) / apart + 1; }
  Affine rankAt(int distance) const { return fixed(((rank_ + distance) % n_ + n_) % n_); }

  BlockRef pattern(Buffer buffer, int first, int apart, int count) const {
    BlockRef ref{buffer, count > 1 ? walking(first, 0, n_) : fixed((first % n_ + n_) % n_), count};
    if (count > 1) {
      ref.run = 1;
      ref.jump = apart;
    }
    return ref;
  }
  /// Output blocks at offsets o, o + apart, ...
  BlockRef behind(int o, int apart, int count) const {
    return pattern(Buffer::Output, rank_ - o, -apart, count);
  }

  void exchange(const BlockRef& give, const BlockRef& get, int d) {
    if (give.span == 0) return;
    add(lane_, Make().take(give).to(rankAt(d)));
    add(lane_, Make().from(rankAt(-d)).into(get));
  }

  /// AllGather, low: what is at offsets l, l+J, ... goes to l+d, l+d+J, ... for all d below `end`.
  void spread(int l, int end) {
    for (int d = end / 2; d > 0; d /= 2) {
      const int count = countFrom(l + d, low_);
      exchange(behind(l, low_, count), behind(l + d, low_, count), d);
      if (count > 0) spread(l + d, d);
    }
  }

  /// Every `apart`-th of the sums' blocks from the `from`-th on.
  BlockRef blocksOf(const Value& value, int from, int apart, int count) const {
    if (!value.inScratch) {
      return pattern(Buffer::Input, rank_ + value.offset + from * low_, apart * low_, count);
    }
    BlockRef ref = scratch(fixed(value.first + from), count);
    if (count > 1 && apart > 1) {
      ref.run = 1;
      ref.jump = apart;
    }
    return ref;
  }

  /// Receives `count` partial sums from rank-d into every `apart`-th of the sums; those that get nothing are
  /// brought along where they have not left the input yet.
  Value takeIn(const Value& sums, int d, int count, int apart, int depth) {
    Value next = sums;
    next.inScratch = true;
    next.first = depth * aggregation_;
    mostDepth_ = std::max(mostDepth_, depth + 1);
    if (!sums.inScratch && count * apart < sums.count) {
      add(lane_, Make()
                     .take(blocksOf(sums, count * apart, 1, sums.count - count * apart))
                     .into(blocksOf(next, count * apart, 1, sums.count - count * apart)));
    }
    add(lane_, Make()
                   .from(rankAt(-d))
                   .reduce(blocksOf(sums, 0, apart, count))
                   .into(blocksOf(next, 0, apart, count)));
    return next;
  }

  Value foldIn(const Value& sums, int d, int count, int apart, int firstGiven, int depth) {
    if (count == 0) return sums;
    add(lane_, Make().take(blocksOf(sums, firstGiven, apart, count)).to(rankAt(d)));
    return takeIn(sums, d, count, apart, depth);
  }

  /// ReduceScatter, low: the sums at offsets l, l+J, ... over their subtrees of distances below `end`.
  Value collect(int l, int end, int depth) {
    Value sums{l, countFrom(l, low_), false, 0};
    for (int d = 1; d < end; d *= 2) {
      const int count = countFrom(l + d, low_);
      if (count == 0) break;
      const Value child = collect(l + d, d, depth + 1);
      add(lane_, Make().take(blocksOf(child, 0, 1, count)).to(rankAt(d)));
      sums = takeIn(sums, d, count, 1, depth);
    }
    return sums;
  }

  int n_, rank_, all_, aggregation_, low_;
  int mostDepth_ = 0;
  Lane lane_;
};

bool supportsPat(const Request& request, Protocol, const Limits&) {
  return request.collective == Collective::AllGather || request.collective == Collective::ReduceScatter;
}

Plan buildPat(const Request& request, Protocol protocol, int rank, const Limits& limits) {
  const int aggregation = aggregationFor(request, protocol, limits);
  Plan plan = planFor(request, Algorithm::Pat, protocol, rank, Layout::PerRank, request.nRanks,
                      chunkFor(request, messageBytes(protocol, limits), aggregation));
  Trees trees(request.nRanks, rank, aggregation);
  plan.lanes.push_back(request.collective == Collective::AllGather ? trees.allGather()
                                                                   : trees.reduceScatter());
  plan.scratchBlocks = trees.scratchBlocks();
  return plan;
}

}  // namespace

const Builder kPat{Algorithm::Pat, "pat: parallel aggregated trees, bounded messages and scratch",
                   supportsPat, buildPat};

}  // namespace tutti::algos
