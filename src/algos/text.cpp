// Text form of plans. The grammar is in docs/plans.md; what toText() writes, parsePlan() reads back exactly.
#include "algos/text.hpp"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>

#include "core/bytes.hpp"

namespace tutti::algos {
namespace {

// Bounds that keep offsets far from overflow, whatever a file says.
constexpr uint64_t kMostElements = uint64_t{1} << 48;
constexpr uint64_t kMostChunk = uint64_t{1} << 40;
constexpr int kMostRanks = 1 << 22;
constexpr int kMostSteps = 1 << 20;

// ---- writing

std::string textOf(const Affine& a) {
  std::string text = fmt::format("{}", a.modulus != 0 ? a.base : static_cast<int64_t>(a.base) + a.offset);
  if (a.stride != 0) text += fmt::format("{:+}k", a.stride);
  if (a.modulus != 0) text += fmt::format(" mod {}", a.modulus);
  if (a.modulus != 0 && a.offset != 0)
    text += fmt::format(" {} {}", a.offset < 0 ? '-' : '+', std::abs(static_cast<int64_t>(a.offset)));
  return text;
}

/// As a word among others: in brackets unless it is a plain number.
std::string wordOf(const Affine& a) {
  return a.stride == 0 && a.modulus == 0 ? textOf(a) : "(" + textOf(a) + ")";
}

std::string_view nameOf(Buffer buffer) {
  switch (buffer) {
    case Buffer::Input:
      return "input";
    case Buffer::Output:
      return "output";
    case Buffer::Scratch:
      return "scratch";
    case Buffer::None:
      break;
  }
  return "none";
}

std::string textOf(const BlockRef& ref) {
  std::string text = fmt::format("{}[{}", nameOf(ref.buffer), textOf(ref.index));
  if (ref.span != 1) text += fmt::format(" span {}", ref.span);
  if (ref.run != 0) text += fmt::format(" run {}", ref.run);
  if (ref.jump != 0) text += fmt::format(" jump {}", ref.jump);
  if (ref.pace != 1) text += fmt::format(" pace {}", ref.pace);
  return text + "]";
}

std::string textOf(const Peers& peers) {
  std::string text;
  for (int i = 0; i < peers.count; ++i) text += (i > 0 ? " " : "") + wordOf(peers.peer[i]);
  return text;
}

constexpr std::string_view kOrders[] = {"localFirst", "peerFirst", "rankOrder"};

std::string textOf(const Lane& lane) {
  std::string text = fmt::format("lane channel={} part={}/{}\n", lane.channel, lane.part, lane.parts);
  for (const Step& step : lane.steps) text += "  " + toText(step) + "\n";
  return text;
}

// ---- reading

/// The words of one line; brackets keep what is in them together.
std::vector<std::string_view> wordsOf(std::string_view line) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while (at < line.size()) {
    if (line[at] == ' ' || line[at] == '\t' || line[at] == '\r') {
      ++at;
      continue;
    }
    size_t begin = at;
    int open = 0;
    for (; at < line.size(); ++at) {
      const char c = line[at];
      if (c == '[' || c == '(') ++open;
      if (c == ']' || c == ')') --open;
      if (open <= 0 && (c == ' ' || c == '\t' || c == '\r')) break;
    }
    words.push_back(line.substr(begin, at - begin));
  }
  return words;
}

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text[0] == '-') return std::nullopt;
  }
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error bad(std::string text) {
  return Error(Code::InvalidArgument, std::move(text));
}

/// "3", "3-1k", "3-1k mod 4", "3 mod 4", "3-1k mod 4 + 8"
Result<Affine> affineOf(std::string_view text) {
  Affine a;
  const std::string whole(text);
  auto wrong = [&] {
    return makeError(Code::InvalidArgument, "'{}' is not like 3, 3-1k, 3-1k mod 4 or 3-1k mod 4 + 8", whole);
  };
  if (size_t mod = text.find(" mod "); mod != std::string_view::npos) {
    std::string_view wrap = trimmed(text.substr(mod + 5));
    if (size_t sign = wrap.find_first_of("+-"); sign != std::string_view::npos && sign > 0) {
      auto offset = number<int32_t>(trimmed(wrap.substr(sign + 1)));
      if (!offset || *offset <= 0) return wrong();
      a.offset = wrap[sign] == '-' ? -*offset : *offset;
      wrap = trimmed(wrap.substr(0, sign));
    }
    auto modulus = number<int32_t>(wrap);
    if (!modulus || *modulus <= 0) return wrong();
    a.modulus = *modulus;
    text = trimmed(text.substr(0, mod));
  }
  if (!text.empty() && text.back() == 'k') {
    const size_t sign = text.find_last_of("+-");
    if (sign == std::string_view::npos || sign == 0) return wrong();
    auto stride = number<int32_t>(text.substr(sign, text.size() - 1 - sign));
    if (!stride) return wrong();
    a.stride = *stride;
    text = text.substr(0, sign);
  }
  auto base = number<int32_t>(text);
  if (!base) return wrong();
  a.base = *base;
  return a;
}

