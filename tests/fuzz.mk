# SPDX-License-Identifier: MIT
# The store's fuzz targets: tests/fuzz/<name>.c.
#
#   build/tests/fuzz/<name>-replay   by gcc, fed with the corpus in make test
#   build/tests/fuzz/<name>          by clang with libFuzzer (make fuzz-targets)

FUZZ_NAMES  := wire path perm ring
FUZZ_REPLAY := $(FUZZ_NAMES:%=$(B)/tests/fuzz/%-replay)
FUZZ_BINS   := $(FUZZ_NAMES:%=$(B)/tests/fuzz/%)
FUZZ_CORE   := $(wildcard xenstore/core/*.c)
FUZZ_CC     := clang
FUZZ_CFLAGS := -std=gnu11 -O1 -g -pthread -D_GNU_SOURCE -D__XEN_TOOLS__=1 \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer -I. -Ihv/include

$(FUZZ_REPLAY): $(B)/tests/fuzz/%-replay: $(B)/obj/tests/fuzz/%.o \
		$(B)/obj/tests/fuzz/replay.o $(call objs,$(FUZZ_CORE))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(HOST_LDFLAGS) -o $@ $^ -lurcu

$(FUZZ_BINS): $(B)/tests/fuzz/%: tests/fuzz/%.c tests/fuzz/fuzz.h \
		$(FUZZ_CORE) $(wildcard xenstore/core/*.h)
	@mkdir -p $(@D)
	$(call say,CLANG,$@)$(FUZZ_CC) $(FUZZ_CFLAGS) -o $@ $(filter %.c,$^) -lurcu

.PHONY: fuzz-targets
build-tests: $(FUZZ_REPLAY)
fuzz-targets: $(FUZZ_BINS)
