// SocketLink: a Link over a TCP or unix socket: mutual proof of a secret, then frames. State machine on the
// service thread.
//
//   client: Connecting -> AwaitChallenge -> Open       server: AwaitHello -> AwaitProof -> Open       any ->
//   Closed
//
// Until it is Open, and until the first frame has said what the link is for, no byte beyond what is awaited
// is read: a stranger cannot make it buffer, and a link can be turned into a bare stream without bytes lost.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "control/event_loop.hpp"
#include "control/link.hpp"

namespace tutti::control {

struct Key {
  uint64_t id = 0;
  Secret secret{};
};

/// Kernel's watch over silent peers: keepalive and user timeout. A peer that is stopped still acknowledges; a
/// cut network does not.
void setDeathDetection(int fd, int64_t heartbeatMs);

class SocketLink : public Link, public std::enable_shared_from_this<SocketLink> {
 public:
  using FindKey = std::function<std::optional<Key>(uint64_t keyId)>;
  /// ok: open. Otherwise why not, and the link is closed.
  using OnOpen = std::function<void(Status)>;
  enum class Wish { Frames, ReceiveFd };

  /// A connection that was accepted: proves itself by any key that `findKey` knows.
  static std::shared_ptr<SocketLink> server(EventLoop& loop, TrackedFd fd, std::string remote,
                                            FindKey findKey, OnOpen onOpen);
  /// A nonblocking socket on which connect() has been called. `wish` ReceiveFd: takes a descriptor that comes
  /// with a frame.
  static std::shared_ptr<SocketLink> client(EventLoop& loop, TrackedFd fd, std::string remote, const Key& key,
                                            Wish wish, OnOpen onOpen);
  ~SocketLink() override;

  void send(FrameType type, SharedBytes payload) override;
  /// As send, with a descriptor (unix sockets). It is duplicated at once, so the caller's may go.
  void sendFd(FrameType type, SharedBytes payload, int fd);
  void close() override;
  std::string remote() const override { return remote_; }
  uint64_t keyId() const override { return key_.id; }
  bool flushed() const override { return out_.empty(); }
  void deliver(FrameType type, const SharedBytes& payload) override;
  int connectError() const { return connectError_; }  ///< errno of a client whose connect failed

  bool isOpen() const { return state_ == State::Open; }
  bool isClosed() const { return state_ == State::Closed; }
  /// After the first frame: reads as much as there is. Not for links that become streams.
  void readFreely() { exact_ = false; }
  /// The bare socket, blocking again; the link is closed by that. Nothing if bytes are still queued.
  UniqueFd detach();
  UniqueFd takeReceivedFd() { return std::move(receivedFd_); }
  /// Closes without flushing, as on an error: the owner, or onOpen, hears `why`.
  void fail(const std::string& why);

 private:
  enum class State { Connecting, AwaitChallenge, AwaitHello, AwaitProof, Open, Closed };
  struct Out {
    std::array<uint8_t, kFrameHeaderBytes> header;
    size_t headerBytes;  ///< 0 in the handshake
    SharedBytes body;
    size_t sent = 0;
    UniqueFd fd;
  };

  SocketLink(EventLoop& loop, TrackedFd fd, std::string remote)
      : loop_(loop), fd_(std::move(fd)), remote_(std::move(remote)) {}
  Status startWatching();
  void handleEvents(uint32_t events);
  void readSome();
  bool consume();  ///< false: needs more bytes, or has closed
  size_t wanted() const;
  void onHandshakeBytes();
  void sendRaw(Bytes bytes);
  void queue(Out out);
  void flush();
  void shut();
  void becomeOpen();

  EventLoop& loop_;
  TrackedFd fd_;
  std::string remote_;
  State state_ = State::Closed;
  Key key_;
  FindKey findKey_;
  OnOpen onOpen_;
  Wish wish_ = Wish::Frames;
  Nonce clientNonce_{};
  Nonce serverNonce_{};
  Bytes in_;
  size_t inUsed_ = 0;  ///< bytes of in_ already consumed
  bool exact_ = true;
  bool closing_ = false;
  int connectError_ = 0;
  bool wantWrite_ = false;
  bool flushScheduled_ = false;
  std::deque<Out> out_;
  UniqueFd receivedFd_;
};

}  // namespace tutti::control
