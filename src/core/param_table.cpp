// The rows of the parameter table, in the order that `tutti params` prints them. One row per variable,
// nothing else.
//
// Columns: name, type, default, min, max (Int and Bytes), choices or a word on the format, what it does,
// alias, check. "No effect on host memory" marks variables of NCCL that are read and checked, so that a job's
// settings need not change, and that have nothing to act on where buffers are host memory.
#include "core/log_settings.hpp"
#include "core/param.hpp"

namespace tutti::params {
namespace {

using enum Type;

constexpr int64_t kNoMin = INT64_MIN;
constexpr int64_t kNoMax = INT64_MAX;
constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;
constexpr int64_t kGiB = 1024 * kMiB;
constexpr int64_t kDayMs = 24 * 3600 * 1000;
constexpr int64_t kMaxInt = INT32_MAX;

// clang-format off
constexpr Spec kTable[] = {
    // The log.
    {"NCCL_DEBUG", Enum, "NONE", kNoMin, kNoMax, "NONE|VERSION|WARN|ATTN|INFO|ABORT|TRACE", "How much is logged; each level includes those before it."},
    {"NCCL_DEBUG_SUBSYS", String, "INIT,BOOTSTRAP,ENV", kNoMin, kNoMax, "subsystems separated by commas, after ^ all but those: INIT COLL P2P SHM NET GRAPH TUNING ENV ALLOC CALL PROXY NVLS BOOTSTRAP REG PROFILE RAS ALL", "Which subsystems INFO and TRACE lines come from.", {}, log::checkSubsystems},
    {"NCCL_DEBUG_FILE", String, "", kNoMin, kNoMax, "a path; %h is the host, %p the process", "Where the log goes; standard output if unset or \"stdout\", standard error if \"stderr\"."},
    {"NCCL_DEBUG_TIMESTAMP_FORMAT", String, "[%F %T] ", kNoMin, kNoMax, "strftime's format; %1f to %9f are decimals of a second", "What a time stamp looks like."},
    {"NCCL_DEBUG_TIMESTAMP_LEVELS", String, "WARN", kNoMin, kNoMax, "levels separated by commas, after ^ all but those: VERSION WARN INFO ABORT TRACE ALL", "Which levels' lines begin with a time stamp.", {}, log::checkLevels},
    {"NCCL_WARN_ENABLE_DEBUG_INFO", Bool, "0", kNoMin, kNoMax, "", "The first warning turns INFO lines on."},
    {"NCCL_SET_THREAD_NAME", Bool, "0", kNoMin, kNoMax, "", "Gives the library's threads names that ps and top show."},

    // Finding each other.
    {"NCCL_CONF_FILE", String, "", kNoMin, kNoMax, "a path", "File of NAME=VALUE lines, read instead of ~/.nccl.conf; the environment wins over it."},
    {"NCCL_COMM_ID", String, "", kNoMin, kNoMax, "address:port, [IPv6]:port or host:port", "Where rank 0 listens, for jobs that have no other way to hand the unique id around."},
    {"NCCL_SOCKET_IFNAME", String, "", kNoMin, kNoMax, "prefixes separated by commas; after ^ all but those, after = exact names", "Network interfaces that may be used.", "NCCL_OOB_NET_IFNAME"},
    {"NCCL_SOCKET_FAMILY", Enum, "", kNoMin, kNoMax, "AF_INET|AF_INET6", "Uses only IPv4 or only IPv6."},
    {"NCCL_SOCKET_RETRY_CNT", Int, "34", 0, kMaxInt, "", "How often a connection that is refused or times out is tried again."},
    {"NCCL_SOCKET_RETRY_SLEEP_MSEC", Int, "100", 0, kDayMs, "", "Milliseconds before such another try; each wait is one such step longer."},
    {"NCCL_SOCKET_POLL_TIMEOUT_MSEC", Int, "0", 0, kDayMs, "", "Milliseconds that a wait for a socket sleeps in poll() at a time; 0 leaves it to the library. No effect in this version."},
    {"NCCL_SOCKET_NTHREADS", Int, "-2", -2, 16, "", "Threads per network connection; -2 is automatic. No effect on host memory."},
    {"NCCL_NSOCKS_PERTHREAD", Int, "-2", -2, 64, "", "Sockets per such thread; -2 is automatic. No effect on host memory."},
    {"NCCL_SOCKET_SNDBUF", Bytes, "-1", -1, kGiB, "", "SO_SNDBUF of data sockets; -1 leaves it to the system."},
    {"NCCL_SOCKET_RCVBUF", Bytes, "-1", -1, kGiB, "", "SO_RCVBUF of data sockets; -1 leaves it to the system."},
    {"NCCL_HOSTID", String, "", kNoMin, kNoMax, "text", "Ranks that give the same text count as being on one host."},
    {"NCCL_COMM_BLOCKING", Int, "-1", -2, 1, "", "Overrides the blocking field of every communicator's config: 1 blocks, 0 does not, negative leaves it."},
    {"NCCL_UID_STAGGER_RATE", Int, "7000", 1, kMaxInt, "", "Ranks per second that connect to rank 0 where staggered. No effect: bring-up is a tree here."},
    {"NCCL_UID_STAGGER_THRESHOLD", Int, "256", 0, kMaxInt, "", "Number of ranks from which they are staggered. No effect: bring-up is a tree here."},
    {"NCCL_OOB_NET_ENABLE", Bool, "0", kNoMin, kNoMax, "", "Bring-up over the network plugin. No effect in this version."},
    {"NCCL_REPORT_CONNECT_PROGRESS", Bool, "0", kNoMin, kNoMax, "", "Logs the progress of bring-up."},

    // How collectives run.
    {"NCCL_ALGO", String, "", kNoMin, kNoMax, "names separated by commas (ring, tree, ...), after ^ all but those; or \"allreduce:ring;broadcast:tree\"", "Algorithms that may be chosen."},
    {"NCCL_PROTO", String, "", kNoMin, kNoMax, "names separated by commas (LL, LL128, Simple), after ^ all but those; or \"allreduce:LL;broadcast:Simple\"", "Protocols that may be chosen."},
    {"NCCL_MIN_NCHANNELS", Int, "-2", -2, 64, "", "At least so many channels; -2 is automatic.", "NCCL_MIN_NRINGS"},
    {"NCCL_MAX_NCHANNELS", Int, "-2", -2, 64, "", "At most so many channels; -2 is automatic.", "NCCL_MAX_NRINGS"},
    {"NCCL_MIN_CTAS", Int, "-2147483648", kNoMin, 64, "", "Overrides the minCTAs field of every communicator's config: at least so many channels. No effect on host memory."},
    {"NCCL_MAX_CTAS", Int, "-2147483648", kNoMin, 64, "", "Overrides the maxCTAs field of every communicator's config: at most so many channels. No effect on host memory."},
    {"NCCL_MIN_P2P_NCHANNELS", Int, "1", 1, 64, "", "At least so many channels for send and receive. No effect on host memory."},
    {"NCCL_MAX_P2P_NCHANNELS", Int, "64", 1, 64, "", "At most so many channels for send and receive. No effect on host memory."},
    {"NCCL_NCHANNELS_PER_NET_PEER", Int, "-1", -1, 64, "", "Channels for send and receive to a peer on another host; -1 is automatic."},
    {"NCCL_BUFFSIZE", Bytes, "4M", 4 * kKiB, 4 * kGiB, "", "Bytes of buffer between two ranks in the Simple protocol. Where set, it bounds TUTTI_SLOT_BYTES times TUTTI_FIFO_DEPTH."},
    {"NCCL_LL_BUFFSIZE", Bytes, "-2", -2, kGiB, "", "Bytes of buffer between two ranks in the LL protocol; -2 is automatic. Of rank 0 for all."},
    {"NCCL_LL128_BUFFSIZE", Bytes, "-2", -2, kGiB, "", "Bytes of buffer between two ranks in the LL128 protocol; -2 is automatic. No effect on host memory."},
    {"NCCL_P2P_NET_CHUNKSIZE", Bytes, "128K", kKiB, kGiB, "", "Bytes of one message of send and receive between hosts."},
    {"NCCL_P2P_LL_THRESHOLD", Bytes, "16K", 0, kGiB, "", "Send and receive of at most so many bytes use the LL protocol. No effect: they always use the Simple protocol here."},
    {"NCCL_SHM_DISABLE", Bool, "0", kNoMin, kNoMax, "", "Processes of one host talk over sockets instead of shared memory."},
    {"NCCL_CHECK_POINTERS", Bool, "0", kNoMin, kNoMax, "", "Checks that each buffer is mapped memory before it is used."},
    {"NCCL_CHECKS_DISABLE", Bool, "0", kNoMin, kNoMax, "", "Of old versions: turns the checks of arguments off. No effect: they always run."},
    {"NCCL_RUNTIME_CONNECT", Bool, "1", kNoMin, kNoMax, "", "Connects ranks when a collective first needs it, not at bring-up. No effect: they always do here."},
    {"NCCL_IGNORE_CPU_AFFINITY", Bool, "0", kNoMin, kNoMax, "", "The library's threads may run on any core, not only on those that the caller may use."},
    {"NCCL_NO_CACHE", String, "", kNoMin, kNoMax, "names of variables separated by commas, or ALL", "Variables that NCCL reads anew at each use. No effect: tuttiParamsReload() does that."},

    // The machine and its network.
    {"NCCL_TOPO_FILE", String, "", kNoMin, kNoMax, "a path", "XML file that describes the machine, read before it is probed."},
    {"NCCL_TOPO_DUMP_FILE", String, "", kNoMin, kNoMax, "a path", "Where to write what was found of the machine, as XML."},
    {"NCCL_TOPO_DUMP_FILE_RANK", Int, "0", 0, kMaxInt, "", "The rank that writes it."},
    {"NCCL_GRAPH_FILE", String, "", kNoMin, kNoMax, "a path", "XML file with the channels to use instead of searching for them."},
    {"NCCL_GRAPH_DUMP_FILE", String, "", kNoMin, kNoMax, "a path", "Where to write the channels that were found, as XML."},
    {"NCCL_GRAPH_DUMP_FILE_RANK", Int, "0", 0, kMaxInt, "", "The rank that writes it."},
    {"NCCL_NET", String, "", kNoMin, kNoMax, "a name: Socket, IB, or a plugin's", "The network to use; an error if it is not there."},
    {"NCCL_NET_PLUGIN", String, "", kNoMin, kNoMax, "a path, a suffix of libnccl-net-*.so, or none", "The network plugin to load. No effect in this version."},
    {"NCCL_TUNER_PLUGIN", String, "", kNoMin, kNoMax, "a path, a suffix of libnccl-tuner-*.so, or none", "The tuner plugin to load. No effect in this version."},
    {"NCCL_PROFILER_PLUGIN", String, "", kNoMin, kNoMax, "a path, a suffix of libnccl-profiler-*.so, or none", "The profiler plugin to load. No effect in this version."},
    {"NCCL_ENV_PLUGIN", String, "", kNoMin, kNoMax, "a path, or none", "The plugin that supplies settings. No effect in this version."},
    {"NCCL_CROSS_NIC", Int, "2", 0, 2, "", "Whether a channel may use different NICs on different hosts: 0 no, 1 yes, 2 automatic."},
    {"NCCL_NET_SHARED_BUFFERS", Int, "-2", -2, 1, "", "Buffers shared by all connections to a host; -2 is automatic. No effect in this version."},
    {"NCCL_NET_SHARED_COMMS", Bool, "1", kNoMin, kNoMax, "", "Connections shared by channels that go to one host. No effect in this version."},
    {"NCCL_IB_DISABLE", Bool, "0", kNoMin, kNoMax, "", "Does not use RDMA. No effect in this version."},
    {"NCCL_IB_HCA", String, "", kNoMin, kNoMax, "device[:port] separated by commas; after ^ all but those, after = exact names", "RDMA devices that may be used. No effect in this version."},
    {"NCCL_IB_TIMEOUT", Int, "20", 0, 31, "", "RDMA time-out exponent: 4.096 us times two to its power. No effect in this version."},
    {"NCCL_IB_RETRY_CNT", Int, "7", 0, 7, "", "RDMA retries. No effect in this version."},
    {"NCCL_IB_GID_INDEX", Int, "-1", -1, 255, "", "Index of the GID for RoCE; -1 is automatic. No effect in this version."},
    {"NCCL_IB_TC", Int, "-1", -1, 255, "", "RDMA traffic class; -1 is automatic. No effect in this version."},
    {"NCCL_IB_SL", Int, "-1", -1, 15, "", "RDMA service level; -1 is automatic. No effect in this version."},
    {"NCCL_IB_QPS_PER_CONNECTION", Int, "1", 1, 128, "", "RDMA queue pairs per connection. No effect in this version."},

    // Settings of GPUs, so that a job's environment need not change.
    {"NCCL_P2P_DISABLE", Bool, "0", kNoMin, kNoMax, "", "Ranks do not read each other's memory directly: threads of one process then go through shared memory."},
    {"NCCL_P2P_LEVEL", String, "", kNoMin, kNoMax, "LOC, NVL, PIX, PXB, PHB, SYS, or a number", "How far apart GPUs may be to talk directly. No effect on host memory."},
    {"NCCL_P2P_DIRECT_DISABLE", Bool, "0", kNoMin, kNoMax, "", "GPUs of one process do not use each other's pointers. No effect on host memory."},
    {"NCCL_NET_GDR_LEVEL", String, "", kNoMin, kNoMax, "LOC, PIX, PXB, PHB, SYS, or a number", "How far a NIC may be from a GPU to reach its memory. No effect on host memory.", "NCCL_IB_GDR_LEVEL"},
    {"NCCL_NET_GDR_READ", Int, "-2", -2, 1, "", "A NIC reads GPU memory when it sends. No effect on host memory."},
    {"NCCL_NTHREADS", Int, "-2", -2, 1024, "", "Threads per CUDA block. No effect on host memory."},
    {"NCCL_LAUNCH_MODE", Enum, "", kNoMin, kNoMax, "PARALLEL|GROUP", "How CUDA kernels are launched. No effect on host memory."},
    {"NCCL_CTA_POLICY", String, "", kNoMin, kNoMax, "DEFAULT, EFFICIENCY, ZERO, or a number", "How many CUDA blocks a collective may use. No effect on host memory."},
    {"NCCL_CGA_CLUSTER_SIZE", Int, "-2", -2, 8, "", "CUDA blocks per cluster; -2 is automatic. No effect on host memory."},
    {"NCCL_CUMEM_ENABLE", Int, "-2", -2, 1, "", "CUDA's virtual memory calls for buffers. No effect on host memory."},
    {"NCCL_CUMEM_HOST_ENABLE", Int, "-1", -2, 1, "", "The same for host buffers. No effect: they are plain shared memory here."},
    {"NCCL_NVLS_ENABLE", Int, "2", 0, 2, "", "NVLink SHARP. No effect on host memory."},
    {"NCCL_MNNVL_ENABLE", Int, "2", 0, 2, "", "NVLink between hosts. No effect on host memory."},
    {"NCCL_COLLNET_ENABLE", Int, "-2", -2, 1, "", "Collectives inside the network. No effect on host memory."},
    {"NCCL_PXN_DISABLE", Bool, "0", kNoMin, kNoMax, "", "Does not send through another GPU's NIC. No effect on host memory."},
    {"NCCL_GRAPH_REGISTER", Bool, "1", kNoMin, kNoMax, "", "Registers buffers of CUDA graphs. No effect on host memory."},
    {"NCCL_GRAPH_MIXING_SUPPORT", Bool, "1", kNoMin, kNoMax, "", "CUDA graphs and plain launches of one communicator together. No effect on host memory."},
    {"NCCL_LOCAL_REGISTER", Bool, "1", kNoMin, kNoMax, "", "Uses buffers registered by the caller directly. No effect on host memory."},
    {"NCCL_DMABUF_ENABLE", Bool, "1", kNoMin, kNoMax, "", "DMA-BUF for GPU memory. No effect on host memory."},
    {"NCCL_RAS_ENABLE", Bool, "1", kNoMin, kNoMax, "", "The service that reports on a running job. No effect in this version."},
    {"NCCL_NVTX_DISABLE", Bool, "0", kNoMin, kNoMax, "", "No marks for NVIDIA's profilers. No effect on host memory."},

    // Tutti's own.
    {"TUTTI_TIMEOUT_MS", Int, "1800000", 0, 30 * kDayMs, "", "Milliseconds after which an operation that makes no progress fails; 0 waits for ever."},
    {"TUTTI_INIT_TIMEOUT_MS", Int, "60000", 0, 30 * kDayMs, "", "Milliseconds in which all ranks must come to bring-up; 0 waits for ever."},
    {"TUTTI_SPIN_US", Int, "auto", -1, 1'000'000, "", "Microseconds that a wait spins before it yields; auto looks at how many ranks share the cores."},
    {"TUTTI_SLOT_BYTES", Bytes, "128K", 4 * kKiB, 64 * kMiB, "", "Bytes of one slot of a connection: the largest chunk."},
    {"TUTTI_FIFO_DEPTH", Int, "4", 2, 64, "", "Slots of a connection."},
    {"TUTTI_LL_MAX_BYTES", Bytes, "auto", -1, kGiB, "", "Largest message for which the low-latency protocol may be chosen; auto leaves it to the cost model."},
    {"TUTTI_TRANSPORT", Enum, "auto", kNoMin, kNoMax, "auto|thread|shm|cma|tcp", "The transport between all ranks; auto takes the best one for each pair."},
    {"TUTTI_CMA_THRESHOLD", Bytes, "off", -1, kNoMax, "", "Messages of at least so many bytes between processes of one host are read in a single copy (process_vm_readv)."},
    {"TUTTI_DETERMINISTIC", Bool, "0", kNoMin, kNoMax, "", "Chooses only algorithms whose results do not depend on the size of the machine or on timing."},
    {"TUTTI_CHECK", Bool, "1", kNoMin, kNoMax, "", "Ranks that only send wait until their data has been taken, until the same call has ended well 16 times; so all ranks fail where calls do not match."},
    {"TUTTI_SIMD", Enum, "auto", kNoMin, kNoMax, "auto|avx512|avx2|sse4|scalar", "The instruction set of the reduction kernels; auto takes the best one that the CPU has."},
    {"TUTTI_EXPLAIN", Bool, "0", kNoMin, kNoMax, "", "Logs, for each new kind of call, which plan was chosen and what lost."},
    {"TUTTI_PLAN_FILE", String, "", kNoMin, kNoMax, "a path", "File of plans that are used where they fit."},
    {"TUTTI_FABRIC_FILE", String, "", kNoMin, kNoMax, "a path", "File that describes the network between the hosts."},
    {"TUTTI_CALIBRATE", Bool, "1", kNoMin, kNoMax, "", "The cost model uses what was measured of this machine, and rank 0 measures it (200 ms, once) where no file has it; 0 takes the built-in numbers."},
    {"TUTTI_STORES", Enum, "auto", kNoMin, kNoMax, "auto|plain|nt", "How shared memory that another rank reads is written: by plain or by non-temporal stores; auto measures each pair of ranks. Of rank 0 for all."},
    {"TUTTI_CACHE_DIR", String, "", kNoMin, kNoMax, "a path", "Where the calibration is kept, instead of $XDG_CACHE_HOME/tutti or ~/.cache/tutti."},
    {"TUTTI_CALIBRATION_FILE", String, "", kNoMin, kNoMax, "a path", "The file of measured costs, instead of the one in the cache folder; `tutti calibrate` writes it."},

    // Rooms append here.
    {"TUTTI_HEARTBEAT_MS", Int, "10000", 0, kDayMs, "", "Milliseconds between signs of life that a silent rank's host is asked for; after three without one the rank counts as dead. 0 never asks."},
    {"TUTTI_COMM_SECRET", String, "", kNoMin, kNoMax, "text, the same on all ranks", "With NCCL_COMM_ID: what ranks must know to be let in; without it, whoever knows the address is."},
    {"TUTTI_COMM_ADDR", String, "", kNoMin, kNoMax, "host:port or [IPv6]:port", "Where rank 0 listens for the exchange of the unique id, instead of what the launcher offers."},
};
// clang-format on

}  // namespace

std::span<const Spec> table() {
  return kTable;
}

}  // namespace tutti::params
