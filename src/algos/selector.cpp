#include "algos/selector.hpp"

#include <algorithm>
#include <cctype>

namespace tutti::algos {
namespace {

std::string lower(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (!std::isspace(static_cast<unsigned char>(c)))
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t end = text.find(separator);
    if (std::string_view part = text.substr(0, end); !part.empty()) parts.emplace_back(part);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

// Names that NCCL knows and a host cannot have.
constexpr std::string_view kForeignAlgorithms[] = {"collnet", "collnetdirect", "collnetchain", "nvls",
                                                   "nvlstree"};
constexpr std::string_view kForeignProtocols[] = {"ll128"};

template <size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// The bits that a list like "ring,tree" or "^tree" leaves of `all`.
template <typename Find>
Result<uint32_t> parseList(std::string_view variable, std::string_view list, uint32_t all,
                           std::string_view known, Find find) {
  const bool negated = !list.empty() && list[0] == '^';
  if (negated) list.remove_prefix(1);
  uint32_t bits = 0;
  for (const std::string& name : split(list, ',')) {
    Result<uint32_t> bit = find(name);
    if (!bit.ok()) {
      return makeError(Code::InvalidArgument,
                       "{}: \"{}\" is none of {} (a list may start with '^' and be given per collective: "
                       "\"allreduce:ring;broadcast:tree\")",
                       variable, name, known);
    }
    bits |= *bit;
  }
  return negated ? all & ~bits : bits;
}

template <typename Find>
Status parseAll(std::string_view variable, std::string_view text, std::array<uint32_t, kCollectiveCount>& out,
                uint32_t all, std::string_view known, Find find) {
  for (const std::string& clause : split(lower(text), ';')) {
    std::string_view list = clause;
    std::optional<Collective> only;
    if (size_t colon = clause.find(':'); colon != std::string::npos) {
      only = collectiveFromName(clause.substr(0, colon));
      if (!only) {
        return makeError(Code::InvalidArgument, "{}: \"{}\" is not the name of a collective", variable,
                         clause.substr(0, colon));
      }
      list.remove_prefix(colon + 1);
    }
    TUTTI_ASSIGN(uint32_t bits, parseList(variable, list, all, known, find));
    for (int c = 0; c < kCollectiveCount; ++c) {
      if (!only || static_cast<int>(*only) == c) out[c] = bits;
    }
  }
  return {};
}

/// The collectives that NCCL itself applies NCCL_ALGO to; the others are plain sends and receives there.
bool selectableInNccl(Collective c) {
  return c == Collective::AllReduce || c == Collective::Reduce || c == Collective::Broadcast ||
         c == Collective::AllGather || c == Collective::ReduceScatter;
}

}  // namespace

Filter::Filter() {
  algorithms.fill((1u << kAlgorithmCount) - 1);
  protocols.fill((1u << kProtocolCount) - 1);
}

Result<Filter> Filter::parse(std::string_view algorithmText, std::string_view protocolText) {
  Filter filter;
  TUTTI_TRY(
      parseAll("NCCL_ALGO", algorithmText, filter.algorithms, (1u << kAlgorithmCount) - 1,
               "ring, tree, rd, oneshot, twoshot, pairwise, rh, bruck, binomial, pat, swing, hier, forest",
               [](std::string_view name) -> Result<uint32_t> {
                 if (auto a = algorithmFromName(name)) return 1u << static_cast<int>(*a);
                 if (contains(kForeignAlgorithms, name)) return 0u;
                 return makeError(Code::InvalidArgument, "unknown");
               }));
  TUTTI_TRY(parseAll("NCCL_PROTO", protocolText, filter.protocols, (1u << kProtocolCount) - 1, "simple, ll",
                     [](std::string_view name) -> Result<uint32_t> {
                       if (auto p = protocolFromName(name)) return 1u << static_cast<int>(*p);
                       if (contains(kForeignProtocols, name)) return 0u;
                       return makeError(Code::InvalidArgument, "unknown");
                     }));
  filter.forced = !algorithmText.empty() || !protocolText.empty();
  return filter;
}

std::vector<Choice> Selector::candidates(const Request& request, const Filter& filter) const {
  std::vector<Choice> found;
  const int c = static_cast<int>(request.collective);
  for (const Builder& builder : builtinAlgorithms()) {
    if ((filter.algorithms[c] >> static_cast<int>(builder.algorithm) & 1) == 0) continue;
    for (Protocol protocol : {Protocol::Simple, Protocol::LL}) {
      if ((filter.protocols[c] >> static_cast<int>(protocol) & 1) == 0) continue;
      // Lines do not travel over a network as such.
      if (protocol == Protocol::LL && (machine_.network || request.bytes() > limits_.llMaxBytes)) continue;
      if (!builder.supports(request, protocol, limits_)) continue;
      found.push_back(
          {builder.algorithm, protocol, predictUs(request, builder.algorithm, protocol, machine_)});
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Choice& a, const Choice& b) { return a.predictedUs < b.predictedUs; });
  return found;
}

std::string Selector::explain(const Request& request, const Filter& filter) const {
  std::string text =
      fmt::format("{} of {} bytes on {} ranks:", nameOf(request.collective), request.bytes(), request.nRanks);
  const std::vector<Choice> found = candidates(request, filter);
  for (const Choice& c : found) {
    text +=
        fmt::format("\n  {:>9}/{:<6} {:10.2f} us", nameOf(c.algorithm), nameOf(c.protocol), c.predictedUs);
    text += &c == found.data() ? "  chosen"
                               : fmt::format("  {:.2f} x", c.predictedUs / found.front().predictedUs);
  }
  return text;
}

Result<Choice> Selector::choose(const Request& request, const Filter& filter) const {
  std::vector<Choice> found = candidates(request, filter);
  if (found.empty() && !selectableInNccl(request.collective)) found = candidates(request, Filter());
  if (found.empty()) {
    return makeError(
        Code::InvalidUsage,
        "no algorithm and protocol is left for {} on these ranks: NCCL_ALGO and NCCL_PROTO allow none of "
        "those that it has{}",
        nameOf(request.collective),
        limits_.boards ? "" : " (ranks on several hosts: no one- or two-shot, no LL)");
  }
  return found.front();
}

}  // namespace tutti::algos
