# SPDX-License-Identifier: MIT
# What is done with what was built.

INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
INSTALL_EXEC := $(DESTDIR)$(PREFIX)/libexec/kxen
INSTALL_LIB := $(DESTDIR)$(PREFIX)/lib
INSTALL_INC := $(DESTDIR)$(PREFIX)/include
INSTALL_DOC := $(DESTDIR)$(PREFIX)/share/doc/kxen
INSTALL_BASH := $(DESTDIR)$(PREFIX)/share/bash-completion/completions

INSTALL_OWN := $(B)/bin/hv $(B)/bin/dom0

.PHONY: check install demo new-driver
check:
	$(Q)tools/install-deps.sh check
	$(Q)CC='$(CC)' HOST_CFLAGS='$(HOST_CFLAGS)' \
		GUEST_CFLAGS='$(GUEST_CFLAGS)' tools/check.sh

# hv and dom0, which kxl runs for people, go to a folder of ours: their names
# say too little for everybody's bin.
#
# The libraries that stand in for Xen's own go to a folder of ours: programs
# use them when LD_LIBRARY_PATH says so, and the system's stay as they are.
install: all
	$(Q)mkdir -p $(INSTALL_BIN) $(INSTALL_EXEC) $(INSTALL_INC) \
		$(INSTALL_LIB)/kxen/guests $(INSTALL_LIB)/kxen/pkgconfig \
		$(INSTALL_DOC) $(INSTALL_BASH)
	$(Q)cp $(filter-out $(INSTALL_OWN),$(PROGRAMS)) $(INSTALL_BIN)/
	$(Q)cp $(INSTALL_OWN) $(INSTALL_EXEC)/
	$(Q)cp $(B)/lib/libkxen.a $(INSTALL_LIB)/
	$(Q)for so in $(B)/lib/*.so*; do [ ! -e $$so ] || \
		cp -P $$so $(INSTALL_LIB)/kxen/; done
	$(Q)cp $(B)/lib/pkgconfig/*.pc $(INSTALL_LIB)/kxen/pkgconfig/
	$(Q)cp $(IMAGES) $(INSTALL_LIB)/kxen/guests/
	$(Q)mkdir -p $(INSTALL_LIB)/kxen/bench
	$(Q)cp $(B)/lib/bench/linuxbench $(B)/lib/bench/debian.sh \
		$(INSTALL_LIB)/kxen/bench/
	$(Q)cp hv/client/kxen.h $(INSTALL_INC)/
	$(Q)cp tools/kxl.bash $(INSTALL_BASH)/kxl
	$(Q)cp README.md LICENSE $(INSTALL_DOC)/
	@echo "installed in $(DESTDIR)$(PREFIX)"

demo: all
	$(Q)KXEN_BUILD='$(B)' tools/demo.sh

new-driver:
	$(Q)tools/new.sh driver '$(NAME)'
