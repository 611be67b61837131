#include "core/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>

#include "core/clock.hpp"
#include "core/host.hpp"
#include "core/log_settings.hpp"
#include "core/param.hpp"
#include "core/unique_fd.hpp"

namespace tutti::log {

std::atomic<int> gLevel{-1};
std::atomic<uint64_t> gSubsystems{0};

namespace {

constexpr int64_t kFullPipeMs = 100;  // a reader that does not read costs a line, not the job

/// What reset() found. Published whole through gSettings and never changed or freed: writers may hold one
/// across a reset, and resets are few.
struct Settings {
  Level level = Level::None;
  uint64_t subsystems = 0;
  std::string filePattern;  ///< with %h and %p; empty: `fd` is standard output or error
  std::string timestampFormat;
  uint32_t timestampLevels = 0;
  bool warnTurnsInfoOn = false;
  int fd = STDOUT_FILENO;  ///< -1: nowhere to write
  int openedBy = 0;        ///< process that opened the file
  const Settings* previous = nullptr;
};

std::atomic<const Settings*> gSettings{nullptr};
thread_local int tRank = -1;

std::mutex& resetMutex() {
  static auto* const mutex = new std::mutex;  // never destroyed: threads may log during exit
  return *mutex;
}

std::string textOf(std::string_view name) {
  auto value = params::get(name);
  return value.ok() ? value->text : std::string(params::find(name)->fallback);
}

/// Opens what `settings.filePattern` names for this process; -1 if that fails. A path is emptied when a
/// process opens it first; later resets append, so that nothing is lost.
int openFile(const Settings& settings) {
  const std::string path = expandFileName(settings.filePattern, hostName(), getpid());
  const Settings* before = settings.previous;
  while (before != nullptr &&
         (before->fd < 0 || before->openedBy != getpid() || before->filePattern != settings.filePattern)) {
    before = before->previous;
  }
  const int emptied = before == nullptr ? O_TRUNC : 0;
  return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | emptied, 0644);
}

void publish(std::unique_ptr<Settings> made) {
  gSubsystems.store(made->subsystems, std::memory_order_relaxed);
  gLevel.store(static_cast<int>(made->level), std::memory_order_relaxed);
  gSettings.store(made.release(), std::memory_order_release);  // pairs with the acquire load in write()
}

/// Writes all of `text` or gives up. A closed pipe must not end the process with SIGPIPE, so that is held
/// back here and, if this write raised it, taken off.
void writeWhole(int fd, std::string_view text) {
  sigset_t pipeSignal, before, pending;
  sigemptyset(&pipeSignal);
  sigaddset(&pipeSignal, SIGPIPE);
  sigpending(&pending);
  const bool wasPending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipeSignal, &before);

  const Deadline deadline = Deadline::afterMs(kFullPipeMs);
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN && !deadline.expired()) {
      pollfd waiting{fd, POLLOUT, 0};
      poll(&waiting, 1, deadline.remainingMs(kFullPipeMs));
    } else if (errno != EINTR) {
      if (errno == EPIPE && !wasPending) {
        const timespec now{0, 0};
        while (sigtimedwait(&pipeSignal, nullptr, &now) < 0 && errno == EINTR) {
        }
      }
      break;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::string_view baseName(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

std::string formatLine(const Settings& settings, Level level, const char* file, int line,
                       std::string_view text) {
  std::string out;
  if ((settings.timestampLevels >> static_cast<int>(level) & 1) != 0) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out = formatTimestamp(settings.timestampFormat, now);
  }
  if (level == Level::Version) {
    out += text;
  } else {
    out += fmt::format("{}:{}:{} ", hostName(), getpid(), gettid());
    if (tRank >= 0) out += fmt::format("[{}] ", tRank);
    switch (level) {
      case Level::Warn:
        out += fmt::format("{}:{} NCCL WARN ", baseName(file), line);
        break;
      case Level::Trace:
        out +=
            fmt::format("{:.6f} {}:{} NCCL TRACE ", static_cast<double>(nowNs()) / 1e6, baseName(file), line);
        break;
      case Level::Abort:
        out += "NCCL ABORT ";
        break;
      default:
        out += "NCCL INFO ";
    }
    out += text;
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  for (char& c : out) {
    if (c == '\n') c = ' ';  // one line per call, whatever a peer's or a user's text holds
  }
  out += '\n';
  return out;
}

}  // namespace

void reset() {
  std::lock_guard lock(resetMutex());
  auto made = std::make_unique<Settings>();
  made->previous = gSettings.load(std::memory_order_acquire);
  made->level = levelFromName(textOf("NCCL_DEBUG"));
  made->subsystems = [&] {
    auto parsed = parseSubsystems(textOf("NCCL_DEBUG_SUBSYS"));
    return parsed.ok() ? *parsed : Init | Bootstrap | Env;
  }();
  made->timestampFormat = textOf("NCCL_DEBUG_TIMESTAMP_FORMAT");
  auto levels = parseLevels(textOf("NCCL_DEBUG_TIMESTAMP_LEVELS"));
  made->timestampLevels = levels.ok() ? *levels : 0;
  made->warnTurnsInfoOn = params::getBool("NCCL_WARN_ENABLE_DEBUG_INFO");

  std::string complaint;
  const std::string file = textOf("NCCL_DEBUG_FILE");
  if (file == "stderr") {
    made->fd = STDERR_FILENO;
  } else if (!file.empty() && file != "stdout" && made->level > Level::Version) {
    made->filePattern = file;
    made->openedBy = getpid();
    made->fd = openFile(*made);
    if (made->fd < 0) {
      complaint = makeSystemError(
                      errno, "NCCL_DEBUG_FILE={} cannot be written; the log goes to standard output", file)
                      .message();
      made->fd = STDOUT_FILENO;
      made->filePattern.clear();
    }
  }
  // A standard stream that is closed now may soon be the number of a socket of ours or of the caller's: never
  // write there.
  if (fcntl(made->fd, F_GETFD) < 0) made->fd = -1;
  publish(std::move(made));
  if (!complaint.empty()) TUTTI_WARN("{}", complaint);
}

void write(Level level, uint64_t subsystem, const char* file, int line, const std::string& text) {
  const Settings* settings =
      gSettings.load(std::memory_order_acquire);  // pairs with the release store in publish()
  if (settings == nullptr || settings->fd < 0) return;
  int fd = settings->fd;
  UniqueFd ours;
  if (!settings->filePattern.empty() && settings->openedBy != getpid() &&
      settings->filePattern.find("%p") != std::string::npos) {
    // A forked child: its lines belong in a file of its own. Opened for this line only, without a lock:
    // another thread of the parent may have held any lock at the time of the fork.
    const std::string path = expandFileName(settings->filePattern, hostName(), getpid());
    ours.reset(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (ours) fd = ours.get();
  }
  writeWhole(fd, formatLine(*settings, level, file, line, text));
  if (level == Level::Warn && settings->warnTurnsInfoOn &&
      gLevel.load(std::memory_order_relaxed) < static_cast<int>(Level::Info)) {
    gLevel.store(static_cast<int>(Level::Info), std::memory_order_relaxed);
  }
}

void setThreadRank(int rank) {
  tRank = rank;
}

}  // namespace tutti::log
