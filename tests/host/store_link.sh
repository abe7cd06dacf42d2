#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that our libxenstore.so.4 is Debian's in shape: the same symbols with
# the same versions and the same SONAME; that a C program builds against it by
# pkg-config, runs on it, and runs unchanged on Debian's.
set -u
. "$KXEN_TOP/tests/lib.sh"

lib=$KXEN_BUILD/lib
debian=$(ldconfig -p | sed -n 's/.*libxenstore.so.4.* => //p' | head -n 1)
[ -n "$debian" ] || skip "Debian's libxenstore4 is missing"
[ -n "$SAN_FLAGS" ] && skip "a sanitizer's libxenstore.so.4 has symbols more"

symbols() {
    nm -D --defined-only "$1" | awk '$2 ~ /[TABDR]/ { print $3 }' | sort
}
soname() {
    readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'
}
diff <(symbols "$debian") <(symbols "$lib/libxenstore.so.4") ||
    fail "symbols or versions differ from those of $debian"
[ "$(symbols "$debian" | grep -c '^xs_')" -ge 37 ] ||
    broken "$debian has few symbols"
[ "$(soname "$debian")" = "$(soname "$lib/libxenstore.so.4")" ] ||
    fail "SONAME is $(soname "$lib/libxenstore.so.4")"

cat >"$KXEN_TEST_TMP/p.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <xenstore.h>

int main(void)
{
    struct xs_handle *xs = xs_open(0);
    unsigned int len = 0, n = 0;
    xs_transaction_t t;
    char *value, **list;

    if (!xs || !xs_write(xs, XBT_NULL, "/link/a", "hello", 5))
        return 1;
    t = xs_transaction_start(xs);
    value = xs_read(xs, t, "/link/a", &len);
    if (!value || !xs_transaction_end(xs, t, false))
        return 2;
    list = xs_directory(xs, XBT_NULL, "/link", &n);
    printf("%s %u %u %s\n", value, len, n, n ? list[0] : "");
    free(value);
    free(list);
    xs_close(xs);
    return 0;
}
END
export PKG_CONFIG_PATH=$lib/pkgconfig
[ "$(pkg-config --variable=libdir xenstore)" -ef "$lib" ] ||
    fail "pkg-config finds another xenstore than $lib/pkgconfig/xenstore.pc"
# shellcheck disable=SC2046
gcc -Wall -Werror -o "$KXEN_TEST_TMP/p" "$KXEN_TEST_TMP/p.c" \
    $(pkg-config --cflags --libs xenstore) || fail "the program does not build"
host_start kxenstored
export XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket
for dir in "$lib" "$(dirname "$debian")"; do
    out=$(LD_LIBRARY_PATH=$dir "$KXEN_TEST_TMP/p") ||
        fail "with $dir the program ended with status $?"
    [ "$out" = "hello 5 1 a" ] || fail "with $dir the program said '$out'"
done
host_alive
