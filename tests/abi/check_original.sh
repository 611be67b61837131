#!/bin/sh
# Holds facts.inc against the original NCCL headers. Usage: check_original.sh CC CXX [folder of CUDA's headers]
# Skipped (77) unless TUTTI_NVIDIA_NCCL_INCLUDE names the folder of the original nccl.h.
set -eu
[ -n "${TUTTI_NVIDIA_NCCL_INCLUDE:-}" ] && [ -f "$TUTTI_NVIDIA_NCCL_INCLUDE/nccl.h" ] && [ -n "${3:-}" ] || exit 77
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" -std=c11 -w -fsyntax-only -I "$TUTTI_NVIDIA_NCCL_INCLUDE" -I "$3" "$here/facts_c.c"
"$2" -std=c++17 -w -I "$TUTTI_NVIDIA_NCCL_INCLUDE" -I "$3" "$here/facts_cxx.cpp" -o "$work/facts"
"$work/facts"
