#include "session.hpp"

#include <tutti/tutti.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "library.hpp"
#include "machine.hpp"
#include "split.hpp"

namespace tutti::perf {
namespace {

/// Fields that contain no line breaks, one per line.
std::string packed(const Member& member) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", member.color, member.pid, member.localRank, member.memory,
                     member.host, member.cpu);
}

Result<Member> unpacked(const std::string& text) {
  std::vector<std::string> fields(1);
  for (char c : text) {
    if (c == '\n') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (fields.size() != 6)
    return makeError(Code::InternalError, "a process introduced itself in another format");
  Member member;
  member.color = std::atoi(fields[0].c_str());
  member.pid = std::atoi(fields[1].c_str());
  member.localRank = std::atoi(fields[2].c_str());
  member.memory = std::strtoull(fields[3].c_str(), nullptr, 10);
  member.host = fields[4];
  member.cpu = fields[5];
  return member;
}

}  // namespace

Session::Session(const Collective& theCollective, Options theOptions, std::string theProgram)
    : collective(theCollective), options(std::move(theOptions)), program(std::move(theProgram)) {}

Session::~Session() = default;

Status Session::gather() {
  TUTTI_ASSIGN(world_, launch::detect());
  TUTTI_ASSIGN(exchange_, launch::Exchange::open(world_));
  TUTTI_ASSIGN(
      color, splitColor(std::getenv("NCCL_TESTS_SPLIT"), std::getenv("NCCL_TESTS_SPLIT_MASK"), world_.rank));

  Member self{color, getpid(), world_.localRank, hostName(), cpuModel(), availableMemoryBytes()};
  std::vector<std::string> texts = {packed(self)};
  if (world_.size > 1) {
    TUTTI_ASSIGN(texts, exchange_->allGather(texts[0]));
  }
  for (const std::string& text : texts) {
    TUTTI_ASSIGN(Member member, unpacked(text));
    members.push_back(std::move(member));
  }
  groupProcesses = 0;
  for (int process = 0; process < world_.size; ++process) {
    if (members[process].color != color) continue;
    if (process == world_.rank) groupProcess = groupProcesses;
    ++groupProcesses;
  }
  int perProcess = options.threads * options.ranksPerThread;
  ranks = groupProcesses * perProcess;
  if (collective.rooted && options.root >= ranks) {
    return makeError(Code::InvalidArgument, "-r (--root) {} is not below the {} ranks", options.root, ranks);
  }
  TUTTI_TRY(limitMemory());
  if (collective.prepare) TUTTI_TRY(collective.prepare(ranks, options.minBytes, options.maxBytes));
  TUTTI_ASSIGN(id_, agreeOnId());
  locals = std::vector<LocalRank>(perProcess);
  for (int i = 0; i < perProcess; ++i) locals[i].rank = groupProcess * perProcess + i;
  team = std::make_unique<Team>(world_, std::move(exchange_), options.threads);
  return {};
}

Status Session::limitMemory() {
  // Every process computes the same from the same facts: the poorest host decides.
  size_t most = ~size_t{0};
  for (const Member& member : members) {
    size_t onHost = 0;
    size_t memory = member.memory;
    for (const Member& other : members) {
      if (other.host != member.host) continue;
      ++onHost;
      memory = std::min(memory, other.memory);
    }
    size_t buffers =
        2 * onHost * static_cast<size_t>(options.threads) * static_cast<size_t>(options.ranksPerThread);
    most = std::min(most, memory / 10 * 8 / buffers);
  }
  if (options.maxBytes <= most) return {};
  options.notes.push_back(
      fmt::format("maxBytes reduced from {} to {}: that is what memory allows", options.maxBytes, most));
  options.maxBytes = most;
  options.minBytes = std::min(options.minBytes, most);
  return {};
}

Result<ncclUniqueId> Session::agreeOnId() {
  ncclUniqueId id{};
  if (groupProcess == 0) TUTTI_PERF_TRY(ncclGetUniqueId(&id));
  if (world_.size == 1) return id;
  TUTTI_ASSIGN(std::vector<std::string> ids,
               exchange_->allGather(std::string_view(reinterpret_cast<char*>(&id), sizeof(id))));
  for (int process = 0; process < world_.size; ++process) {
    if (members[process].color != color) continue;  // the group's first process made the id
    if (ids[process].size() != sizeof(id))
      return makeError(Code::InternalError, "a unique id of the wrong length arrived");
    std::memcpy(&id, ids[process].data(), sizeof(id));
    break;
  }
  return id;
}

size_t Session::bufferBytes() const {
  size_t bytes = options.maxBytes;
  if (options.reuse == Reuse::Cold) bytes = std::max(bytes, 3 * lastLevelCacheBytes());
  return bytes + 8 * static_cast<size_t>(options.unalign);
}

