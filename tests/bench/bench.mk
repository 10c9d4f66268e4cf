# Programs of the benchmarks and stress tests. The child is static, so that its start is the least.
$(BUILD)/bench/child: tests/bench/child.c tests/bench/samples.h
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=c17 -O2 -Wall -Wextra -static -o $@ $<
$(BUILD)/bench/%: tests/bench/%.c tests/bench/samples.h
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=c17 -O2 -Wall -Wextra -Wno-format-truncation -o $@ $<

.PHONY: bench-programs
bench-programs: $(BUILD)/bench/child $(BUILD)/bench/restart $(BUILD)/bench/floor
