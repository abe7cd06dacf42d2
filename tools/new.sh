#!/bin/bash
# SPDX-License-Identifier: MIT
# Starts a new test or driver from a template or, a driver, from the echo backend.
# usage: tools/new.sh test|driver NAME
set -u
cd "$(dirname "$0")/.." || exit 1

die() {
    echo "$*" >&2
    exit 1
}

fresh() {
    [ ! -e "$1" ] || die "$1 is there already; choose another name"
}

# The echo device, renamed, under a banner of its own ($1: the old file, $2:
# the new one, $3: what it says).  Echo always builds, so the copy does.
from_echo() {
    awk -v banner="$3" '
        NR == 1 { print; next }
        !done && /^\/\*/ { print "/*\n * " banner "\n */"; skip = 1 }
        !skip { print }
        skip && /\*\// { skip = 0; done = 1 }
    ' "$1" | sed -e "s/echo/$name/g" -e "s/ECHO/${name^^}/g" >"$2" ||
        die "cannot write $2"
    echo "made $2"
}

kind=${1:-}
name=${2:-}
[[ $kind == test || $kind == driver ]] ||
    die "usage: tools/new.sh test|driver NAME"
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] ||
    die "make new-$kind NAME=x: NAME is '$name', expected a lower-case C name"

if [ "$kind" = test ]; then
    fresh "tests/kvm/$name.sh"
    sed "s/@NAME@/$name/g" tools/templates/test.sh >"tests/kvm/$name.sh" ||
        die "cannot write tests/kvm/$name.sh"
    echo "made tests/kvm/$name.sh; run it: make test T=kvm/$name"
    exit 0
fi
fresh "backends/$name.c"
fresh "backends/$name.h"
from_echo backends/echo.c "backends/$name.c" \
    "Backend \"$name\", protocol backends/$name.h: what it does."
from_echo backends/echo.h "backends/$name.h" \
    "The $name device's protocol: what the frontend writes to the store."
echo "It builds, and echoes; now make it do what it is for."
