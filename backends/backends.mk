# SPDX-License-Identifier: MIT
# Backends register themselves in a linker section, which an archive would
# leave out: programs that run them link backends_OBJS.  libbackends.a holds
# the same objects, for tests and for kxl (the attach client).

backends_OBJS := $(call objs,$(wildcard backends/*.c))
backends_LIBS := -luring -ljansson

$(eval $(call archive,backends,$(backends_OBJS)))
