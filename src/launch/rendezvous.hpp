// Where the ranks of a job meet: the place of the hub, the key that admits to it, and whether this process
// serves it.
#pragma once

#include <memory>
#include <string>

#include "core/clock.hpp"
#include "core/unique_fd.hpp"
#include "launch/board.hpp"
#include "launch/mac.hpp"
#include "launch/socket.hpp"

namespace tutti::launch {

struct Rendezvous {
  Place place;
  Block128 key{};
  UniqueFd listener;             ///< valid on the rank that serves the hub
  std::string served;            ///< who serves it, for messages: "tutti run", "rank 0"
  std::unique_ptr<Board> board;  ///< keeps the launcher's store open until all ranks have come
};

/// Finds the place for the `generation`-th exchange of this process. The ways, first that applies:
///   TUTTI_COMM_ADDR       rank 0 listens there
///   TUTTI_RENDEZVOUS      `tutti run` listens there, the key is in TUTTI_RENDEZVOUS_SECRET
///   NCCL_COMM_ID          rank 0 listens at the port after it (the library itself takes that port)
///   all ranks on one host rank 0 listens at an abstract Unix socket named by the job
///   PMI_FD, PMIx, torchrun's store    rank 0 publishes its addresses and a random key there
///   Slurm                 rank 0's host from the node list, the port from job and step
Result<Rendezvous> findRendezvous(const World& world, uint32_t generation, Deadline deadline);

}  // namespace tutti::launch
