#include "control/control_plane.hpp"

#include <algorithm>
#include <set>

#include "control/node.hpp"
#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::control {
namespace {

/// How long a rank waits after its deadline for better words than "timed out" from those who know who is
/// missing.
constexpr int kGraceMs = 1000;
constexpr int kSurveyMs = 300;
constexpr int kLeaveMs = 200;
/// How long the process that holds the meeting place of a failed bring-up stays, so that ranks that come late
/// hear the reason from it instead of finding nobody.
constexpr int kTellMs = 700;
constexpr size_t kMaxNamedLaggards = 4;

Error inheritedError() {
  return Error(Code::InvalidUsage,
               "this communicator was made before fork(): the child process cannot use it");
}

Status checkJoin(const JoinOptions& options) {
  if (options.nRanks < 1 || options.nRanks > kMaxRanks) {
    return makeError(Code::InvalidArgument, "the number of ranks, {}, is not between 1 and {}",
                     options.nRanks, kMaxRanks);
  }
  if (options.rank < 0 || options.rank >= options.nRanks) {
    return makeError(Code::InvalidArgument, "rank {} is not between 0 and {}", options.rank,
                     options.nRanks - 1);
  }
  if (options.ids.empty() || options.ids.size() > static_cast<size_t>(options.nRanks)) {
    return makeError(Code::InvalidArgument,
                     "{} unique ids for {} ranks: give at least one and at most one per rank",
                     options.ids.size(), options.nRanks);
  }
  if (options.selfInfo.size() > kMaxSelfInfo)
    return makeError(Code::InternalError, "selfInfo of {} bytes", options.selfInfo.size());
  return {};
}

/// NCCL_COMM_ID: rank 0 opens the meeting place that all know.
Status openNamedRendezvous(Service& service, const UniqueIdFields& id, Deadline deadline) {
  auto done = std::make_shared<Done>();
  while (true) {
    auto attempt = std::make_shared<Done>();
    service.loop().post([&service, id, attempt] {
      if (service.findRendezvous(id.id)) {
        attempt->complete(makeError(Code::SystemError,
                                    "NCCL_COMM_ID {} is being used for another communicator of this process",
                                    id.address.text()));
        return;
      }
      auto listener = service.listenAt(id.address);
      if (!listener.ok()) return (void)attempt->complete(std::move(listener).error());
      std::make_shared<Rendezvous>(service, id)->open(std::move(listener).value());
      attempt->complete(Nothing{});
    });
    auto result = attempt->wait({});
    if (result.ok()) return {};
    if (deadline.expired()) return std::move(result).error().context("opening NCCL_COMM_ID");
    timespec pause{0, 20'000'000};
    nanosleep(&pause, nullptr);
  }
}

void tellAll(Service& service, uint64_t id) {
  auto told = std::make_shared<Done>();
  // Deferred, so that what this rank has just said to a meeting place of its own process comes before.
  service.loop().post([&service, id, told] {
    service.loop().defer([&service, id, told] {
      if (const auto rendezvous = service.findRendezvous(id)) return rendezvous->whenAllTold(told);
      told->complete(Nothing{});
    });
  });
  (void)told->wait({Deadline::afterMs(kTellMs), nullptr});
}

std::string listMissing(const Node::SurveyResult& survey, int nRanks) {
  std::vector<int> ranks;
  for (const SurveyReplyMsg& reply : survey.behind) ranks.push_back(static_cast<int>(reply.rank));
  for (int rank = 0; rank < nRanks; ++rank) {
    if (!survey.answered[static_cast<size_t>(rank)]) ranks.push_back(rank);
  }
  std::sort(ranks.begin(), ranks.end());
  return ranks.empty()
             ? std::string()
             : fmt::format("rank{} {} of {}", ranks.size() > 1 ? "s" : "", formatRanks(ranks), nRanks);
}

}  // namespace

Result<UniqueId> createUniqueId() {
  UniqueIdFields fields;
  const std::string named = params::getString("NCCL_COMM_ID");
  if (!named.empty()) {
    TUTTI_ASSIGN(fields.address, Address::parse(named));
    fields.rankZeroRoots = true;
    // The same in every process with that setting. Whoever knows the address can make it: there is nothing
    // else to go by.
    const Mac mac =
        hmac(bytesOf(params::getString("TUTTI_COMM_SECRET")), {bytesOf("NCCL_COMM_ID"), bytesOf(named)});
    std::copy_n(mac.begin(), fields.secret.size(), fields.secret.begin());
    for (int i = 0; i < 8; ++i) fields.id |= uint64_t{mac[16 + i]} << (8 * i);
    return UniqueId::encode(fields);
  }
  TUTTI_ASSIGN(Service * service, Service::get());
  fields.address = service->self().listener;
  randomBytes(fields.secret);
  fields.id = randomU64();
  service->loop().post([service, fields] { std::make_shared<Rendezvous>(*service, fields)->open(); });
  return UniqueId::encode(fields);
}

