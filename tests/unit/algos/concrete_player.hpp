// Plays plans on numbers, in a random order of what can move, and checks nothing on the way: what the
// verifier says is held against this. Not the engine: elements are 64-bit words, the operator is made up.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "algos/plan.hpp"
#include "algos/verify_shape.hpp"

namespace tutti::algos::testing {

class ConcretePlayer {
 public:
  using Word = uint64_t;
  /// `orderMatters`: the operator commutes but does not associate, as in floating point.
  /// `direct`: peers read user buffers in place wherever the engine might.
  ConcretePlayer(const std::vector<Plan>& plans, int depth, unsigned seed, bool orderMatters, bool direct)
      : plans_(plans),
        depth_(static_cast<size_t>(depth)),
        random_(seed),
        orderMatters_(orderMatters),
        direct_(direct) {
    for (const Plan& plan : plans) {
      Rank rank;
      rank.buffers = verify::buffersOf(plan, {});
      const auto& b = rank.buffers;
      rank.memory[0].resize(b.aliased ? std::max(b.inputAt + b.input, b.outputAt + b.output) : b.input);
      rank.memory[1].resize(b.aliased ? 0 : b.output);
      rank.memory[2].resize(static_cast<size_t>(plan.scratchBlocks) * plan.chunkCount);
      for (auto& board : rank.acks) board.resize(plans.size());
      for (size_t i = 0; i < b.input; ++i) {
        rank.memory[0][(b.aliased ? b.inputAt : 0) + i] = mix(static_cast<Word>(plan.rank) << 32 | i);
      }
      ranks_.push_back(std::move(rank));
    }
    for (size_t r = 0; r < plans.size(); ++r) {
      for (const Lane& lane : plans[r].lanes) {
        lanes_.push_back(
            {static_cast<int>(r), &lane, 0, lane.steps.empty() ? 0 : plans[r].rounds(lane), 0, 0});
      }
    }
  }

