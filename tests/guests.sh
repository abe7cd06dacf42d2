# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What tests do with our guests: how each is told what to do, and what it says.
# tests/lib.sh sources this.

# shellcheck disable=SC2034
SHELL_READY='^kxen> '
# shellcheck disable=SC2034
VERIFY_ROUND='round [0-9]+'
VERIFY_DONE='verify: .*OK'
VERIFY_BAD='verify: .*(FAIL|[, ][1-9][0-9]* error)'

# The verifier's command line; words given later win.
verify_args() {
    local seed=7 rounds=2 word
    for word; do
        case $word in
        seed=*) seed=${word#*=} ;;
        rounds=*) rounds=${word#*=} ;;
        esac
    done
    echo "seed=$seed rounds=$rounds"
}

# IMAGE SEED ROUND: the host's own look at what the guest wrote.
image_check() {
    "$BIN/kximgcheck" "$@" || fail "the host does not find in $1 what the guest wrote"
}

# NAME IMAGE DEVICES: boots the verifier on it, to the end, and looks after it.
verify_run() {
    local cfg
    cfg=$(write_cfg "$1" verify "$3" "extra = \"$(verify_args)\"")
    expect 0 "$VERIFY_DONE" kxl run "$cfg"
    image_check "$2" 7
}

# A socket gets beginnings of messages and junk; some clients stay connected
# while the next ones come, all are gone in the end.
half_messages() {
    python3 - "$1" <<'END'
import os, socket, struct, sys, time
pieces = [
    b"", b"\0", b"\1\2\3", b"{", b'{"cmd": "li', b"}{\n", b"\n\n\n",
    b'{"cmd": 7}\n', b"[" * 5000 + b"\n", b"x" * 100000,
    struct.pack("<IIII", 2, 1, 0, 100) + b"/local", struct.pack("<III", 2, 1, 0),
    struct.pack("<IIII", 2, 1, 0, 0xffffffff), struct.pack("<IIII", 0xffff, 1, 2, 4),
    struct.pack("<IIII", 11, 1, 0, 5) + b"no-nl", os.urandom(64), os.urandom(4096),
]
stay = []
for piece in pieces:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(sys.argv[1])
    except OSError:  # hv's keeps messages apart
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(sys.argv[1])
    s.settimeout(2)
    try:
        s.sendall(piece)
    except OSError:
        pass  # hung up on: that is an answer
    stay.append(s) if len(stay) < 6 else s.close()
time.sleep(0.2)
for s in stay:
    s.close()
END
}

# WHAT SAYS LOG: the hostile guest does that, and its console SAYS so; a line
# about it in some daemon's log matches LOG (none is asked for if that is
# empty); a bystander's disk goes on, destroy works at once.
hostile() {
    local what=$1 says=$2 text=$3 image bad good
    host_start
    image=$(make_image good.img 4)
    create good verify "disk = [ \"$image,raw,xvda,w\" ]" \
        "extra = \"$(verify_args rounds=0)\""
    good=$domid
    image=$(make_image bad.img 4)
    create bad badguest "disk = [ \"$image,raw,xvda,w\" ]" \
        "extra = \"bad=$what\"" 'on_crash = "preserve"' \
        'on_poweroff = "preserve"'
    bad=$domid
    console_wait "$bad" "$says"
    [ -z "$text" ] || wait_for 15 log_says "$bad" "$text" ||
        fail "no daemon said '$text' about domain $bad"
    still_verifies "$good"
    kxl list
    destroy_at_once bad
    still_verifies "$good"
    create after hello
    console_wait "$domid" '[Hh]ello'
    host_alive
}

# NAME SAYS LOG [ARGUMENT...]: that deed of a kernel on two vCPUs, beside
# whatever runs. Its console SAYS so, or it is crashed if that is empty; hv's
# log about it matches LOG. Then it is destroyed.
bad_kernel() {
    local what=$1 says=$2 text=$3
    shift 3
    create "bad-$what" badguest "extra = \"bad=$what $*\"" 'vcpus = 2' \
        'on_crash = "preserve"' 'on_poweroff = "preserve"'
    if [ -n "$says" ]; then
        console_wait "$domid" "$says" 30
    else
        wait_for 30 log_says "$domid" "crashed: .*$text" ||
            fail "domain $domid ($what) did not crash with '$text'"
    fi
    [ -z "$text" ] || wait_for 5 log_says "$domid" "$text" ||
        fail "hv did not say '$text' about domain $domid ($what)"
    destroy_at_once "bad-$what"
}

# A host and a domain that verifies its disk, for bad_kernel; at the end
# bystander_is_well.
bystander_start() {
    host_start
    create good verify "disk = [ \"$(make_image good.img 4),raw,xvda,w\" ]" \
        "extra = \"$(verify_args rounds=0)\""
    bystander=$domid
}

