// Calibration: what this process knows of its machine, from the file or measured.
//
// Ranks must choose alike, so they use one calibration: rank 0's, which travels with the other settings when
// a communicator is made. Rank 0 measures where there is no file that fits; nobody else does.
//
// Thread safety: all calls from any thread.
#pragma once

#include <optional>
#include <string>

#include "calibration/calibration_file.hpp"
#include "calibration/measure.hpp"

namespace tutti::calibration {

struct Calibration {
  Values values;
  std::string origin;  ///< for people: "file /home/..., 3 days old", "measured in 80 ms"
};

/// This machine's calibration: known from before, or from its file, or (if `mayMeasure`) measured and kept in
/// the file. Nothing with TUTTI_CALIBRATE=0, and where the measurement was too noisy. A file that cannot be
/// used is told of once and written anew; a folder that cannot be written to is told of once, at INFO.
/// Measures at most once per process.
std::optional<Calibration> ofThisMachine(bool mayMeasure);

/// Calibrates as `tutti calibrate` does: reads the file (unless `force`), else measures and writes it. `kept`
/// says why it could not be written.
struct Made {
  Saved saved;
  bool measured = false;
  Status kept;
};
Result<Made> calibrate(bool force, const std::function<void(std::string_view)>& progress);

/// "3 days": since `measuredAt`.
std::string ageOf(int64_t measuredAt);

/// What rank 0 measured, for communicators that will be made from that one; no news where something is known.
void adopt(const Values& values);

/// Forgets what ofThisMachine() knows (tests).
void forget();

}  // namespace tutti::calibration
