#include "team.hpp"

#include <algorithm>
#include <cstring>

namespace tutti::perf {

Combine combineOf(Average average) {
  switch (average) {
    case Average::Rank0:
      return Combine::Rank0;
    case Average::Min:
      return Combine::Min;
    case Average::Max:
      return Combine::Max;
    default:
      return Combine::Mean;
  }
}

Status Team::meet(const std::function<Status()>& last) {
  std::unique_lock lock(mutex_);
  unsigned mine = generation_;
  if (++waiting_ == threads_) {
    waiting_ = 0;
    if (failure_.empty()) {
      Status status = last();
      if (!status.ok()) failure_ = status.error().message();
    }
    ++generation_;
    changed_.notify_all();
  } else {
    // No deadline of its own: a thread that fails ends the process, and the last one's wait for other
    // processes has one.
    changed_.wait(lock, [&] { return generation_ != mine; });
  }
  if (!failure_.empty()) return Error(Code::RemoteError, failure_);
  return {};
}

Status Team::barrier(int) {
  return meet([&]() -> Status { return world_.size > 1 ? exchange_->barrier() : Status{}; });
}

Result<double> Team::combine(int thread, double value, Combine how) {
  values_[thread] = {value};
  TUTTI_TRY(meet([&]() -> Status {
    std::string mine(values_.size() * sizeof(double), '\0');
    for (size_t i = 0; i < values_.size(); ++i)
      std::memcpy(&mine[i * sizeof(double)], &values_[i][0], sizeof(double));
    std::vector<std::string> all = {mine};
    if (world_.size > 1) {
      TUTTI_ASSIGN(all, exchange_->allGather(mine));
    }
    std::vector<double> numbers;
    for (const std::string& text : all) {
      for (size_t i = 0; i + sizeof(double) <= text.size(); i += sizeof(double)) {
        double number;
        std::memcpy(&number, &text[i], sizeof(double));
        numbers.push_back(number);
      }
    }
    double sum = 0;
    for (double number : numbers) sum += number;
    double combined = sum;
    if (how == Combine::Rank0) combined = numbers.front();
    if (how == Combine::Mean) combined = sum / static_cast<double>(numbers.size());
    if (how == Combine::Min) combined = *std::min_element(numbers.begin(), numbers.end());
    if (how == Combine::Max) combined = *std::max_element(numbers.begin(), numbers.end());
    result_ = {{combined}};
    return {};
  }));
  double combined = result_[0][0];
  // Without this a quick thread could be in the next meeting, writing result_, before a slow one has read it.
  TUTTI_TRY(meet([]() -> Status { return {}; }));
  return combined;
}

Result<std::vector<std::vector<double>>> Team::gatherMax(int thread, const std::vector<double>& values) {
  values_[thread] = values;
  TUTTI_TRY(meet([&]() -> Status {
    std::vector<double> most = values_[0];
    for (const auto& other : values_) {
      for (size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], other[i]);
    }
    result_ = {most};
    if (world_.size == 1) return {};
    std::string_view bytes(reinterpret_cast<const char*>(most.data()), most.size() * sizeof(double));
    TUTTI_ASSIGN(std::vector<std::string> all, exchange_->allGather(bytes));
    result_.clear();
    for (const std::string& text : all) {
      std::vector<double> one(text.size() / sizeof(double));
      std::memcpy(one.data(), text.data(), one.size() * sizeof(double));
      result_.push_back(std::move(one));
    }
    return {};
  }));
  auto gathered = result_;
  TUTTI_TRY(meet([]() -> Status { return {}; }));
  return gathered;
}

}  // namespace tutti::perf