ControlPlane::ControlPlane(std::shared_ptr<Node> node) : node_(std::move(node)) {}

Result<std::unique_ptr<ControlPlane>> ControlPlane::join(JoinOptions options) {
  TUTTI_TRY(checkJoin(options));
  std::vector<UniqueIdFields> ids;
  for (size_t i = 0; i < options.ids.size(); ++i) {
    auto fields = options.ids[i].decode();
    if (!fields.ok())
      return std::move(fields).error().context(fmt::format("unique id {} of {}", i, options.ids.size()));
    ids.push_back(std::move(fields).value());
  }
  TUTTI_ASSIGN(Service * service, Service::get());
  if (ids[0].rankZeroRoots && options.rank == 0)
    TUTTI_TRY(openNamedRendezvous(*service, ids[0], options.wait.deadline));

  const auto nRanks = static_cast<uint64_t>(options.nRanks);
  const auto index = static_cast<uint32_t>(static_cast<uint64_t>(options.rank) * ids.size() / nRanks);
  CheckInMsg checkIn;
  checkIn.rank = static_cast<uint32_t>(options.rank);
  checkIn.nRanks = static_cast<uint32_t>(options.nRanks);
  checkIn.nIds = static_cast<uint32_t>(ids.size());
  checkIn.idIndex = index;
  checkIn.joinNonce = randomU64();
  checkIn.timeoutMs = static_cast<uint32_t>(options.wait.deadline.remainingMs(INT32_MAX));
  checkIn.peer = service->self();
  checkIn.firstId = ids[0].id;
  checkIn.firstAddress = ids[0].address;
  if (index != 0) checkIn.firstSecret = maskSecret(ids[0].secret, ids[index].secret, checkIn.joinNonce);

  auto node =
      std::make_shared<Node>(*service, NodeOptions{options.rank, options.nRanks, std::move(options.selfInfo),
                                                   Key{ids[0].id, ids[0].secret}, std::move(options.describe),
                                                   std::move(options.onFault)});
  auto done = std::make_shared<Done>();
  service->loop().post([service, node, id = ids[index], checkIn, deadline = options.wait.deadline, done] {
    service->holdKey(node->key());
    node->beginJoin(id, checkIn, deadline, done);
  });
  auto result = done->wait(options.wait, kGraceMs);
  if (!result.ok()) {
    service->loop().post([node, error = result.error()] { node->abandonJoin(error); });
    node->dropCallbacks();
    // After a time-out those that did not come are not waited for any more.
    if (result.error().code() != Code::Timeout) tellAll(*service, ids[index].id);
    return std::move(result).error();
  }
  return std::unique_ptr<ControlPlane>(new ControlPlane(std::move(node)));
}

Result<std::unique_ptr<ControlPlane>> ControlPlane::derive(DeriveOptions options) {
  if (node_->inherited()) return inheritedError();
  int mine = -1;
  std::set<int> seen;
  for (size_t i = 0; i < options.ranks.size(); ++i) {
    const int rank = options.ranks[i];
    if (rank < 0 || rank >= nRanks() || !seen.insert(rank).second) {
      return makeError(Code::InvalidArgument, "rank {} is outside the parent communicator, or listed twice",
                       rank);
    }
    if (rank == node_->rank()) mine = static_cast<int>(i);
  }
  if (mine < 0)
    return makeError(Code::InvalidArgument, "rank {} is not among the ranks of the new communicator", rank());
  if (options.selfInfo.size() > kMaxSelfInfo)
    return makeError(Code::InternalError, "selfInfo of {} bytes", options.selfInfo.size());

  Writer name;
  name.u64(node_->commId());
  name.u64(options.tag);
  for (const int rank : options.ranks) name.u32(static_cast<uint32_t>(rank));
  const Bytes nameBytes = name.take();
  const Mac mac = hmac(node_->key().secret, {bytesOf("derive"), nameBytes});
  uint64_t commId = 0;
  for (int i = 0; i < 8; ++i) commId |= uint64_t{mac[i]} << (8 * i);

  Service& service = node_->service();
  auto node = std::make_shared<Node>(
      service, NodeOptions{mine, static_cast<int>(options.ranks.size()), std::move(options.selfInfo),
                           node_->key(), std::move(options.describe), std::move(options.onFault)});
  auto done = std::make_shared<Done>();
  service.loop().post([&service, parent = node_, node, members = options.ranks, commId,
                       deadline = options.wait.deadline, done] {
    service.holdKey(node->key());
    node->beginDerive(parent, members, commId, deadline, done);
  });
  auto result = done->wait(options.wait);
  if (!result.ok()) {
    Error error = std::move(result).error();
    if (error.code() == Code::Timeout) {
      auto survey = std::make_shared<Completion<Node::SurveyResult>>();
      service.loop().post([node, survey] { node->beginSurvey(SurveyOf::Gathers, 0, survey); });
      auto answers = survey->wait({Deadline::afterMs(kSurveyMs), options.wait.abort});
      auto partial = std::make_shared<Completion<Node::SurveyResult>>();
      service.loop().post([node, survey, partial] { node->endSurvey(survey, partial); });
      if (auto known = partial->wait({Deadline::afterMs(kGraceMs), nullptr}); known.ok()) {
        const std::string missing = listMissing(known.value(), node->nRanks());
        if (!missing.empty()) error = makeError(Code::Timeout, "timed out: {} did not come", missing);
      } else if (node->faultWord().load(std::memory_order_acquire) != 0) {
        error = Error(Code::Timeout, node->fault().text);  // another was quicker to say it
      }
    }
    service.loop().post([node, error] { node->abandonJoin(error); });
    node->dropCallbacks();
    return error;
  }
  return std::unique_ptr<ControlPlane>(new ControlPlane(std::move(node)));
}

