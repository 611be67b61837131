#include "common/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "common/failure.hpp"

namespace tutti::gpuperf {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::string sentence(int rank, int status, bool timedOut, double timeoutS, const ChildNote& note) {
  std::string text = "process " + std::to_string(rank);
  if (timedOut)
    text += " did not end within " + std::to_string(static_cast<int>(timeoutS)) + " s";
  else if (WIFSIGNALED(status))
    text += " died of signal " + std::to_string(WTERMSIG(status));
  else
    text += " failed";
  if (note.text[0] != 0) text += ": " + std::string(note.text);
  return text;
}

}  // namespace

SharedMemory::SharedMemory(size_t bytes) : bytes_(bytes) {
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED)
    throw Failure("mmap of " + std::to_string(bytes) + " shared bytes: " + std::strerror(errno));
}

SharedMemory::~SharedMemory() {
  (void)munmap(data_, bytes_);
}

bool ProcessBarrier::wait(int ranks, double timeoutS) {
  auto deadline = after(timeoutS);
  int mine = round.load(std::memory_order_acquire);
  // acq_rel: the last to arrive has seen what the others did before, and hands it on with the release below.
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == ranks - 1) {
    arrived.store(0, std::memory_order_relaxed);
    round.store(mine + 1, std::memory_order_release);
  }
  for (int spins = 0; round.load(std::memory_order_acquire) == mine; ++spins) {
    if (broken.load(std::memory_order_relaxed) != 0) return false;
    if (spins < 1000) continue;
    if (Clock::now() > deadline) {
      broken.store(1, std::memory_order_relaxed);
      return false;
    }
    if (spins < 20000)
      sched_yield();
    else
      usleep(50);
  }
  return broken.load(std::memory_order_relaxed) == 0;
}

void ChildNote::set(const std::string& why) {
  std::snprintf(text, sizeof text, "%s", why.c_str());
}

std::string runProcesses(int ranks, double timeoutS, ChildNote* notes, const std::function<int(int)>& body) {
  std::fflush(nullptr);
  std::vector<pid_t> children(ranks, -1);
  std::string trouble;
  int started = 0;
  for (; started < ranks; ++started) {
    notes[started].text[0] = 0;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
      trouble = std::string("fork: ") + std::strerror(errno);
      break;
    }
    if (child == 0) {
      // A parent stopped by its time limit takes its children with it.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      int status = 1;
      try {
        status = body(started);
      } catch (const std::exception& failure) {
        notes[started].set(failure.what());
      }
      std::fflush(nullptr);
      _exit(status);
    }
    children[started] = child;
  }
  auto deadline = started == ranks ? after(timeoutS) : Clock::now();
  int left = started;
  while (left > 0) {
    bool late = Clock::now() > deadline;
    for (int rank = 0; rank < started; ++rank) {
      if (children[rank] < 0) continue;
      int status = 0;
      pid_t ended = waitpid(children[rank], &status, WNOHANG);
      if (ended == 0) {
        if (!late) continue;
        kill(children[rank], SIGKILL);
        (void)waitpid(children[rank], &status, 0);
      }
      children[rank] = -1;
      --left;
      bool good = ended != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
      // The first to fail is told; the others mostly fail because of it.
      if (!good && trouble.empty()) {
        trouble = sentence(rank, status, ended == 0, timeoutS, notes[rank]);
        auto grace = after(5);
        if (grace < deadline) deadline = grace;
      }
    }
    if (left > 0) usleep(500);
  }
  return trouble;
}

void sendDescriptor(int socket, int descriptor) {
  char byte = 'f';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
    throw Failure(std::string("sendmsg of a file descriptor: ") + std::strerror(errno));
}

int receiveDescriptor(int socket, double timeoutS) {
  pollfd wait{socket, POLLIN, 0};
  if (poll(&wait, 1, static_cast<int>(timeoutS * 1e3)) != 1) throw Failure("no file descriptor came in time");
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  cmsghdr* head = got == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (head == nullptr || head->cmsg_type != SCM_RIGHTS) throw Failure("the message held no file descriptor");
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
  return descriptor;
}

}  // namespace tutti::gpuperf
