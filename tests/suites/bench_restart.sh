#!/bin/sh
# Restart latency against a bare vfork+exec loop of the same run: figures to read, not a verdict.
# timeout: 600
program=$BUILD/bench/restart
if "$program" "$BUILD" 1000 0 10 1000 10000 >"$BUILD/bench/restart.out" 2>&1; then
  sed 's/^/# /' "$BUILD/bench/restart.out"
  echo "ok 1 - restart latency was measured"
else
  sed 's/^/# /' "$BUILD/bench/restart.out"
  echo "not ok 1 - restart latency was measured"
fi
echo "1..1"
