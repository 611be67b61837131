#include "algos/verify_shape.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace tutti::algos::verify {
namespace {

// The engine's: two channels for collectives (the third is send and receive's); two boards.
constexpr int kChannels = 2;
constexpr int kBoards = 2;
// Repetitions of a step times blocks of a play: a file may ask for anything.
constexpr int kMostWork = 1 << 21;

template <typename... Args>
Error wrong(fmt::format_string<Args...> format, Args&&... args) {
  return makeError(Code::InvalidUsage, format, std::forward<Args>(args)...);
}

Status checkBlock(const Plan& plan, const BlockRef& ref, int repeat, const char* what) {
  if (ref.span < 1) return wrong("the span of {} is {}", what, ref.span);
  if (ref.run < 0 || ref.span > kMostWork / repeat) {
    return wrong("the pattern of {} has runs of {}, a span of {}, repeated {} times", what, ref.run, ref.span,
                 repeat);
  }
  const bool scratch = ref.buffer == Buffer::Scratch;
  const int blocks = scratch ? plan.scratchBlocks : plan.nBlocks;
  std::vector<char> seen(ref.span > 1 ? blocks : 0);
  for (int k = 0; k < repeat; ++k) {
    std::fill(seen.begin(), seen.end(), 0);
    for (int i = 0; i < ref.span; ++i) {
      const int block = ref.at(k, i);
      const std::string which = repeat > 1 ? fmt::format(" (k = {})", k) : "";
      if (block < 0 || block >= blocks) {
        return wrong("{} is block {}{}, but the plan has {}blocks 0 to {}{}", what, block,
                     ref.span > 1 ? fmt::format(" (number {} of {})", i, ref.span) : "",
                     scratch ? "scratch " : "", blocks - 1, which);
      }
      if (ref.span == 1) continue;
      if (seen[block]) return wrong("{} holds block {} twice{}", what, block, which);
      seen[block] = 1;
    }
  }
  return {};
}

Status checkPeer(const Plan& plan, int peer, const char* what) {
  if (peer == plan.rank) return wrong("it {} itself", what);
  if (peer < 0 || peer >= plan.request.nRanks)
    return wrong("it {} rank {}, which does not exist", what, peer);
  return {};
}

Status checkPeers(const Plan& plan, const Peers& peers, int repeat, const char* what) {
  if (peers.count < 0 || peers.count > Peers::kMax) return wrong("it {} {} ranks", what, peers.count);
  for (int k = 0; k < repeat; ++k) {
    for (int i = 0; i < peers.count; ++i) {
      TUTTI_TRY(checkPeer(plan, peers.peer[i].at(k), what));
      for (int j = 0; j < i; ++j) {
        if (peers.peer[i].at(k) == peers.peer[j].at(k)) {
          return wrong("it {} rank {} twice in one play", what, peers.peer[i].at(k));
        }
      }
    }
  }
  return {};
}

Status checkSources(const Step& step) {
  if (step.reduces) {
    if (step.src.buffer == Buffer::None) return wrong("it reduces without a local block");
    if (step.src.span != 1 && (step.readFrom != Reads::None || step.publishes)) {
      return wrong("it reduces {} blocks at once off or onto a board", step.src.span);
    }
    if (step.readFrom == Reads::One) return wrong("a reduction reads all boards or none, not one");
    if ((step.readFrom == Reads::All) == (step.recvFrom.count > 0)) {
      return wrong("a reduction takes either received chunks or all boards");
    }
    if (step.recvFrom.count > 0 && step.order == Order::RankOrder) {
      return wrong("received chunks have no rank order: say localFirst or peerFirst");
    }
    return {};
  }
  if (step.readFrom == Reads::All) return wrong("it reads all boards but reduces nothing");
  if (step.recvFrom.count > 1) return wrong("it receives {} chunks but reduces nothing", step.recvFrom.count);
  if (step.recvFrom.count > 0 && step.readFrom != Reads::None) return wrong("it receives and reads at once");
  const bool fetches = step.recvFrom.count > 0 || step.readFrom != Reads::None;
  if (fetches && step.src.buffer != Buffer::None) return wrong("it has a local block that it does not use");
  if (!fetches && step.src.buffer == Buffer::None) return wrong("it has no source");
  if (fetches && step.publishes && step.dst.buffer != Buffer::None) {
    return wrong("the engine cannot publish what it received and also keep it: use two steps");
  }
  return {};
}

Status checkStep(const Plan& plan, const Step& step) {
  if (step.repeat < 1 || step.repeat > kMostWork) return wrong("it is repeated {} times", step.repeat);
  TUTTI_TRY(checkSources(step));
  if (step.dst.buffer == Buffer::Input) return wrong("it writes the input");
  if (step.dst.buffer == Buffer::None && step.sendTo.count == 0 && !step.publishes) {
    return wrong("what it takes goes nowhere");
  }
  if (step.src.buffer != Buffer::None) TUTTI_TRY(checkBlock(plan, step.src, step.repeat, "its source"));
  if (step.dst.buffer != Buffer::None || step.src.buffer == Buffer::None) {
    TUTTI_TRY(checkBlock(plan, step.dst, step.repeat, "its destination"));
  }
  TUTTI_TRY(checkPeers(plan, step.recvFrom, step.repeat, "receives from"));
  TUTTI_TRY(checkPeers(plan, step.sendTo, step.repeat, "sends to"));
  if (step.readFrom == Reads::One) {
    for (int k = 0; k < step.repeat; ++k) TUTTI_TRY(checkPeer(plan, step.readPeer.at(k), "reads off"));
  }
  const bool boards = step.readFrom != Reads::None || step.publishes;
  if (boards && !plan.usesBoards) return wrong("it uses boards, which the plan's header denies");
  if (step.readFrom != Reads::None && step.readChannel >= kBoards) {
    return wrong("it reads board {}, but there are boards 0 and 1", step.readChannel);
  }
  if (step.publishes) {
    if (step.dst.span > 1 ||
        (step.src.span > 1 && (step.dst.buffer != Buffer::None || step.sendTo.count > 0)))
      return wrong("it publishes several blocks and puts them elsewhere too: use two steps");
    if (step.publishChannel >= kBoards) {
      return wrong("it publishes on board {}, but there are boards 0 and 1", step.publishChannel);
    }
    if (step.publishFor != -1) TUTTI_TRY(checkPeer(plan, step.publishFor, "publishes for"));
    // The engine's short cut for sends in place would forget the publication.
    if (step.sendTo.count > 0 && plan.algorithm == Algorithm::Pairwise) {
      return wrong("it sends and publishes at once in a pairwise plan");
    }
  }
  return {};
}

/// Each FIFO end, board and acknowledgement must belong to one lane: that makes a channel's order certain.
Status checkOwners(const Plan& plan) {
  if (plan.lanes.size() < 2) return {};
  std::set<std::tuple<int, int, int>> mine, others;  // kind, channel, peer
  for (size_t l = 0; l < plan.lanes.size(); ++l) {
    const Lane& lane = plan.lanes[l];
    mine.clear();
    for (size_t s = 0; s < lane.steps.size(); ++s) {
      const Step& step = lane.steps[s];
      std::vector<std::tuple<int, int, int>> uses;
      for (int k = 0; k < step.repeat; ++k) {
        for (int i = 0; i < step.sendTo.count; ++i)
          uses.emplace_back(0, lane.channel, step.sendTo.peer[i].at(k));
        for (int i = 0; i < step.recvFrom.count; ++i)
          uses.emplace_back(1, lane.channel, step.recvFrom.peer[i].at(k));
      }
      if (step.publishes) uses.emplace_back(2, step.publishChannel, 0);
      if (step.readFrom != Reads::None) uses.emplace_back(3, step.readChannel, 0);
      for (const auto& use : uses) {
        if (others.count(use) == 0) {
          mine.insert(use);
          continue;
        }
        constexpr const char* kWhat[] = {"sends", "receives", "publishes", "reads"};
        return wrong("{}: it {} on channel {} as another lane does, so their order would be left to chance",
                     whereIs(plan, l, s), kWhat[std::get<0>(use)], std::get<1>(use));
      }
    }
    others.insert(mine.begin(), mine.end());
  }
  return {};
}

Status checkPlan(const Plan& plan) {
  if (plan.scratchBlocks < 0 || plan.scratchBlocks > kMostWork) {
    return wrong("rank {}: {} scratch blocks", plan.rank, plan.scratchBlocks);
  }
  if (plan.lanes.size() > 256) return wrong("rank {}: {} lanes", plan.rank, plan.lanes.size());
  for (size_t l = 0; l < plan.lanes.size(); ++l) {
    const Lane& lane = plan.lanes[l];
    if (lane.channel >= kChannels) {
      return wrong("rank {}, lane {}: there is no channel {}", plan.rank, l, lane.channel);
    }
    if (lane.parts < 1 || lane.part < 0 || lane.part >= lane.parts) {
      return wrong("rank {}, lane {}: part {} of {}", plan.rank, l, lane.part, lane.parts);
    }
    if (lane.steps.empty()) return wrong("rank {}, lane {} has no steps", plan.rank, l);
    for (size_t s = 0; s < lane.steps.size(); ++s) {
      if (Status status = checkStep(plan, lane.steps[s]); !status.ok()) {
        return std::move(status).error().context(whereIs(plan, l, s));
      }
    }
  }
  return checkOwners(plan);
}

}  // namespace

