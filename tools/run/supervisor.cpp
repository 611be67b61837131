#include "run/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "launch/mac.hpp"
#include "run/processes.hpp"

extern char** environ;

namespace tutti::tools::run {
namespace {

constexpr int kTimedOut = 124;
constexpr int kCannotStart = 126;
constexpr int kNotFound = 127;
constexpr int kLastRoundsMs = 3000;

constexpr int kStopSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kPassedSignals[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

void say(const std::string& text) {
  writeAll(STDERR_FILENO, "tutti run: " + text + "\n");
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({}{})", WTERMSIG(status), strsignal(WTERMSIG(status)),
                       WCOREDUMP(status) ? ", core dumped" : "");
  }
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

/// Our own variables are set anew, also where a rank of another run starts us.
bool isOurs(std::string_view assignment) {
  for (std::string_view name :
       {"TUTTI_RANK=", "TUTTI_SIZE=", "TUTTI_LOCAL_RANK=", "TUTTI_LOCAL_SIZE=", "TUTTI_RENDEZVOUS=",
        "TUTTI_RENDEZVOUS_SECRET=", "TUTTI_JOB=", "TUTTI_DEATHS="}) {
    if (assignment.starts_with(name)) return true;
  }
  return false;
}

}  // namespace

Supervisor::~Supervisor() {
  endEverything();
}

Result<int> Supervisor::run() {
  auto program = findProgram(options_.command[0]);
  if (!program.ok()) {
    say(program.error().message());
    return program.error().code() == Code::InvalidArgument ? kNotFound : kCannotStart;
  }
  plan_.path = *program;
  TUTTI_TRY(prepare());
  TUTTI_TRY(startRanks());
  while (runningCount() > 0) loopOnce();
  endEverything();
  return exitStatus_;
}

Status Supervisor::prepare() {
  getrlimit(RLIMIT_NOFILE, &plan_.fileLimit);
  rlimit more = plan_.fileLimit;
  more.rlim_cur = more.rlim_max;  // two pipes and a connection per rank
  setrlimit(RLIMIT_NOFILE, &more);

  sigset_t handled;
  sigemptyset(&handled);
  for (int signal : kStopSignals) sigaddset(&handled, signal);
  for (int signal : kPassedSignals) sigaddset(&handled, signal);
  sigaddset(&handled, SIGTSTP);
  sigaddset(&handled, SIGCHLD);
  sigprocmask(SIG_BLOCK, &handled, &plan_.signalMask);
  signals_.reset(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return makeSystemError(errno, "signalfd");
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
  // Orphans of ranks become our children, so that none is lost.
  prctl(PR_SET_CHILD_SUBREAPER, 1);

  launch::Block128 secret = launch::randomBlock();
  const char* host = "127.0.0.1";
  auto listener = launch::listenTcp(host, 0);
  if (!listener.ok()) {
    host = "[::1]";
    listener = launch::listenTcp("::1", 0);
  }
  if (!listener.ok()) return std::move(listener).error().context("serving the ranks' exchange on this host");
  TUTTI_ASSIGN(uint16_t port, launch::portOf(listener->get()));
  TUTTI_ASSIGN(hub_, launch::Hub::create(std::move(listener).value(), secret, options_.ranks));

  const std::string job = launch::toHex(launch::randomBlock());
  const std::string mark = "TUTTI_JOB=" + job;
  deaths_.reset(memfd_create("tutti-deaths", MFD_CLOEXEC));
  if (deaths_) writeAll(deaths_.get(), job + "\n");
  plan_.command = options_.command;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view assignment = *entry;
    bool replaced =
        std::any_of(options_.environment.begin(), options_.environment.end(),
                    [&](const auto& variable) { return assignment.starts_with(variable.first + "="); });
    if (!replaced && !isOurs(assignment)) plan_.environment.emplace_back(assignment);
  }
  for (const auto& [name, value] : options_.environment) plan_.environment.push_back(name + "=" + value);
  plan_.environment.push_back(mark);
  if (deaths_)
    plan_.environment.push_back(fmt::format("TUTTI_DEATHS=/proc/{}/fd/{}", getpid(), deaths_.get()));
  plan_.environment.push_back(fmt::format("TUTTI_RENDEZVOUS={}:{}", host, port));
  plan_.environment.push_back("TUTTI_RENDEZVOUS_SECRET=" + launch::toHex(secret));
  if (options_.binding == Binding::Core) plan_.cpus = cpuOrder();
  TUTTI_ASSIGN(guard_, Guard::start(options_.ranks, mark));
  if (options_.timeoutSeconds > 0) timeout_ = Deadline::afterMs(std::llround(options_.timeoutSeconds * 1000));
  return {};
}

Status Supervisor::startRanks() {
  ranks_.resize(static_cast<size_t>(options_.ranks));
  bool terminal = isatty(STDIN_FILENO);
  for (int rank = 0; rank < options_.ranks; ++rank) {
    UniqueFd in, out, err;
    auto makePipe = [](UniqueFd& reading, UniqueFd& writing) -> Status {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC) != 0) return makeSystemError(errno, "pipe (see `ulimit -n`)");
      reading.reset(ends[0]);
      writing.reset(ends[1]);
      return {};
    };
    if (rank == 0 && terminal) {
      TUTTI_TRY(makePipe(in, input_));
      fcntl(input_.get(), F_SETFL, O_NONBLOCK);
    }
    if (options_.label) {
      UniqueFd fromOut, fromErr;
      TUTTI_TRY(makePipe(fromOut, out));
      TUTTI_TRY(makePipe(fromErr, err));
      std::string label = fmt::format("[{}] ", rank);
      ranks_[rank].streams.emplace_back(std::move(fromOut), STDOUT_FILENO, label);
      ranks_[rank].streams.emplace_back(std::move(fromErr), STDERR_FILENO, label);
    }
    TUTTI_ASSIGN(ranks_[rank].pid, spawnRank(plan_, rank, options_.ranks, in.get(), out.get(), err.get()));
    guard_->setGroup(rank, ranks_[rank].pid);
  }
  return {};
}

