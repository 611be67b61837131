// The verbs of the `tutti` command: the one list, and what a verb's file offers.
#pragma once

#include <span>
#include <string_view>

namespace tutti::tools {

/// Exit statuses that are ours; `tutti run` otherwise returns its ranks'.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// What a verb does with its command line: argv[0] is the verb. Prints its own help for --help. Returns the
/// exit status.
using VerbMain = int (*)(int argc, char** argv);

struct Verb {
  std::string_view name;
  std::string_view help;  ///< one line
  VerbMain main;          ///< nullptr: planned, not built
};

/// Every verb, in the order that --help shows.
std::span<const Verb> verbs();

int runMain(int argc, char** argv);
int paramsMain(int argc, char** argv);
int topoMain(int argc, char** argv);
int doctorMain(int argc, char** argv);
int planMain(int argc, char** argv);
int verifyMain(int argc, char** argv);
int simulateMain(int argc, char** argv);
int explainMain(int argc, char** argv);
int calibrateMain(int argc, char** argv);

}  // namespace tutti::tools
