#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that ten minutes of fuzzing find nothing in each of the store's wire,
# paths, permissions and ring (FUZZ_SECONDS shortens it).
# timeout: 5400
set -u
. "$KXEN_TOP/tests/lib.sh"

command -v clang >/dev/null ||
    skip "no clang on this machine: apt-get install clang"
make -C "$KXEN_TOP" B="$KXEN_BUILD" fuzz-targets ||
    broken "the fuzz targets do not build"
for target in wire path perm ring; do
    found=$KXEN_TEST_TMP/$target
    mkdir "$found"
    echo "--- $target"
    "$KXEN_BUILD/tests/fuzz/$target" -max_total_time="${FUZZ_SECONDS:-600}" \
        -max_len="$([ "$target" = ring ] && echo 1024 || echo 8192)" -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$KXEN_BUILD/test-logs/$target-" \
        "$found" "$KXEN_TOP/tests/fuzz/corpus/$target" \
        >"$KXEN_TEST_TMP/log" 2>&1
    status=$?
    tail -n 25 "$KXEN_TEST_TMP/log"
    [ $status = 0 ] ||
        fail "$target: status $status; the input is in build/test-logs"
done
