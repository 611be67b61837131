// The reduction kernels against what the memory allows, measured in the same run.
//
//   reduce_bench                                        everything at the level in use (TUTTI_SIMD chooses)
//   reduce_bench --benchmark_filter='half'              one type
//   reduce_bench --summary [--all] [--only=TEXT] [--rounds=N]
//                                                       a table: each type and operator (with --all, each
//                                                       row) whose name has TEXT, as a percentage of the
//                                                       limit
//
// A row moves the same number of bytes as the limit beside it: a[] + b[] -> c[], each of `bytes` bytes, or as
// many sources as the row has. GB/s counts c only.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "kernels/host/kernel_table.hpp"
#include "kernels/host/reduce.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace tutti;
using namespace tutti::kernels;

/// Bytes of each array: all three in L2, in L3, far beyond L3.
struct Size {
  const char* name;
  size_t bytes;
};
constexpr Size kSizes[] = {{"L2", size_t{128} << 10}, {"L3", size_t{4} << 20}, {"DRAM", size_t{128} << 20}};
constexpr int kMaxSources = 8;

struct FreeDeleter {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<unsigned char, FreeDeleter>;

/// 1 in every type.
constexpr uint64_t kOnes[kDataTypeCount] = {
    1, 1, 1, 1, 1, 1, 0x3c00, 0x3f800000, 0x3ff0000000000000, 0x3f80, 0x38, 0x3c};

/// kMaxSources inputs and an output, shared by all benchmarks, filled with small numbers of the type last
/// asked for.
class Arena {
 public:
  static Arena& instance() {
    static Arena arena;
    return arena;
  }
  unsigned char* out() { return buffers_[kMaxSources].get(); }
  const void* const* sources() const { return sources_; }

  /// Small positive numbers: sums and products of them stay finite.
  void fill(DataType type, size_t bytes, int nSrcs) {
    if (type == type_ && bytes <= filled_ && nSrcs <= nSrcs_) return;
    for (int s = 0; s < nSrcs; ++s) fillOne(buffers_[s].get(), type, bytes);
    std::memset(out(), 0, bytes);
    type_ = type;
    filled_ = bytes;
    nSrcs_ = nSrcs;
  }

 private:
  Arena() {
    const size_t largest = kSizes[std::size(kSizes) - 1].bytes;
    for (int s = 0; s <= kMaxSources; ++s) {
      // Apart by an odd number of lines modulo the page, so that the arrays do not share cache sets.
      buffers_[s].reset(static_cast<unsigned char*>(std::aligned_alloc(4096, largest + 4096)));
      if (s < kMaxSources) sources_[s] = buffers_[s].get();
    }
  }
  static void fillOne(unsigned char* p, DataType type, size_t bytes) {
    const size_t size = sizeOf(type);
    for (size_t i = 0; i * size < bytes; ++i) {
      const uint64_t value = kOnes[static_cast<int>(type)] + i % 3;
      std::memcpy(p + i * size, &value, size);
    }
  }
  Buffer buffers_[kMaxSources + 1];
  const void* sources_[kMaxSources] = {};
  DataType type_ = DataType::Int8;
  size_t filled_ = 0;
  int nSrcs_ = 0;
};

// The limit: float addition (of one source, multiplication) and nothing else, without the canonical NaN, with
// the widest vectors that the level has.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) void limitAvx512(void* dst, const void* a, const void* b, size_t bytes) {
  auto* to = static_cast<char*>(dst);
  const auto* left = static_cast<const char*>(a);
  const auto* right = static_cast<const char*>(b);
  for (size_t i = 0; i < bytes; i += 256) {
    for (size_t u = 0; u < 256; u += 64) {
      _mm512_storeu_ps(to + i + u,
                       _mm512_add_ps(_mm512_loadu_ps(left + i + u), _mm512_loadu_ps(right + i + u)));
    }
  }
}
__attribute__((target("avx2"))) void limitAvx2(void* dst, const void* a, const void* b, size_t bytes) {
  auto* to = static_cast<float*>(dst);
  const auto* left = static_cast<const float*>(a);
  const auto* right = static_cast<const float*>(b);
  for (size_t i = 0; i < bytes / 4; i += 32) {
    for (size_t u = 0; u < 32; u += 8) {
      _mm256_storeu_ps(to + i + u,
                       _mm256_add_ps(_mm256_loadu_ps(left + i + u), _mm256_loadu_ps(right + i + u)));
    }
  }
}
#endif
void limitPlain(void* dst, const void* a, const void* b, size_t bytes) {
  auto* to = static_cast<float*>(dst);
  const auto* left = static_cast<const float*>(a);
  const auto* right = static_cast<const float*>(b);
  for (size_t i = 0; i < bytes / 4; ++i) to[i] = left[i] + right[i];
}
void limit(void* dst, const void* a, const void* b, size_t bytes) {
#if defined(__x86_64__)
  if (activeSimdLevel() == SimdLevel::Avx512) return limitAvx512(dst, a, b, bytes);
  if (activeSimdLevel() == SimdLevel::Avx2) return limitAvx2(dst, a, b, bytes);
#endif
  limitPlain(dst, a, b, bytes);
}

