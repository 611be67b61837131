#include "comm/communicator.hpp"

#include <sched.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "calibration/calibration.hpp"
#include "core/host.hpp"
#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::comm {
namespace {

constexpr int kMostBoardRanks = 64;
/// CallRecord::kind of ncclCommFinalize, and its signature; collectives have small numbers.
constexpr uint32_t kFinalizeRecord = 0xf1a11ce;
constexpr uint32_t kSuspendRecord = 0x505be4d;  ///< the same of ncclCommSuspend

/// What every rank tells the others when a communicator is made. Rank 0's settings hold for all.
struct SelfInfo {
  uint32_t version = 3;
  int32_t allowedCpus = 1;
  uint32_t depth = 0;
  uint32_t forceNetwork = 0;
  uint64_t slotBytes = 0;
  uint64_t boardBytes = 0;
  uint64_t llMaxBytes = UINT64_MAX;
  uint64_t deterministic = 0;
  uint64_t llLines = 0;             ///< 0: as the transport has it
  uint64_t netChunkBytes = 0;       ///< of send and receive between hosts; 0: a slot
  uint64_t directMinBytes = 16384;  ///< 0: ranks do not read each other's buffers
  TopologyNote topology;
  char algorithms[256] = {};
  char protocols[128] = {};
  uint64_t planFile = 0;  ///< hash of the text of TUTTI_PLAN_FILE; 0: none
  int32_t cpu = -1;
  int32_t stores = 0;  ///< engine::Stores
  uint64_t calibrated = 0;
  calibration::Values machine;  ///< if calibrated
};

/// Rings a rank's doorbell from the control plane's thread, as long as there is a segment to ring.
class FaultBell {
 public:
  void attach(std::shared_ptr<transport::Segment> segment) {
    std::lock_guard lock(mutex_);
    segment_ = std::move(segment);
  }
  void ring() {
    std::lock_guard lock(mutex_);
    if (segment_) transport::ring(segment_->doorbell());
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<transport::Segment> segment_;
};

/// What TUTTI_PLAN_FILE holds; "" where it is not set.
Result<std::string> planFileText() {
  const std::string path = params::getString("TUTTI_PLAN_FILE");
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return makeError(Code::InvalidArgument, "TUTTI_PLAN_FILE: {} cannot be read, or is empty", path);
  return text.str();
}

uint64_t hashOfText(const std::string& text) {
  return text.empty() ? 0 : std::hash<std::string>()(text) | 1;
}

Status copyText(char* to, size_t size, const std::string& from, const char* name) {
  if (from.size() >= size)
    return makeError(Code::InvalidArgument, "{} is longer than {} characters", name, size - 1);
  std::memcpy(to, from.c_str(), from.size() + 1);
  return {};
}

Result<SelfInfo> localInfo() {
  TUTTI_TRY(params::checkAll());
  SelfInfo info;
  info.allowedCpus = allowedCpuCount();
  info.depth = static_cast<uint32_t>(std::min<int64_t>(params::getInt("TUTTI_FIFO_DEPTH"), 62));
  auto paged = [](int64_t bytes) {
    return static_cast<uint64_t>(std::max<int64_t>(4096, bytes / 4096 * 4096));
  };
  info.slotBytes = paged(params::getInt("TUTTI_SLOT_BYTES"));
  if (params::isSet("NCCL_BUFFSIZE")) {
    info.slotBytes = std::min(info.slotBytes, paged(params::getInt("NCCL_BUFFSIZE") / info.depth));
  }
  info.boardBytes = 2 * info.slotBytes;
  if (const int64_t bytes = params::getInt("NCCL_LL_BUFFSIZE"); bytes > 0) {
    const uint64_t lines = static_cast<uint64_t>(bytes) / (transport::kLLDepth * transport::kLineBytes);
    info.llLines = std::clamp<uint64_t>(lines, 2, 256);
  }
  if (params::isSet("NCCL_P2P_NET_CHUNKSIZE"))
    info.netChunkBytes = static_cast<uint64_t>(params::getInt("NCCL_P2P_NET_CHUNKSIZE"));
  if (params::getBool("NCCL_P2P_DISABLE") || params::getString("TUTTI_TRANSPORT") == "shm")
    info.directMinBytes = 0;
  info.deterministic = params::getBool("TUTTI_DETERMINISTIC");
  info.llMaxBytes = static_cast<uint64_t>(params::getInt("TUTTI_LL_MAX_BYTES"));  // -1: no limit
  const std::string net = params::getString("NCCL_NET");
  if (!net.empty() && strcasecmp(net.c_str(), "socket") != 0) {
    return makeError(Code::InvalidUsage, "NCCL_NET={}: there is no such network here; this build has Socket",
                     net);
  }
  const std::string transport = params::getString("TUTTI_TRANSPORT");
  info.forceNetwork = transport == "tcp" || params::getBool("NCCL_SHM_DISABLE");
  info.topology = noteTopology();
  info.cpu = sched_getcpu();
  const std::string stores = params::getString("TUTTI_STORES");
  info.stores = static_cast<int32_t>(stores == "plain" ? engine::Stores::Plain
                                     : stores == "nt"  ? engine::Stores::Streaming
                                                       : engine::Stores::Auto);
  TUTTI_ASSIGN(const std::string plans, planFileText());
  info.planFile = hashOfText(plans);
  TUTTI_TRY(copyText(info.algorithms, sizeof(info.algorithms), params::getString("NCCL_ALGO"), "NCCL_ALGO"));
  TUTTI_TRY(copyText(info.protocols, sizeof(info.protocols), params::getString("NCCL_PROTO"), "NCCL_PROTO"));
  return info;
}

Result<SelfInfo> infoOf(const control::ControlPlane& control, int rank) {
  std::span<const uint8_t> bytes = control.infoOf(rank);
  SelfInfo info;
  if (bytes.size() != sizeof(info)) {
    return makeError(Code::InvalidUsage, "rank {} runs another version of this library", rank);
  }
  std::memcpy(&info, bytes.data(), sizeof(info));
  return info;
}

/// Ranks on the host that is fullest, per CPU that they may use, rounded up.
Result<int> ranksPerCore(const control::ControlPlane& control) {
  std::unordered_map<uint64_t, std::pair<int, int>> hosts;  // ranks, cpus
  for (int r = 0; r < control.nRanks(); ++r) {
    TUTTI_ASSIGN(SelfInfo info, infoOf(control, r));
    auto& host = hosts[control.peer(r).hostHash];
    ++host.first;
    host.second = std::max(host.second, info.allowedCpus);
  }
  int most = 1;
  for (auto& [hash, host] : hosts) most = std::max(most, (host.first + host.second - 1) / host.second);
  return most;
}

Error stillBeingMade() {
  return Error(Code::InvalidArgument,
               "the communicator is still being made; wait until ncclCommGetAsyncError says ncclSuccess");
}

/// How many consecutive ranks each host has, if it is the same number for all; else 0.
int evenRanksPerHost(const control::ControlPlane& control) {
  const int n = control.nRanks();
  int perHost = 1;
  while (perHost < n && control.peer(perHost).hostHash == control.peer(0).hostHash) ++perHost;
  if (n % perHost != 0) return 0;
  std::unordered_map<uint64_t, int> groups;
  for (int r = 0; r < n; ++r) {
    auto [group, isNew] = groups.try_emplace(control.peer(r).hostHash, r / perHost);
    if (group->second != r / perHost) return 0;
  }
  return static_cast<int>(groups.size()) * perHost == n ? perHost : 0;
}

}  // namespace

Communicator::Communicator(int nRanks, int rank, const CommOptions& options, int device)
    : nRanks_(nRanks), rank_(rank), device_(device), options_(options) {
  if (int64_t blocking = params::getInt("NCCL_COMM_BLOCKING"); blocking >= 0)
    options_.blocking = blocking != 0;
  if (options.minChannels || options.maxChannels || options.trafficClass || options.ctaPolicy ||
      options.channelsPerNetPeer || options.maxP2pPeers || options.netName) {
    TUTTI_INFO(Init,
               "rank {}: the config's channel, CTA, traffic class and network settings have no effect on "
               "host memory",
               rank);
  }
}

Communicator::~Communicator() {
  ownStream_.reset();
  if (control_) control_->leave();
  engine_.reset();
  links_.reset();
}

control::Wait Communicator::initWait() const {
  int64_t ms = params::getInt("TUTTI_INIT_TIMEOUT_MS");
  return {ms > 0 ? Deadline::afterMs(ms) : Deadline::never(), &aborted_};
}

Status Communicator::start(const Connect& connect, bool mayMeasure) {
  Status status = startChecked(connect, mayMeasure);
  if (!status.ok()) {
    noteAsyncError(status.error());
    phase_.store(Phase::Failed, std::memory_order_release);
    TUTTI_WARN("communicator of rank {} of {}: {}", rank_, nRanks_, status.error().message());
    return status;
  }
  phase_.store(Phase::Ready, std::memory_order_release);
  TUTTI_INFO(Init, "rank {} of {} ready: {}", rank_, nRanks_, describe(*this));
  return {};
}

Status Communicator::startChecked(const Connect& connect, bool mayMeasure) {
  TUTTI_ASSIGN(SelfInfo own, localInfo());
  // Of the ranks that join, rank 0 alone looks for a calibration; those of a derived communicator know one.
  std::optional<calibration::Calibration> known;
  if (mayMeasure || rank_ == 0) known = calibration::ofThisMachine(mayMeasure);
  if (known) {
    own.calibrated = 1;
    own.machine = known->values;
  }
  control::Bytes bytes(sizeof(own));
  std::memcpy(bytes.data(), &own, sizeof(own));
  auto bell = std::make_shared<FaultBell>();
  // Wakes a sleeper; the fault word itself is what it will find.
  TUTTI_ASSIGN(control_,
               connect(std::move(bytes), initWait(), [bell](const control::Fault&) { bell->ring(); }));
  rank_ = control_->rank();
  nRanks_ = control_->nRanks();
  TUTTI_ASSIGN(SelfInfo agreed, infoOf(*control_, 0));
  if (agreed.calibrated != 0) calibration::adopt(agreed.machine);
  TUTTI_INFO(Tuning, "rank {}: the cost model's numbers: {}", rank_,
             agreed.calibrated == 0 ? std::string("built in (not calibrated)")
             : rank_ == 0           ? "calibration " + known->origin
                                    : std::string("rank 0's calibration"));
  TUTTI_TRY(lookAround());

  transport::LinkOptions linkOptions;
  linkOptions.geometry.depth = agreed.depth;
  linkOptions.geometry.slotBytes =
      nRanks_ > 32 ? std::min<uint64_t>(agreed.slotBytes, 65536) : agreed.slotBytes;
  linkOptions.geometry.boardBytes = nRanks_ > kMostBoardRanks ? 0 : agreed.boardBytes;
  if (agreed.llLines > 0) linkOptions.geometry.llLines = static_cast<uint32_t>(agreed.llLines);
  linkOptions.forceNetwork = agreed.forceNetwork != 0;
  netChunkBytes_ = agreed.netChunkBytes;
  TUTTI_ASSIGN(links_, transport::Links::create(*control_, linkOptions));
  bell->attach(links_->sharedSegment());

  TUTTI_ASSIGN(algos::Selector selector, makeSelector());
  engine::EngineOptions engineOptions;
  engineOptions.timeoutMs = params::getInt("TUTTI_TIMEOUT_MS");
  engineOptions.checkCalls = params::getBool("TUTTI_CHECK");
  const std::string transport = params::getString("TUTTI_TRANSPORT");
  engineOptions.directMinBytes = agreed.directMinBytes > 0 ? agreed.directMinBytes : SIZE_MAX;
  int64_t remote = params::getInt("TUTTI_CMA_THRESHOLD");
  if (transport == "cma") remote = std::max<int64_t>(remote, 0);
  if (remote >= 0) engineOptions.remoteMinBytes = static_cast<size_t>(remote);
  const int64_t spinUs = params::getInt("TUTTI_SPIN_US");
  TUTTI_ASSIGN(const int perCore, ranksPerCore(*control_));
  engineOptions.ranksPerCore = perCore;
  engineOptions.idle.crowded = perCore > 1;
  // A turn of all ranks of a core takes longer, the more there are: who sleeps before it is over must be
  // woken.
  engineOptions.idle.yieldNs *= perCore;
  if (spinUs >= 0) engineOptions.idle.spinNs = spinUs * 1000;
  engine_ = std::make_unique<engine::HostEngine>(*links_, *control_, engineOptions);
  selector_.emplace(selector);
  TUTTI_TRY(readPlanFile());
  // Everyone's segment can be fetched from here on.
  TUTTI_ASSIGN(const CoreLinks links, shareFindings());
  TUTTI_TRY(followLinks(links));
  algos::Machine reach = selector_->machine();
  algos::Limits wide = selector_->limits();
  reach.directMinBytes = engineOptions.directMinBytes;
  if (wide.boards) wide.boardBytes = engine::kBounceBytes;
  sharedSelector_.emplace(reach, wide, selector_->filter());
  return {};
}

/// What rank 0 finds out about the cores between which the ranks of its host hand over.
Result<CoreLinks> Communicator::lookAtCores() const {
  TUTTI_ASSIGN(SelfInfo agreed, infoOf(*control_, 0));
  if (rank_ != 0 || nRanks_ == 1 || agreed.calibrated == 0) return CoreLinks();
  std::vector<int> others;
  for (int r = 1; r < nRanks_; ++r) {
    if (control_->peer(r).hostHash != control_->peer(0).hostHash) continue;
    TUTTI_ASSIGN(SelfInfo info, infoOf(*control_, r));
    others.push_back(info.cpu);
  }
  CoreLinks links = measureCoreLinks(coresOfMachine(), agreed.cpu, others);
  // Too noisy just now: as when the machine was calibrated.
  if (links.slowest().oneWayNs == 0 && !others.empty())
    links.at[2] = {agreed.machine.oneWayNs, agreed.machine.plainGBps, agreed.machine.streamGBps};
  return links;
}

/// The cost model and the stores for such links.
Status Communicator::followLinks(const CoreLinks& links) {
  TUTTI_ASSIGN(SelfInfo agreed, infoOf(*control_, 0));
  const auto stores = static_cast<engine::Stores>(agreed.stores);
  engine_->stores().set(stores);
  const calibration::Link slowest = links.slowest();
  if (slowest.oneWayNs == 0 || agreed.calibrated == 0) return {};
  TUTTI_INFO(Tuning, "rank {}: between cores of {}", rank_, links.text());
  if (agreed.deterministic == 0) {
    calibration::Values values = agreed.machine;
    values.oneWayNs = slowest.oneWayNs;
    algos::Machine machine = selector_->machine();
    machine.handoverUs = calibration::applied(algos::Machine(), values).handoverUs;
    selector_.emplace(machine, selector_->limits(), selector_->filter());
  }
  const topology::HostCores cores = coresOfMachine();
  TUTTI_ASSIGN(SelfInfo own, infoOf(*control_, rank_));
  for (int r = 0; r < nRanks_; ++r) {
    TUTTI_ASSIGN(SelfInfo info, infoOf(*control_, r));
    if (r == rank_ || control_->peer(r).hostHash != control_->peer(rank_).hostHash) continue;
    calibration::Values pair;
    const calibration::Link link = links.between(cores, own.cpu, info.cpu);
    pair.plainGBps = link.plainGBps;
    pair.streamGBps = link.streamGBps;
    engine_->stores().start(r, calibration::streamingPays(pair));
  }
  return {};
}

/// What the ranks saw of their machines, merged.
Status Communicator::lookAround() {
  if (nRanks_ == 1) return {};
  std::vector<TopologyNote> notes;
  for (int r = 0; r < nRanks_; ++r) {
    TUTTI_ASSIGN(SelfInfo info, infoOf(*control_, r));
    notes.push_back(info.topology);
  }
  TUTTI_ASSIGN(topology_, TopologyView::make(*control_, notes, initWait()));
  if (log::wanted(log::Level::Info, log::Graph))
    for (const std::string& line : topology_->logLines(rank_)) TUTTI_INFO(Graph, "{}", line);
  if (Status dumped = topology_->dump(rank_); !dumped.ok()) TUTTI_WARN("{}", dumped.error().message());
  return {};
}

/// Also the barrier that ends the start: ranks that planned for different machines must not play together.
Result<CoreLinks> Communicator::shareFindings() {
  TUTTI_ASSIGN(CoreLinks links, lookAtCores());
  const uint64_t own = topology_ ? topology_->hash() : 0;
  control::Bytes mine(sizeof(own) + (rank_ == 0 ? sizeof(links) : 0));
  std::memcpy(mine.data(), &own, sizeof(own));
  if (rank_ == 0) std::memcpy(mine.data() + sizeof(own), &links, sizeof(links));
  TUTTI_ASSIGN(std::vector<control::Bytes> all, control_->allGather(mine, initWait()));
  std::vector<uint64_t> hashes(all.size());
  for (size_t r = 0; r < all.size(); ++r)
    if (all[r].size() >= sizeof(own)) std::memcpy(&hashes[r], all[r].data(), sizeof(own));
  if (std::string different = describeDifference(hashes); !different.empty())
    return Error(Code::InvalidUsage, different);
  if (all[0].size() != sizeof(own) + sizeof(links))
    return Error(Code::InternalError, "rank 0 did not tell what it found out about the cores");
  std::memcpy(&links, all[0].data() + sizeof(own), sizeof(links));
  return links;
}

Status Communicator::readPlanFile() {
  TUTTI_ASSIGN(const std::string text, planFileText());
  for (int r = 0; r < nRanks_; ++r) {
    TUTTI_ASSIGN(SelfInfo info, infoOf(*control_, r));
    if (info.planFile == hashOfText(text)) continue;
    return makeError(Code::InvalidUsage, "TUTTI_PLAN_FILE: ranks {} and {} do not have the same plans", rank_,
                     r);
  }
  if (text.empty() || nRanks_ == 1) return {};
  algos::Limits limits = selector_->limits();
  if (!links_->allLocal()) limits.llBytes = 0;
  Result<algos::PlanBook> book = algos::PlanBook::read(text, nRanks_, limits);
  if (!book.ok())
    return std::move(book).error().context("TUTTI_PLAN_FILE: " + params::getString("TUTTI_PLAN_FILE"));
  planBook_ = std::move(*book);
  TUTTI_INFO(Init, "rank {}: {} sets of plans of {} are for {} ranks", rank_, planBook_.sets(),
             params::getString("TUTTI_PLAN_FILE"), nRanks_);
  return {};
}

Result<algos::Selector> Communicator::makeSelector() const {
  TUTTI_ASSIGN(SelfInfo agreed, infoOf(*control_, 0));
  TUTTI_ASSIGN(algos::Filter filter, algos::Filter::parse(agreed.algorithms, agreed.protocols));
  algos::Machine machine;
  if (agreed.deterministic == 0) {
    if (agreed.calibrated != 0) machine = calibration::applied(machine, agreed.machine);
    TUTTI_ASSIGN(machine.ranksPerCore, ranksPerCore(*control_));
    machine.network = !links_->allLocal();
    if (links_->allThreads() && agreed.directMinBytes > 0) machine.directMinBytes = agreed.directMinBytes;
  }
  const transport::Geometry& geometry = links_->geometry();
  algos::Limits limits;
  limits.slotBytes = geometry.slotBytes;
  limits.boardBytes = geometry.boardBytes;
  limits.llBytes = geometry.llBytes();
  limits.boards = links_->allLocal() && geometry.boardBytes > 0;
  limits.depth = static_cast<int>(geometry.depth);
  limits.llMaxBytes = agreed.llMaxBytes;
  limits.ranksPerHost = evenRanksPerHost(*control_);
  if (topology_) limits.order = topology_->order();
  if (agreed.deterministic != 0) {
    // The order in which elements are combined follows from the algorithm and the size of its chunks: nothing
    // that another machine might lack, and one chunk size, so that the choice and the order depend on the
    // call and the ranks alone.
    limits.boards = false;
    limits.llMaxBytes = 0;
    limits.ranksPerHost = 0;
    limits.order = nullptr;
  }
  return algos::Selector(machine, limits, filter);
}

Status Communicator::usable() const {
  switch (phase_.load(std::memory_order_acquire)) {
    case Phase::Ready:
      break;
    case Phase::Starting:
      return stillBeingMade();
    case Phase::Failed: {
      std::lock_guard lock(errorMutex_);
      return makeError(asyncError_->code(), "the communicator could not be made: {}", asyncError_->message());
    }
    case Phase::Finalized:
      return Error(Code::InvalidUsage, "the communicator has been finalized");
  }
  if (control_->faultWord().load(std::memory_order_relaxed) != 0) [[unlikely]] {
    return control::errorOf(control_->fault());
  }
  if (suspended_.load(std::memory_order_relaxed)) [[unlikely]] {
    return Error(Code::InvalidUsage, "the communicator is suspended; call ncclCommResume first");
  }
  return {};
}

Status Communicator::takesCalls() const {
  if (!blocking() && phase_.load(std::memory_order_acquire) == Phase::Starting) [[unlikely]]
    return stillBeingMade();
  return {};
}

Status Communicator::asyncStatus() const {
  Phase phase = phase_.load(std::memory_order_acquire);
  {
    std::lock_guard lock(errorMutex_);
    if (asyncError_) return *asyncError_;
  }
  if (phase == Phase::Starting) return Error(Code::InProgress, "the communicator is being made");
  if (control_ && control_->faultWord().load(std::memory_order_acquire) != 0)
    return control::errorOf(control_->fault());
  if (pending_.load(std::memory_order_acquire) > 0)
    return Error(Code::InProgress, "calls are being worked on");
  std::lock_guard lock(errorMutex_);
  if (refused_) return *refused_;
  return {};
}

void Communicator::noteAsyncError(const Error& error) {
  std::lock_guard lock(errorMutex_);
  if (!asyncError_) asyncError_ = error;
}

void Communicator::noteQueuedEnd(const Status& status) {
  if (status.ok()) return;
  const Code code = status.error().code();
  const bool refusal = code == Code::InvalidUsage || code == Code::InvalidArgument;
  const bool faulted = control_ && control_->faultWord().load(std::memory_order_acquire) != 0;
  if (!refusal || faulted) return noteAsyncError(status.error());
  std::lock_guard lock(errorMutex_);
  refused_ = status.error();
}

void Communicator::taskQueued() {
  {
    std::lock_guard lock(errorMutex_);
    refused_.reset();
  }
  pending_.fetch_add(1, std::memory_order_relaxed);
}

HostStream& Communicator::ownStream() {
  std::lock_guard lock(streamMutex_);
  if (!ownStream_) ownStream_ = std::make_unique<HostStream>();
  return *ownStream_;
}

Status Communicator::finalize() {
  Phase ready = Phase::Ready;
  if (!phase_.compare_exchange_strong(ready, Phase::Finalized, std::memory_order_acq_rel)) {
    if (ready == Phase::Finalized)
      return Error(Code::InvalidArgument, "the communicator has been finalized already");
    return {};  // a communicator that never started has nothing to end
  }
  Status together = awaitAllFinalize();
  control_->leave();
  return together;
}

void Communicator::leave() {
  Phase ready = Phase::Ready;
  if (phase_.compare_exchange_strong(ready, Phase::Finalized, std::memory_order_acq_rel)) control_->leave();
}

bool Communicator::oneRankPerProcess() const {
  std::set<std::array<uint8_t, 16>> processes;
  for (int r = 0; r < nRanks_; ++r) {
    if (!processes.insert(control_->peer(r).process).second) return false;
  }
  return true;
}

Status Communicator::suspend() {
  if (canGiveBack()) {
    // Recorded as a call, so that a rank that makes another one instead is found.
    control::CallRecord record;
    record.kind = kSuspendRecord;
    record.signature = kSuspendRecord;
    const uint64_t number = recordCall(record);
    const int64_t timeoutMs = engine_->options().timeoutMs;
    const control::Wait wait{timeoutMs > 0 ? Deadline::afterMs(timeoutMs) : Deadline::never(), &aborted_};
    // Before it, peers may read this rank's boards; behind the second one, they may write to its inbox.
    Status met = control_->barrier(wait);
    if (met.ok()) {
      links_->segment().dropPayload();
      engine_->dropSpare();
      met = control_->barrier(wait);
    }
    if (!met.ok())
      return std::move(met).error().context(fmt::format("rank {}: Suspend (call #{})", rank_, number));
  }
  suspended_.store(true, std::memory_order_relaxed);
  return {};
}

Status Communicator::awaitAllFinalize() {
  if (nRanks_ == 1 || !oneRankPerProcess()) return {};
  // Recorded as a call, so that a rank that makes another one instead is found.
  control::CallRecord record;
  record.kind = kFinalizeRecord;
  record.signature = kFinalizeRecord;
  const uint64_t number = recordCall(record);
  const int64_t timeoutMs = engine_->options().timeoutMs;
  Status met =
      control_->barrier({timeoutMs > 0 ? Deadline::afterMs(timeoutMs) : Deadline::never(), &aborted_});
  if (met.ok()) return {};
  if (control_->faultWord().load(std::memory_order_acquire) == 0) {
    for (int r = 0; r < nRanks_; ++r) {
      if (control_->hasLeft(r)) return {};  // by ncclCommDestroy alone: nothing to wait for any more
    }
  }
  return std::move(met).error().context(fmt::format("rank {}: Finalize (call #{})", rank_, number));
}

void Communicator::abort(control::FaultKind kind) {
  aborted_.store(true, std::memory_order_release);
  if (phase_.load(std::memory_order_acquire) == Phase::Ready) {
    control_->raise({kind, rank_,
                     fmt::format("rank {} ({}) {} the communicator", rank_, control_->peer(rank_).text(),
                                 kind == control::FaultKind::Revoked ? "revoked" : "aborted")});
  }
}

Turn::Turn(Communicator& comm, uint64_t ticket) : comm_(comm), ticket_(ticket) {
  if (ticket != 0) {
    comm_.awaitServed(ticket - 1);
  } else {
    comm_.awaitQueued();
  }
  // The holder is inside a call, which ends at a fault or deadline of its own: so does this wait.
  while (comm_.inUse_.exchange(1, std::memory_order_acquire) != 0) sched_yield();
}

std::string describeCall(const control::CallRecord& record) {
  if (record.kind == kFinalizeRecord) return "Finalize";
  if (record.kind == kSuspendRecord) return "Suspend";
  auto collective = static_cast<algos::Collective>(record.kind);
  std::string text = fmt::format("{}(count {}, {}", algos::nameOf(collective), record.count,
                                 nameOf(static_cast<DataType>(record.dtype)));
  if (algos::reduces(collective)) text += fmt::format(", {}", nameOf(static_cast<ReduceOp>(record.op)));
  if (algos::hasRoot(collective)) text += fmt::format(", root {}", record.root);
  return text + ")";
}

}  // namespace tutti::comm
