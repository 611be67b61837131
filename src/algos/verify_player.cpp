#include "algos/verify_player.hpp"

#include <algorithm>

namespace tutti::algos::verify {
Player::Player(std::span<const Plan> plans, const VerifyOptions& options)
    : options_(options),
      request_(plans[0].request),
      nRanks_(static_cast<int>(plans.size())),
      elementBytes_(request_.elementBytes()),
      isLL_(plans[0].protocol == Protocol::LL),
      values_(nRanks_),
      ranks_(plans.size()),
      sources_(plans.size() + Peers::kMax + 1) {
  size_t nLanes = 0;
  for (const Plan& plan : plans) nLanes += plan.lanes.size();
  lanes_.reserve(nLanes);
  for (const Plan& plan : plans) {
    Rank& rank = ranks_[plan.rank];
    rank.plan = &plan;
    prepareMemory(plans, rank);
    if (plan.usesBoards) {
      for (int b = 0; b < 2; ++b) {
        rank.boards[b].resize(options.boardDepth);
        rank.acks[b].resize(plans.size());
      }
    }
    // The engine's rule for letting peers read the input in place.
    rank.inputDirect = !isLL_ && !(plan.request.inPlace && request_.collective == Collective::AllReduce &&
                                   plan.algorithm == Algorithm::OneShot);
    for (size_t l = 0; l < plan.lanes.size(); ++l) {
      LaneState state;
      state.rank = plan.rank;
      state.number = static_cast<int>(l);
      state.lane = &plan.lanes[l];
      state.rounds = roundsOf(plan, plan.lanes[l], options.counts);
      state.clock.resize(nLanes);
      lanes_.push_back(std::move(state));
    }
  }
}

// ------------------------------------------------------------------------------------------------------------
// memory

/// Cells end wherever a block of a round of any lane ends, on any rank: then whatever is sent fits whole
/// cells.
void Player::prepareMemory(std::span<const Plan> plans, Rank& rank) {
  const Plan& plan = *rank.plan;
  rank.buffers = buffersOf(plan, options_.counts);
  const Buffers& b = rank.buffers;
  std::vector<size_t> cuts[2];
  std::vector<std::pair<int, int>> parts;
  std::vector<const Lane*> firstOfPart;
  auto addParts = [&](const Lane& lane) {
    if (std::find(parts.begin(), parts.end(), std::pair(lane.part, lane.parts)) != parts.end()) return;
    parts.emplace_back(lane.part, lane.parts);
    firstOfPart.push_back(&lane);
    const int64_t rounds = roundsOf(plan, lane, options_.counts);
    for (int side = 0; side < 2; ++side) {
      const Buffer buffer = side == 0 ? Buffer::Input : Buffer::Output;
      const size_t size = side == 0 ? b.input : b.output;
      const size_t at = !b.aliased ? 0 : side == 0 ? b.inputAt : b.outputAt;
      auto& into = cuts[b.aliased ? 0 : side];
      for (int64_t round = 0; round < rounds; ++round) {
        for (int block = 0; block < plan.nBlocks; ++block) {
          const Extent extent = extentOf(plan, lane, options_.counts, round, buffer, block);
          if (extent.offset + extent.count > size) break;
          into.push_back(at + extent.offset);
          into.push_back(at + extent.offset + extent.count);
        }
      }
    }
  };
  for (const Plan& other : plans) {
    for (const Lane& lane : other.lanes) addParts(lane);
  }
  if (b.aliased) {
    cuts[0].insert(cuts[0].end(), {b.inputAt, b.inputAt + b.input, b.outputAt, b.outputAt + b.output});
    rank.memory[0].cut(std::move(cuts[0]), std::max(b.inputAt + b.input, b.outputAt + b.output));
  } else {
    rank.memory[0].cut(std::move(cuts[0]), b.input);
    rank.memory[1].cut(std::move(cuts[1]), b.output);
  }
  if (plan.scratchBlocks > 0) {
    std::vector<size_t> ends;
    for (const Lane* lane : firstOfPart) {
      for (int64_t round = 0; round < roundsOf(plan, *lane, options_.counts); ++round) {
        for (int block = 0; block < plan.nBlocks; ++block)
          ends.push_back(plan.extent(*lane, round, block).count);
      }
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    std::vector<size_t> scratchCuts;
    for (int block = 0; block < plan.scratchBlocks; ++block) {
      for (size_t end : ends) scratchCuts.push_back(static_cast<size_t>(block) * plan.chunkCount + end);
      scratchCuts.push_back(static_cast<size_t>(block) * plan.chunkCount);
    }
    rank.memory[2].cut(std::move(scratchCuts), static_cast<size_t>(plan.scratchBlocks) * plan.chunkCount);
  }
  if (b.input > 0) rank.memory[0].fill(b.aliased ? b.inputAt : 0, b.input, values_.raw(plan.rank), 0);
}

/// Where the blocks of `ref` lie in this play; an error where one is outside of the buffer.
Status Player::stretchesOf(const Play& play, const BlockRef& ref, const char* what,
                           std::vector<Stretch>& out) const {
  out.clear();
  const Buffers& b = play.rank.buffers;
  const bool input = ref.buffer == Buffer::Input, scratch = ref.buffer == Buffer::Scratch;
  const size_t size = scratch ? play.rank.memory[2].size() : input ? b.input : b.output;
  for (int i = 0; i < ref.span; ++i) {
    const Extent extent = extentOf(play.plan, *play.state.lane, options_.counts, play.state.round, ref.buffer,
                                   ref.at(play.state.repeat, i));
    const std::string_view name = scratch ? "scratch" : input ? "input" : "output";
    if (size == 0)
      return wrong(play, fmt::format("{} is in the {}, which this rank does not have", what, name));
    if (extent.offset + extent.count > size) {
      return wrong(play, fmt::format("{} is {}[{}..{}), beyond the buffer's {} elements", what, name,
                                     extent.offset, extent.offset + extent.count, size));
    }
    Region region;
    region.memory = scratch ? 2 : b.aliased || input ? 0 : 1;
    region.begin = extent.offset + (scratch || !b.aliased ? 0 : input ? b.inputAt : b.outputAt);
    out.push_back({region, extent.count});
  }
  return {};
}

/// Finds source and destination of the play and holds them against each other.
Status Player::locate(Play& play) {
  const Step& step = play.step;
  sourceAt_.clear();
  targetAt_.clear();
  if (step.src.buffer != Buffer::None) TUTTI_TRY(stretchesOf(play, step.src, "its source", sourceAt_));
  if (step.dst.buffer == Buffer::None) return {};
  TUTTI_TRY(stretchesOf(play, step.dst, "its destination", targetAt_));
  size_t room = 0;
  for (const Stretch& target : targetAt_) room += target.count;
  if (room != play.total) {
    return wrong(play, fmt::format("it puts {} elements where the destination has {}", play.total, room));
  }
  if (step.src.buffer != Buffer::None && sourceAt_ != targetAt_ && overlap(sourceAt_, targetAt_)) {
    return wrong(play, "source and destination overlap without being the same");
  }
  for (const Stretch& target : targetAt_) {
    if (target.count > 0 &&
        !play.rank.memory[target.region.memory].isCut(target.region.begin, target.count)) {
      return wrong(play, "lanes cut the data in ways that do not fit each other");
    }
  }
  return {};
}

/// Whether two lists of stretches, each without overlap in itself, share an element.
bool Player::overlap(std::vector<Stretch> a, const std::vector<Stretch>& b) {
  if (a.size() == 1 && b.size() == 1) {
    return a[0].region.memory == b[0].region.memory && a[0].region.begin < b[0].region.begin + b[0].count &&
           b[0].region.begin < a[0].region.begin + a[0].count;
  }
  a.insert(a.end(), b.begin(), b.end());
  std::erase_if(a, [](const Stretch& s) { return s.count == 0; });
  auto key = [](const Stretch& s) { return std::pair(s.region.memory, s.region.begin); };
  std::sort(a.begin(), a.end(), [&](const Stretch& x, const Stretch& y) { return key(x) < key(y); });
  for (size_t i = 1; i < a.size(); ++i) {
    if (a[i - 1].region.memory == a[i].region.memory &&
        a[i - 1].region.begin + a[i - 1].count > a[i].region.begin) {
      return true;
    }
  }
  return false;
}

// ------------------------------------------------------------------------------------------------------------
// gates

Player::Fifo& Player::fifo(int channel, int from, int to) {
  const uint64_t key = (static_cast<uint64_t>(channel) << 56) | (static_cast<uint64_t>(from) << 28) |
                       static_cast<uint64_t>(to);
  Fifo& fifo = fifos_[key];
  if (fifo.slots.empty()) fifo.slots.resize(options_.limits.depth);
  return fifo;
}

Result<bool> Player::boardReady(Play& play, int peer) {
  const Step& step = play.step;
  const uint64_t seq = slotOf(play.state);
  if (play.rank.acks[step.readChannel][peer] >= seq) {
    return wrong(play, fmt::format("it reads slot {} of rank {}'s board {} after having given it back", seq,
                                   peer, step.readChannel));
  }
  const Published& slot = ranks_[peer].boards[step.readChannel][seq % options_.boardDepth];
  if (slot.seq == seq) return true;
  if (slot.seq > seq) {
    return wrong(play, fmt::format("rank {} has written its board {} again before this read (slot {} by {})",
                                   peer, step.readChannel, slot.seq, where(slot.writer)));
  }
  play.state.waitsFor = peer;
  play.state.waitsWhat = "to publish";
  return false;
}

Result<bool> Player::ready(Play& play) {
  const Step& step = play.step;
  LaneState& state = play.state;
  for (int i = 0; i < step.recvFrom.count; ++i) {
    const int peer = step.recvFrom.peer[i].at(state.repeat);
    const Fifo& in = fifo(state.lane->channel, peer, state.rank);
    if (in.sent == in.taken) {
      state.waitsFor = peer;
      state.waitsWhat = "to send";
      return false;
    }
    const Message& message = in.slots[in.taken % in.slots.size()];
    if (message.count != play.total) {
      return wrong(play, fmt::format("a message of {} elements came where {} are due, from {}", message.count,
                                     play.total, where(message.sender)));
    }
  }
  if (step.readFrom == Reads::One) {
    TUTTI_ASSIGN(bool there, boardReady(play, step.readPeer.at(state.repeat)));
    if (!there) return false;
  } else if (step.readFrom == Reads::All) {
    for (int peer = 0; peer < nRanks_; ++peer) {
      if (peer == state.rank) continue;
      TUTTI_ASSIGN(bool there, boardReady(play, peer));
      if (!there) return false;
    }
  }
  for (int i = 0; i < step.sendTo.count; ++i) {
    const int peer = step.sendTo.peer[i].at(state.repeat);
    const Fifo& out = fifo(state.lane->channel, state.rank, peer);
    if (out.sent - out.taken < out.slots.size()) continue;
    state.waitsFor = peer;
    state.waitsWhat = "to take a message";
    return false;
  }
  if (step.publishes) {
    const int board = step.publishChannel;
    const Published& last = play.rank.boards[board][slotOf(state) % options_.boardDepth];
    for (int peer = 0; last.seq != 0 && peer < nRanks_; ++peer) {
      if (peer == state.rank || (last.reader >= 0 && last.reader != peer)) continue;
      if (ranks_[peer].acks[board][state.rank] >= last.seq) continue;
      state.waitsFor = peer;
      state.waitsWhat = "to read the board";
      return false;
    }
  }
  return true;
}

// ------------------------------------------------------------------------------------------------------------
// the run

Result<Player::Outcome> Player::playOne(LaneState& state) {
  Rank& rank = ranks_[state.rank];
  const Step& step = state.lane->steps[state.step];
  const BlockRef& sized = step.src.buffer != Buffer::None ? step.src : step.dst;
  const uint32_t laneIndex = static_cast<uint32_t>(&state - lanes_.data());
  Play play{state, rank, *rank.plan, step, sized, {laneIndex, 0, static_cast<uint32_t>(state.step)}, {}, 0};
  for (int i = 0; i < sized.span; ++i) {
    const size_t count = extentOf(play.plan, *state.lane, options_.counts, state.round, sized.buffer,
                                  sized.at(state.repeat, i))
                             .count;
    if (sized.span > 1) play.counts.push_back(count);
    play.total += count;
  }
  if (sized.span == 1) play.counts.assign(1, play.total);
  if (play.total == 0) {
    acknowledge(play);
    return Outcome::Moved;
  }
  TUTTI_ASSIGN(bool there, ready(play));
  if (!there) return Outcome::Blocked;
  if (++stats_.plays > options_.maxPlays) {
    return makeError(Code::InvalidUsage, "the plans are too long to verify: more than {} plays",
                     options_.maxPlays);
  }
  play.event.time = ++state.clock[laneIndex];
  for (int i = 0; i < step.recvFrom.count; ++i) {
    Fifo& in = fifo(state.lane->channel, step.recvFrom.peer[i].at(state.repeat), state.rank);
    join(state.clock, in.slots[in.taken % in.slots.size()].clock);
  }
  auto joinBoard = [&](int peer) {
    join(state.clock, ranks_[peer].boards[step.readChannel][slotOf(state) % options_.boardDepth].clock);
  };
  if (step.readFrom == Reads::One) joinBoard(step.readPeer.at(state.repeat));
  for (int peer = 0; step.readFrom == Reads::All && peer < nRanks_; ++peer) {
    if (peer != state.rank) joinBoard(peer);
  }
  TUTTI_TRY(locate(play));
  scratch_.clear();
  TUTTI_TRY(take(play, scratch_));
  TUTTI_TRY(put(play, scratch_));
  for (int i = 0; i < step.recvFrom.count; ++i) {
    ++fifo(state.lane->channel, step.recvFrom.peer[i].at(state.repeat), state.rank).taken;
  }
  acknowledge(play);
  return Outcome::Moved;
}

Status Player::play() {
  for (bool moved = true; moved;) {
    moved = false;
    for (LaneState& state : lanes_) {
      while (!state.done()) {
        state.waitsFor = -1;
        TUTTI_ASSIGN(Outcome outcome, playOne(state));
        if (outcome == Outcome::Blocked) break;
        moved = true;
        if (++state.repeat < state.lane->steps[state.step].repeat) continue;
        state.repeat = 0;
        if (++state.step < static_cast<int>(state.lane->steps.size())) continue;
        state.step = 0;
        ++state.round;
      }
    }
  }
  if (options_.stats != nullptr) *options_.stats = stats_;
  for (const LaneState& state : lanes_) {
    if (!state.done()) return deadlock();
  }
  return {};
}

}  // namespace tutti::algos::verify
