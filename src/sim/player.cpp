#include "sim/player.hpp"

#include <algorithm>
#include <cmath>

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
      programs_(workload, options.costs, options.mostRounds),
      every_(static_cast<uint32_t>(std::max(1, options.fold))),
      nRanks_(static_cast<uint32_t>(options.period > 0 ? options.period : workload.nRanks) / every_) {}

template <bool Tracked>
Result<Report> Player<Tracked>::run() {
  const int64_t begin = nowNs();
  const double cpuBegin = threadSeconds();
  network_.reset();
  for (const Item& item : workload_.items)
    depth_ = std::max(depth_, static_cast<uint32_t>(item.limits.depth));
  roundEnds_.assign(options_.mostRounds, 0);
  startAll();
  auto soon = [&](const Event& event, bool close) { prefetch(event, close); };
  while (!queue_.empty() && !error_) {
    const Event event = queue_.pop(soon);
    if (++report_.events > options_.maxEvents) {
      return makeError(Code::InvalidUsage, "stopped after {} events at {:.1f} us of simulated time",
                       options_.maxEvents, usFromPs(event.time));
    }
    if (event.time > options_.stopAfter) {
      report_.stopped = true;
      report_.end = event.time;
      break;
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
        if constexpr (Tracked) at = timers_[row(event.other) * workload_.items.size() + event.subject()];
        itemDone(event.other, event.subject(), at);
        break;
      }
    }
  }
  if (error_) return *std::move(error_);
  if (!report_.stopped) {
    if (itemsLeft_ > 0) return deadlock();
    report_.end = last_.t;
    if (options_.mostRounds > 0) fillIn();
    if (error_) return *std::move(error_);
  }
  if constexpr (Tracked) report_.split = last_.split;
  report_.computing = computed_.empty() ? 0 : *std::max_element(computed_.begin(), computed_.end());
  report_.wallSeconds = static_cast<double>(nowNs() - begin) * 1e-9;
  report_.cpuSeconds = threadSeconds() - cpuBegin;
  return std::move(report_);
}

/// Adds the time of the rounds that were not played: as long as those in the second half of what was, where
/// the pipeline is full.
template <bool Tracked>
void Player<Tracked>::fillIn() {
  const uint32_t played = options_.mostRounds;
  if (programs_.rounds() == 0)
    return fail(makeError(Code::InternalError, "rounds can be left out only where all lanes have as many"));
  if (programs_.rounds() <= played || played < 8) return;
  const uint32_t first = played / 2, last = played - 2;  // the very last one may be short
  auto took = [&](uint32_t a, uint32_t b) { return roundEnds_[b] - roundEnds_[a]; };
  for (uint32_t p = 1; p <= 8 && report_.roundsRepeat == 0 && first + 2 * p <= last; ++p) {
    bool repeats = true;
    for (uint32_t r = first; r + p <= last && repeats; ++r)
      repeats = took(r, r + p) == took(first, first + p);
    if (repeats) report_.roundsRepeat = static_cast<int>(p);
  }
  const uint32_t middle = (first + last) / 2;
  const double mean = static_cast<double>(took(first, last)) / (last - first);
  const double early = static_cast<double>(took(first, middle)) / (middle - first);
  const double late = static_cast<double>(took(middle, last)) / (last - middle);
  if (report_.roundsRepeat == 0 && mean > 0) report_.roundSpread = std::abs(late - early) / mean;
  const auto p = static_cast<uint32_t>(report_.roundsRepeat);
  report_.skippedRounds = programs_.rounds() - played;
  const double each = p > 0 ? static_cast<double>(took(first, first + p)) / p : mean;
  report_.roundPs = static_cast<TimePs>(std::llround(each));
  const auto more = static_cast<TimePs>(std::llround(each * report_.skippedRounds));
  report_.end += more;
  last_ = after(last_, more, &Split::wire);
  for (ItemReport& item : report_.items) item.end += more;
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
        other = stand(conns_[lane.waitsOn].from);
        what = "to send";
        break;
      case Wait::Room:
        other = stand(conns_[lane.waitsOn].to);
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
  if (options.fold < 0 || (options.fold > 0 && (options.period > 0 || workload.nRanks % options.fold != 0)))
    return makeError(Code::InvalidArgument, "{} ranks cannot be folded {} at a time", workload.nRanks,
                     options.fold);
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
