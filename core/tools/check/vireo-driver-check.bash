# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vireo-driver-check

_vireo_driver_check()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    COMPREPLY=()
    case $prev in
    -o | --only | -s | --skip)
        mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --list 2>/dev/null | cut -d ' ' -f 1)" -- "$cur")
        return
        ;;
    -f | --format)
        mapfile -t COMPREPLY < <(compgen -W "human json tap" -- "$cur")
        return
        ;;
    --sanitize)
        mapfile -t COMPREPLY < <(compgen -W "address thread" -- "$cur")
        return
        ;;
    -c | --config)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    -d | --define | -m | --man)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -u | --uri | -j | --jobs | -t | --timeout) return ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-h --help -l --list -o --only -s --skip -u --uri -c --config -d --define
            -m --man --sanitize -j --jobs -t --timeout -f --format -v --verbose -V --version' -- "$cur")
        return
    fi
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.so' -- "$cur")
} &&
    complete -F _vireo_driver_check vireo-driver-check
