#include "control/broker.hpp"

#include <fcntl.h>

#include "control/socket_link.hpp"

namespace tutti::control {
namespace {

UniqueFd duplicateOf(const UniqueFd& fd) {
  return UniqueFd(fd.valid() ? fcntl(fd.get(), F_DUPFD_CLOEXEC, 0) : -1);
}

}  // namespace

void answerFetch(const LinkPtr& link, const UniqueFd& fd) {
  if (auto* socket = dynamic_cast<SocketLink*>(link.get()); socket != nullptr && fd.valid()) {
    socket->sendFd(FrameType::FetchReply, share(encode(FetchReplyMsg{})), fd.get());
  } else {
    link->send(FrameType::FetchReply,
               share(encode(FetchReplyMsg{"the descriptor cannot be passed this way"})));
  }
  link->close();
}

void Broker::onStream(int from, uint32_t tag, UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  Result<UniqueFd> stream(std::move(fd));
  if (const auto waiting = expected_.find({from, tag}); waiting != expected_.end()) {
    const auto completion = std::move(waiting->second);
    expected_.erase(waiting);
    if (completion->complete(std::move(stream))) return;  // else that waiter has given up
  }
  parked_[{from, tag}].push_back(std::move(stream).value());
}

CompletionPtr<UniqueFd> Broker::expectStream(int from, uint32_t tag) {
  auto completion = std::make_shared<Completion<UniqueFd>>();
  const std::lock_guard lock(mutex_);
  const auto parked = parked_.find({from, tag});
  if (parked == parked_.end()) {
    expected_[{from, tag}] = completion;
    return completion;
  }
  completion->complete(std::move(parked->second.front()));
  parked->second.erase(parked->second.begin());
  if (parked->second.empty()) parked_.erase(parked);
  return completion;
}

std::vector<LinkPtr> Broker::offer(uint32_t name, UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  offers_[name] = std::move(fd);
  std::vector<LinkPtr> waiting;
  const auto [first, last] = fetches_.equal_range(name);
  for (auto entry = first; entry != last; ++entry) waiting.push_back(entry->second);
  fetches_.erase(first, last);
  return waiting;
}

void Broker::withdraw(uint32_t name) {
  const std::lock_guard lock(mutex_);
  offers_.erase(name);
}

UniqueFd Broker::duplicate(uint32_t name) const {
  const std::lock_guard lock(mutex_);
  const auto found = offers_.find(name);
  return found == offers_.end() ? UniqueFd() : duplicateOf(found->second);
}

void Broker::onFetch(uint32_t name, const LinkPtr& link) {
  UniqueFd copy;
  {
    const std::lock_guard lock(mutex_);
    const auto found = offers_.find(name);
    if (found == offers_.end()) {
      fetches_.emplace(name, link);
      return;
    }
    copy = duplicateOf(found->second);
  }
  answerFetch(link, copy);
}

void Broker::onLinkClosed(const LinkPtr& link) {
  const std::lock_guard lock(mutex_);
  std::erase_if(fetches_, [&](const auto& entry) { return entry.second == link; });
}

void Broker::failWaits(const Error& error) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, completion] : expected_) completion->complete(Error(error));
  expected_.clear();
}

void Broker::clear() {
  const std::lock_guard lock(mutex_);
  parked_.clear();
  offers_.clear();
  for (auto& [name, link] : fetches_) {
    link->send(FrameType::FetchReply, share(encode(FetchReplyMsg{"the rank has left the communicator"})));
    link->close();
  }
  fetches_.clear();
}

}  // namespace tutti::control
