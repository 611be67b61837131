// The network that messages cross: directed links with a queue in front of each, and routes over them.
//
// A message takes a link in the order of arrival, one at a time: it leaves when the link is free, keeps it
// for gap + bytes * psPerByte, and its head is at the next link `latency` later (cut-through). Its last byte
// arrives when the slowest part of the way lets it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "sim/big_vector.hpp"
#include "sim/stamp.hpp"

namespace tutti::sim {

struct Link {
  double psPerByte = 0;
  TimePs latency = 0;
  TimePs gap = 0;  ///< per message
  bool dead = false;
  // State of a run.
  TimePs free = 0;
  TimePs busy = 0;
  TimePs queued = 0;    ///< sum over messages of the time they waited here
  TimePs promised = 0;  ///< for messages that have chosen a way over it and are not here yet
};

/// A way from rank to rank: links in order.
using Route = std::vector<uint32_t>;

class Network {
 public:
  virtual ~Network() = default;

  virtual int nRanks() const = 0;
  /// Different ways between two ranks, at least 1.
  virtual uint64_t ways(int from, int to) const { return 1; }
  /// Appends way number `way` below ways(). The last entries may be shared between ways.
  virtual void route(int from, int to, uint64_t way, Route& out) const = 0;
  /// Ranks of a machine, where they are alike: each with ways in and out, and a NIC on a rail, of its own. 0:
  /// not so.
  virtual int folds() const { return 0; }
  /// Makes a route from the first rank of a machine one that ends at that rank's ways in: what a route
  /// between others of the machine looks like when the machine is turned. REQUIRES folds() > 0.
  virtual void fold(int, int, Route&) const {}
  virtual std::string linkName(uint32_t link) const = 0;
  /// One line for people: what this network is.
  virtual std::string describe() const = 0;
  /// What one run's numbers rest on that nobody measured: shown with every result.
  virtual std::string assumptions() const { return ""; }

  BigVector<Link>& links() { return links_; }
  const BigVector<Link>& links() const { return links_; }
  /// Forgets what earlier runs left behind.
  void reset();
  /// The links whose name contains `text`. None: an error with names that exist.
  Result<std::vector<uint32_t>> find(std::string_view text) const;

  /// A message takes the least loaded of several ways (adaptive), or always its connection's (hashed).
  bool adaptive = false;

 protected:
  uint32_t addLink(double gbps, double latencyUs, double gapUs = 0);
  BigVector<Link> links_;
};

/// LogGP's world: each rank sends and receives one message at a time, G per byte; nothing else is in the way.
class IdealNetwork : public Network {
 public:
  struct Shape {
    double gbps = 50;
    double latencyUs = 1;
    double gapUs = 0;
  };
  IdealNetwork(int nRanks, const Shape& shape);

  int nRanks() const override { return nRanks_; }
  void route(int from, int to, uint64_t way, Route& out) const override;
  std::string linkName(uint32_t link) const override;
  std::string describe() const override;

 private:
  int nRanks_;
  Shape shape_;
};

}  // namespace tutti::sim
