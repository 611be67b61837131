#include "common/gpu.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "common/failure.hpp"

namespace tutti::gpuperf {
namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return value;
}

// "32.0 GT/s PCIe" -> 5. Virtual machines may say "Unknown".
int generationOf(const std::string& speed) {
  double rate = std::atof(speed.c_str());
  const double rates[] = {2.5, 5, 8, 16, 32, 64};
  for (int i = 0; i < 6; ++i)
    if (rate > rates[i] * 0.9 && rate < rates[i] * 1.1) return i + 1;
  return 0;
}

std::string lineOf(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

void readPcieLink(GpuFacts& gpu) {
  std::string id(gpu.pciBusId);
  std::transform(id.begin(), id.end(), id.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string folder = "/sys/bus/pci/devices/" + id + "/";
  // The maximum: an idle link is clocked down, and the measurement wakes it.
  gpu.pcieGeneration = generationOf(lineOf(folder + "max_link_speed"));
  gpu.pcieLanes = std::atoi(lineOf(folder + "max_link_width").c_str());
  if (gpu.pcieLanes < 1 || gpu.pcieLanes > 32) gpu.pcieLanes = 0;
  if ((gpu.pcieGeneration == 0 || gpu.pcieLanes == 0) && gpu.major >= 8) {
    // Virtual machines hide the link; then the one these chips are built with.
    gpu.pcieGeneration = gpu.major == 8 ? 4 : 5;
    gpu.pcieLanes = 16;
    gpu.pcieAssumed = 1;
  }
  if (gpu.hostNumaNode < 0) {
    std::string node = lineOf(folder + "numa_node");
    gpu.hostNumaNode = node.empty() ? -1 : std::atoi(node.c_str());
  }
}

GpuFacts readFacts(int device) {
  GpuFacts gpu{};
  cudaDeviceProp properties{};
  GPU_CALL(cudaGetDeviceProperties(&properties, device));
  std::snprintf(gpu.name, sizeof gpu.name, "%s", properties.name);
  GPU_CALL(cudaDeviceGetPCIBusId(gpu.pciBusId, sizeof gpu.pciBusId, device));
  GPU_CALL(cudaDriverGetVersion(&gpu.driverVersion));
  GPU_CALL(cudaRuntimeGetVersion(&gpu.runtimeVersion));
  gpu.major = properties.major;
  gpu.minor = properties.minor;
  gpu.smCount = properties.multiProcessorCount;
  gpu.clockKHz = attribute(cudaDevAttrClockRate, device);
  gpu.memoryClockKHz = attribute(cudaDevAttrMemoryClockRate, device);
  gpu.memoryBusBits = attribute(cudaDevAttrGlobalMemoryBusWidth, device);
  gpu.l2Bytes = attribute(cudaDevAttrL2CacheSize, device);
  gpu.sharedBytesPerBlock = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  gpu.threadsPerSm = attribute(cudaDevAttrMaxThreadsPerMultiProcessor, device);
  gpu.copyEngines = attribute(cudaDevAttrAsyncEngineCount, device);
  gpu.memoryBytes = properties.totalGlobalMem;
  gpu.hostNumaNode = -1;
#if CUDART_VERSION >= 12040
  gpu.hostNumaNode = attribute(cudaDevAttrHostNumaId, device);
  gpu.mpsEnabled = attribute(cudaDevAttrMpsEnabled, device);
#endif
  readPcieLink(gpu);
  return gpu;
}

void checkDeviceIndex(const Options& options, int count) {
  if (count == 0) exitWithoutGpu();
  if (options.device >= 0 && options.device < count) return;
  std::fprintf(stderr, "--device=%d: there are %d devices\n", options.device, count);
  std::exit(2);
}

}  // namespace

double GpuFacts::hbmGBps() const {
  if (memoryClockKHz > 0 && memoryBusBits > 0)
    return 2.0 * memoryClockKHz * 1e3 * (memoryBusBits / 8.0) / 1e9;
  // Datasheet figures, for drivers that hide the clock.
  const std::pair<const char*, double> table[] = {{"B300", 8000},     {"B200", 8000},      {"H200", 4800},
                                                  {"H100 NVL", 3900}, {"H100 PCIe", 2000}, {"H100", 3350},
                                                  {"A100", 2039}};
  for (const auto& [key, gbps] : table)
    if (std::strstr(name, key) != nullptr) return gbps;
  return 0;
}

double GpuFacts::pcieGBps() const {
  // GT/s per lane times coding efficiency: 8b/10b to generation 2, 128b/130b to 5, 242/256 flits in 6.
  const double perLane[] = {
      0, 2.5 * 0.8, 5 * 0.8, 8 * 128 / 130.0, 16 * 128 / 130.0, 32 * 128 / 130.0, 64 * 242 / 256.0};
  if (pcieGeneration < 1 || pcieGeneration > 6) return 0;
  return perLane[pcieGeneration] * pcieLanes / 8;
}

double GpuFacts::bf16TFlops() const {
  // Dense multiply-adds count as two operations; per SM and clock.
  double perClock = 0;
  if (major == 8 && minor == 0) perClock = 2048;
  if (major == 9) perClock = 4096;
  if (major == 10) perClock = 8192;
  return perClock * smCount * clockKHz * 1e3 / 1e12;
}

std::string GpuFacts::shortName() const {
  std::string words(name), out;
  for (const char* prefix : {"NVIDIA ", "Tesla ", "GeForce "})
    if (words.rfind(prefix, 0) == 0) words.erase(0, std::strlen(prefix));
  for (unsigned char c : words) {
    if (std::isalnum(c))
      out += static_cast<char>(std::tolower(c));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "gpu" : out;
}

int gpuCount() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

void exitWithoutGpu() {
  std::fprintf(stderr, "no GPU found: nothing measured\n");
  std::exit(kNoGpuStatus);
}

GpuFacts openGpu(const Options& options) {
  checkDeviceIndex(options, gpuCount());
  try {
    GPU_CALL(cudaSetDevice(options.device));
    return readFacts(options.device);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "the GPU cannot be used: %s\n", failure.what());
    std::exit(1);
  }
}

GpuFacts probeGpu(const Options& options) {
  struct Answer {
    int count;
    GpuFacts gpu;
  };
  int ends[2];
  if (pipe(ends) != 0) {
    std::perror("pipe");
    std::exit(1);
  }
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    Answer answer{};
    answer.count = gpuCount();
    if (options.device >= 0 && options.device < answer.count) {
      try {
        GPU_CALL(cudaSetDevice(options.device));
        answer.gpu = readFacts(options.device);
      } catch (const Failure& failure) {
        std::fprintf(stderr, "the GPU cannot be used: %s\n", failure.what());
        _exit(1);
      }
    }
    _exit(write(ends[1], &answer, sizeof answer) == static_cast<ssize_t>(sizeof answer) ? 0 : 1);
  }
  close(ends[1]);
  Answer answer{};
  ssize_t got = child < 0 ? -1 : read(ends[0], &answer, sizeof answer);
  close(ends[0]);
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  if (got != static_cast<ssize_t>(sizeof answer)) {
    std::fprintf(stderr, "the GPU could not be asked for its properties\n");
    std::exit(1);
  }
  checkDeviceIndex(options, answer.count);
  return answer.gpu;
}

