#define _GNU_SOURCE
#include "driver.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char* const kNames[kCollectives] = {"all_reduce", "reduce_scatter", "all_gather", "alltoall",
                                                 "broadcast",  "reduce",         "gather",     "scatter"};

enum { kBatches = 3, kMaxIterations = 1 << 20, kLine = 64 };

typedef struct {
  unsigned collectives; /* bit per Collective */
  size_t sizes[64];
  int sizeCount;
  int inPlace[2], cold[2]; /* which to measure: [0] no, [1] yes */
  double budgetSeconds;    /* about this long a cell */
  size_t coldBytes;        /* cold cells rotate through this much per rank */
} Options;

typedef struct {
  Collective collective;
  int inPlace;
  size_t nominal; /* bytes of the larger buffer, as asked for */
  size_t count;
  size_t sendBytes, recvBytes;
  size_t slots, stride; /* cold: pairs of buffers, stride bytes apart */
  char* send;
  char* recv;
} Cell;

static int rank, size;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char* what) {
  fprintf(stderr, "compare driver: %s\n", what);
  exit(2);
}

static size_t parseSize(const char* text, const char** end) {
  char* stop;
  size_t value = strtoull(text, &stop, 10);
  if (stop == text) die("a size is a number, K, M or G may follow");
  if (*stop == 'K')
    value <<= 10, ++stop;
  else if (*stop == 'M')
    value <<= 20, ++stop;
  else if (*stop == 'G')
    value <<= 30, ++stop;
  *end = stop;
  return value;
}

static int listHas(const char* list, const char* name) {
  size_t length = strlen(name);
  for (const char* at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
    if (!strncmp(at, name, length) && (at[length] == ',' || !at[length])) return 1;
  return 0;
}

static Options parse(int argc, char** argv) {
  Options options = {0};
  options.budgetSeconds = 0.03;
  options.coldBytes = (size_t)64 << 20;
  const char* end;
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (i + 1 == argc) die("an option lacks its value");
    if (!strcmp(name, "--colls")) {
      for (int c = 0; c < kCollectives; ++c) options.collectives |= (unsigned)listHas(value, kNames[c]) << c;
    } else if (!strcmp(name, "--sizes")) {
      for (const char* at = value; *at && options.sizeCount < 64; at = *end ? end + 1 : end)
        options.sizes[options.sizeCount++] = parseSize(at, &end);
    } else if (!strcmp(name, "--places")) {
      options.inPlace[0] = listHas(value, "out"), options.inPlace[1] = listHas(value, "in");
    } else if (!strcmp(name, "--caches")) {
      options.cold[0] = listHas(value, "warm"), options.cold[1] = listHas(value, "cold");
    } else if (!strcmp(name, "--budget-ms")) {
      options.budgetSeconds = atof(value) * 1e-3;
    } else if (!strcmp(name, "--cold-bytes")) {
      options.coldBytes = parseSize(value, &end);
    } else {
      fprintf(stderr, "compare driver: unknown option %s\n", name);
      exit(2);
    }
  }
  return options;
}

/* ---- buffers ------------------------------------------------------------------------------------------- */

