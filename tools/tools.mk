# SPDX-License-Identifier: MIT
KXL_OBJS := $(call objs,tools/kxl.c $(wildcard tools/kxl/*.c))
$(eval $(call program,kxl,$(KXL_OBJS),dom0 backends kxen,-ljansson -lz -llzma -lzstd -llz4))
