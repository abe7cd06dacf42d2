# SPDX-License-Identifier: MIT
DOM0_OBJS := $(call objs,$(filter-out dom0/main.c,$(wildcard dom0/*.c)))
$(eval $(call archive,dom0,$(DOM0_OBJS)))
$(eval $(call program,dom0,$(call objs,dom0/main.c),\
	dom0 backends kxen xenstore,-ljansson -luring -lz -ldl -lm -lpthread))