static size_t roundUp(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/* Sizes of a cell: `nominal` is the larger of a rank's two buffers. */
static Cell plan(const Options* options, Collective collective, size_t nominal, int inPlace, int cold) {
  Cell cell = {collective, inPlace, nominal, 0, 0, 0, 1, 0, NULL, NULL};
  int whole = collective == kAllReduce || collective == kBroadcast || collective == kReduce;
  cell.count = nominal / sizeof(float) / (whole ? 1 : (size_t)size);
  if (cell.count == 0) cell.count = 1;
  size_t part = cell.count * sizeof(float), all = whole ? part : part * (size_t)size;
  cell.sendBytes = collective == kAllGather || collective == kGather ? part : all;
  cell.recvBytes = collective == kReduceScatter || collective == kScatter ? part : all;
  cell.stride = roundUp(all, kLine);
  if (cold) cell.slots = options->coldBytes / (cell.stride * (inPlace ? 1 : 2)) + 1;
  return cell;
}

static char* align(char* at) {
  return (char*)roundUp((size_t)at, kLine);
}

static Call callOf(const Cell* cell, size_t slot) {
  char* send = cell->send + slot * cell->stride;
  char* recv = cell->recv + slot * cell->stride;
  size_t block = cell->count * sizeof(float) * (size_t)rank;
  if (cell->inPlace) {
    send = recv;
    if (cell->collective == kAllGather || cell->collective == kGather) send = recv + block;
    if (cell->collective == kReduceScatter || cell->collective == kScatter) recv = send + block;
  }
  Call call = {cell->collective, cell->inPlace, send, recv, cell->count};
  return call;
}

/* ---- check: small whole numbers, so that any order of summation gives the same floats ------------------ */

static float pattern(int of, size_t i) {
  return (float)((of + 1) * (int)(i % 13 + 1));
}

static float expected(const Cell* cell, size_t i) {
  float all = (float)(size * (size + 1) / 2);
  size_t mine = (size_t)rank * cell->count, from = i / cell->count, rest = i % cell->count;
  switch (cell->collective) {
    case kAllReduce:
    case kReduce:
      return all * (float)(i % 13 + 1);
    case kReduceScatter:
      return all * (float)((mine + i) % 13 + 1);
    case kAllGather:
    case kGather:
      return pattern((int)from, rest);
    case kAlltoAll:
      return pattern((int)from, mine + rest);
    case kBroadcast:
      return pattern(0, i);
    default:
      return pattern(0, mine + i);
  }
}

static int receives(const Cell* cell) {
  return rank == 0 || (cell->collective != kReduce && cell->collective != kGather);
}

/* 0: right, 1: wrong, 2: the call failed. */
static double check(const Cell* cell) {
  Call call = callOf(cell, 0);
  size_t sent = cell->sendBytes / sizeof(float), got = cell->recvBytes / sizeof(float);
  if (!cell->inPlace) memset(call.recv, 0xff, cell->recvBytes);
  for (size_t i = 0; i < sent; ++i) ((float*)call.send)[i] = pattern(rank, i);
  if (peerCall(&call)) return 2;
  const float* result = peerResult(&call);
  double wrong = 0;
  size_t step = got > ((size_t)1 << 20) ? 61 : 1;
  for (size_t i = 0; receives(cell) && i < got; i += step)
    if (result[i] != expected(cell, i)) wrong = 1;
  if (receives(cell) && result[got - 1] != expected(cell, got - 1)) wrong = 1;
  return wrong;
}

/* ---- clock ----------------------------------------------------------------------------------------------
 */

/* Seconds that `iterations` calls took on the slowest rank; negative when a call failed. */
static double timeCalls(const Cell* cell, size_t iterations, size_t* slot) {
  peerMeet(0);
  peerMeet(0); /* messages of the first arrive further apart than a small call takes */
  int failed = 0;
  double start = now();
  for (size_t i = 0; i < iterations && !failed; ++i) {
    Call call = callOf(cell, *slot);
    failed = peerCall(&call);
    if (++*slot == cell->slots) *slot = 0;
  }
  double took = now() - start;
  return peerMeet(failed ? 1e30 : took) >= 1e30 ? -1 : peerMeet(took);
}

static int compareDoubles(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

static void measure(const Options* options, Cell* cell) {
  int cold = cell->slots > 1;
  size_t bytes = cell->stride * cell->slots + kLine;
  char* recvBase = peerAllocate(bytes);
  char* sendBase = cell->inPlace ? recvBase : peerAllocate(bytes);
  if (!recvBase || !sendBase) die("no memory for the buffers");
  cell->recv = align(recvBase), cell->send = align(sendBase);
  memset(recvBase, 0, bytes);
  if (!cell->inPlace) memset(sendBase, 0, bytes);

  double wrong = peerMeet(check(cell));
  /* Zeros from here on: sums in place stay zero instead of growing into infinities. */
  memset(cell->recv, 0, cell->stride);
  memset(cell->send, 0, cell->stride);

  /* Warm-up, and how many calls fit: from the fastest trial, since one that others disturbed says nothing. */
  size_t slot = 0, iterations = 1;
  double spent = 0, perCall = 1e30, took = 0;
  while (took >= 0 && spent < options->budgetSeconds / 2 && iterations < kMaxIterations) {
    took = timeCalls(cell, iterations, &slot);
    spent += took;
    if (took >= 0 && took / (double)iterations < perCall) perCall = took / (double)iterations;
    if (took < options->budgetSeconds / 8) iterations *= 4;
  }
  double fits = options->budgetSeconds / kBatches / perCall, means[kBatches];
  iterations = fits < 1 ? 1 : fits > kMaxIterations ? kMaxIterations : (size_t)fits;
  int batches = 0;
  for (spent = 0; took >= 0 && batches < kBatches && spent < 3 * options->budgetSeconds; spent += took) {
    took = timeCalls(cell, iterations, &slot);
    if (took >= 0) means[batches++] = took / (double)iterations;
  }
  if (rank == 0) {
    printf("{\"coll\":\"%s\",\"bytes\":%zu,\"in_place\":%d,\"cold\":%d,\"iterations\":%zu,",
           kNames[cell->collective], cell->nominal, cell->inPlace, cold, iterations);
    if (took < 0 || wrong > 0) {
      printf("\"error\":\"%s\"}\n", wrong == 1 ? "wrong result" : "the call failed");
    } else {
      qsort(means, (size_t)batches, sizeof means[0], compareDoubles);
      printf("\"us\":%.5g,\"batches\":[", 1e6 * means[batches / 2]);
      for (int i = 0; i < batches; ++i) printf("%s%.5g", i ? "," : "", 1e6 * means[i]);
      printf("]}\n");
    }
    fflush(stdout);
  }
  if (!cell->inPlace) peerRelease(sendBase);
  peerRelease(recvBase);
}

int main(int argc, char** argv) {
  if (peerOpen(&argc, argv, &rank, &size)) return 2;
  Options options = parse(argc, argv);
  for (int c = 0; c < kCollectives; ++c) {
    for (int s = 0; s < options.sizeCount && options.collectives >> c & 1; ++s) {
      for (int mode = 0; mode < 4; ++mode) {
        int inPlace = mode & 1, cold = mode >> 1;
        if (!options.inPlace[inPlace] || !options.cold[cold] || !peerSupports((Collective)c, inPlace))
          continue;
        Cell cell = plan(&options, (Collective)c, options.sizes[s], inPlace, cold);
        /* A buffer beyond the cache is cold in any case. */
        if (cold && cell.slots == 1) continue;
        measure(&options, &cell);
      }
    }
  }
  peerMeet(0);
  peerClose();
  return 0;
}