/// Of one source, or of three and more. Left to the compiler's vectoriser but for AVX-512.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) void limitManyAvx512(void* dst, const void* const* srcs, int nSrcs,
                                                        size_t bytes) {
  auto* to = static_cast<char*>(dst);
  for (size_t i = 0; i < bytes; i += 256) {
    __m512 acc[4];
    for (size_t u = 0; u < 4; ++u) acc[u] = _mm512_loadu_ps(static_cast<const char*>(srcs[0]) + i + 64 * u);
    for (int s = 1; s < nSrcs; ++s) {
      const char* from = static_cast<const char*>(srcs[s]) + i;
      for (size_t u = 0; u < 4; ++u) acc[u] = _mm512_add_ps(acc[u], _mm512_loadu_ps(from + 64 * u));
    }
    for (size_t u = 0; u < 4; ++u) {
      if (nSrcs == 1) acc[u] = _mm512_mul_ps(acc[u], _mm512_set1_ps(0.5f));
      _mm512_storeu_ps(to + i + 64 * u, acc[u]);
    }
  }
}
#endif
void limitMany(void* dst, const void* const* srcs, int nSrcs, size_t bytes) {
#if defined(__x86_64__)
  if (activeSimdLevel() == SimdLevel::Avx512) return limitManyAvx512(dst, srcs, nSrcs, bytes);
#endif
  auto* to = static_cast<float*>(dst);
  for (size_t i = 0; i < bytes / 4; ++i) {
    float acc = static_cast<const float*>(srcs[0])[i];
    for (int s = 1; s < nSrcs; ++s) acc += static_cast<const float*>(srcs[s])[i];
    to[i] = nSrcs == 1 ? acc * 0.5f : acc;
  }
}

/// One thing to measure: `run` moves `bytes` bytes per array once.
struct Row {
  std::string name;
  DataType type;
  int nSrcs;
  std::function<void(size_t bytes)> run;
};

std::vector<Row> pairRows() {
  std::vector<Row> rows;
  Arena& arena = Arena::instance();
  for (int t = 0; t < kDataTypeCount; ++t) {
    const auto type = static_cast<DataType>(t);
    for (int o = 0; o < kArithmeticOpCount; ++o) {  // Avg and PreMulSum reduce as Sum
      const ReduceFn fn = resolve2(type, static_cast<ReduceOp>(o));
      rows.push_back({fmt::format("{}/{}", nameOf(type), nameOf(static_cast<ReduceOp>(o))), type, 2,
                      [fn, type, &arena](size_t bytes) {
                        fn(arena.out(), arena.sources()[0], arena.sources()[1], bytes / sizeOf(type));
                      }});
    }
  }
  return rows;
}

std::vector<Row> otherRows() {
  std::vector<Row> rows;
  Arena& arena = Arena::instance();
  for (const DataType type :
       {DataType::Float32, DataType::Float16, DataType::Bfloat16, DataType::Float8e4m3}) {
    for (int k : {3, 4, 8}) {
      const ReduceManyFn fn = resolveMany(type, ReduceOp::Sum);
      rows.push_back(
          {fmt::format("{}/sum/{} sources", nameOf(type), k), type, k, [fn, type, k, &arena](size_t bytes) {
             fn(arena.out(), arena.sources(), k, bytes / sizeOf(type));
           }});
    }
    const ReduceFn streaming = resolve2Streaming(type, ReduceOp::Sum);
    rows.push_back(
        {fmt::format("{}/sum/streaming", nameOf(type)), type, 2, [streaming, type, &arena](size_t bytes) {
           streaming(arena.out(), arena.sources()[0], arena.sources()[1], bytes / sizeOf(type));
           streamFence();
         }});
    const ReduceManyFn fourStreaming = resolveManyStreaming(type, ReduceOp::Sum);
    rows.push_back({fmt::format("{}/sum/4 sources, streaming", nameOf(type)), type, 4,
                    [fourStreaming, type, &arena](size_t bytes) {
                      fourStreaming(arena.out(), arena.sources(), 4, bytes / sizeOf(type));
                      streamFence();
                    }});
  }
  for (int t = 0; t < kDataTypeCount; ++t) {
    const auto type = static_cast<DataType>(t);
    for (const Reduction reduction :
         {Reduction::of(type, ReduceOp::Avg, 3), Reduction{type, ReduceOp::PreMulSum, 1, kOnes[t]}}) {
      const char* step = needsPreScale(reduction) ? "scale" : "divide";
      rows.push_back({fmt::format("{}/{}/{}", nameOf(type), nameOf(reduction.op), step), type, 1,
                      [reduction, type, &arena](size_t bytes) {
                        const size_t count = bytes / sizeOf(type);
                        if (needsPreScale(reduction)) {
                          preScale(reduction, arena.out(), arena.sources()[0], count);
                        } else {
                          finish(reduction, arena.out(), count);
                        }
                      }});
    }
  }
  rows.push_back({"memcpy", DataType::Float32, 1,
                  [&arena](size_t bytes) { std::memcpy(arena.out(), arena.sources()[0], bytes); }});
  rows.push_back({"copyStreaming", DataType::Float32, 1, [&arena](size_t bytes) {
                    copyStreaming(arena.out(), arena.sources()[0], bytes);
                    streamFence();
                  }});
  return rows;
}

