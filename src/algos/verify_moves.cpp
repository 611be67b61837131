// The symbolic player's moves: where a play's value comes from, and where it goes.
#include <algorithm>

#include "algos/verify_player.hpp"

namespace tutti::algos::verify {
namespace {

constexpr size_t kLineData = 56;  ///< payload of an LL line

size_t linesFor(size_t bytes) {
  return (bytes + kLineData - 1) / kLineData;
}

}  // namespace

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
  const size_t start = value.size();
  for (const Stretch& at : sourceAt_) {
    if (at.count == 0) continue;
    Memory& memory = play.rank.memory[at.region.memory];
    if (!memory.isCut(at.region.begin, at.count)) {
      return wrong(play, "lanes cut the data in ways that do not fit each other");
    }
    Conflict conflict;
    if (!memory.noteRead(at.region.begin, at.count, play.event, play.state.clock, conflict)) {
      return conflictOf(play, conflict, play.state.rank, false);
    }
    memory.look(at.region.begin, at.count, value);
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
  message.region = direct ? sourceAt_[0].region : Region{};
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
  const bool direct = !isLL_ && (ofInput ? play.rank.inputDirect : step.dst.buffer == Buffer::Output);
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
      block.region = ofInput ? sourceAt_[i].region : targetAt_[0].region;
    }
    slot.blocks.push_back(block);
  }
  stats_.elementsPublished += play.total;
  return {};
}

/// Writes `value` to the destination, block by block.
Status Player::store(Play& play, const std::vector<Piece>& value) {
  size_t piece = 0, used = 0;
  for (const Stretch& target : targetAt_) {
    stretch_.clear();
    for (size_t left = target.count; left > 0;) {
      const Piece& from = value[piece];
      const size_t length = std::min(left, from.count - used);
      stretch_.push_back({from.value, from.origin + used, length});
      left -= length;
      if ((used += length) == from.count) {
        ++piece;
        used = 0;
      }
    }
    Conflict conflict;
    if (target.count > 0 && !play.rank.memory[target.region.memory].write(
                                target.region.begin, stretch_, play.event, play.state.clock, conflict)) {
      return conflictOf(play, conflict, play.state.rank, true);
    }
  }
  return {};
}

Status Player::put(Play& play, const std::vector<Piece>& value) {
  const Step& step = play.step;
  // A block copied onto itself is not touched.
  const bool same =
      !step.reduces && step.src.buffer != Buffer::None && step.src.span == 1 && sourceAt_ == targetAt_;
  if (step.dst.buffer != Buffer::None && !same) TUTTI_TRY(store(play, value));
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

}  // namespace tutti::algos::verify
