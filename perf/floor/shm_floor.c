/*
 * What the machine allows: an AllReduce in straight C between processes that share memory, without a library
 * around it.
 *
 *   shm_floor --ranks N [--buffers private|shared] [--stores plain|stream] [options of the compare drivers]
 *
 * private: the buffers are malloc'd; all data is staged through shared memory in chunks that stay in L2.
 * shared:  the buffers lie in shared memory; from 8 KiB up every rank reads and writes the others' directly.
 * stream:  stores to memory that others read go past the caches (what far cores want).
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"
#include "kernels.h"

enum {
  kMaxRanks = 64,
  kLine = 64,
  kPiece = 16 << 10,        /* summed while it is in L1 */
  kInline = 48,             /* bytes that travel in the flag's own line */
  kChunk = 128 << 10,       /* two of a rank's chunks fit in its L2 beside what they are summed with */
  kTwoShots = 16 << 10,     /* from here up more than two ranks sum a share each instead of all everything */
  kDirect = 8 << 10,        /* from here up shared buffers are worth two barriers */
  kSpinsBeforeYield = 20000 /* only where every rank has a core */
};

typedef struct {
  _Alignas(kLine) _Atomic uint64_t sent; /* number of the chunk in `head` and `data` */
  char head[kLine - sizeof(uint64_t)];
  char data[kChunk];
  _Alignas(kLine) _Atomic uint64_t summed; /* number of the chunk whose share is in `sum` */
  _Alignas(kLine) char sum[kChunk];
} Slot;

typedef struct {
  Slot slot[2]; /* by parity: whoever sees a rank's chunk c + 1 knows that it has read all of chunk c */
  _Alignas(kLine) _Atomic uint64_t arrived;
  double value[2];
  _Alignas(kLine) _Atomic int mayEnd; /* rank 0's: it no longer takes a rank's end for a failure */
} Board;

static Board* boards;
static char* arenas; /* shared: rank r's memory starts at arenas + r * arenaBytes */
static size_t arenaBytes, arenaUsed;
static int self, ranks, spins, streaming, sharedBuffers;
static uint64_t chunkNumber, meetings;
static pid_t children[kMaxRanks];

static void waitFor(_Atomic uint64_t* flag, uint64_t number) {
  for (int i = 0; atomic_load_explicit(flag, memory_order_acquire) < number; ++i) {
    if (i < spins) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      sched_yield();
    }
  }
}

static void copyOut(void* to, const void* from, size_t bytes) {
  if (streaming && bytes > kInline)
    streamCopy(to, from, bytes);
  else
    memcpy(to, from, bytes);
}

static void barrier(void) {
  ++meetings;
  atomic_store_explicit(&boards[self].arrived, meetings, memory_order_release);
  for (int r = 0; r < ranks; ++r) waitFor(&boards[r].arrived, meetings);
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Everybody stages everything and sums everything: one hand-over. */
static void oneShot(const char* send, char* recv, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kChunk) {
    size_t part = smaller(kChunk, bytes - at);
    Slot* mine = &boards[self].slot[++chunkNumber & 1];
    copyOut(part <= kInline ? mine->head : mine->data, send + at, part);
    atomic_store_explicit(&mine->sent, chunkNumber, memory_order_release);
    const char* own = send + at;
    for (int i = 1; i < ranks; ++i) {
      Slot* theirs = &boards[(self + i) % ranks].slot[chunkNumber & 1];
      waitFor(&theirs->sent, chunkNumber);
    }
    for (size_t p = 0; p < part; p += kPiece) {
      size_t piece = smaller(kPiece, part - p);
      const char* first = own + p;
      for (int i = 1; i < ranks; ++i) {
        Slot* theirs = &boards[(self + i) % ranks].slot[chunkNumber & 1];
        const char* from = part <= kInline ? theirs->head : theirs->data;
        sumTo((float*)(recv + at + p), (const float*)first, (const float*)(from + p), piece / sizeof(float));
        first = recv + at + p;
      }
    }
  }
}

static size_t shareBegin(size_t bytes, int rank) {
  return bytes / sizeof(float) * (size_t)rank / (size_t)ranks * sizeof(float);
}

/* Everybody sums a share and hands it round: two hand-overs, less traffic from three ranks up. */
static void twoShots(const char* send, char* recv, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kChunk) {
    size_t part = smaller(kChunk, bytes - at);
    Slot* mine = &boards[self].slot[++chunkNumber & 1];
    size_t begin = shareBegin(part, self), end = shareBegin(part, self + 1);
    copyOut(mine->data, send + at, begin);
    copyOut(mine->data + end, send + at + end, part - end);
    atomic_store_explicit(&mine->sent, chunkNumber, memory_order_release);
    for (int i = 1; i < ranks; ++i)
      waitFor(&boards[(self + i) % ranks].slot[chunkNumber & 1].sent, chunkNumber);
    for (size_t p = begin; p < end; p += kPiece) {
      size_t piece = smaller(kPiece, end - p);
      const char* first = send + at + p;
      for (int i = 1; i < ranks; ++i) {
        const char* from = boards[(self + i) % ranks].slot[chunkNumber & 1].data;
        sumTo((float*)(recv + at + p), (const float*)first, (const float*)(from + p), piece / sizeof(float));
        first = recv + at + p;
      }
      copyOut(mine->sum + p, recv + at + p, piece);
    }
    atomic_store_explicit(&mine->summed, chunkNumber, memory_order_release);
    for (int i = 1; i < ranks; ++i) {
      int r = (self + i) % ranks;
      Slot* theirs = &boards[r].slot[chunkNumber & 1];
      waitFor(&theirs->summed, chunkNumber);
      size_t from = shareBegin(part, r);
      memcpy(recv + at + from, theirs->sum + from, shareBegin(part, r + 1) - from);
    }
  }
}

