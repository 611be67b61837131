// What makes a run small enough to be played: symmetry, rounds left out, coarser messages; see
// docs/simulator.md.
#include <algorithm>
#include <cmath>

#include "core/bytes.hpp"
#include "sim/scenario.hpp"

namespace tutti::sim {
namespace {

using algos::Algorithm;
using algos::Collective;

constexpr size_t kGpuSlotBytes = 512u << 10;
constexpr size_t kHostSlotBytes = 128u << 10;
/// Rounds that show how long one takes, where others are left out; and the share of the messages for them.
constexpr uint64_t kLeastRounds = 12;
constexpr uint64_t kRoundsShare = 4;

/// The number of ranks after which a ring over equal machines repeats itself; 0: it does not.
int periodOf(const Scheme& scheme, const Network& network, const algos::Request& request) {
  const Collective c = request.collective;
  if (scheme.twoLevel || scheme.algorithm != Algorithm::Ring ||
      (c != Collective::AllReduce && c != Collective::ReduceScatter && c != Collective::AllGather)) {
    return 0;
  }
  const ClusterNetwork* cluster = clusterOf(network);
  if (cluster == nullptr) return 1;
  const int perMachine = cluster->ranksPerMachine();
  if (perMachine == 0 || cluster->machines() < 4) return 0;
  // Every second machine runs backwards where their number is even.
  return cluster->machines() % 2 == 0 ? 2 * perMachine : perMachine;
}

/// Whether ranks of a machine do the same by turns under the scheme, and how many of its items are channels.
bool foldsUnder(const Scheme& scheme, const Network& network, const Workload& workload, int& channels) {
  const int folds = network.folds();
  channels = 0;
  if (folds == 0 || network.nRanks() == folds || workload.items.empty()) return false;
  if (scheme.twoLevel) return true;  // an AllReduce
  if (workload.items[0].request.collective != Collective::AllReduce) return false;
  if (scheme.algorithm == Algorithm::Hierarchical) return true;
  if (scheme.algorithm != Algorithm::Tree && scheme.algorithm != Algorithm::Ring) return false;
  if (static_cast<int>(workload.items.size()) != folds || workload.items[0].limits.order == nullptr)
    return false;
  channels = folds;
  return true;
}

/// Rounds follow each other under these; the long pipelines of the others take hundreds of rounds until they
/// are steady.
bool roundsAreSteady(const Scheme& scheme, Collective collective) {
  if (scheme.twoLevel) return false;
  switch (scheme.algorithm) {
    case Algorithm::Hierarchical:
      return collective != Collective::Broadcast && collective != Collective::Reduce;
    case Algorithm::RecursiveDoubling:
    case Algorithm::RecursiveHalving:
    case Algorithm::Swing:
      return collective == Collective::AllReduce;
    default:
      return false;
  }
}

/// Rounds of every lane of one rank, 0 where they differ or items wait for each other.
Result<uint64_t> equalRounds(const Workload& workload) {
  uint64_t rounds = 0;
  for (const Item& item : workload.items) {
    if (!item.after.empty() || item.computes) return uint64_t{0};
    TUTTI_ASSIGN(algos::Plan plan,
                 algos::buildPlan(item.request, item.algorithm, item.protocol, 0, item.limits));
    for (const algos::Lane& lane : plan.lanes) {
      const auto here = static_cast<uint64_t>(plan.rounds(lane));
      if (rounds != 0 && here != rounds) return uint64_t{0};
      rounds = here;
    }
  }
  return rounds;
}

/// Brings a workload down to about `most` messages.
class Reducer {
 public:
  Reducer(const Scenario& scenario, const Scheme& scheme, const Network& network, Prepared& prepared)
      : s_(scenario), scheme_(scheme), network_(network), p_(prepared) {}

  Status run(size_t base, bool mayLeaveOutRounds) {
    slot_ = base;
    TUTTI_TRY(count());
    TUTTI_TRY(useSymmetry());
    while (messages_ > s_.mostMessages) {
      TUTTI_ASSIGN(const uint64_t rounds, equalRounds(p_.workload));
      const uint64_t affordable = messages_ == 0 ? 0 : s_.mostMessages * rounds / messages_ / kRoundsShare;
      if (mayLeaveOutRounds && kRoundsShare * affordable >= kLeastRounds && rounds > 2 * kLeastRounds) {
        const uint64_t played = std::max(affordable, kLeastRounds);
        p_.options.mostRounds = static_cast<uint32_t>(played);
        messages_ = messages_ / rounds * played;
        break;
      }
      if (s_.slotBytes > 0 || slot_ >= size_t{1} << 30) break;
      slot_ *= 2;
      TUTTI_ASSIGN(p_.workload, workloadFor(s_, scheme_, network_, slot_));
      TUTTI_TRY(count());
    }
    if (slot_ > base) {
      p_.notes.push_back(
          fmt::format("coarsened: messages of up to {} instead of {}, to stay near {} M messages",
                      formatBytes(static_cast<int64_t>(slot_)), formatBytes(static_cast<int64_t>(base)),
                      s_.mostMessages / 1'000'000));
    }
    if (messages_ > 80 * s_.mostMessages) {
      return makeError(Code::InvalidUsage, "{} would send {:.2g} messages here: too many to play one by one",
                       scheme_.name, static_cast<double>(messages_));
    }
    return {};
  }