ControlPlane::~ControlPlane() {
  leave();
}

int ControlPlane::rank() const {
  return node_->rank();
}
int ControlPlane::nRanks() const {
  return node_->nRanks();
}
uint64_t ControlPlane::commHash() const {
  return node_->commId();
}
std::span<const uint8_t> ControlPlane::infoOf(int rank) const {
  return node_->roster().infos[static_cast<size_t>(rank)];
}
const PeerInfo& ControlPlane::peer(int rank) const {
  return node_->roster().peers[static_cast<size_t>(rank)];
}

Result<std::vector<Bytes>> ControlPlane::allGather(std::span<const uint8_t> mine, Wait wait) {
  if (node_->inherited()) return inheritedError();
  const uint32_t seq = node_->nextGather_++;
  auto done = std::make_shared<Completion<SharedBytes>>();
  Service& service = node_->service();
  service.loop().post([node = node_, seq, bytes = share(Bytes(mine.begin(), mine.end())), done] {
    node->beginGather(seq, bytes, done);
  });
  auto result = done->wait(wait);
  if (!result.ok()) {
    Error error = std::move(result).error();
    if (error.code() != Code::Timeout || faultWord().load(std::memory_order_acquire) != 0) return error;
    auto survey = std::make_shared<Completion<Node::SurveyResult>>();
    service.loop().post([node = node_, seq, survey] { node->beginSurvey(SurveyOf::Gathers, seq, survey); });
    (void)survey->wait({Deadline::afterMs(kSurveyMs), wait.abort});
    auto partial = std::make_shared<Completion<Node::SurveyResult>>();
    service.loop().post([node = node_, survey, partial] { node->endSurvey(survey, partial); });
    std::string missing;
    if (auto known = partial->wait({Deadline::afterMs(kGraceMs), nullptr}); known.ok())
      missing = listMissing(known.value(), nRanks());
    if (!missing.empty())
      error = makeError(Code::Timeout, "rank {} timed out waiting for {}", rank(), missing);
    raise({FaultKind::Timeout, rank(), error.message()});
    return error;
  }
  const auto message = decodeGather(*result.value());
  if (!message || message->entries.size() != static_cast<size_t>(nRanks()))
    return Error(Code::InternalError, "a gather's result is damaged");
  std::vector<Bytes> all;
  all.reserve(message->entries.size());
  for (const GatherEntry& entry : message->entries) all.emplace_back(entry.data.begin(), entry.data.end());
  return all;
}

Status ControlPlane::barrier(Wait wait) {
  auto result = allGather({}, wait);
  if (!result.ok()) return std::move(result).error();
  return {};
}

const std::atomic<uint32_t>& ControlPlane::faultWord() const {
  return node_->faultWord();
}
Fault ControlPlane::fault() const {
  return node_->fault();
}

void ControlPlane::raise(Fault fault) {
  if (!node_->inherited()) node_->raise(std::move(fault));
}

void ControlPlane::recordCall(const CallRecord& call) {
  node_->recordCall(call);
}

void ControlPlane::probe(uint64_t seq) {
  if (node_->inherited()) return;
  node_->service().loop().post([node = node_, seq] { node->beginProbe(seq); });
}

