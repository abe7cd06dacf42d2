# SPDX-License-Identifier: MIT
# hv: the hypervisor process, and the client library to reach it.

hv_SRCS := $(filter-out hv/main.c,$(wildcard hv/*.c hv/pv/*.c hv/trapped/*.c))
hv_ASM  := hv/pv/monitor.S hv/probe_code.S

$(eval $(call archive,hv,$(call objs,$(hv_SRCS) $(hv_ASM))))
$(eval $(call archive,kxen,$(call objs,$(wildcard hv/client/*.c))))
$(eval $(call program,hv,$(call objs,hv/main.c),hv kxen,-lurcu -luring -ljansson))