/// For rows with `nSrcs` sources. Of one source: in place where `inPlace`.
Row limitRow(int nSrcs, bool inPlace) {
  Arena& arena = Arena::instance();
  if (nSrcs == 2) {
    return {"limit", DataType::Float32, 2,
            [&arena](size_t bytes) { limit(arena.out(), arena.sources()[0], arena.sources()[1], bytes); }};
  }
  return {"limit", DataType::Float32, nSrcs, [&arena, nSrcs, inPlace](size_t bytes) {
            const void* out = arena.out();
            limitMany(arena.out(), inPlace ? &out : arena.sources(), nSrcs, bytes);
          }};
}

/// This thread's processor time: other programs on the machine do not count.
double now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Seconds of one call: the fastest of some repetitions of a few milliseconds.
double measure(const Row& row, size_t bytes) {
  const int calls = static_cast<int>(std::max<size_t>(1, (size_t{24} << 20) / bytes));
  double best = 1e9;
  for (int repetition = 0; repetition < 3; ++repetition) {
    const double start = now();
    for (int i = 0; i < calls; ++i) {
      row.run(bytes);
      benchmark::ClobberMemory();
    }
    best = std::min(best, (now() - start) / calls);
  }
  return best;
}

/// Each row beside a limit measured just before and after it; the median of the rounds' ratios.
void printSummary(int rounds, bool all, std::string_view only) {
  Arena& arena = Arena::instance();
  std::printf("level %s; GB/s of c, and %% of the limit (float a+b->c of the same bytes)\n",
              std::string(nameOf(activeSimdLevel())).c_str());
  std::printf("%-26s", "");
  for (const Size& size : kSizes) std::printf("%8s GB/s     %%", size.name);
  std::printf("\n");
  std::vector<Row> rows = pairRows();
  if (all) {
    for (Row& row : otherRows()) rows.push_back(std::move(row));
  }
  rows.push_back(limitRow(2, false));
  for (const Row& row : rows) {
    if (row.name.find(only) == std::string::npos) continue;
    std::printf("%-26s", row.name.c_str());
    const Row reference = limitRow(row.nSrcs, row.name.ends_with("divide"));
    for (const Size& size : kSizes) {
      arena.fill(row.type, size.bytes, std::max(2, row.nSrcs));
      std::vector<double> ratios, speeds;
      for (int round = 0; round < rounds; ++round) {
        const double before = measure(reference, size.bytes);
        const double mine = measure(row, size.bytes);
        const double after = measure(reference, size.bytes);
        ratios.push_back((before + after) / 2 / mine);
        speeds.push_back(static_cast<double>(size.bytes) / mine * 1e-9);
      }
      std::sort(ratios.begin(), ratios.end());
      std::sort(speeds.begin(), speeds.end());
      std::printf("%13.1f %5.0f", speeds[speeds.size() / 2], 100 * ratios[ratios.size() / 2]);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

void registerAll() {
  std::vector<Row> rows = pairRows();
  for (Row& row : otherRows()) rows.push_back(std::move(row));
  rows.push_back(limitRow(2, false));
  for (const Row& row : rows) {
    for (const Size& size : kSizes) {
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}", row.name, size.name).c_str(), [row, size](benchmark::State& state) {
            Arena::instance().fill(row.type, size.bytes, std::max(2, row.nSrcs));
            for (auto _ : state) {
              row.run(size.bytes);
              benchmark::ClobberMemory();
            }
            state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size.bytes));
          });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 3;
  bool summary = false;
  bool all = false;
  std::string_view only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--summary") summary = true;
    if (arg == "--all") all = true;
    if (arg.starts_with("--only=")) only = arg.substr(7);
    if (arg.starts_with("--rounds=")) rounds = std::max(1, std::atoi(arg.data() + 9));
  }
  if (summary) {
    printSummary(rounds, all, only);
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  registerAll();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
