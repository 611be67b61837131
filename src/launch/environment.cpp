#include "launch/environment.hpp"

#include <cstdlib>

#include "core/bytes.hpp"
#include "launch/slurm.hpp"

namespace tutti::launch {
namespace {

/// What a launcher calls its variables. A local pair that is not set means "all ranks on this host".
struct Names {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* localRank;
  const char* localSize;
};

Result<int> number(const Environment& environment, const char* name) {
  const char* text = environment(name);
  if (!text) return makeError(Code::InvalidUsage, "{} is not set", name);
  auto value = parseInteger(text);
  if (!value || *value < 0 || *value >= 1 << 16) {
    return makeError(Code::InvalidUsage, "{}={} is not a number from 0 to 65535", name, text);
  }
  return static_cast<int>(*value);
}

Result<World> worldFrom(const Environment& environment, const Names& names) {
  World world;
  world.launcher = names.launcher;
  std::string where = std::string_view(names.launcher) == "environment"
                          ? "the environment tells this process its rank, but"
                          : fmt::format("the environment looks like {}'s, but", names.launcher);
  auto assign = [&](int& to, const char* name) -> Status {
    auto value = number(environment, name);
    if (!value.ok()) return Error(value.error().code(), where + " " + value.error().message());
    to = *value;
    return {};
  };
  TUTTI_TRY(assign(world.rank, names.rank));
  TUTTI_TRY(assign(world.size, names.size));
  world.localRank = world.rank;
  world.localSize = world.size;
  if (names.localRank && environment(names.localRank)) {
    TUTTI_TRY(assign(world.localRank, names.localRank));
    world.localSize = world.localRank + 1;  // at least; corrected below where the launcher tells
  }
  if (names.localSize && environment(names.localSize)) TUTTI_TRY(assign(world.localSize, names.localSize));
  if (world.size < 1 || world.rank >= world.size) {
    return makeError(Code::InvalidUsage, "{} {}={} is not below {}={}", where, names.rank, world.rank,
                     names.size, world.size);
  }
  if (world.localRank >= world.localSize || world.localSize > world.size) {
    return makeError(Code::InvalidUsage, "{} local rank {} of {} and rank {} of {} do not go together", where,
                     world.localRank, world.localSize, world.rank, world.size);
  }
  return world;
}

Result<World> slurmWorld(const Environment& environment) {
  const char* size = environment("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS"
                     : environment("SLURM_NTASKS")       ? "SLURM_NTASKS"
                                                         : "SLURM_NPROCS";
  TUTTI_ASSIGN(World world,
               worldFrom(environment, {"slurm", "SLURM_PROCID", size, "SLURM_LOCALID", nullptr}));
  const char* perNode = environment("SLURM_STEP_TASKS_PER_NODE");
  if (!perNode) perNode = environment("SLURM_TASKS_PER_NODE");
  const char* node = environment("SLURM_NODEID");
  auto counts = slurmTasksPerNode(perNode ? perNode : "");
  auto index = parseInteger(node ? node : "0");
  if (index && *index >= 0 && *index < static_cast<int64_t>(counts.size()) &&
      counts[*index] > world.localRank && counts[*index] <= world.size) {
    world.localSize = counts[*index];
  } else if (slurmNodeCount(environment) == 1) {
    world.localSize = world.size;
  }
  return world;
}

}  // namespace

const char* processEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : nullptr;
}

Result<World> detect() {
  return detect(processEnvironment);
}

Result<World> detect(const Environment& given) {
  // An empty variable counts as one that is not set: scripts clear them so.
  Environment environment = [&](const char* name) {
    const char* value = given(name);
    return value && *value ? value : nullptr;
  };
  auto has = [&](const char* name) { return environment(name) != nullptr; };

  // The innermost launcher first: each may have been started by a later one.
  if (has("TUTTI_RANK")) {
    const char* launcher = has("TUTTI_RENDEZVOUS") ? "tutti run" : "environment";
    return worldFrom(environment,
                     {launcher, "TUTTI_RANK", "TUTTI_SIZE", "TUTTI_LOCAL_RANK", "TUTTI_LOCAL_SIZE"});
  }
  if (has("TORCHELASTIC_RUN_ID") || (has("RANK") && has("WORLD_SIZE") && has("MASTER_ADDR"))) {
    return worldFrom(environment, {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"});
  }
  if (has("OMPI_COMM_WORLD_RANK")) {
    return worldFrom(environment, {"open-mpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                   "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"});
  }
  if (has("PMI_RANK") && has("PMI_SIZE")) {
    // srun --mpi=pmi2 sets PMI's variables and its own; under Hydra inside an allocation, Slurm's are the
    // proxy's.
    const char* slurmRank = environment("SLURM_PROCID");
    if (slurmRank && !has("MPI_LOCALRANKID") && std::string_view(slurmRank) == environment("PMI_RANK")) {
      return slurmWorld(environment);
    }
    const char* launcher =
        has("I_MPI_HYDRA_HOST_FILE") || has("I_MPI_MPIRUN") || has("I_MPI_ROOT") ? "intel-mpi" : "mpich";
    return worldFrom(environment, {launcher, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"});
  }
  // In the batch script itself, Slurm's variables describe the allocation: one process, not SLURM_NTASKS.
  const char* kind = environment("ENVIRONMENT");
  bool batchScript = kind && std::string_view(kind) == "BATCH" && !has("SLURM_STEP_ID");
  if (has("SLURM_PROCID") && (has("SLURM_NTASKS") || has("SLURM_STEP_NUM_TASKS")) && !batchScript) {
    return slurmWorld(environment);
  }
  return World{};
}

std::string helpText() {
  std::string text =
      "Launchers: `tutti run -n N -- program`, mpirun of Open MPI, MPICH and Intel MPI, torchrun, and srun "
      "are recognised by\n"
      "the environment they set; without one there is 1 rank. By hand: TUTTI_RANK, TUTTI_SIZE and "
      "TUTTI_COMM_ADDR=host:port\n"
      "(where rank 0 listens). TUTTI_COMM_ADDR also overrides how the ranks of any launcher find each "
      "other.\n";
  auto world = detect();
  if (!world.ok()) return text + "Seen now: " + world.error().message() + "\n";
  if (world->launcher == "none") return text + "Seen now: no launcher, 1 rank\n";
  return text + fmt::format("Seen now: {}, rank {} of {} (local rank {} of {})\n", world->launcher,
                            world->rank, world->size, world->localRank, world->localSize);
}

}  // namespace tutti::launch
