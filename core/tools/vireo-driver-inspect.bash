# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vireo-driver-inspect

_vireo_driver_inspect()
{
    local cur=${COMP_WORDS[COMP_CWORD]}

    COMPREPLY=()
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-h --help -j --json --deb-depends --rpm-requires
            -V --version' -- "$cur")
        return
    fi
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$cur"; compgen -f -X '!*.so' -- "$cur")
} &&
    complete -F _vireo_driver_inspect vireo-driver-inspect