 private:
  Status count() {
    TUTTI_ASSIGN(messages_, estimateMessages(p_.workload));
    if (p_.options.period > 0)
      messages_ =
          messages_ / static_cast<uint64_t>(network_.nRanks()) * static_cast<uint64_t>(p_.options.period);
    if (p_.options.fold > 0) messages_ /= static_cast<uint64_t>(p_.options.fold);
    return {};
  }

  Status useSymmetry() {
    const bool uneven =
        s_.skewUs > 0 || !s_.slowRanks.empty() || !s_.slowLinks.empty() || !s_.deadLinks.empty();
    const int period = periodOf(scheme_, network_, s_.request);
    int channels = 0;
    const bool folds = foldsUnder(scheme_, network_, p_.workload, channels);
    const bool asked = s_.symmetry == Scenario::Symmetry::On;
    if (asked && ((period == 0 && !folds) || uneven)) {
      return makeError(
          Code::InvalidUsage,
          "no symmetry to use: it takes a ring over equal ranks{}, or machines whose ranks have a rail each",
          uneven ? ", equal links and starts" : "");
    }
    const bool worthwhile = asked || (s_.symmetry == Scenario::Symmetry::Auto && messages_ > s_.mostMessages);
    if (!worthwhile || uneven || (period == 0 && !folds)) return {};
    p_.symmetric = true;
    if (period > 0) {
      p_.options.period = period;
      p_.notes.push_back(fmt::format(
          "symmetry used: {} of {} ranks played, all others do the same{}", period, network_.nRanks(),
          clusterOf(network_) != nullptr ? "; way from machine to machine taken as between the first two"
                                         : ""));
    } else {
      p_.options.fold = network_.folds();
      p_.options.foldChannels = channels;
      p_.notes.push_back(
          fmt::format("symmetry used: one rank of each machine played ({} of {}), the others do the same on "
                      "rails of their own",
                      network_.nRanks() / p_.options.fold, network_.nRanks()));
    }
    return count();
  }

