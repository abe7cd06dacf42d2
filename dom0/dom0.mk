# SPDX-License-Identifier: MIT
# dom0: the toolstack, with the backends in it.  libdom0.a is for tests, and
# for kxl, which reads configurations with it.

DOM0_OBJS := $(call objs,$(filter-out dom0/main.c,$(wildcard dom0/*.c)))
DOM0_LIBS := -ljansson -lz -llzma -lzstd -llz4
$(eval $(call archive,dom0,$(DOM0_OBJS)))
$(eval $(call program,dom0,$(call objs,dom0/main.c) $(backends_OBJS),\
	dom0 kxen xenstore,$(DOM0_LIBS) -luring -ldl))
