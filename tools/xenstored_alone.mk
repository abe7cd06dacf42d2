# SPDX-License-Identifier: MIT
# For kxbench only, not installed: Debian's xenstored without Xen.
build-all: $(B)/lib/bench/xenstored-alone.so
$(B)/lib/bench/xenstored-alone.so: $(call objs,tools/xenstored_alone.c)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -pthread $(LDFLAGS) -shared -o $@ $<
