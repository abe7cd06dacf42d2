# SPDX-License-Identifier: MIT
# The small guest kernel with its drivers, and a guest image per folder in
# guests/. libfront.a is its Xen-free part, for the unit tests.

FRONT_LIB    := $(addprefix frontends/,format.c parse.c bytering.c pattern.c \
	stats.c gnttab_state.c)
FRONT_KERNEL := $(wildcard frontends/*.c frontends/*.S frontends/trapped/*.c)
FRONT_GUESTS := $(notdir $(patsubst %/,%,$(wildcard frontends/guests/*/)))
FRONT_OBJS   := $(call gobjs,$(FRONT_KERNEL))
FRONT_IMAGES := $(FRONT_GUESTS:%=$(B)/lib/guests/%.elf)

IMAGES += $(FRONT_IMAGES)

$(eval $(call archive,front,$(call objs,$(FRONT_LIB))))

# $(1): guest name
define front_guest
$(B)/lib/guests/$(1).elf: $(FRONT_OBJS) frontends/kernel.ld \
		$(call gobjs,$(wildcard frontends/guests/$(1)/*.c))
	@mkdir -p $$(@D)
	$(call say,LD,$$@)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none \
		-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
		-T frontends/kernel.ld -o $$@ $$(filter %.o,$$^)
endef
$(foreach g,$(FRONT_GUESTS),$(eval $(call front_guest,$(g))))
