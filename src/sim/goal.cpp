#include "sim/goal.hpp"

#include <charconv>
#include <cmath>
#include <unordered_map>

#include "core/bytes.hpp"
#include "sim/program.hpp"

namespace tutti::sim {
namespace {

constexpr size_t kMostRanks = 1 << 22;

template <typename... Args>
Error bad(fmt::format_string<Args...> format, Args&&... args) {
  return makeError(Code::InvalidArgument, format, std::forward<Args>(args)...);
}

std::vector<std::string_view> wordsOf(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t start = line.find_first_not_of(" \t\r;");
    if (start == std::string_view::npos) return words;
    line.remove_prefix(start);
    const size_t end = line.find_first_of(" \t\r;");
    words.push_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  }
}

Result<uint64_t> numberOf(std::string_view word, const char* what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || error != std::errc() || end != word.data() + word.size())
    return bad("{} is \"{}\", not a number of 0 or more", what, word);
  return value;
}

class Reader {
 public:
  Status line(std::string_view text) {
    for (std::string_view comment : {"//", "#", "/*"}) text = text.substr(0, text.find(comment));
    const auto words = wordsOf(text);
    if (words.empty()) return {};
    if (words[0] == "num_ranks") return header(words);
    if (goal_.ranks.empty()) return bad("a schedule starts with num_ranks N");
    if (words[0] == "rank") return rank(words);
    if (words[0] == "}") {
      if (rank_ < 0) return bad("}} without a rank");
      rank_ = -1;
      return {};
    }
    if (rank_ < 0) return bad("\"{}\" stands outside of a rank", words[0]);
    if (words[0].back() == ':') return operation(words);
    return requirement(words);
  }
  Result<Goal> end() {
    if (goal_.ranks.empty()) return bad("there is no num_ranks in this text");
    if (rank_ >= 0) return bad("rank {} has no closing }}", rank_);
    return std::move(goal_);
  }

 private:
  Status header(const std::vector<std::string_view>& words) {
    if (!goal_.ranks.empty()) return bad("num_ranks stands twice");
    TUTTI_ASSIGN(uint64_t n, numberOf(words.size() == 2 ? words[1] : "", "num_ranks"));
    if (n < 1 || n > kMostRanks) return bad("num_ranks is {}, not from 1 to {}", n, kMostRanks);
    goal_.ranks.resize(n);
    seen_.resize(n);
    return {};
  }
  Status rank(const std::vector<std::string_view>& words) {
    if (rank_ >= 0) return bad("rank {} has no closing }}", rank_);
    if (words.size() != 3 || words[2] != "{") return bad("not like: rank 3 {{");
    TUTTI_ASSIGN(uint64_t r, numberOf(words[1], "the rank"));
    if (r >= goal_.ranks.size()) return bad("rank {} is not below num_ranks {}", r, goal_.ranks.size());
    if (seen_[r]) return bad("rank {} stands twice", r);
    seen_[r] = true;
    rank_ = static_cast<int>(r);
    labels_.clear();
    return {};
  }
  Status operation(const std::vector<std::string_view>& words) {
    const std::string label(words[0].substr(0, words[0].size() - 1));
    auto& ops = goal_.ranks[rank_];
    if (!labels_.try_emplace(label, static_cast<uint32_t>(ops.size())).second)
      return bad("label {} stands twice", label);
    if (words.size() < 3) return bad("{}: calc, send or recv and a number are missing", label);
    GoalOp op;
    size_t at = 3;
    if (words[1] == "calc") {
      TUTTI_ASSIGN(op.amount, numberOf(words[2], "calc"));
    } else if (words[1] == "send" || words[1] == "recv") {
      const bool sends = words[1] == "send";
      op.kind = sends ? GoalOp::Kind::Send : GoalOp::Kind::Recv;
      if (words[2].back() != 'b') return bad("{}: a size is like 1024b, not \"{}\"", label, words[2]);
      TUTTI_ASSIGN(op.amount, numberOf(words[2].substr(0, words[2].size() - 1), "the size"));
      if (words.size() < 5 || words[3] != (sends ? "to" : "from"))
        return bad("{}: \"{} RANK\" is missing", label, sends ? "to" : "from");
      TUTTI_ASSIGN(uint64_t peer, numberOf(words[4], "the peer"));
      if (peer >= goal_.ranks.size()) return bad("{}: rank {} is not below num_ranks", label, peer);
      if (static_cast<int>(peer) == rank_) return bad("{}: a rank sends nothing to itself", label);
      op.peer = static_cast<int>(peer);
      at = 5;
    } else {
      return bad("{}: \"{}\" is none of calc, send, recv", label, words[1]);
    }
    for (; at < words.size(); at += 2) {
      TUTTI_ASSIGN(uint64_t value, numberOf(at + 1 < words.size() ? words[at + 1] : "", "a tag, cpu or nic"));
      if (value > INT32_MAX) return bad("{}: {} is too large", label, value);
      if (words[at] == "tag") {
        op.tag = static_cast<int>(value);
      } else if (words[at] == "cpu") {
        op.cpu = static_cast<int>(value);
      } else if (words[at] != "nic") {
        return bad("{}: \"{}\" is none of tag, cpu, nic", label, words[at]);
      }
    }
    ops.push_back(std::move(op));
    return {};
  }
  Status requirement(const std::vector<std::string_view>& words) {
    if (words.size() != 3 || (words[1] != "requires" && words[1] != "irequires"))
      return bad("\"{}\" is neither an operation (label: ...) nor \"label requires label\"", words[0]);
    const auto a = labels_.find(std::string(words[0])), b = labels_.find(std::string(words[2]));
    if (a == labels_.end()) return bad("there is no label {} in this rank yet", words[0]);
    if (b == labels_.end()) return bad("there is no label {} in this rank yet", words[2]);
    GoalOp& op = goal_.ranks[rank_][a->second];
    (words[1] == "requires" ? op.after : op.afterBegins).push_back(b->second);
    return {};
  }

