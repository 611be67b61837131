// `tutti run`: the verb.
#include "run/options.hpp"
#include "run/supervisor.hpp"
#include "verbs.hpp"

namespace tutti::tools {

int runMain(int argc, char** argv) {
  run::Options options;
  int exitStatus = kExitOk;
  if (!run::parseOptions(argc, argv, options, exitStatus)) return exitStatus;
  run::Supervisor supervisor(options);
  auto outcome = supervisor.run();
  if (!outcome.ok()) {
    fmt::print(stderr, "tutti run: {}\n", outcome.error().message());
    return kExitFailed;
  }
  return *outcome;
}

}  // namespace tutti::tools
