// Link: an authenticated, ordered connection for frames: a socket, or a shortcut within the process.
#pragma once

#include <memory>
#include <string>

#include "control/wire.hpp"

namespace tutti::control {

/// Payloads are shared: what goes to several neighbours, or on to the next one, is not copied.
using SharedBytes = std::shared_ptr<const Bytes>;
inline SharedBytes share(Bytes bytes) {
  return std::make_shared<const Bytes>(std::move(bytes));
}

class Link;
using LinkPtr = std::shared_ptr<Link>;

/// Who a link belongs to. Called on the service thread only.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  virtual void onFrame(const LinkPtr& link, FrameType type, const SharedBytes& payload) = 0;
  /// The other side is gone (`why` for the log). Once, and not after the owner's own close().
  virtual void onClosed(const LinkPtr& link, const std::string& why) = 0;
};

/// Service thread only.
class Link {
 public:
  virtual ~Link() = default;
  virtual void send(FrameType type, SharedBytes payload) = 0;  ///< a no-op once closed
  /// Sends what is queued, then closes. No calls to the owner from here on.
  virtual void close() = 0;
  virtual std::string remote() const = 0;  ///< for messages
  virtual uint64_t keyId() const = 0;      ///< the secret that the other side proved
  /// True when all that was sent has gone to the kernel (or the other end).
  virtual bool flushed() const { return true; }

  void setOwner(const std::shared_ptr<LinkOwner>& owner, int tag = -1) {
    owner_ = owner;
    tag_ = tag;
  }
  int tag() const { return tag_; }  ///< the owner's: the rank at the other end
  /// Gives its owner a frame as if it had just come.
  virtual void deliver(FrameType type, const SharedBytes& payload) = 0;

 protected:
  /// A link whose owner has vanished has nobody to serve.
  std::shared_ptr<LinkOwner> owner() const { return owner_.lock(); }

 private:
  std::weak_ptr<LinkOwner> owner_;
  int tag_ = -1;
};

class EventLoop;

/// Two ends in one process; frames are delivered by the loop, never from within send().
std::pair<LinkPtr, LinkPtr> makeLocalLinks(EventLoop& loop, uint64_t keyId);

}  // namespace tutti::control
