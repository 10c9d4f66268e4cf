# coppice: build, test and install. `make help` lists the targets.
VERSION    := 0.1.0
PREFIX     ?= /usr/local
DESTDIR    ?=
SYSCONFDIR ?= /etc
BUILD      ?= build
ifeq ($(origin CC),default)
CC         := gcc
endif
AR         ?= ar
OPT        ?= -O2 -g
SANITIZE   ?=
WERROR     ?=
STATIC     ?=

.DEFAULT_GOAL := all
# `make V=1` prints whole command lines.
V          ?=
Q          := $(if $(V),,@)
said        = $(if $(V),,@echo '  $(1)	$(2)')
# Inner runs of make use all processors, unless -j was given.
JOBS        = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

LIBEXECDIR := $(PREFIX)/lib/coppice
WARNINGS   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wformat=2 -Wundef -Wno-missing-field-initializers
CPPFLAGS   += -D_GNU_SOURCE -Isrc -Iinclude -DCOPPICE_VERSION='"$(VERSION)"' \
	-DCOPPICE_LIBEXECDIR='"$(LIBEXECDIR)"' \
	-DCOPPICE_PREFIX='"$(PREFIX)"' -DCOPPICE_SYSCONFDIR='"$(SYSCONFDIR)"'
CFLAGS     += -std=c17 $(OPT) $(WARNINGS) $(WERROR) -fno-strict-aliasing -fstack-protector-strong \
	-fPIC -pthread $(SANITIZE)
LDFLAGS    += $(SANITIZE) $(STATIC) -Wl,-z,relro,-z,now

ROOMS := base share unit service tree process sandbox tmpfiles client control ctl manager keeper

