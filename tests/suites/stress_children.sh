#!/bin/sh
# PID 1 keeps its children while they are killed at random.
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/kill_children.py" 10000 60