  /// True if all lanes ended with nothing left on the way and nothing out of bounds.
  bool run() {
    std::vector<size_t> order(lanes_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (bool moved = true; moved && !broken_;) {
      moved = false;
      std::shuffle(order.begin(), order.end(), random_);
      for (size_t i : order) {
        for (unsigned plays = 1 + random_() % 4; plays > 0 && !broken_; --plays) moved |= advance(lanes_[i]);
      }
    }
    for (const LaneState& lane : lanes_) broken_ |= lane.round < lane.rounds;
    for (const auto& [key, fifo] : fifos_) broken_ |= !fifo.empty();
    for (size_t r = 0; r < ranks_.size(); ++r) {
      for (int b = 0; b < 2; ++b) {
        for (const Slot& slot : ranks_[r].boards[b]) {
          for (size_t p = 0; p < ranks_.size() && slot.seq > 0; ++p) {
            if (p != r && (slot.reader < 0 || slot.reader == static_cast<int>(p))) {
              broken_ |= ranks_[p].acks[b][r] < slot.seq;
            }
          }
        }
      }
    }
    return !broken_;
  }

  std::vector<Word> output(int r) const {
    const Rank& rank = ranks_[r];
    const auto& b = rank.buffers;
    const auto& memory = rank.memory[b.aliased ? 0 : 1];
    const size_t at = b.aliased ? b.outputAt : 0;
    return {memory.begin() + static_cast<long>(at), memory.begin() + static_cast<long>(at + b.output)};
  }

 private:
  struct Message {
    std::vector<Word> data;
    const Word* direct = nullptr;
    size_t count = 0;
  };
  struct Slot {
    uint64_t seq = 0;
    int reader = -1;
    std::vector<Message> blocks;
  };
  struct Rank {
    verify::Buffers buffers;
    std::vector<Word> memory[3];
    Slot boards[2][2];
    std::vector<uint64_t> acks[2];
  };
  struct LaneState {
    int rank;
    const Lane* lane;
    int64_t round, rounds;
    int step, repeat;
  };

  static Word mix(Word x) {
    x = (x ^ (x >> 31)) * 0x7fb5d329728ea185u;
    x = (x ^ (x >> 27)) * 0x81dadef4bc2dd44du;
    return x ^ (x >> 33);
  }
  Word combine(Word a, Word b) const { return orderMatters_ ? mix(a + b) : a + b; }

  bool broken() {
    broken_ = true;
    return false;
  }

  bool advance(LaneState& s) {
    if (s.round >= s.rounds || !play(s)) return false;
    if (++s.repeat < s.lane->steps[s.step].repeat) return true;
    s.repeat = 0;
    if (++s.step < static_cast<int>(s.lane->steps.size())) return true;
    s.step = 0;
    ++s.round;
    return true;
  }

  Word* at(LaneState& s, Buffer buffer, int block, size_t count) {
    Rank& rank = ranks_[s.rank];
    const auto& b = rank.buffers;
    const bool input = buffer == Buffer::Input, scratch = buffer == Buffer::Scratch;
    const size_t size = scratch ? rank.memory[2].size() : input ? b.input : b.output;
    if (block < 0) {
      broken();
      return nullptr;
    }
    const size_t offset = extentOf(s, buffer, block).offset;
    if (offset + count > size) {
      broken();
      return nullptr;
    }
    if (scratch) return rank.memory[2].data() + offset;
    auto& memory = rank.memory[b.aliased || input ? 0 : 1];
    return memory.data() + (b.aliased ? (input ? b.inputAt : b.outputAt) : 0) + offset;
  }

  Extent extentOf(const LaneState& s, Buffer buffer, int block) const {
    const Plan& plan = plans_[s.rank];
    return buffer == Buffer::Scratch ? plan.scratchExtent(*s.lane, s.round, block)
                                     : plan.extent(*s.lane, s.round, block);
  }

  bool isRank(int r, const LaneState& s) const {
    return r >= 0 && r < static_cast<int>(plans_.size()) && r != s.rank;
  }

  bool play(LaneState& s) {
    const Plan& plan = plans_[s.rank];
    const Step& step = s.lane->steps[s.step];
    const int n = static_cast<int>(plans_.size()), k = s.repeat;
    Rank& me = ranks_[s.rank];
    const BlockRef& sized = step.src.buffer != Buffer::None ? step.src : step.dst;
    size_t total = 0;
    for (int i = 0; i < sized.span; ++i) {
      const int block = sized.at(k, i);
      if (block < 0 || block >= (sized.buffer == Buffer::Scratch ? plan.scratchBlocks : plan.nBlocks))
        return broken();
      total += extentOf(s, sized.buffer, block).count;
    }
    const uint64_t seq = static_cast<uint64_t>(s.round) + 1;
    std::vector<int> readers;
    for (int p = 0; step.readFrom == Reads::All && p < n; ++p) {
      if (p != s.rank) readers.push_back(p);
    }
    if (step.readFrom == Reads::One) readers.push_back(step.readPeer.at(k));
    for (int p : readers) {
      if (!isRank(p, s)) return broken();
    }
    auto acknowledge = [&] {
      for (int p : readers) me.acks[step.readChannel][p] = seq;
      return true;
    };
    if (total == 0) return acknowledge();

    auto fifo = [&](int from, int to) -> std::deque<Message>& { return fifos_[{s.lane->channel, from, to}]; };
    for (int i = 0; i < step.recvFrom.count; ++i) {
      const int peer = step.recvFrom.peer[i].at(k);
      if (!isRank(peer, s)) return broken();
      for (int j = 0; j < i; ++j) {
        if (step.recvFrom.peer[j].at(k) == peer) return broken();
      }
      if (fifo(peer, s.rank).empty()) return false;
      if (fifo(peer, s.rank).front().count != total) return broken();
    }
    for (int p : readers) {
      const Slot& slot = ranks_[p].boards[step.readChannel][seq % 2];
      if (slot.seq > seq) return broken();
      if (slot.seq < seq) return false;
      const int block = step.readBlock.at(k);
      if (block < 0 || block >= static_cast<int>(slot.blocks.size()) || slot.blocks[block].count < total)
        return broken();
    }
    for (int i = 0; i < step.sendTo.count; ++i) {
      const int peer = step.sendTo.peer[i].at(k);
      if (!isRank(peer, s)) return broken();
      if (fifo(s.rank, peer).size() >= depth_) return false;
    }
    if (step.publishes) {
      const Slot& last = me.boards[step.publishChannel][seq % 2];
      for (int p = 0; last.seq > 0 && p < n; ++p) {
        if (p != s.rank && (last.reader < 0 || last.reader == p) &&
            ranks_[p].acks[step.publishChannel][s.rank] < last.seq)
          return false;
      }
    }

    // Sources, as pointers: who reads in place sees what is there now.
    std::deque<std::vector<Word>> kept;
    auto local = [&]() -> const Word* {
      const bool scales = step.src.buffer == Buffer::Input && reduces(plan.request.collective);
      if (step.src.span == 1 && !scales) return at(s, step.src.buffer, step.src.at(k, 0), total);
      auto& packed = kept.emplace_back();
      for (int i = 0; i < step.src.span; ++i) {
        const size_t count = extentOf(s, step.src.buffer, step.src.at(k, i)).count;
        const Word* block = at(s, step.src.buffer, step.src.at(k, i), count);
        for (size_t e = 0; block != nullptr && e < count; ++e) packed.push_back(block[e] * (scales ? 3 : 1));
      }
      return broken_ ? nullptr : packed.data();
    };
    auto read = [&](const Message& m) { return m.direct != nullptr ? m.direct : m.data.data(); };
    auto board = [&](int p) {
      return read(ranks_[p].boards[step.readChannel][seq % 2].blocks[step.readBlock.at(k)]);
    };
    auto received = [&](int i) { return read(fifo(step.recvFrom.peer[i].at(k), s.rank).front()); };
    std::vector<const Word*> sources;
    if (!step.reduces) {
      sources.push_back(step.recvFrom.count > 0           ? received(0)
                        : step.readFrom == Reads::One     ? board(readers[0])
                        : step.src.buffer == Buffer::None ? nullptr
                                                          : local());
    } else if (step.src.buffer == Buffer::None) {
      return broken();
    } else if (step.readFrom == Reads::All) {
      for (int p = 0; p < n; ++p) sources.push_back(p == s.rank ? local() : board(p));
    } else {
      if (step.order == Order::LocalFirst) sources.push_back(local());
      for (int i = 0; i < step.recvFrom.count; ++i) sources.push_back(received(i));
      if (step.order == Order::PeerFirst) sources.push_back(local());
    }
    for (const Word* source : sources) {
      if (source == nullptr) return broken();
    }
    if (sources.empty()) return broken();

    std::vector<Word> value;
    for (size_t e = 0; e < total; ++e) {
      Word w = sources[0][e];
      for (size_t i = 1; i < sources.size(); ++i) w = combine(w, sources[i][e]);
      if (step.reduces && step.finishes) w *= 5;
      value.push_back(w);
    }

    Word* dst = nullptr;
    if (step.dst.buffer != Buffer::None) {
      if (step.dst.buffer == Buffer::Input) return broken();
      size_t done = 0;
      for (int i = 0; i < step.dst.span; ++i) {
        const size_t count =
            step.dst.span == 1 ? total : extentOf(s, step.dst.buffer, step.dst.at(k, i)).count;
        Word* block = at(s, step.dst.buffer, step.dst.at(k, i), count);
        if (block == nullptr) return false;
        if (dst == nullptr) dst = block;
        for (size_t e = 0; e < count && done < value.size(); ++e) block[e] = value[done++];
      }
    }
    const bool inputStays = !(plan.request.inPlace && plan.algorithm == Algorithm::OneShot) && kept.empty();
    for (int i = 0; i < step.sendTo.count; ++i) {
      Message m{value, nullptr, total};
      const bool inPlace = direct_ && inputStays && plan.protocol == Protocol::Simple &&
                           plan.algorithm == Algorithm::Pairwise && step.src.buffer == Buffer::Input &&
                           step.recvFrom.count == 0 && step.sendTo.count == 1 && dst == nullptr;
      if (inPlace) m.direct = sources[0];
      fifo(s.rank, step.sendTo.peer[i].at(k)).push_back(std::move(m));
    }
    if (step.publishes) {
      Slot& slot = me.boards[step.publishChannel][seq % 2];
      slot = {seq, step.publishFor, {}};
      size_t done = 0;
      for (int i = 0; i < step.src.span; ++i) {
        const size_t count =
            step.src.span == 1 ? total : extentOf(s, step.src.buffer, step.src.at(k, i)).count;
        Message m{{value.begin() + static_cast<long>(done), value.begin() + static_cast<long>(done + count)},
                  nullptr,
                  count};
        if (direct_ && plan.protocol == Protocol::Simple && step.dst.buffer == Buffer::Output &&
            step.src.buffer != Buffer::Input)
          m.direct = dst;
        slot.blocks.push_back(std::move(m));
        done += count;
      }
    }
    for (int i = 0; i < step.recvFrom.count; ++i) fifo(step.recvFrom.peer[i].at(k), s.rank).pop_front();
    return acknowledge();
  }

  const std::vector<Plan>& plans_;
  size_t depth_;
  std::mt19937 random_;
  bool orderMatters_, direct_;
  bool broken_ = false;
  std::vector<Rank> ranks_;
  std::vector<LaneState> lanes_;
  std::map<std::tuple<int, int, int>, std::deque<Message>> fifos_;
};

}  // namespace tutti::algos::testing
