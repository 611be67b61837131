#include "plan/plan_json.hpp"

#include "algos/text.hpp"

namespace tutti::tools {
namespace {

using namespace algos;  // NOLINT
using nlohmann::json;

/// A plain number where it does not walk.
json jsonOf(const Affine& a) {
  if (a.stride == 0 && a.modulus == 0) return a.base;
  return {{"base", a.base}, {"stride", a.stride}, {"modulus", a.modulus}};
}

json jsonOf(const BlockRef& ref) {
  return {{"buffer", ref.buffer == Buffer::Input    ? "input"
                     : ref.buffer == Buffer::Output ? "output"
                                                    : "none"},
          {"index", jsonOf(ref.index)},
          {"span", ref.span}};
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
    constexpr const char* kOrders[] = {"localFirst", "peerFirst", "rankOrder"};
    row["order"] = kOrders[static_cast<int>(step.order)];
    row["finishes"] = step.finishes;
  }
  return row;
}

}  // namespace

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
          {"lanes", std::move(lanes)}};
}

}  // namespace tutti::tools
