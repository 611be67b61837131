#include "algos/cost.hpp"

#include <bit>
#include <cmath>

namespace tutti::algos {
namespace {

/// What one rank does in a call, in units that the machine prices.
struct Work {
  double hops = 0;      ///< hand-overs one after the other on the critical path
  double messages = 0;  ///< messages sent and received by one rank, at least one per slot
  double copied = 0;    ///< bytes copied (slots written, results taken out)
  double reduced = 0;   ///< bytes of results reduced
  double alone = 0;     ///< bytes that one rank reads while the others of its core have nothing to do
};

double log2Ceil(int n) {
  return n <= 1 ? 0 : std::bit_width(static_cast<unsigned>(n - 1));
}

/// The algorithms of log2(n) steps that are made for many ranks and hosts. Dear on purpose where they have
/// not been measured against the others: blocks are packed and unpacked, and rounds do not overlap.
Work logStepWorkOf(const Request& request, Algorithm algorithm) {
  const double n = request.nRanks;
  const double s = static_cast<double>(request.bytes());
  const double steps = log2Ceil(request.nRanks);
  const bool wide = request.collective != Collective::AllReduce && request.collective != Collective::Reduce &&
                    request.collective != Collective::Broadcast;
  constexpr double kRoundBytes = 128 * 1024;
  const double rounds = 1 + std::floor((wide ? n : 1) * s / kRoundBytes);
  const double reduced = reduces(request.collective) ? 1 : 0;
  Work w;
  switch (algorithm) {
    case Algorithm::RecursiveHalving:
    case Algorithm::Swing:
      w = wide ? Work{steps, 2 * steps, 3 * (n - 1) * s, reduced * (n - 1) * s}
               : Work{2 * steps, 4 * steps, 2 * s * (n - 1) / n + 1.5 * s, s * (n - 1) / n};
      if (!std::has_single_bit(static_cast<unsigned>(request.nRanks))) {
        w.hops += 2;
        w.messages += 2;
        w.copied += 2 * (wide ? n : 1) * s;
      }
      break;
    case Algorithm::Bruck:
      w = request.collective == Collective::AllToAll ? Work{steps, 2 * steps, (4 + 2 * steps) * n * s, 0}
                                                     : Work{steps, 2 * steps, 4 * (n - 1) * s, 0};
      break;
    case Algorithm::Pat:
      w = {steps * 1.2, 2 * steps, 4 * (n - 1) * s, reduced * (n - 1) * s};
      break;
    case Algorithm::Forest:
      w = {(wide ? 1 : 2) * (2 * steps + 2), (wide ? 2 : 4) * n, 4 * (wide ? n : 1) * s,
           reduced * (wide ? n : 2) * s};
      break;
    case Algorithm::Hierarchical:
      w = {2 * steps + 2, 4 * steps, (wide ? 6 * n : 6) * s, reduced * (wide ? n : 2) * s};
      break;
    default:  // Binomial
      w = wide ? Work{steps, steps, 4 * n * s, 0} : Work{steps, 1.5 * steps, 3 * s, reduced * 3 * s};
      break;
  }
  w.hops *= rounds;
  w.messages *= rounds;
  return w;
}

Work workOf(const Request& request, Algorithm algorithm) {
  const double n = request.nRanks;
  const double s = static_cast<double>(request.bytes());
  const double steps = log2Ceil(request.nRanks);
  Work w;
  switch (algorithm) {
    case Algorithm::Ring:
      switch (request.collective) {
        case Collective::AllReduce:
          w = {2 * (n - 1), 4 * (n - 1), 2 * s * (n - 1) / n + s, s * (n - 1) / n};
          break;
        case Collective::ReduceScatter:
          w = {n - 1, 2 * (n - 1), s * (n - 1), s * (n - 1)};
          break;
        case Collective::AllGather:
          w = {n - 1, 2 * (n - 1), 2 * s * (n - 1), 0};
          break;
        case Collective::Reduce:  // sums go from slot to slot
          w = {n - 1, 2, s / n, s * (n - 1) / n};
          break;
        default:
          w = {n - 1, 2, 2 * s, 0};
          break;
      }
      break;
    case Algorithm::Tree:
      w = request.collective == Collective::AllReduce ? Work{2 * steps, 8, 2.2 * s, s}
          : request.collective == Collective::Reduce  ? Work{steps, 3, s / n, 1.15 * s * (n - 1) / n}
                                                      : Work{steps, 3, 2.2 * s, 0};
      break;
    case Algorithm::RecursiveDoubling:
      w = {steps, 2 * steps, steps * s, steps * s};
      if (!std::has_single_bit(static_cast<unsigned>(request.nRanks))) {
        w.hops += 2;
        w.messages += 2;
        w.copied += 2 * s;
      }
      break;
    case Algorithm::OneShot:
      switch (request.collective) {
        case Collective::AllReduce:
          w = {1, n, s, s * n};
          break;
        case Collective::Reduce:
          w = {1, n, s, 0, s * n};
          break;
        case Collective::ReduceScatter:
          w = {1, n, s * n, s * n};
          break;
        case Collective::AllToAll:
          w = {1.5, 2 * n, 2 * s * n, 0};  // many readers of one board
          break;
        case Collective::AllGather:
          w = {1, n, s + s * n, 0};
          break;
        case Collective::Gather:
          w = {1, n, s, 0, s * n};
          break;
        case Collective::Scatter:  // the root's board holds few blocks: it waits for readers
          w = {1, n, s, 0, 1.5 * s * n};
          break;
        default:
          w = {1, 2, 1.5 * s, 0};
          break;
      }
      break;
    case Algorithm::TwoShot:
      w = {2, 2 * n, s + s / n, s};
      (request.collective == Collective::AllReduce ? w.copied : w.alone) += s * (n - 1) / n;
      break;
    case Algorithm::Pairwise:
      w = request.collective == Collective::AllToAll || request.collective == Collective::AllToAllV
              ? Work{1, 2 * (n - 1), 2 * s * (n - 1), 0}
          : request.collective == Collective::AllGather ? Work{1, 2 * (n - 1), 2 * s * (n - 1), 0}
                                                        : Work{1, n - 1, s, 0, s * (n - 1)};
      break;
    default:
      w = logStepWorkOf(request, algorithm);
      break;
  }
  return w;
}

/// How many calls a rank that only sends gets ahead of those that receive, before it must let them work.
double callsAhead(const Request& request, bool boards, bool ll) {
  if (!hasRoot(request.collective)) return 1;
  if (!ll) return boards ? 1.5 : 2;
  return request.bytes() <= 112 ? 32 : boards ? 6 : 16;
}

}  // namespace

double predictUs(const Request& request, Algorithm algorithm, Protocol protocol, const Machine& m) {
  Work w = workOf(request, algorithm);
  const bool boards = algorithm == Algorithm::OneShot || algorithm == Algorithm::TwoShot;
  if (boards && protocol == Protocol::Simple && request.bytes() >= m.directMinBytes) {
    // Nothing is copied to be published; a one-shot waits until its input has been read.
    w.copied -= static_cast<double>(request.bytes());
    if (algorithm == Algorithm::OneShot) ++w.hops;
    // Results are put into all outputs from the L1 cache, instead of being copied from one output to the
    // others.
    if (algorithm == Algorithm::TwoShot && request.collective == Collective::AllReduce) w.copied *= 0.5;
  }
  // A Simple hand-over moves a flag line and then the data's first line; LL moves one line for both.
  const bool ll = protocol == Protocol::LL;
  const double hop = ll ? m.handoverUs : 1.8 * m.handoverUs;
  const double touched = (w.copied + w.reduced) * m.ranksPerCore + w.alone;
  const double factor = touched <= static_cast<double>(m.l2Bytes)   ? 1
                        : touched <= static_cast<double>(m.l3Bytes) ? m.l3Factor
                                                                    : m.memoryFactor;
  const double reduceGBps = boards ? m.readGBps : m.reduceGBps;
  double work = factor * 1e-3 * (w.copied / m.copyGBps + w.reduced / reduceGBps);
  work += w.messages * (ll ? m.llMessageUs : m.messageUs);
  double time = factor * 1e-3 * w.alone / (reduces(request.collective) ? m.readGBps : m.copyGBps);
  if (ll) {
    const double perLine =
        1e-3 * m.lineNs * (m.ranksPerCore > 1 ? 1.4 : 1);  // another rank has used the caches since
    work += (w.copied + w.reduced) / 56 * perLine;
    time += w.alone / 56 * perLine;
  }
  time += w.hops * hop + work * m.ranksPerCore;
  // Each rank of a core must have had it before the first of them goes on; later hand-overs partly coincide.
  if (m.ranksPerCore > 1) {
    const double ahead = callsAhead(request, boards, ll);
    time += 2 * m.switchUs * (m.ranksPerCore - 1) * (1 / ahead + (ahead > 1 ? 0.15 : 0.6) * (w.hops - 1));
  }
  if (m.network) time += w.hops * m.networkUs + (w.copied + w.alone) / (m.networkGBps * 1e3);
  return time;
}

}  // namespace tutti::algos
