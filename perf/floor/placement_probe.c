/*
 * How far apart are two cores? One cache line goes to and fro between two pinned threads.
 *   placement_probe [CPU CPU]      default: the first two CPUs that this process may use
 * Prints {"one_way_ns": 58.1, "cpus": [0, 1]}; the least of several trials, as others' load only ever adds.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kTrials = 12, kRounds = 4000 };

static _Alignas(128) _Atomic long ball;
static int cpu[2];

static void pin(int which) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(which, &set);
  if (sched_setaffinity(0, sizeof set, &set)) perror("placement_probe: pin"), exit(2);
}

/* side 1 answers each odd number with the next even one. */
static void play(int side) {
  for (long next = side ? 1 : 0; next < 2L * kRounds; next += 2) {
    for (long i = 1; atomic_load_explicit(&ball, memory_order_acquire) != next; ++i)
      if (i % 100000 == 0) sched_yield();
    atomic_store_explicit(&ball, next + 1, memory_order_release);
  }
}

static void* second(void* unused) {
  pin(cpu[1]);
  play(1);
  return unused;
}

int main(int argc, char** argv) {
  cpu_set_t allowed;
  int found = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return perror("placement_probe"), 2;
  for (int c = 0; c < CPU_SETSIZE && found < 2; ++c)
    if (CPU_ISSET(c, &allowed)) cpu[found++] = c;
  if (argc == 3) cpu[0] = atoi(argv[1]), cpu[1] = atoi(argv[2]), found = 2;
  if (found < 2) return fprintf(stderr, "placement_probe: this process has one CPU only\n"), 3;
  pin(cpu[0]);
  double least = 1e30;
  for (int t = 0; t < kTrials; ++t) {
    atomic_store(&ball, 0);
    pthread_t thread;
    if (pthread_create(&thread, NULL, second, NULL)) return 2;
    struct timespec a, b;
    while (atomic_load(&ball) != 0) {
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    play(0);
    while (atomic_load_explicit(&ball, memory_order_acquire) != 2L * kRounds) {
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    pthread_join(thread, NULL);
    double ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (2.0 * kRounds);
    if (ns < least) least = ns;
  }
  printf("{\"one_way_ns\": %.1f, \"cpus\": [%d, %d]}\n", least, cpu[0], cpu[1]);
  return 0;
}
