// One thread's part of a run: the timed and checked calls of its ranks.
#pragma once

#include <string>
#include <vector>

#include "region.hpp"
#include "session.hpp"

namespace tutti::perf {

/// All threads of all processes run the same worker in step.
class Worker {
 public:
  Worker(Session& session, int thread);

  /// Every type, op and root that was asked for.
  Status run();

 private:
  /// All sizes of one combination.
  Status runCombination(DataType type, ReduceOp op, int root);
  Status runSize(size_t bytes, size_t done, size_t total);
  /// Times and checks one direction; none where that has no in-place form.
  Result<std::optional<Measurement>> measure(bool inPlace);
  Status timeCalls(bool inPlace, Measurement& measured);
  Status reportIterations(Measurement& measured);
  Result<int64_t> checkCalls(bool inPlace);

  Status setSize(size_t bytes);
  void aim(bool inPlace);
  void move();
  /// The calls of all ranks, `repeats` times over; grouped where that makes several.
  Status issue(int repeats);
  Status complete();
  /// Lets all ranks start together, closer than processes can meet by messages.
  Status align();
  Status meetInCall();
  Pattern pattern(uint64_t seed) const;
  Place placeOf(const LocalRank& local) const;
  void write(const Pattern& pattern, bool inPlace);
  Verdict compare(const Pattern& pattern, bool inPlace) const;
  std::string opLabel() const;
  void progress(size_t done, size_t total, bool inPlace);

  Session& session_;
  const Options& options_;
  const Collective& collective_;
  int thread_;
  std::span<LocalRank> ranks_;

  DataType type_ = DataType::Float32;
  ReduceOp op_ = ReduceOp::Sum;
  int root_ = 0;
  std::vector<ncclRedOp_t> handles_;  ///< per rank, what the calls take for op_
  Shape shape_;
  size_t size_ = 0;      ///< the size asked for, in bytes
  size_t rowBytes_ = 0;  ///< the larger buffer's bytes
  uint64_t repetition_ = 0;

  // Rebuilt by aim(), moved by move(); the hot loop only adds to pointers.
  std::vector<Call> calls_;
  std::vector<unsigned char*> sendBases_, receiveBases_;
  size_t stride_ = 0;  ///< from one iteration to the next
  size_t reach_ = 0;   ///< beyond this offset, start again at 0
  size_t offset_ = 0;
  int steps_ = 1;

  struct alignas(64) Word {
    float in = 0, out = 0;
  };
  std::vector<Word> words_;  ///< per rank, for align()
  bool mayAlign_ = true;
  bool progressShown_ = false;
};

}  // namespace tutti::perf