Result<Affine> affineWord(std::string_view word) {
  if (word.size() >= 2 && word.front() == '(' && word.back() == ')') word = word.substr(1, word.size() - 2);
  return affineOf(word);
}

Result<BlockRef> blockOf(std::string_view word) {
  BlockRef ref;
  const size_t bracket = word.find('[');
  if (bracket == std::string_view::npos || word.back() != ']') {
    return makeError(Code::InvalidArgument, "'{}' is not like input[0] or output[3-1k mod 4]", word);
  }
  const std::string_view name = word.substr(0, bracket);
  if (name == nameOf(Buffer::Input)) {
    ref.buffer = Buffer::Input;
  } else if (name == nameOf(Buffer::Output)) {
    ref.buffer = Buffer::Output;
  } else if (name == nameOf(Buffer::Scratch)) {
    ref.buffer = Buffer::Scratch;
  } else if (name != nameOf(Buffer::None)) {
    return makeError(Code::InvalidArgument, "'{}' is none of input, output and scratch", name);
  }
  std::string_view index = word.substr(bracket + 1, word.size() - bracket - 2);
  // From the back, so that each takes what stands behind it.
  auto take = [&](std::string_view key, int32_t least, int32_t most, int32_t& out) -> Status {
    const size_t at = index.find(key);
    if (at == std::string_view::npos) return {};
    auto value = number<int32_t>(trimmed(index.substr(at + key.size())));
    if (!value || *value < least || *value > most) {
      return makeError(Code::InvalidArgument, "'{}': behind{}must stand a number from {} to {}", word, key,
                       least, most);
    }
    out = *value;
    index = trimmed(index.substr(0, at));
    return {};
  };
  TUTTI_TRY(take(" pace ", -kMostRanks, kMostRanks, ref.pace));
  TUTTI_TRY(take(" jump ", -kMostRanks, kMostRanks, ref.jump));
  TUTTI_TRY(take(" run ", 1, kMostRanks, ref.run));
  TUTTI_TRY(take(" span ", 1, kMostRanks, ref.span));
  TUTTI_ASSIGN(ref.index, affineOf(index));
  return ref;
}

/// The words of a step, taken from the front.
class Words {
 public:
  explicit Words(std::vector<std::string_view> words) : words_(std::move(words)) {}

  bool empty() const { return at_ == words_.size(); }
  std::string_view peek() const { return empty() ? std::string_view() : words_[at_]; }
  std::string_view next() { return empty() ? std::string_view() : words_[at_++]; }
  bool take(std::string_view word) {
    if (peek() != word) return false;
    ++at_;
    return true;
  }
  Status expect(std::string_view word, std::string_view after) {
    if (take(word)) return {};
    return makeError(Code::InvalidArgument, "'{}' must stand after '{}', not '{}'", word, after, peek());
  }

 private:
  std::vector<std::string_view> words_;
  size_t at_ = 0;
};

bool isNumber(std::string_view word) {
  return !word.empty() && (word[0] == '(' || word[0] == '-' || (word[0] >= '0' && word[0] <= '9'));
}

Status readPeers(Words& words, std::string_view which, Peers& peers) {
  if (peers.count > 0) return makeError(Code::InvalidArgument, "'{}' stands twice", which);
  while (isNumber(words.peek())) {
    if (peers.count == Peers::kMax) {
      return makeError(Code::InvalidArgument, "more than {} ranks after '{}'", Peers::kMax, which);
    }
    TUTTI_ASSIGN(Affine peer, affineWord(words.next()));
    peers.add(peer);
  }
  if (peers.count == 0) return makeError(Code::InvalidArgument, "no rank stands after '{}'", which);
  return {};
}

