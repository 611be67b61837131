// One process gives another its device memory, by CUDA IPC handle and by cuMem file descriptor.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "common/driver.hpp"
#include "common/failure.hpp"
#include "common/timing.hpp"
#include "sharing_parts.hpp"
#include "spin_kernels.hpp"

namespace tutti::gpuperf {
namespace {

constexpr uint32_t kOwnerSeed = 11;
constexpr uint32_t kGuestSeed = 77;
constexpr size_t kGuestWords = 4096;
constexpr double kTimeoutS = 20;

// What the two processes tell each other and the parent.
struct Exchange {
  ChildNote notes[2];
  ProcessBarrier barrier;
  cudaIpcMemHandle_t ipcHandle;
  size_t bytes;
  double openUs;
  Spread copyUs;
  uint32_t wrongAtGuest;
  uint32_t wrongAtOwner;
  int unavailable;  // the notes hold a reason, not an error
  char facts[200];
};

void meet(Exchange& exchange) {
  if (!exchange.barrier.wait(2, kTimeoutS)) throw Failure("the other process did not come");
}

uint32_t countWrong(cudaStream_t stream, const uint32_t* words, size_t count, uint32_t seed) {
  DeviceBuffer wrong(sizeof(uint32_t));
  GPU_CALL(cudaMemsetAsync(wrong.as(), 0, sizeof(uint32_t), stream));
  launchCountUnseeded(stream, words, count, seed, wrong.as<uint32_t>());
  uint32_t result = 0;
  GPU_CALL(cudaMemcpyAsync(&result, wrong.as(), sizeof result, cudaMemcpyDeviceToHost, stream));
  GPU_CALL(cudaStreamSynchronize(stream));
  return result;
}

// The owner's side once the guest can have the memory: fill, wait for the guest, look at what it wrote.
void serve(Exchange& exchange, uint32_t* words, size_t bytes, const std::function<void()>& handOver) {
  Stream stream;
  launchSeed(stream, words, bytes / sizeof(uint32_t), kOwnerSeed);
  stream.sync();
  handOver();
  meet(exchange);
  meet(exchange);
  exchange.wrongAtOwner = countWrong(stream, words, kGuestWords, kGuestSeed);
}

// The guest's side: check, time a copy out of it, write into it.
void use(Exchange& exchange, uint32_t* words, size_t bytes, int samples) {
  Stream stream;
  exchange.wrongAtGuest = countWrong(stream, words, bytes / sizeof(uint32_t), kOwnerSeed);
  DeviceBuffer own(bytes);
  exchange.copyUs = timeOnStream(stream, samples, 4, [&](int) {
    GPU_CALL(cudaMemcpyAsync(own.as(), words, bytes, cudaMemcpyDeviceToDevice, stream));
  });
  launchSeed(stream, words, kGuestWords, kGuestSeed);
  stream.sync();
  meet(exchange);
}

void cudaIpc(Exchange& exchange, int rank, size_t bytes, int samples) {
  if (rank == 0) {
    DeviceBuffer memory(bytes);
    serve(exchange, memory.as<uint32_t>(), bytes,
          [&] { GPU_CALL(cudaIpcGetMemHandle(&exchange.ipcHandle, memory.as())); });
    return;
  }
  GPU_CALL(cudaFree(nullptr));
  meet(exchange);
  void* opened = nullptr;
  double start = nowUs();
  GPU_CALL(cudaIpcOpenMemHandle(&opened, exchange.ipcHandle, cudaIpcMemLazyEnablePeerAccess));
  exchange.openUs = nowUs() - start;
  use(exchange, static_cast<uint32_t*>(opened), bytes, samples);
  GPU_CALL(cudaIpcCloseMemHandle(opened));
}

// Memory of the driver's virtual memory API, mapped for this device.
class MappedMemory {
 public:
  MappedMemory(const Driver& driver, CUmemGenericAllocationHandle handle, size_t bytes, int device)
      : driver_(driver), handle_(handle), bytes_(bytes) {
    GPU_DRIVER(driver.memAddressReserve(&address_, bytes, 0, 0, 0));
    GPU_DRIVER(driver.memMap(address_, bytes, 0, handle, 0));
    mapped_ = true;
    CUmemAccessDesc access{};
    access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.location.id = device;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    GPU_DRIVER(driver.memSetAccess(address_, bytes, &access, 1));
  }
  ~MappedMemory() {
    if (mapped_) driver_.memUnmap(address_, bytes_);
    if (address_ != 0) driver_.memAddressFree(address_, bytes_);
    driver_.memRelease(handle_);
  }
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  uint32_t* words() const { return reinterpret_cast<uint32_t*>(address_); }

