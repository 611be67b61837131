#pragma once

#include <map>
#include <regex>
#include <string>
#include <vector>

namespace tutti::gpuperf {

// A program's own option: --name=value.
struct ExtraOption {
  std::string name;
  std::string defaultValue;
  std::string help;
};

// What every program understands, and its own options. Immutable after parse().
class Options {
 public:
  // Prints usage and exits (0 for --help, 2 for a mistake).
  static Options parse(int argc, char** argv, const std::string& what, std::vector<ExtraOption> extras = {});

  bool quick = false;  // about a third of the points
  bool smoke = false;  // smallest sizes, one sample: for compute-sanitizer, numbers mean nothing
  bool jsonToStdout = false;
  std::string jsonPath;  // empty: none
  int device = 0;
  int samples = 7;

  bool wants(const std::string& rowName) const;
  const std::string& text(const std::string& name) const;
  double number(const std::string& name) const;

 private:
  bool filtered_ = false;
  std::regex filter_;
  std::map<std::string, std::string> extras_;
};

}  // namespace tutti::gpuperf