std::string ControlPlane::describeMissing(uint64_t seq, Wait wait) {
  if (node_->inherited()) return inheritedError().message();
  Service& service = node_->service();
  auto survey = std::make_shared<Completion<Node::SurveyResult>>();
  service.loop().post([node = node_, seq, survey] { node->beginSurvey(SurveyOf::Calls, seq, survey); });
  (void)survey->wait(wait);
  auto partial = std::make_shared<Completion<Node::SurveyResult>>();
  service.loop().post([node = node_, survey, partial] { node->endSurvey(survey, partial); });
  auto known = partial->wait({Deadline::afterMs(kGraceMs), nullptr});
  if (!known.ok()) return known.error().message();
  std::string text;
  const auto add = [&](std::string part) { text += (text.empty() ? "" : "; ") + std::move(part); };
  auto& behind = known.value().behind;
  std::sort(behind.begin(), behind.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
  for (size_t i = 0; i < behind.size() && i < kMaxNamedLaggards; ++i) {
    const CallRecord& last = behind[i].last;
    add(last.seq == 0 ? fmt::format("rank {} has not made call #{}, nor any before", behind[i].rank, seq)
                      : fmt::format("rank {} has not made call #{}; its last was #{} {}", behind[i].rank, seq,
                                    last.seq, node_->describeCall(last)));
  }
  if (behind.size() > kMaxNamedLaggards)
    add(fmt::format("and {} ranks more", behind.size() - kMaxNamedLaggards));
  std::vector<int> silent;
  for (int rank = 0; rank < nRanks(); ++rank) {
    if (!known.value().answered[static_cast<size_t>(rank)]) silent.push_back(rank);
  }
  if (!silent.empty())
    add(fmt::format("rank{} {} of {} did not answer", silent.size() > 1 ? "s" : "", formatRanks(silent),
                    nRanks()));
  return text;
}

void ControlPlane::leave() {
  if (node_->inherited() || node_->left_.exchange(true)) return;
  node_->dropCallbacks();
  node_->broker().failWaits(Error(Code::InvalidUsage, "this rank has destroyed the communicator"));
  auto flushed = std::make_shared<Done>();
  node_->service().loop().post([node = node_, flushed] { node->beginLeave(flushed); });
  (void)flushed->wait({Deadline::afterMs(kLeaveMs), nullptr});
}

bool ControlPlane::hasLeft(int rank) const {
  return node_->hasLeft(rank);
}

Result<UniqueFd> ControlPlane::openStream(int peer, uint32_t tag, Wait wait) {
  if (node_->inherited()) return inheritedError();
  if (faultWord().load(std::memory_order_acquire) != 0) return errorOf(fault());
  auto done = std::make_shared<Completion<UniqueFd>>();
  node_->service().loop().post([node = node_, peer, tag, deadline = wait.deadline, done] {
    node->beginStream(peer, tag, deadline, done);
  });
  auto result = done->wait(wait);
  if (!result.ok())
    return std::move(result).error().context(
        fmt::format("connecting to rank {} ({})", peer, this->peer(peer).text()));
  return result;
}

Result<UniqueFd> ControlPlane::acceptStream(int peer, uint32_t tag, Wait wait) {
  if (node_->inherited()) return inheritedError();
  auto done = node_->broker().expectStream(peer, tag);
  // After the registration: a fault that comes in between finds it, one that was there is seen here.
  if (faultWord().load(std::memory_order_acquire) != 0) done->complete(errorOf(fault()));
  auto result = done->wait(wait);
  if (!result.ok()) {
    return std::move(result).error().context(
        fmt::format("waiting for a connection from rank {} ({})", peer, this->peer(peer).text()));
  }
  return result;
}

void ControlPlane::offerFd(uint32_t name, UniqueFd fd) {
  if (node_->inherited()) return;
  std::vector<LinkPtr> waiting = node_->broker().offer(name, std::move(fd));
  if (waiting.empty()) return;
  node_->service().loop().post(
      [node = node_, waiting = std::move(waiting), name] { node->answerFetches(waiting, name); });
}

void ControlPlane::withdrawFd(uint32_t name) {
  node_->broker().withdraw(name);
}

Result<UniqueFd> ControlPlane::fetchFd(int peer, uint32_t name, Wait wait) {
  if (node_->inherited()) return inheritedError();
  if (!sameHost(peer))
    return makeError(Code::InternalError, "a descriptor of rank {} was asked for, which is on another host",
                     peer);
  auto done = std::make_shared<Completion<UniqueFd>>();
  node_->service().loop().post([node = node_, peer, name, deadline = wait.deadline, done] {
    node->beginFetch(peer, name, deadline, done);
  });
  if (faultWord().load(std::memory_order_acquire) != 0) done->complete(errorOf(fault()));
  auto result = done->wait(wait);
  if (!result.ok()) {
    return std::move(result).error().context(
        fmt::format("fetching descriptor {} of rank {} ({})", name, peer, this->peer(peer).text()));
  }
  return result;
}

}  // namespace tutti::control
