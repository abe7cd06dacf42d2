# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the scripts under tests/ share.  Source it first:
#
#   fail WHY, broken WHY, skip WHY      end the test under that word
#   host_start [DAEMON...]              a private host: hv, kxenstored, dom0
#   host_alive                          all three still run, or fail
#   daemon_start NAME, daemon_kill NAME one of them (kill: SIGKILL)
#   kxl ARGS                            the tool, against this host
#   write_cfg NAME GUEST [LINE...]      $KXEN_TEST_TMP/NAME.cfg, prints its path
#   make_image LEAF MIB                 a disk of random bytes, prints its path
#   create NAME GUEST [LINE...]         write_cfg and kxl create; sets $domid
#   console_file DOMID                  its log
#   console_wait DOMID REGEX [SECONDS]  until the console says so, or fail
#   gone_wait NAME [SECONDS]            until kxl list no longer has it
#   wait_for SECONDS COMMAND...         until it succeeds; its last status
#   expect STATUS REGEX COMMAND...      ends so and says so (stdout or stderr)
#   store_read PATH                     a node of the store
#
# and what tests/guests.sh has on our own guests.
#
# Times are multiplied by $KXEN_SCALE.  The trap on EXIT ends the host; when
# the test did not succeed, it first shows the daemons' logs.
set -u

: "${KXEN_TOP:?run by tests/run}" "${KXEN_BUILD:?}" "${KXEN_TEST_TMP:?}"
BIN=$KXEN_BUILD/bin
# shellcheck disable=SC2034
GUESTS=$KXEN_BUILD/lib/guests
SCALE=${KXEN_SCALE:-1}
export KXEN_RUN_DIR=$KXEN_TEST_TMP/run
# shellcheck disable=SC2034
SAN_FLAGS=
# shellcheck disable=SC2034
[ "$SCALE" = 1 ] || SAN_FLAGS=-fsanitize=address,undefined
declare -A DAEMON_PID=()
HELPERS=() # further processes of a test, for the trap to end
# What each daemon opens when it is ready.
declare -A DAEMON_SOCKET=([hv]=hv.sock [kxenstored]=xenstored/socket
                          [dom0]=dom0.sock)

fail() {
    echo "FAILURE: $*"
    exit 1
}

broken() {
    echo "ERROR: $*"
    exit 99
}

skip() {
    echo "SKIP: $*"
    exit 77
}

wait_for() {
    local tries=$(($1 * SCALE * 20))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.05
    done
}

# Connects and hangs up: the file alone may be a dead daemon's.
socket_answers() {
    python3 - "$1" 2>/dev/null <<'END'
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError:  # hv's keeps messages apart
    socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])
END
}

daemon_start() {
    local name=$1 path
    mkdir -p "$KXEN_RUN_DIR"
    "$BIN/$name" --run-dir "$KXEN_RUN_DIR" </dev/null \
        >>"$KXEN_RUN_DIR/$name.log" 2>&1 9>&- &
    DAEMON_PID[$name]=$!
    path=$KXEN_RUN_DIR/${DAEMON_SOCKET[$name]}
    wait_for 10 socket_answers "$path" ||
        fail "$name did not open $path"
}

daemon_alive() {
    kill -0 "${DAEMON_PID[$1]}" 2>/dev/null
}

daemon_kill() {
    kill -KILL "${DAEMON_PID[$1]}" 2>/dev/null
    wait "${DAEMON_PID[$1]}" 2>/dev/null
    unset "DAEMON_PID[$1]"
}

