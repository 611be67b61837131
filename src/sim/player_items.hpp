// Player: items start when what they wait for is done. Included by player.cpp.
#pragma once

#include "sim/player.hpp"

namespace tutti::sim {

template <bool Tracked>
void Player<Tracked>::startAll() {
  const size_t nItems = workload_.items.size();
  itemsLeft_ = nItems * nRanks_;
  waitsFor_.assign(nItems * nRanks_, 0);
  dependents_.resize(nItems);
  for (uint32_t i = 0; i < nItems; ++i) {
    for (int a : workload_.items[i].after) dependents_[a].push_back(i);
    for (uint32_t r = 0; r < nRanks_; ++r)
      waitsFor_[r * nItems + i] = static_cast<uint16_t>(workload_.items[i].after.size());
  }
  report_.items.resize(nItems);
  computed_.assign(nRanks_, 0);
  if constexpr (Tracked) timers_.resize(nItems * nRanks_);
  if (options_.costs.lanesShareCore) coreFree_.assign(nRanks_, 0);
  if (!options_.slowRanks.empty()) {
    slowness_.assign(nRanks_, 1);
    for (const auto& [rank, factor] : options_.slowRanks) {
      if (rank < static_cast<int>(nRanks_)) slowness_[rank] = factor;  // none where ranks stand for others
    }
  }
  const double skewPs = options_.skewUs * 1e6;
  for (uint32_t i = 0; i < nRanks_ && !error_; ++i) {
    const uint32_t r = i * every_;
    S start;
    if (skewPs > 0) {
      const double part = static_cast<double>(mixed(options_.seed * 0x10001 + r) >> 11) * 0x1p-53;
      start = after(start, static_cast<TimePs>(part * skewPs), &Split::wait);
    }
    for (uint32_t item = 0; item < nItems; ++item) {
      if (workload_.items[item].after.empty()) startItem(r, item, start);
    }
  }
}

template <bool Tracked>
void Player<Tracked>::startItem(uint32_t rank, uint32_t item, S at) {
  const Item& what = workload_.items[item];
  const int position = what.groups.positionIn(static_cast<int>(rank));
  if (position < 0) return itemDone(rank, item, at);
  ItemReport& times = report_.items[item];
  times.begin = std::min(times.begin, at.t);
  if (!what.computes) return startCall(rank, item, position, at);
  const TimePs length = slow(rank, psFromUs(what.computeUs));
  computed_[row(rank)] += length;
  const S end = after(at, length, &Split::work);
  if constexpr (Tracked) timers_[row(rank) * workload_.items.size() + item] = end;
  if (options_.recorder != nullptr)
    options_.recorder->play(static_cast<int>(rank), static_cast<int>(item), -1, 0, at.t, end.t);
  queue_.push({end.t, EventKind::Timer, item, rank});
}

template <bool Tracked>
void Player<Tracked>::startCall(uint32_t rank, uint32_t item, int position, S at) {
  const Item& call = workload_.items[item];
  if (call.request.nRanks < 2) return itemDone(rank, item, at);
  auto program = programs_.of(static_cast<int>(item), position);
  if (!program.ok()) return fail(std::move(program).error());
  at = after(at, psFromUs(options_.costs.launchUs), &Split::work);
  std::array<uint32_t, 256> started{};
  uint32_t count = 0;
  for (uint32_t l = program->lanesAt; l < program->lanesAt + program->lanes; ++l) {
    const RankLane what = programs_.rankLane(l);
    const LaneProgram& p = programs_.lane(what.program);
    if (p.rounds == 0) continue;
    if (count == started.size())
      return fail(makeError(Code::InternalError, "{}: more than {} lanes", call.name, count));
    uint32_t index = static_cast<uint32_t>(lanes_.size());
    if (freeLanes_.empty()) {
      lanes_.emplace_back();
    } else {
      index = freeLanes_.back();
      freeLanes_.pop_back();
    }
    Lane& lane = lanes_[index];
    lane = Lane();
    lane.rank = rank;
    lane.item = item;
    lane.program = what.program;
    lane.peersAt = what.peersAt;
    lane.clock = at;
    lane.conn.fill(kNone);
    if (p.connections > kInLane) {
      lane.conn[0] = static_cast<uint32_t>(laneConns_.size());
      laneConns_.resize(laneConns_.size() + p.connections, kNone);
    }
    started[count++] = index;
  }
  if (count == 0) return itemDone(rank, item, at);
  waitsFor_[row(rank) * workload_.items.size() + item] = static_cast<uint16_t>(count);
  for (uint32_t i = 0; i < count; ++i) tryStart(started[i]);
}

template <bool Tracked>
void Player<Tracked>::itemDone(uint32_t rank, uint32_t item, S at) {
  --itemsLeft_;
  ItemReport& times = report_.items[item];
  if (workload_.items[item].groups.positionIn(static_cast<int>(rank)) >= 0)
    times.end = std::max(times.end, at.t);
  if (at.t > last_.t) {
    last_ = at;
    report_.lastRank = static_cast<int>(rank);
  }
  const size_t first = row(rank) * workload_.items.size();
  for (uint32_t next : dependents_[item]) {
    if (--waitsFor_[first + next] == 0) startItem(rank, next, at);
  }
}

template <bool Tracked>
void Player<Tracked>::laneDone(uint32_t index) {
  const Lane lane = lanes_[index];
  freeLanes_.push_back(index);
  lanes_[index].item = kNone;
  if (--waitsFor_[row(lane.rank) * workload_.items.size() + lane.item] == 0)
    itemDone(lane.rank, lane.item, lane.clock);
}

}  // namespace tutti::sim
