// What all ranks get: bitwise the same for random floats, by every algorithm; and the V forms.
#include <gtest/gtest.h>
#include <tutti/tutti.h>

#include <cstring>
#include <random>

#include "data.hpp"
#include "ranks.hpp"

namespace {

/// Random values whose sums depend on the order of the additions; all ranks compare the bits of rank 0's
/// result.
std::string sameBits(int rank, int n, ncclComm_t comm, const std::vector<size_t>& counts) {
  for (ncclDataType_t type : {ncclFloat32, ncclFloat16, ncclBfloat16, ncclFloat64}) {
    for (ncclRedOp_t op : {ncclSum, ncclAvg, ncclProd}) {
      for (size_t count : counts) {
        std::mt19937 random(static_cast<uint32_t>(rank) + 1);
        std::vector<char> data(count * data::sizeOf(type)), first(data.size());
        for (size_t i = 0; i < count; ++i) {
          const double value = 0.5 + static_cast<double>(random() % 1024) / 1024;
          data::put(data.data(), i, type, op == ncclProd ? value : value * (i % 2 == 0 ? 8 : 0.125));
        }
        RANK_TRY(ncclAllReduce(data.data(), data.data(), count, type, op, comm, nullptr));
        first = data;
        RANK_TRY(ncclBroadcast(first.data(), first.data(), first.size(), ncclInt8, 0, comm, nullptr));
        if (std::memcmp(first.data(), data.data(), data.size()) != 0)
          return "rank " + std::to_string(rank) + " of " + std::to_string(n) +
                 " has other bits than rank 0: " + data::nameOf(type) + ", count " + std::to_string(count) +
                 ", op " + std::to_string(op);
      }
    }
  }
  return "";
}

const std::vector<size_t> kCounts = {1, 77, 900, 20'001};

// Processes first: a child must come from a parent that has not used the library yet.
TEST(A_Processes, SameBitsOnAllRanks) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    EXPECT_EQ(ranks::asProcesses(3, [](int r, int n, ncclComm_t c) { return sameBits(r, n, c, kCounts); }),
              "")
        << transport;
  }
}
TEST(B_Threads, SameBitsOnAllRanksByEveryAlgorithm) {
  for (const char* algorithm : {"ring", "tree", "rd", "oneshot", "twoshot"}) {
    for (const char* protocol : {"Simple", "LL"}) {
      ranks::Settings settings({{"NCCL_ALGO", std::string("allreduce:") + algorithm},
                                {"NCCL_PROTO", std::string("allreduce:") + protocol}});
      std::vector<size_t> counts = kCounts;
      if (protocol[0] == 'L') counts.pop_back();
      for (int n : {2, 3, 6}) {
        EXPECT_EQ(
            ranks::asThreads(n, [&](int r, int size, ncclComm_t c) { return sameBits(r, size, c, counts); }),
            "")
            << algorithm << "/" << protocol;
      }
    }
  }
}

// Counts that rank `from` has for rank `to`.
size_t countOf(int from, int to, int n) {
  return from == to ? 5 : static_cast<size_t>((from * 7 + to * 3) % (2 * n)) * 1500;
}
int valueOf(int from, int to, size_t i) {
  return from * 10'000'000 + to * 1'000'000 + static_cast<int>(i);
}