void Supervisor::loopOnce() {
  std::vector<pollfd> waiting = {{signals_.get(), POLLIN, 0}, {hub_->fd(), POLLIN, 0}};
  bool terminal = readsTerminal();
  if (terminal)
    waiting.push_back({inputPending_.empty() ? STDIN_FILENO : input_.get(),
                       static_cast<short>(inputPending_.empty() ? POLLIN : POLLOUT), 0});
  size_t firstStream = waiting.size();
  for (Rank& rank : ranks_) {
    for (LabelledStream& stream : rank.streams) {
      if (stream.fd() >= 0) waiting.push_back({stream.fd(), POLLIN, 0});
    }
  }
  if (poll(waiting.data(), waiting.size(), pollTimeoutMs()) < 0 && errno != EINTR) return;
  if (waiting.size() > firstStream) {
    size_t at = firstStream;
    for (Rank& rank : ranks_) {
      for (LabelledStream& stream : rank.streams) {
        if (stream.fd() >= 0 && waiting[at++].revents) stream.pump();
      }
    }
  }
  if (terminal && waiting[2].revents) pumpInput(inputPending_.empty());
  // The dead before the hub: its failures then say how a rank died.
  if (waiting[0].revents) handleSignals();
  hub_->work();
  checkTime();
}

int Supervisor::pollTimeoutMs() const {
  int ms = std::min(timeout_.remainingMs(60'000), grace_.remainingMs(60'000));
  ms = std::min(ms, hub_->pollMs());
  return input_ ? std::min(ms, 500) : ms;  // we may have come to the terminal's foreground
}

void Supervisor::handleSignals() {
  signalfd_siginfo info;
  bool children = false;
  while (read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      children = true;
    } else if (signal == SIGTSTP) {
      suspend();
    } else if (std::find(std::begin(kStopSignals), std::end(kStopSignals), signal) !=
               std::end(kStopSignals)) {
      onStopSignal(signal);
    } else {
      signalAll(signal);
    }
  }
  if (children) reap();
}

void Supervisor::suspend() {
  signalAll(SIGTSTP);
  raise(SIGSTOP);
  signalAll(SIGCONT);
}

void Supervisor::onStopSignal(int signal) {
  if (state_ == State::Stopping) {
    killed_ = true;
    signalAll(SIGKILL);
    return;
  }
  if (exitStatus_ == 0) exitStatus_ = 128 + signal;
  stop(signal, "");
}

void Supervisor::stop(int signal, const std::string& why) {
  if (!why.empty()) say(why);
  state_ = State::Stopping;
  grace_ = Deadline::afterMs(std::llround(options_.graceSeconds * 1000));
  signalAll(signal);
  signalAll(SIGCONT);  // a stopped process does not hear the other
}

