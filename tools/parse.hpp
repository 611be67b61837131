// Parsing a verb's command line, with one way to say what is wrong with it.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string_view>

#include "core/result.hpp"
#include "verbs.hpp"

namespace tutti::tools {

/// Nothing: the verb goes on. Else its exit status: help has been printed, or what is wrong.
inline std::optional<int> parse(CLI::App& app, std::string_view verb, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      app.exit(error);
      return kExitOk;
    }
    fmt::print(stderr, "tutti {}: {}\n`tutti {} --help` tells its options.\n", verb, error.what(), verb);
    return kExitUsage;
  }
}

}  // namespace tutti::tools