std::string allToAllV(int rank, int n, ncclComm_t comm) {
  std::vector<size_t> sendCounts(n), sendAt(n), recvCounts(n), recvAt(n);
  size_t sends = 0, receives = 0;
  for (int peer = 0; peer < n; ++peer) {
    sendCounts[peer] = countOf(rank, peer, n);
    recvCounts[peer] = countOf(peer, rank, n);
    sendAt[peer] = sends;
    sends += sendCounts[peer] + 3;
  }
  for (int peer = n - 1; peer >= 0; --peer) {  // other order, gaps in between
    recvAt[peer] = receives + 1;
    receives += recvCounts[peer] + 2;
  }
  std::vector<int> in(sends, -1), out(receives, -7);
  for (int peer = 0; peer < n; ++peer) {
    for (size_t i = 0; i < sendCounts[peer]; ++i) in[sendAt[peer] + i] = valueOf(rank, peer, i);
  }
  RANK_TRY(tuttiAllToAllv(in.data(), sendCounts.data(), sendAt.data(), out.data(), recvCounts.data(),
                          recvAt.data(), ncclInt32, comm, nullptr));
  size_t touched = 0;
  for (int peer = 0; peer < n; ++peer) {
    touched += recvCounts[peer];
    for (size_t i = 0; i < recvCounts[peer]; ++i) {
      if (out[recvAt[peer] + i] != valueOf(peer, rank, i))
        return "AllToAllv: element " + std::to_string(i) + " from rank " + std::to_string(peer);
    }
  }
  if (static_cast<size_t>(std::count(out.begin(), out.end(), -7)) != out.size() - touched)
    return "AllToAllv wrote into a gap";
  return "";
}

std::string allGatherV(int rank, int n, ncclComm_t comm) {
  for (bool inPlace : {false, true}) {
    std::vector<size_t> counts(n), at(n);
    size_t total = 0;
    for (int peer = 0; peer < n; ++peer) {
      counts[peer] = static_cast<size_t>(peer % 3) * 4000 + (peer == 1 ? 1 : 0);
      at[peer] = total;
      total += counts[peer] + 1;
    }
    std::vector<int> in(counts[rank]), out(total, -7);
    for (size_t i = 0; i < counts[rank]; ++i) in[i] = valueOf(rank, 0, i);
    if (inPlace) std::copy(in.begin(), in.end(), out.begin() + static_cast<ptrdiff_t>(at[rank]));
    const int* send = inPlace ? out.data() + at[rank] : in.data();
    RANK_TRY(
        tuttiAllGatherv(send, counts[rank], out.data(), counts.data(), at.data(), ncclInt32, comm, nullptr));
    for (int peer = 0; peer < n; ++peer) {
      for (size_t i = 0; i < counts[peer]; ++i) {
        if (out[at[peer] + i] != valueOf(peer, 0, i)) return "AllGatherv: from rank " + std::to_string(peer);
      }
    }
  }
  return "";
}

std::string reduceScatterV(int rank, int n, ncclComm_t comm) {
  for (bool inPlace : {false, true}) {
    std::vector<size_t> counts(n);
    size_t total = 0, own = 0;
    for (int peer = 0; peer < n; ++peer) {
      counts[peer] = static_cast<size_t>((peer + 1) % 3) * 3000 + static_cast<size_t>(peer);
      if (peer == rank) own = total;
      total += counts[peer];
    }
    std::vector<int> in(total), out(counts[rank] + 1, -7);
    for (size_t i = 0; i < total; ++i) in[i] = static_cast<int>(i) + rank;
    int* recv = inPlace ? in.data() + own : out.data();
    RANK_TRY(tuttiReduceScatterv(in.data(), recv, counts.data(), ncclInt32, ncclSum, comm, nullptr));
    for (size_t i = 0; i < counts[rank]; ++i) {
      if (recv[i] != n * static_cast<int>(own + i) + n * (n - 1) / 2)
        return std::string("ReduceScatterv: element ") + std::to_string(i) + (inPlace ? " in place" : "");
    }
  }
  return "";
}

std::string vForms(int rank, int n, ncclComm_t comm) {
  for (auto body : {allToAllV, allGatherV, reduceScatterV}) {
    for (int turn = 0; turn < 2; ++turn) {
      if (std::string text = body(rank, n, comm); !text.empty()) return text;
    }
  }
  return "";
}

TEST(A_Processes, VForms) {
  for (const char* transport : {"auto", "tcp"}) {
    ranks::Settings settings(std::vector<ranks::Setting>{{"TUTTI_TRANSPORT", transport}});
    for (int n : {2, 3}) EXPECT_EQ(ranks::asProcesses(n, vForms), "") << n << " by " << transport;
  }
}
TEST(B_Threads, VForms) {
  for (int n : {1, 2, 5}) EXPECT_EQ(ranks::asThreads(n, vForms), "") << n;
}

}  // namespace
