# SPDX-License-Identifier: MIT
# Included last: every archive is known by now.
#
#   make test [T=pattern]    unit, host and kvm tests
#   make soak [T=pattern]    the long ones
#   make build-tests         only builds them
#   make new-test NAME=x     starts tests/kvm/x.sh

T ?=
TESTS_NAMES  := $(basename $(notdir $(wildcard tests/unit/test_*.c)))
TESTS_BINS   := $(addprefix $(B)/tests/unit/,$(TESTS_NAMES))
TESTS_HELPER := $(call objs,$(filter-out tests/unit/test_%,\
	$(wildcard tests/unit/*.c)))
TESTS_LIBS   := -lcmocka -ljansson -luring -lz -llzma -lzstd \
	-llz4 -lm -Wl,--as-needed -lurcu-cds \
	-lurcu-memb -lurcu-mb -lurcu-qsbr -lurcu-bp -ldl -lutil -lrt
TESTS_SCALE  := $(if $(filter 1,$(SAN)),5,1)

$(TESTS_BINS): $(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(TESTS_HELPER) \
		$(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(HOST_LDFLAGS) -o $@ $< $(TESTS_HELPER) \
		-Wl,--start-group $(ARCHIVES) -Wl,--end-group $(TESTS_LIBS)

.PHONY: build-tests test soak test-deps new-test
build-tests: $(TESTS_BINS)

test-deps:
	$(Q)tools/install-deps.sh test

# A test that does not build is counted (ERROR), the others still run.
test: test-deps
	$(Q)$(MAKE) build-all
	$(Q)$(MAKE) -k build-tests || true
	$(Q)tests/run --build $(B) --scale $(TESTS_SCALE) '$(T)'

soak: test-deps
	$(Q)tools/install-deps.sh soak
	$(Q)$(MAKE) build-all
	$(Q)tests/run --build $(B) --scale $(TESTS_SCALE) --suites soak '$(T)'

new-test:
	$(Q)tools/new.sh test '$(NAME)'
