// The `tutti` command: finds the verb and hands the rest of the line to it.
#include <cstdio>
#include <exception>
#include <string>

#include "core/result.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

void printHelp(FILE* to) {
  fmt::print(to, "tutti {}: collective communication\n\nusage: tutti VERB [options]\n\nverbs:\n",
             TUTTI_VERSION);
  for (const Verb& verb : verbs()) {
    if (verb.main) fmt::print(to, "  {:<10} {}\n", verb.name, verb.help);
  }
  fmt::print(to, "\n`tutti help VERB` tells a verb's options; `tutti --version` the version.\n");
}

const Verb* findVerb(std::string_view name) {
  for (const Verb& verb : verbs()) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

int runVerb(std::string_view name, int argc, char** argv) {
  const Verb* verb = findVerb(name);
  if (!verb) {
    fmt::print(stderr, "tutti: there is no verb '{}'. `tutti --help` lists them.\n", name);
    return kExitUsage;
  }
  if (!verb->main) {
    fmt::print(stderr, "tutti {}: not built yet in this version ({}).\n", name, TUTTI_VERSION);
    return kExitUsage;
  }
  return verb->main(argc, argv);
}

int toolMain(int argc, char** argv) {
  std::string_view first = argc > 1 ? argv[1] : "";
  if (first.empty()) {
    printHelp(stderr);
    return kExitUsage;
  }
  if (first == "--version" || first == "-V") {
    fmt::print("tutti {} (NCCL API 2.32.3)\n", TUTTI_VERSION);
    return kExitOk;
  }
  if (first == "--help" || first == "-h" || (first == "help" && argc == 2)) {
    printHelp(stdout);
    return kExitOk;
  }
  if (first == "help") {
    std::string name = argv[2], option = "--help";
    char* helpArgv[] = {name.data(), option.data(), nullptr};
    return runVerb(name, 2, helpArgv);
  }
  return runVerb(first, argc - 1, argv + 1);
}

}  // namespace
}  // namespace tutti::tools

int main(int argc, char** argv) {
  try {
    return tutti::tools::toolMain(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tutti: %s\n", error.what());
    return tutti::tools::kExitFailed;
  }
}