std::string whereIs(const Plan& plan, size_t lane, size_t step) {
  return fmt::format("rank {}, lane {}, step {} ({})", plan.rank, lane, step + 1,
                     nameOf(plan.lanes[lane].steps[step]));
}

Buffers buffersOf(const Plan& plan, const std::vector<size_t>& counts) {
  const Request& request = plan.request;
  const size_t n = static_cast<size_t>(request.nRanks), rank = static_cast<size_t>(plan.rank);
  const size_t one = request.count, all = n * one;
  const bool isRoot = plan.rank == request.root;
  switch (request.collective) {
    case Collective::AllReduce:
      return {one, one, request.inPlace, 0, 0};
    case Collective::Reduce:
      return {one, isRoot ? one : 0, request.inPlace && isRoot, 0, 0};
    case Collective::Broadcast:
      return {isRoot ? one : 0, one, request.inPlace && isRoot, 0, 0};
    case Collective::AllGather:
      return {one, all, request.inPlace, rank * one, 0};
    case Collective::ReduceScatter:
      return {all, one, request.inPlace, 0, rank * one};
    case Collective::Gather:
      return {one, isRoot ? all : 0, request.inPlace && isRoot, rank * one, 0};
    case Collective::Scatter:
      return {isRoot ? all : 0, one, request.inPlace && isRoot, 0, rank * one};
    case Collective::AllToAllV:
      if (!counts.empty()) {
        Buffers buffers;
        for (size_t p = 0; p < n; ++p) {
          buffers.input += counts[rank * n + p];
          buffers.output += counts[p * n + rank];
        }
        return buffers;
      }
      [[fallthrough]];
    default:
      return {all, all, request.inPlace, 0, 0};
  }
}

