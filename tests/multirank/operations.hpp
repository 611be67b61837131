// One operation of any kind (collective, send and receive) as a rank sees it: issued, possibly in a group or
// on a stream, and checked later against data.hpp.
#pragma once

#include <nccl.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "data.hpp"

namespace ops {

enum class Kind {
  AllReduce,
  Reduce,
  Broadcast,
  AllGather,
  ReduceScatter,
  AlltoAll,
  Gather,
  Scatter,
  SendRecv
};
inline constexpr Kind kCollectives[] = {Kind::AllReduce,     Kind::Reduce,   Kind::Broadcast, Kind::AllGather,
                                        Kind::ReduceScatter, Kind::AlltoAll, Kind::Gather,    Kind::Scatter};

struct Operation {
  Kind kind = Kind::AllReduce;
  ncclDataType_t type = ncclFloat32;
  int op = ncclSum;  ///< no PreMulSum
  size_t count = 0;
  int root = 0;  ///< SendRecv: the sender
  int to = 0;    ///< SendRecv: the receiver
  bool inPlace = false;
  int salt = 0;  ///< tells equal operations apart

  std::string name() const {
    static constexpr const char* kNames[] = {"AllReduce", "Reduce", "Broadcast", "AllGather", "ReduceScatter",
                                             "AlltoAll",  "Gather", "Scatter",   "SendRecv"};
    return std::string(kNames[static_cast<int>(kind)]) + "(" + std::to_string(count) + " " +
           data::nameOf(type) + ", op " + std::to_string(op) + ", root " + std::to_string(root) + ", to " +
           std::to_string(to) + (inPlace ? ", in place)" : ")");
  }
};

inline bool reduces(Kind kind) {
  return kind == Kind::AllReduce || kind == Kind::Reduce || kind == Kind::ReduceScatter;
}
inline bool rooted(Kind kind) {
  return kind == Kind::Reduce || kind == Kind::Broadcast || kind == Kind::Gather || kind == Kind::Scatter;
}

enum class MemoryKind { Private, Shared };  ///< Shared: from ncclMemAlloc

class Memory {
 public:
  Memory(size_t bytes, MemoryKind kind) : bytes_(bytes) {
    if (kind == MemoryKind::Private) {
      private_.reset(new unsigned char[bytes + 1]);
      memory_ = private_.get();
    } else if (ncclMemAlloc(&memory_, bytes + 1) != ncclSuccess) {
      memory_ = nullptr;
    }
    if (memory_ != nullptr) std::fill_n(static_cast<unsigned char*>(memory_), bytes + 1, 0xee);
  }
  ~Memory() {
    if (!private_ && memory_ != nullptr) ncclMemFree(memory_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* get() const { return static_cast<char*>(memory_); }
  size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<unsigned char[]> private_;
  void* memory_ = nullptr;
  size_t bytes_;
};

/// One rank's part of an operation, with its buffers.
class Part {
 public:
  Part(const Operation& operation, int rank, int n, MemoryKind memory = MemoryKind::Private)
      : o_(operation), rank_(rank), n_(n) {
    const size_t one = data::sizeOf(o_.type);
    const bool wideIn =
        o_.kind == Kind::ReduceScatter || o_.kind == Kind::AlltoAll || o_.kind == Kind::Scatter;
    const bool wideOut = o_.kind == Kind::AllGather || o_.kind == Kind::AlltoAll || o_.kind == Kind::Gather;
    const size_t inCount = o_.count * (wideIn ? n : 1);
    const size_t outCount = o_.count * (wideOut ? n : 1);
    in_ = std::make_unique<Memory>(o_.inPlace ? 0 : inCount * one, memory);
    out_ = std::make_unique<Memory>(std::max(inCount, outCount) * one, memory);
    recv_ = out_->get();
    send_ = in_->get();
    if (o_.inPlace) {
      send_ = recv_;
      if (o_.kind == Kind::AllGather || o_.kind == Kind::Gather) send_ = recv_ + rank * o_.count * one;
      if (o_.kind == Kind::ReduceScatter || o_.kind == Kind::Scatter) recv_ = send_ + rank * o_.count * one;
    }
    inCount_ = inCount;
    fill();
  }

  /// Writes the input (again); the output is whatever it was.
  void fill() {
    for (size_t i = 0; i < inCount_; ++i) data::put(send_, i, o_.type, sent(rank_, i));
  }

  ncclResult_t issue(ncclComm_t comm, cudaStream_t stream = nullptr) const {
    const auto op = static_cast<ncclRedOp_t>(o_.op);
    switch (o_.kind) {
      case Kind::AllReduce:
        return ncclAllReduce(send_, recv_, o_.count, o_.type, op, comm, stream);
      case Kind::Reduce:
        return ncclReduce(send_, recv_, o_.count, o_.type, op, o_.root, comm, stream);
      case Kind::Broadcast:
        return ncclBroadcast(send_, recv_, o_.count, o_.type, o_.root, comm, stream);
      case Kind::AllGather:
        return ncclAllGather(send_, recv_, o_.count, o_.type, comm, stream);
      case Kind::ReduceScatter:
        return ncclReduceScatter(send_, recv_, o_.count, o_.type, op, comm, stream);
      case Kind::AlltoAll:
        return ncclAlltoAll(send_, recv_, o_.count, o_.type, comm, stream);
      case Kind::Gather:
        return ncclGather(send_, recv_, o_.count, o_.type, o_.root, comm, stream);
      case Kind::Scatter:
        return ncclScatter(send_, recv_, o_.count, o_.type, o_.root, comm, stream);
      case Kind::SendRecv: {
        ncclResult_t result = ncclSuccess;
        if (rank_ == o_.root) result = ncclSend(send_, o_.count, o_.type, o_.to, comm, stream);
        if (result == ncclSuccess && rank_ == o_.to)
          result = ncclRecv(recv_, o_.count, o_.type, o_.root, comm, stream);
        return result;
      }
    }
    return ncclInternalError;
  }

  /// "" or what is wrong with the result.
  std::string check() const {
    std::string wrong;
    auto same = [&](size_t first, auto expected) {
      if (wrong.empty()) {
        wrong = data::compare(recv_, first, o_.count, o_.type, reduces(o_.kind) ? o_.op : ncclSum, expected);
      }
    };
    auto total = [&](size_t i) { return data::reduced(i + o_.salt, n_, o_.type, o_.op); };
    switch (o_.kind) {
      case Kind::AllReduce:
        same(0, total);
        break;
      case Kind::Reduce:
        if (rank_ == o_.root) same(0, total);
        break;
      case Kind::Broadcast:
        same(0, [&](size_t i) { return sent(o_.root, i); });
        break;
      case Kind::ReduceScatter:
        same(0, [&](size_t i) { return total(rank_ * o_.count + i); });
        break;
      case Kind::Scatter:
        same(0, [&](size_t i) { return sent(o_.root, rank_ * o_.count + i); });
        break;
      case Kind::AllGather:
      case Kind::Gather:
        if (o_.kind == Kind::Gather && rank_ != o_.root) break;
        for (int from = 0; from < n_; ++from) same(from * o_.count, [&](size_t i) { return sent(from, i); });
        break;
      case Kind::AlltoAll:
        for (int from = 0; from < n_; ++from) {
          same(from * o_.count, [&](size_t i) { return sent(from, rank_ * o_.count + i); });
        }
        break;
      case Kind::SendRecv:
        if (rank_ == o_.to) same(0, [&](size_t i) { return sent(o_.root, i); });
        break;
    }
    if (wrong.empty() && static_cast<unsigned char>(out_->get()[out_->bytes()]) != 0xee)
      wrong = "a byte behind the output was changed";
    return wrong.empty() ? "" : o_.name() + ": " + wrong;
  }

  const Operation& operation() const { return o_; }
  char* send() const { return send_; }
  char* recv() const { return recv_; }

 private:
  double sent(int from, size_t i) const {
    return data::input(from, i + o_.salt, n_, o_.type, reduces(o_.kind) ? o_.op : ncclSum);
  }

  Operation o_;
  int rank_, n_;
  size_t inCount_ = 0;
  std::unique_ptr<Memory> in_, out_;
  char* send_ = nullptr;
  char* recv_ = nullptr;
};

/// A random operation; the same on every rank that draws from an equal generator.
inline Operation randomOperation(std::mt19937& random, int n, size_t mostCount) {
  auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  constexpr ncclDataType_t kTypes[] = {ncclInt8,    ncclUint8,   ncclInt32,    ncclInt64,
                                       ncclFloat16, ncclFloat32, ncclBfloat16, ncclFloat64};
  constexpr int kOps[] = {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg};
  Operation o;
  o.kind = static_cast<Kind>(below(12) < 4 ? static_cast<size_t>(Kind::SendRecv) : below(8));
  o.type = kTypes[below(8)];
  o.op = kOps[below(5)];
  switch (below(4)) {
    case 0:
      o.count = below(4);
      break;
    case 1:
      o.count = below(100);
      break;
    default:
      o.count = below(mostCount);
      break;
  }
  o.root = static_cast<int>(below(n));
  o.to = static_cast<int>(below(n));
  o.inPlace = o.kind != Kind::AlltoAll && o.kind != Kind::SendRecv && below(2) == 1;
  o.salt = static_cast<int>(below(64));
  return o;
}

}  // namespace ops
