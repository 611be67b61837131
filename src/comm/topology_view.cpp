#include "comm/topology_view.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <unordered_map>

#include "algos/algorithm.hpp"
#include "core/log.hpp"
#include "core/param.hpp"
#include "topology/analysis.hpp"
#include "topology/discover.hpp"
#include "topology/xml_graph.hpp"

namespace tutti::comm {

using topology::Analysis;
using topology::ChannelGraph;
using topology::MachineNote;
using topology::Settings;

namespace {

constexpr size_t kMostFileBytes = 4u << 20;
constexpr size_t kMostGatherBytes = 128u << 20;

uint64_t fnv(uint64_t h, const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) h = (h ^ at[i]) * 0x100000001b3ull;
  return h;
}
constexpr uint64_t kFnvStart = 0xcbf29ce484222325ull;

/// This process's machine as a description: all of it, not only what this process may use, so that all
/// processes of a host say the same.
struct Machine {
  topology::Topology topology;
  topology::HostCores cores;
  std::string text;
  MachineNote note;
};

Result<topology::Topology> probeWhole() {
  topology::DiscoverOptions options;
  for (const topology::HostCore& c : topology::probeHostCores("", {}).cores)
    options.allowedCpus.push_back(c.cpu);
  return topology::discover(options);
}

Result<Machine> readMachine(const std::string& file) {
  Machine machine;
  machine.cores = topology::probeHostCores("", {});
  std::ifstream readable(file);
  if (!file.empty() && !readable)
    TUTTI_WARN("NCCL_TOPO_FILE={} cannot be opened: the machine is probed", file);
  if (file.empty() || !readable) {
    TUTTI_ASSIGN(machine.topology, probeWhole());
  } else {
    TUTTI_ASSIGN(machine.topology, topology::readTopologyFile(file));
    if (auto here = probeWhole(); here.ok()) {
      topology::completeFromProbe(machine.topology.xml, here->xml);
      TUTTI_ASSIGN(machine.topology.graph, topology::graphFromNcclXml(machine.topology.xml, file));
    }
  }
  TUTTI_ASSIGN(machine.note, topology::noteOf(machine.topology, "", machine.text));
  return machine;
}

/// Read once per process and file.
std::shared_ptr<const Result<Machine>> machineOfProcess() {
  // Never destroyed: a communicator may still be in the making while the process exits.
  static auto& mutex = *new std::mutex;
  static auto& known = *new std::map<std::string, std::shared_ptr<const Result<Machine>>>;
  const std::string file = params::getString("NCCL_TOPO_FILE");
  std::lock_guard lock(mutex);
  std::shared_ptr<const Result<Machine>>& entry = known[file];
  if (!entry) entry = std::make_shared<const Result<Machine>>(readMachine(file));
  return entry;
}

/// Rank 0's files that hold for all, as it sends them.
struct Files {
  std::string fabric;
  std::string graph;

