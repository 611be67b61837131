#include "kernels.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* One body, compiled for each instruction set; the loader picks. Sanitizers cannot run that early. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MULTIVERSIONED __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define MULTIVERSIONED
#endif

MULTIVERSIONED void sumTo(float* sum, const float* a, const float* b, size_t count) {
#pragma GCC ivdep
  for (size_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

#if defined(__x86_64__)

__attribute__((target("avx512f"))) static size_t streamLines512(char* to, const char* from, size_t bytes) {
  size_t at = 0;
  for (; at + 64 <= bytes; at += 64) _mm512_stream_si512((void*)(to + at), _mm512_loadu_si512(from + at));
  return at;
}

__attribute__((target("avx2"))) static size_t streamLines256(char* to, const char* from, size_t bytes) {
  size_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    _mm256_stream_si256((__m256i*)(to + at), _mm256_loadu_si256((const __m256i*)(from + at)));
    _mm256_stream_si256((__m256i*)(to + at + 32), _mm256_loadu_si256((const __m256i*)(from + at + 32)));
  }
  return at;
}

static size_t streamLines128(char* to, const char* from, size_t bytes) {
  size_t at = 0;
  for (; at + 16 <= bytes; at += 16)
    _mm_stream_si128((__m128i*)(to + at), _mm_loadu_si128((const __m128i*)(from + at)));
  return at;
}

void streamCopy(void* to, const void* from, size_t bytes) {
  size_t done = 0;
  if ((uintptr_t)to % 64 == 0) {
    if (__builtin_cpu_supports("avx512f"))
      done = streamLines512(to, from, bytes);
    else if (__builtin_cpu_supports("avx2"))
      done = streamLines256(to, from, bytes);
    else
      done = streamLines128(to, from, bytes);
  }
  memcpy((char*)to + done, (const char*)from + done, bytes - done);
  _mm_sfence();
}

#else

void streamCopy(void* to, const void* from, size_t bytes) {
  memcpy(to, from, bytes);
}

#endif
