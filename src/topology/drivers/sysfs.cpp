#include "topology/drivers/sysfs.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tutti::topology {
namespace fs = std::filesystem;

std::string readSysText(const std::string& path) {
  std::ifstream file(path);
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

namespace {

bool isBusId(const std::string& name) {
  return name.size() >= 12 && name[name.size() - 2] == '.' && name[name.size() - 5] == ':';
}

std::vector<std::string> entries(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, fs::directory_options::skip_permission_denied, ignored), end;
       !ignored && it != end; it.increment(ignored))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// The PCI device a class device belongs to, "" when it is virtual.
std::string busIdOf(const std::string& folder) {
  std::error_code failed;
  fs::path real = fs::canonical(folder + "/device", failed);
  if (failed) return "";
  // Virtio and the like hang below their PCI device.
  for (; !real.empty() && real != real.root_path(); real = real.parent_path())
    if (isBusId(real.filename().string())) return real.filename().string();
  return "";
}

SysPciDevice readPci(const std::string& folder, const std::string& busId) {
  SysPciDevice d;
  d.busId = busId;
  d.cls = readSysText(folder + "/class");
  d.vendor = readSysText(folder + "/vendor");
  d.device = readSysText(folder + "/device");
  d.subsystemVendor = readSysText(folder + "/subsystem_vendor");
  d.subsystemDevice = readSysText(folder + "/subsystem_device");
  d.linkSpeed = readSysText(folder + "/max_link_speed");
  if (d.linkSpeed.find("GT/s") == std::string::npos) d.linkSpeed.clear();
  d.linkWidth = std::atoi(readSysText(folder + "/max_link_width").c_str());
  if (d.linkWidth < 0 || d.linkWidth > 32) d.linkWidth = 0;  // 255: not known
  std::string numa = readSysText(folder + "/numa_node");
  d.numa = numa.empty() ? -1 : std::atoi(numa.c_str());
  return d;
}

}  // namespace

std::vector<SysPciDevice> readPciChain(const std::string& root, const std::string& busId) {
  std::vector<SysPciDevice> chain;
  std::error_code failed;
  fs::path real = fs::canonical(root + "/sys/bus/pci/devices/" + busId, failed);
  if (failed) return chain;
  for (; isBusId(real.filename().string()); real = real.parent_path())
    chain.insert(chain.begin(), readPci(real.string(), real.filename().string()));
  return chain;
}

std::vector<SysPort> readPorts(const std::string& root) {
  std::vector<SysPort> ports;
  const std::string rdma = root + "/sys/class/infiniband/";
  for (const std::string& name : entries(rdma)) {
    std::string guid = readSysText(rdma + name + "/node_guid");
    guid.erase(std::remove(guid.begin(), guid.end(), ':'), guid.end());
    for (const std::string& port : entries(rdma + name + "/ports")) {
      SysPort p;
      p.name = name;
      p.rdma = true;
      p.busId = busIdOf(rdma + name);
      p.port = std::atoi(port.c_str());
      const std::string folder = rdma + name + "/ports/" + port;
      std::string rate = readSysText(folder + "/rate");  // "100 Gb/sec (4X EDR)"
      if (!rate.empty()) p.mbps = static_cast<int>(std::strtod(rate.c_str(), nullptr) * 1000);
      p.up = readSysText(folder + "/state").find("ACTIVE") != std::string::npos;
      p.linkLayer = readSysText(folder + "/link_layer");
      if (!guid.empty()) p.guid = "0x" + guid;
      for (const std::string& gid : entries(folder + "/gids")) {
        std::string value = readSysText(folder + "/gids/" + gid);
        if (value.find_first_not_of("0:") == std::string::npos) continue;
        ++p.gids;
        if (readSysText(folder + "/gid_attrs/types/" + gid).find("RoCE v2") != std::string::npos)
          ++p.roceV2Gids;
      }
      p.netdevs = entries(rdma + name + "/device/net");
      // Soft RoCE has no device of its own: it names the interface it runs on.
      if (const std::string on = readSysText(rdma + name + "/parent"); p.busId.empty() && !on.empty()) {
        p.busId = busIdOf(root + "/sys/class/net/" + on);
        p.netdevs = {on};
      }
      ports.push_back(std::move(p));
    }
  }
  const std::string net = root + "/sys/class/net/";
  for (const std::string& name : entries(net)) {
    if (name == "lo" || name == "bonding_masters") continue;
    SysPort p;
    p.name = name;
    p.busId = busIdOf(net + name);
    std::string speed = readSysText(net + name + "/speed");
    p.mbps = speed.empty() ? -1 : std::atoi(speed.c_str());
    if (p.mbps <= 0) p.mbps = -1;
    p.linkLayer = "Ethernet";
    std::string state = readSysText(net + name + "/operstate");
    p.up = state == "up" || state == "unknown";
    for (const std::string& entry : entries(net + name))
      if (entry.rfind("upper_", 0) == 0)
        p.upper.push_back(entry.substr(6));
      else if (entry.rfind("lower_", 0) == 0)
        p.lower.push_back(entry.substr(6));
    const std::string event = "\n" + readSysText(net + name + "/uevent") + "\n";
    if (const size_t at = event.find("\nDEVTYPE="); at != std::string::npos)
      p.kind = event.substr(at + 9, event.find('\n', at + 1) - at - 9);
    ports.push_back(std::move(p));
  }
  return ports;
}

std::vector<std::string> nicsBelow(const std::vector<SysPort>& ports, const std::string& name) {
  std::vector<std::string> found;
  std::vector<std::string> open = {name};
  for (size_t i = 0; i < open.size() && i < 256; ++i) {
    for (const SysPort& p : ports) {
      if (p.rdma || p.name != open[i]) continue;
      if (!p.busId.empty()) found.push_back(p.name);
      for (const std::string& lower : p.lower)
        if (std::find(open.begin(), open.end(), lower) == open.end()) open.push_back(lower);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> readGpuBusIds(const std::string& root) {
  std::vector<std::string> ids;
  for (const std::string& id : entries(root + "/sys/bus/pci/devices")) {
    std::string cls = readSysText(root + "/sys/bus/pci/devices/" + id + "/class");
    std::string vendor = readSysText(root + "/sys/bus/pci/devices/" + id + "/vendor");
    bool compute = vendor == "0x10de" || vendor == "0x1002";
    if (compute && (cls.rfind("0x03", 0) == 0 || cls.rfind("0x12", 0) == 0)) ids.push_back(id);
  }
  return ids;
}

}  // namespace tutti::topology
