# Additions to the Makefile for the comparison with OTP and the simulator.

# The reader of scenarios and the world of tree_trace belong to it only.
$(BUILD)/tests/oracle/tree_trace: \
		$(patsubst %.c,$(BUILD)/obj/%.o,tests/oracle/tree_trace.c $(wildcard tests/oracle/lib/*.c)) \
		$(BELOW_tree)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

# N random scenarios, run by the real OTP and by src/tree: make oracle N=100000 SEED=1
.PHONY: oracle
oracle: $(BUILD)/tests/oracle/tree_trace
	@BUILD=$(abspath $(BUILD)) python3 tests/oracle/compare.py --count $(or $(N),100000) \
		$(if $(SEED),--seed $(SEED))

# The simulator alone: make sim EVENTS=10000000 SEED=1
.PHONY: sim
sim: $(BUILD)/tests/sim
	@BUILD=$(abspath $(BUILD)) SIM_EVENTS=$(EVENTS) SIM_SEED=$(SEED) tests/suites/sim.sh