  const Scenario& s_;
  const Scheme& scheme_;
  const Network& network_;
  Prepared& p_;
  size_t slot_ = 0;
  uint64_t messages_ = 0;
};

/// Bytes that rank 0 copies and reduces.
Result<double> touchedBytes(const Workload& workload) {
  double sum = 0;
  for (const Item& item : workload.items) {
    if (item.computes || item.request.nRanks < 2) continue;
    TUTTI_ASSIGN(algos::Plan plan,
                 algos::buildPlan(item.request, item.algorithm, item.protocol, 0, item.limits));
    for (const algos::Lane& lane : plan.lanes) {
      for (int64_t round = 0; round < plan.rounds(lane); ++round) {
        for (const algos::Step& step : lane.steps) {
          const algos::BlockRef& sized = step.src.buffer != algos::Buffer::None ? step.src : step.dst;
          const int readers = step.readFrom == algos::Reads::All ? item.request.nRanks - 1 : 0;
          const int reduced = step.reduces ? step.recvFrom.count + readers + (readers > 0 ? 1 : 0) : 0;
          int copies =
              step.sendTo.count + (step.publishes ? 1 : 0) + (step.dst.buffer != algos::Buffer::None ? 1 : 0);
          if (step.reduces) copies = std::max(0, copies - 1);
          const auto block =
              static_cast<double>(plan.extent(lane, round, 0).count * item.request.elementBytes());
          sum += block * std::max(1, sized.span) * step.repeat * (copies + reduced);
        }
      }
    }
  }
  return sum;
}

}  // namespace

Result<uint64_t> estimateMessages(const Workload& workload) {
  double sum = 0;
  for (const Item& item : workload.items) {
    if (item.computes || item.request.nRanks < 2) continue;
    const int n = item.request.nRanks;
    const int samples = std::min(n, 16);
    double sampled = 0;
    for (int i = 0; i < samples; ++i) {
      const int position = static_cast<int>(static_cast<int64_t>(i) * (n - 1) / std::max(1, samples - 1));
      TUTTI_ASSIGN(algos::Plan plan,
                   algos::buildPlan(item.request, item.algorithm, item.protocol, position, item.limits));
      for (const algos::Lane& lane : plan.lanes) {
        for (const algos::Step& step : lane.steps) {
          const int moved = step.sendTo.count + (step.readFrom == algos::Reads::All   ? n - 1
                                                 : step.readFrom == algos::Reads::One ? 1
                                                                                      : 0);
          sampled += static_cast<double>(plan.rounds(lane)) * step.repeat * moved;
        }
      }
    }
    sum += sampled / samples * workload.nRanks;
  }
  return static_cast<uint64_t>(std::min(sum, 1e18));
}

Result<double> leastUs(const Scenario& s, const Scheme& scheme, const Network& network) {
  const ClusterNetwork* cluster = clusterOf(network);
  if (cluster == nullptr || cluster->machines() < 2 || cluster->ranksPerMachine() == 0) return 0.0;
  const Costs costs = s.costs ? *s.costs : cluster->hostRanks() ? Costs::ofHost(s.host) : Costs::ofGpu();
  TUTTI_ASSIGN(Workload workload,
               workloadFor(s, scheme, network, s.slotBytes > 0 ? s.slotBytes : kGpuSlotBytes));
  const int perMachine = cluster->ranksPerMachine();
  const int machine = cluster->machines() / 2;
  double left = 0, longest = 0;
  for (const Item& item : workload.items) {
    for (int r = machine * perMachine; r < (machine + 1) * perMachine; ++r) {
      const int position = item.groups.positionIn(r);
      if (position < 0) continue;
      TUTTI_ASSIGN(algos::Plan plan,
                   algos::buildPlan(item.request, item.algorithm, item.protocol, position, item.limits));
      const double chunk = static_cast<double>(plan.chunkCount * item.request.elementBytes());
      for (const algos::Lane& lane : plan.lanes) {
        const auto rounds = static_cast<double>(std::max<int64_t>(0, plan.rounds(lane) - 1));
        double work = 0;
        for (const algos::Step& step : lane.steps) {
          work += step.repeat * (step.recvFrom.count * costs.recvUs + step.sendTo.count * costs.sendUs);
          constexpr int kSamples = 8;  // of the peers of a repeated step
          const int samples = std::min(step.repeat, kSamples);
          for (int i = 0; i < step.sendTo.count; ++i) {
            for (int k = 0; k < samples; ++k) {
              const int to = item.groups.member(r, step.sendTo.peer[i].at(step.repeat * k / samples));
              if (to / perMachine == machine) continue;
              const algos::BlockRef& sized = step.src.buffer != algos::Buffer::None ? step.src : step.dst;
              left += rounds * step.repeat / samples * chunk * std::max(1, sized.span);
            }
          }
        }
        longest = std::max(longest, rounds * work);
      }
    }
  }
  return costs.launchUs + std::max(longest, left / (cluster->machineGbps() * 1e3));
}

Result<Prepared> prepare(const Scenario& s, const Scheme& scheme, const Network& network) {
  Prepared p;
  const ClusterNetwork* cluster = clusterOf(network);
  const bool host = cluster != nullptr ? cluster->hostRanks() : s.sharedMemory;
  if (!host || s.costs) p.options.costs = s.costs ? *s.costs : Costs::ofGpu();
  p.options.seed = s.seed;
  p.options.skewUs = s.skewUs;
  p.options.slowRanks = s.slowRanks;
  const size_t base = s.slotBytes > 0 ? s.slotBytes : host ? kHostSlotBytes : kGpuSlotBytes;
  TUTTI_ASSIGN(p.workload, workloadFor(s, scheme, network, base));
  TUTTI_TRY(
      Reducer(s, scheme, network, p)
          .run(base, s.symmetry != Scenario::Symmetry::Off && roundsAreSteady(scheme, s.request.collective)));
  if (host && !s.costs) {
    TUTTI_ASSIGN(const double touched, touchedBytes(p.workload));
    p.options.costs = Costs::ofHost(s.host, touched * s.host.ranksPerCore);
  }
  if (scheme.twoLevel) {
    p.notes.push_back(
        fmt::format("2level: ReduceScatter (ring) in each machine, AllReduce ({}) between them, AllGather "
                    "(ring) in each; {} pieces one after the other",
                    algos::nameOf(scheme.algorithm), piecesOf(s.request)));
  } else if (p.workload.items.size() > 1) {
    p.notes.push_back(
        fmt::format("{} channels, each with a share of the data and a NIC of its own in each machine",
                    p.workload.items.size()));
  }
  if (!network.assumptions().empty()) p.notes.push_back(network.assumptions());
  return p;
}

std::string roundsNote(const Options& options, const Report& report) {
  if (report.skippedRounds == 0) return "";
  const double us = usFromPs(report.roundPs);
  const std::string how =
      report.roundsRepeat > 0
          ? fmt::format("they repeat exactly every {} round{}", report.roundsRepeat,
                        report.roundsRepeat > 1 ? "s" : "")
          : fmt::format("their mean moved by {:.1f} % while they were played", report.roundSpread * 100);
  return fmt::format(
      "steady state: {} of {} rounds played, the other {} taken as {:.3f} us each like the last of these; {}",
      options.mostRounds, options.mostRounds + report.skippedRounds, report.skippedRounds, us, how);
}

}  // namespace tutti::sim
