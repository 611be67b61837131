// Points in simulated time, and where the time went.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace tutti::sim {

/// Picoseconds since the start of the simulation. Whole numbers: sums are exact, and equal on every machine.
using TimePs = int64_t;
inline constexpr TimePs kUnknown = std::numeric_limits<TimePs>::max();

inline TimePs psFromUs(double us) {
  return std::llround(us * 1e6);
}
inline double usFromPs(TimePs ps) {
  return static_cast<double>(ps) * 1e-6;
}
/// Picoseconds that a byte takes at `gbps` GB/s.
inline double psPerByte(double gbps) {
  return 1000.0 / gbps;
}
inline TimePs psFor(double bytes, double perByte) {
  return static_cast<TimePs>(bytes * perByte + 0.5);  // NOLINT(bugprone-incorrect-roundings): never negative
}

/// What the time up to a stamp was spent on, along the chain of events that led to it. The four add up to it.
struct Split {
  TimePs latency = 0;  ///< first byte under way
  TimePs wire = 0;     ///< the other bytes following it
  TimePs work = 0;     ///< ranks reducing, copying, handling messages, computing
  TimePs wait = 0;     ///< queues in front of links and cores, start skew
};

/// A point in time; with `Tracked`, also its Split.
template <bool Tracked>
struct Stamp {
  TimePs t = 0;
};
template <>
struct Stamp<true> {
  TimePs t = 0;
  Split split;
};

template <bool Tracked>
void raise(Stamp<Tracked>& a, const Stamp<Tracked>& b) {
  if (b.t > a.t) a = b;
}

/// `stamp` moved on by `by`, which counts as `part`.
template <bool Tracked>
Stamp<Tracked> after(Stamp<Tracked> stamp, TimePs by, TimePs Split::*part) {
  stamp.t += by;
  if constexpr (Tracked) stamp.split.*part += by;
  return stamp;
}

}  // namespace tutti::sim
