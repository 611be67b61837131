#include "pattern.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "numbers.hpp"

namespace tutti::perf {
namespace {

uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

/// Random bits of (seed, who, index).
uint64_t draw(const Pattern& pattern, uint64_t who, uint64_t index) {
  return mix(mix(mix(pattern.seed) + who) + index);
}
constexpr uint64_t kShared = 1ull << 40;  ///< "who" of what all ranks agree on

/// Whole number in [low, high]. REQUIRES fewer than 2^64 of them.
int64_t between(uint64_t random, int64_t low, int64_t high) {
  uint64_t numbers = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  return static_cast<int64_t>(static_cast<uint64_t>(low) + random % numbers);
}

uint64_t maskOf(DataType type) {
  return sizeOf(type) == 8 ? ~0ull : (1ull << (8 * sizeOf(type))) - 1;
}

size_t periodOf(int ranks) {
  return ranks <= 8 ? 8191 : 1021;
}  // primes; the shorter one keeps many ranks quick

/// mantissa * 2^exponent.
struct Term {
  int64_t mantissa;
  int exponent;
  double value() const { return std::ldexp(static_cast<double>(mantissa), exponent); }
};

bool isPowerOfTwo(int n) {
  return (n & (n - 1)) == 0;
}

// --- sums of floats: all partial sums are whole numbers of at most 2^precision, in units of 2^exponent ---

Term floatSumTerm(const Pattern& p, int rank, size_t index) {
  int64_t room = 1ll << formatOf(p.type).precision;
  // More ranks than room: every stride-th rank takes part, which ones changes from element to element.
  int64_t stride = (p.ranks + room - 1) / room;
  int64_t takers = (p.ranks + stride - 1) / stride;
  int exponent = static_cast<int>(draw(p, kShared, index) % 5) - 2;
  if ((static_cast<uint64_t>(rank) + index) % static_cast<uint64_t>(stride) != 0) return {0, exponent};
  int64_t most = room / takers;
  return {between(draw(p, rank, index), -most, most), exponent};
}

// --- avg: inputs q + d and q - d in pairs, so that the sum is ranks * q and the result q. Where the type has
// no room for that,
// --- one rank that changes from element to element puts in something, the others 0 ---

int64_t averageRoom(const Pattern& p) {
  if (isFloat(p.type)) return 1ll << formatOf(p.type).precision;
  return static_cast<int64_t>(maskOf(p.type) >> (isSigned(p.type) ? 1 : 0) >> (sizeOf(p.type) == 8 ? 1 : 0));
}

Term averageTerm(const Pattern& p, int rank, size_t index) {
  uint64_t shared = draw(p, kShared, index);
  int exponent = isFloat(p.type) ? static_cast<int>((shared >> 40) % 3) : 0;
  int64_t room = averageRoom(p);
  int64_t most = room / p.ranks;
  if (most == 0) {
    bool taker = static_cast<uint64_t>(rank) == index % static_cast<uint64_t>(p.ranks);
    return {!taker ? 0 : isFloat(p.type) ? room : 1, exponent};
  }
  int64_t q = between(shared, isSigned(p.type) ? -most : 0, most);
  bool unpaired = rank == p.ranks - 1 && p.ranks % 2 == 1;
  if (unpaired) return {q, exponent};
  int64_t limit = isSigned(p.type) ? most - std::abs(q) : std::min(q, most - q);
  int64_t d = between(mix(shared + static_cast<uint64_t>(rank / 2)), 0, limit);
  return {rank % 2 == 0 ? q + d : q - d, exponent};
}

/// The result for floats.
double averageResult(const Pattern& p, size_t index) {
  if (averageRoom(p) / p.ranks == 0) {
    return averageTerm(p, static_cast<int>(index % static_cast<uint64_t>(p.ranks)), index).value() / p.ranks;
  }
  Term first = averageTerm(p, 0, index);
  if (p.ranks == 1) return first.value();
  Term second = averageTerm(p, 1, index);
  return Term{(first.mantissa + second.mantissa) / 2, first.exponent}.value();
}

// --- products of floats: signs, a few powers of two that stay small in any order, and one rank with a
// mantissa ---

double floatProdInput(const Pattern& p, int rank, size_t index) {
  constexpr int kExponents[] = {1, -1, 2, -2};
  auto ranks = static_cast<uint64_t>(p.ranks);
  uint64_t place = (static_cast<uint64_t>(rank) + index) % ranks;
  int exponent = place < 4 ? kExponents[place] : 0;
  uint64_t shared = draw(p, kShared, index);
  int64_t mantissa = 1;
  if (static_cast<uint64_t>(rank) == shared % ranks) {
    mantissa =
        between(shared >> 10, 1, std::min<int64_t>((1ll << formatOf(p.type).precision) - 1, 1ll << 50));
  }
  double magnitude = std::ldexp(static_cast<double>(mantissa), exponent);
  return draw(p, rank, index) & 1 ? -magnitude : magnitude;
}

// --- maximum and minimum of floats: anything finite but zero ---

double floatExtremeInput(const Pattern& p, int rank, size_t index) {
  uint64_t random = draw(p, rank, index);
  int64_t mantissa = between(random >> 10, 1, (1ll << formatOf(p.type).precision) - 1);
  double magnitude = std::ldexp(static_cast<double>(mantissa), static_cast<int>(random & 3) - 2);
  return random & 4 ? -magnitude : magnitude;
}

double floatInput(const Pattern& p, int rank, size_t index) {
  switch (p.op) {
    case ReduceOp::Sum:
      return floatSumTerm(p, rank, index).value();
    case ReduceOp::PreMulSum:
      return floatSumTerm(p, rank, index).value() / decodeFloat(p.type, preMulScalar(p, rank));
    case ReduceOp::Avg:
      return averageTerm(p, rank, index).value();
    case ReduceOp::Prod:
      return floatProdInput(p, rank, index);
    default:
      return floatExtremeInput(p, rank, index);
  }
}

double floatResult(const Pattern& p, size_t index) {
  if (p.op == ReduceOp::Avg) return averageResult(p, index);
  double result = floatInput(p, 0, index);
  if (p.op == ReduceOp::PreMulSum) result = floatSumTerm(p, 0, index).value();
  for (int rank = 1; rank < p.ranks; ++rank) {
    switch (p.op) {
      case ReduceOp::Sum:
      case ReduceOp::PreMulSum:
        result += floatSumTerm(p, rank, index).value();
        break;
      case ReduceOp::Prod:
        result *= floatInput(p, rank, index);
        break;
      case ReduceOp::Max:
        result = std::max(result, floatInput(p, rank, index));
        break;
      default:
        result = std::min(result, floatInput(p, rank, index));
        break;
    }
  }
  return result;
}

uint64_t integerInput(const Pattern& p, int rank, size_t index) {
  uint64_t mask = maskOf(p.type);
  if (p.op == ReduceOp::Avg) return static_cast<uint64_t>(averageTerm(p, rank, index).mantissa) & mask;
  uint64_t bits = draw(p, rank, index);
  if (p.op == ReduceOp::Prod) bits |= 1;  // odd: a product of even numbers soon is 0
  return bits & mask;
}

uint64_t integerResult(const Pattern& p, size_t index) {
  uint64_t mask = maskOf(p.type);
  if (p.op == ReduceOp::Avg) {
    if (averageRoom(p) / p.ranks == 0) return 0;  // 1 / ranks, truncated
    int64_t first = averageTerm(p, 0, index).mantissa;
    int64_t second = p.ranks > 1 ? averageTerm(p, 1, index).mantissa : first;
    return static_cast<uint64_t>(first + (second - first) / 2) & mask;
  }
  uint64_t flip = isSigned(p.type) ? (mask >> 1) + 1 : 0;  // orders two's complement like unsigned
  uint64_t result = integerInput(p, 0, index);
  if (p.op == ReduceOp::PreMulSum) result *= preMulScalar(p, 0);
  for (int rank = 1; rank < p.ranks; ++rank) {
    uint64_t bits = integerInput(p, rank, index);
    switch (p.op) {
      case ReduceOp::Sum:
        result += bits;
        break;
      case ReduceOp::PreMulSum:
        result += bits * preMulScalar(p, rank);
        break;
      case ReduceOp::Prod:
        result *= bits;
        break;
      case ReduceOp::Max:
        result = (bits ^ flip) > (result ^ flip) ? bits : result;
        break;
      default:
        result = (bits ^ flip) < (result ^ flip) ? bits : result;
        break;
    }
  }
  return result & mask;
}

}  // namespace

uint64_t preMulScalar(const Pattern& pattern, int rank) {
  if (isFloat(pattern.type)) return encodeFloat(pattern.type, rank % 2 == 0 ? 1.0 : 2.0);
  return 1 + static_cast<uint64_t>(rank) % 7;
}

uint64_t elementBits(const Pattern& pattern, Source source, int stream, size_t index) {
  size_t i = index % periodOf(pattern.ranks);
  if (source == Source::Raw) return draw(pattern, stream, i) & maskOf(pattern.type);
  bool input = source == Source::Input;
  if (isFloat(pattern.type)) {
    return encodeFloat(pattern.type, input ? floatInput(pattern, stream, i) : floatResult(pattern, i));
  }
  return input ? integerInput(pattern, stream, i) : integerResult(pattern, i);
}

double tolerance(const Pattern& p, size_t index) {
  if (p.op != ReduceOp::Avg || !isFloat(p.type) || p.ranks == 1) return 0;
  FloatFormat format = formatOf(p.type);
  // Times 1/ranks is exact for powers of two, unless it falls below what the type resolves.
  if (isPowerOfTwo(p.ranks) && 1.0 / p.ranks >= format.smallest()) return 0;
  size_t i = index % periodOf(p.ranks);
  double magnitudes = 0;
  int takers = 0;
  for (int rank = 0; rank < p.ranks; ++rank) {
    double magnitude = std::fabs(averageTerm(p, rank, i).value());
    magnitudes += magnitude;
    takers += magnitude != 0;
  }
  // Each input is rounded once when scaled, each addition once more, and 1/ranks itself once. Adding 0 is
  // exact.
  return format.roundoff() * (2 * takers + 1) * magnitudes / p.ranks + takers * format.smallest();
}

Stretch::Stretch(const Pattern& pattern, Source source, int stream, size_t first, size_t count)
    : pattern_(pattern), source_(source), first_(first), count_(count), elementSize_(sizeOf(pattern.type)) {
  size_t distinct = std::min(count, periodOf(pattern.ranks));
  block_.resize(distinct * elementSize_);
  for (size_t i = 0; i < distinct; ++i) {
    storeBits(&block_[i * elementSize_], elementSize_, elementBits(pattern, source, stream, first + i));
  }
}

void Stretch::write(void* at) const {
  auto* out = static_cast<unsigned char*>(at);
  size_t left = count_ * elementSize_;
  while (left > 0) {
    size_t part = std::min(left, block_.size());
    std::memcpy(out, block_.data(), part);
    out += part;
    left -= part;
  }
}

bool Stretch::matches(size_t position, uint64_t got) const {
  uint64_t expected =
      loadBits(&block_[position % (block_.size() / elementSize_) * elementSize_], elementSize_);
  if (got == expected) return true;
  if (source_ != Source::Reduced || !isFloat(pattern_.type)) return false;
  double difference = decodeFloat(pattern_.type, got) - decodeFloat(pattern_.type, expected);
  return std::fabs(difference) <= tolerance(pattern_, first_ + position);  // false for NaN; -0 equals 0
}

Stretch::Difference Stretch::compare(const void* at) const {
  Difference result;
  const auto* in = static_cast<const unsigned char*>(at);
  size_t blockElements = block_.size() / elementSize_;
  for (size_t start = 0; start < count_; start += blockElements) {
    size_t part = std::min(count_ - start, blockElements);
    const unsigned char* here = in + start * elementSize_;
    if (std::memcmp(here, block_.data(), part * elementSize_) == 0) continue;
    for (size_t i = 0; i < part; ++i) {
      uint64_t got = loadBits(here + i * elementSize_, elementSize_);
      if (matches(start + i, got)) continue;
      if (result.wrong++ == 0) {
        result.first = start + i;
        result.got = got;
        result.expected = loadBits(&block_[i * elementSize_], elementSize_);
      }
    }
  }
  return result;
}

}  // namespace tutti::perf