  std::string packed() const {
    return fabric.empty() && graph.empty() ? "" : fmt::format("{}\n{}{}", fabric.size(), fabric, graph);
  }
  static Files unpack(const std::string& text) {
    Files files;
    const size_t line = text.find('\n');
    if (line == std::string::npos) return files;
    const size_t size = std::min<size_t>(std::strtoull(text.c_str(), nullptr, 10), text.size() - line - 1);
    files.fabric = text.substr(line + 1, size);
    files.graph = text.substr(line + 1 + size);
    return files;
  }
};

Result<Files> readFiles() {
  Files files;
  if (std::string path = params::getString("TUTTI_FABRIC_FILE"); !path.empty()) {
    TUTTI_ASSIGN(files.fabric, topology::readFileBounded(path, kMostFileBytes));
    TUTTI_TRY(topology::parseFabricFile(files.fabric, path));
  }
  if (std::string path = params::getString("NCCL_GRAPH_FILE"); !path.empty()) {
    TUTTI_ASSIGN(files.graph, topology::readFileBounded(path, kMostFileBytes));
    TUTTI_TRY(topology::parseXml(files.graph, path));
  }
  return files;
}

void packSettings(const Settings& s, int32_t (&out)[9]) {
  const int32_t values[9] = {static_cast<int32_t>(s.p2pLevel),
                             static_cast<int32_t>(s.gdrLevel),
                             s.pxn,
                             s.nvb,
                             s.crossNic,
                             s.minChannels,
                             s.maxChannels,
                             s.channelsPerNetPeer,
                             s.ignoreCpuAffinity};
  std::copy(std::begin(values), std::end(values), std::begin(out));
}

Settings unpackSettings(const int32_t (&in)[9]) {
  auto level = [](int32_t v) {
    return static_cast<topology::PathType>(
        std::clamp<int32_t>(v, 0, static_cast<int32_t>(topology::PathType::Dis)));
  };
  Settings s;
  s.p2pLevel = level(in[0]);
  s.gdrLevel = level(in[1]);
  s.pxn = in[2] != 0;
  s.nvb = in[3] != 0;
  s.crossNic = std::clamp(in[4], 0, 2);
  s.maxChannels = std::clamp(in[6], 1, 64);
  s.minChannels = std::clamp(in[5], 1, s.maxChannels);
  s.channelsPerNetPeer = in[7];
  s.ignoreCpuAffinity = in[8] != 0;
  return s;
}

Result<TopologyNote> noteChecked() {
  TopologyNote note;
  TUTTI_ASSIGN(Settings settings, topology::settingsFromParams());
  packSettings(settings, note.settings);
  const auto machine = machineOfProcess();
  if (!machine->ok()) return machine->error();
  note.machine = (*machine)->note;
  if (!settings.ignoreCpuAffinity)
    note.place = topology::placeOf((*machine)->cores, topology::allowedCpusOfThread());
  TUTTI_ASSIGN(Files files, readFiles());
  const std::string packed = files.packed();
  note.filesHash = fnv(kFnvStart, packed.data(), packed.size());
  note.filesBytes = packed.size();
  return note;
}

std::string rankList(const std::vector<int>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size() && i < 8; ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", ranks[i]);
  if (ranks.size() > 8) text += fmt::format(" and {} more", ranks.size() - 8);
  return text;
}

/// Views that communicators of this process hold: its ranks share them.
class ViewCache {
 public:
  static ViewCache& get() {
    static auto* cache = new ViewCache;  // never destroyed, as above
    return *cache;
  }
  /// `make` runs for one caller at a time; the others then find what it made.
  template <typename Make>
  Result<std::shared_ptr<const TopologyView>> findOrMake(uint64_t key, Make make) {
    std::lock_guard lock(mutex_);
    if (auto found = views_[key].lock()) return found;
    std::erase_if(views_, [&](const auto& entry) { return entry.first != key && entry.second.expired(); });
    TUTTI_ASSIGN(std::shared_ptr<const TopologyView> view, make());
    views_[key] = view;
    return view;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::weak_ptr<const TopologyView>> views_;
};

}  // namespace

TopologyNote noteTopology() {
  Result<TopologyNote> note = noteChecked();
  if (note.ok()) return *note;
  TUTTI_WARN("topology: {}", note.error().message());
  TopologyNote none;
  none.unusable = 1;
  return none;
}

topology::HostCores coresOfMachine() {
  const auto machine = machineOfProcess();
  return machine->ok() ? (*machine)->cores : topology::HostCores();
}

std::string describeDifference(std::span<const uint64_t> hashes) {
  std::vector<int> others;
  for (size_t r = 1; r < hashes.size(); ++r)
    if (hashes[r] != hashes[0]) others.push_back(static_cast<int>(r));
  if (others.empty()) return "";
  return fmt::format(
      "rank{} {} found another graph of the machines than rank 0, from the same descriptions: do all ranks "
      "run the same build of this library?",
      others.size() > 1 ? "s" : "", rankList(others));
}

Result<std::shared_ptr<const TopologyView>> TopologyView::make(control::ControlPlane& control,
                                                               std::span<const TopologyNote> notes,
                                                               const control::Wait& wait) {
  const int n = static_cast<int>(notes.size());
  std::vector<int> broken;
  for (int r = 0; r < n; ++r)
    if (notes[r].unusable != 0) broken.push_back(r);
  if (!broken.empty()) {
    std::string reason = "the log there says what is wrong";
    if (notes[static_cast<size_t>(control.rank())].unusable != 0) {
      if (Result<TopologyNote> again = noteChecked(); !again.ok()) reason = again.error().message();
    }
    return makeError(Code::InvalidUsage,
                     "rank{} {} cannot use the topology files or settings given to {} (NCCL_TOPO_FILE, "
                     "NCCL_GRAPH_FILE, TUTTI_FABRIC_FILE, NCCL_P2P_LEVEL, NCCL_NET_GDR_LEVEL): {}",
                     broken.size() > 1 ? "s" : "", rankList(broken), broken.size() > 1 ? "them" : "it",
                     reason);
  }

  std::vector<int> hostOf;
  std::vector<int> leaders;  // by host, its lowest rank: the host is what that one saw
  std::vector<std::string> hostNames;
  std::unordered_map<uint64_t, int> hostIndex;
  uint64_t key = kFnvStart;
  for (int r = 0; r < n; ++r) {
    auto [at, isNew] = hostIndex.try_emplace(control.peer(r).hostHash, static_cast<int>(leaders.size()));
    if (isNew) {
      leaders.push_back(r);
      hostNames.push_back(control.peer(r).hostName);
      key = fnv(key, hostNames.back().data(), hostNames.back().size());
    }
    hostOf.push_back(at->second);
    key = fnv(key, &at->second, sizeof(int));
    key = fnv(key, &notes[r], sizeof(TopologyNote));
  }
  const TopologyNote& own = notes[control.rank()];
  const int leader = leaders[hostOf[control.rank()]];
  if (own.machine.machine != notes[leader].machine.machine)
    TUTTI_WARN(
        "topology: rank {} sees another machine here than rank {} (NCCL_TOPO_FILE?): rank {}'s is used",
        control.rank(), leader, leader);
  if (std::memcmp(own.settings, notes[0].settings, sizeof(own.settings)) != 0 ||
      own.filesHash != notes[0].filesHash)
    TUTTI_INFO(Graph, "rank {} has other topology settings than rank 0, whose are used", control.rank());

  // Who lacks what is known to all from the notes: so all gather, or none.
  std::vector<MachineNote> machines;
  for (int l : leaders) machines.push_back(notes[l].machine);
  const std::vector<int> asked = topology::hostsToAsk(machines);
  bool gather = asked.size() > 1;
  size_t bytes = notes[0].filesBytes;
  for (int host : asked) bytes += machines[host].bytes;
  for (const TopologyNote& note : notes)
    gather |= note.machine.machine != machines[0].machine || note.filesHash != notes[0].filesHash;
  if (bytes > kMostGatherBytes)
    return makeError(Code::InvalidUsage,
                     "the machines' descriptions have {} bytes together, more than the {} that are exchanged",
                     bytes, kMostGatherBytes);
  std::vector<std::string> texts;
  std::string files;
  const auto machine = machineOfProcess();
  if (!machine->ok()) return machine->error();
  if (gather) {
    control::Bytes mine;
    auto append = [&](const std::string& text) { mine.insert(mine.end(), text.begin(), text.end()); };
    if (control.rank() == 0) {
      TUTTI_ASSIGN(Files read, readFiles());
      append(read.packed());
      mine.resize(notes[0].filesBytes);  // as announced, even if the file has changed since
    }
    for (int host : asked)
      if (leaders[host] == control.rank()) append((*machine)->text);
    TUTTI_ASSIGN(std::vector<control::Bytes> all, control.allGather(mine, wait));
    auto textOf = [&](int rank, size_t from, size_t size) {
      const control::Bytes& b = all[rank];
      return std::string(b.begin() + static_cast<ptrdiff_t>(std::min(from, b.size())),
                         b.begin() + static_cast<ptrdiff_t>(std::min(from + size, b.size())));
    };
    files = textOf(0, 0, notes[0].filesBytes);
    for (int host : asked)
      texts.push_back(
          textOf(leaders[host], leaders[host] == 0 ? notes[0].filesBytes : 0, machines[host].bytes));
  } else {
    texts.push_back((*machine)->text);
    TUTTI_ASSIGN(Files read, readFiles());
    files = read.packed();
  }

  return ViewCache::get().findOrMake(key, [&]() -> Result<std::shared_ptr<const TopologyView>> {
    auto view = std::make_shared<TopologyView>();
    Files unpacked = Files::unpack(files);
    view->graphFile_ = std::move(unpacked.graph);
    TUTTI_TRY(view->build(notes, texts, unpacked.fabric, hostOf, hostNames, leaders));
    return std::shared_ptr<const TopologyView>(std::move(view));
  });
}

Status TopologyView::build(std::span<const TopologyNote> notes, std::span<const std::string> texts,
                           const std::string& fabric, std::vector<int> hostOf,
                           std::vector<std::string> hostNames, std::span<const int> leaders) {
  settings_ = unpackSettings(notes[0].settings);
  topology::FabricFile fabricFile;
  if (!fabric.empty()) {
    TUTTI_ASSIGN(fabricFile, topology::parseFabricFile(fabric, "rank 0's TUTTI_FABRIC_FILE"));
  }
  std::vector<MachineNote> machines;
  for (int l : leaders) machines.push_back(notes[l].machine);
  TUTTI_ASSIGN(cluster_, topology::mergeCluster(machines, texts, hostNames, fabricFile));
  searched_.resize(cluster_.kinds.size());
  topology::RankPlaces ranks;
  ranks.hostOf = std::move(hostOf);
  for (const TopologyNote& note : notes) ranks.places.push_back(note.place);
  Status found;
  std::lock_guard lock(mutex_);
  ordered_ = topology::orderRanks(cluster_, ranks, [&](int kind) -> std::vector<int> {
    Result<ChannelGraph> ring = ringOfKind(kind);
    if (!ring.ok()) {
      if (found.ok()) found = std::move(ring).error();
      return {};
    }
    return ring->orders.empty() ? std::vector<int>() : ring->orders[0];
  });
  TUTTI_TRY(std::move(found));
  hostOf_ = std::move(ranks.hostOf);
  if (!ordered_.byNumber)
    order_ =
        std::make_shared<const algos::RankOrder>(algos::RankOrder::of(ordered_.rankAt, ordered_.groupAt));
  hash_ = fnv(cluster_.hash(), notes[0].settings, sizeof(notes[0].settings));
  hash_ = (hash_ ^ notes[0].filesHash) * 0x100000001b3ull + ordered_.hash();
  return {};
}

Result<const Analysis*> TopologyView::analysisOf(int kind) const {
  std::unique_ptr<Searched>& entry = searched_[static_cast<size_t>(kind)];
  if (entry) return &entry->analysis;
  auto searched = std::make_unique<Searched>();
  searched->graph = cluster_.kinds[static_cast<size_t>(kind)];
  TUTTI_ASSIGN(searched->analysis,
               topology::analyse(searched->graph, settings_, std::min(cluster_.hosts(), 2), false));
  if (!graphFile_.empty()) {
    const char* name = "rank 0's NCCL_GRAPH_FILE";
    TUTTI_ASSIGN(topology::XmlElement xml, topology::parseXml(graphFile_, name));
    TUTTI_ASSIGN(std::vector<ChannelGraph> given, topology::readGraphs(xml, searched->graph, name));
    topology::useGraphs(searched->analysis, std::move(given));
  }
  entry = std::move(searched);
  return &entry->analysis;
}

Result<ChannelGraph> TopologyView::ringOfKind(int kind) const {
  TUTTI_ASSIGN(const Analysis* analysis, analysisOf(kind));
  for (const ChannelGraph& g : analysis->graphs)
    if (g.pattern == topology::Pattern::Ring) return g;
  return ChannelGraph();
}

/// "Trees [0] children->rank->parent [1] ...", read off the plan that AllReduce over trees has.
std::string TopologyView::treeLine(int rank, int n) const {
  algos::Request request;
  request.count = 1;
  request.nRanks = n;
  algos::Limits limits;
  limits.order = order_;
  auto plan = algos::buildPlan(request, algos::Algorithm::Tree, algos::Protocol::Simple, rank, limits);
  if (!plan.ok()) return "Trees: " + plan.error().message();
  std::string line = "Trees";
  for (size_t l = 0; l < plan->lanes.size(); ++l) {
    const algos::Lane& lane = plan->lanes[l];
    if (l > 0 && plan->lanes[l - 1].channel == lane.channel) continue;  // the way down
    const algos::Step& up = lane.steps[0];
    std::string children;
    for (int c = 0; c < std::max(3, up.recvFrom.count); ++c)
      children +=
          fmt::format("{}{}", c == 0 ? "" : "/", c < up.recvFrom.count ? up.recvFrom.peer[c].base : -1);
    // The root's first step sends the result down, to its children.
    const bool root = up.finishes;
    line += fmt::format(" [{}] {}->{}->{}", lane.channel, children, rank, root ? -1 : up.sendTo.peer[0].base);
  }
  return line;
}

std::vector<std::string> TopologyView::logLines(int rank) const {
  std::vector<std::string> lines;
  std::lock_guard lock(mutex_);
  const int host = hostOf_[static_cast<size_t>(rank)];
  const auto first = std::find(hostOf_.begin(), hostOf_.end(), host);
  if (first - hostOf_.begin() == rank) {
    const int kind = cluster_.kindOf[static_cast<size_t>(host)];
    Result<const Analysis*> analysis = analysisOf(kind);
    if (!analysis.ok()) return {analysis.error().message()};
    lines = topology::debugLines(searched_[static_cast<size_t>(kind)]->graph, **analysis);
  }
  const int n = static_cast<int>(hostOf_.size());
  if (rank == 0) {
    std::string ring;
    for (int r : ordered_.rankAt) ring += fmt::format(" {}", r);
    lines.push_back(fmt::format("Channel 00/01 :{}", ring));
  }
  const int at = static_cast<int>(std::find(ordered_.rankAt.begin(), ordered_.rankAt.end(), rank) -
                                  ordered_.rankAt.begin());
  lines.push_back(fmt::format("Ring 00 : {} -> {} -> {}", ordered_.rankAt[(at + n - 1) % n], rank,
                              ordered_.rankAt[(at + 1) % n]));
  lines.push_back(treeLine(rank, n));
  return lines;
}

Status TopologyView::dump(int rank) const {
  auto write = [](const std::string& path, const std::string& text) -> Status {
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.close();
    if (!out) return makeError(Code::SystemError, "{}: cannot be written", path);
    return {};
  };
  const std::string topo = params::getString("NCCL_TOPO_DUMP_FILE");
  if (!topo.empty() && params::getInt("NCCL_TOPO_DUMP_FILE_RANK") == rank) {
    const auto machine = machineOfProcess();
    if (machine->ok()) TUTTI_TRY(write(topo, topology::writeXml((*machine)->topology.xml)));
  }
  const std::string graph = params::getString("NCCL_GRAPH_DUMP_FILE");
  if (!graph.empty() && params::getInt("NCCL_GRAPH_DUMP_FILE_RANK") == rank) {
    std::lock_guard lock(mutex_);
    const int kind = cluster_.kindOf[static_cast<size_t>(hostOf_[static_cast<size_t>(rank)])];
    TUTTI_ASSIGN(const Analysis* analysis, analysisOf(kind));
    TUTTI_TRY(write(graph, topology::writeXml(topology::graphsToXml(
                               analysis->graphs, searched_[static_cast<size_t>(kind)]->graph))));
  }
  return {};
}

}  // namespace tutti::comm
