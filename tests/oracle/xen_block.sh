#!/bin/sh
# SPDX-License-Identifier: MIT
# xl's hotplug script for a disk that is a block device already: says which
# one to the driver.
set -e
dev=$(xenstore-read "$XENBUS_PATH/params")
case ${1:-} in
add)
    xenstore-write "$XENBUS_PATH/physical-device" \
        "$(printf '%x:%x' "0x$(stat -L -c %t "$dev")" "0x$(stat -L -c %T "$dev")")" \
        "$XENBUS_PATH/hotplug-status" connected
    ;;
esac