Extent extentOf(const Plan& plan, const Lane& lane, const std::vector<size_t>& counts, int64_t round,
                Buffer buffer, int block) {
  if (buffer == Buffer::Scratch) return plan.scratchExtent(lane, round, block);
  if (counts.empty()) return plan.extent(lane, round, block);
  const size_t n = static_cast<size_t>(plan.request.nRanks), rank = static_cast<size_t>(plan.rank);
  const bool input = buffer == Buffer::Input;
  auto countOf = [&](size_t p) { return input ? counts[rank * n + p] : counts[p * n + rank]; };
  size_t offset = 0;
  for (int p = 0; p < block; ++p) offset += countOf(static_cast<size_t>(p));
  const size_t count = countOf(static_cast<size_t>(block));
  const size_t begin = std::min(count, static_cast<size_t>(round) * plan.chunkCount);
  return {offset + begin, std::min(plan.chunkCount, count - begin)};
}

int64_t roundsOf(const Plan& plan, const Lane& lane, const std::vector<size_t>& counts) {
  if (counts.empty()) return plan.rounds(lane);
  const size_t n = static_cast<size_t>(plan.request.nRanks), rank = static_cast<size_t>(plan.rank);
  size_t most = 0;
  for (size_t p = 0; p < n; ++p) most = std::max({most, counts[rank * n + p], counts[p * n + rank]});
  return static_cast<int64_t>((most + plan.chunkCount - 1) / plan.chunkCount);
}

