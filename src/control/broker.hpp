// Broker: streams and descriptors that one rank offers to, or expects from, others.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "control/completion.hpp"
#include "control/link.hpp"

namespace tutti::control {

/// Thread safety: all calls from any thread, except onFetch, onLinkClosed and clear: service thread.
class Broker {
 public:
  // ---- streams that came, and those who wait for one
  void onStream(int from, uint32_t tag, UniqueFd fd);
  CompletionPtr<UniqueFd> expectStream(int from, uint32_t tag);

  // ---- descriptors on offer
  /// Returns the requests that waited for it.
  std::vector<LinkPtr> offer(uint32_t name, UniqueFd fd);
  void withdraw(uint32_t name);
  /// A duplicate, or none.
  UniqueFd duplicate(uint32_t name) const;
  /// Answers now, or remembers the link until the name is offered.
  void onFetch(uint32_t name, const LinkPtr& link);
  void onLinkClosed(const LinkPtr& link);

  /// Ends all waits with `error`. Waits that begin later are the caller's to refuse.
  void failWaits(const Error& error);
  /// Drops all that is held.
  void clear();

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<int, uint32_t>, std::vector<UniqueFd>> parked_;
  std::map<std::pair<int, uint32_t>, CompletionPtr<UniqueFd>> expected_;
  std::map<uint32_t, UniqueFd> offers_;
  std::multimap<uint32_t, LinkPtr> fetches_;
};

/// Sends `fd` as the answer to a fetch, and closes the link.
void answerFetch(const LinkPtr& link, const UniqueFd& fd);

}  // namespace tutti::control
