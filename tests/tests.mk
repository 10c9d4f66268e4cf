# Additions to the Makefile for the comparison with OTP and the simulator.

# The scenario reader belongs to tree_trace only.
$(BUILD)/tests/oracle/tree_trace: \
	$(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/oracle/lib/*.c))

# N random scenarios, run by the real OTP and by src/tree: make oracle N=100000 SEED=1
.PHONY: oracle
oracle: $(BUILD)/tests/oracle/tree_trace
	@BUILD=$(abspath $(BUILD)) tests/oracle/compare.py --count $(or $(N),100000) \
		$(if $(SEED),--seed $(SEED))