void describe(Report& report, const GpuFacts& gpu) {
  char host[128] = "";
  (void)gethostname(host, sizeof host - 1);
  report.context("host_name", host);
  report.context("num_cpus", static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN)));
  report.context("gpu", gpu.name);
  report.context("chip", gpu.shortName());
  report.context("compute_capability", gpu.major + gpu.minor / 10.0);
  report.context("sm_count", gpu.smCount);
  report.context("sm_clock_mhz", gpu.clockKHz / 1e3);
  report.context("memory_clock_mhz", gpu.memoryClockKHz / 1e3);
  report.context("memory_bus_bits", gpu.memoryBusBits);
  report.context("memory_gib", static_cast<double>(gpu.memoryBytes) / (1 << 30));
  report.context("l2_mib", gpu.l2Bytes / 1048576.0);
  report.context("copy_engines", gpu.copyEngines);
  report.context("pci_bus_id", gpu.pciBusId);
  report.context("pcie_generation", gpu.pcieGeneration);
  report.context("pcie_lanes", gpu.pcieLanes);
  report.context("pcie_assumed", gpu.pcieAssumed);
  report.context("host_numa_node", gpu.hostNumaNode);
  report.context("mps_enabled", gpu.mpsEnabled);
  report.context("cuda_driver", gpu.driverVersion);
  report.context("cuda_runtime", gpu.runtimeVersion);
  report.context("limit_hbm_GBps", gpu.hbmGBps());
  report.context("limit_pcie_GBps", gpu.pcieGBps());
  report.context("limit_bf16_TFlops", gpu.bf16TFlops());
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  GPU_CALL(cudaMalloc(&data_, bytes));
}
DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) (void)cudaFree(data_);
}
DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

HostBuffer::HostBuffer(size_t bytes, unsigned flags) {
  GPU_CALL(cudaHostAlloc(&data_, bytes, flags));
  std::memset(data_, 0, bytes);
  GPU_CALL(cudaHostGetDevicePointer(&devicePointer_, data_, 0));
}
HostBuffer::~HostBuffer() {
  (void)cudaFreeHost(data_);
}

Stream::Stream() {
  GPU_CALL(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}
Stream::~Stream() {
  (void)cudaStreamDestroy(stream_);
}
void Stream::sync() const {
  GPU_CALL(cudaStreamSynchronize(stream_));
}

Event::Event() {
  GPU_CALL(cudaEventCreate(&event_));
}
Event::~Event() {
  (void)cudaEventDestroy(event_);
}
double Event::usSince(const Event& start) const {
  float ms = 0;
  GPU_CALL(cudaEventElapsedTime(&ms, start.event_, event_));
  return ms * 1e3;
}

}  // namespace tutti::gpuperf
