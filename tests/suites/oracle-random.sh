#!/bin/sh
# Random scenarios, each run by the real OTP and by src/tree. SEED= repeats, N= sets how many.
# timeout: 300
if test -n "${COPPICE_TEST_QUICK:-}"; then
	default=1000
else
	default=5000
fi
exec python3 tests/oracle/compare.py --count "${N:-$default}" ${SEED:+--seed "$SEED"}