namespace {

/// Whether the buffers, cut wherever a block of a round ends, are small enough to be kept.
Status checkSize(std::span<const Plan> plans, const VerifyOptions& options) {
  double cells = 0;
  for (const Plan& plan : plans) {
    cells += plan.scratchBlocks;
    std::set<int> parts;
    for (const Lane& lane : plan.lanes) {
      if (lane.parts < 1 || !parts.insert(lane.parts).second) continue;
      const double rounds = static_cast<double>(roundsOf(plan, lane, options.counts));
      cells += 2 * rounds * plan.nBlocks * lane.parts;
    }
  }
  if (cells > static_cast<double>(options.maxCells)) {
    return wrong("the plans are too long to verify: {:.0f} rounds of blocks on all ranks", cells);
  }
  return {};
}

}  // namespace

Status checkShape(std::span<const Plan> plans, const VerifyOptions& options) {
  if (plans.size() < 2) return wrong("{} plans: a collective has two ranks or more", plans.size());
  const Plan& first = plans[0];
  const size_t n = plans.size();
  if (first.nBlocks < 1 || first.chunkCount < 1) {
    return wrong("{} blocks of {} elements", first.nBlocks, first.chunkCount);
  }
  if (first.request.root < 0 || first.request.root >= first.request.nRanks) {
    return wrong("root {} does not exist", first.request.root);
  }
  if (options.limits.depth < 1 || options.boardDepth < 1)
    return wrong("FIFOs and boards have one slot at least");
  if (!options.counts.empty()) {
    if (first.request.collective != Collective::AllToAllV || options.counts.size() != n * n ||
        first.layout != Layout::PerRank || first.nBlocks != first.request.nRanks) {
      return wrong("counts are for AllToAllV over one block per rank, {} of them", n * n);
    }
    if (std::any_of(plans.begin(), plans.end(), [](const Plan& plan) { return plan.scratchBlocks > 0; }))
      return wrong("a plan for blocks of different lengths has no scratch blocks");
    if (*std::max_element(options.counts.begin(), options.counts.end()) > first.request.count) {
      return wrong("a count is larger than the call's, {}", first.request.count);
    }
  } else if (first.request.collective == Collective::AllGatherV ||
             first.request.collective == Collective::ReduceScatterV) {
    return wrong("{} is made of other collectives and has no plan of its own",
                 nameOf(first.request.collective));
  }
  TUTTI_TRY(checkSize(plans, options));
  for (size_t r = 0; r < n; ++r) {
    const Plan& plan = plans[r];
    Request same = plan.request;
    same.inPlace = first.request.inPlace;  // each rank has buffers of its own
    if (!(same == first.request)) return wrong("ranks 0 and {} were given plans for different calls", r);
    if (plan.request.nRanks != static_cast<int>(n)) {
      return wrong("the call has {} ranks, but there are {} plans", plan.request.nRanks, n);
    }
    if (plan.rank != static_cast<int>(r)) return wrong("plan {} is rank {}'s", r, plan.rank);
    if (plan.protocol != first.protocol || plan.layout != first.layout || plan.nBlocks != first.nBlocks ||
        plan.chunkCount != first.chunkCount || plan.algorithm != first.algorithm) {
      return wrong("ranks 0 and {} differ in algorithm, protocol, layout, blocks or chunk", r);
    }
    TUTTI_TRY(checkPlan(plan));
    if (plan.boardRounds() != first.boardRounds()) {
      return wrong("rank {} counts {} board rounds and rank 0 {}: their numbering would part", r,
                   plan.boardRounds(), first.boardRounds());
    }
  }
  return {};
}

}  // namespace tutti::algos::verify
