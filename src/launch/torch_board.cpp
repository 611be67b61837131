// A client of torchrun's TCPStore. A request is one byte of kind and its arguments; strings travel with a
// 64-bit length. A connection begins with a check of a magic number and a ping whose number comes back.
#include <unistd.h>

#include <thread>

#include "launch/board.hpp"
#include "launch/socket.hpp"
#include "launch/wire.hpp"

namespace tutti::launch {
namespace {

enum Kind : char { kValidate = 0, kSet = 1, kGet = 3, kWait = 6, kPing = 13 };
constexpr uint32_t kStoreMagic = 0x3C85F7CE;

class TorchBoard final : public Board {
 public:
  explicit TorchBoard(UniqueFd fd) : fd_(std::move(fd)) {}

  Status start(Deadline deadline) {
    std::string greeting(1, kValidate);
    put(greeting, kStoreMagic);
    greeting += kPing;
    uint32_t number = static_cast<uint32_t>(getpid()), back = 0;
    put(greeting, number);
    TUTTI_TRY(sendAll(fd_.get(), greeting, deadline));
    TUTTI_TRY(receiveAll(fd_.get(), &back, sizeof(back), deadline));
    if (back != number) return Error(Code::RemoteError, "the server there is not a TCPStore that we know");
    return {};
  }

  Status publish(const std::string& key, const std::string& value, Deadline deadline) override {
    std::string request(1, kSet);
    putText(request, key);
    putText(request, value);
    return sendAll(fd_.get(), request, deadline);
  }

  Result<std::string> lookUp(const std::string& key, Deadline deadline) override {
    std::string request(1, kWait);
    put<uint64_t>(request, 1);
    putText(request, key);
    TUTTI_TRY(sendAll(fd_.get(), request, deadline));
    uint8_t outcome = 1;
    TUTTI_TRY(receiveAll(fd_.get(), &outcome, 1, deadline));
    if (outcome != 0) return Error(Code::RemoteError, "the TCPStore stopped our wait");
    request.assign(1, kGet);
    putText(request, key);
    TUTTI_TRY(sendAll(fd_.get(), request, deadline));
    uint64_t length = 0;
    TUTTI_TRY(receiveAll(fd_.get(), &length, sizeof(length), deadline));
    if (length > 4096)
      return makeError(Code::RemoteError, "the TCPStore announced {} bytes for our key", length);
    std::string value(length, '\0');
    TUTTI_TRY(receiveAll(fd_.get(), value.data(), length, deadline));
    return value;
  }

 private:
  template <typename T>
  static void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void putText(std::string& to, const std::string& text) {
    put<uint64_t>(to, text.size());
    to += text;
  }

  UniqueFd fd_;
};

}  // namespace

Result<std::unique_ptr<Board>> openTorchBoard(const std::string& host, uint16_t port, Deadline deadline) {
  Place place;
  place.hosts = {host};
  place.port = port;
  std::string where = fmt::format("torchrun's store at {} (MASTER_ADDR, MASTER_PORT)", place.text());
  auto fd = connectOnce(place, deadline);
  while (!fd.ok() && !deadline.expired()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fd = connectOnce(place, deadline);
  }
  if (!fd.ok()) return std::move(fd).error().context(where);
  auto board = std::make_unique<TorchBoard>(std::move(fd).value());
  if (Status started = board->start(deadline); !started.ok())
    return std::move(started).error().context(where);
  return std::unique_ptr<Board>(std::move(board));
}

}  // namespace tutti::launch
