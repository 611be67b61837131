// Player: connections, and messages crossing links. Included by player.cpp.
#pragma once

#include "sim/player.hpp"

namespace tutti::sim {

/// What an event that is due soon will read; `close`: what was asked for when it was less close is here by
/// now.
template <bool Tracked>
void Player<Tracked>::prefetch(const Event& event, bool close) const {
  if (event.kind() == EventKind::Hop) {
    __builtin_prefetch(&messages_[event.subject()]);
    __builtin_prefetch(&network_.links()[event.other]);
    return;
  }
  if (event.kind() == EventKind::Timer) return;
  const Lane& lane = lanes_[event.subject()];
  if (!close) return __builtin_prefetch(&lane);
  for (uint32_t c : lane.conn) {
    if (c >= conns_.size()) break;
    __builtin_prefetch(&conns_[c]);
    __builtin_prefetch(&slots_[c * size_t{depth_}]);
  }
}

/// The connection of peer i of a step; kNone: the way is broken.
template <bool Tracked>
uint32_t Player<Tracked>::connOf(Lane& lane, const PlayStep& step, int i) {
  const uint32_t at = step.connAt + static_cast<uint32_t>(i);
  if (const uint32_t known = connSlot(lane, at); known != kNone) return known;
  const algos::Affine& peer = programs_.peer(lane.peersAt + at);
  const int self = workload_.items[lane.item].groups.positionIn(static_cast<int>(lane.rank));
  const int other = peer.at(static_cast<int>(lane.k));
  const uint32_t channel = programs_.lane(lane.program).channel;
  const uint32_t c =
      i < step.receives ? resolve(lane, channel, other, self) : resolve(lane, channel, self, other);
  if (peer.stride == 0) connSlot(lane, at) = c;
  return c;
}

/// The pair that is played for this one: turned round in its machine until it begins at rank 0.
template <bool Tracked>
bool Player<Tracked>::foldPair(uint64_t& item, int64_t& from, int64_t& to) {
  const int64_t fold = options_.fold;
  const int64_t turn = from % fold, other = to % fold;
  if (from / fold != to / fold && turn != other) {
    fail(makeError(Code::InvalidUsage, "rank {} sends to rank {}, on another rail: machines cannot be folded",
                   from, to));
    return false;
  }
  from -= turn;
  to += (other - turn + fold) % fold - other;
  if (options_.foldChannels > 0)
    item = static_cast<uint64_t>((static_cast<int64_t>(item) - turn + fold) % fold);
  return true;
}

template <bool Tracked>
uint32_t Player<Tracked>::resolve(const Lane& lane, uint32_t channel, int fromPosition, int toPosition) {
  const Groups& groups = workload_.items[lane.item].groups;
  auto from = static_cast<int64_t>(groups.member(static_cast<int>(lane.rank), fromPosition));
  auto to = static_cast<int64_t>(groups.member(static_cast<int>(lane.rank), toPosition));
  if (options_.period > 0) {
    // Pairs that differ by whole periods are one.
    const int64_t shift = from / options_.period * options_.period;
    from -= shift;
    to = ((to - shift) % workload_.nRanks + workload_.nRanks) % workload_.nRanks;
  }
  uint64_t item = lane.item;
  if (options_.fold > 0 && !foldPair(item, from, to)) return kNone;
  const uint64_t key = item << 52 | static_cast<uint64_t>(channel) << 44 | static_cast<uint64_t>(from) << 22 |
                       static_cast<uint64_t>(to);
  uint32_t& entry = connMap_[key];
  if (entry != kNone) return entry;
  const auto c = static_cast<uint32_t>(conns_.size());
  entry = c;
  conns_.emplace_back();
  conns_[c].from = static_cast<uint32_t>(from);
  conns_[c].to = static_cast<uint32_t>(to);
  connect(c, key, lane.item);
  return error_ ? kNone : c;
}

template <bool Tracked>
void Player<Tracked>::connect(uint32_t c, uint64_t key, uint32_t item) {
  Conn& conn = conns_[c];
  const Item& call = workload_.items[item];
  const int from = static_cast<int>(conn.from);
  const int to = static_cast<int>(conn.to);
  conn.depth = static_cast<uint16_t>(call.limits.depth);
  slots_.resize((c + size_t{1}) * depth_);
  conn.flag = call.protocol == algos::Protocol::LL ? 0 : psFromUs(options_.costs.handoverUs);

  const uint64_t ways = network_.ways(from, to);
  const uint64_t wanted = network_.adaptive ? std::min(ways, kMostWays) : 1;
  const uint64_t hash = mixed(options_.seed ^ mixed(key));
  const uint64_t apart = std::max<uint64_t>(1, ways / wanted);
  conn.routesAt = static_cast<uint32_t>(routes_.size());
  conn.ways = 0;
  uint32_t broken = kNone;
  for (uint64_t w = 0; w < wanted; ++w) {
    scratch_.clear();
    network_.route(from, to, (hash + w * apart) % ways, scratch_);
    if (options_.fold > 0) network_.fold(from, to, scratch_);
    uint32_t dead = kNone;
    TimePs latency = 0;
    for (uint32_t l : scratch_) {
      if (network_.links()[l].dead) dead = l;
      latency += network_.links()[l].latency;
    }
    if (dead != kNone) {
      broken = dead;
      continue;
    }
    conn.back = conn.ways == 0 ? latency : std::min(conn.back, latency);
    ++conn.ways;
    routes_.push_back(static_cast<uint32_t>(scratch_.size()));
    routes_.insert(routes_.end(), scratch_.begin(), scratch_.end());
  }
  if (conn.ways > 0) return;
  fail(makeError(Code::RemoteError, "{} from rank {} to rank {}: the link {} on its way is dead{}", call.name,
                 from, to, network_.linkName(broken),
                 wanted > 1 ? ", and so are the other ways that were tried" : ""));
}

/// Of several ways, the one whose fullest link is free first; its links are promised to the message.
template <bool Tracked>
uint32_t Player<Tracked>::chooseWay(const Conn& conn, uint64_t bytes) {
  BigVector<Link>& links = network_.links();
  uint32_t best = conn.routesAt;
  TimePs bestFree = kUnknown;
  uint32_t at = conn.routesAt;
  for (int w = 0; w < conn.ways; ++w) {
    TimePs free = 0;
    for (uint32_t i = 1; i <= routes_[at]; ++i) {
      const Link& link = links[routes_[at + i]];
      free = std::max(free, link.free + link.promised);
    }
    if (free < bestFree) {
      best = at;
      bestFree = free;
    }
    at += routes_[at] + 1;
  }
  for (uint32_t i = 1; i <= routes_[best]; ++i) {
    Link& link = links[routes_[best + i]];
    link.promised += link.gap + psFor(static_cast<double>(bytes), link.psPerByte);
  }
  return best;
}

template <bool Tracked>
void Player<Tracked>::send(uint32_t c, uint16_t slot, uint64_t bytes, S at) {
  ++report_.messages;
  uint32_t m = static_cast<uint32_t>(messages_.size());
  if (freeMessages_.empty()) {
    messages_.emplace_back();
  } else {
    m = freeMessages_.back();
    freeMessages_.pop_back();
  }
  const Conn& conn = conns_[c];
  const uint32_t way = conn.ways > 1 ? chooseWay(conn, bytes) : conn.routesAt;
  Message& message = messages_[m];
  message.conn = c;
  message.next = 0;
  message.left = static_cast<uint16_t>(routes_[way]);
  message.slot = slot;
  message.chosen = conn.ways > 1;
  message.bytes = bytes;
  message.tail = at.t;
  if constexpr (Tracked) message.head = at;
  if (message.left == 0) return arrive(m);
  message.isLong = message.left > kInMessage;
  if (message.isLong) {
    message.hops[0] = way + 1;
  } else {
    for (uint32_t i = 0; i < message.left; ++i) message.hops[i] = routes_[way + 1 + i];
  }
  traverse(m, routes_[way + 1], at.t);
}

template <bool Tracked>
void Player<Tracked>::traverse(uint32_t m, uint32_t l, TimePs head) {
  Link& link = network_.links()[l];
  Message& message = messages_[m];
  const TimePs begin = std::max(head, link.free);
  const TimePs length = link.gap + psFor(static_cast<double>(message.bytes), link.psPerByte);
  link.free = begin + length;
  if (message.chosen) link.promised -= length;
  link.busy += length;
  link.queued += begin - head;
  message.tail = std::max(message.tail, link.free) + link.latency;
  if constexpr (Tracked) {
    message.head = after(after(message.head, begin - head, &Split::wait), link.latency, &Split::latency);
  }
  if (options_.recorder != nullptr) {
    const Conn& conn = conns_[message.conn];
    options_.recorder->transfer(l, static_cast<int>(conn.from), static_cast<int>(conn.to), message.bytes,
                                begin, link.free);
  }
  if (--message.left == 0) return arrive(m);
  ++message.next;
  const uint32_t next = message.isLong ? routes_[message.hops[0] + message.next] : message.hops[message.next];
  queue_.push({begin + link.latency, EventKind::Hop, m, next});
}

/// Its last byte's time is known.
template <bool Tracked>
void Player<Tracked>::arrive(uint32_t m) {
  const Message& message = messages_[m];
  Conn& conn = conns_[message.conn];
  S arrival;
  if constexpr (Tracked) {
    arrival = after(message.head, message.tail - message.head.t, &Split::wire);
  } else {
    arrival.t = message.tail;
  }
  freeMessages_.push_back(m);
  if (conn.pull) {
    const uint32_t index = conn.receiver;
    Lane& lane = lanes_[index];
    raise(lane.clock, arrival);
    if (--lane.pulls == 0) queue_.push({lane.clock.t, EventKind::Ready, index, 0});
    return;
  }
  slot(message.conn, message.slot) = after(arrival, conn.flag, &Split::latency);
  if (conn.receiver == kNone) return;
  const uint32_t waiting = conn.receiver;
  conn.receiver = kNone;
  tryStart(waiting);
}

template <bool Tracked>
typename Player<Tracked>::Board& Player<Tracked>::board(uint32_t item, uint32_t rank, uint32_t channel) {
  uint32_t& entry = boardMap_[static_cast<uint64_t>(item) << 33 | static_cast<uint64_t>(rank) << 1 | channel];
  if (entry == kNone) {
    entry = static_cast<uint32_t>(boards_.size());
    boards_.emplace_back();
  }
  return boards_[entry];
}

}  // namespace tutti::sim
