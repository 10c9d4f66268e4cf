#!/bin/sh
# Ten thousand children in one tree.
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/many.py" 10000
