# The reader of a journal, for tests/stress/journal.py: it links what the manager is made of.
$(BUILD)/tests/stress/journal_dump: $(BUILD)/obj/tests/stress/journal_dump.o \
		$(BUILD)/obj/tests/stress/journal_windows.o $(BELOW_manager)
	@mkdir -p $(@D)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -linih -ljansson

test-programs: $(BUILD)/tests/stress/journal_dump
