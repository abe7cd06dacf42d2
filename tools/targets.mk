# SPDX-License-Identifier: MIT
# What is done with what was built.

INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
INSTALL_LIB := $(DESTDIR)$(PREFIX)/lib
INSTALL_INC := $(DESTDIR)$(PREFIX)/include
INSTALL_DOC := $(DESTDIR)$(PREFIX)/share/doc/kxen

.PHONY: check install demo new-driver
check:
	$(Q)tools/install-deps.sh check
	$(Q)CC='$(CC)' HOST_CFLAGS='$(HOST_CFLAGS)' \
		GUEST_CFLAGS='$(GUEST_CFLAGS)' tools/check.sh

# The libraries that stand in for Xen's own go to a folder of ours: programs
# use them when LD_LIBRARY_PATH says so, and the system's stay as they are.
install: all
	$(Q)mkdir -p $(INSTALL_BIN) $(INSTALL_LIB)/kxen/guests $(INSTALL_INC) \
		$(INSTALL_LIB)/kxen/pkgconfig $(INSTALL_DOC)
	$(Q)cp $(PROGRAMS) $(INSTALL_BIN)/
	$(Q)cp $(B)/lib/libkxen.a $(INSTALL_LIB)/
	$(Q)for so in $(B)/lib/*.so*; do [ ! -e $$so ] || \
		cp -P $$so $(INSTALL_LIB)/kxen/; done
	$(Q)cp $(B)/lib/pkgconfig/*.pc $(INSTALL_LIB)/kxen/pkgconfig/
	$(Q)cp $(IMAGES) $(INSTALL_LIB)/kxen/guests/
	$(Q)cp hv/client/kxen.h $(INSTALL_INC)/
	$(Q)cp README.md LICENSE $(INSTALL_DOC)/
	@echo "installed in $(DESTDIR)$(PREFIX)"

demo: all
	$(Q)KXEN_BUILD='$(B)' tools/demo.sh

new-driver:
	$(Q)tools/new.sh driver '$(NAME)'
