#include "ranks.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

namespace ranks {
namespace {

std::string onRank(int rank, const std::string& text) {
  return "rank " + std::to_string(rank) + ": " + text + "\n";
}

std::string runRank(int rank, int n, const ncclUniqueId& id, const Body& body) {
  ncclComm_t comm = nullptr;
  if (std::string text = failure("ncclCommInitRank", ncclCommInitRank(&comm, n, id, rank)); !text.empty())
    return text;
  std::string text = body(rank, n, comm);
  if (std::string end = failure("ncclCommDestroy", ncclCommDestroy(comm)); text.empty()) text = end;
  return text;
}

/// Memory that parent and children share.
struct Shared {
  ncclUniqueId id;
  std::atomic<int> idReady;
  static constexpr int kText = 4096;
  char text[64][kText];
};

std::function<void(int)>& placement() {
  static std::function<void(int)> instance;
  return instance;
}

}  // namespace

void setPlacement(std::function<void(int rank)> wanted) {
  placement() = std::move(wanted);
}

Settings::Settings(std::vector<Setting> settings) {
  for (Setting& s : settings) {
    const char* old = getenv(s.name.c_str());
    before_.push_back({{s.name, old != nullptr ? old : ""}, old != nullptr});
    if (s.value.empty()) {
      unsetenv(s.name.c_str());
    } else {
      setenv(s.name.c_str(), s.value.c_str(), 1);
    }
  }
  tuttiParamsReload();
}

Settings::~Settings() {
  for (auto& [setting, was] : before_) {
    if (was) {
      setenv(setting.name.c_str(), setting.value.c_str(), 1);
    } else {
      unsetenv(setting.name.c_str());
    }
  }
  tuttiParamsReload();
}

std::string failure(const char* call, ncclResult_t result, ncclComm_t comm) {
  if (result == ncclSuccess) return "";
  return std::string(call) + ": " + std::to_string(result) + " (" + ncclGetLastError(comm) + ")";
}

std::string asThreads(int n, const Body& body) {
  ncclUniqueId id;
  if (std::string text = failure("ncclGetUniqueId", ncclGetUniqueId(&id)); !text.empty()) return text;
  std::vector<std::string> texts(n);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < n; ++rank) {
    threads.emplace_back([&, rank] { texts[rank] = runRank(rank, n, id, body); });
  }
  for (std::thread& thread : threads) thread.join();
  std::string all;
  for (int rank = 0; rank < n; ++rank) {
    if (!texts[rank].empty()) all += onRank(rank, texts[rank]);
  }
  return all;
}

std::string asProcesses(int n, const Body& body, int mayDie, const std::function<void(int rank)>& first) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return "mmap failed";
  auto* shared = new (memory) Shared();
  std::vector<pid_t> children(n);
  for (int rank = 0; rank < n; ++rank) {
    children[rank] = fork();
    if (children[rank] != 0) continue;
    std::string text;
    if (placement()) placement()(rank);
    if (rank == 0) {
      text = failure("ncclGetUniqueId", ncclGetUniqueId(&shared->id));
      shared->idReady.store(text.empty() ? 1 : 2);
    }
    while (shared->idReady.load() == 0) usleep(200);
    if (first) first(rank);
    if (shared->idReady.load() == 1) text = runRank(rank, n, shared->id, body);
    strncpy(shared->text[rank], text.c_str(), Shared::kText - 1);
    _exit(text.empty() ? 0 : 1);
  }
  std::string all;
  for (int rank = 0; rank < n; ++rank) {
    int status = 0;
    waitpid(children[rank], &status, 0);
    if (shared->text[rank][0] != 0) all += onRank(rank, shared->text[rank]);
    if (WIFSIGNALED(status) && rank != mayDie)
      all += onRank(rank, "killed by signal " + std::to_string(WTERMSIG(status)));
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && shared->text[rank][0] == 0)
      all += onRank(rank, "exited with an error");
  }
  munmap(memory, sizeof(Shared));
  return all;
}

}  // namespace ranks
