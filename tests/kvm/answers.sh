#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that Kxen answers as Xen does: over a thousand questions of the guest
# `answers`, right and wrong ones, each get what real Xen said to the same image
# (tests/oracle/answers.txt, which tests/soak/real_xen.sh makes), but for the
# differences that are listed with their reasons in tests/oracle/differences.txt.
set -u
. "$KXEN_TOP/tests/lib.sh"

cfg=$(write_cfg answers answers 'vcpus = 2')
kxl run "$cfg" </dev/null >"$KXEN_TEST_TMP/answers" || {
    tail -n 3 "$KXEN_TEST_TMP/answers"
    fail "the guest ended with status $?"
}
grep -q '^answers: done' "$KXEN_TEST_TMP/answers" || fail "no last line"
oracle=$KXEN_TOP/tests/oracle
python3 "$oracle/answers.py" "$oracle/answers.txt" "$oracle/differences.txt" \
    "$KXEN_TEST_TMP/answers" || fail "answers that are not Xen's, nor listed"
