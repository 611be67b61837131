// The file that keeps a machine's calibration: NAME=VALUE lines between a version and an end mark.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "calibration/fingerprint.hpp"
#include "calibration/values.hpp"
#include "core/result.hpp"

namespace tutti::calibration {

inline constexpr int kFormatVersion = 1;

/// What a file holds.
struct Saved {
  Values values;
  int64_t measuredAt = 0;  ///< seconds since 1970
  int64_t tookMs = 0;
};

std::string textOf(const Saved& saved, const Fingerprint& machine);

/// Reads what textOf() wrote. An error says what is wrong: another version, another machine, truncated,
/// something that is not a number or that no machine has. `path` is for messages.
Result<Saved> parse(std::string_view text, const Fingerprint& machine, std::string_view path);

/// Where this machine's file is: TUTTI_CALIBRATION_FILE, or a file named after the fingerprint in
/// TUTTI_CACHE_DIR, $XDG_CACHE_HOME/tutti or ~/.cache/tutti. Empty where there is none of them.
std::string pathFor(const Fingerprint& machine);

enum class Lacks { Nothing, File, Sense };
struct Loaded {
  Lacks lacks = Lacks::Nothing;
  Saved saved;
  std::string why;  ///< where it lacks sense
};
/// Lacks::File where there is none; Lacks::Sense where there is one that cannot be used.
Loaded load(const std::string& path, const Fingerprint& machine);

/// Makes the folder if need be, writes a file beside `path` and renames it: readers see all or nothing, and
/// of several writers the last one wins.
Status save(const std::string& path, const Saved& saved, const Fingerprint& machine);

}  // namespace tutti::calibration
