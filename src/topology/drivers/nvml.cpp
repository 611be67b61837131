#include "topology/drivers/nvml.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

namespace tutti::topology {
namespace {

// What is used of NVML's ABI (its header is not needed to build).
using Device = void*;
constexpr int kSuccess = 0;
constexpr unsigned kMaxNvLinks = 18;
constexpr unsigned kFieldC2cCount = 170;
constexpr unsigned kFieldC2cMaxBandwidth = 172;
struct PciInfo {
  char busIdLegacy[16];
  unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
};
struct FieldValue {
  unsigned fieldId, scopeId;
  long long timestamp, latencyUs;
  unsigned valueType;
  int result;
  union {
    double real;
    int number;
    unsigned u;
    unsigned long ul;
    unsigned long long ull;
  } value;
};
struct FabricInfo {  // nvmlGpuFabricInfo_v2_t
  unsigned version;
  unsigned char clusterUuid[16];
  int status;
  unsigned cliqueId;
  unsigned char state;
  unsigned healthMask;
};

class Nvml : public NvmlDriver {
 public:
  ~Nvml() override {
    if (started_) shutdown_();
    if (library_) dlclose(library_);
  }

  Result<std::vector<NvmlGpu>> gpus() override {
    TUTTI_TRY(open());
    unsigned count = 0;
    if (int r = count_(&count); r != kSuccess)
      return makeError(Code::SystemError, "NVML cannot count GPUs (status {})", r);
    std::vector<NvmlGpu> found;
    for (unsigned i = 0; i < count; ++i) {
      Device device = nullptr;
      PciInfo pci{};
      if (byIndex_(i, &device) != kSuccess || pci_(device, &pci) != kSuccess)
        continue;  // in use by nobody we may see
      NvmlGpu gpu;
      gpu.index = static_cast<int>(i);
      gpu.busId = fmt::format("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device);
      int major = 0;
      int minor = 0;
      if (capability_(device, &major, &minor) == kSuccess) gpu.sm = major * 10 + minor;
      readLinks(device, gpu);
      readC2c(device, gpu);
      unsigned mig = 0;
      unsigned pending = 0;
      if (mig_ && mig_(device, &mig, &pending) == kSuccess) gpu.mig = mig == 1;
      readFabric(device, gpu);
      found.push_back(std::move(gpu));
    }
    return found;
  }

 private:
  template <typename F>
  void find(F*& function, const char* name) {
    function = reinterpret_cast<F*>(dlsym(library_, name));
  }

  Status open() {
    if (started_) return {};
    if (!library_) library_ = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library_) return makeError(Code::SystemError, "libnvidia-ml.so.1 cannot be opened: {}", dlerror());
    int (*init)() = nullptr;
    find(init, "nvmlInit_v2");
    find(shutdown_, "nvmlShutdown");
    find(count_, "nvmlDeviceGetCount_v2");
    find(byIndex_, "nvmlDeviceGetHandleByIndex_v2");
    find(pci_, "nvmlDeviceGetPciInfo_v3");
    find(capability_, "nvmlDeviceGetCudaComputeCapability");
    find(linkState_, "nvmlDeviceGetNvLinkState");
    find(linkPci_, "nvmlDeviceGetNvLinkRemotePciInfo_v2");
    find(linkType_, "nvmlDeviceGetNvLinkRemoteDeviceType");
    find(linkVersion_, "nvmlDeviceGetNvLinkVersion");
    find(fields_, "nvmlDeviceGetFieldValues");
    find(mig_, "nvmlDeviceGetMigMode");
    find(fabric_, "nvmlDeviceGetGpuFabricInfoV");
    if (!init || !shutdown_ || !count_ || !byIndex_ || !pci_ || !capability_)
      return makeError(Code::SystemError, "libnvidia-ml.so.1 is too old: functions are missing");
    if (int r = init(); r != kSuccess)
      return makeError(Code::SystemError, "NVML does not start (status {}): is the driver loaded?", r);
    started_ = true;
    return {};
  }

  void readLinks(Device device, NvmlGpu& gpu) {
    if (!linkState_ || !linkPci_) return;
    for (unsigned l = 0; l < kMaxNvLinks; ++l) {
      unsigned active = 0;
      if (linkState_(device, l, &active) != kSuccess || active == 0) continue;
      NvmlGpu::NvLink link;
      PciInfo remote{};
      if (linkPci_(device, l, &remote) == kSuccess) {
        link.peerBusId = remote.busId;
        std::transform(link.peerBusId.begin(), link.peerBusId.end(), link.peerBusId.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        if (link.peerBusId.size() > 12)
          link.peerBusId.erase(0, link.peerBusId.size() - 12);  // eight digits of domain to four
      }
      int type = -1;
      if (linkType_ && linkType_(device, l, &type) == kSuccess)
        link.peer = type == 0   ? NvmlGpu::Peer::Gpu
                    : type == 1 ? NvmlGpu::Peer::Cpu
                    : type == 2 ? NvmlGpu::Peer::Switch
                                : NvmlGpu::Peer::Unknown;
      unsigned version = 0;
      if (linkVersion_ && linkVersion_(device, l, &version) == kSuccess)
        link.version = static_cast<int>(version);
      gpu.links.push_back(std::move(link));
    }
  }

  void readC2c(Device device, NvmlGpu& gpu) {
    if (!fields_) return;
    FieldValue values[2] = {};
    values[0].fieldId = kFieldC2cCount;
    values[1].fieldId = kFieldC2cMaxBandwidth;
    if (fields_(device, 2, values) != kSuccess || values[0].result != kSuccess ||
        values[1].result != kSuccess)
      return;
    gpu.c2cLinks = static_cast<int>(values[0].value.u);
    gpu.c2cMBps = static_cast<int>(values[1].value.u);
  }

  void readFabric(Device device, NvmlGpu& gpu) {
    if (!fabric_) return;
    FabricInfo info{};
    info.version = static_cast<unsigned>(sizeof info) | 2u << 24;
    if (fabric_(device, &info) != kSuccess || info.state != 3) return;  // 3: probing has completed
    bool any = false;
    for (unsigned char byte : info.clusterUuid) any = any || byte != 0;
    if (!any) return;
    for (unsigned char byte : info.clusterUuid) gpu.fabricCluster += fmt::format("{:02x}", byte);
    gpu.fabricClique = static_cast<int>(info.cliqueId);
  }

  void* library_ = nullptr;
  bool started_ = false;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*byIndex_)(unsigned, Device*) = nullptr;
  int (*pci_)(Device, PciInfo*) = nullptr;
  int (*capability_)(Device, int*, int*) = nullptr;
  int (*linkState_)(Device, unsigned, unsigned*) = nullptr;
  int (*linkPci_)(Device, unsigned, PciInfo*) = nullptr;
  int (*linkType_)(Device, unsigned, int*) = nullptr;
  int (*linkVersion_)(Device, unsigned, unsigned*) = nullptr;
  int (*fields_)(Device, int, FieldValue*) = nullptr;
  int (*mig_)(Device, unsigned*, unsigned*) = nullptr;
  int (*fabric_)(Device, FabricInfo*) = nullptr;
};

}  // namespace

std::unique_ptr<NvmlDriver> makeNvmlDriver() {
  return std::make_unique<Nvml>();
}

}  // namespace tutti::topology
