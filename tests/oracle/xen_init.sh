#!/bin/sh
# SPDX-License-Identifier: MIT
# The init of a dom0 on real Xen: runs every guest of /guests/list, one after
# the other, and sends home what each said on its console and how it ended.
export PATH=/bin:/usr/lib/xen-4.17/bin:/usr/bin:/usr/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /var/run/xenstored /var/log/xen/console /answers
mount -t devpts pts /dev/pts
# Xen's lines and ours are of interest, the kernel's are not.
dmesg -n 1
# shellcheck disable=SC1091
. /modules.list
mount -t xenfs xenfs /proc/xen

say() {
    echo "ORACLE $*" >/dev/console
}

# A daemon or a tool that must work.
must() {
    "$@" >/tmp/out 2>&1 || say "ERROR: $1: $(tail -n 3 /tmp/out)"
}

# running, shutdown or crash, by the letters of xl's state; nothing: gone.
state() {
    xl list "$1" 2>/dev/null | awk 'NR == 2 {
        print $5 ~ /c/ ? "crash" : $5 ~ /s/ ? "shutdown" : "running" }'
}

# A prompt is the only line that ends in a blank.
prompts() {
    [ "$(tail -c 2 "$1" 2>/dev/null)" = "> " ]
}

size() {
    wc -c <"$1" 2>/dev/null || echo 0
}

# Until the guest asks for more, it is over, or time is: true in the first
# case. Counts $seconds down.
wait_prompt() {
    while [ "$(state "$1")" = running ] && [ "$seconds" -gt 0 ]; do
        if prompts "$2" && [ "$(size "$2")" -gt "$3" ]; then
            return 0
        fi
        sleep 1
        seconds=$((seconds - 1))
    done
    return 1
}

type_at() {
    # shellcheck disable=SC2059 # it has escapes
    printf "$2" >"$(xenstore-read "/local/domain/$(xl domid "$1")/console/tty")"
}

disk_make() {
    [ "$1" != 0 ] || return 0
    dd if=/dev/zero of=/disk bs=1M count="$1" 2>/dev/null
    losetup /dev/loop0 /disk
}

run_guest() {
    name=$1 seconds=$2 typed=$4
    log=/var/log/xen/console/guest-$name.log
    disk_make "$3"
    xl create -q "/guests/$name.cfg" >/tmp/out 2>&1 ||
        say "ERROR: xl create $name: $(tail -n 3 /tmp/out)"
    if [ "$typed" = - ]; then
        wait_prompt "$name" /dev/null 1
    elif wait_prompt "$name" "$log" 0; then
        before=$(size "$log")
        type_at "$name" "$typed"
        wait_prompt "$name" "$log" $((before + 4))
    fi
    sleep 1 # the console daemon may have something left
    state "$name" >"/answers/$name.end"
    cp "$log" "/answers/$name.log"
    say "$name: $(cat "/answers/$name.end"), $(wc -l <"$log") lines"
    xl destroy "$name" 2>/dev/null
    [ "$3" = 0 ] || losetup -d /dev/loop0
}

say "dom0 is up after $(cut -d ' ' -f 1 /proc/uptime) s"
must xenstored
must xen-init-dom0
must xenconsoled --log=guest --log-dir=/var/log/xen/console
xl info xen_version | sed 's/^/ORACLE Xen /' >/dev/console
while read -r name seconds disk typed; do
    run_guest "$name" "$seconds" "$disk" "$typed" </dev/null
done </guests/list
xl dmesg >/answers/xen.dmesg
stty raw </dev/ttyS1
tar -C /answers -cf /dev/ttyS1 .
say end
poweroff -f
