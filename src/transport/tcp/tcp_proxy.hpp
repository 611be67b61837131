// TcpProxy: carries FIFO messages over TCP, one connection per direction, pair and channel.
//
// An agent: doWork() moves what can be moved without blocking and says whether anything moved; a thread calls
// it and sleeps in epoll when nothing did. A frame is a header (magic, signature, bytes) and the message's
// bytes, which go from the sender's slot into the socket and from the socket into the receiver's slot, with
// no copy in between but the kernel's.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "core/unique_fd.hpp"
#include "transport/net_proxy.hpp"

namespace tutti::transport {

class TcpProxy final : public NetProxy {
 public:
  static Result<std::unique_ptr<TcpProxy>> create(control::ControlPlane& control, const Geometry& geometry,
                                                  Doorbell& engine);
  ~TcpProxy() override;

  Result<FifoView> outbound(int peer, int channel, const control::Wait& wait) override;
  Result<FifoView> inbound(int peer, int channel, const control::Wait& wait) override;
  Doorbell& doorbell() override { return bell_; }
  Status flush(const control::Wait& wait) override;

  /// Moves what can be moved. True: something did.
  bool doWork(int64_t nowNs);

 private:
  struct FrameHeader {
    static constexpr uint32_t kMagic = 0x31465454;  // "TTF1"
    uint32_t magic;
    uint32_t signature;
    uint64_t bytes;
  };
  /// One direction to or from one peer on one channel.
  struct Connection {
    int peer;
    int channel;
    bool out;
    UniqueFd socket;    ///< inbound: none until the peer has connected
    std::byte* memory;  ///< the FIFO's, mapped
    FifoView fifo;
    uint64_t next = 0;  ///< number of the message in work
    FrameHeader header{};
    size_t done = 0;  ///< bytes of header and payload moved so far
    int64_t brokenAtNs = 0;
    std::string broken;
  };

  TcpProxy(control::ControlPlane& control, const Geometry& geometry, Doorbell& engine)
      : control_(control), geometry_(geometry), engine_(engine) {}
  Result<Connection*> add(int peer, int channel, bool out, UniqueFd socket);
  Status watch(Connection& connection);
  bool sendSome(Connection& c);
  bool receiveSome(Connection& c, int64_t nowNs);
  bool tryAccept(Connection& c);
  void breakOff(Connection& c, int64_t nowNs, std::string why);
  void reportBroken(Connection& c, int64_t nowNs);
  void run();

  control::ControlPlane& control_;
  const Geometry geometry_;
  Doorbell& engine_;
  Doorbell bell_;
  UniqueFd event_;
  UniqueFd epoll_;
  std::mutex mutex_;  ///< guards connections_; held by doWork(), and by the rank's thread while it adds one
  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace tutti::transport
