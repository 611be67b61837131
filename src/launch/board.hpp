// A launcher's own key-value store, as far as we need it: rank 0 publishes one string, the others look it up.
#pragma once

#include <memory>
#include <string>

#include "core/clock.hpp"
#include "launch/environment.hpp"

namespace tutti::launch {

class Board {
 public:
  virtual ~Board() = default;
  /// Rank 0. The value has no spaces, '=' or newlines and is shorter than 1000 characters.
  virtual Status publish(const std::string& key, const std::string& value, Deadline deadline) = 0;
  /// The other ranks: waits until rank 0 has published.
  virtual Result<std::string> lookUp(const std::string& key, Deadline deadline) = 0;
};

/// PMI-1 over the descriptor PMI_FD: Hydra (MPICH, Intel MPI) and Slurm's pmi2 plug-in.
Result<std::unique_ptr<Board>> openPmiBoard(const Environment& environment, const World& world);

/// PMIx from libpmix.so.2, opened at run time: Open MPI, Slurm's pmix plug-in.
Result<std::unique_ptr<Board>> openPmixBoard();

/// The TCPStore that torchrun's agent serves at MASTER_ADDR:MASTER_PORT.
Result<std::unique_ptr<Board>> openTorchBoard(const std::string& host, uint16_t port, Deadline deadline);

}  // namespace tutti::launch
