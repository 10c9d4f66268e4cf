#!/bin/sh
# A manager killed at random among services of every kind, requests and reloads.
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/kinds.py" $(test -n "${COPPICE_TEST_QUICK:-}" && echo 50 || echo 200)
