#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <new>
#include <string>

// Ranks as forked processes: they must be forked before the first CUDA call of the parent, which therefore
// only waits.
namespace tutti::gpuperf {

// Memory that all processes forked after its making share. Zeroed.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* data_;
  size_t bytes_;
};

// Barrier of processes; lives zero-initialised in SharedMemory. False when the others have not come within
// the time: then every later wait of it fails too.
struct ProcessBarrier {
  std::atomic<int> arrived;
  std::atomic<int> round;
  std::atomic<int> broken;
  bool wait(int ranks, double timeoutS);
};

// Where a child leaves why it failed.
struct ChildNote {
  char text[400];
  void set(const std::string& why);
};

// Forks `ranks` children that run body(rank) and leave with its return value, and waits for all. A child
// still alive after `timeoutS` is killed (SIGKILL, by its id). Returns an empty string if all returned 0,
// else one line saying who did not and what its note says. `notes` holds one per rank, in SharedMemory.
std::string runProcesses(int ranks, double timeoutS, ChildNote* notes, const std::function<int(int)>& body);

// Passes a file descriptor over a Unix socket; both throw Failure.
void sendDescriptor(int socket, int descriptor);
int receiveDescriptor(int socket, double timeoutS);

}  // namespace tutti::gpuperf