Result<uint8_t> boardNumber(Words& words, std::string_view after) {
  TUTTI_TRY(words.expect("board", after));
  auto board = number<uint8_t>(words.peek());
  if (!board) return makeError(Code::InvalidArgument, "'{}' is not the number of a board", words.peek());
  words.next();
  return *board;
}

/// read ranks|RANK board B block N
Status readReads(Words& words, Step& step) {
  if (words.take("all")) {
    step.readFrom = Reads::All;
  } else {
    step.readFrom = Reads::One;
    TUTTI_ASSIGN(step.readPeer, affineWord(words.next()));
  }
  TUTTI_ASSIGN(step.readChannel, boardNumber(words, "off"));
  TUTTI_TRY(words.expect("block", "board"));
  TUTTI_ASSIGN(step.readBlock, affineWord(words.next()));
  return {};
}

/// on board B for all|RANK
Status readPublish(Words& words, Step& step) {
  step.publishes = true;
  TUTTI_ASSIGN(step.publishChannel, boardNumber(words, "on"));
  TUTTI_TRY(words.expect("for", "board"));
  if (words.take("all")) return {};
  auto reader = number<int32_t>(words.peek());
  if (!reader || *reader < 0) {
    return makeError(Code::InvalidArgument, "'{}' after 'for' is neither 'all' nor a rank", words.peek());
  }
  words.next();
  step.publishFor = *reader;
  return {};
}

Result<Step> stepOf(std::string_view line) {
  Words words(wordsOf(line));
  Step step;
  const std::string_view name = words.next();
  step.reduces = name.find("Reduce") != std::string_view::npos;
  bool hasSource = false, hasPlace = false;
  while (!words.empty()) {
    const std::string_view word = words.next();
    if (word == "from") {
      TUTTI_TRY(readPeers(words, word, step.recvFrom));
    } else if (word == "to") {
      TUTTI_TRY(readPeers(words, word, step.sendTo));
    } else if (word == "off") {
      if (step.readFrom != Reads::None) return bad("'off' stands twice");
      TUTTI_TRY(readReads(words, step));
    } else if (word == "on") {
      if (step.publishes) return bad("'on' stands twice");
      TUTTI_TRY(readPublish(words, step));
    } else if (word == "into") {
      if (hasPlace) return bad("'into' stands twice");
      hasPlace = true;
      TUTTI_ASSIGN(step.dst, blockOf(words.next()));
    } else if (word == "finish") {
      step.finishes = true;
    } else if (word == kOrders[0]) {
      step.order = Order::LocalFirst;
    } else if (word == kOrders[1]) {
      step.order = Order::PeerFirst;
    } else if (word == kOrders[2]) {
      step.order = Order::RankOrder;
    } else if (word.size() > 1 && word[0] == 'x' && number<int32_t>(word.substr(1))) {
      step.repeat = *number<int32_t>(word.substr(1));
      if (step.repeat < 1)
        return makeError(Code::InvalidArgument, "'{}': a step is played once or more", word);
    } else if (word.find('[') != std::string_view::npos) {
      if (hasSource) return makeError(Code::InvalidArgument, "'{}' is a second local block", word);
      hasSource = true;
      TUTTI_ASSIGN(step.src, blockOf(word));
    } else {
      return makeError(Code::InvalidArgument, "'{}' is no part of a step", word);
    }
  }
  if (nameOf(step) != name) {
    return makeError(Code::InvalidArgument, "the step is called '{}', but its parts make it '{}'", name,
                     nameOf(step));
  }
  return step;
}

/// key=value, for the header and lane lines.
struct Pair {
  std::string_view key, value;
};

Result<Pair> pairOf(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == word.size()) {
    return makeError(Code::InvalidArgument, "'{}' is not like key=value", word);
  }
  return Pair{word.substr(0, equals), word.substr(equals + 1)};
}

template <typename T>
Status setNumber(const Pair& pair, T& out, uint64_t least, uint64_t most) {
  auto value = number<uint64_t>(pair.value);
  if (!value || *value < least || *value > most) {
    return makeError(Code::InvalidArgument, "{}={}: not a number from {} to {}", pair.key, pair.value, least,
                     most);
  }
  out = static_cast<T>(*value);
  return {};
}

