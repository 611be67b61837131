// From what a person asks ("AllReduce of 1 GB on 16 of these machines") to a network, a workload and options.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/cluster_network.hpp"
#include "sim/simulate.hpp"

namespace tutti::sim {

/// What is simulated: a built-in algorithm, or a scheme put together from several calls.
struct Scheme {
  std::string name;  ///< "ring", ..., "2level"
  algos::Algorithm algorithm = algos::Algorithm::Ring;
  algos::Protocol protocol = algos::Protocol::Simple;
  /// ReduceScatter in each machine, AllReduce by `algorithm` between machines, AllGather in each machine; the
  /// data goes through in pieces.
  bool twoLevel = false;
};
/// "ring", "tree/ll", "2level", "2level-ring". An unknown name is an error that lists those that there are.
Result<Scheme> schemeFromName(std::string_view name);

struct Scenario {
  std::optional<topology::Cluster> cluster;  ///< none: ideal links between `request.nRanks` ranks
  topology::Settings settings;
  ClusterOptions machines;
  IdealNetwork::Shape ideal;
  algos::Machine host;         ///< what the cost model knows of the host, where ranks sit on cores
  std::optional<Costs> costs;  ///< none: of a host or a GPU, by what the ranks sit on
  bool adaptive = false;
  bool sharedMemory = false;  ///< without a cluster: the ranks are cores of one host, with boards
  algos::Request request;     ///< nRanks is filled from the cluster
  size_t slotBytes = 0;       ///< 0: 512 KiB (hosts: 128 KiB), or more until `mostMessages` suffice
  int depth = 8;
  int channels = 0;  ///< so many rings or trees side by side, on NICs of their own; 0: one per NIC
  uint64_t mostMessages = 20'000'000;
  enum class Symmetry : uint8_t { Auto, On, Off } symmetry = Symmetry::Auto;
  std::vector<std::string> deadLinks;                     ///< by (part of) their names
  std::vector<std::pair<std::string, double>> slowLinks;  ///< and how many times slower
  std::vector<std::pair<int, double>> slowRanks;
  double skewUs = 0;
  uint64_t seed = 1;
};

/// A network is large and may serve many runs.
Result<std::unique_ptr<Network>> makeNetwork(const Scenario& scenario);

struct Prepared {
  Workload workload;
  Options options;
  std::vector<std::string> notes;  ///< what was assumed, coarsened, left out: shown with the result
  bool symmetric = false;          ///< few ranks stand for all
};
/// REQUIRES a network made from the same scenario.
Result<Prepared> prepare(const Scenario& scenario, const Scheme& scheme, const Network& network);

/// What to say about rounds that were not played; empty: all were.
std::string roundsNote(const Options& options, const Report& report);

/// The built-in algorithms and schemes that can do the request.
std::vector<Scheme> schemesFor(const Scenario& scenario, const Network& network);

/// The calls of a scheme, with messages of up to `slotBytes`.
Result<Workload> workloadFor(const Scenario& scenario, const Scheme& scheme, const Network& network,
                             size_t slotBytes);
/// Pieces that a two-level scheme cuts its data into.
int piecesOf(const algos::Request& request);
/// Null: ideal links.
const ClusterNetwork* clusterOf(const Network& network);

/// A time that the call will take at least: what leaves a machine over its NICs, what a lane has to do. For
/// passing over schemes that cannot be the fastest.
Result<double> leastUs(const Scenario& scenario, const Scheme& scheme, const Network& network);

/// Messages that a workload will send, from a sample of its ranks.
Result<uint64_t> estimateMessages(const Workload& workload);

/// The perf programs' size is that of the larger buffer; a request's count is of one block where there are
/// blocks.
void setSize(algos::Request& request, size_t bytes);
/// Bytes that nccl-tests count for algbw, and busbw / algbw.
double algorithmBytes(const algos::Request& request);
double busFactor(const algos::Request& request);

}  // namespace tutti::sim
