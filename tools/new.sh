#!/bin/bash
# SPDX-License-Identifier: MIT
# Starts a new test or driver from the templates beside this file.
# usage: tools/new.sh test|driver NAME
set -u
cd "$(dirname "$0")/.." || exit 1

die() {
    echo "$*" >&2
    exit 1
}

# $1: template, $2: the file to make
from_template() {
    [ ! -e "$2" ] || die "$2 is there already; choose another name"
    sed -e "s/@NAME@/$name/g" -e "s/@UPPER@/${name^^}/g" \
        "tools/templates/$1" >"$2" || die "cannot write $2"
    echo "made $2"
}

kind=${1:-}
name=${2:-}
[[ $kind == test || $kind == driver ]] ||
    die "usage: tools/new.sh test|driver NAME"
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] ||
    die "make new-$kind NAME=x: NAME is '$name', expected a lower-case C name"

if [ "$kind" = test ]; then
    from_template test.sh "tests/kvm/$name.sh"
    echo "run it: make test T=kvm/$name"
    exit 0
fi
from_template backend.c "backends/$name.c"
from_template protocol.h "backends/$name.h"
echo "its protocol goes into backends/$name.h, its turn into backends/$name.c;"
echo "build and look at it: make && kxl info"
