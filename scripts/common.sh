# For the scripts beside it: `source scripts/common.sh` puts the caller into the repository's root and gives it these functions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "== $*" >&2; }

# configure PRESET [-DNAME=VALUE...]: runs cmake for a preset where build/PRESET is not configured, or not with these values.
# Values last given stay as they are, so that what builds more (the tests) and what builds less share one folder.
configure() {
  local preset=$1 definition name
  shift
  local stale=
  [ -e "build/$preset/build.ninja" ] || stale=1
  for definition in "$@"; do
    name=${definition#-D}
    grep -q "^${name%%=*}:[A-Z]*=${name#*=}\$" "build/$preset/CMakeCache.txt" 2>/dev/null || stale=1
  done
  [ -n "$stale" ] || return 0
  # A folder of the scripts' own is for builds from nothing; one that was configured by hand stays as it is.
  [ -e "build/$preset/build.ninja" ] || set -- -DTUTTI_UNITY=ON "$@"
  say "configuring build/$preset"
  mkdir -p build
  if ! cmake --preset "$preset" "$@" >"build/configure-$preset.log" 2>&1; then
    cat "build/configure-$preset.log" >&2
    return 1
  fi
}

# build PRESET [TARGET...]: builds those targets, or all; says nothing when all is up to date.
build() {
  local preset=$1
  shift
  # A line per file: [3/40] ...; without what ninja says when there is nothing to do.
  NINJA_STATUS="[%f/%t %es] " ninja -C "build/$preset" "$@" 2>&1 |
    { grep --line-buffered -vE '^ninja: (Entering directory|no work to do)|^\[0/[0-9]+ .*Re-checking globbed' || true; } >&2
}
