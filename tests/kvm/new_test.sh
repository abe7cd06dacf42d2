#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that the test which `make new-test` starts from passes as it is.
set -u
. "$KXEN_TOP/tests/lib.sh"

sed 's/@NAME@/fresh/g' "$KXEN_TOP/tools/templates/test.sh" \
    >"$KXEN_TEST_TMP/fresh.sh" || broken "no template"
script=$KXEN_TEST_TMP/fresh.sh
mkdir "$KXEN_TEST_TMP/fresh" || broken "no room"
export KXEN_TEST_TMP=$KXEN_TEST_TMP/fresh
bash "$script" || fail "the template does not pass"
