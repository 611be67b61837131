#include "sim/program.hpp"

#include <algorithm>

#include "sim/flat_map.hpp"

namespace tutti::sim {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

}  // namespace

Costs Costs::ofHost(const algos::Machine& m, double touchedBytes) {
  const double factor = touchedBytes <= static_cast<double>(m.l2Bytes)   ? 1
                        : touchedBytes <= static_cast<double>(m.l3Bytes) ? m.l3Factor
                                                                         : m.memoryFactor;
  Costs c;
  c.sendUs = c.recvUs = m.messageUs;
  c.llMessageUs = m.llMessageUs;
  c.llLineNs = m.lineNs;
  c.reduceGBps = m.reduceGBps / factor;
  c.readGBps = m.readGBps / factor;
  c.copyGBps = m.copyGBps / factor;
  c.handoverUs = 0.8 * m.handoverUs;
  c.lanesShareCore = true;
  c.slowdown = m.ranksPerCore;
  return c;
}

Costs Costs::ofGpu() {
  Costs c;
  c.sendUs = c.recvUs = 0.2;
  c.reduceGBps = 800;
  c.copyGBps = 1500;
  c.handoverUs = 0.5;
  c.launchUs = 3;
  return c;
}

Result<PositionProgram> Programs::of(int item, int position) {
  const Item& call = workload_.items[item];
  if (built_.size() < workload_.items.size()) built_.resize(workload_.items.size());
  auto& positions = built_[item];
  if (positions.empty()) positions.resize(static_cast<size_t>(call.request.nRanks), {kNone, 0});
  PositionProgram& program = positions[position];
  if (program.lanesAt != kNone) return program;

  TUTTI_ASSIGN(algos::Plan plan,
               algos::buildPlan(call.request, call.algorithm, call.protocol, position, call.limits));
  const auto [shape, fresh] = shapeOf_.try_emplace(item, static_cast<uint32_t>(shapes_.size()));
  program.lanesAt = static_cast<uint32_t>(rankLanes_.size());
  program.lanes = static_cast<uint32_t>(plan.lanes.size());
  std::vector<PlayStep> steps;
  for (size_t l = 0; l < plan.lanes.size(); ++l) {
    const algos::Lane& lane = plan.lanes[l];
    LaneProgram p;
    p.shape = shape->second;
    p.steps = static_cast<uint16_t>(lane.steps.size());
    p.channel = lane.channel;
    p.number = static_cast<uint8_t>(l);
    p.part = lane.part;
    p.parts = lane.parts;
    p.rounds = static_cast<uint32_t>(plan.rounds(lane));
    p.lastRound = p.rounds - 1;
    roundsDiffer_ = roundsDiffer_ || (rounds_ != 0 && rounds_ != p.rounds);
    rounds_ = p.rounds;
    if (mostRounds_ > 0) p.rounds = std::min(p.rounds, mostRounds_);
    p.fullBytes = plan.chunkCount * call.request.elementBytes();
    const auto peersAt = static_cast<uint32_t>(peers_.size());
    steps.clear();
    for (size_t s = 0; s < lane.steps.size(); ++s) {
      const algos::Step& step = lane.steps[s];
      PlayStep play = costed(plan, step);
      play.original = static_cast<uint16_t>(s);
      play.connAt = p.connections;
      p.connections += static_cast<uint32_t>(play.receives + play.sends);
      for (int i = 0; i < step.recvFrom.count; ++i) peers_.push_back(step.recvFrom.peer[i]);
      for (int i = 0; i < step.sendTo.count; ++i) peers_.push_back(step.sendTo.peer[i]);
      steps.push_back(play);
    }
    rankLanes_.push_back({share(p, steps), peersAt});
  }
  if (fresh) {
    plan.lanes.clear();
    shapes_.push_back(std::move(plan));
  }
  return program;
}

