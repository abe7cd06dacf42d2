# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The programs of tests/linux/user in a Linux guest.  Source after
# tests/linux.sh.
#
#   linux_user VCPUS PROGRAM...   runs them; each of their cases counts

# Name, and how it is built; the 32-bit one has no library.
user_build() {
    local name=$1 src=$KXEN_TOP/tests/linux/user/$1.c out=$KXEN_TEST_TMP/$1
    case $name in
    *32) gcc -m32 -O1 -ffreestanding -nostdlib -static -fno-pic -no-pie \
        -fno-stack-protector -o "$out" "$src" ;;
    *) gcc -O2 -static -pthread -o "$out" "$src" ;;
    esac || skip "the compiler here makes no static $name"
    echo "$out"
}

# The guest's lines "REALTIME seconds.ns", as they come, against our clock.
user_watch_clock() {
    python3 -u -c '
import sys, time
for line in sys.stdin.buffer:
    line = line.decode("utf-8", "replace").replace("\r", "")
    sys.stdout.write(line)
    if line.startswith("REALTIME "):
        print(f"# guest is behind by {time.time() - float(line[9:]):.3f} s",
              flush=True)'
}

linux_user() {
    local kernel initramfs script='cd /tmp' programs=() name path cfg
    local log=$KXEN_TEST_TMP/log vcpus=$1
    shift
    kernel=$(linux_kernel cloud-amd64) || { rc=$?; echo "$kernel"; exit $rc; }
    for name; do
        path=$(user_build "$name") || { rc=$?; echo "$path"; exit $rc; }
        programs+=("$path")
        script+="; echo; echo '# $name'; $name"
    done
    initramfs=$(make_initramfs "$script
echo; echo 'programs done'
dmesg | grep -E 'BUG:|WARNING:|Oops|Call Trace|lockup|stall'" \
        "${programs[@]}") || { rc=$?; echo "$initramfs"; exit $rc; }
    cfg=$(write_cfg linux "$kernel" "ramdisk = \"$initramfs\"" 'memory = 512' \
        "vcpus = $vcpus" 'extra = "console=hvc0 loglevel=3 panic=1"' \
        'on_crash = "destroy"')
    timeout -k 5 $((200 * SCALE)) "$BIN/kxl" run "$cfg" </dev/null 2>&1 |
        user_watch_clock | tee "$log"
    grep -q '^programs done' "$log" || fail "not all programs ended"
    linux_check_log "$log"
    [[ " $* " == *' clocks '* ]] || return 0
    # One line in a busy console may be late, but not early, nor by much.
    awk '/^# guest is behind by/ { n++; if ($6 < -0.05 || $6 > 5) bad = 1 }
         END { exit bad || n < 2 }' "$log" ||
        fail "the guest has another time than the host"
}