# The lock is the supervisor's: a kxl that finds dom0 just killed would start
# one, and that a dom0 of its own.
host_start() {
    local name
    [ $# -gt 0 ] || set -- hv kxenstored dom0
    mkdir -p "$KXEN_RUN_DIR"
    exec 9>"$KXEN_RUN_DIR/host.lock"
    flock -n 9 || broken "a supervisor runs on a fresh host"
    for name; do
        daemon_start "$name"
    done
}

host_alive() {
    local name
    for name in "${!DAEMON_PID[@]}"; do
        daemon_alive "$name" || fail "$name died"
    done
}

# dom0 first, so that it can take its domains down while hv listens.  False
# when one has to be killed.
host_stop() {
    local name rc=0
    for name in dom0 kxenstored hv; do
        [ -n "${DAEMON_PID[$name]:-}" ] || continue
        kill -TERM "${DAEMON_PID[$name]}" 2>/dev/null
        if ! wait_for 5 daemon_gone "$name"; then
            echo "$name does not end on SIGTERM"
            tail -n +1 "/proc/${DAEMON_PID[$name]}"/task/*/{comm,wchan,stack}
            kill -KILL "${DAEMON_PID[$name]}" 2>/dev/null
            rc=1
        fi
        wait "${DAEMON_PID[$name]}" 2>/dev/null
    done
    return $rc
}

daemon_gone() {
    ! daemon_alive "$1"
}

show_logs() {
    local log
    for log in "$KXEN_RUN_DIR"/*.log "$KXEN_RUN_DIR"/console/*.log; do
        [ -s "$log" ] || continue
        echo "--- ${log#"$KXEN_RUN_DIR"/}"
        tail -n 25 "$log"
    done
}

# Daemons that kxl started by itself do not stand in DAEMON_PID.
test_end() {
    local status=$?
    trap - EXIT
    [ $status = 0 ] || [ $status = 77 ] || show_logs
    [ ${#HELPERS[@]} = 0 ] || kill "${HELPERS[@]}" 2>/dev/null
    host_stop || [ $status != 0 ] || fail "a daemon had to be killed"
    exit $status
}
trap test_end EXIT
trap 'exit 143' TERM INT

kxl() {
    timeout -k 5 $((40 * SCALE)) "$BIN/kxl" "$@"
}

write_cfg() {
    local name=$1 guest=$2 path=$KXEN_TEST_TMP/$1.cfg
    shift 2
    case $guest in
    /*) ;;
    *) guest=$GUESTS/$guest.elf ;;
    esac
    {
        printf 'name = "%s"\nkernel = "%s"\n' "$name" "$guest"
        case " $*" in
        *' memory'*) ;;
        *) echo 'memory = 32' ;;
        esac
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$path"
    echo "$path"
}

make_image() {
    local path=$KXEN_TEST_TMP/$1
    head -c $(($2 << 20)) /dev/urandom >"$path" || broken "no room for $path"
    echo "$path"
}

# shellcheck disable=SC2034
create() {
    local cfg
    cfg=$(write_cfg "$@")
    domid=$(kxl create --json "$cfg") ||
        fail "kxl create $cfg ended with status $?"
    domid=$(sed -n 's/.*"domid": *\([0-9]*\).*/\1/p' <<<"$domid")
}

console_file() {
    echo "$KXEN_RUN_DIR/console/$1.log"
}

console_says() {
    grep -qE -- "$2" "$(console_file "$1")" 2>/dev/null
}

console_wait() {
    wait_for "${3:-15}" console_says "$1" "$2" ||
        fail "the console of domain $1 did not say '$2'"
}

not_listed() {
    ! kxl list | awk -v name="$1" '$1 == name { found = 1 }
                                   END { exit !found }'
}

gone_wait() {
    wait_for "${2:-15}" not_listed "$1" || fail "domain $1 is still listed"
}

expect() {
    local want=$1 text=$2 out status
    shift 2
    out=$("$@" 2>&1)
    status=$?
    printf '%s\n' "$out"
    [ $status = "$want" ] || fail "'$*' ended with status $status, not $want"
    grep -qE -- "$text" <<<"$out" || fail "'$*' did not say '$text'"
}

store_read() {
    XENSTORED_PATH=$KXEN_RUN_DIR/xenstored/socket xenstore-read "$1" 2>/dev/null
}

. "$KXEN_TOP/tests/guests.sh"

# with_lib FOLDER COMMAND...: on that folder's libxenstore.  A sanitizer's
# wants its runtime loaded first, into programs that were built without one.
with_lib() {
    local dir=$1 preload=
    shift
    if [ -n "$SAN_FLAGS" ] && [ "$dir" = "$KXEN_BUILD/lib" ]; then
        preload=$(gcc -print-file-name=libasan.so)
    fi
    LD_LIBRARY_PATH=$dir LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0 "$@"
}
