#!/bin/bash
# SPDX-License-Identifier: MIT
# Unpacks Debian packages under a folder, without installing them: fetched once
# from the archive by apt-get, by any user, and kept.
# usage: tools/debian.sh FOLDER PACKAGE   prints where it is unpacked
#        tools/debian.sh FOLDER linux-image-FLAVOUR
#                                         the kernel that this one stands for
set -u

say() {
    echo "debian.sh: $*" >&2
}

[ $# = 2 ] || { sed -n 's/^# usage: //p; s/^#  *\(tools\)/\1/p' "$0" >&2; exit 1; }
folder=$1 package=$2
type apt-get apt-cache dpkg-deb >/dev/null 2>&1 || {
    say "apt-get and dpkg-deb are missing: packages are had on Debian only"
    exit 1
}

# linux-image-amd64 is empty and depends on the kernel of the day.
case $package in
linux-image-[a-z]*)
    real=$(apt-cache depends "$package" 2>/dev/null |
           sed -n 's/^ *Depends: *//p' | head -n 1)
    [ -n "$real" ] || {
        say "no package $package is known; try: apt-get update"
        exit 1
    }
    package=$real ;;
esac

mkdir -p "$folder" || exit 1
folder=$(realpath "$folder")
# Before the lock: the folder may be read-only by now.
[ ! -e "$folder/$package/.done" ] || { echo "$folder/$package"; exit 0; }
(
    flock 9
    [ -e "$folder/$package/.done" ] && exit 0
    tmp=$(mktemp -d "$folder/fetch.XXXXXX") && cd "$tmp" || exit 1
    apt-get download "$package" >log 2>&1 ||
        { apt-get update >>log 2>&1; apt-get download "$package" >>log 2>&1; } ||
        { tail -n 3 log >&2; rm -rf "$tmp"; exit 1; }
    rm -rf "${folder:?}/$package"
    dpkg-deb -x ./*.deb "$folder/$package" && : >"$folder/$package/.done" &&
        rm -rf "$tmp"
) 9>"$folder/$package.lock" || {
    say "package $package cannot be fetched; is there a network, and a line" \
        "for it in /etc/apt/sources.list?"
    exit 1
}
echo "$folder/$package"
