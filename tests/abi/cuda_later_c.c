#include "cuda_later.inc"
