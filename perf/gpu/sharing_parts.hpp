#pragma once

#include "common/gpu.hpp"
#include "common/process.hpp"
#include "common/report.hpp"

// The parts of gpu_sharing. The first two fork: the caller has made no CUDA call yet. The third uses CUDA
// itself and runs last, in a process of its own.
namespace tutti::gpuperf {

// CUDA IPC handles, cuMem file descriptors: which work between two processes here, and how fast the memory is
// then.
void measureSharedMemory(const Options& options, const GpuFacts& gpu, Report& report);

// Do kernels of two processes run together, and what is left of their speed?
void measureProcessPair(const Options& options, const GpuFacts& gpu, Report& report);

// The same inside one process: two streams, two green contexts.
void measureStreamPair(const Options& options, const GpuFacts& gpu, Report& report);

// Waits at most `timeoutS` for the work in the stream. Throws Failure.
void syncWithin(cudaStream_t stream, double timeoutS);

}  // namespace tutti::gpuperf
