#include "sim/workload.hpp"

#include <algorithm>

namespace tutti::sim {

Groups Groups::ordered(std::vector<int> order) {
  Groups groups;
  groups.size = static_cast<int>(order.size());
  groups.positionOf.resize(order.size(), -1);
  for (size_t i = 0; i < order.size(); ++i) groups.positionOf[order[i]] = static_cast<int>(i);
  groups.order = std::move(order);
  return groups;
}

int Groups::positionIn(int rank) const {
  if (!order.empty()) return positionOf[rank];
  for (const Only& o : only) {
    if (rank / o.stride % o.size != o.digit) return -1;
  }
  const int digit = rank / stride % size;
  if (digits.empty()) return digit;
  const auto at = std::find(digits.begin(), digits.end(), digit);
  return at == digits.end() ? -1 : static_cast<int>(at - digits.begin());
}

int Groups::member(int rank, int position) const {
  if (!order.empty()) return order[position];
  const int digit = rank / stride % size;
  return rank + ((digits.empty() ? position : digits[position]) - digit) * stride;
}

Workload Workload::single(const algos::Request& request, algos::Algorithm algorithm, algos::Protocol protocol,
                          const algos::Limits& limits) {
  Workload w;
  w.nRanks = request.nRanks;
  Item item;
  item.name = std::string(algos::nameOf(request.collective));
  item.groups = Groups::all(request.nRanks);
  item.request = request;
  item.algorithm = algorithm;
  item.protocol = protocol;
  item.limits = limits;
  w.items.push_back(std::move(item));
  return w;
}

Status Workload::check() const {
  auto bad = [](const Item& item, const std::string& what) {
    return makeError(Code::InvalidArgument, "\"{}\": {}", item.name, what);
  };
  if (nRanks < 1) return makeError(Code::InvalidArgument, "a workload has at least one rank, not {}", nRanks);
  if (items.size() > 4000)
    return makeError(Code::InvalidArgument, "{} items are more than 4000", items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    for (int a : item.after) {
      if (a < 0 || a >= static_cast<int>(i)) return bad(item, "it waits for an item that is not before it");
    }
    if (item.computes) {
      if (!(item.computeUs >= 0)) return bad(item, "it computes for less than no time");
      continue;
    }
    const Groups& g = item.groups;
    if (g.order.empty() && (g.size < 1 || g.stride < 1 || nRanks % (g.size * g.stride) != 0)) {
      return bad(item, fmt::format("groups of {} ranks at a distance of {} do not divide {} ranks", g.size,
                                   g.stride, nRanks));
    }
    if (g.members() != item.request.nRanks)
      return bad(item, fmt::format("a call of {} ranks on groups of {}", item.request.nRanks, g.members()));
    using algos::Collective;
    const Collective c = item.request.collective;
    if (c == Collective::AllToAllV || c == Collective::AllGatherV || c == Collective::ReduceScatterV)
      return bad(item, "the V forms need counts per rank, which are not simulated");
  }
  return {};
}

}  // namespace tutti::sim