void Supervisor::signalAll(int signal) {
  for (const Rank& rank : ranks_) {
    if (rank.pid > 0) kill(-rank.pid, signal);
  }
}

void Supervisor::reap() {
  std::vector<std::pair<int, int>> ended;  // rank, status
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    auto found =
        std::find_if(ranks_.begin(), ranks_.end(), [&](const Rank& rank) { return rank.pid == pid; });
    if (found == ranks_.end()) continue;  // an orphan of a rank
    int rank = static_cast<int>(found - ranks_.begin());
    found->pid = 0;
    noteDeath(rank, pid, status);
    ended.emplace_back(rank, status);
    // What it left in its group is ended with the run; the guard must know of it until then.
    if (kill(-pid, 0) != 0) guard_->setGroup(rank, 0);
  }
  // Of those that ended within one moment, the killed ones are the cause and the others the consequence.
  std::stable_partition(ended.begin(), ended.end(),
                        [](const auto& entry) { return WIFSIGNALED(entry.second); });
  for (auto [rank, how] : ended) onEnded(rank, how);
}

/// An orderly end is no death: a program may have fewer ranks than processes.
void Supervisor::noteDeath(int rank, pid_t pid, int status) {
  if (deaths_ && status != 0) writeAll(deaths_.get(), fmt::format("{} {} {}\n", rank, pid, describe(status)));
}

void Supervisor::onEnded(int rank, int status) {
  for (LabelledStream& stream : ranks_[rank].streams) stream.pump();
  hub_->rankEnded(rank, describe(status));
  if (status == 0 || state_ == State::Stopping) return;
  if (exitStatus_ != 0) return;  // not the first
  exitStatus_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  say(fmt::format("rank {} of {} {}", rank, options_.ranks, describe(status)));
  if (runningCount() == 0) return;
  state_ = State::Waiting;
  grace_ = Deadline::afterMs(std::llround(options_.graceSeconds * 1000));
}

void Supervisor::checkTime() {
  if (runningCount() == 0) return;
  if (state_ == State::Running && timeout_.expired()) {
    exitStatus_ = kTimedOut;
    timeout_ = Deadline::never();
    stop(SIGTERM,
         fmt::format("{} still running after {} s (--timeout): ending", running(), options_.timeoutSeconds));
  } else if (state_ == State::Waiting && grace_.expired()) {
    stop(SIGTERM, fmt::format("{} still running {} s later: ending", running(), options_.graceSeconds));
  } else if (state_ == State::Stopping && grace_.expired() && !killed_) {
    killed_ = true;
    grace_ = Deadline::never();
    signalAll(SIGKILL);
  }
}

bool Supervisor::readsTerminal() const {
  return input_ && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void Supervisor::pumpInput(bool readable) {
  if (readable) {
    char buffer[4096];
    ssize_t got = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      input_.reset();  // the end of input, for rank 0 too
      return;
    }
    inputPending_.assign(buffer, static_cast<size_t>(got));
  }
  ssize_t wrote = write(input_.get(), inputPending_.data(), inputPending_.size());
  if (wrote > 0) inputPending_.erase(0, static_cast<size_t>(wrote));
  if (wrote < 0 && errno != EINTR && errno != EAGAIN) input_.reset();
}

int Supervisor::runningCount() const {
  return static_cast<int>(
      std::count_if(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.pid > 0; }));
}

std::string Supervisor::running() const {
  std::vector<int> list;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (ranks_[rank].pid > 0) list.push_back(static_cast<int>(rank));
  }
  return launch::rankList(list) + (list.size() == 1 ? " is" : " are");
}

void Supervisor::endEverything() {
  if (!guard_) return;
  signalAll(SIGKILL);
  // What the ranks started and left: below us, because we are the subreaper.
  Deadline deadline = Deadline::afterMs(kLastRoundsMs);
  while (!deadline.expired()) {
    std::vector<pid_t> left = descendantsOf(getpid(), guard_->pid());
    for (pid_t pid : left) kill(pid, SIGKILL);
    pid_t reaped;
    while ((reaped = waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (left.empty()) break;
    poll(nullptr, 0, 2);
  }
  for (Rank& rank : ranks_) {
    rank.pid = 0;
    for (LabelledStream& stream : rank.streams) {
      stream.pump();
      stream.finish();
    }
  }
  guard_.reset();
}

}  // namespace tutti::tools::run
