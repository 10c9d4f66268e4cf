# Additions to the Makefile for the comparison with OTP over real processes.
REAL_LEAF := $(BUILD)/tests/oracle/leaf

$(REAL_LEAF): $(BUILD)/obj/tests/oracle/real/leaf.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^

test-programs: $(REAL_LEAF)

# N random scenarios through coppice with real processes, and N with managers that are killed:
# make oracle-real N=1000 SEED=1
.PHONY: oracle-real
oracle-real: all $(REAL_LEAF)
	@BUILD=$(abspath $(BUILD)) tests/oracle/real/compare_real.py --count $(or $(N),1000) \
		--kills $(or $(N),1000) $(if $(SEED),--seed $(SEED))
