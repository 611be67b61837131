#include "worker.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/clock.hpp"
#include "library.hpp"
#include "machine.hpp"
#include "numbers.hpp"

namespace tutti::perf {
namespace {

constexpr uint64_t kWarmSeed = 99;  // of the data that the timed calls move

double seconds(int64_t fromNs, int64_t toNs) {
  return static_cast<double>(toNs - fromNs) * 1e-9;
}

}  // namespace

Worker::Worker(Session& session, int thread)
    : session_(session),
      options_(session.options),
      collective_(session.collective),
      thread_(thread),
      ranks_(session.ranksOf(thread)),
      handles_(ranks_.size(), ncclSum),
      calls_(ranks_.size()),
      sendBases_(ranks_.size()),
      receiveBases_(ranks_.size()),
      words_(ranks_.size()) {}

Status Worker::run() {
  std::vector<DataType> types;
  for (int t = 0; t < kDataTypeCount; ++t) {
    if (!options_.type || static_cast<int>(*options_.type) == t) types.push_back(static_cast<DataType>(t));
  }
  std::vector<ReduceOp> ops;
  bool listsOps = collective_.reduces || collective_.listsOps;
  for (int o = 0; o < kReduceOpCount; ++o) {
    if (!listsOps ? o == 0 : !options_.op || static_cast<int>(*options_.op) == o) {
      ops.push_back(static_cast<ReduceOp>(o));
    }
  }
  int firstRoot = !collective_.rooted ? -1 : options_.root == -1 ? 0 : options_.root;
  int lastRoot = collective_.rooted && options_.root == -1 ? session_.ranks - 1 : firstRoot;
  for (DataType type : types) {
    for (ReduceOp op : ops) {
      for (int root = firstRoot; root <= lastRoot; ++root) TUTTI_TRY(runCombination(type, op, root));
    }
  }
  return {};
}

Status Worker::runCombination(DataType type, ReduceOp op, int root) {
  type_ = type;
  op_ = op;
  root_ = root;
  bool preMul = collective_.reduces && op == ReduceOp::PreMulSum;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    handles_[i] = collective_.reduces ? static_cast<ncclRedOp_t>(op) : ncclSum;
    if (!preMul) continue;
    uint64_t scalar = preMulScalar(pattern(0), ranks_[i].rank);
    TUTTI_TRY(check(ncclRedOpCreatePreMulSum(&handles_[i], &scalar, static_cast<ncclDataType_t>(type),
                                             ncclScalarHostImmediate, ranks_[i].comm),
                    "ncclRedOpCreatePreMulSum", ranks_[i].comm));
  }
  TUTTI_TRY(session_.team->barrier(thread_));

  for (size_t bytes = options_.minBytes; options_.warmups > 0;) {
    TUTTI_TRY(setSize(bytes));
    aim(false);
    for (int i = 0; i < options_.warmups; ++i) {
      TUTTI_TRY(issue(1));
      move();
    }
    TUTTI_TRY(complete());
    bytes = bytes == 0 ? sizeOf(type) : bytes * 2;
    if (bytes > options_.maxBytes) break;
  }

  std::vector<size_t> sizes = sizesOf(options_, sizeOf(type));
  for (int cycle = 0; options_.cycles == 0 || cycle < options_.cycles; ++cycle) {
    for (size_t i = 0; i < sizes.size(); ++i) TUTTI_TRY(runSize(sizes[i], i, sizes.size()));
  }
  if (preMul) {
    for (size_t i = 0; i < ranks_.size(); ++i) {
      TUTTI_TRY(check(ncclRedOpDestroy(handles_[i], ranks_[i].comm), "ncclRedOpDestroy", ranks_[i].comm));
    }
  }
  return {};
}

