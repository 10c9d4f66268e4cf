# coppice: build, test and install. `make help` lists the targets.
VERSION   := 0.1.0
PREFIX    ?= /usr/local
DESTDIR   ?=
SYSCONFDIR ?= /etc
BUILD     ?= build
CC        ?= gcc
AR        ?= ar
OPT       ?= -O2 -g
SANITIZE  ?=
WERROR    ?=

LIBEXECDIR := $(PREFIX)/lib/coppice
WARNINGS  := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wformat=2 -Wundef -Wno-missing-field-initializers
CPPFLAGS  += -D_GNU_SOURCE -DCOPPICE_VERSION='"$(VERSION)"' -DCOPPICE_LIBEXECDIR='"$(LIBEXECDIR)"' \
	-DCOPPICE_PREFIX='"$(PREFIX)"' -DCOPPICE_SYSCONFDIR='"$(SYSCONFDIR)"' -Isrc -Iinclude
CFLAGS    += -std=c17 $(OPT) $(WARNINGS) $(WERROR) -fno-strict-aliasing -fstack-protector-strong \
	-fPIC -pthread $(SANITIZE)
LDFLAGS   += $(SANITIZE) -Wl,-z,relro,-z,now

ROOMS := base share unit service tree process client control ctl manager keeper

# Every room is an archive of its own: what a program links is its list of rooms.
define room
$(1)_SRC := $$(wildcard src/$(1)/*.c)
$(1)_OBJ := $$($(1)_SRC:src/%.c=$$(BUILD)/obj/%.o)
$(1)_LIB := $$(BUILD)/lib/$(1).a
$$($(1)_LIB): $$($(1)_OBJ)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(if $$^,$$(AR) rcs $$@ $$^,$$(AR) rcs $$@)
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

PROGRAMS := coppice coppice-manager coppicectl coppice-exec
BINARIES := $(PROGRAMS:%=$(BUILD)/%)

.PHONY: all
all: $(BINARIES) gateway

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/coppice: $(BUILD)/obj/coppice.o $(keeper_LIB) $(share_LIB) $(base_LIB)
	$(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/coppice-manager: $(BUILD)/obj/coppice-manager.o $(manager_LIB) $(control_LIB) \
		$(process_LIB) $(tree_LIB) $(service_LIB) $(unit_LIB) $(share_LIB) $(base_LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -linih -ljansson
$(BUILD)/coppicectl: $(BUILD)/obj/coppicectl.o $(ctl_LIB) $(client_LIB) $(unit_LIB) $(base_LIB)
	$(CC) $(LDFLAGS) -o $@ $^ -linih -ljansson
$(BUILD)/coppice-exec: $(BUILD)/obj/coppice-exec.o $(process_LIB) $(base_LIB)
	$(CC) $(LDFLAGS) -o $@ $^

.SECONDARY:
-include $(shell test -d $(BUILD) && find $(BUILD) -name '*.d' 2>/dev/null)

# --- the gateway example -----------------------------------------------------------------------
.PHONY: gateway
GATEWAY_PROGRAMS := $(patsubst units/gateway/%.c,$(BUILD)/gateway/%,$(wildcard units/gateway/*.c))
gateway: $(GATEWAY_PROGRAMS)
$(BUILD)/gateway/%: units/gateway/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(CFLAGS) $(LDFLAGS) -o $@ $<

# --- unit tests: tests/unit/ROOM/test_*.c, each linked with its room and the rooms below -----------
TEST_SRC := $(wildcard tests/unit/*/test_*.c)
TEST_BIN := $(TEST_SRC:tests/unit/%.c=$(BUILD)/tests/%)
BELOW_base    := $(base_LIB)
BELOW_share   := $(share_LIB) $(base_LIB)
BELOW_unit    := $(unit_LIB) $(base_LIB)
BELOW_service := $(service_LIB) $(base_LIB)
BELOW_tree    := $(tree_LIB) $(service_LIB) $(base_LIB)
BELOW_process := $(process_LIB) $(base_LIB)
BELOW_client  := $(client_LIB) $(base_LIB)
BELOW_control := $(control_LIB) $(client_LIB) $(base_LIB)
BELOW_ctl     := $(ctl_LIB) $(client_LIB) $(unit_LIB) $(base_LIB)
BELOW_keeper  := $(keeper_LIB) $(share_LIB) $(base_LIB)
BELOW_manager := $(manager_LIB) $(control_LIB) $(client_LIB) $(process_LIB) $(tree_LIB) \
	$(service_LIB) $(unit_LIB) $(share_LIB) $(base_LIB)

define unit_test
$(BUILD)/tests/$(1): $(BUILD)/obj/tests/unit/$(1).o $(BELOW_$(patsubst %/,%,$(dir $(1))))
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka -linih -ljansson
endef
$(foreach t,$(TEST_SRC:tests/unit/%.c=%),$(eval $(call unit_test,$(t))))

.PHONY: unit-tests
unit-tests: $(TEST_BIN)

.PHONY: clean
clean:
	rm -rf build build-*
