#include "algos/request.hpp"

#include <cctype>
#include <string>

namespace tutti::algos {
namespace {

constexpr std::string_view kCollectives[kCollectiveCount] = {
    "AllReduce", "Reduce",  "Broadcast", "AllGather",  "ReduceScatter", "AllToAll",
    "Gather",    "Scatter", "AllToAllV", "AllGatherV", "ReduceScatterV"};
constexpr std::string_view kAlgorithms[kAlgorithmCount] = {"ring",     "tree", "rd",    "oneshot",  "twoshot",
                                                           "pairwise", "rh",   "bruck", "binomial", "pat",
                                                           "swing",    "hier", "forest"};
constexpr std::string_view kProtocols[kProtocolCount] = {"simple", "ll"};

std::string folded(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != '_' && c != '-') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

template <typename Enum, size_t N>
std::optional<Enum> find(const std::string_view (&names)[N], std::string_view name) {
  std::string wanted = folded(name);
  for (size_t i = 0; i < N; ++i) {
    if (folded(names[i]) == wanted) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view nameOf(Collective c) {
  return kCollectives[static_cast<int>(c)];
}
std::string_view nameOf(Algorithm a) {
  return kAlgorithms[static_cast<int>(a)];
}
std::string_view nameOf(Protocol p) {
  return kProtocols[static_cast<int>(p)];
}

std::optional<Collective> collectiveFromName(std::string_view name) {
  if (folded(name) == "bcast") return Collective::Broadcast;
  return find<Collective>(kCollectives, name);
}
std::optional<Algorithm> algorithmFromName(std::string_view name) {
  if (folded(name) == "recursivedoubling") return Algorithm::RecursiveDoubling;
  if (folded(name) == "recursivehalving" || folded(name) == "rabenseifner")
    return Algorithm::RecursiveHalving;
  if (folded(name) == "hierarchical") return Algorithm::Hierarchical;
  return find<Algorithm>(kAlgorithms, name);
}
std::optional<Protocol> protocolFromName(std::string_view name) {
  return find<Protocol>(kProtocols, name);
}

}  // namespace tutti::algos
