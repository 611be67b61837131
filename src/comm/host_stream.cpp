#include "comm/host_stream.hpp"

#include <utility>

namespace tutti::comm {

HostStream::HostStream() : thread_([this] { run(); }) {}

HostStream::~HostStream() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // the last owner was a piece of work on this very stream
  } else {
    thread_.join();
  }
}

void HostStream::push(std::function<Status()> work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

Status HostStream::synchronize() {
  if (thread_.get_id() == std::this_thread::get_id()) {
    return makeError(Code::InvalidUsage, "a callback on a stream cannot wait for that stream");
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock,
                [this] { return queue_.empty() && !busy_; });  // the work itself minds abort and deadlines
  return std::exchange(firstError_, Status());
}

Status HostStream::query() {
  std::lock_guard lock(mutex_);
  if (!queue_.empty() || busy_) return Error(Code::InProgress, "the stream has work to do");
  return firstError_;
}

void HostStream::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<Status()> work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    Status status = work();
    work = nullptr;  // lets go of what it held before the stream counts as idle
    lock.lock();
    busy_ = false;
    if (!status.ok() && firstError_.ok()) firstError_ = std::move(status);
    changed_.notify_all();
  }
}

}  // namespace tutti::comm
