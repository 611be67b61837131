#include "transport/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace tutti::transport {
namespace {

struct Allocation {
  uint32_t number;
  size_t bytes;
  size_t mappedBytes;
  UniqueFd fd;
};

struct Registry {
  std::shared_mutex mutex;
  std::map<uintptr_t, Allocation> byBase;
  uint32_t nextNumber = 1;
  std::atomic<uint64_t> freed{0};
  std::atomic<size_t> count{
      0};  ///< lets findShared() answer without the lock where nobody uses shared allocations
};

Registry& registry() {
  static auto* instance = new Registry;  // never destroyed: buffers may be freed by static destructors
  return *instance;
}

}  // namespace

Result<void*> allocateShared(size_t bytes) {
  constexpr size_t kPage = 4096;
  if (bytes > SIZE_MAX / 2)
    return makeError(Code::InvalidArgument, "an allocation of {} bytes is too large", bytes);
  size_t mapped = (std::max<size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
  UniqueFd fd(memfd_create("tutti-memory", MFD_CLOEXEC));
  if (!fd) return makeSystemError(errno, "memfd_create for {} bytes of shared memory", bytes);
  if (ftruncate(fd.get(), static_cast<off_t>(mapped)) != 0) {
    return makeSystemError(errno, "growing shared memory to {} bytes", mapped);
  }
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return makeSystemError(errno, "mapping {} bytes of shared memory", mapped);
  std::unique_lock lock(registry().mutex);
  uint32_t number = registry().nextNumber++;
  registry().byBase.emplace(reinterpret_cast<uintptr_t>(base),
                            Allocation{number, bytes, mapped, std::move(fd)});
  registry().count.fetch_add(1, std::memory_order_relaxed);
  return base;
}

Status freeShared(void* pointer) {
  size_t mapped = 0;
  UniqueFd fd;
  {
    std::unique_lock lock(registry().mutex);
    auto it = registry().byBase.find(reinterpret_cast<uintptr_t>(pointer));
    if (it == registry().byBase.end()) {
      return makeError(Code::InvalidArgument,
                       "{} was not allocated by ncclMemAlloc, or has been freed already", pointer);
    }
    mapped = it->second.mappedBytes;
    fd = std::move(it->second.fd);
    registry().byBase.erase(it);
    registry().count.fetch_sub(1, std::memory_order_relaxed);
    registry().freed.fetch_add(1, std::memory_order_relaxed);
  }
  // The pages go now; descriptors and mappings that peers still have hold nothing any more. They let go of
  // those at their next call (Links::sweep). No truncation: a peer that looks once more must not get SIGBUS.
  (void)fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(mapped));
  munmap(pointer, mapped);
  return {};
}

std::optional<SharedSpot> findShared(const void* pointer, size_t bytes) {
  // relaxed: a thread that passes a buffer to a call has got it from allocateShared, with whatever ordering
  // that took
  if (registry().count.load(std::memory_order_relaxed) == 0) return std::nullopt;
  auto address = reinterpret_cast<uintptr_t>(pointer);
  std::shared_lock lock(registry().mutex);
  auto it = registry().byBase.upper_bound(address);
  if (it == registry().byBase.begin()) return std::nullopt;
  --it;
  uint64_t offset = address - it->first;
  if (offset > it->second.mappedBytes || bytes > it->second.mappedBytes - offset) return std::nullopt;
  return SharedSpot{it->second.number, offset, it->second.mappedBytes};
}

uint64_t freedCount() {
  return registry().freed.load(std::memory_order_relaxed);  // relaxed: see findShared()
}

void* sharedBase(uint32_t allocation) {
  std::shared_lock lock(registry().mutex);
  for (auto& [base, entry] : registry().byBase) {
    if (entry.number == allocation) return reinterpret_cast<void*>(base);
  }
  return nullptr;
}

Result<UniqueFd> duplicateSharedFd(uint32_t allocation) {
  std::shared_lock lock(registry().mutex);
  for (auto& [base, entry] : registry().byBase) {
    if (entry.number != allocation) continue;
    UniqueFd copy(fcntl(entry.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return makeSystemError(errno, "duplicating a shared allocation's descriptor");
    return copy;
  }
  return makeError(Code::InvalidArgument, "shared allocation {} has been freed", allocation);
}

}  // namespace tutti::transport
