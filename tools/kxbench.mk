# SPDX-License-Identifier: MIT
KXBENCH_OBJS := $(call objs,$(wildcard tools/kxbench*.c))
$(eval $(call program,kxbench,$(KXBENCH_OBJS),kxen xenstore,\
	-ljansson -luring -lm))
