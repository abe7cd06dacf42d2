# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Completion of kxl in bash.  It knows no command by heart: it asks kxl help for
# the commands, a command's help for its arguments and options, and kxl list for
# the domains, and so it cannot be out of date.

_kxl_commands() {
    "$@" help 2>/dev/null |
        sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p'
}

_kxl_domains() {
    # A host whose dom0 is just away must not hang the shell.
    timeout 2 "$@" list 2>/dev/null | awk 'NR > 1 && $2 > 0 { print $1 }'
}

# The options of a command's help: "[-w]", "  -w, --wait  until ...".
_kxl_options() {
    grep -E '^usage:|^  -' <<<"$1" | grep -oE '(^|[][ |])--?[a-zA-Z][a-z-]*' |
        grep -oE -- '--?[a-zA-Z][a-z-]*' | sort -u
    echo --help
}

# The positional arguments of a usage line, options and their values left out.
_kxl_positionals() {
    head -n 1 <<<"$1" | sed -E 's/^usage: kxl [a-z-]+//; s/\[-[^]]*\]//g;
        s/\[([^]]*)\]\.\.\./\1.../g; s/(^| )-[a-zA-Z]( |$)/ /g; s/[][]| \| / /g'
}

# Does this option of a command take a value?  "-t SECONDS" in its usage.
_kxl_takes_value() {
    head -n 1 <<<"$1" | grep -qE -- "$2 [a-zA-Z|]+"
}

_kxl_argument() { # KXL... -- KIND
    local kxl=()
    while [ "$1" != -- ]; do
        kxl+=("$1")
        shift
    done
    case $2 in
    DOMAIN* | NAME | ID) _kxl_domains "${kxl[@]}" ;;
    COMMAND*) _kxl_commands "${kxl[@]}" ;;
    CFG | FILE)
        compgen -f -- "${COMP_WORDS[COMP_CWORD]}"
        ;;
    *'|all') echo all ;;
    esac
}

_kxl() {
    local cur=${COMP_WORDS[COMP_CWORD]} kxl=("${COMP_WORDS[0]}") words=()
    local i help kind nth=0 skip=0 command=
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [ -n "$command" ]; then
            words+=("${COMP_WORDS[i]}")
            continue
        fi
        case ${COMP_WORDS[i]} in
        -R | --run-dir)
            kxl+=("${COMP_WORDS[i]}" "${COMP_WORDS[++i]}")
            ;;
        -*) ;;
        *) command=${COMP_WORDS[i]} ;;
        esac
    done
    COMPREPLY=()
    if [ -z "$command" ]; then
        if [[ $cur == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W '-R --run-dir --help' -- "$cur")
        elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == @(-R|--run-dir) ]]; then
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$(_kxl_commands "${kxl[@]}")" -- "$cur")
        fi
        return
    fi
    help=$("${kxl[@]}" help "$command" 2>/dev/null) || return
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_kxl_options "$help")" -- "$cur")
        return
    fi
    for i in "${words[@]}"; do
        if [ $skip = 1 ]; then
            skip=0
        elif [[ $i == -* ]]; then
            ! _kxl_takes_value "$help" "$i" || skip=1
        else
            nth=$((nth + 1))
        fi
    done
    [ $skip = 0 ] || return # an option's value: anything
    for kind in $(_kxl_positionals "$help"); do
        # The last one with dots behind it may be repeated.
        if [ $nth = 0 ] || [[ $kind == *... ]]; then
            break
        fi
        nth=$((nth - 1))
        kind=
    done
    [[ $kind != @(CFG|FILE) ]] || compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -W \
        "$(_kxl_argument "${kxl[@]}" -- "$kind")" -- "$cur")
}
complete -F _kxl kxl
