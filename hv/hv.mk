# SPDX-License-Identifier: MIT
# hv: the hypervisor process, and the client library to reach it.

hv_MON  := hv/pv/monitor_c.c hv/pv/monitor_mm.c
hv_SRCS := $(filter-out hv/main.c $(hv_MON),\
	$(wildcard hv/*.c hv/pv/*.c hv/trapped/*.c))
hv_ASM  := hv/pv/monitor.S hv/probe_code.S

$(eval $(call archive,hv,$(call objs,$(hv_SRCS) $(hv_ASM))))
$(eval $(call archive,kxen,$(call objs,$(wildcard hv/client/*.c))))
$(eval $(call program,hv,$(call objs,hv/main.c),hv kxen,-lurcu -luring -ljansson))

# The monitor's C becomes assembly that monitor.S includes, so that all of it
# is one section, moved as a whole.  Nothing of it may land elsewhere.
hv_MON_CFLAGS := -std=gnu11 -O2 -fpie -ffreestanding -mgeneral-regs-only \
	-mno-red-zone -fno-jump-tables -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-tree-loop-distribute-patterns -fno-reorder-functions \
	-fno-strict-aliasing $(WARN) -I. -Ihv/include

hv_MON_S := $(patsubst hv/pv/%.c,$(B)/gen/hv/%.s,$(hv_MON))

# Their local labels are told apart by the file's name.
$(hv_MON_S): $(B)/gen/hv/%.s: hv/pv/%.c hv/pv/monitor_c.h \
		hv/include/kxen/monitor.h
	@mkdir -p $(@D)
	$(call say,MON,$<)$(CC) $(hv_MON_CFLAGS) -S -o $@.tmp $< && \
	if grep -E '^\s*\.(data|bss|section\s+\.(rodata|data|bss))' $@.tmp; then \
		echo "$<: static data in the monitor" >&2; exit 1; fi && \
	sed 's/^\s*\.text$$/\t.section .monitor/; s/\.L/.L$*_/g' $@.tmp >$@ && \
	rm $@.tmp

$(B)/obj/hv/pv/monitor.o: $(hv_MON_S)
$(B)/obj/hv/pv/monitor.o: HOST_CFLAGS += -Wa,-I$(B)/gen
