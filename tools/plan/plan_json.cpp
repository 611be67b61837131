#include "plan/plan_json.hpp"

#include <stdexcept>

#include "algos/text.hpp"

namespace tutti::tools {
namespace {

using namespace algos;  // NOLINT
using nlohmann::json;

/// A plain number where it does not walk.
json jsonOf(const Affine& a) {
  if (a.stride == 0 && a.modulus == 0 && a.offset == 0) return a.base;
  return {{"base", a.base}, {"stride", a.stride}, {"modulus", a.modulus}, {"offset", a.offset}};
}

constexpr const char* kBuffers[] = {"none", "input", "output", "scratch"};
constexpr const char* kOrders[] = {"localFirst", "peerFirst", "rankOrder"};

json jsonOf(const BlockRef& ref) {
  json row = {
      {"buffer", kBuffers[static_cast<int>(ref.buffer)]}, {"index", jsonOf(ref.index)}, {"span", ref.span}};
  if (ref.run != 0 || ref.jump != 0 || ref.pace != 1) {
    row["run"] = ref.run;
    row["jump"] = ref.jump;
    row["pace"] = ref.pace;
  }
  return row;
}

json jsonOf(const Peers& peers) {
  json list = json::array();
  for (int i = 0; i < peers.count; ++i) list.push_back(jsonOf(peers.peer[i]));
  return list;
}

json jsonOf(const Step& step) {
  json row = {{"name", nameOf(step)}, {"text", toText(step)}, {"repeat", step.repeat}};
  if (step.src.buffer != Buffer::None) row["source"] = jsonOf(step.src);
  if (step.dst.buffer != Buffer::None) row["destination"] = jsonOf(step.dst);
  if (step.recvFrom.count > 0) row["from"] = jsonOf(step.recvFrom);
  if (step.sendTo.count > 0) row["to"] = jsonOf(step.sendTo);
  if (step.readFrom != Reads::None) {
    row["read"] = {{"rank", step.readFrom == Reads::All ? json("all") : jsonOf(step.readPeer)},
                   {"board", step.readChannel},
                   {"block", jsonOf(step.readBlock)}};
  }
  if (step.publishes) {
    row["publish"] = {{"board", step.publishChannel},
                      {"for", step.publishFor < 0 ? json("all") : json(step.publishFor)}};
  }
  if (step.reduces) {
    row["order"] = kOrders[static_cast<int>(step.order)];
    row["finishes"] = step.finishes;
  }
  return row;
}

// ---- reading; what is missing or of another kind is an exception of the library, caught in readPlans()

int32_t intOf(const json& row, const char* key, int32_t otherwise) {
  return row.contains(key) ? row.at(key).get<int32_t>() : otherwise;
}

Affine affineOf(const json& row) {
  if (row.is_number_integer()) return {row.get<int32_t>(), 0, 0};
  return {intOf(row, "base", 0), intOf(row, "stride", 0), intOf(row, "modulus", 0), intOf(row, "offset", 0)};
}

template <typename Enum, size_t N>
Enum enumOf(const char* const (&names)[N], const json& value) {
  const auto text = value.get<std::string>();
  for (size_t i = 0; i < N; ++i) {
    if (text == names[i]) return static_cast<Enum>(i);
  }
  throw std::invalid_argument(text + " is unknown");
}

BlockRef blockOf(const json& row) {
  return {enumOf<Buffer>(kBuffers, row.at("buffer")),
          affineOf(row.at("index")),
          intOf(row, "span", 1),
          intOf(row, "run", 0),
          intOf(row, "jump", 0),
          intOf(row, "pace", 1)};
}

Peers peersOf(const json& list) {
  if (list.size() > static_cast<size_t>(Peers::kMax))
    throw std::invalid_argument("more than 4 ranks in a list");
  Peers peers;
  for (const json& peer : list) peers.add(affineOf(peer));
  return peers;
}

Step stepOf(const json& row) {
  Step step;
  if (row.contains("source")) step.src = blockOf(row.at("source"));
  if (row.contains("destination")) step.dst = blockOf(row.at("destination"));
  if (row.contains("from")) step.recvFrom = peersOf(row.at("from"));
  if (row.contains("to")) step.sendTo = peersOf(row.at("to"));
  if (row.contains("read")) {
    const json& read = row.at("read");
    const bool all = read.at("rank").is_string();
    step.readFrom = all ? Reads::All : Reads::One;
    if (!all) step.readPeer = affineOf(read.at("rank"));
    step.readChannel = read.at("board").get<uint8_t>();
    step.readBlock = affineOf(read.at("block"));
  }
  if (row.contains("publish")) {
    const json& publish = row.at("publish");
    step.publishes = true;
    step.publishChannel = publish.at("board").get<uint8_t>();
    if (!publish.at("for").is_string()) step.publishFor = publish.at("for").get<int32_t>();
  }
  step.reduces = row.contains("order");
  if (step.reduces) step.order = enumOf<Order>(kOrders, row.at("order"));
  step.finishes = row.value("finishes", false);
  step.repeat = intOf(row, "repeat", 1);
  return step;
}

template <typename T>
T nameOr(std::optional<T> value, const json& row, const char* key) {
  if (!value) throw std::invalid_argument(fmt::format("{} {} is unknown", key, row.at(key).dump()));
  return *value;
}

Plan planOf(const json& row) {
  Plan plan;
  Request& r = plan.request;
  auto text = [&](const char* key) { return row.at(key).get<std::string>(); };
  r.collective = nameOr(collectiveFromName(text("collective")), row, "collective");
  r.nRanks = row.at("ranks").get<int>();
  r.count = row.at("count").get<size_t>();
  r.type = nameOr(dataTypeFromName(text("type")), row, "type");
  r.op = nameOr(reduceOpFromName(text("op")), row, "op");
  r.root = row.at("root").get<int>();
  r.inPlace = row.at("in_place").get<bool>();
  plan.rank = row.at("rank").get<int>();
  plan.algorithm = nameOr(algorithmFromName(text("algorithm")), row, "algorithm");
  plan.protocol = nameOr(protocolFromName(text("protocol")), row, "protocol");
  plan.layout = text("layout") == "split" ? Layout::Split : Layout::PerRank;
  plan.nBlocks = row.at("blocks").get<int32_t>();
  plan.chunkCount = row.at("chunk").get<size_t>();
  plan.usesBoards = row.at("boards").get<bool>();
  plan.scratchBlocks = intOf(row, "scratch", 0);
  for (const json& from : row.at("lanes")) {
    Lane lane;
    lane.channel = from.at("channel").get<uint8_t>();
    lane.part = from.at("part").get<int32_t>();
    lane.parts = from.at("parts").get<int32_t>();
    for (const json& step : from.at("steps")) lane.steps.push_back(stepOf(step));
    plan.lanes.push_back(std::move(lane));
  }
  return plan;
}

}  // namespace

Result<std::vector<Plan>> readPlans(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '[' && text[first] != '{')) return parsePlans(text);
  std::string all;
  try {
    const json read = json::parse(text);
    for (const json& row : read.is_array() ? read : json::array({read})) all += toText(planOf(row));
  } catch (const std::exception& e) {
    return makeError(Code::InvalidArgument, "this JSON is not like what `tutti plan --json` writes: {}",
                     e.what());
  }
  // By the text form, so that both are held to the same bounds.
  Result<std::vector<Plan>> plans = parsePlans(all);
  if (!plans.ok()) return std::move(plans).error().context("as text");
  return plans;
}

json planToJson(const Plan& plan) {
  const Request& r = plan.request;
  json lanes = json::array();
  for (const Lane& lane : plan.lanes) {
    json steps = json::array();
    for (const Step& step : lane.steps) steps.push_back(jsonOf(step));
    lanes.push_back({{"channel", lane.channel},
                     {"part", lane.part},
                     {"parts", lane.parts},
                     {"rounds", plan.rounds(lane)},
                     {"steps", std::move(steps)}});
  }
  return {{"collective", nameOf(r.collective)},
          {"ranks", r.nRanks},
          {"rank", plan.rank},
          {"count", r.count},
          {"type", nameOf(r.type)},
          {"op", nameOf(r.op)},
          {"root", r.root},
          {"algorithm", nameOf(plan.algorithm)},
          {"protocol", nameOf(plan.protocol)},
          {"layout", plan.layout == Layout::Split ? "split" : "perRank"},
          {"blocks", plan.nBlocks},
          {"chunk", plan.chunkCount},
          {"boards", plan.usesBoards},
          {"in_place", r.inPlace},
          {"scratch", plan.scratchBlocks},
          {"lanes", std::move(lanes)}};
}

}  // namespace tutti::tools
