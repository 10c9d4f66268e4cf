#!/bin/bash
# The tree over a fake kernel: a million random events, half of them in lives with fixed seeds, half
# with fresh ones. SIM_SEED= and SIM_EVENTS= repeat or lengthen it.
# timeout: 300
seed=${SIM_SEED:-$((RANDOM * 32768 + RANDOM + 1000000))}
default=1000000
test -z "${COPPICE_TEST_QUICK:-}" || default=300000
events=${SIM_EVENTS:-$default}
number=0

run() {
	number=$((number + 1))
	echo "# sim --seed $1 --events $2"
	if "$BUILD/tests/sim" --seed "$1" --events "$2"; then
		echo "ok $number - $3"
	else
		echo "not ok $number - $3"
	fi
}

run 1 $((events / 2)) "lives with fixed seeds"
run "$seed" $((events / 2)) "lives with fresh seeds, from $seed"
echo "1..$number"
