#include "control/event_loop.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "core/clock.hpp"

namespace tutti::control {

Status EventLoop::start() {
  epoll_ = TrackedFd(UniqueFd(epoll_create1(EPOLL_CLOEXEC)));
  if (!epoll_.valid()) return makeSystemError(errno, "epoll_create1");
  wake_ = TrackedFd(UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (!wake_.valid()) return makeSystemError(errno, "eventfd");
  TUTTI_TRY(watch(wake_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof(count));
  }));
  // Signals are the application's: its handlers must not run on a thread that it does not know.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "tutti-control");
  return {};
}

void EventLoop::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);  // pairs with the acquire in run()
  post([] {});
  thread_.join();
}

void EventLoop::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(postedMutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  // Whoever finds the queue empty rings; the loop takes all that is there when it wakes.
  if (first) {
    const uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
  }
}

Status EventLoop::watch(int fd, uint32_t epollEvents, FdHandler handler) {
  auto entry = std::make_shared<Watch>(Watch{std::move(handler), ++lastNumber_});
  epoll_event event{};
  event.events = epollEvents;
  event.data.u64 = entry->number << 20 | static_cast<uint32_t>(fd);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return makeSystemError(errno, "epoll_ctl add");
  watches_[fd] = std::move(entry);
  return {};
}

void EventLoop::rewatch(int fd, uint32_t epollEvents) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  epoll_event event{};
  event.events = epollEvents;
  event.data.u64 = found->second->number << 20 | static_cast<uint32_t>(fd);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::unwatch(int fd) {
  if (watches_.erase(fd) != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::callAt(int64_t atNs, Task task) {
  const TimerId id{atNs, ++lastNumber_};
  timers_.emplace(id, std::move(task));
  return id;
}

EventLoop::TimerId EventLoop::callAfterMs(int64_t ms, Task task) {
  return callAt(nowNs() + ms * 1'000'000, std::move(task));
}

void EventLoop::cancel(TimerId& timer) {
  if (timer.number != 0) timers_.erase(timer);
  timer = {};
}

int EventLoop::timeoutMs() const {
  if (!deferred_.empty()) return 0;
  if (timers_.empty()) return -1;
  const int64_t left = (timers_.begin()->first.atNs - nowNs() + 999'999) / 1'000'000;
  if (left <= 0) return 0;
  return left > 60'000 ? 60'000 : static_cast<int>(left);
}

void EventLoop::runTasks() {
  std::vector<Task> posted;
  {
    const std::lock_guard lock(postedMutex_);
    posted.swap(posted_);
  }
  for (Task& task : posted) {
    task();
    task = nullptr;
  }
  // What tasks defer is run too, but no more than was there on entry plus a bound, so that sockets get their
  // turn.
  for (int budget = 4096; budget > 0 && !deferred_.empty(); --budget) {
    const Task task = std::move(deferred_.front());
    deferred_.pop_front();
    task();
  }
  const int64_t now = timers_.empty() ? 0 : nowNs();
  while (!timers_.empty() && timers_.begin()->first.atNs <= now) {
    const Task task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    task();
  }
}

void EventLoop::run() {
  epoll_event events[64];
  while (!stopping_.load(std::memory_order_acquire)) {  // pairs with stop()
    runTasks();
    const int count = epoll_wait(epoll_.get(), events, 64, timeoutMs());
    for (int i = 0; i < count; ++i) {
      const int fd = static_cast<int>(events[i].data.u64 & 0xfffff);
      // An earlier handler of this round may have closed the fd and another taken its number: the number
      // tells.
      const auto found = watches_.find(fd);
      if (found == watches_.end() || found->second->number != events[i].data.u64 >> 20) continue;
      const std::shared_ptr<Watch> watch = found->second;
      watch->handler(events[i].events);
    }
  }
  // What was posted before the end, above all the word that a rank leaves, still goes out; and what that
  // defers.
  runTasks();
  runTasks();
}

}  // namespace tutti::control
