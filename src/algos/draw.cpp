#include "algos/draw.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>

namespace tutti::algos {
namespace {

constexpr int kMostDrawn = 4000;
constexpr double kColumn = 92, kRow = 30, kLeft = 46, kTop = 62, kLane = 16;

/// A play at its place in time; a step of a lane takes one unit, what it takes from others at least one more.
struct Play {
  int rank = 0, lane = 0;
  int time = 0;
  const Step* step = nullptr;
  std::string blocks;
};
struct Arrow {
  int from = 0, to = 0;  ///< plays
  bool board = false;
};

/// "0-3", "1,3", "5"
std::string blocksOf(const BlockRef& ref, int k) {
  std::string text;
  for (int i = 0; i < ref.span;) {
    const int first = ref.at(k, i);
    int length = 1;
    while (i + length < ref.span && ref.at(k, i + length) == first + length) ++length;
    if (!text.empty()) text += ",";
    text += length == 1 ? fmt::format("{}", first) : fmt::format("{}-{}", first, first + length - 1);
    i += length;
  }
  return text;
}

/// Plays the first round without sizes: a FIFO takes what it is given.
class Director {
 public:
  explicit Director(std::span<const Plan> plans) : plans_(plans) {}

  Status run() {
    struct LaneAt {
      int rank, number;
      size_t step = 0;
      int repeat = 0, time = 0;
    };
    std::vector<LaneAt> lanes;
    for (const Plan& plan : plans_) {
      for (size_t l = 0; l < plan.lanes.size(); ++l) lanes.push_back({plan.rank, static_cast<int>(l)});
    }
    for (bool moved = true; moved;) {
      moved = false;
      for (LaneAt& lane : lanes) {
        const auto& steps = plans_[lane.rank].lanes[lane.number].steps;
        while (lane.step < steps.size() &&
               play(lane.rank, lane.number, steps[lane.step], lane.repeat, lane.time)) {
          if (plays_.size() > kMostDrawn) {
            return makeError(Code::InvalidUsage, "a picture of more than {} plays: take fewer ranks",
                             kMostDrawn);
          }
          moved = true;
          if (++lane.repeat < steps[lane.step].repeat) continue;
          lane.repeat = 0;
          ++lane.step;
        }
      }
    }
    for (const LaneAt& lane : lanes) {
      if (lane.step < plans_[lane.rank].lanes[lane.number].steps.size()) {
        return makeError(Code::InvalidUsage,
                         "rank {}, lane {} waits for ever in step {}: there is no picture of that", lane.rank,
                         lane.number, lane.step + 1);
      }
    }
    return {};
  }

  const std::vector<Play>& plays() const { return plays_; }
  const std::vector<Arrow>& arrows() const { return arrows_; }

 private:
  bool play(int rank, int lane, const Step& step, int k, int& time) {
    const int channel = plans_[rank].lanes[lane].channel;
    const int n = static_cast<int>(plans_.size());
    std::vector<std::pair<int, bool>> sources;  // play, board?
    for (int i = 0; i < step.recvFrom.count; ++i) {
      auto& fifo = fifos_[{channel, step.recvFrom.peer[i].at(k), rank}];
      if (fifo.empty()) return false;
      sources.emplace_back(fifo.front(), false);
    }
    for (int peer = 0; peer < n && step.readFrom != Reads::None; ++peer) {
      if (step.readFrom == Reads::One ? peer != step.readPeer.at(k) : peer == rank) continue;
      const auto board = boards_.find({step.readChannel, peer});
      if (board == boards_.end()) return false;
      sources.emplace_back(board->second, true);
    }
    Play play{rank, lane, time, &step, ""};
    const BlockRef& sized = step.dst.buffer != Buffer::None ? step.dst : step.src;
    if (sized.buffer != Buffer::None)
      play.blocks = (sized.buffer == Buffer::Scratch ? "s" : "") + blocksOf(sized, k);
    const int self = static_cast<int>(plays_.size());
    for (const auto& [from, board] : sources) {
      play.time = std::max(play.time, plays_[from].time + 1);
      arrows_.push_back({from, self, board});
    }
    for (int i = 0; i < step.recvFrom.count; ++i)
      fifos_[{channel, step.recvFrom.peer[i].at(k), rank}].pop_front();
    for (int i = 0; i < step.sendTo.count; ++i)
      fifos_[{channel, rank, step.sendTo.peer[i].at(k)}].push_back(self);
    if (step.publishes) boards_[{step.publishChannel, rank}] = self;
    time = play.time + 1;
    plays_.push_back(std::move(play));
    return true;
  }

