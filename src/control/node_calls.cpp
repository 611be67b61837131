// Node: who is in which call. Probes find ranks that called something else; surveys find those that have not
// called at all.
//
// A probe floods; each rank compares it with its own record of that call. Of several probes with the same
// call only the first is passed on: what one of them would find, the first finds. So a communicator whose n
// ranks are all stuck sends O(n) messages per different call, however often they probe.
#include <algorithm>

#include "control/node.hpp"
#include "core/log.hpp"

namespace tutti::control {
namespace {

constexpr size_t kMaxProbes = 256;
constexpr size_t kMaxSurveys = 2048;
constexpr int64_t kRecheckMs = 50;
constexpr int64_t kSurveyLifeNs = 10'000'000'000;

}  // namespace

std::string Node::describeCall(const CallRecord& call) const {
  const std::lock_guard lock(callbackMutex_);
  if (describe_) return describe_(call);
  return fmt::format("operation {} (count {}, type {}, op {}, root {})", call.kind, call.count, call.dtype,
                     call.op, call.root);
}

void Node::wakeProbes() {
  wantedCall_.store(UINT64_MAX, std::memory_order_relaxed);  // once is enough; recheckProbes() sets it anew
  service_.loop().post([self = shared_from_this()] { self->recheckProbes(); });
}

void Node::beginProbe(uint64_t seq) {
  if (removed_ || leftSelf_ || faultWord_.load(std::memory_order_relaxed) != 0) return;
  stuckIn_ = seq;
  const auto call = history_.find(seq);
  if (!call) return;
  for (const auto& [rank, lastCall] : leftRanks_) {
    if (lastCall >= seq) continue;
    return spreadFault(
        {FaultKind::Mismatch, rank,
         fmt::format("rank {} called {} as call #{}, but {} destroyed the communicator after call #{}", rank_,
                     describeCall(*call), seq, describeRank(rank), lastCall)},
        {});
  }
  const ProbeMsg probe{static_cast<uint32_t>(rank_), *call};
  onProbe(probe, share(encode(probe)), {});
}

void Node::onProbe(const ProbeMsg& probe, const SharedBytes& payload, const LinkPtr& except) {
  if (!seenProbes_.insert({probe.call.seq, probe.call.signature}).second) return;
  if (seenProbes_.size() > kMaxProbes) seenProbes_.erase(seenProbes_.begin());  // the oldest call
  flood(FrameType::Probe, payload, except);
  compareProbe(probe);
}

void Node::compareProbe(const ProbeMsg& probe) {
  const uint64_t seq = probe.call.seq;
  const auto mine = history_.find(seq);
  if (mine) {
    if (mine->signature == probe.call.signature) return;
    const int other = static_cast<int>(probe.rank);
    const std::string mineText = fmt::format("rank {} called {}", rank_, describeCall(*mine));
    const std::string theirs = fmt::format("rank {} called {}", other, describeCall(probe.call));
    const bool first = rank_ < other;
    return spreadFault({FaultKind::Mismatch, rank_,
                        fmt::format("the ranks' calls do not match: {} as call #{}, {}",
                                    first ? mineText : theirs, seq, first ? theirs : mineText)},
                       {});
  }
  if (history_.last() >= seq) return;  // long past it: nothing left to compare with
  if (leftSelf_) return;               // the prober hears of that by itself
  if (waitingProbes_.size() < kMaxProbes) waitingProbes_.push_back(probe);
  wantedCall_.store(std::min(wantedCall_.load(std::memory_order_relaxed), seq), std::memory_order_relaxed);
  if (probeTimer_.number == 0) {
    // The calling thread rings when it gets there; this is for the ring that its store and our store passed
    // by each other.
    probeTimer_ = service_.loop().callAfterMs(kRecheckMs, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->recheckProbes();
    });
  }
}

void Node::recheckProbes() {
  if (removed_) return;
  service_.loop().cancel(probeTimer_);
  wantedCall_.store(UINT64_MAX, std::memory_order_relaxed);
  std::vector<ProbeMsg> waiting;
  waiting.swap(waitingProbes_);
  if (faultWord_.load(std::memory_order_relaxed) != 0) return;
  for (const ProbeMsg& probe : waiting) compareProbe(probe);
}

void Node::beginSurvey(SurveyOf of, uint64_t seq, CompletionPtr<SurveyResult> completion) {
  if (removed_) return (void)completion->complete(Error(Code::InvalidUsage, "the communicator has ended"));
  const SurveyMsg survey{static_cast<uint32_t>(rank_), randomU64(), of, seq};
  PendingSurvey& pending = surveys_[{survey.origin, survey.id}];
  pending.completion = std::move(completion);
  pending.startNs = nowNs();
  pending.result.answered.resize(static_cast<size_t>(nRanks_));
  pending.result.answered[static_cast<size_t>(rank_)] = true;
  flood(FrameType::Survey, share(encode(survey)), {});
  completeSurvey(pending);
}

void Node::endSurvey(const CompletionPtr<SurveyResult>& survey, const CompletionPtr<SurveyResult>& soFar) {
  for (auto entry = surveys_.begin(); entry != surveys_.end(); ++entry) {
    if (entry->second.completion != survey) continue;
    soFar->complete(std::move(entry->second.result));
    surveys_.erase(entry);
    return;
  }
  soFar->complete(Error(Code::InvalidUsage, "the communicator has ended"));
}

void Node::completeSurvey(PendingSurvey& survey) {
  for (int rank = 0; rank < nRanks_; ++rank) {
    if (!survey.result.answered[static_cast<size_t>(rank)] && !isGone(rank)) return;
  }
  survey.completion->complete(SurveyResult(survey.result));
}

void Node::onSurvey(const SurveyMsg& survey, const SharedBytes& payload, const LinkPtr& from) {
  const auto key = std::pair(survey.origin, survey.id);
  if (surveys_.contains(key)) return;
  const int64_t now = nowNs();
  if (surveys_.size() >= kMaxSurveys) {
    std::erase_if(surveys_, [&](const auto& entry) {
      return !entry.second.completion && entry.second.startNs < now - kSurveyLifeNs;
    });
  }
  if (surveys_.size() >= kMaxSurveys) return;
  PendingSurvey& pending = surveys_[key];
  pending.from = from->tag();
  pending.startNs = now;
  flood(FrameType::Survey, payload, from);
  SurveyReplyMsg reply{survey.origin, survey.id, static_cast<uint32_t>(rank_), false, {}};
  if (survey.of == SurveyOf::Calls) {
    reply.behind = history_.last() < survey.seq;
    if (const auto last = history_.find(history_.last())) reply.last = *last;
  } else {
    reply.behind = gathersSeen_ <= survey.seq;
  }
  onSurveyReply(reply, share(encode(reply)));
}

void Node::onSurveyReply(const SurveyReplyMsg& reply, const SharedBytes& payload) {
  const auto found = surveys_.find({reply.origin, reply.id});
  if (found == surveys_.end() || static_cast<int>(reply.rank) >= nRanks_) return;
  PendingSurvey& pending = found->second;
  if (pending.from >= 0) {
    if (const auto link = links_.find(pending.from); link != links_.end())
      link->second->send(FrameType::SurveyReply, payload);
    return;
  }
  if (!pending.completion || pending.result.answered[reply.rank]) return;
  pending.result.answered[reply.rank] = true;
  if (reply.behind) pending.result.behind.push_back(reply);
  completeSurvey(pending);
}

}  // namespace tutti::control
