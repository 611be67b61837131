#include "algos/verify_values.hpp"

#include <algorithm>
#include <bit>

namespace tutti::algos::verify {

ValueTable::ValueTable(int nRanks) : nRanks_(nRanks), words_((static_cast<size_t>(nRanks) + 63) / 64) {
  nodes_.resize(1 + 2 * static_cast<size_t>(nRanks));
  sets_.resize(nodes_.size() * words_);
  for (int rank = 0; rank < nRanks; ++rank) {
    nodes_[raw(rank)].contributions = nodes_[scaled(rank)].contributions = 1;
    setOf(raw(rank))[rank / 64] = setOf(scaled(rank))[rank / 64] = uint64_t{1} << (rank % 64);
  }
}

Value ValueTable::add(Node node, std::span<const Value> setsOf) {
  const Value value = static_cast<Value>(nodes_.size());
  nodes_.push_back(std::move(node));
  sets_.resize(sets_.size() + words_);
  for (Value child : setsOf) {
    for (size_t w = 0; w < words_; ++w) setOf(value)[w] |= setOf(child)[w];
  }
  return value;
}

Result<Value> ValueTable::combine(std::span<const Value> sources) {
  if (sources.size() == 1) return sources[0];
  // a op b and b op a are bitwise equal, and a list is folded from the left: only its first two commute.
  const auto [low, high] = std::minmax(sources[0], sources[1]);
  std::vector<Value> list;
  if (sources.size() == 2) {
    if (auto found = pairs_.find(uint64_t{low} << 32 | high); found != pairs_.end()) return found->second;
    list = {low, high};
  } else {
    list.assign(sources.begin(), sources.end());
    list[0] = low;
    list[1] = high;
    if (auto found = lists_.find(list); found != lists_.end()) return found->second;
  }
  Node node;
  std::vector<uint64_t> seen(words_);
  for (Value source : sources) {
    if (source == kNothing) return Error(Code::InternalError, "combines elements that nothing has written");
    if (isRaw(source)) {
      return makeError(Code::InternalError,
                       "combines {} by its name in the output: an operator that scales inputs would miss it",
                       describe(source));
    }
    if (finished(source)) {
      return makeError(Code::InternalError, "combines a result that is finished already: {}",
                       describe(source));
    }
    for (size_t w = 0; w < words_; ++w) {
      if (uint64_t twice = seen[w] & setOf(source)[w]; twice != 0) {
        return makeError(Code::InternalError, "counts rank {}'s contribution twice: {}",
                         w * 64 + std::countr_zero(twice), describe(source));
      }
      seen[w] |= setOf(source)[w];
    }
    node.contributions += nodes_[source].contributions;
  }
  node.children = list;
  const Value value = add(std::move(node), sources);
  if (sources.size() == 2) {
    pairs_.emplace(uint64_t{low} << 32 | high, value);
  } else {
    lists_.emplace(std::move(list), value);
  }
  return value;
}

Result<Value> ValueTable::finish(Value value) {
  if (finished(value)) return makeError(Code::InternalError, "finishes twice: {}", describe(value));
  if (!complete(value)) {
    return makeError(Code::InternalError, "finishes a result that is not complete: {}", describe(value));
  }
  auto [found, isNew] = finishedOf_.try_emplace(value, kNothing);
  if (isNew) {
    Node node;
    node.children = {value};
    node.contributions = nodes_[value].contributions;
    node.finished = true;
    const Value source[] = {value};
    found->second = add(std::move(node), source);
  }
  return found->second;
}

std::string ValueTable::formula(Value value) const {
  const Node& node = nodes_[value];
  if (node.children.empty()) return fmt::format("{}", (value - 1) % nRanks_);
  std::string text;
  for (Value child : node.children) {
    if (!text.empty()) text += " + ";
    const bool leaf = nodes_[child].children.empty();
    text += leaf ? formula(child) : "(" + formula(child) + ")";
  }
  return text;
}

std::string ValueTable::describe(Value value) const {
  if (value == kNothing) return "nothing";
  const Node& node = nodes_[value];
  if (node.children.empty()) return fmt::format("rank {}'s input", (value - 1) % nRanks_);
  if (node.finished) return "the finished " + describe(node.children[0]);
  if (node.contributions <= 12) return "the sum of ranks " + formula(value);
  std::string text = fmt::format("the sum of {} contributions", node.contributions);
  if (node.contributions == nRanks_) return text;
  for (int rank = 0; rank < nRanks_; ++rank) {
    if (!(sets_[value * words_ + rank / 64] >> (rank % 64) & 1)) {
      return text + fmt::format(" without rank {}'s", rank);
    }
  }
  return text;
}

}  // namespace tutti::algos::verify