# Without libseccomp there are no filters of system calls, and coppice-exec says so.
HAVE_SECCOMP := $(shell printf '\043include <seccomp.h>\n' | \
	$(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo yes)
LEFT_OUT     := $(addprefix src/sandbox/,$(if $(HAVE_SECCOMP),seccomp_none.c,seccomp.c \
	seccomp_list.c))
SANDBOX_LIBS := -lcap $(if $(HAVE_SECCOMP),-lseccomp)

# Every room is an archive of its own: what a program links is its list of rooms. The folder itself
# is among what it is made of, so that a file that was taken away is missed.
define room
$(1)_SRC := $$(filter-out $(LEFT_OUT),$$(wildcard src/$(1)/*.c))
$(1)_OBJ := $$($(1)_SRC:src/%.c=$$(BUILD)/obj/%.o)
$(1)_LIB := $$(BUILD)/lib/$(1).a
$$($(1)_LIB): $$($(1)_OBJ) src/$(1)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call said,AR,$$@)
	$$(Q)$$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

PROGRAMS := coppice coppice-manager coppicectl coppice-exec coppice-tmpfiles
BINARIES := $(PROGRAMS:%=$(BUILD)/%)

.PHONY: all
all: $(BINARIES) gateway

# What everything was compiled with. When it changes (another PREFIX, another compiler), everything
# is compiled again: the install prefix is part of the programs.
CONFIG := $(CC) $(CPPFLAGS) $(filter-out -Werror,$(CFLAGS)) $(LDFLAGS)
.PHONY: FORCE
FORCE:
$(BUILD)/config: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CONFIG))' >$@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(BUILD)/obj/%.o: src/%.c $(BUILD)/config
	@mkdir -p $(@D)
	$(call said,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/config
	@mkdir -p $(@D)
	$(call said,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/coppice: $(BUILD)/obj/coppice.o $(keeper_LIB) $(share_LIB) $(base_LIB)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/coppice-manager: $(BUILD)/obj/coppice-manager.o $(manager_LIB) $(control_LIB) \
		$(sandbox_LIB) $(process_LIB) $(tree_LIB) $(service_LIB) $(unit_LIB) $(share_LIB) \
		$(base_LIB)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -linih -ljansson
$(BUILD)/coppicectl: $(BUILD)/obj/coppicectl.o $(ctl_LIB) $(client_LIB) $(unit_LIB) $(base_LIB)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -linih -ljansson
$(BUILD)/coppice-exec: $(BUILD)/obj/coppice-exec.o $(sandbox_LIB) $(process_LIB) $(base_LIB)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(SANDBOX_LIBS)
$(BUILD)/coppice-tmpfiles: $(BUILD)/obj/coppice-tmpfiles.o $(tmpfiles_LIB) $(unit_LIB) $(base_LIB)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -linih

# The client library for other programs: the room `client` and what it needs of `base`.
$(BUILD)/libcoppice.a: $(client_OBJ) $(base_OBJ)
	@rm -f $@
	$(call said,AR,$@)
	$(Q)$(AR) rcs $@ $^

.SECONDARY:
-include $(shell test -d $(BUILD) && find $(BUILD) -name '*.d' 2>/dev/null)

# --- the gateway example ----------------------------------------------------------------------
.PHONY: gateway
GATEWAY_NAMES    := $(filter-out http,$(basename $(notdir $(wildcard units/gateway/*.c))))
GATEWAY_PROGRAMS := $(GATEWAY_NAMES:%=$(BUILD)/gateway/%)
GATEWAY_COMMON   := $(BUILD)/obj/gateway/http.o
gateway: $(GATEWAY_PROGRAMS)
$(BUILD)/obj/gateway/%.o: units/gateway/%.c $(BUILD)/config
	@mkdir -p $(@D)
	$(call said,CC,$<)
	$(Q)$(CC) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/gateway/%: $(BUILD)/obj/gateway/%.o $(GATEWAY_COMMON)
	@mkdir -p $(@D)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

# The unit files with the place of the programs filled in: a directory for `coppice -u`.
PORT          ?= 8080
# A user without a run-time directory gets one below /tmp.
EXAMPLE_RUN   := $(if $(XDG_RUNTIME_DIR)$(filter 0,$(shell id -u)),%t/coppice-gateway,$(strip \
	/tmp/coppice-gateway-$(shell id -u)))
fill_in        = sed 's|@programs@|$(1)|g; s|@port@|$(PORT)|g; s|@run@|$(2)|g'
EXAMPLE_UNITS := $(wildcard units/*.service units/*.supervisor)
.PHONY: example
example: gateway $(EXAMPLE_UNITS:units/%=$(BUILD)/example/%)
$(BUILD)/example/%: units/% FORCE
	@mkdir -p $(@D)
	@$(call fill_in,$(abspath $(BUILD))/gateway,$(EXAMPLE_RUN)) $< >$@.new
	@mv $@.new $@

.PHONY: run
run: deps-build
	@$(MAKE) --no-print-directory $(JOBS) all example
	@PORT=$(PORT) packaging/run-example $(BUILD)

# The same with nginx and redis in place of our own gateway and store.
.PHONY: run-real
run-real: deps-build
	@$(MAKE) --no-print-directory $(JOBS) all example
	@PORT=$(PORT) units/real/prepare $(BUILD)
	@PORT=$(PORT) packaging/run-example $(BUILD) real

# --- unit tests: tests/unit/ROOM/test_*.c, each linked with its room and the rooms below it -------
TEST_SRC := $(wildcard tests/unit/*/test_*.c)
TEST_BIN := $(TEST_SRC:tests/unit/%.c=$(BUILD)/tests/%)
BELOW_base    := $(base_LIB)
BELOW_share   := $(share_LIB) $(base_LIB)
BELOW_unit    := $(unit_LIB) $(base_LIB)
BELOW_service := $(service_LIB) $(base_LIB)
BELOW_tree    := $(tree_LIB) $(service_LIB) $(base_LIB)
BELOW_process := $(process_LIB) $(base_LIB)
BELOW_sandbox := $(sandbox_LIB) $(process_LIB) $(base_LIB)
BELOW_tmpfiles := $(tmpfiles_LIB) $(unit_LIB) $(base_LIB)
BELOW_client  := $(client_LIB) $(base_LIB)
BELOW_control := $(control_LIB) $(client_LIB) $(base_LIB)
BELOW_ctl     := $(ctl_LIB) $(client_LIB) $(unit_LIB) $(base_LIB)
BELOW_keeper  := $(keeper_LIB) $(share_LIB) $(base_LIB)
BELOW_manager := $(manager_LIB) $(control_LIB) $(client_LIB) $(sandbox_LIB) $(process_LIB) \
	$(tree_LIB) $(service_LIB) $(unit_LIB) $(share_LIB) $(base_LIB)

LIBS_sandbox  := $(SANDBOX_LIBS)

define unit_test
$(BUILD)/tests/$(1): $(BUILD)/obj/tests/unit/$(1).o $(BELOW_$(patsubst %/,%,$(dir $(1))))
	@mkdir -p $$(@D)
	$$(call said,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka -linih -ljansson \
		$$(LIBS_$(patsubst %/,%,$(dir $(1))))
endef
$(foreach t,$(TEST_SRC:tests/unit/%.c=%),$(eval $(call unit_test,$(t))))

.PHONY: unit-tests
unit-tests: $(TEST_BIN)

# --- other programs of the tests --------------------------------------------------------------
# tests/sim/*.c is one program; each of tests/oracle/*.c and tests/helpers/*.c is one of its own.
# Anything else has its rules in a *.mk file beside it.
SIM_SRC    := $(wildcard tests/sim/*.c)
SIM_BIN    := $(if $(SIM_SRC),$(BUILD)/tests/sim)
TOOL_SRC   := $(wildcard tests/oracle/*.c tests/helpers/*.c tests/bench/spawn.c)
TOOL_BIN   := $(TOOL_SRC:tests/%.c=$(BUILD)/tests/%)

$(BUILD)/tests/sim: $(SIM_SRC:%.c=$(BUILD)/obj/%.o) $(BELOW_tree)
	@mkdir -p $(@D)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/tests/oracle/%: $(BUILD)/obj/tests/oracle/%.o $(BELOW_tree)
	@mkdir -p $(@D)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/tests/helpers/%: $(BUILD)/obj/tests/helpers/%.o $(BELOW_client) $(BELOW_share)
	@mkdir -p $(@D)
	$(call said,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -ljansson

.PHONY: test-programs
test-programs: unit-tests $(SIM_BIN) $(TOOL_BIN) bench-programs

# --- running the tests ------------------------------------------------------------------------
.PHONY: test check tidy lint fmt-check asan bench
test: deps-test
	@$(MAKE) --no-print-directory $(JOBS) all example test-programs
	@BUILD=$(abspath $(BUILD)) tests/run

# What a change must pass before it is shown to anybody: seconds.
check: all test-programs
	@BUILD=$(abspath $(BUILD)) COPPICE_TEST_QUICK=1 tests/run tidy 'unit/*' sim

tidy: $(foreach r,$(ROOMS),$($(r)_LIB))
	@BUILD=$(abspath $(BUILD)) tests/tidy.sh

MAN_PAGES := $(wildcard man/*.[1-8])

fmt-check:
	clang-format --dry-run -Werror $(shell find src include units tests -name '*.[ch]')

lint: $(foreach r,$(ROOMS),$($(r)_LIB))
	@result=0; BUILD=$(abspath $(BUILD)) tests/tidy.sh || result=1; \
	CPPFLAGS='$(subst ','\'',$(CPPFLAGS))' tests/lint.sh --deep || result=1; \
	exit $$result

# Address and undefined-behaviour sanitizers: unit tests, simulation, and a smoke of the whole.
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all
asan:
	@$(MAKE) --no-print-directory $(JOBS) BUILD=$(BUILD)-asan \
		OPT='-O1 -g -fno-omit-frame-pointer' SANITIZE='$(ASAN)' \
		all example test-programs
	@BUILD=$(abspath $(BUILD)-asan) COPPICE_TEST_QUICK=1 COPPICE_TEST_ASAN=1 \
		tests/run 'unit/*' sim bats/gateway bats/example

# Suites whose comment lines are figures.
bench: all test-programs
	@BUILD=$(abspath $(BUILD)) tests/run 'bench_*' 'stress_*'

# Programs that need nothing beside themselves, for an image made from nothing.
.PHONY: static
static:
	@$(MAKE) --no-print-directory $(JOBS) BUILD=$(BUILD)-static STATIC=-static all
	@echo "static programs: $(PROGRAMS:%=$(BUILD)-static/%)"

# --- what must be installed first -------------------------------------------------------------
.PHONY: deps-build deps-test deps
deps-build:
	@packaging/install-deps.sh build
deps-test:
	@packaging/install-deps.sh build test extra
deps:
	@packaging/install-deps.sh build test extra lint

# --- installing -------------------------------------------------------------------------------
INSTALL     ?= install
BINDIR      := $(DESTDIR)$(PREFIX)/bin
LIBDIR      := $(DESTDIR)$(PREFIX)/lib
HELPERDIR   := $(DESTDIR)$(LIBEXECDIR)
EXAMPLEDIR  := $(HELPERDIR)/examples
INCLUDEDIR  := $(DESTDIR)$(PREFIX)/include/coppice
MANDIR      := $(DESTDIR)$(PREFIX)/share/man
DOCDIR      := $(DESTDIR)$(PREFIX)/share/doc/coppice
BIN_NAMES    := coppice coppicectl
HELPER_NAMES := $(filter-out $(BIN_NAMES),$(PROGRAMS))
PUBLIC       := include/coppice/client.h src/control/org.coppice.Control.varlink

.PHONY: install uninstall
install: all $(BUILD)/libcoppice.a
	$(INSTALL) -d $(BINDIR) $(HELPERDIR) $(EXAMPLEDIR) $(INCLUDEDIR) $(DOCDIR)
	$(INSTALL) -m 755 $(BIN_NAMES:%=$(BUILD)/%) $(BINDIR)
	$(INSTALL) -m 755 $(HELPER_NAMES:%=$(BUILD)/%) $(HELPERDIR)
	$(INSTALL) -m 755 $(GATEWAY_PROGRAMS) $(EXAMPLEDIR)
	for u in $(EXAMPLE_UNITS:units/%=%); do \
		$(call fill_in,$(LIBEXECDIR)/examples,%t/coppice-gateway) units/$$u \
			>$(EXAMPLEDIR)/$$u || exit 1; \
		chmod 644 $(EXAMPLEDIR)/$$u || exit 1; \
	done
	$(INSTALL) -m 644 $(BUILD)/libcoppice.a $(LIBDIR)
	$(INSTALL) -m 644 $(PUBLIC) $(INCLUDEDIR)
	$(INSTALL) -m 644 README.md LICENSE $(DOCDIR)
	for m in $(MAN_PAGES); do \
		$(INSTALL) -D -m 644 $$m $(MANDIR)/man$${m##*.}/$${m#man/} || exit 1; \
	done

uninstall:
	rm -f $(BIN_NAMES:%=$(BINDIR)/%) $(LIBDIR)/libcoppice.a
	rm -f $(MAN_PAGES:man/%=$(MANDIR)/man?/%)
	rm -rf $(HELPERDIR) $(INCLUDEDIR) $(DOCDIR)

.PHONY: clean
clean:
	rm -rf build build-*

.PHONY: help
help:
	@echo 'make            the programs, into $$(BUILD) (build)'
	@echo 'make run        the gateway example in the foreground, without root (PORT=8080)'
	@echo 'make run-real   the same with nginx and redis'
	@echo 'make test       all tests; the last line is the count'
	@echo 'make check      unit tests, a short simulation, tidy: seconds'
	@echo 'make lint       formatting, clang-tidy, man pages, shell scripts, tidy'
	@echo 'make asan       unit tests and a smoke of the whole under ASan and UBSan'
	@echo 'make bench      figures against a bare loop'
	@echo 'make static     programs without shared libraries, into $$(BUILD)-static'
	@echo 'make deps       install what building and testing need (packaging/install-deps.sh)'
	@echo 'make install uninstall     DESTDIR= PREFIX=/usr/local'
	@echo 'make clean'
	@echo
	@echo 'Variables: V=1 BUILD= CC= OPT= WERROR=-Werror SANITIZE= PREFIX= DESTDIR= SYSCONFDIR='

include $(wildcard tests/*.mk tests/*/*.mk tests/*/*/*.mk)
