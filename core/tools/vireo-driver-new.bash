# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vireo-driver-new

_vireo_driver_new()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    COMPREPLY=()
    # COMP_WORDS is cut at '=' too.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-d --debian -h --help -l --language -V --version' -- "$cur")
    elif [[ $prev == --language || $prev == -l ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'c c++ rust' -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    fi
} &&
    complete -F _vireo_driver_new vireo-driver-new
