#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that no input of the fuzzers' corpus breaks the store's wire, path
# parser, permission parser or ring: each is fed to its target, built without
# a fuzzer.
set -u
. "$KXEN_TOP/tests/lib.sh"

for target in wire path perm ring; do
    replay=$KXEN_BUILD/tests/fuzz/$target-replay
    [ -x "$replay" ] || broken "$replay was not built"
    "$replay" "$KXEN_TOP/tests/fuzz/corpus/$target"/* ||
        fail "$target: ended with status $? at the input named last"
done
