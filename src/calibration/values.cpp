#include "calibration/values.hpp"

#include <algorithm>
#include <cmath>

namespace tutti::calibration {
namespace {

constexpr Field kFields[] = {
    {"copyL2", &Values::copyL2, 1, 2000, false, "GB/s", "copy in the L2 cache"},
    {"reduceL2", &Values::reduceL2, 1, 2000, false, "GB/s", "a + b -> c in the L2 cache, per byte of c"},
    {"readL2", &Values::readL2, 1, 4000, false, "GB/s",
     "four vectors added up in the L2 cache, per byte read"},
    {"copyL3", &Values::copyL3, 0.5, 2000, false, "GB/s", "copy beyond the L2 cache"},
    {"copyMemory", &Values::copyMemory, 0.2, 1000, true, "GB/s", "copy beyond the L3 cache"},
    {"lineNs", &Values::lineNs, 0.2, 200, false, "ns", "packing and unpacking a line of the LL protocol"},
    {"switchUs", &Values::switchUs, 0.05, 50, false, "us", "a yield that changes the thread"},
    {"yieldUs", &Values::yieldUs, 0.02, 50, false, "us", "a yield that changes nothing"},
    {"oneWayNs", &Values::oneWayNs, 3, 3000, true, "ns", "a cache line from core to core"},
    {"plainGBps", &Values::plainGBps, 0.05, 1000, true, "GB/s",
     "core to core through two slots of 32 KiB, plain stores"},
    {"streamGBps", &Values::streamGBps, 0.05, 1000, true, "GB/s", "the same, non-temporal stores"},
    {"l2KiB", &Values::l2KiB, 64, 1 << 20, true, "KiB", "L2 cache of a core"},
    {"l3KiB", &Values::l3KiB, 256, 1 << 22, true, "KiB", "L3 cache that a core sees"},
};

/// By how much the other form must be faster: between equals, plain stores leave the data in a cache.
constexpr double kStreamingGain = 1.25;

/// Nothing that was measured makes a machine a hundred times another one.
double ratio(double here, double there) {
  return here > 0 && there > 0 ? std::clamp(here / there, 0.02, 50.0) : 1;
}

}  // namespace

std::span<const Field> fields() {
  return kFields;
}

Status checkPlausible(const Values& values) {
  for (const Field& field : kFields) {
    const double value = values.*field.member;
    if (value == 0 && field.optional) continue;
    if (!std::isfinite(value) || value < field.least || value > field.most) {
      return makeError(Code::InvalidArgument, "{} = {} {}: no machine has that (expected {} to {})",
                       field.name, value, field.unit, field.least, field.most);
    }
  }
  return {};
}

const Values& reference() {
  // A virtual machine of two Zen 5 cores that shared an L3 cache.
  static constexpr Values kReference = {.copyL2 = 130,
                                        .reduceL2 = 84,
                                        .readL2 = 101,
                                        .copyL3 = 65,
                                        .copyMemory = 40,
                                        .lineNs = 1.49,
                                        .switchUs = 1.08,
                                        .yieldUs = 0.345,
                                        .oneWayNs = 58,
                                        .plainGBps = 46,
                                        .streamGBps = 19.4,
                                        .l2KiB = 1024,
                                        .l3KiB = 32768};
  return kReference;
}

algos::Machine applied(algos::Machine model, const Values& values) {
  const Values& there = reference();
  auto of = [&](double Values::*member) { return ratio(values.*member, there.*member); };
  // Slower beyond a cache by as much more as the reference's copy is slower there.
  auto beyond = [&](double Values::*member) { return ratio(of(&Values::copyL2), of(member)); };
  const double line = of(&Values::lineNs);
  model.handoverUs *= of(&Values::oneWayNs);
  model.copyGBps *= of(&Values::copyL2);
  model.reduceGBps *= of(&Values::reduceL2);
  model.readGBps *= of(&Values::readL2);
  model.lineNs *= line;
  model.messageUs *= line;
  model.llMessageUs *= line;
  model.switchUs *= of(&Values::switchUs);
  if (values.copyL3 > 0) model.l3Factor = std::max(1.0, model.l3Factor * beyond(&Values::copyL3));
  if (values.copyMemory > 0)
    model.memoryFactor = std::max(model.l3Factor, model.memoryFactor * beyond(&Values::copyMemory));
  auto scaled = [](size_t bytes, double by) { return static_cast<size_t>(static_cast<double>(bytes) * by); };
  model.l2Bytes = scaled(model.l2Bytes, of(&Values::l2KiB));
  model.l3Bytes = scaled(model.l3Bytes, of(&Values::l3KiB));
  return model;
}

bool streamingPays(const Values& values) {
  return values.plainGBps > 0 && values.streamGBps > kStreamingGain * values.plainGBps;
}

}  // namespace tutti::calibration