bystander_is_well() {
    still_verifies "$bystander"
    host_alive
}

log_says() {
    grep -hE "\\bd$1\\b|domain $1\\b|\\($1\\)" "$KXEN_RUN_DIR"/{hv,kxenstored,dom0}.log |
        grep -qE -- "$2"
}

destroy_at_once() {
    local start=$SECONDS
    kxl destroy "$1" || fail "kxl destroy $1"
    gone_wait "$1" 5
    [ $((SECONDS - start)) -le $((5 * SCALE)) ] || fail "destroy was slow"
}

# DOMID: its verifier finishes further rounds, and found nothing wrong.
still_verifies() {
    local log
    log=$(console_file "$1")
    local before
    before=$(grep -cE "$VERIFY_ROUND" "$log")
    more_rounds() { [ "$(grep -cE "$VERIFY_ROUND" "$log")" -gt "$before" ]; }
    wait_for 30 more_rounds || fail "domain $1 verifies no further"
    ! grep -qE "$VERIFY_BAD" "$log" || fail "domain $1 found bad data"
}

# FILE DOMID...: counts writes to the state nodes of their disks, both ends.
watch_states() {
    local file=$1 id end
    shift
    : >"$file"
    for id; do
        for end in 0/backend/vbd/$id "$id/device/vbd"; do
            XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket xenstore-watch \
                "/local/domain/$end/51712/state" >>"$file" &
            HELPERS+=($!)
        done
    done
    # Each watch fires once when it is set.
    watches_set() { [ "$(wc -l <"$file")" = $((2 * $#)) ]; }
    wait_for 10 watches_set "$@" || broken "the watches do not fire"
}

# KILLS DOMAINS
kill_dom0_under_io() {
    local kills=$1 domains=$2 n image
    local -A ids=()
    host_start
    for ((n = 1; n <= domains; n++)); do
        image=$(make_image "disk$n.img" 8)
        create "steady$n" verify "disk = [ \"$image,raw,xvda,w\" ]" \
            "extra = \"$(verify_args seed="$n" rounds=0)\"" \
            'on_poweroff = "preserve"'
        ids[$n]=$domid
        console_wait "$domid" "$VERIFY_ROUND" 30
    done
    watch_states "$KXEN_TEST_TMP/states" "${ids[@]}"
    for ((n = 1; n <= kills; n++)); do
        sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
        daemon_kill dom0
        daemon_start dom0
        [ $((n % 10)) != 0 ] || echo "$n kills"
    done
    for n in "${!ids[@]}"; do
        still_verifies "${ids[$n]}"
    done
    n=$(wc -l <"$KXEN_TEST_TMP/states")
    [ "$n" = $((2 * domains)) ] || fail "a device's state was written"
    for n in "${!ids[@]}"; do
        kxl shutdown "steady$n" || fail "kxl shutdown steady$n"
        console_wait "${ids[$n]}" "$VERIFY_DONE" 30
        image_check "$KXEN_TEST_TMP/disk$n.img" "$n"
    done
    host_alive
}

# A guest that counts in the store, a transaction each, while the store is
# killed `kills` times: each count must be there in the end, once.
kill_store_under_load() {
    local kills=$1 i=0 counts=0 feeder
    host_start
    create counter shell
    console_wait "$domid" 'kxen>' || fail "no prompt"
    # A second connection of the host's: it must come back by itself as well.
    mkfifo "$KXEN_TEST_TMP/typed"
    kxl_forever console counter <"$KXEN_TEST_TMP/typed" >/dev/null 2>&1 &
    feeder=$!
    HELPERS+=("$feeder")
    exec 8>"$KXEN_TEST_TMP/typed"
    while [ $i -lt "$kills" ]; do
        for _ in 1 2 3 4 5 6; do
            echo "count data/n" >&8
            counts=$((counts + 1))
        done
        sleep "0.0$((RANDOM % 10))"
        daemon_kill kxenstored
        daemon_start kxenstored
        i=$((i + 1))
        [ $((i % 10)) != 0 ] || echo "$i kills"
    done
    echo "echo all-counted" >&8
    console_wait "$domid" '^all-counted' || fail "the guest hangs"
    [ "$(store_read "/local/domain/$domid/data/n")" = $counts ] ||
        fail "$counts counts made $(store_read "/local/domain/$domid/data/n")"
    echo halt >&8
    exec 8>&-
    gone_wait "$domid"
    host_alive
}

# Without kxl()'s limit.
kxl_forever() {
    exec "$BIN/kxl" "$@"
}