template <typename T>
Status setName(const Pair& pair, T& out, std::optional<T> value) {
  if (!value) return makeError(Code::InvalidArgument, "{}={}: unknown", pair.key, pair.value);
  out = *value;
  return {};
}

Status setFlag(const Pair& pair, bool& out) {
  if (pair.value != "yes" && pair.value != "no") {
    return makeError(Code::InvalidArgument, "{}={}: neither yes nor no", pair.key, pair.value);
  }
  out = pair.value == "yes";
  return {};
}

constexpr std::string_view kHeaderKeys[] = {"ranks", "rank",      "count",    "type",   "op",
                                            "root",  "algorithm", "protocol", "layout", "blocks",
                                            "chunk", "boards",    "inplace",  "scratch"};
constexpr size_t kOptionalKeys = 1;  // the last ones

Status setHeader(const Pair& pair, Plan& plan) {
  Request& request = plan.request;
  const auto& [key, value] = pair;
  if (key == "ranks") return setNumber(pair, request.nRanks, 2, kMostRanks);
  if (key == "rank") return setNumber(pair, plan.rank, 0, kMostRanks);
  if (key == "count") return setNumber(pair, request.count, 0, kMostElements);
  if (key == "type") return setName(pair, request.type, dataTypeFromName(value));
  if (key == "op") return setName(pair, request.op, reduceOpFromName(value));
  if (key == "root") return setNumber(pair, request.root, 0, kMostRanks);
  if (key == "algorithm") return setName(pair, plan.algorithm, algorithmFromName(value));
  if (key == "protocol") return setName(pair, plan.protocol, protocolFromName(value));
  if (key == "blocks") return setNumber(pair, plan.nBlocks, 1, kMostRanks);
  if (key == "chunk") return setNumber(pair, plan.chunkCount, 1, kMostChunk);
  if (key == "scratch") return setNumber(pair, plan.scratchBlocks, 0, kMostRanks);
  if (key == "boards") return setFlag(pair, plan.usesBoards);
  if (key == "inplace") return setFlag(pair, request.inPlace);
  if (key == "layout") {
    if (value != "split" && value != "perRank") {
      return makeError(Code::InvalidArgument, "layout={}: neither split nor perRank", value);
    }
    plan.layout = value == "split" ? Layout::Split : Layout::PerRank;
    return {};
  }
  return makeError(Code::InvalidArgument, "'{}' is unknown in a plan's header", key);
}

Result<Plan> headerOf(std::string_view line) {
  Words words(wordsOf(line));
  words.next();
  Plan plan;
  const std::string_view name = words.next();
  auto collective = collectiveFromName(name);
  if (!collective) return makeError(Code::InvalidArgument, "'{}' is not the name of a collective", name);
  plan.request.collective = *collective;
  uint32_t seen = 0;
  while (!words.empty()) {
    TUTTI_ASSIGN(Pair pair, pairOf(words.next()));
    for (size_t i = 0; i < std::size(kHeaderKeys); ++i) {
      if (kHeaderKeys[i] != pair.key) continue;
      if (seen >> i & 1) return makeError(Code::InvalidArgument, "'{}' stands twice", pair.key);
      seen |= 1u << i;
    }
    TUTTI_TRY(setHeader(pair, plan));
  }
  for (size_t i = 0; i + kOptionalKeys < std::size(kHeaderKeys); ++i) {
    if (!(seen >> i & 1)) return makeError(Code::InvalidArgument, "the header lacks {}=", kHeaderKeys[i]);
  }
  if (plan.rank >= plan.request.nRanks) {
    return makeError(Code::InvalidArgument, "rank={} is not below ranks={}", plan.rank, plan.request.nRanks);
  }
  if (plan.request.root >= plan.request.nRanks) {
    return makeError(Code::InvalidArgument, "root={} is not below ranks={}", plan.request.root,
                     plan.request.nRanks);
  }
  return plan;
}