  std::span<const Plan> plans_;
  std::vector<Play> plays_;
  std::vector<Arrow> arrows_;
  std::map<std::tuple<int, int, int>, std::deque<int>> fifos_;  ///< channel, from, to
  std::map<std::pair<int, int>, int> boards_;                   ///< board, writer
};

struct Look {
  const char* colour;
  const char* words;
};
constexpr Look kLooks[] = {{"#d9822b", "reduces what comes with its own"},
                           {"#2e8b57", "receives or reads"},
                           {"#3465a4", "sends"},
                           {"#7a4fa3", "publishes"},
                           {"#888888", "copies"}};

const Look& lookOf(const Step& step) {
  if (step.reduces) return kLooks[0];
  if (step.recvFrom.count > 0 || step.readFrom != Reads::None) return kLooks[1];
  if (step.publishes) return kLooks[3];
  return step.sendTo.count > 0 ? kLooks[2] : kLooks[4];
}

}  // namespace

Result<std::string> drawSvg(std::span<const Plan> plans) {
  if (plans.empty()) return Error(Code::InvalidUsage, "there are no plans to draw");
  for (size_t r = 0; r < plans.size(); ++r) {
    if (plans[r].rank != static_cast<int>(r) || plans[r].request.nRanks != static_cast<int>(plans.size())) {
      return Error(Code::InvalidUsage, "a picture needs the plans of all ranks, in rank order");
    }
  }
  Director director(plans);
  TUTTI_TRY(director.run());
  int last = 0;
  for (const Play& play : director.plays()) last = std::max(last, play.time);
  auto xOf = [](const Play& p) { return kLeft + p.rank * kColumn + p.lane * kLane; };
  auto yOf = [](const Play& p) { return kTop + p.time * kRow; };
  const double width = std::max(kLeft + static_cast<double>(plans.size()) * kColumn + 20, 560.0);
  const double height = kTop + last * kRow + 62;
  const Request& request = plans[0].request;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"Helvetica,Arial,sans-serif\">\n"
      "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"11\" refY=\"4\" markerWidth=\"7\" "
      "markerHeight=\"7\" "
      "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555555\"/></marker></defs>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
      "<text x=\"12\" y=\"20\" font-size=\"13\" fill=\"#222222\">{2} by {3} on {4} ranks: one round, blocks "
      "by "
      "number</text>\n",
      width, height, nameOf(request.collective), nameOf(plans[0].algorithm), request.nRanks);
  for (const Plan& plan : plans) {
    const double x = kLeft + plan.rank * kColumn;
    svg += fmt::format(
        "<text x=\"{:.0f}\" y=\"44\" font-size=\"12\" text-anchor=\"middle\" fill=\"#222222\">{}</text>\n", x,
        plan.rank);
    for (size_t l = 0; l < plan.lanes.size(); ++l) {
      svg += fmt::format(
          "<line x1=\"{0:.0f}\" y1=\"{1:.0f}\" x2=\"{0:.0f}\" y2=\"{2:.0f}\" stroke=\"#dddddd\"/>\n",
          x + static_cast<double>(l) * kLane, kTop - 10, kTop + last * kRow + 10);
    }
  }
  for (const Arrow& arrow : director.arrows()) {
    const Play &from = director.plays()[arrow.from], &to = director.plays()[arrow.to];
    svg += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#555555\" "
        "stroke-width=\"1\"{} "
        "marker-end=\"url(#tip)\"/>\n",
        xOf(from), yOf(from), xOf(to), yOf(to), arrow.board ? " stroke-dasharray=\"3 3\"" : "");
  }
  for (const Play& play : director.plays()) {
    svg += fmt::format(
        "<circle cx=\"{:.0f}\" cy=\"{:.0f}\" r=\"5\" fill=\"{}\"><title>rank {}: {}</title></circle>\n"
        "<text x=\"{:.0f}\" y=\"{:.0f}\" font-size=\"9\" fill=\"#333333\" stroke=\"#ffffff\" "
        "stroke-width=\"2\" paint-order=\"stroke\">{}</text>\n",
        xOf(play), yOf(play), lookOf(*play.step).colour, play.rank, nameOf(*play.step), xOf(play) + 7,
        yOf(play) - 4, play.blocks.size() > 12 ? play.blocks.substr(0, 11) + ".." : play.blocks);
  }
  double x = 14;
  for (const Look& look : kLooks) {
    const bool used = std::any_of(director.plays().begin(), director.plays().end(),
                                  [&](const Play& play) { return &lookOf(*play.step) == &look; });
    if (!used) continue;
    svg += fmt::format(
        "<circle cx=\"{0:.0f}\" cy=\"{1:.0f}\" r=\"5\" fill=\"{2}\"/><text x=\"{3:.0f}\" y=\"{4:.0f}\" "
        "font-size=\"11\" fill=\"#333333\">{5}</text>\n",
        x, height - 20, look.colour, x + 9, height - 16, look.words);
    x += 24 + 6.2 * static_cast<double>(std::string_view(look.words).size());
  }
  return svg + "</svg>\n";
}

}  // namespace tutti::algos
