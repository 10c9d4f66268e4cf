#!/bin/sh
# Scenarios run by the real OTP and by coppice with real processes: differences on purpose, the
# pinned cases, and random ones. SEED= repeats, N= sets how many.
# timeout: 300
if test -n "${COPPICE_TEST_QUICK:-}"; then
	default=60
else
	default=300
fi
exec python3 tests/oracle/real/compare_real.py --differences --pinned \
	--count "${N:-$default}" --kills "${N:-$((default / 2))}" ${SEED:+--seed "$SEED"}
