#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that `make new-driver NAME=x` and `make new-test NAME=x` start from
# something that builds, refuse a name that is taken or no name at all, and say
# so.  Works on a copy of the tree.
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

tree=$KXEN_TEST_TMP/tree
mkdir "$tree" || broken "no room"
(cd "$KXEN_TOP" && tar -cf - --exclude='./build*' --exclude=./.git .) |
    tar -xf - -C "$tree" || broken "cannot copy the tree"
build() {
    make -C "$tree" --no-print-directory B="$KXEN_TEST_TMP/b" "$@"
}

expect 0 'made backends/probe.c' build new-driver NAME=probe
build "$KXEN_TEST_TMP/b/obj/backends/probe.o" ||
    fail "the new driver does not compile"
grep -qi echo "$tree/backends/probe.c" "$tree/backends/probe.h" &&
    fail "the new driver still speaks of echo"
expect 2 'probe.c is there already' build new-driver NAME=probe
expect 2 'NAME is' build new-driver
expect 2 "NAME is '../x'" build new-driver NAME=../x

expect 0 'made tests/kvm/probe.sh' build new-test NAME=probe
bash -n "$tree/tests/kvm/probe.sh" || fail "the new test is not a script"
expect 2 'probe.sh is there already' build new-test NAME=probe
