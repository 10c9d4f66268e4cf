#!/bin/sh
# What the journal says when the manager is killed is what the next one says and goes on with. By
# hand: COPPICE_STRESS_KILLS=1000 tests/run stress_journal
# timeout: 600
exec python3 -B "$(dirname "$0")/../stress/journal.py" "${COPPICE_STRESS_KILLS:-200}"
