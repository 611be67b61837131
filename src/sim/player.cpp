#include "sim/player.hpp"

#include <algorithm>

#include "core/clock.hpp"
#include "sim/player_items.hpp"
#include "sim/player_messages.hpp"
#include "sim/player_plays.hpp"

namespace tutti::sim {
namespace {

double threadSeconds() {
  timespec ts{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) * 1e-9;
}

}  // namespace

template <bool Tracked>
Player<Tracked>::Player(Network& network, const Workload& workload, const Options& options)
    : network_(network),
      workload_(workload),
      options_(options),
      programs_(workload, options.costs),
      nRanks_(static_cast<uint32_t>(options.period > 0 ? options.period : workload.nRanks)) {}

template <bool Tracked>
Result<Report> Player<Tracked>::run() {
  const int64_t begin = nowNs();
  const double cpuBegin = threadSeconds();
  network_.reset();
  for (const Item& item : workload_.items)
    depth_ = std::max(depth_, static_cast<uint32_t>(item.limits.depth));
  startAll();
  auto soon = [&](const Event& event, bool close) { prefetch(event, close); };
  while (!queue_.empty() && !error_) {
    const Event event = queue_.pop(soon);
    if (++report_.events > options_.maxEvents) {
      return makeError(Code::InvalidUsage, "stopped after {} events at {:.1f} us of simulated time",
                       options_.maxEvents, usFromPs(event.time));
    }
    switch (event.kind()) {
      case EventKind::Hop:
        traverse(event.subject(), event.other, event.time);
        break;
      case EventKind::Ready:
        onReady(event.subject(), event.time);
        break;
      case EventKind::Finish:
        finish(event.subject(), event.time);
        break;
      case EventKind::Timer: {
        S at;
        at.t = event.time;
        if constexpr (Tracked) at = timers_[event.other * workload_.items.size() + event.subject()];
        itemDone(event.other, event.subject(), at);
        break;
      }
    }
  }
  if (error_) return *std::move(error_);
  if (itemsLeft_ > 0) return deadlock();
  report_.end = last_.t;
  if constexpr (Tracked) report_.split = last_.split;
  report_.computing = computed_.empty() ? 0 : *std::max_element(computed_.begin(), computed_.end());
  report_.wallSeconds = static_cast<double>(nowNs() - begin) * 1e-9;
  report_.cpuSeconds = threadSeconds() - cpuBegin;
  return std::move(report_);
}

template <bool Tracked>
std::string Player<Tracked>::where(const Lane& lane) const {
  const Item& call = workload_.items[lane.item];
  const LaneProgram& program = programs_.lane(lane.program);
  const PlayStep& step = stepOf(lane);
  const int position = call.groups.positionIn(static_cast<int>(lane.rank));
  return fmt::format("rank {} ({}, lane {}, round {}, step {} \"{}\")", lane.rank, call.name, program.number,
                     lane.round, step.original,
                     programs_.stepName(static_cast<int>(lane.item), position, program, step));
}

/// Follows who waits for whom, from the first lane that waits until somebody comes up twice.
template <bool Tracked>
Error Player<Tracked>::deadlock() const {
  std::string text;
  std::vector<bool> seen(lanes_.size());
  size_t at = 0;
  while (at < lanes_.size() && (lanes_[at].item == kNone || lanes_[at].wait == Wait::No)) ++at;
  for (int shown = 0; at < lanes_.size() && shown < 12; ++shown) {
    const Lane& lane = lanes_[at];
    const bool again = seen[at];
    seen[at] = true;
    if (again) {
      text += fmt::format("\n  back at rank {}", lane.rank);
      break;
    }
    uint32_t other = kNone;
    const char* what = "";
    switch (lane.wait) {
      case Wait::Message:
        other = conns_[lane.waitsOn].from % nRanks_;
        what = "to send";
        break;
      case Wait::Room:
        other = conns_[lane.waitsOn].to % nRanks_;
        what = "to take a message";
        break;
      case Wait::Board:
        other = lane.waitsOn;
        what = "to publish";
        break;
      default:
        break;
    }
    if (other == kNone) {
      text += fmt::format("\n  {} waits for the readers of its board", where(lane));
      break;
    }
    text += fmt::format("\n  {} waits for rank {} {}", where(lane), other, what);
    size_t next = 0;
    while (next < lanes_.size() &&
           (lanes_[next].item == kNone || lanes_[next].rank != other || lanes_[next].wait == Wait::No)) {
      ++next;
    }
    if (next == lanes_.size()) text += fmt::format(", which has nothing left to do");
    at = next;
  }
  return makeError(Code::InternalError, "deadlock at {:.1f} us of simulated time:{}", usFromPs(last_.t),
                   text.empty() ? " no lane waits, but not all is done" : text);
}

template class Player<false>;
template class Player<true>;

Result<Report> simulate(Network& network, const Workload& workload, const Options& options) {
  TUTTI_TRY(workload.check());
  if (workload.nRanks > network.nRanks()) {
    return makeError(Code::InvalidArgument, "{} ranks do not fit a network of {}", workload.nRanks,
                     network.nRanks());
  }
  constexpr int kMostRanks = 1 << 22;  // what a connection's key has room for
  if (workload.nRanks > kMostRanks)
    return makeError(Code::InvalidArgument, "{} ranks are more than {}", workload.nRanks, kMostRanks);
  for (const auto& [rank, factor] : options.slowRanks) {
    if (rank < 0 || rank >= workload.nRanks || !(factor > 0))
      return makeError(Code::InvalidArgument, "slow rank {} (times {}) is none of {} ranks", rank, factor,
                       workload.nRanks);
  }
  if (options.period < 0 || (options.period > 0 && workload.nRanks % options.period != 0))
    return makeError(Code::InvalidArgument, "a period of {} does not divide {} ranks", options.period,
                     workload.nRanks);
  for (const Item& item : workload.items) {
    const algos::Limits& limits = item.limits;
    if (!item.computes && (limits.depth < 1 || limits.depth > 65535 || limits.slotBytes == 0))
      return makeError(Code::InvalidArgument, "\"{}\": FIFOs of {} slots of {} bytes", item.name,
                       limits.depth, limits.slotBytes);
  }
  if (options.split) return Player<true>(network, workload, options).run();
  return Player<false>(network, workload, options).run();
}

}  // namespace tutti::sim
