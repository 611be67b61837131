#include "simulate/scenario_line.hpp"

#include <fstream>
#include <sstream>

#include "calibration/calibration.hpp"
#include "core/bytes.hpp"
#include "topology/xml_nccl.hpp"

namespace tutti::tools {
namespace {

Result<std::string> readAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) return makeError(Code::InvalidArgument, "{} cannot be read", path);
  return text.str();
}

std::vector<std::string> parts(const std::string& text, char separator) {
  std::vector<std::string> found;
  std::stringstream in(text);
  for (std::string part; std::getline(in, part, separator);) found.push_back(part);
  return found;
}

/// "NAME=FACTOR"
Result<std::pair<std::string, double>> factorOf(const std::string& text, const char* option) {
  const size_t equals = text.rfind('=');
  char* end = nullptr;
  const double factor = equals == std::string::npos ? 0 : std::strtod(text.c_str() + equals + 1, &end);
  if (equals == std::string::npos || equals == 0 || *end != '\0' || !(factor > 0))
    return makeError(Code::InvalidArgument, "{} {}: not like NAME=FACTOR", option, text);
  return std::pair(text.substr(0, equals), factor);
}

}  // namespace

void ScenarioLine::addTo(CLI::App& app) {
  app.add_option("COLLECTIVE", collective_,
                 "allreduce, broadcast, reduce, allgather, reducescatter, alltoall, ...");
  app.add_option("--topo", topo_, "a machine: NCCL topology XML or hwloc XML");
  app.add_option("--nodes", nodes_, "so many of these machines")
      ->check(CLI::Range(1, 1 << 18))
      ->capture_default_str();
  app.add_option("--ranks,-n", ranks_, "without --topo: ranks on ideal links");
  app.add_option("--bytes,-b", bytes_, "size as the perf programs count it; several: 1M,1G")
      ->capture_default_str();
  app.add_option("--type", type_, "element type")->capture_default_str();
  app.add_option("--op", op_, "operator")->capture_default_str();
  app.add_option("--root", root_, "root")->capture_default_str();
  app.add_option("--fabric", fabric_, "rail, clos, torus or dragonfly")->capture_default_str();
  app.add_option("--fabric-file", fabricFile_, "sites, leaves, oversubscription (TUTTI_FABRIC_FILE)");
  app.add_option("--torus", torus_, "its lengths: 8x8x4");
  app.add_option("--radix", radix_, "ports of a switch")->capture_default_str();
  app.add_option("--oversubscription", oversubscription_, "leaf to what is above, 1 or more");
  app.add_option("--hop-us", hopUs_, "a switch and its cable")->capture_default_str();
  app.add_flag("--adaptive", adaptive_,
               "messages choose the least loaded of several ways (else: hashed per connection)");
  app.add_option("--nic-bw", nicGbps_, "what if NICs had so many GB/s");
  app.add_flag("--host", host_, "without --topo: ranks are cores of one host, by the engines' cost model");
  app.add_option("--gbps", gbps_, "ideal links: GB/s, 0: no limit")->capture_default_str();
  app.add_option("--latency-us", latencyUs_, "ideal links: latency")->capture_default_str();
  app.add_option("--gap-us", gapUs_, "ideal links: gap between messages")->capture_default_str();
  app.add_option("--overhead-us", overheadUs_, "work per message sent or received");
  app.add_option("--reduce-gbps", reduceGbps_, "speed of a reduction");
  app.add_option("--slot-bytes", slot_, "largest message; without it 512K (hosts 128K), more where needed");
  app.add_option("--depth", depth_, "slots of a connection")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--channels", channels_, "rings or trees side by side; 0: as many as NICs")
      ->check(CLI::Range(0, 64));
  app.add_option("--most-messages", messages_,
                 "millions; coarser messages beyond (20, or 40 for one algorithm)")
      ->check(CLI::Range(1, 100000));
  app.add_option("--dead-link", dead_, "links whose name contains this are dead");
  app.add_option("--slow-link", slowLinks_, "NAME=FACTOR: links so many times slower");
  app.add_option("--slow-rank", slowRanks_, "RANK=FACTOR: a rank whose work takes so many times longer");
  app.add_option("--skew-us", skewUs_, "ranks start at a random time up to this")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", seed_, "of skew and hashed ways")->capture_default_str();
}

Result<std::vector<size_t>> ScenarioLine::sizes() const {
  std::vector<size_t> found;
  for (const std::string& text : parts(bytes_, ',')) {
    const auto bytes = parseBytes(text);
    if (!bytes || *bytes <= 0) return makeError(Code::InvalidArgument, "--bytes {}: not a size", text);
    found.push_back(static_cast<size_t>(*bytes));
  }
  if (found.empty()) return makeError(Code::InvalidArgument, "--bytes: no size");
  return found;
}

