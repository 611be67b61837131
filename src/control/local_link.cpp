#include "control/event_loop.hpp"
#include "control/link.hpp"

namespace tutti::control {
namespace {

class LocalLink : public Link, public std::enable_shared_from_this<LocalLink> {
 public:
  LocalLink(EventLoop& loop, uint64_t keyId) : loop_(loop), keyId_(keyId) {}

  void connect(const std::shared_ptr<LocalLink>& other) { other_ = other; }

  void send(FrameType type, SharedBytes payload) override {
    if (closed_) return;
    loop_.defer([other = other_, type, payload = std::move(payload)] {
      if (const auto to = other.lock()) to->deliver(type, payload);
    });
  }

  void deliver(FrameType type, const SharedBytes& payload) override {
    if (closed_) return;
    if (const auto to = owner()) to->onFrame(shared_from_this(), type, payload);
  }

  void close() override {
    if (closed_) return;
    closed_ = true;
    loop_.defer([other = other_] {
      const auto to = other.lock();
      if (!to || to->closed_) return;
      to->closed_ = true;
      if (const auto owner = to->owner()) owner->onClosed(to, "closed by a rank of this process");
    });
  }

  std::string remote() const override { return "this process"; }
  uint64_t keyId() const override { return keyId_; }

 private:
  EventLoop& loop_;
  const uint64_t keyId_;
  std::weak_ptr<LocalLink> other_;
  bool closed_ = false;
};

}  // namespace

std::pair<LinkPtr, LinkPtr> makeLocalLinks(EventLoop& loop, uint64_t keyId) {
  auto a = std::make_shared<LocalLink>(loop, keyId);
  auto b = std::make_shared<LocalLink>(loop, keyId);
  a->connect(b);
  b->connect(a);
  return {a, b};
}

}  // namespace tutti::control
