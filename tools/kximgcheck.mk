# SPDX-License-Identifier: MIT
$(eval $(call program,kximgcheck,$(call objs,tools/kximgcheck.c),front,))
