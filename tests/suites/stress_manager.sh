#!/bin/sh
# A manager killed at random loses and repeats nothing.
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/kill_manager.py" 1000 12
