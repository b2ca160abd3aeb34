# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vireo-driver-host

_vireo_driver_host()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    COMPREPLY=()
    # COMP_WORDS is cut at '=' too.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--cache --config --deny --driver -h --help --log --memory-max
            --name --no-new-privs --run --state -v --verbose -V --version --workers' -- "$cur")
        return
    fi
    case $prev in
    --deny) mapfile -t COMPREPLY < <(compgen -W 'clock kexec modules mount ptrace reboot swap' -- "$cur") ;;
    --driver)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.so' -- "$cur")
        ;;
    --cache | --config | --log | --run | --state)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        ;;
    esac
} &&
    complete -F _vireo_driver_host vireo-driver-host
