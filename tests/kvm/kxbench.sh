#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that kxbench measures every row it promises, in JSON of the promised
# form, each held against a floor of the same run; and that a wrong use of it is
# answered with a reason.
# serial: it spins on all CPUs
# timeout: 180
set -u
. "$KXEN_TOP/tests/lib.sh"

expect 1 "no suite 'disc'" "$BIN/kxbench" disc
expect 1 "number from 1 to" "$BIN/kxbench" --runs none disk
expect 1 'usage' "$BIN/kxbench"
json=$KXEN_TEST_TMP/rows.json
"$BIN/kxbench" floors disk console --quick --json "$json" ||
    fail "kxbench ended with status $?"
python3 - "$json" <<'END' || fail "the JSON is not as promised"
import json, sys
report = json.load(open(sys.argv[1]))
assert set(report) == {"host", "rows"}, set(report)
assert report["host"]["kvm"] in ("hardware", "software"), report["host"]
rows = {(r["suite"], r["name"]): r for r in report["rows"]}
keys = {"suite", "name", "unit", "median", "q1", "q3", "p99", "runs", "floor", "ratio"}
floors = dict(ring_polled_rtt="cacheline_rtt", evtchn_send="ioeventfd_out",
              hypercall_exit="pio_exit", hypercall_noexit="pio_exit",
              cacheline_rtt=None, ioeventfd_out=None, pio_exit=None)
ways = "ata virtio virtio_ioeventfd xen_event xen_polled".split()
disk = [f"{w}_{o}{k}" for w in ways for o in ("read4k", "write4k")
        for k in ("", "_ops", "_exits", "_events")]
for r in rows.values():
    assert set(r) == keys, r
    assert r["q1"] <= r["median"] <= r["q3"] <= r["p99"] or r["unit"] != "ns", r
    assert (r["ratio"] is None) == (r["floor"] is None), r
    if r["floor"]:
        floor = rows[r["suite"], r["floor"]]
        assert abs(r["ratio"] * floor["median"] / r["median"] - 1) < 1e-6, r
for name, floor in floors.items():
    assert rows["floors", name]["floor"] == floor, name
for name in disk:
    assert ("disk", name) in rows, name
for name in "uart_chars", "xen_chars":
    assert rows["console", name]["median"] > 0, name
assert rows["disk", "ata_read4k_exits"]["median"] > rows["disk", "xen_polled_read4k_exits"]["median"]
END

# One Linux on Kxen, on QEMU where there is one, on the host.  On software KVM
# that under QEMU/KVM does not come up, and that is said.
. "$KXEN_TOP/tests/linux.sh"
linux_kernel cloud-amd64 || { rc=$?; exit $rc; }
"$BIN/kxbench" linux --quick --json "$json" ||
    fail "kxbench linux ended with status $?"
python3 - "$json" <<'END' || fail "the JSON of linux is not as promised"
import json, shutil, sys
rows = {r["name"]: r for r in json.load(open(sys.argv[1]))["rows"]}
what = """cpu getppid fault fork_exit fork_exec pipe switch disk_read4k disk_write4k
          disk_read4k_q32 disk_read1m disk_write1m""".split()
assert rows["kxen_boot"]["median"] > 0
for w in what:
    assert rows[f"host_{w}"]["floor"] is None, w
    assert rows[f"kxen_{w}"]["floor"] == f"host_{w}", w
    if shutil.which("qemu-system-x86_64") and "tcg_boot" in rows:
        assert rows[f"tcg_{w}"]["floor"] == f"kxen_{w}", w
# A system call enters the monitor once; a fault as well.
assert rows["kxen_getppid_monitor_syscalls"]["median"] >= 0.9
assert rows["kxen_fault_monitor_page_faults"]["median"] >= 0.9
assert rows["kxen_boot_hv_hypercall_s"]["median"] > 0
# Text is patched on tables of their own some 8,800 times: there, and not back.
assert rows["kxen_boot_monitor_cr3_loads"]["median"] < 13000
END
left=$(find "$KXEN_TEST_TMP" -name 'kxbench-*')
[ -z "$left" ] || fail "scratch left behind: $left"
