#include "calibration/measure.hpp"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "calibration/fingerprint.hpp"
#include "calibration/rounds.hpp"
#include "core/clock.hpp"
#include "kernels/host/reduce.hpp"
#include "transport/ll.hpp"

namespace tutti::calibration {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr size_t kMostBytes = 96 << 20;  ///< to touch it is what takes longest

/// Fresh memory, in huge pages where the system has some: touching 64 MiB page by page takes 20 ms.
class Area {
 public:
  explicit Area(size_t bytes) : bytes_(bytes) {
    void* made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return;
    base_ = static_cast<std::byte*>(made);
    madvise(base_, bytes_, MADV_HUGEPAGE);
  }
  ~Area() {
    if (base_ != nullptr) munmap(base_, bytes_);
  }
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;

  /// Has pages made for the first `bytes`. False when the time is up.
  bool touch(size_t bytes, int64_t deadlineNs) {
    for (; touched_ < bytes; touched_ += 4096) {
      base_[touched_] = std::byte{1};
      if (touched_ % (1 << 20) == 0 && nowNs() >= deadlineNs) return false;
    }
    return true;
  }
  std::byte* base() const { return base_; }

 private:
  std::byte* base_ = nullptr;
  size_t bytes_;
  size_t touched_ = 0;
};

/// GB/s of `bytes` in `ns`.
double rate(size_t bytes, double ns) {
  return static_cast<double>(bytes) / ns;
}

Status measureKernels(Values& v, std::byte* base, size_t l2, int64_t deadlineNs) {
  const auto sum = kernels::Reduction::of(DataType::Float32, ReduceOp::Sum);
  const size_t part = std::min<size_t>(l2 / 8, 1 << 20) / 4096 * 4096;
  TUTTI_ASSIGN(const double copied,
               timed("copyL2", 2 * kMs, deadlineNs, [&] { kernels::copy(base, base + part, part); }));
  v.copyL2 = rate(part, copied);
  TUTTI_ASSIGN(const double reduced, timed("reduceL2", 2 * kMs, deadlineNs, [&] {
                 kernels::reduce2(sum, base, base + part, base + 2 * part, part / sizeof(float));
               }));
  v.reduceL2 = rate(part, reduced);
  const std::array<const void*, 4> sources = {base + part, base + 2 * part, base + 3 * part, base + 4 * part};
  TUTTI_ASSIGN(const double read, timed("readL2", 2 * kMs, deadlineNs, [&] {
                 kernels::reduceMany(sum, base, sources.data(), 4, part / sizeof(float));
               }));
  v.readL2 = rate(4 * part, read);
  return {};
}

Status measureLines(Values& v, std::byte* base, int64_t deadlineNs) {
  constexpr size_t kLines = 64;
  auto* lines = reinterpret_cast<transport::LLLine*>(base);
  std::byte* data = base + kLines * sizeof(transport::LLLine);
  bool seen = true;
  TUTTI_ASSIGN(const double ns, timed("lineNs", kMs, deadlineNs, [&] {
                 const size_t bytes = kLines * transport::kLLLineData;
                 transport::llPack(lines, data, bytes, 1);
                 seen &= transport::llCheck(lines, bytes, 1) == transport::LLState::There;
                 transport::llUnpack(data, lines, bytes);
               }));
  if (!seen) return Error(Code::InternalError, "lineNs: a line was not there");
  v.lineNs = ns / kLines;
  return {};
}

/// Copies within `whole` bytes at `base`, a piece at a time, so that a round is short.
Result<double> copyRate(const char* what, std::byte* base, size_t whole, int64_t sliceNs,
                        int64_t deadlineNs) {
  constexpr size_t kPiece = 512 << 10;
  const size_t half = whole / 2 / kPiece * kPiece;
  size_t at = 0;
  // The caller has touched it all, last where it will be read last.
  TUTTI_ASSIGN(const double ns, timed(what, sliceNs, deadlineNs, [&] {
                 kernels::copy(base + half + at, base + at, kPiece);
                 at = (at + kPiece) % half;
               }));
  return rate(kPiece, ns);
}

}  // namespace

Result<Values> measure(int budgetMs, const std::function<void(std::string_view)>& progress) {
  const int64_t deadlineNs = nowNs() + budgetMs * kMs;
  auto tell = [&](std::string_view what) {
    if (progress) progress(what);
  };
  auto leftUs = [&] { return std::max<int64_t>(1, (deadlineNs - nowNs()) / 1000); };
  const Fingerprint& machine = fingerprint();
  Values v;
  v.l2KiB = machine.l2KiB;
  v.l3KiB = machine.l3KiB;
  const auto bytesOf = [](double kib, size_t otherwise) {
    return kib > 0 ? static_cast<size_t>(kib * 1024) : otherwise;
  };
  const size_t l2 = bytesOf(v.l2KiB, 512 << 10);
  const size_t l3 = bytesOf(v.l3KiB, 0);

  tell("cores");
  const int cpu = sched_getcpu();
  TUTTI_ASSIGN(v.yieldUs, timed("yieldUs", kMs, deadlineNs, [] { sched_yield(); }));
  v.yieldUs /= 1000;
  TUTTI_ASSIGN(v.switchUs, measureSwitch(cpu, leftUs() / 3));
  if (const int other = neighbourOf(cpu); other >= 0) {
    tell("hand-over between cores");
    TUTTI_ASSIGN(const Link link, measureLink(cpu, other, leftUs() / 3));
    v.oneWayNs = link.oneWayNs;
    v.plainGBps = link.plainGBps;
    v.streamGBps = link.streamGBps;
  }

  // Beyond L2: within L3 where there is one, but at least four times L2. Beyond L3: twice it, if that is
  // still affordable.
  const size_t middle = std::clamp<size_t>(l3 / 4, 4 * l2, kMostBytes / 2);
  const size_t large = l3 > 0 ? 2 * l3 : 0;
  tell("caches");
  Area area(kMostBytes);
  if (area.base() == nullptr) return Error(Code::SystemError, "no memory to measure in");
  if (!area.touch(middle, deadlineNs)) return Error(Code::Timeout, "no time was left to measure the caches");
  TUTTI_TRY(measureKernels(v, area.base(), l2, deadlineNs));
  TUTTI_TRY(measureLines(v, area.base(), deadlineNs));
  TUTTI_ASSIGN(v.copyL3, copyRate("copyL3", area.base(), middle, 4 * kMs, deadlineNs));
  if (large > 0 && large <= kMostBytes) {
    tell("memory");
    // Where the system has to make room first, this takes all the time there is: then it goes without.
    if (area.touch(large, deadlineNs)) {
      Result<double> rate = copyRate("copyMemory", area.base(), large, 8 * kMs, deadlineNs);
      if (rate.ok()) v.copyMemory = *rate;
    }
  }
  TUTTI_TRY(checkPlausible(v));
  return v;
}

}  // namespace tutti::calibration