Status Worker::runSize(size_t bytes, size_t done, size_t total) {
  TUTTI_TRY(setSize(bytes));
  Row row;
  row.bytes = rowBytes_;
  row.count = shape_.count;
  row.type = nameOf(type_);
  row.op = opLabel();
  row.root = root_;
  for (bool inPlace : {false, true}) {
    progress(done, total, inPlace);
    if (thread_ == 0) session_.watchdog->start();
    TUTTI_ASSIGN(std::optional<Measurement> measured, measure(inPlace));
    if (thread_ == 0) session_.watchdog->stop();
    if (thread_ == 0 && measured) {
      session_.busSum += measured->busGBps;
      ++session_.busCount;
      if (measured->wrong.value_or(0) > 0) ++session_.wrongRows;
    }
    (inPlace ? row.inPlace : row.outOfPlace) = std::move(measured);
  }
  if (!session_.speaks(thread_)) return {};
  if (options_.timestamps) row.timeStamp = timeStamp();
  if (progressShown_) std::fprintf(stderr, "\r\033[K");
  std::fputs(rowText(options_, row).c_str(), stdout);
  if (collective_.afterRow && row.outOfPlace) {
    collective_.afterRow(shape_, sizeOf(type_), session_.ranks, row.outOfPlace->microseconds * 1e-6);
  }
  std::fflush(stdout);
  if (session_.json) {
    std::lock_guard lock(session_.jsonMutex);
    session_.json->row(options_, row);
  }
  return {};
}

Result<std::optional<Measurement>> Worker::measure(bool inPlace) {
  if (inPlace && collective_.onlyOutOfPlace && library().ownVersion >= 0) return std::optional<Measurement>();
  aim(inPlace);
  if (options_.checks > 0) write(pattern(kWarmSeed), inPlace);
  TUTTI_TRY(issue(1));
  TUTTI_TRY(complete());

  Measurement measured;
  TUTTI_TRY(timeCalls(inPlace, measured));
  TUTTI_TRY(session_.team->barrier(thread_));
  if (options_.checks > 0) {
    TUTTI_ASSIGN(int64_t wrong, checkCalls(inPlace));
    if (!inPlace || collective_.checksInPlace) measured.wrong = wrong;
  }
  return std::optional<Measurement>(std::move(measured));
}

Status Worker::timeCalls(bool inPlace, Measurement& measured) {
  Team& team = *session_.team;
  aim(inPlace);
  int iterations = options_.timedIterations();
  bool waits = options_.blocking != 0 || options_.perIteration;
  bool meets = options_.blocking == 1 || options_.blocking == 3;
  bool excludesMeeting = options_.blocking == 3;
  std::vector<double> times;
  times.reserve(options_.perIteration ? iterations : 0);

  TUTTI_TRY(team.barrier(thread_));
  TUTTI_TRY(align());
  double callsOnly = 0;
  int64_t start = nowNs();
  if (!waits) {
    for (int i = 0; i < iterations; ++i) {
      TUTTI_TRY(issue(options_.aggregated));
      move();
    }
  } else {
    for (int i = 0; i < iterations; ++i) {
      int64_t began = nowNs();
      TUTTI_TRY(issue(options_.aggregated));
      TUTTI_TRY(complete());
      if (meets && !excludesMeeting) TUTTI_TRY(team.barrier(thread_));
      double one = seconds(began, nowNs());
      callsOnly += one;
      if (options_.perIteration) times.push_back(one / options_.aggregated);
      if (excludesMeeting) TUTTI_TRY(team.barrier(thread_));
      move();
    }
  }
  double cpu = excludesMeeting ? callsOnly : seconds(start, nowNs());
  TUTTI_TRY(complete());
  double latency = excludesMeeting ? callsOnly : seconds(start, nowNs());

  double calls = static_cast<double>(iterations) * options_.aggregated;
  TUTTI_ASSIGN(double mean, team.combine(thread_, latency / calls, combineOf(options_.average)));
  // Bandwidth is always of the complete operation, also where the time column shows something else.
  double bytes = collective_.algorithmBytes(shape_, sizeOf(type_), session_.ranks);
  measured.microseconds = (options_.cpuTime ? cpu / calls : mean) * 1e6;
  measured.algorithmGBps = mean > 0 ? bytes * 1e-9 / mean : 0;
  measured.busGBps = measured.algorithmGBps * collective_.busFactor(session_.ranks);
  if (options_.perIteration) {
    measured.iterationSeconds = std::move(times);
    TUTTI_TRY(reportIterations(measured));
  }
  return {};
}

Status Worker::reportIterations(Measurement& measured) {
  TUTTI_ASSIGN(measured.processSeconds, session_.team->gatherMax(thread_, measured.iterationSeconds));
  for (const auto& process : measured.processSeconds) {
    for (size_t i = 0; i < process.size(); ++i) {
      measured.iterationSeconds[i] = std::max(measured.iterationSeconds[i], process[i]);
    }
  }
  measured.perIteration =
      statisticsOf(std::span(measured.iterationSeconds).subspan(options_.perIterationSkip));
  return {};
}