 private:
  const Driver& driver_;
  CUmemGenericAllocationHandle handle_;
  size_t bytes_;
  CUdeviceptr address_ = 0;
  bool mapped_ = false;
};

void cuMemFd(Exchange& exchange, int rank, size_t bytes, int samples, int device, int socket) {
  const Driver& driver = Driver::get();
  if (driver.memCreate == nullptr || driver.memExportToShareableHandle == nullptr)
    throw NotAvailable("this driver has no cuMemCreate");
  CUdevice handleOfDevice;
  GPU_DRIVER(driver.deviceGet(&handleOfDevice, device));
  int supported = 0;
  GPU_DRIVER(driver.deviceGetAttribute(
      &supported, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, handleOfDevice));
  if (supported == 0) throw NotAvailable("the device cannot export file descriptors");
  CUmemGenericAllocationHandle handle = 0;
  if (rank == 0) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = device;
    size_t granularity = 0;
    GPU_DRIVER(
        driver.memGetAllocationGranularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    exchange.bytes = (bytes + granularity - 1) / granularity * granularity;
    GPU_DRIVER(driver.memCreate(&handle, exchange.bytes, &properties, 0));
    MappedMemory memory(driver, handle, exchange.bytes, device);
    serve(exchange, memory.words(), bytes, [&] {
      int descriptor = -1;
      GPU_DRIVER(driver.memExportToShareableHandle(&descriptor, handle,
                                                   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
      sendDescriptor(socket, descriptor);
      close(descriptor);
    });
    return;
  }
  meet(exchange);
  int descriptor = receiveDescriptor(socket, kTimeoutS);
  double start = nowUs();
  GPU_DRIVER(driver.memImportFromShareableHandle(&handle,
                                                 reinterpret_cast<void*>(static_cast<uintptr_t>(descriptor)),
                                                 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  close(descriptor);
  MappedMemory memory(driver, handle, exchange.bytes, device);
  exchange.openUs = nowUs() - start;
  use(exchange, memory.words(), bytes, samples);
}

// Runs `side` in two processes and reports: time to open the other's memory, speed of copying out of it.
void measureKind(const Options& options, const GpuFacts& gpu, Report& report, const std::string& name,
                 const std::function<void(Exchange&, int rank, size_t bytes)>& side) {
  report.measure(name, [&](Row& row) {
    SharedMemory shared(sizeof(Exchange));
    auto& exchange = *shared.as<Exchange>();
    size_t bytes = options.smoke ? 2 << 20 : 256 << 20;
    std::string trouble = runProcesses(2, 2 * kTimeoutS, exchange.notes, [&](int rank) {
      try {
        GPU_CALL(cudaSetDevice(options.device));
        side(exchange, rank, bytes);
      } catch (const NotAvailable& reason) {
        exchange.unavailable = 1;
        exchange.notes[rank].set(reason.what());
        return 1;
      }
      return 0;
    });
    if (exchange.unavailable != 0) throw NotAvailable(trouble);
    if (!trouble.empty()) throw Failure(trouble);
    if (exchange.wrongAtGuest != 0 || exchange.wrongAtOwner != 0)
      throw Failure("wrong data: " + std::to_string(exchange.wrongAtGuest) + " words seen by the guest, " +
                    std::to_string(exchange.wrongAtOwner) + " by the owner");
    row.us = exchange.copyUs;
    row.iterations = 4;
    row.counter("open_us", exchange.openUs);
    row.bandwidth(2.0 * bytes, gpu.hbmGBps());
    row.label = "works";
  });
}

void deviceFacts(Exchange& exchange, int device) {
  const Driver& driver = Driver::get();
  CUdevice handle;
  GPU_DRIVER(driver.deviceGet(&handle, device));
  auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    return driver.deviceGetAttribute(&value, which, handle) == CUDA_SUCCESS && value != 0 ? "yes" : "no";
  };
  std::snprintf(exchange.facts, sizeof exchange.facts,
                "posix fd: %s, fabric handle: %s, multicast: %s, GPUDirect RDMA: %s",
                attribute(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED),
                attribute(CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED),
                attribute(CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED),
                attribute(CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED));
}

}  // namespace

void measureSharedMemory(const Options& options, const GpuFacts& gpu, Report& report) {
  report.measure("sharing/device_supports", [&](Row& row) {
    SharedMemory shared(sizeof(Exchange));
    auto& exchange = *shared.as<Exchange>();
    std::string trouble = runProcesses(1, kTimeoutS, exchange.notes, [&](int) {
      GPU_CALL(cudaSetDevice(options.device));
      deviceFacts(exchange, options.device);
      return 0;
    });
    if (!trouble.empty()) throw Failure(trouble);
    row.label = exchange.facts;
  });
  measureKind(
      options, gpu, report, "sharing/cuda_ipc/copy_from_peer",
      [&](Exchange& exchange, int rank, size_t bytes) { cudaIpc(exchange, rank, bytes, options.samples); });

  int sockets[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return;
  measureKind(options, gpu, report, "sharing/cumem_fd/copy_from_peer",
              [&](Exchange& exchange, int rank, size_t bytes) {
                cuMemFd(exchange, rank, bytes, options.samples, options.device, sockets[rank]);
              });
  close(sockets[0]);
  close(sockets[1]);
}

}  // namespace tutti::gpuperf
