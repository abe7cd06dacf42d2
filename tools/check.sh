#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make check` runs: each header compiles alone, format, static analysis,
# house rules.  HOST_CFLAGS, GUEST_CFLAGS and CC come from the Makefile.
# usage: tools/check.sh [headers|format|cppcheck|rules|scripts]...
set -u
cd "$(dirname "$0")/.." || exit 1

folders="hv dom0 frontends backends xenstore tools tests"
max_function=60
max_file=900
problems=0
warnings=0

problem() {
    printf 'check: %s\n' "$*"
    problems=$((problems + 1))
}

warn() {
    printf 'check: warning: %s\n' "$*"
    warnings=$((warnings + 1))
}

# Files of our own, by find arguments; build folders lie elsewhere.
files() {
    # shellcheck disable=SC2086
    find $folders -type f \( "$@" \) | sort
}

# $1: header, rest: flags
header_alone() {
    local header=$1 said
    shift
    said=$(printf '#include "%s"\n' "$header" |
           "${CC:-gcc}" "$@" -x c -fsyntax-only - 2>&1) && return
    printf '%s\n' "$said"
    problem "$header does not compile alone"
}

check_headers() {
    local header host guest
    read -ra host <<<"${HOST_CFLAGS:--std=gnu11 -D_GNU_SOURCE -I. -Ihv/include}"
    read -ra guest <<<"${GUEST_CFLAGS:--std=gnu11 -ffreestanding -I. -Ifrontends/include}"
    while read -r header; do
        case $header in
        frontends/*) header_alone "$header" "${guest[@]}" ;;
        hv/include/*)
            header_alone "$header" "${host[@]}"
            header_alone "$header" "${guest[@]}" ;;
        *) header_alone "$header" "${host[@]}" ;;
        esac
    done < <(files -name '*.h')
}

check_format() {
    local list
    if ! command -v clang-format >/dev/null; then
        warn "clang-format is not installed: format not checked"
        return
    fi
    mapfile -t list < <(files -name '*.[ch]')
    clang-format --dry-run -Werror "${list[@]}" ||
        problem "format: run clang-format -i on the files above"
}

check_cppcheck() {
    local list
    if ! command -v cppcheck >/dev/null; then
        warn "cppcheck is not installed: no static analysis"
        return
    fi
    mapfile -t list < <(files -name '*.c')
    cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,portability \
        --inline-suppr --error-exitcode=3 --max-configs=4 -D__x86_64__ \
        --suppress=missingInclude --suppress=missingIncludeSystem \
        --suppress=unmatchedSuppression --suppress=normalCheckLevelMaxBranches \
        --suppress=unknownMacro --suppress='*:tests/unit/*' \
        --suppress=comparePointers --suppress=varFuncNullUB \
        --suppress=invalidPrintfArgType_uint \
        --include="$(echo /usr/include/*/sys/queue.h)" \
        -I. -Ihv/include -Ifrontends/include "${list[@]}" ||
        problem "cppcheck found something"
}

# Functions start and end with a brace in column one.
long_functions() {
    awk -v max=$max_function '
        /^[a-zA-Z_].*\(/ { head = $0; sub(/\(.*/, "", head) }
        /^\{/ { from = FNR }
        /^\}/ && from {
            if (FNR - from - 1 > max)
                printf "%s:%d: %s: %d lines\n", FILENAME, from, head,
                       FNR - from - 1
            from = 0
        }' "$@"
}

check_rules() {
    local file list line
    mapfile -t list < <(files -name '*.[chS]')
    for file in "${list[@]}"; do
        [ "$(head -n 1 "$file")" = "/* SPDX-License-Identifier: MIT */" ] ||
            problem "$file: the first line is not the SPDX line"
        [ "$(wc -l <"$file")" -le $max_file ] ||
            problem "$file: over $max_file lines"
    done
    while read -r line; do
        warn "$line (over $max_function)"
    done < <(long_functions "${list[@]}")
    # shellcheck disable=SC2086
    while read -r line; do
        problem "unfinished: $line"
    done < <(grep -rnIE '\b(TODO|FIXME|XXX)\b|not implemented' $folders \
                 --include='*.[chS]' --include='*.mk' --include='*.md')
    # Where this checkout stands: all below that, if it is no common folder.
    local top
    top=/$(pwd -P | cut -d/ -f2)
    case $top in
    /tmp|/home|/root|/usr|/var|/opt|/srv|/mnt) top=$(pwd -P) ;;
    esac
    # shellcheck disable=SC2086
    while read -r line; do
        problem "a path of one machine: $line"
    done < <(grep -rnIE "$top/|/tmp/.-" $folders Makefile README.md \
                 2>/dev/null | grep -v '^tools/check.sh:')
    # shellcheck disable=SC2086
    while read -r line; do
        problem "space at the end of line: $line"
    done < <(grep -rnI '[[:space:]]$' $folders Makefile README.md 2>/dev/null |
                 cut -d: -f1,2)
}

check_scripts() {
    local list
    mapfile -t list < <(grep -lrIE '^#!/bin/(ba)?sh' .ci tools tests)
    local file
    for file in "${list[@]}"; do
        bash -n "$file" || problem "$file: syntax"
    done
    if ! command -v shellcheck >/dev/null; then
        warn "shellcheck is not installed: scripts not analysed"
        return
    fi
    shellcheck -S warning -x -e SC2154 "${list[@]}" || problem "shellcheck: see above"
}

[ $# -gt 0 ] || set -- headers format rules scripts cppcheck
for part; do
    case $part in
    headers|format|cppcheck|rules|scripts) ;;
    *) echo "usage: $0 [headers|format|cppcheck|rules|scripts]..." >&2
       exit 1 ;;
    esac
    "check_$part"
done
echo "check: $problems problems, $warnings warnings"
[ $problems = 0 ]
