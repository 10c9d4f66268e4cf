# process_spawn() beside a bare vfork and exec; static, for it is its own child.
$(BUILD)/tests/bench/spawn: $(BUILD)/obj/tests/bench/spawn.o $(process_LIB) $(base_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(if $(SANITIZE),,-static) -o $@ $^

# These run the program.
$(BUILD)/tests/process/test_exec: | $(BUILD)/coppice-exec