  Goal goal_;
  std::vector<bool> seen_;
  int rank_ = -1;
  std::unordered_map<std::string, uint32_t> labels_;
};

}  // namespace

Result<Goal> parseGoal(std::string_view text) {
  Reader reader;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (Status s = reader.line(line); !s.ok())
      return std::move(s).error().context(fmt::format("line {}", number));
  }
  auto goal = reader.end();
  if (!goal.ok()) return std::move(goal).error().context(fmt::format("line {}", number));
  return goal;
}

std::string toText(const Goal& goal) {
  std::string text = fmt::format("num_ranks {}\n", goal.ranks.size());
  for (size_t r = 0; r < goal.ranks.size(); ++r) {
    text += fmt::format("rank {} {{\n", r);
    for (size_t i = 0; i < goal.ranks[r].size(); ++i) {
      const GoalOp& op = goal.ranks[r][i];
      if (op.kind == GoalOp::Kind::Calc) {
        text += fmt::format("l{}: calc {} cpu {}\n", i + 1, op.amount, op.cpu);
      } else {
        const bool sends = op.kind == GoalOp::Kind::Send;
        text += fmt::format("l{}: {} {}b {} {} tag {} cpu {}\n", i + 1, sends ? "send" : "recv", op.amount,
                            sends ? "to" : "from", op.peer, op.tag, op.cpu);
      }
      for (uint32_t a : op.after) text += fmt::format("l{} requires l{}\n", i + 1, a + 1);
      for (uint32_t a : op.afterBegins) text += fmt::format("l{} irequires l{}\n", i + 1, a + 1);
    }
    text += "}\n";
  }
  return text;
}

Result<Goal> goalOf(const Workload& workload, const Costs& costs) {
  TUTTI_TRY(workload.check());
  Goal goal;
  goal.ranks.resize(static_cast<size_t>(workload.nRanks));
  Programs programs(workload, costs, 0);
  const auto nItems = workload.items.size();
  for (int rank = 0; rank < workload.nRanks; ++rank) {
    auto& ops = goal.ranks[rank];
    std::vector<std::vector<uint32_t>> ends(nItems);  // last operations of each item
    for (size_t i = 0; i < nItems; ++i) {
      const Item& item = workload.items[i];
      std::vector<uint32_t> start;
      for (int a : item.after) start.insert(start.end(), ends[a].begin(), ends[a].end());
      const int position = item.groups.positionIn(rank);
      ends[i] = start;
      if (position < 0 || (!item.computes && item.request.nRanks < 2)) continue;
      if (item.computes) {
        ends[i] = {static_cast<uint32_t>(ops.size())};
        ops.push_back({GoalOp::Kind::Calc,
                       static_cast<uint64_t>(std::llround(item.computeUs * 1000)),
                       -1,
                       0,
                       0,
                       start,
                       {}});
        continue;
      }
      TUTTI_ASSIGN(PositionProgram program, programs.of(static_cast<int>(i), position));
      ends[i].clear();
      for (uint32_t l = 0; l < program.lanes; ++l) {
        const RankLane mine = programs.rankLane(program.lanesAt + l);
        const LaneProgram& lane = programs.lane(mine.program);
        const int cpu = costs.lanesShareCore ? 0 : static_cast<int>(l);
        const int tag = static_cast<int>(i) * 256 + lane.channel;
        std::vector<uint32_t> last = start;
        for (uint32_t round = 0; round < lane.rounds; ++round) {
          for (uint32_t s = 0; s < lane.steps; ++s) {
            const PlayStep& step = programs.step(lane.stepsAt + s);
            if (step.reads != algos::Reads::None || step.publishes)
              return bad("{}: boards have no messages, so GOAL cannot say them",
                         algos::nameOf(item.algorithm));
            for (int k = 0; k < step.repeat; ++k) {
              const uint64_t bytes = programs.bytes(lane, step, round, k, false);
              if (bytes == 0) continue;
              GoalOp calc{GoalOp::Kind::Calc, 0, -1, 0, cpu, last, {}};
              calc.amount = static_cast<uint64_t>(
                  (step.fixed + psFor(static_cast<double>(bytes), step.psPerByte) + 500) / 1000);
              auto peer = [&](int p) {
                return item.groups.member(
                    rank, programs.peer(mine.peersAt + step.connAt + static_cast<uint32_t>(p)).at(k));
              };
              for (int p = 0; p < step.receives; ++p) {
                calc.after.push_back(static_cast<uint32_t>(ops.size()));
                ops.push_back({GoalOp::Kind::Recv, bytes, peer(p), tag, cpu, start, {}});
              }
              last = {static_cast<uint32_t>(ops.size())};
              ops.push_back(std::move(calc));
              for (int p = step.receives; p < step.receives + step.sends; ++p)
                ops.push_back({GoalOp::Kind::Send, bytes, peer(p), tag, cpu, last, {}});
            }
          }
        }
        ends[i].insert(ends[i].end(), last.begin(), last.end());
      }
    }
  }
  return goal;
}

}  // namespace tutti::sim
