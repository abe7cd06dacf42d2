#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kximgcheck, which the guest tests trust, tells a good image from
# one with a flipped bit, a sector in the wrong place, another seed or nothing
# in it.
set -u
. "$KXEN_TOP/tests/lib.sh"

cat >"$KXEN_TEST_TMP/fill.c" <<'END'
#include <stdio.h>
#include "frontends/include/lib.h"
int main(void)
{
    static unsigned char s[512] __attribute__((aligned(8)));
    for (unsigned i = 0; i < 64; i++) {
        pattern_fill(s, 7, i, 1 + i % 3);
        fwrite(s, 512, 1, stdout);
    }
    return 0;
}
END
# shellcheck disable=SC2086
gcc -I "$KXEN_TOP" -o "$KXEN_TEST_TMP/fill" "$KXEN_TEST_TMP/fill.c" \
    "$KXEN_BUILD/lib/libfront.a" $SAN_FLAGS || broken "cannot build the filler"
good=$KXEN_TEST_TMP/good.img
"$KXEN_TEST_TMP/fill" >"$good"
head -c 5120 /dev/zero >>"$good"

expect 0 '^64 sectors .*rounds 1 to 3.* 0 are wrong, 10 hold' \
    "$BIN/kximgcheck" "$good" 7
expect 2 'expected at least 65' "$BIN/kximgcheck" "$good" 7 65
expect 2 ' 64 are wrong' "$BIN/kximgcheck" "$good" 8
cp "$good" "$KXEN_TEST_TMP/flip.img"
printf '\377' | dd of="$KXEN_TEST_TMP/flip.img" bs=1 seek=5000 conv=notrunc \
    status=none
expect 2 'sector 9: ' "$BIN/kximgcheck" "$KXEN_TEST_TMP/flip.img" 7
dd if="$good" of="$KXEN_TEST_TMP/moved.img" bs=512 skip=1 status=none
expect 2 "sector 0: another sector's contents" \
    "$BIN/kximgcheck" "$KXEN_TEST_TMP/moved.img" 7
head -c 8192 /dev/zero >"$KXEN_TEST_TMP/zero.img"
expect 2 'expected at least 1' "$BIN/kximgcheck" "$KXEN_TEST_TMP/zero.img" 7
expect 1 'No such file' "$BIN/kximgcheck" "$KXEN_TEST_TMP/none.img" 7
expect 1 "expected a number, found 'x'" "$BIN/kximgcheck" "$good" x
