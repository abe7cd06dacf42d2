#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that domain 0 can have as many event channels as many domains with
# many devices need: 16,000 on one handle of Xen's libxenevtchn, each of which
# hears its own event; then their process is killed, and another has them.
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start hv
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] || [ "$limit" -ge 17000 ] ||
    skip "a process may have $limit files open here, 17,000 are needed"
ulimit -n "$limit"
cat >"$KXEN_TEST_TMP/p.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenevtchn.h>

#define PAIRS 8000

/* Domain 0 waits for itself, and comes: two ports a turn. */
int main(int argc, char **argv)
{
    xenevtchn_handle *h = xenevtchn_open(NULL, 0);
    static int there[PAIRS], here[PAIRS];
    long sum = 0, heard = 0;

    if (!h)
        return 1;
    for (int i = 0; i < PAIRS; i++) {
        there[i] = xenevtchn_bind_unbound_port(h, 0);
        here[i] = there[i] < 0 ? -1
                               : xenevtchn_bind_interdomain(h, 0, there[i]);
        if (here[i] < 0) {
            perror("bind");
            printf("pair %d\n", i);
            return 1;
        }
        xenevtchn_pending(h); /* the bind's own event */
        xenevtchn_unmask(h, here[i]);
    }
    for (int i = 0; i < PAIRS; i++) {
        if (xenevtchn_notify(h, here[i]))
            return 2;
        sum += there[i];
    }
    for (int i = 0; i < PAIRS; i++) {
        int p = xenevtchn_pending(h);

        heard += p;
        xenevtchn_unmask(h, p);
    }
    printf("%s\n", sum == heard ? "all heard" : "some are missing");
    fflush(stdout);
    if (argc > 1)
        pause();
    xenevtchn_close(h);
    return sum != heard;
}
END
gcc -o "$KXEN_TEST_TMP/p" "$KXEN_TEST_TMP/p.c" "$KXEN_BUILD/lib/libkxen.a" \
    -pthread $SAN_FLAGS || broken "the program does not build"

"$KXEN_TEST_TMP/p" stay >"$KXEN_TEST_TMP/out" &
first=$!
HELPERS+=("$first")
wait_for 40 grep -q . "$KXEN_TEST_TMP/out"
cat "$KXEN_TEST_TMP/out"
grep -q 'all heard' "$KXEN_TEST_TMP/out" || fail "the first process failed"
kill -KILL "$first"
wait "$first" 2>/dev/null
expect 0 'all heard' "$KXEN_TEST_TMP/p"
host_alive
