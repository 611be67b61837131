// Vectors that are read all over: on large pages, where the kernel gives them, most reads find their address
// translated already.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace tutti::sim {

template <typename T>
struct LargePages {
  using value_type = T;
  static constexpr size_t kPage = size_t{2} << 20;

  LargePages() = default;
  template <typename U>
  LargePages(const LargePages<U>&) {}  // NOLINT: implicit on purpose

  T* allocate(size_t n) {
    const size_t bytes = n * sizeof(T);
    if (bytes < 2 * kPage) return static_cast<T*>(::operator new(bytes, std::align_val_t(64)));
    void* at = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (at == nullptr) throw std::bad_alloc();
    madvise(at, bytes, MADV_HUGEPAGE);  // a wish: ordinary pages do as well
    return static_cast<T*>(at);
  }
  void deallocate(T* at, size_t n) {
    if (n * sizeof(T) < 2 * kPage) {
      ::operator delete(at, std::align_val_t(64));
    } else {
      std::free(at);
    }
  }
  template <typename U>
  bool operator==(const LargePages<U>&) const {
    return true;
  }
};

template <typename T>
using BigVector = std::vector<T, LargePages<T>>;

}  // namespace tutti::sim