Result<int64_t> Worker::checkCalls(bool inPlace) {
  int64_t wrong = 0;
  for (int i = 0; i < options_.checks && wrong == 0; ++i) {
    aim(inPlace);
    Pattern data = pattern(1000 + ++repetition_);
    bool means = !inPlace || collective_.checksInPlace;
    write(data, inPlace);
    TUTTI_TRY(issue(1));
    TUTTI_TRY(complete());
    Verdict verdict = means ? compare(data, inPlace) : Verdict{};
    if (verdict.wrong > 0) {
      std::fprintf(stderr, "%s%s %zu bytes %s %s root %d %s: %s\n", progressShown_ ? "\r\033[K" : "",
                   session_.program.c_str(), rowBytes_, nameOf(type_).data(), opLabel().c_str(), root_,
                   inPlace ? "in place" : "out of place", verdict.story.c_str());
    }
    TUTTI_ASSIGN(double all,
                 session_.team->combine(thread_, static_cast<double>(verdict.wrong), Combine::Sum));
    wrong = static_cast<int64_t>(all);
  }
  return wrong;
}

Status Worker::setSize(size_t bytes) {
  size_t element = sizeOf(type_);
  size_ = bytes;
  shape_ = collective_.shape(bytes / element, element, session_.ranks);
  rowBytes_ = std::max(shape_.send, shape_.receive) * element;
  steps_ = collective_.steps ? collective_.steps(session_.ranks) : 1;
  if (rowBytes_ > session_.bufferBytes()) {
    return makeError(Code::InvalidArgument,
                     "this needs buffers of {} bytes: ask for a larger -e (--maxbytes)", rowBytes_);
  }
  return {};
}

void Worker::aim(bool inPlace) {
  size_t element = sizeOf(type_);
  size_t unalign = static_cast<size_t>(options_.unalign) * element;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    LocalRank& local = ranks_[i];
    auto rank = static_cast<size_t>(local.rank);
    unsigned char* receive = local.receive.data() + unalign;
    unsigned char* send =
        inPlace ? receive + shape_.sendInPlace * rank * element : local.send.data() + unalign;
    if (inPlace) receive += shape_.receiveInPlace * rank * element;
    sendBases_[i] = send;
    receiveBases_[i] = receive;
    calls_[i] = {send,
                 receive,
                 shape_.count,
                 static_cast<ncclDataType_t>(type_),
                 handles_[i],
                 root_,
                 local.comm,
                 local.stream,
                 local.rank,
                 session_.ranks,
                 0};
  }
  offset_ = 0;
  size_t room = options_.reuse == Reuse::Cold ? session_.bufferBytes() - unalign : options_.maxBytes;
  constexpr size_t kLine = 64;
  constexpr size_t kApart = 4096 + kLine;  // out of reach of what the prefetchers guess
  stride_ =
      options_.reuse == Reuse::Cold ? std::max((rowBytes_ + kLine - 1) / kLine * kLine, kApart) : rowBytes_;
  bool stays = options_.reuse == Reuse::Same || rowBytes_ == 0 || room < rowBytes_;
  if (stays) stride_ = 0;
  reach_ = room > rowBytes_ ? room - rowBytes_ : 0;
}

void Worker::move() {
  if (stride_ == 0) return;
  offset_ += stride_;
  if (offset_ > reach_) offset_ = 0;
  for (size_t i = 0; i < calls_.size(); ++i) {
    calls_[i].send = sendBases_[i] + offset_;
    calls_[i].receive = receiveBases_[i] + offset_;
  }
}

Status Worker::issue(int repeats) {
  bool grouped = calls_.size() > 1 || repeats > 1;
  size_t begin = offset_;
  for (int step = 0; step < steps_; ++step) {
    if (grouped) TUTTI_PERF_TRY(ncclGroupStart());
    ncclResult_t result = ncclSuccess;
    ncclComm_t comm = nullptr;
    for (int repeat = 0; repeat < repeats && result == ncclSuccess; ++repeat) {
      if (repeat > 0) move();
      for (Call& call : calls_) {
        call.step = step;
        result = collective_.run(call);
        comm = call.comm;
        if (result != ncclSuccess) break;
      }
    }
    Status status = check(result, collective_.name, comm);
    if (grouped) {
      ncclResult_t ended = ncclGroupEnd();
      if (status.ok()) status = check(ended, collective_.name, comm);
    }
    TUTTI_TRY(std::move(status));
    if (step + 1 < steps_ && repeats > 1) {  // the next step works on the same places again
      offset_ = begin;
      for (size_t i = 0; i < calls_.size(); ++i) {
        calls_[i].send = sendBases_[i] + offset_;
        calls_[i].receive = receiveBases_[i] + offset_;
      }
    }
  }
  return {};
}

