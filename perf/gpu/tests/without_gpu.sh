#!/bin/sh
# Each program given must end with status 3 and one clear line where there is no GPU. With a GPU: skipped (status 77).
#   without_gpu.sh PROGRAM...
for program in "$@"; do
  said=$("$program" --smoke --filter=nothing 2>&1)
  status=$?
  if [ "$status" -ne 3 ]; then
    ls /dev/nvidia[0-9]* >/dev/null 2>&1 && exit 77
    echo "$program: status $status instead of 3: $said"
    exit 1
  fi
  if [ "$said" != "no GPU found: nothing measured" ]; then
    echo "$program said: $said"
    exit 1
  fi
done
