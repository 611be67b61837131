#include "comm/group.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace tutti::comm {
namespace {

struct Group {
  int depth = 0;
  std::vector<Task> tasks;
  std::vector<StartTask> starts;
  std::vector<std::function<void(const Status&)>> settled;
  std::optional<Error> error;
};

Group& group() {
  thread_local Group instance;
  return instance;
}

Error inProgress() {
  return Error(Code::InProgress, "a nonblocking communicator goes on with it; ask ncclCommGetAsyncError");
}

/// Held while work goes onto its streams: see takeTickets().
std::mutex& queueMutex() {
  static auto* mutex = new std::mutex;  // never destroyed: streams may be used by static destructors
  return *mutex;
}

HostStream* streamOf(Task& task) {
  if (task.stream != nullptr) return task.stream;
  return task.comm->blocking() ? nullptr : &task.comm->ownStream();
}

/// Where several streams carry one batch: the first one plays it when the others have come to it, and they go
/// on when it is done.
class Meeting {
 public:
  void arrive() {
    std::lock_guard lock(mutex_);
    ++arrived_;
    changed_.notify_all();
  }
  void awaitArrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= count; });
  }
  void finish(Status status) {
    std::lock_guard lock(mutex_);
    status_ = std::move(status);
    done_ = true;
    changed_.notify_all();
  }
  Status awaitEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    return status_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool done_ = false;
  Status status_;
};

Status dispatch(std::vector<Task> tasks) {
  std::vector<HostStream*> streams;
  bool waits = false;  // some call has neither a stream nor a nonblocking communicator
  bool nonblocking = false;
  for (Task& task : tasks) {
    HostStream* stream = streamOf(task);
    waits |= stream == nullptr;
    nonblocking |= !task.comm->blocking();
    if (stream != nullptr && std::find(streams.begin(), streams.end(), stream) == streams.end())
      streams.push_back(stream);
  }
  if (streams.empty()) return playTogether(tasks);
  for (Task& task : tasks)
    TUTTI_TRY(task.comm->asyncStatus().ok() || !task.comm->blocking() ? Status() : task.comm->usable());

  auto meeting = std::make_shared<Meeting>();
  std::unique_lock queueing(queueMutex());
  const std::vector<Ticket> tickets = takeTickets(tasks);
  auto kept = std::make_shared<std::vector<Task>>(std::move(tasks));
  for (Task& task : *kept) task.comm->taskQueued();
  const int others = static_cast<int>(streams.size()) - 1;
  for (size_t i = 1; i < streams.size(); ++i) {
    streams[i]->push([meeting] {
      meeting->arrive();
      (void)meeting->awaitEnd();
      return Status();
    });
  }
  streams[0]->push([meeting, kept, others, tickets] {
    meeting->awaitArrivals(others);
    Status status = playTogether(*kept, tickets);
    for (Task& task : *kept) {
      // Of a blocking communicator the stream tells it, and the communicator only if it has a fault itself.
      if (!task.comm->blocking()) task.comm->noteQueuedEnd(status);
      task.comm->taskDone();
    }
    kept->clear();
    meeting->finish(status);
    return status;
  });
  queueing.unlock();
  if (waits) return meeting->awaitEnd();
  if (nonblocking) return inProgress();
  return {};
}

Status runStarts(std::vector<StartTask> starts) {
  bool nonblocking = false;
  std::vector<std::function<Status()>> here;
  {
    std::lock_guard queueing(queueMutex());
    for (StartTask& start : starts) {
      // Two splits of one communicator: in the order of the calls, on every rank.
      const uint64_t ofParent = start.parent != nullptr ? start.parent->takeTicket() : 0;
      const uint64_t own = start.comm->takeTicket();
      auto work = [start, ofParent, own] {
        std::optional<Turn> turn;
        if (start.parent != nullptr) turn.emplace(*start.parent, ofParent);
        Turn ownTurn(*start.comm, own);
        return start.work();
      };
      if (start.comm->blocking()) {
        here.push_back(std::move(work));
      } else {
        nonblocking = true;
        start.comm->ownStream().push(std::move(work));
      }
    }
  }
  // Ranks of one communicator may be among them, each waiting for the others: all at once, a thread each.
  std::vector<Status> results(here.size());
  std::vector<std::thread> threads;
  for (size_t i = 1; i < here.size(); ++i) threads.emplace_back([&, i] { results[i] = here[i](); });
  if (!here.empty()) results[0] = here[0]();
  for (std::thread& thread : threads) thread.join();
  for (Status& result : results) TUTTI_TRY(std::move(result));
  if (nonblocking) return inProgress();
  return {};
}

/// Closes the group of this thread and hands out what it held.
Group take() {
  Group taken = std::move(group());
  group() = Group();
  return taken;
}

}  // namespace

bool groupIsOpen() {
  return group().depth > 0;
}

Status submit(Task task) {
  if (groupIsOpen()) {
    group().tasks.push_back(std::move(task));
    return {};
  }
  std::vector<Task> tasks;
  tasks.push_back(std::move(task));
  return dispatch(std::move(tasks));
}

Status submitStart(StartTask task) {
  if (groupIsOpen()) {
    group().starts.push_back(std::move(task));
    return {};
  }
  std::vector<StartTask> starts;
  starts.push_back(std::move(task));
  Status status = runStarts(std::move(starts));
  if (!status.ok() && status.error().code() == Code::InProgress) return {};
  return status;
}

Status groupStart() {
  ++group().depth;
  return {};
}

Status groupEnd() {
  if (group().depth == 0) return Error(Code::InvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (group().depth > 1) {
    --group().depth;
    return {};
  }
  Group ended = take();
  Status status;
  if (ended.error) {
    status = *ended.error;
  } else {
    status = runStarts(std::move(ended.starts));
    const bool going = !status.ok() && status.error().code() == Code::InProgress;
    if ((status.ok() || going) && !ended.tasks.empty()) {
      Status played = dispatch(std::move(ended.tasks));
      if (!played.ok() || status.ok()) status = std::move(played);
    }
  }
  const bool fine = status.ok() || status.error().code() == Code::InProgress;
  for (auto& settled : ended.settled) settled(fine ? Status() : status);
  return status;
}

Result<double> groupSimulateEndUs() {
  if (group().depth == 0) return Error(Code::InvalidUsage, "ncclGroupSimulateEnd without ncclGroupStart");
  if (group().depth > 1) {
    --group().depth;
    return 0.0;
  }
  Group ended = take();
  Status status = ended.error ? Status(*ended.error) : Status();
  for (auto& settled : ended.settled) settled(status);
  TUTTI_TRY(std::move(status));
  return predict(ended.tasks);
}

void groupNoteError(const Error& error) {
  if (groupIsOpen() && !group().error) group().error = error;
}

void groupWhenSettled(std::function<void(const Status&)> settled) {
  if (!groupIsOpen()) return settled(Status());
  group().settled.push_back(std::move(settled));
}

}  // namespace tutti::comm
