// Values: what was measured of a machine, and what that makes of the cost model.
//
// The model's own numbers (algos::Machine) are fitted to runs on one machine, the reference. Here the same
// few micro-measurements are made on the machine at hand; each number of the model is scaled by what its
// measurement gives here over what it gave there. So the model may be fitted anew without touching this room.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "algos/cost.hpp"
#include "core/result.hpp"

namespace tutti::calibration {

/// All doubles, 0: not measured. Plain data: rank 0 sends it to the other ranks as it is.
struct Values {
  double copyL2 = 0;      ///< GB/s, one core
  double reduceL2 = 0;    ///< GB/s of results, a+b -> c
  double readL2 = 0;      ///< GB/s read, four vectors added up
  double copyL3 = 0;      ///< GB/s
  double copyMemory = 0;  ///< GB/s
  double lineNs = 0;      ///< packing and unpacking one line of the LL protocol
  double switchUs = 0;    ///< a yield that changes the thread
  double yieldUs = 0;     ///< a yield that changes nothing
  double oneWayNs = 0;    ///< a cache line from core to core; 0: there is one core only
  double plainGBps = 0;   ///< one core writes a ring of two slots, another reads it: plain stores ...
  double streamGBps = 0;  ///< ... and non-temporal ones
  double l2KiB = 0;
  double l3KiB = 0;
  bool operator==(const Values&) const = default;
};

/// One number of Values.
struct Field {
  std::string_view name;
  double Values::*member;
  double least, most;  ///< what a machine may plausibly have
  bool optional;       ///< 0 is as good as a value: one core, no L3
  std::string_view unit;
  std::string_view meaning;
};
std::span<const Field> fields();

/// An error that names the first number that no machine has; a missing one counts, if it is not optional.
Status checkPlausible(const Values& values);

/// What the measurements gave where the model was fitted.
const Values& reference();

/// The model for a machine with these values. What was not measured stays.
algos::Machine applied(algos::Machine model, const Values& values);

/// Whether slots between cores like those measured are better written past the caches.
bool streamingPays(const Values& values);

}  // namespace tutti::calibration
