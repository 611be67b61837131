// `tutti plan`: shows the program that a rank plays for a call.
#include <fstream>

#include "algos/algorithm.hpp"
#include "algos/draw.hpp"
#include "algos/selector.hpp"
#include "algos/text.hpp"
#include "algos/verify_matrix.hpp"
#include "core/bytes.hpp"
#include "parse.hpp"
#include "plan/plan_json.hpp"
#include "verbs.hpp"

namespace tutti::tools {
namespace {

using namespace algos;  // NOLINT

struct Line {
  std::string collective, bytes = "1M", type = "float", op = "sum", algorithm, protocol, rank = "0";
  std::string slotBytes = "128K", boardBytes = "256K", llBytes = "3584";
  size_t count = 0;
  Request request;
  Limits limits;
};

int usage(const std::string& text) {
  fmt::print(stderr, "tutti plan: {}\n", text);
  return kExitUsage;
}

/// Fills request and limits from the words. Empty: fine; else what is wrong.
std::string understand(Line& line) {
  auto collective = collectiveFromName(line.collective);
  if (!collective) return fmt::format("'{}' is not the name of a collective", line.collective);
  auto type = dataTypeFromName(line.type);
  if (!type) return fmt::format("'{}' is not the name of a type (float, half, int32, ...)", line.type);
  auto op = reduceOpFromName(line.op);
  if (!op) return fmt::format("'{}' is not the name of an operator (sum, prod, max, min, avg)", line.op);
  line.request.collective = *collective;
  line.request.type = *type;
  line.request.op = *op;
  line.request.count = line.count;
  auto bytesOf = [](const std::string& text, size_t& out) {
    auto bytes = parseBytes(text);
    if (bytes && *bytes > 0) out = static_cast<size_t>(*bytes);
    return bytes && *bytes > 0;
  };
  size_t bytes = 0;
  if (line.count == 0) {
    if (!bytesOf(line.bytes, bytes)) return fmt::format("--bytes {} is not a size", line.bytes);
    line.request.count = bytes / sizeOf(*type);
    if (line.request.count == 0) return "--bytes is less than one element";
  }
  if (!bytesOf(line.slotBytes, line.limits.slotBytes) || !bytesOf(line.boardBytes, line.limits.boardBytes) ||
      !bytesOf(line.llBytes, line.limits.llBytes)) {
    return "slots have sizes like 128K";
  }
  if (line.request.root >= line.request.nRanks) return "the root is not one of the ranks";
  return {};
}

}  // namespace

int planMain(int argc, char** argv) {
  CLI::App app{"Shows the plan that ranks play for a collective call: lanes of steps, over rounds of blocks.",
               "tutti plan"};
  Line line;
  line.request.nRanks = 4;
  line.limits.boards = true;
  std::string picture;
  bool json = false, text = false, noBoards = false;
  app.add_option("COLLECTIVE", line.collective, "allreduce, broadcast, reduce, allgather, ...")->required();
  app.add_option("--ranks,-n", line.request.nRanks, "ranks")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--bytes,-b", line.bytes, "size of the call's count of elements")->capture_default_str();
  app.add_option("--count", line.count, "elements, as nccl.h counts them, instead of --bytes");
  app.add_option("--type", line.type, "element type")->capture_default_str();
  app.add_option("--op", line.op, "operator")->capture_default_str();
  app.add_option("--root", line.request.root, "root")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--algo", line.algorithm, "algorithm; without it, the selector chooses");
  app.add_option("--proto", line.protocol, "simple or ll; without it, the selector chooses");
  app.add_option("--rank", line.rank, "which rank's plan, or all")->capture_default_str();
  app.add_flag("--in-place", line.request.inPlace, "send and receive buffers are the same");
  app.add_flag("--no-boards", noBoards, "as between hosts: ranks share no memory");
  app.add_option("--slot-bytes", line.slotBytes, "payload of a message")->capture_default_str();
  app.add_option("--board-bytes", line.boardBytes, "payload of a board slot")->capture_default_str();
  app.add_option("--ll-bytes", line.llBytes, "payload of an LL message")->capture_default_str();
  app.add_option("--ranks-per-host", line.limits.ranksPerHost, "consecutive ranks on each host, for hier")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--hosts-per-site", line.limits.hostsPerSite, "consecutive hosts on each site, for hier")
      ->check(CLI::Range(0, 1 << 20));
  app.add_flag("--text", text, "as text (the default)");
  app.add_flag("--json", json, "as JSON");
  app.add_option("--svg", picture, "draws all ranks' plans into this file; - is the standard output");
  if (auto status = parse(app, "plan", argc, argv)) return *status;

  if (text && json) return usage("--text or --json, not both");
  if (noBoards) line.limits.boards = false;
  if (std::string problem = understand(line); !problem.empty()) return usage(problem);
  int first = 0, last = line.request.nRanks - 1;
  if (line.rank != "all") {
    auto rank = parseInteger(line.rank);
    if (!rank || *rank < 0 || *rank > last)
      return usage(fmt::format("--rank {} is neither a rank nor all", line.rank));
    first = last = static_cast<int>(*rank);
  }
  if (!line.algorithm.empty() && !algorithmFromName(line.algorithm)) {
    std::string known;
    for (const Builder& builder : builtinAlgorithms()) {
      known += fmt::format("{}{}", known.empty() ? "" : ", ", nameOf(builder.algorithm));
    }
    return usage(fmt::format("--algo {} is none of {}", line.algorithm, known));
  }
  if (!line.protocol.empty() && !protocolFromName(line.protocol)) {
    return usage(fmt::format("--proto {} is neither simple nor ll", line.protocol));
  }
  Result<Filter> filter = Filter::parse(line.algorithm, line.protocol);
  if (!filter.ok()) return usage(filter.error().message());
  if (line.algorithm == "forest" && line.limits.forest == nullptr) {
    // No machine is at hand: the trees of the verifier's matrix, to be looked at.
    line.limits.forest = matrixLimits(std::min(line.request.nRanks, 64)).forest;
  }
  Machine machine;
  Selector selector(machine, line.limits, *filter);
  // Not choose(): it would take another algorithm where the wanted one does not exist.
  std::vector<Choice> choices = selector.candidates(line.request, *filter);
  if (choices.empty()) {
    return usage(
        fmt::format("{} cannot be done by {} with protocol {}{}", nameOf(line.request.collective),
                    line.algorithm.empty() ? "any algorithm" : line.algorithm,
                    line.protocol.empty() ? "simple or ll" : line.protocol,
                    noBoards ? " between ranks that share no memory" : " (or a board slot is too small)"));
  }
  if (!picture.empty()) {
    Result<std::vector<Plan>> plans =
        buildPlans(line.request, choices.front().algorithm, choices.front().protocol, line.limits);
    if (!plans.ok()) return usage(plans.error().message());
    Result<std::string> svg = drawSvg(*plans);
    if (!svg.ok()) return usage(svg.error().message());
    if (picture == "-") {
      fmt::print("{}", *svg);
      return kExitOk;
    }
    std::ofstream file(picture);
    if (!(file << *svg)) return usage(fmt::format("--svg {}: cannot be written", picture));
    return kExitOk;
  }
  nlohmann::json array = nlohmann::json::array();
  for (int rank = first; rank <= last; ++rank) {
    Result<Plan> plan =
        buildPlan(line.request, choices.front().algorithm, choices.front().protocol, rank, line.limits);
    if (!plan.ok()) return usage(plan.error().message());
    if (json) {
      array.push_back(planToJson(*plan));
    } else {
      fmt::print("{}{}", rank > first ? "\n" : "", toText(*plan));
    }
  }
  if (json) fmt::print("{}\n", (line.rank == "all" ? array : array.front()).dump(2));
  return kExitOk;
}

}  // namespace tutti::tools
