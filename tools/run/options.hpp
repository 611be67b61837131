// The command line of `tutti run`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace tutti::tools::run {

enum class Binding { None, Core };

struct Options {
  int ranks = 0;
  bool label = false;
  Binding binding = Binding::None;
  double timeoutSeconds = 0;  ///< 0: none
  double graceSeconds = 2;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> command;
};

/// Parses; on an error, or where help was asked for, prints and leaves the exit status in `exitStatus`.
bool parseOptions(int argc, char** argv, Options& options, int& exitStatus);

}  // namespace tutti::tools::run
