#include "common/options.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace tutti::gpuperf {
namespace {

[[noreturn]] void usage(const char* program, const std::string& what, const std::vector<ExtraOption>& extras,
                        const std::string& mistake) {
  FILE* out = mistake.empty() ? stdout : stderr;
  if (!mistake.empty()) std::fprintf(out, "%s\n\n", mistake.c_str());
  std::fprintf(
      out,
      "%s: %s\n\n"
      "  --json[=FILE]   write JSON to FILE (without FILE: to standard output, instead of the table)\n"
      "  --filter=REGEX  only rows whose name matches\n"
      "  --quick         fewer points\n"
      "  --smoke         smallest sizes, one sample (for checkers; the numbers mean nothing)\n"
      "  --samples=N     samples per row, of which the median is reported (default 7)\n"
      "  --device=N      CUDA device (default 0)\n",
      program, what.c_str());
  for (const ExtraOption& extra : extras)
    std::fprintf(out, "  --%s=...  %s (default '%s')\n", extra.name.c_str(), extra.help.c_str(),
                 extra.defaultValue.c_str());
  std::fprintf(out, "\nExit status: 0 measured, 1 a row failed, 2 usage, 3 no GPU found.\n");
  std::exit(mistake.empty() ? 0 : 2);
}

}  // namespace

Options Options::parse(int argc, char** argv, const std::string& what, std::vector<ExtraOption> extras) {
  Options options;
  for (const ExtraOption& extra : extras) options.extras_[extra.name] = extra.defaultValue;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    auto fail = [&](const std::string& why) { usage(argv[0], what, extras, argument + ": " + why); };
    if (argument == "--help" || argument == "-h") usage(argv[0], what, extras, "");
    if (argument.rfind("--", 0) != 0) fail("options start with --");
    size_t equals = argument.find('=');
    bool hasValue = equals != std::string::npos;
    std::string name = argument.substr(2, hasValue ? equals - 2 : std::string::npos);
    std::string value = hasValue ? argument.substr(equals + 1) : "";
    try {
      if (name == "json") {
        options.jsonToStdout = !hasValue;
        options.jsonPath = value;
      } else if (name == "quick") {
        options.quick = true;
      } else if (name == "smoke") {
        options.smoke = options.quick = true;
        options.samples = 1;
      } else if (name == "filter") {
        options.filtered_ = true;
        options.filter_ = std::regex(value);
      } else if (name == "samples") {
        options.samples = std::stoi(value);
        if (options.samples < 1) fail("needs a number from 1");
      } else if (name == "device") {
        options.device = std::stoi(value);
      } else if (options.extras_.count(name) != 0) {
        options.extras_[name] = value;
      } else {
        fail("unknown option");
      }
    } catch (const std::regex_error&) {
      fail("not a regular expression");
    } catch (const std::logic_error&) {
      fail("not a number");
    }
  }
  return options;
}

bool Options::wants(const std::string& rowName) const {
  return !filtered_ || std::regex_search(rowName, filter_);
}

const std::string& Options::text(const std::string& name) const {
  return extras_.at(name);
}

double Options::number(const std::string& name) const {
  return std::atof(extras_.at(name).c_str());
}

}  // namespace tutti::gpuperf