Result<Lane> laneOf(std::string_view line) {
  Words words(wordsOf(line));
  words.next();
  Lane lane;
  while (!words.empty()) {
    TUTTI_ASSIGN(Pair pair, pairOf(words.next()));
    if (pair.key == "channel") {
      TUTTI_TRY(setNumber(pair, lane.channel, 0, std::numeric_limits<uint8_t>::max()));
    } else if (pair.key == "part") {
      const size_t slash = pair.value.find('/');
      auto part = number<int32_t>(pair.value.substr(0, slash));
      auto parts = slash == std::string_view::npos ? std::optional<int32_t>()
                                                   : number<int32_t>(pair.value.substr(slash + 1));
      if (!part || !parts || *part < 0 || *part >= *parts || *parts > 256) {
        return makeError(Code::InvalidArgument, "part={}: not like 0/2 (at most 256 parts)", pair.value);
      }
      lane.part = *part;
      lane.parts = *parts;
    } else {
      return makeError(Code::InvalidArgument, "'{}' is unknown in a lane", pair.key);
    }
  }
  return lane;
}

}  // namespace

std::string toText(const Step& step) {
  std::string text = nameOf(step);
  auto says = [&](const BlockRef& ref) { return ref.buffer != Buffer::None || ref != BlockRef{}; };
  if (says(step.src)) text += " " + textOf(step.src);
  if (step.recvFrom.count > 0) text += " from " + textOf(step.recvFrom);
  if (step.readFrom != Reads::None) {
    text +=
        fmt::format(" off {} board {} block {}", step.readFrom == Reads::All ? "all" : wordOf(step.readPeer),
                    step.readChannel, wordOf(step.readBlock));
  }
  if (step.order != Order::LocalFirst || (step.reduces && step.recvFrom.count > 0)) {
    text += " " + std::string(kOrders[static_cast<int>(step.order)]);
  }
  if (step.finishes) text += " finish";
  if (says(step.dst)) text += " into " + textOf(step.dst);
  if (step.sendTo.count > 0) text += " to " + textOf(step.sendTo);
  if (step.publishes) {
    text += fmt::format(" on board {} for {}", step.publishChannel,
                        step.publishFor < 0 ? "all" : fmt::format("{}", step.publishFor));
  }
  if (step.repeat != 1) text += fmt::format(" x{}", step.repeat);
  return text;
}

std::string toText(const Plan& plan) {
  const Request& r = plan.request;
  std::string text = fmt::format(
      "plan {} ranks={} rank={} count={} type={} op={} root={} algorithm={} protocol={} layout={} blocks={} "
      "chunk={} boards={} inplace={}{}\n",
      nameOf(r.collective), r.nRanks, plan.rank, r.count, nameOf(r.type), nameOf(r.op), r.root,
      nameOf(plan.algorithm), nameOf(plan.protocol), plan.layout == Layout::Split ? "split" : "perRank",
      plan.nBlocks, plan.chunkCount, plan.usesBoards ? "yes" : "no", r.inPlace ? "yes" : "no",
      plan.scratchBlocks > 0 ? fmt::format(" scratch={}", plan.scratchBlocks) : "");
  for (const Lane& lane : plan.lanes) text += textOf(lane);
  return text;
}

Result<std::vector<Plan>> parsePlans(std::string_view text) {
  std::vector<Plan> plans;
  int number = 0, steps = 0;
  auto read = [&](std::string_view line) -> Status {
    const std::vector<std::string_view> words = wordsOf(line);
    if (words[0] == "plan") {
      TUTTI_ASSIGN(Plan plan, headerOf(line));
      plans.push_back(std::move(plan));
      return {};
    }
    if (plans.empty()) return bad("a plan starts with a line 'plan COLLECTIVE ranks=...'");
    Plan& plan = plans.back();
    if (words[0] == "lane") {
      TUTTI_ASSIGN(Lane lane, laneOf(line));
      plan.lanes.push_back(std::move(lane));
      return {};
    }
    if (plan.lanes.empty()) return bad("a step stands before the first lane");
    if (++steps > kMostSteps) return makeError(Code::InvalidArgument, "more than {} steps", kMostSteps);
    TUTTI_ASSIGN(Step step, stepOf(line));
    plan.lanes.back().steps.push_back(step);
    return {};
  };
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (Status status = read(line); !status.ok()) {
      return std::move(status).error().context(fmt::format("line {}", number));
    }
  }
  if (plans.empty()) return bad("line 1: there is no plan in this text");
  return plans;
}

Result<Plan> parsePlan(std::string_view text) {
  TUTTI_ASSIGN(std::vector<Plan> plans, parsePlans(text));
  if (plans.size() != 1)
    return makeError(Code::InvalidArgument, "the text holds {} plans, not one", plans.size());
  return std::move(plans.front());
}

}  // namespace tutti::algos
