// The run of a perf program from the command line to the exit status.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

#include "collective.hpp"
#include "library.hpp"
#include "machine.hpp"
#include "session.hpp"
#include "worker.hpp"

extern char** environ;

namespace tutti::perf {
namespace {

std::string baseName(const char* path) {
  std::string_view name(path ? path : "perf");
  return std::string(name.substr(name.rfind('/') + 1));
}

std::string transportOf(ncclComm_t comm) {
  char text[512] = "";
  if (!library().describe || library().describe(comm, text, sizeof(text)) != ncclSuccess || !text[0])
    return "not told";
  return text;
}

/// "8 B - 4 KiB oneshot/LL, 8 KiB - 1 MiB ring/Simple" for one type and op; empty where the library does not
/// tell.
std::string algorithmsOf(const Session& session, ncclComm_t comm, DataType type, ReduceOp op) {
  if (!library().explain) return "";
  struct Range {
    size_t from, to;
    std::string algorithm;
  };
  std::vector<Range> ranges;
  for (size_t bytes : sizesOf(session.options, sizeOf(type))) {
    Shape shape = session.collective.shape(bytes / sizeOf(type), sizeOf(type), session.ranks);
    if (shape.count == 0) continue;
    char text[256] = "";
    ncclResult_t result =
        library().explain(comm, session.collective.name, shape.count, static_cast<ncclDataType_t>(type),
                          static_cast<ncclRedOp_t>(op), text, sizeof(text));
    if (result != ncclSuccess || !text[0]) return "";
    if (ranges.empty() || ranges.back().algorithm != text) ranges.push_back({bytes, bytes, text});
    ranges.back().to = bytes;
  }
  std::string line;
  for (const Range& range : ranges) {
    if (!line.empty()) line += ", ";
    line += sizeText(range.from);
    if (range.to != range.from) line += " - " + sizeText(range.to);
    line += " " + range.algorithm;
  }
  return line;
}

std::vector<std::string> algorithmLines(const Session& session, ncclComm_t comm) {
  constexpr size_t kMost = 4;  // of -d all -o all the first few tell enough
  std::vector<std::string> lines;
  for (int t = 0; t < kDataTypeCount; ++t) {
    if (session.options.type && static_cast<int>(*session.options.type) != t) continue;
    for (int o = 0; o < static_cast<int>(ReduceOp::PreMulSum); ++o) {
      bool wanted = session.collective.reduces
                        ? !session.options.op || static_cast<int>(*session.options.op) == o
                        : o == 0;
      if (!wanted || lines.size() == kMost) continue;
      auto type = static_cast<DataType>(t);
      auto op = static_cast<ReduceOp>(o);
      std::string ranges = algorithmsOf(session, comm, type, op);
      if (ranges.empty()) continue;
      std::string what(nameOf(type));
      if (session.collective.reduces) what += fmt::format(" {}", nameOf(op));
      lines.push_back(fmt::format("{}: {}", what, ranges));
    }
  }
  return lines;
}

/// Everything above the table's rows; also the configuration part of the JSON.
void printHeader(Session& session) {
  const Options& options = session.options;
  OwnFacts facts;
  facts.version = library().ownVersion;
  facts.launcher = session.team->world().launcher;
  facts.cpu = cpuModel();
  facts.cores = usableCores();
  facts.transport = transportOf(session.locals[0].comm);
  facts.algorithms = algorithmLines(session, session.locals[0].comm);

  std::vector<RankInfo> devices = session.devices();
  std::set<std::string> hosts;
  std::string text = headerText(options, session.versions(), session.program) + "# Using devices\n";
  for (const RankInfo& device : devices) {
    text += deviceLine(device);
    hosts.insert(device.host);
  }
  text += fmt::format("#\n# CPU: {}, {} usable cores, {} last-level cache\n", facts.cpu, facts.cores,
                      sizeText(lastLevelCacheBytes()));
  std::string hostList;
  for (const std::string& host : hosts) hostList += (hostList.empty() ? "" : ", ") + host;
  text +=
      fmt::format("# Hosts: {}; launcher: {}\n# Transport: {}\n", hostList, facts.launcher, facts.transport);
  for (const std::string& line : facts.algorithms) text += fmt::format("# Algorithm: {}\n", line);
  std::fputs((text + columnsText(options)).c_str(), stdout);
  std::fflush(stdout);
  if (session.json) session.json->config(options, session.versions(), devices, facts);
}

/// Runs all workers; returns what -M wants to know: bytes of communicators, of buffers, of the calls.
Status runWorkers(Session& session, double (&memory)[3]) {
  auto work = [&](int thread) -> Status {
    TUTTI_TRY(Worker(session, thread).run());
    double mine[3] = {static_cast<double>(session.bytesComms - session.bytesBefore),
                      static_cast<double>(session.bytesBuffers - session.bytesComms),
                      static_cast<double>(residentBytes() - session.bytesBuffers)};
    for (int i = 0; i < 3; ++i) {
      TUTTI_ASSIGN(double most, session.team->combine(thread, mine[i], Combine::Max));
      if (thread == 0) memory[i] = most;
    }
    return {};
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < session.threadCount(); ++t) {
    threads.emplace_back([&, t] {
      Status status = work(t);
      if (!status.ok()) session.fail(status.error());
    });
  }
  Status status = work(0);
  if (!status.ok()) session.fail(status.error());
  for (std::thread& thread : threads) thread.join();
  return {};
}

std::optional<double> minBandwidth() {
  const char* text = std::getenv("NCCL_TESTS_MIN_BW");
  if (!text) return std::nullopt;
  return std::atof(text);
}

Status runAll(Session& session, int argc, char** argv, int& exitStatus) {
  TUTTI_TRY(session.gather());
  bool speaks = session.speaks(0);
  if (speaks && !session.options.outputFile.empty()) {
    TUTTI_ASSIGN(session.json, JsonReport::open(session.options.outputFile, argc, argv, environ));
    std::printf("# Writing JSON output to %s\n", session.json->path().c_str());
  }
  TUTTI_TRY(session.setUp());
  if (speaks) printHeader(session);

  double memory[3] = {};
  TUTTI_TRY(runWorkers(session, memory));
  double bandwidth = session.busCount > 0 ? session.busSum / static_cast<double>(session.busCount) : 0;
  std::optional<double> wanted = minBandwidth();
  if (speaks) {
    std::fputs(footerText(session.wrongRows, bandwidth, wanted, session.program).c_str(), stdout);
    if (session.options.memoryReport) {
      auto part = [&](int i) { return memoryText(static_cast<int64_t>(memory[i])); };
      std::printf("# %-20s : Initialization %s | User-Allocated %s | Collective %s | Total  %s\n",
                  "Host memory usage", part(0).c_str(), part(1).c_str(), part(2).c_str(),
                  memoryText(static_cast<int64_t>(memory[0] + memory[1] + memory[2])).c_str());
    }
    std::printf("#\n\n");
    std::fflush(stdout);
  }
  TUTTI_TRY(session.tearDown());
  if (session.json) TUTTI_TRY(session.json->finish(session.wrongRows, bandwidth, wanted, ""));
  bool good = session.wrongRows == 0 && enough(bandwidth, wanted);
  exitStatus = good ? EXIT_SUCCESS : EXIT_FAILURE;
  return {};
}

}  // namespace

int perfMain(const Collective& collective, int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);  // a row is there when it is done, whole
  std::string program = baseName(argv[0]);
  Result<Options> options = parseOptions(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), options.error().message().c_str());
    return 2;
  }
  if (options->help) {
    std::printf("%s\n%s", usage(program).c_str(), launch::helpText().c_str());
    return EXIT_SUCCESS;
  }
  if (options->version) {
    std::printf("%s of Tutti %d.%d.%d, compatible with nccl-tests 2.19; libnccl.so.2 is version %d\n",
                program.c_str(), TUTTI_MAJOR, TUTTI_MINOR, TUTTI_PATCH, library().version);
    return EXIT_SUCCESS;
  }
  Session session(collective, std::move(options).value(), program);
  int exitStatus = EXIT_FAILURE;
  Status status = runAll(session, argc, argv, exitStatus);
  if (!status.ok()) session.fail(status.error());
  return exitStatus;
}

}  // namespace tutti::perf
