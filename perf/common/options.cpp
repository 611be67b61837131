#include "options.hpp"

#include <getopt.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace tutti::perf {
namespace {

constexpr int kColdOption = 1000;
constexpr int kVersionOption = 1001;

/// One option: its letter (or number), long name, what it takes and what it does.
struct OptionRow {
  int key;
  const char* name;
  const char* takes;  ///< nullptr: no argument
  const char* help;
};

constexpr OptionRow kRows[] = {
    {'t', "nthreads", "<n>", "threads per process (default 1)"},
    {'g', "ngpus", "<n>", "ranks per thread (default 1)"},
    {'b', "minbytes", "<size>", "smallest size (default 32M); sizes take K, M, G (1024)"},
    {'e', "maxbytes", "<size>", "largest size (default 32M)"},
    {'i', "stepbytes", "<size>", "step between sizes (default 1M)"},
    {'f', "stepfactor", "<n>", "factor between sizes, instead of a step"},
    {'n', "iters", "<n>", "timed iterations (default 20)"},
    {'m', "agg_iters", "<n>", "operations in one group per iteration (default 1)"},
    {'w', "warmup_iters", "<n>", "warm-up iterations per size (default 1)"},
    {'N', "run_cycles", "<n>", "run and print all sizes this often, 0 for ever (default 1)"},
    {'p', "parallel_init", "<0/1>", "threads create their communicators themselves (default 0)"},
    {'c', "check", "<n>", "checked iterations per size, 0 for none (default 1)"},
    {'o', "op", "<sum/prod/max/min/avg/mulsum/all>", "reduction (default sum)"},
    {'d', "datatype", "<type/all>",
     "int8 uint8 int32 uint32 int64 uint64 half float double bfloat16 f8e4m3 f8e5m2 (default float)"},
    {'r', "root", "<rank/all>", "root, -1 or all for every rank in turn (default 0)"},
    {'z', "blocking", "<0/1/2/3>",
     "1: wait and barrier after each call, 2: wait, 3: wait and barrier after each iteration, untimed "
     "(default 0)"},
    {'y', "stream_null", "<0/1>",
     "1: calls on stream NULL, which return when done; 0: a host stream per rank (default here: 1)"},
    {'T', "timeout", "<seconds>", "give up a test after this long, 0 never (default 0)"},
    {'G', "cudagraph", "<n>", "host memory has no graphs: n times as many iterations (default 0)"},
    {'C', "report_cputime", "<0/1>", "report the time until the calls return (default 0)"},
    {'S', "report_timestamps", "<0/1>", "a time stamp on each row (default 0)"},
    {'J', "output_file", "<file>.json", "write the results as JSON, too"},
    {'a', "average", "<0/1/2/3>", "time over the ranks: 0 rank 0, 1 mean, 2 min, 3 max (default 1)"},
    {'R', "local_register", "<0/1/2>",
     "1: ncclCommRegister the buffers, 2: ncclMemAlloc and symmetric windows (default 0: malloc)"},
    {'x', "cta_policy", "<0/1/2>", "CTA policy of the communicators (default: not set)"},
    {'D', "device_implementation", "<n>", "needs a GPU: only 0 here"},
    {'V', "device_cta_count", "<n>", "only with -D: no meaning here"},
    {'M', "memory", "<0/1>", "report memory use (default 0)"},
    {'u', "unalign", "<n>", "start the buffers at this element (default 0)"},
    {'I', "per_iter_timing", "<0/1>", "time each iteration and show min, max, p99 and cv (default 0)"},
    {'K', "per_iter_skip", "<n>", "leave the first n out of the -I figures (default 0)"},
    {kColdOption, "cold", "<0/1>",
     "0: the same bytes in every iteration, 1: rotate through more than the last-level cache\n"
     "      (default: as nccl-tests, move on within maxbytes)"},
    {kVersionOption, "version", nullptr, "print the version"},
    {'h', "help", nullptr, "print this"},
};

const OptionRow* rowOf(int key) {
  for (const OptionRow& row : kRows) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

std::string spelled(int key) {
  const OptionRow* row = rowOf(key);
  return key < 256 ? fmt::format("-{} (--{})", static_cast<char>(key), row->name)
                   : fmt::format("--{}", row->name);
}

/// The argument of option `key` as an integer in [min, max].
Result<int> integer(int key, const char* text, int min, int max = std::numeric_limits<int>::max()) {
  errno = 0;
  char* end = nullptr;
  long long value = std::strtoll(text, &end, 0);
  if (end == text || *end != '\0' || errno == ERANGE || value < min || value > max) {
    std::string range = max == std::numeric_limits<int>::max() ? fmt::format("{} or more", min)
                                                               : fmt::format("{} to {}", min, max);
    return makeError(Code::InvalidArgument, "{} takes a whole number, {}; got '{}'", spelled(key), range,
                     text);
  }
  return static_cast<int>(value);
}

Result<size_t> size(int key, const char* text) {
  auto bytes = parseSize(text);
  if (!bytes.ok()) return std::move(bytes).error().context(spelled(key));
  return bytes;
}

template <typename Target, typename Value>
Status store(Target& target, Result<Value> value) {
  if (!value.ok()) return std::move(value).error();
  target = static_cast<Value>(*value);
  return {};
}

Status applyData(Options& options, int key, const char* text) {
  std::string_view name(text);
  if (key == 'd') {
    options.type = dataTypeFromName(name);
    if (!options.type && name != "all") {
      return makeError(Code::InvalidArgument, "{} takes all or one of {}; got '{}'", spelled(key),
                       rowOf(key)->help, name);
    }
  } else {
    options.op = reduceOpFromName(name);
    if (!options.op && name != "all") {
      return makeError(Code::InvalidArgument, "{} takes {}; got '{}'", spelled(key), rowOf(key)->takes, name);
    }
  }
  return {};
}

Status apply(Options& options, int key, const char* text) {
  constexpr int kMany = 1 << 20;
  switch (key) {
    case 't':
      return store(options.threads, integer(key, text, 1, 4096));
    case 'g':
      return store(options.ranksPerThread, integer(key, text, 1, 4096));
    case 'b':
      return store(options.minBytes, size(key, text));
    case 'e':
      return store(options.maxBytes, size(key, text));
    case 'i':
      return store(options.stepBytes, size(key, text));
    case 'f':
      return store(options.stepFactor, integer(key, text, 1, kMany));
    case 'n':
      return store(options.iterations, integer(key, text, 1));
    case 'm':
      return store(options.aggregated, integer(key, text, 1, kMany));
    case 'w':
      return store(options.warmups, integer(key, text, 0));
    case 'N':
      return store(options.cycles, integer(key, text, 0));
    case 'p':
      return store(options.parallelInit, integer(key, text, 0, 1));
    case 'c':
      return store(options.checks, integer(key, text, 0));
    case 'o':
    case 'd':
      return applyData(options, key, text);
    case 'r':
      if (std::string_view(text) == "all") text = "-1";
      return store(options.root, integer(key, text, -1));
    case 'z':
      return store(options.blocking, integer(key, text, 0, 3));
    case 'y':
      return store(options.streamNull, integer(key, text, 0, 1));
    case 'T':
      return store(options.timeoutSeconds, integer(key, text, 0));
    case 'G':
      return store(options.graphLaunches, integer(key, text, 0, kMany));
    case 'C':
      return store(options.cpuTime, integer(key, text, 0, 1));
    case 'S':
      return store(options.timestamps, integer(key, text, 0, 1));
    case 'J':
      options.outputFile = text;
      break;
    case 'a': {
      TUTTI_ASSIGN(int mode, integer(key, text, 0, 3));
      options.average = static_cast<Average>(mode);
      break;
    }
    case 'R':
      return store(options.registration, integer(key, text, 0, 2));
    case 'x':
      options.notes.push_back("-x: a CTA policy has no effect on host memory");
      return store(options.ctaPolicy, integer(key, text, 0, 2));
    case 'D': {
      TUTTI_ASSIGN(int implementation, integer(key, text, 0));
      if (implementation > 0) {
        return makeError(Code::InvalidUsage,
                         "{}: device implementations need a GPU; only 0 runs on host memory", spelled(key));
      }
      break;
    }
    case 'V': {
      TUTTI_ASSIGN([[maybe_unused]] int count, integer(key, text, 1, 128));
      options.notes.push_back("-V: there are no CTAs on host memory");
      break;
    }
    case 'M':
      return store(options.memoryReport, integer(key, text, 0, 1));
    case 'u':
      return store(options.unalign, integer(key, text, 0, 1 << 16));
    case 'I':
      return store(options.perIteration, integer(key, text, 0, 1));
    case 'K':
      return store(options.perIterationSkip, integer(key, text, 0));
    case kColdOption: {
      TUTTI_ASSIGN(int cold, integer(key, text, 0, 1));
      options.reuse = cold ? Reuse::Cold : Reuse::Same;
      break;
    }
    case kVersionOption:
      options.version = true;
      break;
    case 'h':
      options.help = true;
      break;
    default:
      return makeError(Code::InternalError, "option {} has no meaning yet", key);
  }
  return {};
}

/// Options that contradict each other.
Status checkTogether(Options& options) {
  if (options.minBytes > options.maxBytes) {
    return makeError(Code::InvalidArgument, "-b (--minbytes) {} is above -e (--maxbytes) {}",
                     options.minBytes, options.maxBytes);
  }
  if (options.stepFactor <= 1 && options.stepBytes == 0 && options.minBytes < options.maxBytes) {
    return makeError(Code::InvalidArgument, "-i (--stepbytes) 0 never gets from minbytes to maxbytes");
  }
  if (options.graphLaunches > 0) {
    options.notes.push_back(
        fmt::format("-G {}: no CUDA graphs on host memory; {} iterations are timed instead",
                    options.graphLaunches, options.timedIterations()));
    if (options.perIteration) {
      return makeError(Code::InvalidUsage, "-I (--per_iter_timing) cannot be combined with -G (--cudagraph)");
    }
    if (options.blocking == 3) {
      return makeError(Code::InvalidUsage, "-z 3 (--blocking) cannot be combined with -G (--cudagraph)");
    }
  }
  if (options.perIterationSkip > 0 && !options.perIteration) {
    return makeError(Code::InvalidUsage, "-K (--per_iter_skip) needs -I 1 (--per_iter_timing)");
  }
  if (options.perIterationSkip >= options.iterations) {
    return makeError(Code::InvalidArgument, "-K (--per_iter_skip) must be below the {} iterations of -n",
                     options.iterations);
  }
  if (options.cpuTime && !options.usesStreams()) {
    options.notes.push_back(
        "-C: calls on stream NULL return when done, so the CPU time is the latency (-y 0 differs)");
  }
  size_t dot = options.outputFile.rfind('.');
  if (!options.outputFile.empty() &&
      (dot == std::string::npos || options.outputFile.compare(dot, std::string::npos, ".json") != 0)) {
    return makeError(Code::InvalidArgument,
                     "-J (--output_file) takes a file name that ends in .json; got '{}'", options.outputFile);
  }
  return {};
}

}  // namespace

Result<size_t> parseSize(std::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  errno = 0;
  double number = std::strtod(copy.c_str(), &end);
  double unit = 1;
  bool valid = end != copy.c_str() && errno == 0 && std::isfinite(number) && number >= 0;
  if (valid && *end != '\0') {
    switch (*end++) {
      case 'k':
      case 'K':
        unit = 1024.0;
        break;
      case 'm':
      case 'M':
        unit = 1024.0 * 1024;
        break;
      case 'g':
      case 'G':
        unit = 1024.0 * 1024 * 1024;
        break;
      default:
        valid = false;
    }
    valid = valid && *end == '\0';
  }
  // 2^53: up to here a double counts bytes exactly, and no machine has more.
  if (!valid || number * unit > 9007199254740992.0) {
    return makeError(Code::InvalidArgument, "'{}' is not a size: a number, perhaps with K, M or G", text);
  }
  return static_cast<size_t>(number * unit);
}

Result<Options> parseOptions(int argc, const char* const* argv) {
  std::string letters = ":";
  std::vector<option> longOptions;
  for (const OptionRow& row : kRows) {
    longOptions.push_back({row.name, row.takes ? required_argument : no_argument, nullptr, row.key});
    if (row.key < 256) {
      letters += static_cast<char>(row.key);
      if (row.takes) letters += ':';
    }
  }
  longOptions.push_back({nullptr, 0, nullptr, 0});

  Options options;
  optind = 0;  // starts glibc's scanner afresh: this function may be called again
  auto* arguments = const_cast<char* const*>(argv);
  for (;;) {
    int at = optind == 0 ? 1 : optind;
    int key = getopt_long(argc, arguments, letters.c_str(), longOptions.data(), nullptr);
    if (key == -1) break;
    if (key == ':') return makeError(Code::InvalidArgument, "{} needs a value", argv[at]);
    if (key == '?') {
      return makeError(Code::InvalidArgument, "unknown option '{}'; --help lists them", argv[at]);
    }
    TUTTI_TRY(apply(options, key, optarg));
  }
  if (optind < argc) {
    return makeError(Code::InvalidArgument, "'{}' is not an option; --help lists them", argv[optind]);
  }
  TUTTI_TRY(checkTogether(options));
  return options;
}

std::string usage(std::string_view program) {
  std::string text = fmt::format("USAGE: {} [options]\n", program);
  for (const OptionRow& row : kRows) {
    std::string names = row.key < 256 ? fmt::format("-{},", static_cast<char>(row.key)) : "   ";
    text += fmt::format("  {}--{} {}\n      {}\n", names, row.name, row.takes ? row.takes : "", row.help);
  }
  text +=
      "\nRanks: processes (tutti run, mpirun, torchrun, srun) x threads (-t) x ranks per thread (-g).\n"
      "Environment: NCCL_TESTS_SPLIT, NCCL_TESTS_SPLIT_MASK, NCCL_TESTS_MIN_BW, and for alltoallv_perf\n"
      "NCCL_TESTS_ALLTOALLV_SPREAD, _MATRIX_FILE, _MATRIX_SCALE, _PRINT_SUMMARY, as in nccl-tests.\n";
  return text;
}

std::vector<size_t> sizesOf(const Options& options, size_t elementSize) {
  std::vector<size_t> sizes;
  size_t size = options.minBytes;
  for (;;) {
    sizes.push_back(size);
    size_t next = 0;
    if (options.stepFactor > 1) {
      if (__builtin_mul_overflow(size, options.stepFactor, &next)) break;
      if (size == 0) next = elementSize;
    } else if (options.stepBytes == 0 || __builtin_add_overflow(size, options.stepBytes, &next)) {
      break;
    }
    if (next > options.maxBytes) break;
    size = next;
  }
  return sizes;
}

}  // namespace tutti::perf
