/* What a crashing child and the benchmark share. */
#ifndef TESTS_BENCH_SAMPLES_H
#define TESTS_BENCH_SAMPLES_H

#include <stdint.h>

#define SAMPLES_MAX 65536

struct samples {
	volatile uint64_t died_at_ns; /* CLOCK_MONOTONIC; 0: nobody has died */
	volatile uint64_t count, wanted, done;
	volatile uint64_t latency_ns[SAMPLES_MAX];
};

#endif
