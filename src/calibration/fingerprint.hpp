// Fingerprint: what tells a machine from others, as far as its speed goes.
#pragma once

#include <cstdint>
#include <string>

namespace tutti::calibration {

struct Fingerprint {
  /// One line: processor, cores, caches, kernel, library. Two machines with equal ones share calibrations.
  std::string text;
  double l2KiB = 0;  ///< 0: the system does not tell
  double l3KiB = 0;

  /// 16 hexadecimal digits.
  std::string hash() const;
};

/// Of this machine; read once.
const Fingerprint& fingerprint();
/// The same of files below another root (tests: a folder that has proc/ and sys/).
Fingerprint readFingerprint(const std::string& root, const std::string& kernel, int cpus);

}  // namespace tutti::calibration
