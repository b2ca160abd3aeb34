# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vireo-driver-inspect

_vireo_driver_inspect()
{
    local cur=${COMP_WORDS[COMP_CWORD]}

    COMPREPLY=()
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-h --help -j --json --deb-depends --rpm-requires
            --matrix -V --version' -- "$cur")
        return
    fi
    if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --matrix ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'html markdown' -- "$cur")
        return
    fi
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.so' -- "$cur")
} &&
    complete -F _vireo_driver_inspect vireo-driver-inspect
