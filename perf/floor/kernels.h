/* The loops that move bytes, for the widest vectors that the machine has. */
#ifndef TUTTI_FLOOR_KERNELS_H_
#define TUTTI_FLOOR_KERNELS_H_

#include <stddef.h>

/* sum[i] = a[i] + b[i]; sum may be a or b. */
void sumTo(float* sum, const float* a, const float* b, size_t count);
/* Stores past the caches: to `to` on a 64-byte border in whole lines, the rest with plain stores. Published
 * with the next release store, as it ends with a fence. */
void streamCopy(void* to, const void* from, size_t bytes);

#endif
