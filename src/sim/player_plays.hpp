// Player: one play of one step: gates, work, places. Included by player.cpp.
#pragma once

#include "sim/player.hpp"

namespace tutti::sim {

/// Schedules the lane's next play as soon as everything that it waits for has a time; else leaves it waiting.
template <bool Tracked>
void Player<Tracked>::tryStart(uint32_t index) {
  for (;;) {
    const PlayStep& step = stepOf(lanes_[index]);
    const uint64_t bytes = bytesOf(lanes_[index], step);
    if (bytes == 0) {
      if (!advance(index)) return laneDone(index);
      continue;
    }
    S ready = lanes_[index].clock;
    if (!gates(index, step, ready)) return;
    Lane& lane = lanes_[index];
    lane.wait = Wait::No;
    if (step.reads == algos::Reads::None && coreFree_.empty())
      return startWork(lane, index, ready, step, bytes);
    lane.clock = ready;
    queue_.push({ready.t, EventKind::Ready, index, 0});
    return;
  }
}

/// True: `ready` is when all is there. False: it waits, or the way is broken.
template <bool Tracked>
bool Player<Tracked>::gates(uint32_t index, const PlayStep& step, S& ready) {
  for (int i = 0; i < step.receives; ++i) {
    const uint32_t c = connOf(lanes_[index], step, i);
    if (c == kNone) return false;
    Conn& conn = conns_[c];
    const S* there = conn.sent == conn.taken ? nullptr : &slot(c, conn.taken);
    if (there == nullptr || there->t == kUnknown) {
      conn.receiver = index;
      lanes_[index].wait = Wait::Message;
      lanes_[index].waitsOn = c;
      return false;
    }
    raise(ready, *there);
  }
  for (int i = step.receives; i < step.receives + step.sends; ++i) {
    const uint32_t c = connOf(lanes_[index], step, i);
    if (c == kNone) return false;
    Conn& conn = conns_[c];
    if (conn.sent - conn.taken == conn.depth) {
      conn.sender = index;
      lanes_[index].wait = Wait::Room;
      lanes_[index].waitsOn = c;
      return false;
    }
    raise(ready, slot(c, conn.sent));
  }
  if (step.reads == algos::Reads::None && !step.publishes) return true;
  return boardGates(lanes_[index], index, step, ready);
}

template <bool Tracked>
bool Player<Tracked>::boardGates(Lane& lane, uint32_t index, const PlayStep& step, S& ready) {
  const Item& call = workload_.items[lane.item];
  const int n = call.request.nRanks;
  const int self = call.groups.positionIn(static_cast<int>(lane.rank));
  const TimePs flag = call.protocol == algos::Protocol::LL ? 0 : psFromUs(options_.costs.handoverUs);
  auto there = [&](int position) {
    const auto rank = static_cast<uint32_t>(call.groups.member(static_cast<int>(lane.rank), position));
    Board& b = board(lane.item, rank, step.readChannel);
    const BoardSlot& slot = b.slots[lane.round % 2];
    if (slot.sequence != lane.round + 1) {
      b.readers.push_back(index);
      lane.wait = Wait::Board;
      lane.waitsOn = rank;
      return false;
    }
    raise(ready, after(slot.published, flag, &Split::latency));
    return true;
  };
  if (step.reads == algos::Reads::One && !there(step.readPeer.at(static_cast<int>(lane.k)))) return false;
  if (step.reads == algos::Reads::All) {
    for (int p = 0; p < n; ++p) {
      if (p != self && !there(p)) return false;
    }
  }
  if (!step.publishes) return true;
  Board& own = board(lane.item, lane.rank, step.publishChannel);
  const BoardSlot& slot = own.slots[lane.round % 2];
  if (slot.unread > 0) {
    own.writer = index;
    lane.wait = Wait::Readers;
    return false;
  }
  raise(ready, slot.read);
  return true;
}

/// All gates are open now. Boards' contents have still to come, and the core to be had.
template <bool Tracked>
void Player<Tracked>::onReady(uint32_t index, TimePs now) {
  const PlayStep& step = stepOf(lanes_[index]);
  if (step.reads != algos::Reads::None && !lanes_[index].pulled) return pull(index, step);
  Lane& lane = lanes_[index];
  S start = lane.clock;
  const uint64_t bytes = bytesOf(lane, step);
  if (!coreFree_.empty() && coreFree_[row(lane.rank)] > now) {
    start = after(start, coreFree_[row(lane.rank)] - now, &Split::wait);
  }
  startWork(lane, index, start, step, bytes);
  if (!coreFree_.empty()) coreFree_[row(lane.rank)] = lane.clock.t;
}

template <bool Tracked>
void Player<Tracked>::startWork(Lane& lane, uint32_t index, S ready, const PlayStep& step, uint64_t bytes) {
  const TimePs work = slow(lane.rank, step.fixed + psFor(static_cast<double>(bytes), step.psPerByte));
  if (options_.recorder != nullptr) {
    options_.recorder->play(static_cast<int>(lane.rank), static_cast<int>(lane.item),
                            programs_.lane(lane.program).number, step.original, ready.t, ready.t + work);
  }
  lane.clock = after(ready, work, &Split::work);
  queue_.push({lane.clock.t, EventKind::Finish, index, 0});
}

/// What is read off boards crosses the network like a message from its publisher.
template <bool Tracked>
void Player<Tracked>::pull(uint32_t index, const PlayStep& step) {
  const Lane lane = lanes_[index];
  const Item& call = workload_.items[lane.item];
  const int self = call.groups.positionIn(static_cast<int>(lane.rank));
  const uint64_t bytes = bytesOf(lane, step);
  const bool one = step.reads == algos::Reads::One;
  lanes_[index].pulls = one ? 1 : static_cast<uint32_t>(call.request.nRanks - 1);
  lanes_[index].pulled = true;
  for (int p = 0; p < call.request.nRanks && !error_; ++p) {
    if (one ? p != step.readPeer.at(static_cast<int>(lane.k)) : p == self) continue;
    const uint32_t c = resolve(lane, kPullChannel + step.readChannel, p, self);
    if (c == kNone) return;
    conns_[c].pull = true;
    conns_[c].receiver = index;
    send(c, 0, bytes, lane.clock);
  }
}

/// The play is over: slots go back, messages go out, the next step's turn.
template <bool Tracked>
void Player<Tracked>::finish(uint32_t index, TimePs now) {
  const PlayStep& step = stepOf(lanes_[index]);
  const uint64_t bytes = bytesOf(lanes_[index], step);
  const S clock = lanes_[index].clock;
  for (int i = 0; i < step.receives; ++i) {
    const uint32_t c = connOf(lanes_[index], step, i);
    Conn& conn = conns_[c];
    slot(c, conn.taken) = after(clock, conn.back, &Split::latency);
    ++conn.taken;
    if (conn.sender == kNone) continue;
    const uint32_t waiting = conn.sender;
    conn.sender = kNone;
    tryStart(waiting);
  }
  for (int i = step.receives; i < step.receives + step.sends; ++i) {
    const uint32_t c = connOf(lanes_[index], step, i);
    Conn& conn = conns_[c];
    const uint32_t number = conn.sent % conn.depth;
    slot(c, number).t = kUnknown;
    ++conn.sent;
    send(c, static_cast<uint16_t>(number), bytes, clock);
  }
  if (step.reads != algos::Reads::None || step.publishes) settleBoards(lanes_[index], step);
  if (!advance(index)) return laneDone(index);
  tryStart(index);
}

template <bool Tracked>
void Player<Tracked>::settleBoards(const Lane& current, const PlayStep& step) {
  const Lane lane = current;  // waking others may move the lanes
  const Item& call = workload_.items[lane.item];
  const int self = call.groups.positionIn(static_cast<int>(lane.rank));
  auto acknowledge = [&](int position) {
    const auto rank = static_cast<uint32_t>(call.groups.member(static_cast<int>(lane.rank), position));
    Board& b = board(lane.item, rank, step.readChannel);
    BoardSlot& slot = b.slots[lane.round % 2];
    raise(slot.read, after(lane.clock, psFromUs(options_.costs.handoverUs), &Split::latency));
    if (slot.unread == 0 || --slot.unread > 0 || b.writer == kNone) return;
    const uint32_t writer = b.writer;
    b.writer = kNone;
    tryStart(writer);
  };
  if (step.reads == algos::Reads::One) acknowledge(step.readPeer.at(static_cast<int>(lane.k)));
  if (step.reads == algos::Reads::All) {
    for (int p = 0; p < call.request.nRanks; ++p) {
      if (p != self) acknowledge(p);
    }
  }
  if (!step.publishes) return;
  Board& own = board(lane.item, lane.rank, step.publishChannel);
  BoardSlot& slot = own.slots[lane.round % 2];
  slot.sequence = lane.round + 1;
  slot.unread = step.wide ? static_cast<uint32_t>(call.request.nRanks - 1) : 1;
  slot.published = lane.clock;
  std::vector<uint32_t> readers;
  readers.swap(own.readers);
  for (uint32_t reader : readers) tryStart(reader);
}

/// To the next play; false: that was the last one.
template <bool Tracked>
bool Player<Tracked>::advance(uint32_t index) {
  Lane& lane = lanes_[index];
  const LaneProgram& program = programs_.lane(lane.program);
  lane.pulled = false;
  if (++lane.k < static_cast<uint32_t>(stepOf(lane).repeat)) return true;
  lane.k = 0;
  if (++lane.step < program.steps) return true;
  lane.step = 0;
  if (!roundEnds_.empty()) roundEnds_[lane.round] = std::max(roundEnds_[lane.round], lane.clock.t);
  return ++lane.round < program.rounds;
}

}  // namespace tutti::sim
