#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that pyxs, a client that speaks the wire by itself without
# libxenstore, works with our daemon: values, directories, permissions,
# transactions that conflict, watches, errors.
set -u
. "$KXEN_TOP/tests/lib.sh"

/usr/bin/python3 -c 'import pyxs' 2>/dev/null ||
    skip "no pyxs for /usr/bin/python3: apt-get install python3-pyxs"
host_start kxenstored
timeout 50 /usr/bin/python3 - "$KXEN_RUN_DIR/xenstored/socket" <<'END' ||
import errno, sys
import pyxs

path = sys.argv[1]


def number(call, *args):
    """The errno a call fails with, or 0."""
    try:
        call(*args)
    except pyxs.PyXSError as e:
        return e.args[0]
    return 0


with pyxs.Client(unix_socket_path=path) as c:
    c.write(b"/py/a", b"one")
    assert c.read(b"/py/a") == b"one"
    assert c.read(b"/py/none", b"default") == b"default"
    assert number(c.read, b"/py/none") == errno.ENOENT
    c.mkdir(b"/py/dir")
    assert c.list(b"/py") == [b"a", b"dir"]
    assert c.exists(b"/py/dir") and not c.exists(b"/py/none")
    c.set_perms(b"/py/a", [b"n0", b"r3"])
    assert c.get_perms(b"/py/a") == [b"n0", b"r3"]
    assert c.get_domain_path(7) == b"/local/domain/7"
    assert c.is_domain_introduced(0) and not c.is_domain_introduced(77)
    for i in range(300):
        c.write(b"/py/many/%d" % i, b"x" * (i * 10))
    assert len(c.list(b"/py/many")) == 300
    assert c.read(b"/py/many/299") == b"x" * 2990
    c.delete(b"/py/many")

    c.transaction()
    assert c.read(b"/py/a") == b"one"
    c.write(b"/py/b", b"two")
    with pyxs.Client(unix_socket_path=path) as other:
        assert not other.exists(b"/py/b")
        other.write(b"/py/a", b"changed")
    assert c.commit() is False
    assert not c.exists(b"/py/b")
    c.transaction()
    c.write(b"/py/b", b"two")
    assert c.commit() is True
    c.transaction()
    c.write(b"/py/b", b"three")
    c.rollback()
    assert c.read(b"/py/b") == b"two"

    m = c.monitor()
    m.watch(b"/py", b"token")
    events = m.wait()
    assert next(events) == (b"/py", b"token")
    c.write(b"/py/w", b"1")
    assert next(events) == (b"/py/w", b"token")
    m.unwatch(b"/py", b"token")
    c.delete(b"/py")
    assert not c.exists(b"/py")
END
    fail "pyxs found something"
host_alive
