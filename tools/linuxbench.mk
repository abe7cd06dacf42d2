# SPDX-License-Identifier: MIT
# For kxbench linux: the program it runs in every Linux, static and without
# sanitizers, since in a guest nothing else is there; and what fetches one.
build-all: $(B)/lib/bench/linuxbench $(B)/lib/bench/debian.sh
$(B)/lib/bench/linuxbench: tools/linuxbench.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -std=gnu11 -O2 -g -D_GNU_SOURCE $(WARN) -static \
		-o $@ $<

$(B)/lib/bench/debian.sh: tools/debian.sh
	@mkdir -p $(@D)
	$(Q)install -m 755 $< $@
