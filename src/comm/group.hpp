// Groups: ncclGroupStart/End, per thread. Calls made in an open group are kept and played together when the
// outermost one ends.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "comm/calls.hpp"

namespace tutti::comm {

/// Blocking work that may wait for other ranks, also for ones that the same thread has: making a
/// communicator, a window. It runs with a Turn of `comm` and, if given, of the communicator it is made from.
struct StartTask {
  std::shared_ptr<Communicator> comm;
  std::function<Status()> work;
  std::shared_ptr<Communicator> parent = nullptr;
};

/// Keeps the task if the calling thread has an open group; else plays it, or queues it on its stream.
Status submit(Task task);
/// Keeps the work if the calling thread has an open group; else does it, or (nonblocking) queues it.
Status submitStart(StartTask task);
bool groupIsOpen();

}  // namespace tutti::comm
