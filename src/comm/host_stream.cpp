#include "comm/host_stream.hpp"

#include <utility>

namespace tutti::comm {

HostStream::HostStream() : thread_([state = state_] { run(state); }) {}

HostStream::~HostStream() {
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->changed.notify_all();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // the last owner was a piece of work on this very stream
  } else {
    thread_.join();
  }
}

void HostStream::push(std::function<Status()> work) {
  {
    std::lock_guard lock(state_->mutex);
    state_->queue.push_back(std::move(work));
  }
  state_->changed.notify_all();
}

Status HostStream::synchronize() {
  if (thread_.get_id() == std::this_thread::get_id()) {
    return makeError(Code::InvalidUsage, "a callback on a stream cannot wait for that stream");
  }
  std::unique_lock lock(state_->mutex);
  // The work itself minds abort and deadlines.
  state_->changed.wait(lock, [this] { return state_->queue.empty() && !state_->busy; });
  return std::exchange(state_->firstError, Status());
}

Status HostStream::query() {
  std::lock_guard lock(state_->mutex);
  if (!state_->queue.empty() || state_->busy) return Error(Code::InProgress, "the stream has work to do");
  return state_->firstError;
}

void HostStream::run(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->changed.wait(lock, [&] { return state->closing || !state->queue.empty(); });
    if (state->queue.empty()) return;
    std::function<Status()> work = std::move(state->queue.front());
    state->queue.pop_front();
    state->busy = true;
    lock.unlock();
    Status status = work();
    work = nullptr;  // lets go of what it held before the stream counts as idle
    lock.lock();
    state->busy = false;
    if (!status.ok() && state->firstError.ok()) state->firstError = std::move(status);
    state->changed.notify_all();
  }
}

}  // namespace tutti::comm
