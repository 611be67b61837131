// Keeps what a run did, for drawing: a trace that Perfetto and chrome://tracing open, and a page with a time
// line and a heat map of the links.
#pragma once

#include <string>
#include <vector>

#include "sim/simulate.hpp"

namespace tutti::sim {

class Trace : public Recorder {
 public:
  struct Play {
    int rank, item, lane, step;
    TimePs begin, end;
  };
  struct Transfer {
    uint32_t link;
    int from, to;
    uint64_t bytes;
    TimePs begin, end;
  };
  /// Keeps the first `most` plays and transfers each; lost() counts the rest.
  explicit Trace(size_t most = 500'000) : most_(most) {}

  void play(int rank, int item, int lane, int step, TimePs begin, TimePs end) override;
  void transfer(uint32_t link, int from, int to, uint64_t bytes, TimePs begin, TimePs end) override;

  const std::vector<Play>& plays() const { return plays_; }
  const std::vector<Transfer>& transfers() const { return transfers_; }
  uint64_t lost() const { return lost_; }

 private:
  size_t most_;
  std::vector<Play> plays_;
  std::vector<Transfer> transfers_;
  uint64_t lost_ = 0;
};

/// Chrome's trace format, JSON.
std::string traceJson(const Trace& trace, const Workload& workload, const Network& network);
/// A page of its own: time line of the first ranks, heat map of the fullest links.
std::string tracePage(const Trace& trace, const Workload& workload, const Network& network,
                      const std::string& title, const Report& report);

}  // namespace tutti::sim