Status Worker::complete() {
  if (!options_.usesStreams()) return {};
  // Waits without a deadline of its own: -T is the watchdog's, and a dead peer shows as an error of the
  // query.
  for (LocalRank& local : ranks_) {
    for (;;) {
      ncclResult_t state = library().streamQuery(reinterpret_cast<tuttiStream_t>(local.stream));
      if (state == ncclSuccess) break;
      if (state != ncclInProgress) return check(state, collective_.name, local.comm);
      ncclResult_t error = ncclSuccess;
      TUTTI_TRY(check(ncclCommGetAsyncError(local.comm, &error), "ncclCommGetAsyncError", local.comm));
      if (error != ncclSuccess && error != ncclInProgress) return check(error, collective_.name, local.comm);
      sched_yield();
    }
  }
  return {};
}

Status Worker::align() {
  // Messages between processes arrive tens of microseconds apart, more than many small calls take together. A
  // tiny AllReduce ends at the same time everywhere; the first ones also bring the waiting ranks out of their
  // sleep.
  for (int i = 0; i < 3 && mayAlign_; ++i) {
    Status status = meetInCall();
    // NCCL_ALGO or NCCL_PROTO may leave nothing for AllReduce, on all ranks alike; the measured collective
    // still runs.
    mayAlign_ = status.ok() || status.error().code() != Code::InvalidUsage;
    if (mayAlign_) TUTTI_TRY(std::move(status));
  }
  return {};
}

Status Worker::meetInCall() {
  bool grouped = ranks_.size() > 1;
  if (grouped) TUTTI_PERF_TRY(ncclGroupStart());
  ncclResult_t result = ncclSuccess;
  for (size_t r = 0; r < ranks_.size() && result == ncclSuccess; ++r) {
    result = ncclAllReduce(&words_[r].in, &words_[r].out, 1, ncclFloat32, ncclMax, ranks_[r].comm,
                           ranks_[r].stream);
  }
  if (grouped) {
    ncclResult_t ended = ncclGroupEnd();
    if (result == ncclSuccess) result = ended;
  }
  TUTTI_TRY(check(result, "ncclAllReduce", ranks_[0].comm));
  return complete();
}

Pattern Worker::pattern(uint64_t seed) const {
  return {type_, op_, session_.ranks, seed};
}

Place Worker::placeOf(const LocalRank& local) const {
  return {local.rank, session_.ranks, root_, shape_, sizeOf(type_)};
}

void Worker::write(const Pattern& data, bool inPlace) {
  size_t unalign = static_cast<size_t>(options_.unalign) * sizeOf(type_);
  for (LocalRank& local : ranks_) {
    RankRegions regions = regionsOf(collective_, data, placeOf(local), inPlace);
    if (!inPlace) regions.sendBefore.write(local.send.data() + unalign);
    regions.receiveBefore.write(local.receive.data() + unalign);
  }
}

Verdict Worker::compare(const Pattern& data, bool inPlace) const {
  size_t unalign = static_cast<size_t>(options_.unalign) * sizeOf(type_);
  Verdict verdict;
  for (const LocalRank& local : ranks_) {
    RankRegions regions = regionsOf(collective_, data, placeOf(local), inPlace);
    std::string who = fmt::format("rank {}", local.rank);
    verdict.add(regions.receiveAfter.compare(local.receive.data() + unalign, who));
    if (!inPlace) verdict.add(regions.sendBefore.compare(local.send.data() + unalign, who + ", send buffer"));
  }
  return verdict;
}

std::string Worker::opLabel() const {
  bool listed = collective_.reduces || collective_.listsOps;
  return listed ? std::string(nameOf(op_)) : collective_.opLabel;
}

void Worker::progress(size_t done, size_t total, bool inPlace) {
  if (!session_.speaks(thread_) || !isatty(STDERR_FILENO)) return;
  progressShown_ = true;
  std::fprintf(stderr, "\r\033[K  %zu of %zu: %s %s, %s", done + 1, total, nameOf(type_).data(),
               sizeText(size_).c_str(), inPlace ? "in place" : "out of place");
  std::fflush(stderr);
}

}  // namespace tutti::perf
