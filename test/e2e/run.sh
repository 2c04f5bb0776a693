#!/usr/bin/env bash
# Installs what the end-to-end runs need (as root, on Debian or Ubuntu) and runs them.
# What cannot be installed is named, and the tests that need it say that they were skipped.
#
#   test/e2e/run.sh                          all, in two lanes beside each other: most of them wait for agents
#   test/e2e/run.sh test/e2e/salt.test.ts    these alone, and options of vitest
#
# Whole hosts take most of the memory: they are built in a lane of their own, after the unit tests that take long.
#
# With CORRAL_E2E_RESULTS=DIR each lane leaves vitest's JSON report there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
export CORRAL_E2E_DIR="${CORRAL_E2E_DIR:-/var/cache/corral-e2e}"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  bash test/e2e/install.sh "$CORRAL_E2E_DIR" || exit
else
  echo "e2e: not root, or not a Debian or Ubuntu machine: nothing is installed, and what is missing is skipped" >&2
fi
vitest=(sh bin/node node_modules/vitest/vitest.mjs run)
[ $# = 0 ] || exec "${vitest[@]}" --project e2e "$@"

lane() {
  local name=$1 report=()
  shift
  [ -z "${CORRAL_E2E_RESULTS:-}" ] || report=(--reporter=default --reporter=json --outputFile.json="$CORRAL_E2E_RESULTS/e2e-$name.json")
  "${vitest[@]}" ${report[@]+"${report[@]}"} "$@" 2>&1 | sed -u "s/^/$name | /"
}
failed=0
{
  lane long --project long
  long=$?
  lane hosts --project e2e test/e2e/converge- && [ $long = 0 ]
} &
hosts=$!
lane agents --project e2e --exclude='**/e2e/converge-*' &
wait "$hosts" || failed=1
wait $! || failed=1
# The cable that the hosts of both were on.
ip link del corral-e2e 2>/dev/null || true
exit $failed
