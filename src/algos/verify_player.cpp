#include "algos/verify_player.hpp"

#include <algorithm>

namespace tutti::algos::verify {
namespace {

constexpr size_t kLineData = 56;  ///< payload of an LL line

size_t linesFor(size_t bytes) {
  return (bytes + kLineData - 1) / kLineData;
}

}  // namespace

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
  auto addParts = [&](const Lane& lane) {
    if (std::find(parts.begin(), parts.end(), std::pair(lane.part, lane.parts)) != parts.end()) return;
    parts.emplace_back(lane.part, lane.parts);
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
  if (b.input > 0) rank.memory[0].fill(b.aliased ? b.inputAt : 0, b.input, values_.raw(plan.rank), 0);
}

/// Where `ref` lies and whether `count` elements from there on are inside the buffer and in one piece.
Result<Player::Region> Player::regionOf(const Play& play, const BlockRef& ref, size_t count,
                                        const char* what) const {
  const bool input = ref.buffer == Buffer::Input;
  const Buffers& b = play.rank.buffers;
  const size_t size = input ? b.input : b.output;
  const size_t offset = extentOf(play.plan, *play.state.lane, options_.counts, play.state.round, ref.buffer,
                                 ref.index.at(play.state.repeat))
                            .offset;
  const std::string_view name = input ? "input" : "output";
  if (size == 0)
    return wrong(play, fmt::format("{} is in the {}, which this rank does not have", what, name));
  if (offset + count > size) {
    return wrong(play, fmt::format("{} is {}[{}..{}), beyond the buffer's {} elements", what, name, offset,
                                   offset + count, size));
  }
  Region region;
  region.memory = b.aliased || input ? 0 : 1;
  region.begin = offset + (!b.aliased ? 0 : input ? b.inputAt : b.outputAt);
  return region;
}

/// Finds source and destination of the play and holds them against each other.
Status Player::locate(Play& play) {
  const Step& step = play.step;
  const LaneState& state = play.state;
  auto contiguous = [&](const BlockRef& ref) {
    size_t next = 0;
    for (int i = 0; i < ref.span; ++i) {
      const Extent e = extentOf(play.plan, *state.lane, options_.counts, state.round, ref.buffer,
                                ref.index.at(state.repeat) + i);
      if (e.count == 0) continue;
      if (next != 0 && e.offset != next) return false;
      next = e.offset + e.count;
    }
    return true;
  };
  if (play.sized.span > 1 && (step.dst.buffer != Buffer::None || step.sendTo.count > 0) &&
      !contiguous(play.sized)) {
    return wrong(play, "it moves several blocks that do not lie side by side in this round as one stretch");
  }
  if (step.src.buffer != Buffer::None) {
    // A published span need not be in one piece: take() looks at each block.
    TUTTI_ASSIGN(play.source, regionOf(play, step.src, step.src.span == 1 ? play.total : 0, "its source"));
  }
  if (step.dst.buffer == Buffer::None) return {};
  size_t room = 0;
  for (int i = 0; i < step.dst.span; ++i) {
    room += extentOf(play.plan, *state.lane, options_.counts, state.round, step.dst.buffer,
                     step.dst.index.at(state.repeat) + i)
                .count;
  }
  if (room != play.total) {
    return wrong(play, fmt::format("it puts {} elements where the destination has {}", play.total, room));
  }
  TUTTI_ASSIGN(play.target, regionOf(play, step.dst, play.total, "its destination"));
  if (step.src.buffer != Buffer::None && play.source.memory == play.target.memory &&
      play.source.begin != play.target.begin && play.source.begin < play.target.begin + play.total &&
      play.target.begin < play.source.begin + play.total) {
    return wrong(play, "source and destination overlap without being the same");
  }
  if (!play.rank.memory[play.target.memory].isCut(play.target.begin, play.total)) {
    return wrong(play, "lanes cut the data in ways that do not fit each other");
  }
  return {};
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
// sources

Status Player::noteDirectRead(Play& play, int owner, const Region& region, size_t count) {
  if (region.memory < 0) return {};
  Conflict conflict;
  if (ranks_[owner].memory[region.memory].noteRead(region.begin, count, play.event, play.state.clock,
                                                   conflict)) {
    return {};
  }
  return conflictOf(play, conflict, owner, false);
}

Status Player::takeLocal(Play& play, std::vector<Piece>& value) {
  const BlockRef& src = play.step.src;
  Memory& memory = play.rank.memory[play.source.memory];
  const size_t start = value.size();
  for (int i = 0; i < src.span; ++i) {
    if (play.counts[i] == 0) continue;
    BlockRef one = src;
    one.index = {src.index.at(play.state.repeat) + i, 0, 0};
    one.span = 1;
    TUTTI_ASSIGN(Region region, regionOf(play, one, play.counts[i], "its source"));
    if (!memory.isCut(region.begin, play.counts[i])) {
      return wrong(play, "lanes cut the data in ways that do not fit each other");
    }
    Conflict conflict;
    if (!memory.noteRead(region.begin, play.counts[i], play.event, play.state.clock, conflict)) {
      return conflictOf(play, conflict, play.state.rank, false);
    }
    memory.look(region.begin, play.counts[i], value);
  }
  if (src.buffer != Buffer::Input || !algos::reduces(request_.collective)) return {};
  for (size_t i = start; i < value.size(); ++i) {
    if (!values_.isRaw(value[i].value)) {
      return wrong(play,
                   fmt::format("it takes {} as its input, so that an operator that scales inputs would scale "
                               "it again",
                               values_.describe(value[i].value)));
    }
    value[i].value = values_.scaled(play.state.rank);
  }
  return {};
}

Status Player::takeMessage(Play& play, int index, std::vector<Piece>& value) {
  const int peer = play.step.recvFrom.peer[index].at(play.state.repeat);
  Fifo& in = fifo(play.state.lane->channel, peer, play.state.rank);
  Message& message = in.slots[in.taken % in.slots.size()];
  TUTTI_TRY(noteDirectRead(play, peer, message.region, message.count));
  value.insert(value.end(), message.pieces.begin(), message.pieces.end());
  return {};
}

Status Player::takeBoard(Play& play, int peer, std::vector<Piece>& value) {
  const Step& step = play.step;
  const Published& slot = ranks_[peer].boards[step.readChannel][slotOf(play.state) % options_.boardDepth];
  const int ordinal = step.readBlock.at(play.state.repeat);
  if (slot.reader >= 0 && slot.reader != play.state.rank) {
    return wrong(
        play, fmt::format("it reads what {} published for rank {} alone", where(slot.writer), slot.reader));
  }
  if (ordinal < 0 || ordinal >= static_cast<int>(slot.blocks.size())) {
    return wrong(play, fmt::format("it reads block {} of the {} that {} published", ordinal,
                                   slot.blocks.size(), where(slot.writer)));
  }
  const Published::Block& block = slot.blocks[ordinal];
  if (block.count != play.total) {
    return wrong(play, fmt::format("it reads {} elements of block {}, of which {} published {}", play.total,
                                   ordinal, where(slot.writer), block.count));
  }
  if (block.region.memory >= 0) {
    // The engine finds a block that is read in place by its distance in this rank's plan.
    const size_t apart = play.plan.extent(*play.state.lane, play.state.round, ordinal).offset -
                         play.plan.extent(*play.state.lane, play.state.round, 0).offset;
    if (block.region.begin - slot.blocks[0].region.begin != apart) {
      return wrong(play, fmt::format("read in place, block {} of {} would be looked for in the wrong spot",
                                     ordinal, where(slot.writer)));
    }
  }
  TUTTI_TRY(noteDirectRead(play, peer, block.region, block.count));
  stats_.elementsRead += block.count;
  size_t left = block.count;
  for (size_t i = block.firstPiece; left > 0; ++i) {
    value.push_back(slot.pieces[i]);
    left -= slot.pieces[i].count;
  }
  return {};
}

/// All sources of a reduction, combined element by element.
Status Player::reduce(Play& play, std::vector<Piece>& value) {
  const Step& step = play.step;
  size_t nSources = 0;
  auto add = [&](auto&& fill) -> Status {
    sources_[nSources].clear();
    return fill(sources_[nSources++]);
  };
  auto local = [&](std::vector<Piece>& v) { return takeLocal(play, v); };
  if (step.readFrom == Reads::All) {
    for (int peer = 0; peer < nRanks_; ++peer) {
      if (peer == play.state.rank) {
        TUTTI_TRY(add(local));
      } else {
        TUTTI_TRY(add([&](std::vector<Piece>& v) { return takeBoard(play, peer, v); }));
      }
    }
  } else {
    if (step.order == Order::LocalFirst) TUTTI_TRY(add(local));
    for (int i = 0; i < step.recvFrom.count; ++i) {
      TUTTI_TRY(add([&](std::vector<Piece>& v) { return takeMessage(play, i, v); }));
    }
    if (step.order == Order::PeerFirst) TUTTI_TRY(add(local));
  }
  std::vector<size_t> piece(nSources), used(nSources);
  for (size_t done = 0; done < play.total;) {
    size_t length = play.total - done;
    combined_.clear();
    const size_t origin = sources_[0][piece[0]].origin + used[0];
    for (size_t s = 0; s < nSources; ++s) {
      const Piece& p = sources_[s][piece[s]];
      length = std::min(length, p.count - used[s]);
      combined_.push_back(p.value);
      if (p.origin + used[s] != origin && p.value != kNothing) {
        return wrong(
            play, fmt::format("it combines element {} ({}) with element {} ({})", origin,
                              values_.describe(combined_[0]), p.origin + used[s], values_.describe(p.value)));
      }
    }
    Result<Value> result = values_.combine(combined_);
    if (result.ok() && step.finishes) result = values_.finish(*result);
    if (!result.ok()) return wrong(play, result.error().message());
    value.push_back({*result, origin, length});
    for (size_t s = 0; s < nSources; ++s) {
      if ((used[s] += length) == sources_[s][piece[s]].count) {
        ++piece[s];
        used[s] = 0;
      }
    }
    done += length;
  }
  return {};
}

Status Player::take(Play& play, std::vector<Piece>& value) {
  const Step& step = play.step;
  if (step.reduces) return reduce(play, value);
  if (step.recvFrom.count > 0) return takeMessage(play, 0, value);
  if (step.readFrom == Reads::One) return takeBoard(play, step.readPeer.at(play.state.repeat), value);
  return takeLocal(play, value);
}

// ------------------------------------------------------------------------------------------------------------
// places

Status Player::putMessage(Play& play, int peer, const std::vector<Piece>& value) {
  const Step& step = play.step;
  const size_t bytes = play.total * elementBytes_;
  const size_t room = isLL_ ? options_.limits.llBytes : options_.limits.slotBytes;
  if (bytes > room)
    return wrong(play, fmt::format("a message of {} bytes does not fit a slot of {}", bytes, room));
  Fifo& out = fifo(play.state.lane->channel, play.state.rank, peer);
  Message& message = out.slots[out.sent % out.slots.size()];
  message.count = play.total;
  message.pieces.assign(value.begin(), value.end());
  message.clock = play.state.clock;
  message.sender = play.event;
  const bool direct = play.rank.inputDirect && play.plan.algorithm == Algorithm::Pairwise &&
                      step.src.buffer == Buffer::Input && step.recvFrom.count == 0 &&
                      step.sendTo.count == 1 && step.src.span == 1 && step.dst.buffer == Buffer::None;
  message.region = direct ? play.source : Region{};
  ++out.sent;
  ++stats_.messages;
  stats_.elementsSent += play.total;
  return {};
}

Status Player::publish(Play& play, const std::vector<Piece>& value) {
  const Step& step = play.step;
  const uint64_t seq = slotOf(play.state);
  Published& slot = play.rank.boards[step.publishChannel][seq % options_.boardDepth];
  slot.seq = seq;
  slot.reader = step.publishFor;
  slot.clock = play.state.clock;
  slot.writer = play.event;
  slot.pieces.clear();
  slot.blocks.clear();
  const size_t chunkBytes = play.plan.chunkCount * elementBytes_;
  const bool ofInput = step.src.buffer == Buffer::Input && !step.reduces;
  const bool direct = !isLL_ && (ofInput ? play.rank.inputDirect : step.dst.buffer != Buffer::None);
  const int span = step.src.span;
  size_t piece = 0, used = 0;
  for (int i = 0; i < span; ++i) {
    const size_t count = span == 1 ? play.total : play.counts[i];
    Published::Block block;
    block.firstPiece = slot.pieces.size();
    block.count = count;
    for (size_t left = count; left > 0;) {
      const Piece& from = value[piece];
      const size_t length = std::min(left, from.count - used);
      slot.pieces.push_back({from.value, from.origin + used, length});
      left -= length;
      if ((used += length) == from.count) {
        ++piece;
        used = 0;
      }
    }
    const size_t bytes = count * elementBytes_;
    const size_t end =
        isLL_ ? (i * linesFor(chunkBytes) + linesFor(bytes)) * kLineData : i * chunkBytes + bytes;
    const size_t room = isLL_ ? options_.limits.llBytes / kLineData * kLineData : options_.limits.boardBytes;
    if (count > 0 && end > room) {
      return wrong(play, fmt::format("block {} ends at byte {} of a board slot of {}", i, end, room));
    }
    if (direct) {
      // What is read in place: the block where it lies, or the destination that holds the same.
      BlockRef one = step.src;
      one.index = {step.src.index.at(play.state.repeat) + i, 0, 0};
      if (step.reduces) {
        block.region = play.target;
      } else {
        TUTTI_ASSIGN(block.region, regionOf(play, one, count, "what it publishes"));
      }
    }
    slot.blocks.push_back(block);
  }
  stats_.elementsPublished += play.total;
  return {};
}

Status Player::put(Play& play, const std::vector<Piece>& value) {
  const Step& step = play.step;
  if (step.dst.buffer != Buffer::None) {
    // A block copied onto itself is not touched.
    const bool same = !step.reduces && step.src.buffer != Buffer::None &&
                      play.source.memory == play.target.memory && play.source.begin == play.target.begin;
    Conflict conflict;
    if (!same && !play.rank.memory[play.target.memory].write(play.target.begin, value, play.event,
                                                             play.state.clock, conflict)) {
      return conflictOf(play, conflict, play.state.rank, true);
    }
  }
  for (int i = 0; i < step.sendTo.count; ++i) {
    TUTTI_TRY(putMessage(play, step.sendTo.peer[i].at(play.state.repeat), value));
  }
  if (step.publishes) TUTTI_TRY(publish(play, value));
  return {};
}

void Player::acknowledge(Play& play) {
  const Step& step = play.step;
  if (step.readFrom == Reads::None) return;
  auto& acks = play.rank.acks[step.readChannel];
  const uint64_t seq = slotOf(play.state);
  if (step.readFrom == Reads::One) {
    acks[step.readPeer.at(play.state.repeat)] = seq;
    return;
  }
  for (int peer = 0; peer < nRanks_; ++peer) {
    if (peer != play.state.rank) acks[peer] = seq;
  }
}

// ------------------------------------------------------------------------------------------------------------
// the run

Result<Player::Outcome> Player::playOne(LaneState& state) {
  Rank& rank = ranks_[state.rank];
  const Step& step = state.lane->steps[state.step];
  const BlockRef& sized = step.src.buffer != Buffer::None ? step.src : step.dst;
  const uint32_t laneIndex = static_cast<uint32_t>(&state - lanes_.data());
  Play play{state, rank, *rank.plan, step, sized, {laneIndex, 0, static_cast<uint32_t>(state.step)},
            {},    0,    {},         {}};
  for (int i = 0; i < sized.span; ++i) {
    const size_t count = extentOf(play.plan, *state.lane, options_.counts, state.round, sized.buffer,
                                  sized.index.at(state.repeat) + i)
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

// ------------------------------------------------------------------------------------------------------------
// words

std::string Player::where(const Play& play) const {
  std::string text = whereIs(play.plan, play.state.number, play.state.step) +
                     fmt::format(", round {}", play.state.round + 1);
  if (play.step.repeat > 1) text += fmt::format(", k = {}", play.state.repeat);
  return text;
}

std::string Player::where(const Event& event) const {
  const LaneState& state = lanes_[event.lane];
  return whereIs(*ranks_[state.rank].plan, state.number, event.step);
}

std::string Player::whereWaiting(const LaneState& state) const {
  const Plan& plan = *ranks_[state.rank].plan;
  return fmt::format("{}, round {}, waits for rank {} {}", whereIs(plan, state.number, state.step),
                     state.round + 1, state.waitsFor, state.waitsWhat);
}

Error Player::wrong(const Play& play, std::string what) const {
  return Error(Code::InvalidUsage, std::move(what)).context(where(play));
}

Error Player::conflictOf(const Play& play, const Conflict& conflict, int owner, bool writes) const {
  return wrong(play,
               fmt::format("it {} rank {}'s element {} while {} may still {} it: nothing orders the two",
                           writes ? "writes" : "reads", owner, conflict.element, where(conflict.other),
                           conflict.otherWrites ? "write" : "read"));
}

Error Player::deadlock() const {
  std::string text = "deadlock: ";
  // Follow who waits for whom from the first rank that is stuck, until somebody comes up again.
  std::vector<bool> seen(nRanks_);
  int rank = -1;
  for (const LaneState& state : lanes_) {
    if (!state.done() && rank < 0) rank = state.rank;
  }
  for (int lines = 0; lines < 4 && rank >= 0 && !seen[rank]; ++lines) {
    seen[rank] = true;
    auto stuck = std::find_if(lanes_.begin(), lanes_.end(),
                              [&](const LaneState& s) { return s.rank == rank && !s.done(); });
    if (lines > 0) text += "; ";
    if (stuck == lanes_.end()) {
      text += fmt::format("rank {} has finished", rank);
      break;
    }
    text += whereWaiting(*stuck);
    rank = stuck->waitsFor;
  }
  return Error(Code::InvalidUsage, std::move(text));
}

}  // namespace tutti::algos::verify
