#include "run/options.hpp"

#include <cstdlib>

#include "parse.hpp"
#include "verbs.hpp"

namespace tutti::tools::run {
namespace {

constexpr int kMaxLocalRanks = 4096;

constexpr const char* kFooter =
    "\nRanks find themselves by TUTTI_RANK, TUTTI_SIZE, TUTTI_LOCAL_RANK and TUTTI_LOCAL_SIZE, and each "
    "other through\n"
    "TUTTI_RENDEZVOUS. N may be more than there are cores. Standard input goes to rank 0.\n"
    "\n"
    "INT, TERM, HUP and QUIT go to all ranks; those that are still there after the grace are killed, as they "
    "are at once\n"
    "when the signal comes a second time. USR1, USR2, WINCH, TSTP and CONT go to all ranks.\n"
    "\n"
    "Exit status: 0 when all ranks returned 0; otherwise that of the first that failed (128 + signal when it "
    "was killed),\n"
    "and the others are ended after the grace. 124 after --timeout, 126 and 127 when the program cannot be "
    "started or is\n"
    "not found, 2 for a wrong command line. No process is left behind, also when `tutti run` itself is "
    "killed.\n";

}  // namespace

bool parseOptions(int argc, char** argv, Options& options, int& exitStatus) {
  int split = 1;
  while (split < argc && std::string_view(argv[split]) != "--") ++split;

  CLI::App app{
      "Starts N ranks of a program on this host.\n\n    tutti run -n N [options] -- program [arguments]\n",
      "tutti run"};
  app.footer(kFooter);
  std::vector<std::string> assignments;
  std::string binding = "none";
  app.add_option("-n,--np", options.ranks, "number of ranks")
      ->required()
      ->check(CLI::Range(1, kMaxLocalRanks))
      ->type_name("N");
  app.add_flag("-l,--prefix,--label", options.label, "put [rank] in front of each line of output");
  app.add_option("--bind-to", binding,
                 "core: rank i runs on the i-th core only; none (default): the system places the ranks, as "
                 "they have helper "
                 "threads and may be more than there are cores")
      ->check(CLI::IsMember({"core", "none"}))
      ->type_name("core|none");
  app.add_option("--timeout", options.timeoutSeconds, "end all ranks after so many seconds")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  app.add_option(
         "--grace", options.graceSeconds,
         "seconds (default 2) that ranks get to end by themselves after one has failed or after a signal")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  app.add_option("-x,--env", assignments, "set a variable for the ranks (NAME alone: as it is here)")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.allow_extras();
  if (auto status = parse(app, "run", split, argv)) {
    exitStatus = *status;
    return false;
  }
  exitStatus = kExitUsage;
  auto complain = [](const std::string& text) {
    fmt::print(stderr, "tutti run: {}\nusage: tutti run -n N [options] -- program [arguments]\n", text);
    return false;
  };
  std::vector<std::string> extras = app.remaining();
  if (!extras.empty() && extras[0].starts_with("-"))
    return complain(fmt::format("unknown option {}", extras[0]));
  if (split >= argc) return complain("'--' is missing: it stands before the program");
  if (!extras.empty())
    return complain(fmt::format("'{}' stands before '--': the program comes after it", extras[0]));
  options.command.assign(argv + split + 1, argv + argc);
  if (options.command.empty()) return complain("there is no program after '--'");
  options.binding = binding == "core" ? Binding::Core : Binding::None;
  for (const std::string& assignment : assignments) {
    size_t equals = assignment.find('=');
    std::string name = assignment.substr(0, equals);
    if (name.empty()) return complain(fmt::format("-x {}: the name of a variable is missing", assignment));
    if (equals != std::string::npos) {
      options.environment.emplace_back(name, assignment.substr(equals + 1));
    } else if (const char* value = std::getenv(name.c_str())) {
      options.environment.emplace_back(name, value);
    }
  }
  return true;
}

}  // namespace tutti::tools::run
