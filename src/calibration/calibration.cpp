#include "calibration/calibration.hpp"

#include <ctime>
#include <mutex>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::calibration {
namespace {

/// What this process knows. One machine per process, so one of these.
struct Known {
  std::mutex mutex;
  std::optional<Calibration> calibration;
  bool looked = false;    ///< for the file
  bool measured = false;  ///< or tried to
};

Known& known() {
  static Known* const only = new Known;  // outlives the static objects: a communicator may be one
  return *only;
}

Result<Saved> measureNow(const std::function<void(std::string_view)>& progress) {
  const int64_t start = nowNs();
  TUTTI_ASSIGN(const Values values, measure(kBudgetMs, progress));
  return Saved{values, static_cast<int64_t>(std::time(nullptr)), (nowNs() - start) / 1'000'000};
}

std::string fileOrigin(const std::string& path, const Saved& saved) {
  return fmt::format("{}, measured {} ago, machine {}", path, ageOf(saved.measuredAt), fingerprint().hash());
}

}  // namespace

std::string ageOf(int64_t measuredAt) {
  const int64_t seconds = std::max<int64_t>(0, static_cast<int64_t>(std::time(nullptr)) - measuredAt);
  if (seconds < 120) return fmt::format("{} seconds", seconds);
  if (seconds < 7200) return fmt::format("{} minutes", seconds / 60);
  if (seconds < 172800) return fmt::format("{} hours", seconds / 3600);
  return fmt::format("{} days", seconds / 86400);
}

std::optional<Calibration> ofThisMachine(bool mayMeasure) {
  if (!params::getBool("TUTTI_CALIBRATE")) return std::nullopt;
  Known& k = known();
  std::lock_guard lock(k.mutex);
  if (k.calibration) return k.calibration;
  const std::string path = pathFor(fingerprint());
  if (!k.looked) {
    k.looked = true;
    const Loaded loaded = load(path, fingerprint());
    if (loaded.lacks == Lacks::Nothing) {
      k.calibration = Calibration{loaded.saved.values, fileOrigin(path, loaded.saved)};
      return k.calibration;
    }
    if (loaded.lacks == Lacks::Sense)
      TUTTI_WARN("calibration ignored: {}; the machine is measured anew", loaded.why);
  }
  if (!mayMeasure || k.measured) return std::nullopt;
  k.measured = true;
  Result<Saved> saved = measureNow(nullptr);
  if (!saved.ok()) {
    TUTTI_INFO(Init, "the machine could not be calibrated, defaults are used: {}", saved.error().message());
    return std::nullopt;
  }
  if (Status kept = save(path, *saved, fingerprint()); !kept.ok())
    TUTTI_INFO(Init, "the calibration is not kept for the next time: {}", kept.error().message());
  k.calibration = Calibration{
      saved->values, fmt::format("measured in {} ms, machine {}", saved->tookMs, fingerprint().hash())};
  return k.calibration;
}

Result<Made> calibrate(bool force, const std::function<void(std::string_view)>& progress) {
  const std::string path = pathFor(fingerprint());
  if (!force) {
    const Loaded loaded = load(path, fingerprint());
    if (loaded.lacks == Lacks::Nothing) return Made{loaded.saved, false, {}};
    if (loaded.lacks == Lacks::Sense) TUTTI_WARN("calibration ignored: {}", loaded.why);
  }
  TUTTI_ASSIGN(const Saved saved, measureNow(progress));
  return Made{saved, true, save(path, saved, fingerprint())};
}

void adopt(const Values& values) {
  Known& k = known();
  std::lock_guard lock(k.mutex);
  if (!k.calibration) k.calibration = Calibration{values, "of the rank 0 of a communicator before"};
}

void forget() {
  Known& k = known();
  std::lock_guard lock(k.mutex);
  k.calibration.reset();
  k.looked = k.measured = false;
}

}  // namespace tutti::calibration
