#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that nothing a guest did in the store is lost or done twice when
# kxenstored is killed, twenty times, amid the guest's transactions: its watch,
# open transactions and half-read requests go on with the next one.
# timeout: 120
set -u
. "$KXEN_TOP/tests/lib.sh"

kill_store_under_load 20
