// Plays a GOAL schedule over a network.
#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "sim/event_queue.hpp"
#include "sim/goal.hpp"

namespace tutti::sim {
namespace {

class GoalPlayer {
 public:
  GoalPlayer(Network& network, const Goal& goal, double sendUs, double recvUs)
      : network_(network), goal_(goal), sendPs_(psFromUs(sendUs)), recvPs_(psFromUs(recvUs)) {}

  Result<GoalReport> run() {
    network_.reset();
    for (size_t r = 0; r < goal_.ranks.size(); ++r) {
      first_.push_back(static_cast<uint32_t>(ops_.size()));
      for (const GoalOp& op : goal_.ranks[r])
        ops_.push_back({&op,
                        static_cast<uint32_t>(r),
                        static_cast<uint32_t>(op.after.size() + op.afterBegins.size()),
                        {},
                        {}});
    }
    if (ops_.size() >= 1u << 30)
      return makeError(Code::InvalidArgument, "{} operations are too many", ops_.size());
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      for (uint32_t a : ops_[i].op->after) ops_[first_[ops_[i].rank] + a].whenEnded.push_back(i);
      for (uint32_t a : ops_[i].op->afterBegins) ops_[first_[ops_[i].rank] + a].whenBegun.push_back(i);
    }
    for (uint32_t i = 0; i < ops_.size(); ++i)
      if (ops_[i].waits == 0) queue_.push({0, EventKind::Ready, i, 0});
    auto soon = [](const Event&, bool) {};
    while (!queue_.empty() && !error_) {
      const Event e = queue_.pop(soon);
      if (e.kind() == EventKind::Ready) ready(e.subject(), e.time);
      if (e.kind() == EventKind::Finish) ended(e.subject(), e.time);
      if (e.kind() == EventKind::Hop) hop(e.subject(), e.time);
    }
    if (error_) return *std::move(error_);
    if (done_ < ops_.size()) return stuck();
    report_.operations = done_;
    return report_;
  }

 private:
  struct Op {
    const GoalOp* op;
    uint32_t rank;
    uint32_t waits;
    std::vector<uint32_t> whenEnded, whenBegun;
    bool isDone = false;
  };
  struct Message {
    uint32_t from, to;
    int tag;
    uint64_t bytes;
    Route route;
    size_t at = 0;
    TimePs tail = 0;
  };
  struct Door {
    std::deque<TimePs> arrived;    ///< messages that nobody waited for
    std::deque<uint32_t> waiting;  ///< receives
  };

  TimePs takeCpu(const Op& op, TimePs now, TimePs length) {
    TimePs& free = cpu_[{op.rank, op.op->cpu}];
    free = std::max(free, now) + length;
    return free;
  }

  void ready(uint32_t i, TimePs now) {
    Op& op = ops_[i];
    switch (op.op->kind) {
      case GoalOp::Kind::Calc:
        begun(i, now);
        queue_.push({takeCpu(op, now, static_cast<TimePs>(op.op->amount) * 1000), EventKind::Finish, i, 0});
        break;
      case GoalOp::Kind::Send:
        begun(i, now);
        queue_.push({takeCpu(op, now, sendPs_), EventKind::Finish, i, 0});
        break;
      case GoalOp::Kind::Recv: {
        begun(i, now);
        Door& door = doors_[{op.op->peer, static_cast<int>(op.rank), op.op->tag}];
        if (door.arrived.empty()) {
          door.waiting.push_back(i);
        } else {
          receive(i, std::max(now, door.arrived.front()));
          door.arrived.pop_front();
        }
        break;
      }
    }
  }
  void receive(uint32_t i, TimePs at) {
    queue_.push({recvPs_ > 0 ? takeCpu(ops_[i], at, recvPs_) : at, EventKind::Finish, i, 0});
  }
  void release(const std::vector<uint32_t>& list, TimePs now) {
    for (uint32_t next : list)
      if (--ops_[next].waits == 0) queue_.push({now, EventKind::Ready, next, 0});
  }
  void begun(uint32_t i, TimePs now) { release(ops_[i].whenBegun, now); }
  void ended(uint32_t i, TimePs now) {
    ++done_;
    ops_[i].isDone = true;
    report_.end = std::max(report_.end, now);
    if (ops_[i].op->kind == GoalOp::Kind::Send) send(ops_[i], now);
    release(ops_[i].whenEnded, now);
  }

  void send(const Op& op, TimePs now) {
    ++report_.messages;
    Message m{op.rank, static_cast<uint32_t>(op.op->peer), op.op->tag, op.op->amount, {}, 0, now};
    network_.route(static_cast<int>(m.from), op.op->peer, 0, m.route);
    for (uint32_t l : m.route) {
      if (!network_.links()[l].dead) continue;
      error_ = makeError(Code::RemoteError, "from rank {} to rank {}: the link {} on its way is dead", m.from,
                         m.to, network_.linkName(l));
      return;
    }
    messages_.push_back(std::move(m));
    hop(static_cast<uint32_t>(messages_.size() - 1), now);
  }
  void hop(uint32_t i, TimePs head) {
    Message& m = messages_[i];
    if (m.at < m.route.size()) {
      Link& link = network_.links()[m.route[m.at++]];
      const TimePs begin = std::max(head, link.free);
      link.free = begin + link.gap + psFor(static_cast<double>(m.bytes), link.psPerByte);
      m.tail = std::max(m.tail, link.free) + link.latency;
      if (m.at < m.route.size()) {
        queue_.push({begin + link.latency, EventKind::Hop, i, 0});
        return;
      }
    }
    m.route = {};
    Door& door = doors_[{static_cast<int>(m.from), static_cast<int>(m.to), m.tag}];
    if (door.waiting.empty()) {
      door.arrived.push_back(m.tail);
    } else {
      const uint32_t waiting = door.waiting.front();
      door.waiting.pop_front();
      receive(waiting, m.tail);
    }
  }

  Error stuck() const {
    std::string text;
    int shown = 0;
    for (const Op& op : ops_) {
      if (op.isDone || shown == 5) continue;
      if (op.op->kind != GoalOp::Kind::Recv || op.waits > 0) continue;
      ++shown;
      text += fmt::format("\n  rank {} waits for rank {} to send (tag {})", op.rank, op.op->peer, op.op->tag);
    }
    if (text.empty()) text = "\n  operations require each other in a circle";
    return makeError(Code::InvalidArgument, "{} of {} operations never end:{}", ops_.size() - done_,
                     ops_.size(), text);
  }

  Network& network_;
  const Goal& goal_;
  TimePs sendPs_, recvPs_;
  EventQueue queue_;
  std::vector<uint32_t> first_;
  std::vector<Op> ops_;
  std::vector<Message> messages_;
  std::map<std::pair<uint32_t, int>, TimePs> cpu_;
  std::map<std::tuple<int, int, int>, Door> doors_;
  uint64_t done_ = 0;
  GoalReport report_;
  std::optional<Error> error_;
};

}  // namespace

Result<GoalReport> simulateGoal(Network& network, const Goal& goal, double sendUs, double recvUs) {
  if (static_cast<int>(goal.ranks.size()) > network.nRanks())
    return makeError(Code::InvalidArgument, "{} ranks do not fit a network of {}", goal.ranks.size(),
                     network.nRanks());
  if (!(sendUs >= 0) || !(recvUs >= 0)) return makeError(Code::InvalidArgument, "overheads are 0 or more");
  return GoalPlayer(network, goal, sendUs, recvUs).run();
}

}  // namespace tutti::sim
