# SPDX-License-Identifier: MIT
KXL_OBJS := $(call objs,tools/kxl.c $(wildcard tools/kxl/*.c))
$(eval $(call program,kxl,$(KXL_OBJS),dom0 backends kxen,$(DOM0_LIBS) -llzma -lzstd -llz4))
