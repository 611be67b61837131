// The PMI-1 wire protocol: lines of "cmd=NAME key=value ..." on an inherited descriptor, one answer per
// request. Rank 0 puts, all ranks enter the barrier (the process manager distributes the pairs in it), then
// the others get.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "core/bytes.hpp"
#include "launch/board.hpp"

namespace tutti::launch {
namespace {

constexpr size_t kMaxLine = 4096;

class PmiBoard final : public Board {
 public:
  explicit PmiBoard(int fd) : fd_(fd) {}

  Status start(Deadline deadline) {
    TUTTI_TRY(request("cmd=init pmi_version=1 pmi_subversion=1\n", "response_to_init", deadline));
    TUTTI_TRY(request("cmd=get_my_kvsname\n", "my_kvsname", deadline));
    TUTTI_ASSIGN(space_, field("kvsname"));
    return {};
  }

  // Without the closing words the process manager takes our end for a crash.
  ~PmiBoard() override { (void)request("cmd=finalize\n", "finalize_ack", Deadline::afterMs(1000)); }

  Status publish(const std::string& key, const std::string& value, Deadline deadline) override {
    TUTTI_TRY(request(fmt::format("cmd=put kvsname={} key={} value={}\n", space_, key, value), "put_result",
                      deadline));
    return barrier(deadline);
  }

  Result<std::string> lookUp(const std::string& key, Deadline deadline) override {
    TUTTI_TRY(barrier(deadline));
    TUTTI_TRY(request(fmt::format("cmd=get kvsname={} key={}\n", space_, key), "get_result", deadline));
    return field("value");
  }

 private:
  Status barrier(Deadline deadline) {
    Status status = request("cmd=barrier_in\n", "barrier_out", deadline);
    if (!status.ok() && status.error().code() == Code::Timeout) {
      return Error(Code::Timeout,
                   "some ranks did not come to the process manager's barrier (it does not tell which)");
    }
    return status;
  }

  Status request(const std::string& line, std::string_view expected, Deadline deadline) {
    size_t sent = 0;
    while (sent < line.size()) {
      ssize_t wrote = send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (wrote < 0 && errno == ENOTSOCK) wrote = write(fd_, line.data() + sent, line.size() - sent);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return makeSystemError(errno, "writing to PMI_FD={}", fd_);
      sent += static_cast<size_t>(wrote);
    }
    answer_.clear();
    while (answer_.empty() || answer_.back() != '\n') {
      pollfd waiting{fd_, POLLIN, 0};
      int ready = poll(&waiting, 1, deadline.remainingMs(1000));
      if (ready == 0 && deadline.expired())
        return Error(Code::Timeout, "the process manager does not answer on PMI_FD");
      if (ready <= 0) continue;
      char c;
      ssize_t got = read(fd_, &c, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || answer_.size() > kMaxLine) {
        return Error(Code::RemoteError, "the process manager closed PMI_FD, or does not speak PMI-1 there");
      }
      answer_ += c;
    }
    TUTTI_ASSIGN(std::string command, field("cmd"));
    auto code = field("rc");
    if (command != expected || (code.ok() && *code != "0")) {
      return makeError(Code::RemoteError, "the process manager answered '{}' to '{}'",
                       trimmed(trimLine(answer_)), trimLine(line));
    }
    return {};
  }

  static std::string_view trimLine(std::string_view line) { return line.substr(0, line.find('\n')); }

  Result<std::string> field(std::string_view name) const {
    std::string_view line = trimLine(answer_);
    while (!line.empty()) {
      std::string_view word = line.substr(0, line.find(' '));
      line.remove_prefix(std::min(line.size(), word.size() + 1));
      if (word.size() > name.size() && word.substr(0, name.size()) == name && word[name.size()] == '=') {
        return std::string(word.substr(name.size() + 1));
      }
    }
    return makeError(Code::RemoteError, "the process manager's answer '{}' has no {}", trimLine(answer_),
                     name);
  }

  int fd_;
  std::string space_;
  std::string answer_;
};

/// Uses a session that somebody else owns.
class SessionUser final : public Board {
 public:
  explicit SessionUser(Board& session) : session_(session) {}
  Status publish(const std::string& key, const std::string& value, Deadline deadline) override {
    return session_.publish(key, value, deadline);
  }
  Result<std::string> lookUp(const std::string& key, Deadline deadline) override {
    return session_.lookUp(key, deadline);
  }

 private:
  Board& session_;
};

}  // namespace

Result<std::unique_ptr<Board>> openPmiBoard(const Environment& environment, const World&) {
  const char* text = environment("PMI_FD");
  auto fd = parseInteger(text ? text : "");
  if (!fd || *fd < 0 || fcntl(static_cast<int>(*fd), F_GETFD) < 0) {
    return makeError(Code::InvalidUsage,
                     "PMI_FD{}{} is not an open descriptor (a wrapper script may have closed it)",
                     text ? "=" : "", text ? text : "");
  }
  // The process manager grants a process one session, which later exchanges need, too: it lasts until exit().
  static std::mutex mutex;
  static std::unique_ptr<PmiBoard> session;
  std::lock_guard lock(mutex);
  if (!session) {
    auto board = std::make_unique<PmiBoard>(static_cast<int>(*fd));
    TUTTI_TRY(board->start(Deadline::afterMs(10'000)));
    session = std::move(board);
  }
  return std::unique_ptr<Board>(std::make_unique<SessionUser>(*session));
}

}  // namespace tutti::launch
