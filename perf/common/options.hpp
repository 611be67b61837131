// The command line of the perf programs: the options of nccl-tests 2.19 with its spelling and defaults, and a
// few of ours.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"
#include "core/result.hpp"

namespace tutti::perf {

/// How the timed calls walk through memory (--cold).
enum class Reuse {
  Shift,  ///< as nccl-tests: each iteration moves on within --maxbytes
  Same,   ///< --cold 0: the same bytes every time
  Cold,   ///< --cold 1: rotates through more than the last-level cache
};

/// --average.
enum class Average { Rank0 = 0, Mean = 1, Min = 2, Max = 3 };

struct Options {
  int threads = 1;                                   // -t
  int ranksPerThread = 1;                            // -g
  size_t minBytes = 32 << 20;                        // -b
  size_t maxBytes = 32 << 20;                        // -e
  size_t stepBytes = 1 << 20;                        // -i
  size_t stepFactor = 1;                             // -f; 1: not used
  int iterations = 20;                               // -n
  int aggregated = 1;                                // -m
  int warmups = 1;                                   // -w
  int cycles = 1;                                    // -N; 0: for ever
  bool parallelInit = false;                         // -p
  int checks = 1;                                    // -c
  std::optional<ReduceOp> op = ReduceOp::Sum;        // -o; none: all
  std::optional<DataType> type = DataType::Float32;  // -d; none: all
  int root = 0;                                      // -r; -1: all
  int blocking = 0;                                  // -z
  std::optional<bool> streamNull;                    // -y; none: not said
  int timeoutSeconds = 0;                            // -T; 0: none
  int graphLaunches = 0;                             // -G
  bool cpuTime = false;                              // -C
  bool timestamps = false;                           // -S
  std::string outputFile;                            // -J
  Average average = Average::Mean;                   // -a
  int registration = 0;                              // -R; 1 local, 2 symmetric
  int ctaPolicy = -1;                                // -x; -1: not set
  bool memoryReport = false;                         // -M
  int unalign = 0;                                   // -u
  bool perIteration = false;                         // -I
  int perIterationSkip = 0;                          // -K
  Reuse reuse = Reuse::Shift;                        // --cold

  bool help = false;
  bool version = false;
  /// What was accepted but means little or nothing on host memory; for the header.
  std::vector<std::string> notes;

  /// True where the calls return at once and a stream is waited for.
  bool usesStreams() const { return streamNull.has_value() && !*streamNull; }
  /// Iterations that one row times.
  int timedIterations() const { return graphLaunches > 0 ? iterations * graphLaunches : iterations; }
};

/// Parses argv[1..]. An error names the option, what was given and what it takes.
Result<Options> parseOptions(int argc, const char* const* argv);

/// "8", "32K", "1.5M", "2g" in bytes (K, M, G are powers of 1024).
Result<size_t> parseSize(std::string_view text);

/// What --help prints.
std::string usage(std::string_view program);

/// The sizes of a run: minBytes up to maxBytes by stepFactor or stepBytes. `elementSize` is the step away
/// from 0.
std::vector<size_t> sizesOf(const Options& options, size_t elementSize);

}  // namespace tutti::perf
