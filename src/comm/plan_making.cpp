// Communicator: plans for what was called, made and bound at first use; operators.
#include <algorithm>
#include <sstream>

#include "comm/communicator.hpp"
#include "core/log.hpp"
#include "core/param.hpp"

namespace tutti::comm {

namespace {

/// Longer than the news of a death takes to reach everybody.
constexpr int64_t kFaultGraceMs = 300;

/// Whether a play of `plan` tells every rank of every other one whether its buffers can be reached: each rank
/// must have a share of its own, as that is where it looks.
bool tellsShared(const algos::Plan& plan) {
  if (!plan.usesBoards || plan.protocol != algos::Protocol::Simple ||
      plan.request.nRanks > engine::kMostOffers || plan.request.collective != algos::Collective::AllReduce ||
      plan.lanes.size() != 1) {
    return false;
  }
  for (int block = 0; block < plan.nBlocks; ++block) {
    if (plan.extent(plan.lanes[0], 0, block).count == 0) return false;
  }
  return true;
}

}  // namespace

bool* Communicator::sharedFlag(uint64_t signature) {
  if (sharedFlags_.size() >= kMostSharedFlags && !sharedFlags_.contains(signature)) return nullptr;
  // Ranks that are threads reach everything.
  return &sharedFlags_
              .try_emplace(signature, links_->allThreads() && engine_->options().directMinBytes != SIZE_MAX)
              .first->second;
}

Result<const PlanEntry*> Communicator::planFor(const PlanKey& key, const CallOptions* options) {
  if (const PlanEntry* entry = plans_.find(key)) [[likely]] {
    return entry;
  }
  auto entry = std::make_unique<PlanEntry>();
  entry->key = key;
  const algos::Request& request = key.request;
  if (key.sendTo >= 0 || key.recvFrom >= 0) {
    algos::Plan& plan = entry->plan;
    plan.request = request;
    plan.algorithm = algos::Algorithm::Pairwise;
    plan.rank = rank_;
    plan.layout = algos::Layout::PerRank;
    size_t chunkBytes = selector_->limits().slotBytes;
    const int peer = std::max(key.sendTo, key.recvFrom);
    if (netChunkBytes_ > 0 && links_->route(peer) == transport::Route::Tcp)
      chunkBytes = std::min<size_t>(chunkBytes, netChunkBytes_);
    plan.chunkCount = std::max<size_t>(1, chunkBytes / request.elementBytes());
    algos::Step step;
    const algos::BlockRef block{key.sendTo >= 0 ? algos::Buffer::Input : algos::Buffer::Output, {}, 1};
    if (key.sendTo >= 0) {
      step.src = block;
      step.sendTo.add({key.sendTo, 0, 0});
    } else {
      step.dst = block;
      step.recvFrom.add({key.recvFrom, 0, 0});
    }
    plan.lanes.push_back({transport::kP2pChannel, 0, 1, {step}});
    entry->signature =
        static_cast<uint32_t>(request.bytes() * 0x9e3779b1u + static_cast<uint32_t>(request.bytes() >> 32)) |
        1;
  } else {
    const algos::Selector& selector = key.shared ? *sharedSelector_ : *selector_;
    algos::Filter filter = selector.filter();
    if (options != nullptr && !options->algorithms.empty()) {
      TUTTI_ASSIGN(filter, algos::Filter::parse(options->algorithms, ""));
    }
    const bool vector = request.collective == algos::Collective::AllToAllV;
    // Ranks of a V call know different counts: nothing that depends on them may be chosen.
    if (vector) filter.protocols.fill(1u << static_cast<int>(algos::Protocol::Simple));
    std::optional<algos::Plan> loaded;
    if (!vector && (options == nullptr || options->algorithms.empty())) {
      TUTTI_ASSIGN(loaded, planBook_.planFor(request, rank_));
    }
    Result<algos::Choice> choice =
        loaded ? algos::Choice{loaded->algorithm, loaded->protocol, 0} : selector.choose(request, filter);
    if (!choice.ok() && options != nullptr && !options->algorithmsForced) choice = selector.choose(request);
    if (!choice.ok()) return std::move(choice).error();
    const bool isLoaded = loaded.has_value();
    if (isLoaded) {
      entry->plan = std::move(*loaded);
    } else {
      TUTTI_ASSIGN(entry->plan,
                   algos::buildPlan(request, choice->algorithm, choice->protocol, rank_, selector.limits()));
    }
    const uint64_t signature = signatureOf(request, !vector);
    // Ranks that group their calls differently may disagree about `shared`: an error then, never wrong data.
    entry->signature = (static_cast<uint32_t>(signature >> 32) ^ (key.shared ? 0x5bd1e994u : 0)) | 1;
    entry->record.signature = signature;
    entry->record.kind = static_cast<uint32_t>(request.collective);
    entry->record.count = request.count;
    entry->record.root = request.root;
    entry->record.dtype = static_cast<uint8_t>(request.type);
    entry->record.op = static_cast<uint8_t>(request.op);
    if (!isLoaded && key.optionsHash == 0 && request.bytes() >= engine_->options().directMinBytes &&
        tellsShared(entry->plan))
      entry->sharedByAll = sharedFlag(signature);
    if (params::getBool("TUTTI_EXPLAIN")) {
      // A line each: the log folds line breaks.
      std::istringstream lines(selector.explain(request, filter));
      for (std::string line; std::getline(lines, line);) TUTTI_WARN("{}", line);
    }
    TUTTI_INFO(Tuning, "{}: {}/{}{}, {}", describeCall(entry->record), algos::nameOf(choice->algorithm),
               algos::nameOf(choice->protocol), key.shared ? ", buffers in reach of all" : "",
               isLoaded ? "of TUTTI_PLAN_FILE" : fmt::format("predicted {:.2f} us", choice->predictedUs));
  }
  if (Status bound = engine_->bind(entry->plan, wait()); !bound.ok())
    return cannotConnect(std::move(bound).error());
  entry->express = engine::Express(
      entry->plan, *links_, std::min(engine_->options().directMinBytes, engine_->options().remoteMinBytes));
  return plans_.insert(std::move(entry));
}

Error Communicator::cannotConnect(Error error) {
  // A peer that has gone because of another's death, of which this rank has not heard yet: it soon will.
  const Deadline soon = Deadline::afterMs(kFaultGraceMs);
  while (control_->faultWord().load(std::memory_order_acquire) == 0 && !soon.expired()) {
    timespec nap{0, 1'000'000};
    nanosleep(&nap, nullptr);
  }
  if (control_->faultWord().load(std::memory_order_acquire) != 0) return control::errorOf(control_->fault());
  // The others are on their way into the call and would wait for this rank.
  control_->raise(
      {control::FaultKind::LocalError, rank_,
       fmt::format("rank {} ({}) cannot connect: {}", rank_, control_->peer(rank_).text(), error.message())});
  return error;
}

Result<CustomOp> Communicator::customOp(DataType type, int op) const {
  const size_t index = static_cast<size_t>(op - kFirstCustomOp);
  if (index >= customOps_.size() || !customOps_[index]) {
    return makeError(Code::InvalidArgument,
                     "operator {} was not made for this communicator, or has been destroyed", op);
  }
  const CustomOp& custom = *customOps_[index];
  if (custom.type != type) {
    return makeError(Code::InvalidArgument, "operator {} was made for {}, not for {}", op,
                     nameOf(custom.type), nameOf(type));
  }
  return custom;
}

Result<kernels::Reduction> Communicator::reductionFor(DataType type, int op,
                                                      const std::optional<CustomOp>& custom) const {
  if (!custom) return kernels::Reduction::of(type, static_cast<ReduceOp>(op), nRanks_);
  return kernels::Reduction::preMulSum(type,
                                       custom->scalar != nullptr ? custom->scalar : &custom->scalarBits);
}

Result<kernels::Reduction> Communicator::reductionFor(DataType type, int op) const {
  if (op < kFirstCustomOp) [[likely]]
    return kernels::Reduction::of(type, static_cast<ReduceOp>(op), nRanks_);
  TUTTI_ASSIGN(const CustomOp custom, customOp(type, op));
  return reductionFor(type, op, custom);
}

}  // namespace tutti::comm