/* Shared buffers: sum a share straight from the others' buffers into all of them. */
static void direct(const char* send, char* recv, size_t bytes) {
  char* home = arenas + (size_t)self * arenaBytes;
  size_t sendAt = (size_t)(send - home), recvAt = (size_t)(recv - home);
  size_t end = shareBegin(bytes, self + 1);
  barrier();
  for (size_t p = shareBegin(bytes, self); p < end; p += kPiece) {
    size_t piece = smaller(kPiece, end - p);
    const char* first = send + p;
    for (int i = 1; i < ranks; ++i) {
      const char* from = arenas + (size_t)((self + i) % ranks) * arenaBytes + sendAt + p;
      sumTo((float*)(recv + p), (const float*)first, (const float*)from, piece / sizeof(float));
      first = recv + p;
    }
    for (int i = 1; i < ranks; ++i)
      copyOut(arenas + (size_t)((self + i) % ranks) * arenaBytes + recvAt + p, recv + p, piece);
  }
  barrier(); /* others write to this rank's result, and read its data, until they arrive here */
}

/* ---- the driver's interface -----------------------------------------------------------------------------
 */

static void* shared(size_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) perror("shm_floor: mmap"), exit(2);
  return memory;
}

static void childEnded(int signal) {
  (void)signal;
  static const char text[] = "shm_floor: a rank ended\n";
  ssize_t written = write(2, text, sizeof text - 1);
  (void)written;
  _exit(2);
}

/* Takes "--name value" out of argv. */
static const char* take(int* argc, char** argv, const char* name, const char* otherwise) {
  for (int i = 1; i + 1 < *argc; ++i) {
    if (strcmp(argv[i], name)) continue;
    const char* value = argv[i + 1];
    memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 1) * sizeof *argv);
    *argc -= 2;
    return value;
  }
  return otherwise;
}

int peerOpen(int* argc, char** argv, int* rank, int* size) {
  ranks = atoi(take(argc, argv, "--ranks", "2"));
  sharedBuffers = !strcmp(take(argc, argv, "--buffers", "private"), "shared");
  streaming = !strcmp(take(argc, argv, "--stores", "plain"), "stream");
  if (ranks < 1 || ranks > kMaxRanks) return fprintf(stderr, "shm_floor: --ranks is 1 to %d\n", kMaxRanks), 1;
  cpu_set_t cpus;
  int cores = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  spins = ranks <= cores ? kSpinsBeforeYield : 0;
  boards = shared(sizeof(Board) * (size_t)ranks);
  arenaBytes = sharedBuffers ? (size_t)2 << 30 : 0;
  if (sharedBuffers) arenas = shared(arenaBytes * (size_t)ranks);
  pid_t parent = getpid();
  signal(SIGCHLD, childEnded);
  for (int r = 1; r < ranks; ++r) {
    children[r] = fork();
    if (children[r] < 0) return perror("shm_floor: fork"), 1;
    if (children[r] == 0) {
      signal(SIGCHLD, SIG_DFL);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(2);
      self = r;
      break;
    }
  }
  *rank = self, *size = ranks;
  return 0;
}

int peerSupports(Collective collective, int inPlace) {
  (void)inPlace;
  return collective == kAllReduce;
}

/* The last allocated is the first released, on all ranks alike: so all buffers have the same place in their
 * arenas. */
void* peerAllocate(size_t bytes) {
  if (!sharedBuffers) return malloc(bytes);
  size_t whole = (bytes + sizeof(size_t) + 4095 + kLine) / 4096 * 4096;
  if (arenaUsed + whole > arenaBytes) return NULL;
  char* at = arenas + (size_t)self * arenaBytes + arenaUsed;
  *(size_t*)at = arenaUsed;
  arenaUsed += whole;
  return at + kLine;
}

void peerRelease(void* memory) {
  if (sharedBuffers)
    arenaUsed = *(size_t*)((char*)memory - kLine);
  else
    free(memory);
}

int peerCall(const Call* call) {
  size_t bytes = call->count * sizeof(float);
  if (sharedBuffers && bytes >= kDirect)
    direct(call->send, call->recv, bytes);
  else if (ranks > 2 && bytes >= kTwoShots)
    twoShots(call->send, call->recv, bytes);
  else
    oneShot(call->send, call->recv, bytes);
  return 0;
}

const void* peerResult(const Call* call) {
  return call->recv;
}

double peerMeet(double value) {
  int turn = (int)(meetings & 1);
  boards[self].value[turn] = value;
  barrier();
  for (int r = 0; r < ranks; ++r)
    if (boards[r].value[turn] > value) value = boards[r].value[turn];
  return value;
}

void peerClose(void) {
  if (self) {
    while (!atomic_load(&boards[0].mayEnd)) sched_yield();
    return;
  }
  signal(SIGCHLD, SIG_DFL);
  atomic_store(&boards[0].mayEnd, 1);
  for (int r = 1; r < ranks; ++r) waitpid(children[r], NULL, 0);
}
