#!/bin/sh
# The pinned cases: src/tree gives the traces that OTP's supervisor gave.
exec python3 tests/oracle/compare.py --pinned
