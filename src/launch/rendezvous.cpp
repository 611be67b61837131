#include "launch/rendezvous.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <limits>

#include "core/bytes.hpp"
#include "core/param.hpp"
#include "launch/slurm.hpp"

namespace tutti::launch {
namespace {

/// Below Linux's default range of ephemeral ports, so that no client socket sits on it by chance.
constexpr uint16_t kDerivedPortBase = 20000;
constexpr uint16_t kDerivedPortCount = 12000;

std::string variables(const Environment& environment, std::initializer_list<const char*> names) {
  std::string text;
  for (const char* name : names) {
    const char* value = environment(name);
    text += fmt::format("{}={};", name, value ? value : "");
  }
  return text;
}

/// The process that made the pair of sockets to which PMI_FD belongs: the process manager's proxy on this
/// host.
std::string proxyOf(const Environment& environment) {
  const char* text = environment("PMI_FD");
  auto fd = parseInteger(text ? text : "");
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (!fd || *fd < 0 || *fd > std::numeric_limits<int>::max() ||
      getsockopt(static_cast<int>(*fd), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0 ||
      credentials.pid <= 0) {
    return "";
  }
  // With its start time, because process numbers come again.
  std::ifstream file(fmt::format("/proc/{}/stat", credentials.pid));
  std::string line((std::istreambuf_iterator<char>(file)), {});
  std::string_view rest(line);
  rest.remove_prefix(std::min(rest.size(), rest.rfind(')') + 1));
  for (int field = 0; field < 20; ++field) rest.remove_prefix(std::min(rest.size(), rest.find(' ', 1)));
  return fmt::format("proxy {} {}", credentials.pid, rest.substr(0, rest.find(' ', 1)));
}

/// What tells this job from others of the same user on the same host; empty where nothing does.
std::string jobIdentity(const World& world, const Environment& environment) {
  if (world.launcher == "torchrun") {
    return variables(environment,
                     {"TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"});
  }
  if (world.launcher == "open-mpi") {
    if (!environment("PMIX_NAMESPACE") && !environment("OMPI_MCA_ess_base_jobid")) return "";
    return variables(environment,
                     {"PMIX_NAMESPACE", "PMIX_SERVER_URI41", "PMIX_SERVER_URI4", "PMIX_SERVER_URI3",
                      "PMIX_SERVER_URI2", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_precondition_transports",
                      "OMPI_MCA_opal_precondition_transports"});
  }
  if (world.launcher == "slurm") {
    if (!environment("SLURM_JOB_ID") && !environment("SLURM_JOBID")) return "";
    return variables(environment,
                     {"SLURM_JOB_ID", "SLURM_JOBID", "SLURM_STEP_ID", "SLURM_STEPID", "SLURM_RESTART_COUNT"});
  }
  return proxyOf(environment);
}

/// Hands a listening rank's addresses and key to the others over the launcher's store, and the same back to
/// them.
Status meetOnBoard(Rendezvous& meeting, const World& world, uint32_t generation, const std::string& extraHost,
                   Deadline deadline) {
  std::string key = fmt::format("tutti-hub-{}-{}", world.size, generation);
  if (world.rank == 0) {
    TUTTI_ASSIGN(meeting.listener, listenTcp("", 0));
    TUTTI_ASSIGN(meeting.place.port, portOf(meeting.listener.get()));
    meeting.key = randomBlock();
    meeting.place.hosts = {"127.0.0.1"};
    // "key,port,address,address": commas only, PMI-1 splits at blanks and '='.
    std::string value = fmt::format("{},{}", toHex(meeting.key), meeting.place.port);
    std::vector<std::string> addresses = ownAddresses();
    if (!extraHost.empty()) addresses.push_back(extraHost);
    for (const std::string& address : addresses) {
      if (value.size() + address.size() < 900) value += "," + address;
    }
    return meeting.board->publish(key, value, deadline);
  }
  TUTTI_ASSIGN(std::string value, meeting.board->lookUp(key, deadline));
  std::vector<std::string> words(1);
  for (char c : value) {
    if (c == ',') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  int64_t port = words.size() < 3 ? 0 : parseInteger(words[1]).value_or(0);
  auto secret = blockFromHex(words[0]);
  if (port < 1 || port > 65535 || !secret.ok()) {
    return makeError(Code::RemoteError, "rank 0's address in the launcher's store makes no sense: '{}'",
                     value);
  }
  meeting.key = *secret;
  meeting.place.port = static_cast<uint16_t>(port);
  meeting.place.hosts.assign(words.begin() + 2, words.end());
  return {};
}

/// Rank 0 listens at a place that all ranks know.
Status meetAt(Rendezvous& meeting, Place place, const World& world, const std::string& secretText) {
  meeting.place = std::move(place);
  meeting.key = keyFrom(fmt::format("{};uid={}", secretText, geteuid()));
  if (world.rank != 0) return {};
  if (!meeting.place.unixName.empty()) {
    TUTTI_ASSIGN(meeting.listener, listenUnix(meeting.place.unixName));
    return {};
  }
  auto listener = listenTcp(meeting.place.hosts[0], meeting.place.port);
  if (!listener.ok()) {
    return makeError(
        listener.error().code(),
        "rank 0 serves the exchange of all ranks: {} (is another process rank 0, too, or does one of "
        "another job use this port?)",
        listener.error().message());
  }
  meeting.listener = std::move(listener).value();
  return {};
}

Result<Rendezvous> atTuttiRun(const char* address, const Environment& environment) {
  Rendezvous meeting;
  auto place = placeFromText(address);
  if (!place.ok()) return std::move(place).error().context("TUTTI_RENDEZVOUS");
  meeting.place = *place;
  const char* secret = environment("TUTTI_RENDEZVOUS_SECRET");
  auto key = blockFromHex(secret ? secret : "");
  if (!key.ok()) return std::move(key).error().context("TUTTI_RENDEZVOUS_SECRET");
  meeting.key = *key;
  meeting.served = "tutti run";
  return meeting;
}

Status overTorch(Rendezvous& meeting, const World& world, uint32_t generation, const Environment& environment,
                 const std::string& secret, Deadline deadline) {
  const char* host = environment("MASTER_ADDR");
  const char* digits = environment("MASTER_PORT");
  auto port = parseInteger(digits ? digits : "");
  if (!host || !port || *port < 1 || *port > 65535) {
    return Error(Code::InvalidUsage, "MASTER_ADDR and MASTER_PORT do not tell where rank 0 is");
  }
  const char* agent = environment("TORCHELASTIC_USE_AGENT_STORE");
  if (agent && std::string_view(agent) == "True") {
    TUTTI_ASSIGN(meeting.board, openTorchBoard(host, static_cast<uint16_t>(*port), deadline));
    const char* restart = environment("TORCHELASTIC_RESTART_COUNT");
    auto attempt = parseInteger(restart ? restart : "");
    uint32_t tag = generation + 1000 * static_cast<uint32_t>(attempt ? *attempt : 0);
    return meetOnBoard(meeting, world, tag, host, deadline);
  }
  // Nobody listens at MASTER_PORT unless the program itself does: it is ours.
  Place place;
  place.hosts = {host};
  place.port = static_cast<uint16_t>(*port);
  return meetAt(meeting, place, world, secret);
}

Status overSlurm(Rendezvous& meeting, const World& world, const Environment& environment,
                 const std::string& job) {
  Place place;
  std::string host = slurmRankZeroHost(environment);
  if (host.empty()) return Error(Code::InvalidUsage, "Slurm's variables do not tell rank 0's host");
  place.hosts = {host};
  place.port = static_cast<uint16_t>(kDerivedPortBase + sipHash(keyFrom("port"), job) % kDerivedPortCount);
  TUTTI_TRY(meetAt(meeting, place, world, job));
  return {};
}

}  // namespace

Result<Rendezvous> findRendezvous(const World& world, uint32_t generation, Deadline deadline) {
  Environment environment = processEnvironment;
  Rendezvous meeting;
  meeting.served = "rank 0";
  const char* extraSecret = environment("TUTTI_RENDEZVOUS_SECRET");
  std::string secret = extraSecret ? extraSecret : "";

  std::string address = params::getString("TUTTI_COMM_ADDR");
  if (!address.empty()) {
    auto place = placeFromText(address);
    if (!place.ok()) return std::move(place).error().context("TUTTI_COMM_ADDR");
    TUTTI_TRY(meetAt(meeting, *place, world, secret));
    return meeting;
  }
  if (const char* rendezvous = environment("TUTTI_RENDEZVOUS"); rendezvous && world.launcher == "tutti run") {
    return atTuttiRun(rendezvous, environment);
  }
  address = params::getString("NCCL_COMM_ID");
  if (!address.empty()) {
    auto place = placeFromText(address);
    if (!place.ok()) return std::move(place).error().context("NCCL_COMM_ID");
    if (place->port == 65535)
      return Error(Code::InvalidUsage, "NCCL_COMM_ID: the port after 65535 is needed, too");
    ++place->port;
    TUTTI_TRY(meetAt(meeting, *place, world, secret));
    return meeting;
  }

  std::string job = jobIdentity(world, environment);
  if (!job.empty() && world.localSize == world.size) {
    Place place;
    Block128 name = keyFrom(fmt::format("name;{};{};{}", job, geteuid(), world.size));
    place.unixName = fmt::format("tutti-launch-{}-{}", toHex(name), generation);
    TUTTI_TRY(meetAt(meeting, place, world, job + secret));
    return meeting;
  }

  auto openAndMeet = [&](auto board) -> Status {
    if (!board.ok()) return std::move(board).error();
    meeting.board = std::move(board).value();
    return meetOnBoard(meeting, world, generation, "", deadline);
  };
  Status found;
  std::string way;
  if (world.launcher == "torchrun") {
    way = "torchrun";
    found = overTorch(meeting, world, generation, environment, job + secret, deadline);
  } else if (environment("PMI_FD")) {
    way = "PMI";
    found = openAndMeet(openPmiBoard(environment, world));
  } else if (environment("PMIX_RANK")) {
    way = "PMIx";
    found = openAndMeet(openPmixBoard());
  } else if (world.launcher == "slurm") {
    way = "Slurm";
    found = overSlurm(meeting, world, environment, job + secret);
  } else {
    way = "the environment";
    found = Error(Code::InvalidUsage, "nothing there tells where rank 0 is");
  }
  if (found.ok()) return meeting;
  return makeError(found.error().code(),
                   "finding the other {} ranks by {}: {}. Set TUTTI_COMM_ADDR=host:port on all ranks "
                   "(a free port on rank 0's host) to do without",
                   world.size - 1, way, found.error().message());
}

}  // namespace tutti::launch
