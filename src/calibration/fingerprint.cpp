#include "calibration/fingerprint.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "calibration/calibration_file.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "tutti/tutti.h"

namespace tutti::calibration {
namespace {

std::string firstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(trimmed(line));
}

/// The lines "name : value" of the first processor.
std::map<std::string, std::string> firstProcessor(const std::string& path) {
  std::map<std::string, std::string> found;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line) && (!trimmed(line).empty() || found.empty())) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    found[std::string(trimmed(std::string_view(line).substr(0, colon)))] =
        trimmed(std::string_view(line).substr(colon + 1));
  }
  return found;
}

}  // namespace

std::string Fingerprint::hash() const {
  uint64_t h = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", h);
}

Fingerprint readFingerprint(const std::string& root, const std::string& kernel, int cpus) {
  Fingerprint made;
  auto cpu = firstProcessor(root + "/proc/cpuinfo");
  for (const char* name : {"model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part"})
    if (cpu.contains(name)) made.text += fmt::format("{}{}", made.text.empty() ? "" : " ", cpu[name]);
  made.text += fmt::format("; {} CPUs;", cpus);
  for (int i = 0; i < 8; ++i) {
    const std::string cache = fmt::format("{}/sys/devices/system/cpu/cpu0/cache/index{}", root, i);
    const std::string level = firstLine(cache + "/level");
    const std::string type = firstLine(cache + "/type");
    const std::string size = firstLine(cache + "/size");
    if (level.empty()) break;
    made.text += fmt::format(" L{}{} {}", level,
                             type == "Data"          ? "d"
                             : type == "Instruction" ? "i"
                                                     : "",
                             size);
    const auto bytes = parseBytes(size);
    if (!bytes || type == "Instruction") continue;
    if (level == "2") made.l2KiB = static_cast<double>(*bytes) / 1024;
    if (level == "3") made.l3KiB = static_cast<double>(*bytes) / 1024;
  }
  made.text += fmt::format("; {}; library {}, format {}", kernel, TUTTI_VERSION_CODE, kFormatVersion);
  return made;
}

const Fingerprint& fingerprint() {
  static const Fingerprint* const known = [] {
    utsname system{};
    uname(&system);
    // Kept for the life of the process, also while its static objects are being destroyed.
    return new Fingerprint(
        readFingerprint("", fmt::format("{} {} {}", system.sysname, system.release, system.machine),
                        static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))));
  }();
  return *known;
}

}  // namespace tutti::calibration