/// The lane that is equal to this one, if there is one already.
uint32_t Programs::share(LaneProgram lane, std::span<const PlayStep> steps) {
  uint64_t hash = mixed(lane.shape) ^ mixed(lane.number + 1000u * lane.steps);
  for (const PlayStep& step : steps)
    hash = mixed(
        hash ^ mixed(static_cast<uint64_t>(step.sized.index.base) << 16 | step.receives * 256u | step.sends));
  const auto [first, last] = known_.equal_range(hash);
  for (auto at = first; at != last; ++at) {
    LaneProgram& other = lanes_[at->second];
    lane.stepsAt = other.stepsAt;
    if (lane == other && std::equal(steps.begin(), steps.end(), steps_.begin() + other.stepsAt))
      return at->second;
  }
  lane.stepsAt = static_cast<uint32_t>(steps_.size());
  steps_.insert(steps_.end(), steps.begin(), steps.end());
  lanes_.push_back(lane);
  known_.emplace(hash, static_cast<uint32_t>(lanes_.size() - 1));
  return static_cast<uint32_t>(lanes_.size() - 1);
}

/// A reduction writes its first place as it goes; every other place, and everything that is not reduced, is a
/// copy.
PlayStep Programs::costed(const algos::Plan& plan, const algos::Step& step) const {
  const algos::BlockRef& sized = step.src.buffer != algos::Buffer::None ? step.src : step.dst;
  PlayStep p;
  p.sized = sized;
  p.repeat = step.repeat;
  p.receives = static_cast<uint8_t>(step.recvFrom.count);
  p.sends = static_cast<uint8_t>(step.sendTo.count);
  p.reads = step.readFrom;
  p.readChannel = step.readChannel;
  p.readPeer = step.readPeer;
  p.publishes = step.publishes;
  p.publishChannel = step.publishChannel;
  p.wide = step.publishFor < 0;
  const int readers = step.readFrom == algos::Reads::All   ? plan.request.nRanks - 1
                      : step.readFrom == algos::Reads::One ? 1
                                                           : 0;
  const int taken = p.receives + readers;
  const int given = p.sends + (step.publishes ? 1 : 0);
  int copies = given + (step.dst.buffer != algos::Buffer::None ? 1 : 0);
  double perByte = 0;
  if (step.reduces) {
    const bool own = step.src.buffer != algos::Buffer::None;
    if (readers > 0 && costs_.readGBps > 0)
      perByte += (taken + (own ? 1 : 0)) * psPerByte(costs_.readGBps);
    else if (costs_.reduceGBps > 0)
      perByte += taken * psPerByte(costs_.reduceGBps);
    copies = std::max(0, copies - 1);
  }
  if (costs_.copyGBps > 0) perByte += copies * psPerByte(costs_.copyGBps);
  double messageUs = taken * costs_.recvUs + given * costs_.sendUs;
  if (plan.protocol == algos::Protocol::LL) {
    constexpr double kLineData = 56;
    perByte += (copies + (step.reduces ? taken : 0)) * costs_.llLineNs * 1e3 / kLineData;
    if (costs_.llMessageUs > 0) messageUs = (taken + given) * costs_.llMessageUs;
  }
  p.fixed = psFromUs(messageUs * costs_.slowdown);
  p.psPerByte = perByte * costs_.slowdown;
  return p;
}

uint64_t Programs::lastRoundBytes(const LaneProgram& lane, const PlayStep& step, uint32_t round, int k,
                                  bool even) const {
  const algos::Plan& plan = shapes_[lane.shape];
  algos::Lane part;
  part.part = lane.part;
  part.parts = lane.parts;
  const size_t element = plan.request.elementBytes();
  if (even) return plan.extent(part, round, 0).count * element * static_cast<uint64_t>(step.sized.span);
  uint64_t count = 0;
  for (int i = 0; i < step.sized.span; ++i) {
    const int block = step.sized.at(k, i);
    count += step.sized.buffer == algos::Buffer::Scratch ? plan.scratchExtent(part, round, block).count
                                                         : plan.extent(part, round, block).count;
  }
  return count * element;
}

std::string Programs::stepName(int item, int position, const LaneProgram& lane, const PlayStep& step) const {
  const Item& call = workload_.items[item];
  auto plan = algos::buildPlan(call.request, call.algorithm, call.protocol, position, call.limits);
  if (!plan.ok() || lane.number >= plan->lanes.size()) return "?";
  return algos::nameOf(plan->lanes[lane.number].steps[step.original]);
}

}  // namespace tutti::sim
