#include "run/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace tutti::tools::run {
namespace {

/// A longer line is passed on in pieces.
constexpr size_t kMaxLine = 1 << 16;
/// Turns of reading per call, so that one chatty rank does not keep the others waiting.
constexpr int kMaxReads = 16;

}  // namespace

bool writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote >= 0) {
      text.remove_prefix(static_cast<size_t>(wrote));
    } else if (errno == EAGAIN) {
      pollfd waiting{fd, POLLOUT, 0};
      poll(&waiting, 1, 1000);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

LabelledStream::LabelledStream(UniqueFd from, int to, std::string label)
    : from_(std::move(from)), to_(to), label_(std::move(label)) {
  fcntl(from_.get(), F_SETFL, fcntl(from_.get(), F_GETFL) | O_NONBLOCK);
}

void LabelledStream::pump() {
  char buffer[16384];
  for (int turn = 0; turn < kMaxReads && from_; ++turn) {
    ssize_t got = read(from_.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      finish();
      return;
    }
    pending_.append(buffer, static_cast<size_t>(got));
    // All whole lines in one write: lines of different ranks do not mix.
    std::string out;
    size_t start = 0;
    for (size_t end; (end = pending_.find('\n', start)) != std::string::npos; start = end + 1) {
      out += label_;
      out.append(pending_, start, end + 1 - start);
    }
    pending_.erase(0, start);
    if (pending_.size() > kMaxLine) {
      out += label_ + pending_ + "\n";
      pending_.clear();
    }
    // Nobody reads our output: closing ours lets the rank learn it the way it would without us.
    if (!writeAll(to_, out)) from_.reset();
  }
}

void LabelledStream::finish() {
  if (from_ && !pending_.empty()) writeAll(to_, label_ + pending_ + "\n");
  pending_.clear();
  from_.reset();
}

}  // namespace tutti::tools::run
