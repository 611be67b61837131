#include "topology/cluster.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <tuple>

namespace tutti::topology {
namespace {

uint64_t fnv(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

}  // namespace

Result<FabricFile> parseFabricFile(std::string_view json, std::string_view fileName) {
  FabricFile fabric;
  nlohmann::json j = nlohmann::json::parse(json.begin(), json.end(), nullptr, false, true);
  auto fail = [&](const std::string& what) {
    return makeError(Code::InvalidArgument, "{}: {}", fileName, what);
  };
  if (j.is_discarded() || !j.is_object()) return fail("not a JSON object");
  for (const auto& [key, value] : j.items()) {
    if (key == "oversubscription" || key == "site_gbps") {
      if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > 1e6)
        return fail(key + " is not a number from 0 to 1000000");
      (key == "site_gbps" ? fabric.siteGbps : fabric.oversubscription) = value.get<double>();
    } else if (key == "rail_only") {
      if (!value.is_boolean()) return fail("rail_only is not true or false");
      fabric.railOnly = value.get<bool>();
    } else if (key == "rails") {
      if (!value.is_object()) return fail("rails is not an object of NIC names");
      for (const auto& [nic, rail] : value.items()) {
        if (!rail.is_number_integer() || rail.get<int64_t>() < 0 || rail.get<int64_t>() > 4095)
          return fail(fmt::format("rails: {} is not a number from 0 to 4095", nic));
        fabric.rails[nic] = rail.get<int>();
      }
    } else if (key == "distances") {
      if (!value.is_object()) return fail("distances is not an object of site names");
      for (const auto& [from, others] : value.items()) {
        if (!others.is_object())
          return fail(fmt::format("distances: {} is not an object of site names", from));
        for (const auto& [to, distance] : others.items()) {
          if (!distance.is_number() || distance.get<double>() < 0 || distance.get<double>() > 1e9)
            return fail(fmt::format("distances: {} to {} is not a number from 0 to 1000000000", from, to));
          fabric.distances[{from, to}] = fabric.distances[{to, from}] = distance.get<double>();
        }
      }
    } else if (key == "hosts") {
      if (!value.is_object()) return fail("hosts is not an object of host names");
      for (const auto& [host, place] : value.items()) {
        if (!place.is_object())
          return fail(fmt::format("hosts: {} is not an object with site and leaf", host));
        FabricFile::Place p;
        for (const auto& [what, name] : place.items()) {
          if (!name.is_string() || (what != "site" && what != "leaf"))
            return fail(fmt::format("hosts: {}: only site and leaf, as texts", host));
          (what == "site" ? p.site : p.leaf) = name.get<std::string>();
        }
        fabric.places[host] = p;
      }
    } else {
      return fail(fmt::format(
          "{} is not known; hosts, oversubscription, rail_only, site_gbps, rails, distances are", key));
    }
  }
  if (fabric.oversubscription < 1) fabric.oversubscription = 1;
  return fabric;
}

namespace {

/// GUIDs name a port among all that there are; within a machine only which are equal matters. Numbered by
/// first appearance, equal machines have equal texts.
void numberGuids(XmlElement& e, std::map<std::string, size_t>& seen) {
  for (auto& [key, value] : e.attributes)
    if (key == "guid" && !value.empty())
      value = fmt::format("{:#x}", seen.try_emplace(value, seen.size() + 1).first->second);
  for (XmlElement& c : e.children) numberGuids(c, seen);
}

}  // namespace

Result<MachineNote> noteOf(const Topology& topology, const std::string& hostName, std::string& text) {
  XmlElement machine = topology.xml;
  std::map<std::string, size_t> guids;
  numberGuids(machine, guids);
  text = writeXml(machine);
  if (text.size() > kMaxMachineBytes)
    return makeError(Code::InvalidArgument,
                     "this machine's description has {} bytes, more than the {} that are exchanged",
                     text.size(), kMaxMachineBytes);
  return MachineNote{fnv(text), fnv(hostName), static_cast<uint32_t>(text.size())};
}

std::vector<int> hostsToAsk(std::span<const MachineNote> notes) {
  std::set<uint64_t> seen;
  std::vector<int> hosts;
  for (size_t i = 0; i < notes.size(); ++i)
    if (seen.insert(notes[i].machine).second) hosts.push_back(static_cast<int>(i));
  return hosts;
}

int Cluster::ranks() const {
  int sum = 0;
  for (int k : kindOf) sum += static_cast<int>(kinds[k].ranks.size());
  return sum;
}

uint64_t Cluster::hash() const {
  uint64_t h = 0xcbf29ce484222325ull;
  auto mix = [&](uint64_t v) { h = (h ^ v) * 0x100000001b3ull + (h >> 31); };
  for (const Graph& g : kinds) mix(g.hash());
  for (size_t i = 0; i < kindOf.size(); ++i)
    mix(static_cast<uint64_t>(kindOf[i]) << 40 | static_cast<uint64_t>(siteOf[i]) << 20 |
        static_cast<uint64_t>(leafOf[i]));
  mix(static_cast<uint64_t>(fabric.oversubscription * 1000));
  mix(static_cast<uint64_t>(fabric.siteGbps * 1000) << 1 | (fabric.railOnly ? 1 : 0));
  for (int host : machineOrder(*this)) mix(static_cast<uint64_t>(host));
  return h;
}

Result<Cluster> mergeCluster(std::span<const MachineNote> notes, std::span<const std::string> texts,
                             std::span<const std::string> hostNames, const FabricFile& fabric) {
  std::vector<int> asked = hostsToAsk(notes);
  if (asked.size() != texts.size() || hostNames.size() != notes.size())
    return makeError(Code::InternalError, "{} machine descriptions for {} kinds of machine", texts.size(),
                     asked.size());
  Cluster cluster;
  cluster.fabric = fabric;
  std::map<uint64_t, int> kindOf;
  for (size_t i = 0; i < asked.size(); ++i) {
    const MachineNote& note = notes[static_cast<size_t>(asked[i])];
    if (fnv(texts[i]) != note.machine || texts[i].size() != note.bytes)
      return makeError(Code::RemoteError, "host {} ({}) sent a description that is not the one it announced",
                       asked[i], hostNames[static_cast<size_t>(asked[i])]);
    TUTTI_ASSIGN(Topology topology, readTopologyText(texts[i], hostNames[static_cast<size_t>(asked[i])]));
    kindOf[note.machine] = static_cast<int>(i);
    cluster.kinds.push_back(std::move(topology.graph));
    for (int n : cluster.kinds.back().nets) {
      Node& net = cluster.kinds.back().nodes[n];
      if (auto rail = fabric.rails.find(net.name); net.rail < 0 && rail != fabric.rails.end())
        net.rail = rail->second;
    }
  }
  std::map<std::string, int> sites;
  std::map<std::pair<std::string, std::string>, int> leaves;
  for (size_t i = 0; i < notes.size(); ++i) {
    cluster.kindOf.push_back(kindOf[notes[i].machine]);
    auto place = fabric.places.find(hostNames[i]);
    std::string site = place == fabric.places.end() ? "" : place->second.site;
    std::string leaf = place == fabric.places.end() ? "" : place->second.leaf;
    cluster.siteOf.push_back(sites.try_emplace(site, static_cast<int>(sites.size())).first->second);
    cluster.leafOf.push_back(leaves.try_emplace({site, leaf}, static_cast<int>(leaves.size())).first->second);
    if (sites.size() > cluster.siteNames.size()) cluster.siteNames.push_back(site);
  }
  return cluster;
}

}  // namespace tutti::topology
