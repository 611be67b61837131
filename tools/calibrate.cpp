// `tutti calibrate`: what was measured of this machine, and what the cost model makes of it.
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "calibration/calibration.hpp"
#include "core/param.hpp"
#include "parse.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using namespace calibration;

void printTable(const Saved& saved, const std::string& origin) {
  fmt::print("machine      {}\nfingerprint  {}\ncalibration  {}\n\n", fingerprint().text,
             fingerprint().hash(), origin);
  fmt::print("{:<11} {:>10} {:>10}       {}\n", "", "here", "reference", "what");
  for (const Field& field : fields()) {
    const double here = saved.values.*field.member;
    const std::string text = here == 0 ? "-" : fmt::format("{:.4g}", here);
    fmt::print("{:<11} {:>10} {:>10.4g} {:<5} {}\n", field.name, text, reference().*field.member, field.unit,
               field.meaning);
  }
  fmt::print("\nslots between cores like these are written {}\n",
             streamingPays(saved.values) ? "past the caches (non-temporal stores)" : "with plain stores");
}

void printJson(const Saved& saved, const std::string& path, bool measured) {
  nlohmann::json values;
  for (const Field& field : fields()) {
    const double here = saved.values.*field.member;
    if (here != 0) values[std::string(field.name)] = {{"value", here}, {"unit", field.unit}};
  }
  const nlohmann::json all = {{"machine", fingerprint().text},
                              {"fingerprint", fingerprint().hash()},
                              {"path", path},
                              {"measured_now", measured},
                              {"measured_at", saved.measuredAt},
                              {"took_ms", saved.tookMs},
                              {"streaming_pays", streamingPays(saved.values)},
                              {"values", values}};
  fmt::print("{}\n", all.dump(2));
}

}  // namespace

int calibrateMain(int argc, char** argv) {
  CLI::App app{
      "Measures what the cost model needs to know of this machine, keeps it, and shows it. Communicators do "
      "the "
      "same by themselves, once per machine.",
      "tutti calibrate"};
  bool force = false, show = false, json = false;
  app.add_flag("--force", force, "measure anew, whatever is there");
  app.add_flag("--show", show, "only show what is there")->excludes("--force");
  app.add_flag("--json", json, "as JSON");
  if (auto status = parse(app, "calibrate", argc, argv)) return *status;
  if (Status sane = params::checkAll(); !sane.ok()) {
    fmt::print(stderr, "tutti calibrate: {}\n", sane.error().message());
    return kExitUsage;
  }

  const std::string path = pathFor(fingerprint());
  auto where = [&](const Saved& saved) {
    return fmt::format("{}, measured {} ago in {} ms", path, ageOf(saved.measuredAt), saved.tookMs);
  };
  if (show) {
    const Loaded loaded = load(path, fingerprint());
    if (loaded.lacks != Lacks::Nothing) {
      fmt::print(
          stderr, "tutti calibrate: {}\n",
          loaded.lacks == Lacks::Sense ? loaded.why
          : path.empty()
              ? std::string("no folder for it: neither TUTTI_CACHE_DIR, XDG_CACHE_HOME nor HOME is set")
              : path + " is not there; `tutti calibrate` makes it");
      return kExitFailed;
    }
    json ? printJson(loaded.saved, path, false) : printTable(loaded.saved, where(loaded.saved));
    return kExitOk;
  }

  const bool progress = !json && isatty(STDERR_FILENO) != 0;
  Result<Made> made = calibrate(force, [&](std::string_view what) {
    if (progress) fmt::print(stderr, "\r\033[Kmeasuring: {} ...", what);
  });
  if (progress) fmt::print(stderr, "\r\033[K");
  if (!made.ok()) {
    fmt::print(stderr, "tutti calibrate: {}; try again when less else is running\n", made.error().message());
    return kExitFailed;
  }
  if (!made->kept.ok()) fmt::print(stderr, "tutti calibrate: not kept: {}\n", made->kept.error().message());
  json ? printJson(made->saved, path, made->measured)
       : printTable(made->saved, made->kept.ok() ? where(made->saved)
                                                 : fmt::format("measured in {} ms", made->saved.tookMs));
  return made->kept.ok() ? kExitOk : kExitFailed;
}

}  // namespace tutti::tools
