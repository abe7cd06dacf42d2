# SPDX-License-Identifier: MIT
# Kxen: Xen's paravirtual split-driver stack on KVM.
#
#   make            build everything into build/
#   make demo       boot a guest over split and trapped drivers, compare them
#   make test       every test; last line: N passed, N failed, N skipped
#   make soak       the long tests, in the same form
#   make check      headers alone, format, static analysis
#   make install    PREFIX=/usr/local DESTDIR=
#
# V=1 shows the commands, SAN=1 builds with sanitizers (into build-san/).

MAKEFLAGS += -rR --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

SAN    ?= 0
V      ?= 0
B      ?= $(if $(filter 1,$(SAN)),build-san,build)
PREFIX ?= /usr/local
CC      = gcc
AR      = ar

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2);)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
, := ,
SANFLAGS := $(if $(filter 1,$(SAN)),-fsanitize=address$(,)undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer)

# Host code, said once.
HOST_CFLAGS := -std=gnu11 -O2 -g -fPIC -pthread -D_GNU_SOURCE \
	-D__XEN_TOOLS__=1 $(WARN) \
	$(SANFLAGS) -I. -Ihv/include -I$(B)/gen $(CFLAGS)
HOST_LDFLAGS := -pthread $(SANFLAGS) $(LDFLAGS)
# Guest code: freestanding, no vector registers, no red zone (an upcall is
# pushed on the interrupted stack).
GUEST_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-stack-protector \
	-fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing $(WARN) -I. \
	-Ifrontends/include

objs = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))
gobjs = $(patsubst %,$(B)/gobj/%.o,$(basename $(1)))

# $(eval $(call program,NAME,OBJECTS,ARCHIVES,LIBS)): build/bin/NAME
define program
PROGRAMS += $(B)/bin/$(1)
$(B)/bin/$(1): $(2) $(patsubst %,$(B)/lib/lib%.a,$(3))
	@mkdir -p $$(@D)
	$(call say,LD,$$@)$(CC) $(HOST_LDFLAGS) -o $$@ $(2) \
		-Wl,--start-group $(patsubst %,$(B)/lib/lib%.a,$(3)) \
		-Wl,--end-group $(4)
endef

# $(eval $(call archive,NAME,OBJECTS)): build/lib/libNAME.a
define archive
ARCHIVES += $(B)/lib/lib$(1).a
$(B)/lib/lib$(1).a: $(2)
	@mkdir -p $$(@D)
	$(call say,AR,$$@)rm -f $$@ && $(AR) rcs $$@ $(2)
endef

PROGRAMS :=
ARCHIVES :=
SHLIBS   :=
IMAGES   :=

# The tests come last: they link every archive.
include $(filter-out tests/tests.mk,$(sort $(wildcard */*.mk)))
include tests/tests.mk

.PHONY: all deps
all: deps
	$(Q)$(MAKE) build-all

.PHONY: build-all
build-all: $(ARCHIVES) $(SHLIBS) $(PROGRAMS) $(IMAGES)

deps:
	$(Q)tools/install-deps.sh build

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gobj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,GCC,$<)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gobj/%.o: %.S
	@mkdir -p $(@D)
	$(call say,GAS,$<)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: clean
clean:
	rm -rf build build-san

-include $(shell find $(B)/obj $(B)/gobj -name '*.d' 2>/dev/null)
