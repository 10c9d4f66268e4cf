#!/bin/sh
# An idle tree sleeps.
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/idle.py" 3
