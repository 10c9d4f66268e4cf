#!/bin/sh
# A manager killed at random among services of every kind, requests and reloads.
# timeout: 600
kills=200
test -z "${COPPICE_TEST_QUICK:-}" || kills=50
exec python3 -B "$(dirname "$0")/../stress/kinds.py" "$kills"
