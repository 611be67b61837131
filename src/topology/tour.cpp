#include "topology/tour.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>

#include "topology/work.hpp"

namespace tutti::topology {
namespace {

constexpr int kExactUpTo = 9;
constexpr int kImproveUpTo = 40;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::vector<int> exact(const TourProblem& p) {
  const int n = p.count;
  const uint32_t full = (1u << n) - 1;
  std::vector<double> cost(static_cast<size_t>(full + 1) * n, kInfinite);
  std::vector<int8_t> before(static_cast<size_t>(full + 1) * n, -1);
  if (p.closed) {
    cost[static_cast<size_t>(1) * n] = 0;  // a ring may start anywhere: at 0
  } else {
    for (int i = 0; i < n; ++i) cost[(static_cast<size_t>(1) << i) * n + i] = p.entry[i];
  }
  for (uint32_t mask = 1; mask < full; mask += p.closed ? 2 : 1) {
    for (uint32_t ends = mask; ends != 0; ends &= ends - 1) {
      const int last = std::countr_zero(ends);
      const double here = cost[static_cast<size_t>(mask) * n + last];
      if (here == kInfinite) continue;
      const double* hops = &p.hop[static_cast<size_t>(last) * n];
      for (uint32_t rest = full & ~mask; rest != 0; rest &= rest - 1) {
        const int next = std::countr_zero(rest);
        size_t there = static_cast<size_t>(mask | 1u << next) * n + next;
        double candidate = here + hops[next];
        if (candidate < cost[there]) {
          cost[there] = candidate;
          before[there] = static_cast<int8_t>(last);
        }
      }
    }
  }
  int best = 0;
  double bestCost = kInfinite;
  for (int last = 0; last < n; ++last) {
    double closing = !p.closed            ? p.exit[last]
                     : last == 0 && n > 1 ? kInfinite
                                          : p.hop[static_cast<size_t>(last) * n];
    if (n == 1) closing = 0;
    double total = cost[static_cast<size_t>(full) * n + last] + closing;
    if (total < bestCost) {
      bestCost = total;
      best = last;
    }
  }
  std::vector<int> order(n);
  uint32_t mask = full;
  for (int at = n - 1, last = best; at >= 0; --at) {
    order[at] = last;
    int previous = before[static_cast<size_t>(mask) * n + last];
    mask &= ~(1u << last);
    last = previous;
  }
  if (std::find(order.begin(), order.end(), -1) != order.end()) std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int> greedyFrom(const TourProblem& p, int start) {
  std::vector<int> order = {start};
  std::vector<char> used(p.count, 0);
  used[start] = 1;
  while (static_cast<int>(order.size()) < p.count) {
    int here = order.back();
    int best = -1;
    for (int k = 1; k < p.count; ++k) {
      int next = (here + k) % p.count;
      if (used[next]) continue;
      if (best < 0 || p.hop[static_cast<size_t>(here) * p.count + next] <
                          p.hop[static_cast<size_t>(here) * p.count + best])
        best = next;
    }
    used[best] = 1;
    order.push_back(best);
  }
  return order;
}

/// Moves segments elsewhere and turns them round, taking for each left end the best change, until none helps.
/// The tour is laid out as [entry] order [exit]; a closed ring is cut at its ends, whose joint is one more
/// hop.
class Improver {
 public:
  Improver(const TourProblem& p, std::vector<int>& order)
      : p_(p), o_(order), n_(p.count), forward_(n_), backward_(n_) {}

  void run() {
    sums();
    int idle = 0;
    const int first = p_.closed ? 1 : 0;  // in a closed ring position 0 stays put
    for (int steps = 0, i = first; idle <= n_ && steps < 60 * n_; ++steps) {
      if (step(i)) {
        sums();
        idle = 0;
      } else {
        ++idle;
      }
      if (++i >= n_) i = first;
    }
  }

 private:
  double h(int a, int b) const { return p_.hop[static_cast<size_t>(a) * n_ + b]; }
  double intoFirst(int rank) const { return p_.closed ? 0 : p_.entry[rank]; }
  double after(int rank) const { return p_.closed ? h(rank, o_[0]) : p_.exit[rank]; }

  void sums() {
    forward_[0] = backward_[0] = 0;
    for (int i = 0; i + 1 < n_; ++i) {
      forward_[i + 1] = forward_[i] + h(o_[i], o_[i + 1]);
      backward_[i + 1] = backward_[i] + h(o_[i + 1], o_[i]);
    }
  }

  bool step(int i) {
    double bestGain = 1e-9 * (forward_[n_ - 1] + backward_[n_ - 1]);  // less is rounding
    int bj = -1;
    int bk = -1;
    const double left = i > 0 ? h(o_[i - 1], o_[i]) : intoFirst(o_[0]);
    for (int j = i; j < n_; ++j) {
      const double right = j + 1 < n_ ? h(o_[j], o_[j + 1]) : after(o_[j]);
      if (j > i) {  // turn [i..j] round
        double was = left + forward_[j] - forward_[i] + right;
        double is = backward_[j] - backward_[i] + (i > 0 ? h(o_[i - 1], o_[j]) : intoFirst(o_[j])) +
                    (j + 1 < n_ ? h(o_[i], o_[j + 1]) : after(o_[i]));
        if (was - is > bestGain) {
          bestGain = was - is;
          bj = j;
          bk = -1;
        }
      }
      if (j + 1 >= n_) break;
      // Exchange neighbours [i..j] and [j+1..k]: moves either past the other.
      const double enter = i > 0 ? h(o_[i - 1], o_[j + 1]) : intoFirst(o_[j + 1]);
      for (int k = j + 1; k < n_; ++k) {
        double was = left + right + (k + 1 < n_ ? h(o_[k], o_[k + 1]) : after(o_[k]));
        double is = enter + h(o_[k], o_[i]) + (k + 1 < n_ ? h(o_[j], o_[k + 1]) : after(o_[j]));
        if (was - is > bestGain) {
          bestGain = was - is;
          bj = j;
          bk = k;
        }
      }
    }
    if (bj < 0) return false;
    if (bk < 0)
      std::reverse(o_.begin() + i, o_.begin() + bj + 1);
    else
      std::rotate(o_.begin() + i, o_.begin() + bj + 1, o_.begin() + bk + 1);
    return true;
  }

  const TourProblem& p_;
  std::vector<int>& o_;
  const int n_;
  std::vector<double> forward_;
  std::vector<double> backward_;
};

}  // namespace

double TourProblem::cost(std::span<const int> order) const {
  double total = 0;
  for (size_t i = 0; i + 1 < order.size(); ++i)
    total += hop[static_cast<size_t>(order[i]) * count + order[i + 1]];
  if (closed)
    return order.size() > 1 ? total + hop[static_cast<size_t>(order.back()) * count + order.front()] : total;
  return total + entry[order.front()] + exit[order.back()];
}

std::vector<int> cheapestOrder(const TourProblem& p, std::span<const std::vector<int>> hints) {
  ++threadWork.tours;
  if (p.count <= kExactUpTo) return exact(p);
  std::vector<int> best;
  double bestCost = kInfinite;
  auto consider = [&](std::vector<int> order) {
    if (p.closed) std::rotate(order.begin(), std::find(order.begin(), order.end(), 0), order.end());
    if (p.count <= kImproveUpTo) Improver(p, order).run();
    double cost = p.cost(order);
    if (best.empty() || cost < bestCost) {
      bestCost = cost;
      best = std::move(order);
    }
  };
  int cheapestStart = 0;
  if (!p.closed)
    for (int i = 1; i < p.count; ++i)
      if (p.entry[i] < p.entry[cheapestStart]) cheapestStart = i;
  consider(greedyFrom(p, cheapestStart));
  for (const std::vector<int>& hint : hints) consider(hint);
  return best;
}

}  // namespace tutti::topology
