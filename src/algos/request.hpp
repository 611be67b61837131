// What a collective call asks for, stripped of buffers: the input of the selector and of every algorithm. A
// value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/dtype.hpp"

namespace tutti::algos {

enum class Collective : uint8_t {
  AllReduce,
  Reduce,
  Broadcast,
  AllGather,
  ReduceScatter,
  AllToAll,
  Gather,
  Scatter,
  AllToAllV,
  AllGatherV,
  ReduceScatterV,
};
inline constexpr int kCollectiveCount = 11;

enum class Algorithm : uint8_t {
  Ring,
  Tree,
  RecursiveDoubling,
  OneShot,
  TwoShot,
  Pairwise,
  RecursiveHalving,
  Bruck,
  Binomial,
  Pat,
  Swing,
  Hierarchical,
  Forest,
};
inline constexpr int kAlgorithmCount = 13;

/// Simple: data in a slot, then a flag. LL: every 64-byte line carries 56 bytes of data and its own flag.
enum class Protocol : uint8_t { Simple, LL };
inline constexpr int kProtocolCount = 2;

std::string_view nameOf(Collective collective);                       ///< "AllReduce"
std::string_view nameOf(Algorithm algorithm);                         ///< "ring"
std::string_view nameOf(Protocol protocol);                           ///< "simple", "ll"
std::optional<Collective> collectiveFromName(std::string_view name);  ///< any case, with or without '_'
std::optional<Algorithm> algorithmFromName(std::string_view name);
std::optional<Protocol> protocolFromName(std::string_view name);

/// True where input contributions are combined by an operator.
constexpr bool reduces(Collective c) {
  return c == Collective::AllReduce || c == Collective::Reduce || c == Collective::ReduceScatter ||
         c == Collective::ReduceScatterV;
}
constexpr bool hasRoot(Collective c) {
  return c == Collective::Reduce || c == Collective::Broadcast || c == Collective::Gather ||
         c == Collective::Scatter;
}

/// `count` is in elements and means what it means in nccl.h: the whole vector for AllReduce, Reduce and
/// Broadcast, one rank's block for AllGather (sendcount), ReduceScatter (recvcount), AllToAll, Gather and
/// Scatter. For the V forms it is the largest block of any rank pair; the true counts travel with the call.
struct Request {
  Collective collective = Collective::AllReduce;
  size_t count = 0;
  DataType type = DataType::Float32;
  ReduceOp op = ReduceOp::Sum;
  int root = 0;
  int nRanks = 1;
  bool inPlace = false;

  size_t elementBytes() const { return sizeOf(type); }
  size_t bytes() const { return count * sizeOf(type); }
  bool operator==(const Request&) const = default;
};

}  // namespace tutti::algos
