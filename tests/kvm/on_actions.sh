#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that on_poweroff, on_reboot and on_crash are obeyed: destroy, restart
# (a new domid, the same name and disk), preserve (kept, with its story, until
# it is destroyed) and rename-restart (kept under another name, its disk free
# for the copy).
set -u
. "$KXEN_TOP/tests/lib.sh"

host_start
image=$(make_image disk.img 4)
newer() { # NAME OLD: it runs under another id
    domid=$(kxl domid "$1" 2>/dev/null) && [ "$domid" != "$2" ]
}

create again shell "disk = [ \"$image,raw,xvda,w\" ]" 'on_poweroff = "restart"'
first=$domid
console_wait "$first" "$SHELL_READY"
kxl shutdown -w -t 20 again || fail "shutdown -w"
wait_for 10 newer again "$first" || fail "on_poweroff=restart: no new domain"
console_wait "$domid" "$SHELL_READY"
[ -z "$(store_read "/local/domain/$first/name")" ] || fail "the old one is left"
kxl destroy again || fail "destroy again"
gone_wait again

create kept badguest 'extra = "bad=ud2"' 'on_crash = "preserve"'
is_kept() { kxl info kept | grep -q 'c-* (preserved)'; }
wait_for 10 is_kept || fail "the crashed domain is not kept"
expect 0 'story' kxl info kept
expect 1 'kept for inspection' kxl pause kept
kxl destroy kept || fail "destroy kept"
gone_wait kept

create phoenix badguest "disk = [ \"$image,raw,xvda,w\" ]" \
    'extra = "bad=ud2"' 'on_crash = "rename-restart"'
wait_for 10 newer phoenix "$domid" || fail "rename-restart: no new domain"
kxl list | grep -q '^phoenix-1 ' || fail "rename-restart: the old one is gone"
kxl destroy phoenix || fail "destroy phoenix"
host_alive
