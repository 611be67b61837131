// Groups: ncclGroupStart/End, per thread. Calls made in an open group are kept and played together when the
// outermost one ends.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "comm/calls.hpp"

namespace tutti::comm {

/// Making a communicator: blocking work that may wait for other ranks, also for ones that the same thread
/// makes.
struct StartTask {
  std::shared_ptr<Communicator> comm;
  std::shared_ptr<Communicator> parent;  ///< what it is made from, or null; the work has a Turn of it
  std::function<Status()> work;
};

/// Keeps the task if the calling thread has an open group; else plays it, or queues it on its stream.
Status submit(Task task);
/// Keeps the work if the calling thread has an open group; else does it, or (nonblocking) queues it.
Status submitStart(StartTask task);
bool groupIsOpen();

}  // namespace tutti::comm