Status Session::createRanks(std::span<LocalRank> some) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  if (options.ctaPolicy >= 0) config.CTAPolicy = options.ctaPolicy;
  if (collective.configure) collective.configure(config);
  TUTTI_PERF_TRY(ncclGroupStart());
  for (LocalRank& local : some) {
    TUTTI_PERF_TRY(ncclCommInitRankConfig(&local.comm, ranks, id_, local.rank, &config));
  }
  TUTTI_PERF_TRY(ncclGroupEnd());
  bytesComms = residentBytes();

  for (LocalRank& local : some) {
    TUTTI_TRY(local.send.allocate(bufferBytes(), options.registration));
    TUTTI_TRY(local.receive.allocate(bufferBytes(), options.registration));
  }
  if (options.registration != 0) {
    TUTTI_PERF_TRY(ncclGroupStart());
    for (LocalRank& local : some) {
      TUTTI_TRY(local.send.enlist(local.comm));
      TUTTI_TRY(local.receive.enlist(local.comm));
    }
    TUTTI_PERF_TRY(ncclGroupEnd());
  }
  if (options.usesStreams()) {
    if (!library().streamCreate || !library().streamQuery) {
      return makeError(Code::InvalidUsage, "-y 0: this libnccl.so.2 has no host streams");
    }
    for (LocalRank& local : some) {
      tuttiStream_t stream = nullptr;
      TUTTI_TRY(check(library().streamCreate(&stream), "tuttiStreamCreate"));
      local.stream = reinterpret_cast<cudaStream_t>(stream);
    }
  }
  return {};
}

Status Session::setUp() {
  bytesBefore = residentBytes();
  if (!options.parallelInit) {
    TUTTI_TRY(createRanks(locals));
  } else {
    std::vector<std::thread> threads;
    for (int t = 0; t < options.threads; ++t) {
      threads.emplace_back([this, t] {
        Status status = createRanks(ranksOf(t));
        if (!status.ok()) fail(status.error());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  bytesBuffers = residentBytes();
  std::vector<ncclComm_t> comms;
  for (const LocalRank& local : locals) comms.push_back(local.comm);
  watchdog = std::make_unique<Watchdog>(options.timeoutSeconds, comms);
  return {};
}

Status Session::tearDown() {
  watchdog.reset();
  if (options.registration != 0) {
    // Windows are taken back together by all ranks: one thread must offer all of its ranks at once.
    TUTTI_PERF_TRY(ncclGroupStart());
    for (LocalRank& local : locals) {
      TUTTI_TRY(local.send.delist(local.comm));
      TUTTI_TRY(local.receive.delist(local.comm));
    }
    TUTTI_PERF_TRY(ncclGroupEnd());
  }
  for (LocalRank& local : locals) {
    TUTTI_TRY(local.send.free());
    TUTTI_TRY(local.receive.free());
  }
  for (LocalRank& local : locals) {
    if (local.stream) {
      TUTTI_TRY(check(library().streamDestroy(reinterpret_cast<tuttiStream_t>(local.stream)),
                      "tuttiStreamDestroy"));
    }
  }
  TUTTI_PERF_TRY(ncclGroupStart());
  for (LocalRank& local : locals) TUTTI_PERF_TRY(ncclCommDestroy(local.comm));
  TUTTI_PERF_TRY(ncclGroupEnd());
  return {};
}

void Session::fail(const Error& error) {
  // One thread ends the process; the others that fail meanwhile stay here.
  jsonMutex.lock();
  std::fflush(stdout);
  std::fprintf(stderr, "%s pid %d: %s: test failure: %s\n", hostName().c_str(), static_cast<int>(getpid()),
               program.c_str(), error.message().c_str());
  if (json &&
      !json->finish(wrongRows, busCount > 0 ? busSum / busCount : 0, std::nullopt, error.message()).ok()) {
    std::fprintf(stderr, "the -J file could not be written\n");
  }
  std::fflush(stderr);
  _exit(EXIT_FAILURE);
}

Versions Session::versions() const {
  return {NCCL_VERSION_CODE, library().version, library().ownVersion};
}

std::vector<RankInfo> Session::devices() const {
  std::vector<RankInfo> infos;
  int perProcess = options.threads * options.ranksPerThread;
  for (size_t process = 0; process < members.size(); ++process) {
    const Member& member = members[process];
    for (int i = 0; i < perProcess; ++i) {
      infos.push_back({static_cast<int>(process) * perProcess + i, member.color, member.pid, member.host,
                       member.localRank * perProcess + i, member.cpu});
    }
  }
  return infos;
}

}  // namespace tutti::perf
