# SPDX-License-Identifier: MIT
# The store: its core, the daemon, libxenstore and the client tool.

xenstore_CORE := $(wildcard xenstore/core/*.c) \
	$(filter-out xenstore/daemon/main.c,$(wildcard xenstore/daemon/*.c))
xenstore_LIB := $(call objs,$(wildcard xenstore/lib/*.c))

$(eval $(call archive,xenstorecore,$(call objs,$(xenstore_CORE))))
$(eval $(call program,kxenstored,$(call objs,xenstore/daemon/main.c),\
	xenstorecore kxen,-lurcu -ljansson))

# libxenstore, with upstream's name, symbols and version.
$(eval $(call archive,xenstore,$(xenstore_LIB)))

SHLIBS += $(B)/lib/libxenstore.so.4 $(B)/lib/libxenstore.so
$(B)/lib/libxenstore.so.4: $(xenstore_LIB) xenstore/lib/libxenstore.map
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(HOST_LDFLAGS) -shared -o $@ $(xenstore_LIB) \
		-Wl,-soname,libxenstore.so.4 \
		-Wl,--version-script=xenstore/lib/libxenstore.map

$(B)/lib/libxenstore.so: $(B)/lib/libxenstore.so.4
	$(call say,LN,$@)ln -sf libxenstore.so.4 $@

# Found from where it stands, in the build tree as after make install; the
# header is libxen-dev's.
SHLIBS += $(B)/lib/pkgconfig/xenstore.pc
$(B)/lib/pkgconfig/xenstore.pc: xenstore/lib/xenstore.pc
	@mkdir -p $(@D)
	$(call say,CP,$@)cp $< $@

# The client uses the shared library, ours or the one LD_LIBRARY_PATH names.
PROGRAMS += $(B)/bin/kxenstore
xenstore_CLIENT := $(call objs,$(wildcard xenstore/client/*.c))
$(B)/bin/kxenstore: $(xenstore_CLIENT) $(B)/lib/libxenstore.so
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(HOST_LDFLAGS) -o $@ $(xenstore_CLIENT) \
		-L$(B)/lib -lxenstore -ljansson \
		-Wl,-rpath,'$$ORIGIN/../lib:$$ORIGIN/../lib/kxen'
