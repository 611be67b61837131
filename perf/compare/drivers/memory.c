/* The buffers of a program that gives its library no hint. */
#include <stdlib.h>

#include "driver.h"

void* peerAllocate(size_t bytes) {
  return malloc(bytes);
}
void peerRelease(void* memory) {
  free(memory);
}
