#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the runner counts: a passing, a failing, a broken, a skipped, a
# slow and a littering test each end under their own word, the last line sums
# them up, and the exit status says whether all is well.
set -u
scratch=$KXEN_TEST_TMP/top
mkdir -p "$scratch/tests/host" || exit 99
cp "$KXEN_TOP/tests/run" "$scratch/tests/run" || exit 99
cd "$scratch" || exit 99

try() { env -u KXEN_TEST_TAG tests/run --build build --suites host "$@" 2>&1; }
want() {
    grep -qE -- "$1" <<<"$out" && return
    printf '%s\n' "$out"
    echo "FAILURE: no line like '$1'"
    exit 1
}

echo 'exit 0' >tests/host/good.sh
out=$(try) || { echo "FAILURE: status $? though all passed"; exit 1; }
want '^1 passed, 0 failed, 0 skipped$'

echo 'exit 1' >tests/host/bad.sh
echo 'exit 99' >tests/host/broken.sh
echo 'echo "SKIP: no moon"; exit 77' >tests/host/skipped.sh
printf '# timeout: 1\nsleep 30\n' >tests/host/slow.sh
echo 'setsid sleep 30 & sleep 0.3; exit 0' >tests/host/litter.sh
out=$(try) && { echo "FAILURE: status 0 though tests failed"; exit 1; }
want '^SUCCESS +host/good'
want '^FAILURE +host/bad: ended with status 1'
want '^ERROR +host/broken'
want '^SKIP +host/skipped: no moon$'
want '^FAILURE +host/slow: over 1 s$'
want '^ERROR +host/litter: .*sleep'
[ "$(tail -n 1 <<<"$out")" = "2 passed, 4 failed, 1 skipped" ] ||
    { printf '%s\n' "$out"; echo "FAILURE: wrong last line"; exit 1; }

out=$(try no-such-test) && { echo "FAILURE: no test is no success"; exit 1; }
want "no test matches 'no-such-test'"
exit 0