Result<sim::Scenario> ScenarioLine::scenario() const {
  sim::Scenario s;
  auto bad = [](const std::string& text) { return Error(Code::InvalidArgument, text); };
  const auto collective = algos::collectiveFromName(collective_);
  if (!collective && hasCollective())
    return bad(fmt::format("'{}' is not the name of a collective", collective_));
  const auto type = dataTypeFromName(type_);
  if (!type) return bad(fmt::format("'{}' is not the name of a type", type_));
  const auto op = reduceOpFromName(op_);
  if (!op) return bad(fmt::format("'{}' is not the name of an operator", op_));
  s.request.collective = collective.value_or(algos::Collective::AllReduce);
  s.request.type = *type;
  s.request.op = *op;
  s.request.root = root_;
  if (topo_.empty()) {
    if (ranks_ < 2 || ranks_ > 1 << 22)
      return bad("say --topo FILE --nodes N, or --ranks N (2 or more) for ideal links");
    if (nodes_ != 1 || !fabricFile_.empty()) return bad("--nodes and --fabric-file go with --topo");
    s.request.nRanks = ranks_;
  } else {
    if (ranks_ != 0 && nodes_ == 1 && ranks_ < 2) return bad("--ranks goes without --topo");
    TUTTI_ASSIGN(topology::Topology topology, topology::readTopologyFile(topo_));
    topology::FabricFile fabric;
    if (!fabricFile_.empty()) {
      TUTTI_ASSIGN(std::string text, readAll(fabricFile_));
      TUTTI_ASSIGN(fabric, topology::parseFabricFile(text, fabricFile_));
      fabric.places.clear();  // machines of --nodes have no names
    }
    TUTTI_ASSIGN(s.settings, topology::settingsFromParams());
    const auto perMachine = static_cast<int>(topology.graph.ranks.size());
    s.request.nRanks = perMachine * nodes_;
    if (ranks_ != 0 && ranks_ != s.request.nRanks)
      return bad(fmt::format("--ranks {}: {} machines of {} ranks have {}", ranks_, nodes_, perMachine,
                             s.request.nRanks));
    s.cluster = sim::clusterOf(std::move(topology.graph), nodes_, std::move(fabric));
  }
  if (root_ < 0 || root_ >= s.request.nRanks)
    return bad(fmt::format("--root {} is not one of {} ranks", root_, s.request.nRanks));
  TUTTI_ASSIGN(s.machines.fabric, sim::fabricFromName(fabric_));
  for (const std::string& length : parts(torus_, 'x')) {
    const auto value = parseInteger(length);
    if (!value || *value < 1 || *value > 1 << 18)
      return bad(fmt::format("--torus {}: not like 8x8x4", torus_));
    s.machines.torus.push_back(static_cast<int>(*value));
  }
  if (nicGbps_ < 0 || hopUs_ < 0 || (oversubscription_ != 0 && oversubscription_ < 1))
    return bad("--nic-bw and --hop-us are 0 or more, --oversubscription 1 or more");
  s.machines.radix = radix_;
  s.machines.nicGbps = nicGbps_;
  s.machines.hopUs = hopUs_;
  s.machines.oversubscription = oversubscription_;
  s.ideal = {gbps_, latencyUs_, gapUs_};
  s.adaptive = adaptive_;
  if (host_) {
    if (!topo_.empty()) return bad("--host goes without --topo");
    // What the communicators of this host would go by, if it has been measured.
    if (auto known = calibration::ofThisMachine(false)) s.host = calibration::applied(s.host, known->values);
    s.sharedMemory = true;
    s.ideal = {0, s.host.handoverUs, 0};  // the bytes' time is the cores' work
  }
  if (overheadUs_ >= 0 || reduceGbps_ >= 0) {
    if (!s.costs) s.costs = host_ ? sim::Costs::ofHost(s.host) : sim::Costs::ofGpu();
    if (overheadUs_ >= 0) s.costs->sendUs = s.costs->recvUs = overheadUs_;
    if (reduceGbps_ >= 0) s.costs->reduceGBps = reduceGbps_;
  }
  if (!slot_.empty()) {
    const auto bytes = parseBytes(slot_);
    if (!bytes || *bytes < 64 || *bytes > int64_t{1} << 34)
      return bad(fmt::format("--slot-bytes {}: not a size of 64 or more", slot_));
    s.slotBytes = static_cast<size_t>(*bytes);
  }
  s.depth = depth_;
  s.channels = channels_;
  if (messages_ > 0) s.mostMessages = messages_ * 1'000'000;
  s.deadLinks = dead_;
  for (const std::string& text : slowLinks_) {
    TUTTI_ASSIGN(auto slow, factorOf(text, "--slow-link"));
    s.slowLinks.push_back(slow);
  }
  for (const std::string& text : slowRanks_) {
    TUTTI_ASSIGN(auto slow, factorOf(text, "--slow-rank"));
    const auto rank = parseInteger(slow.first);
    if (!rank || *rank < 0 || *rank >= s.request.nRanks)
      return bad(fmt::format("--slow-rank {}: no such rank", text));
    s.slowRanks.emplace_back(static_cast<int>(*rank), slow.second);
  }
  s.skewUs = skewUs_;
  s.seed = seed_;
  return s;
}

}  // namespace tutti::tools
