#!/bin/bash
# SPDX-License-Identifier: MIT
# Proves that bash completes kxl's commands, each one's options and arguments,
# and domains, all by what kxl itself says; and that every command has help with
# an example.
set -u
. "$KXEN_TOP/tests/lib.sh"
. "$KXEN_TOP/tools/kxl.bash"

# kxl as it is, but for the host, which has two domains.
mkdir "$KXEN_TEST_TMP/bin"
cat >"$KXEN_TEST_TMP/bin/kxl" <<END
#!/bin/bash
[ "\$1" != -R ] || shift 2
[ "\$1" = list ] || exec "$BIN/kxl" "\$@"
printf '%s\n' 'Name ID Mem VCPUs State Time(s)' 'Domain-0 0 0 1 r----- 0.0' \
    'web 1 32 1 r----- 0.0' 'db 2 32 1 r----- 0.0'
END
chmod +x "$KXEN_TEST_TMP/bin/kxl"
unset -f kxl # lib.sh's
PATH=$KXEN_TEST_TMP/bin:$PATH

completes() { # "WORDS" "WANTED": after the words, the last one being begun
    local got
    read -ra COMP_WORDS <<<"$1"
    [[ $1 != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _kxl
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
    [ "$got" = "$2 " ] || fail "'$1' completes to '$got', not '$2 '"
}

cd "$KXEN_TEST_TMP" || broken "no scratch folder"
mkdir files && cd files || broken "no scratch folder"
: >a.cfg
commands=$(_kxl_commands kxl | sort | tr '\n' ' ')
for name in create dump-core vcpu-pin trace; do
    [[ " $commands" == *" $name "* ]] || fail "$name is no command"
done
completes 'kxl ' "${commands% }"
completes 'kxl vcpu-' 'vcpu-list vcpu-pin vcpu-set'
completes 'kxl -' '--help --run-dir -R'
completes 'kxl -R /tmp host-sto' 'host-stop'
completes 'kxl destroy ' 'db web'
completes 'kxl destroy web d' 'db'
completes 'kxl -R /tmp console -t uart w' 'web'
completes 'kxl shutdown -w -t 5 ' 'db web'
completes 'kxl shutdown -t ' ''
completes 'kxl shutdown --' '--all --help --reason --timeout --wait'
completes 'kxl dump-core -' '--help --json --live --xen -L -j -x'
completes 'kxl dump-core web ' 'a.cfg'
completes 'kxl create a' 'a.cfg'
completes 'kxl vcpu-pin db ' 'all'
completes 'kxl help unp' 'unpause'
completes 'kxl info web ' ''
completes 'kxl nosuch ' ''

for name in $commands; do
    help=$("$BIN/kxl" "$name" --help) || fail "kxl $name --help"
    [ "$help" = "$("$BIN/kxl" help "$name")" ] || fail "kxl help $name differs"
    grep -q "^example: kxl .*$name" <<<"$help" || fail "kxl $name has no example"
    # Options in its text are options in its usage, and the other way round.
    for option in $(head -n 1 <<<"$help" | grep -oE -- ' \[?-[a-zA-Z]' | tr -d ' ['); do
        grep -qE -- "^ +${option}[, ]" <<<"$help" || fail "kxl $name: $option is not explained"
    done
    for option in $(sed -nE 's/^  (-[a-zA-Z]), .*/\1/p' <<<"$help"); do
        # Those with a long name need not be in the usage line; they must work.
        case $option in -j) continue ;; esac
        head -n 1 <<<"$help" | grep -q -- "$option" || fail "kxl $name: usage lacks $option"
    done
done
