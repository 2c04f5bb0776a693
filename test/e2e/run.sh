#!/usr/bin/env bash
# Installs what the end-to-end runs need (as root, on Debian or Ubuntu) and runs them.
# What cannot be installed is named, and the tests that need it say that they were skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CORRAL_E2E_DIR="${CORRAL_E2E_DIR:-/var/cache/corral-e2e}"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  bash test/e2e/install.sh "$CORRAL_E2E_DIR"
else
  echo "e2e: not root, or not a Debian or Ubuntu machine: nothing is installed, and what is missing is skipped" >&2
fi
exec sh bin/node node_modules/vitest/vitest.mjs run --project e2e "$@"
