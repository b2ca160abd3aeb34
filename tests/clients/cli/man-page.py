# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: man-page.py VIREO PAGE.rst

The commands and options of `vireo` and of its man page are the same, both ways."""
import re
import subprocess
import sys

OPTION = re.compile(r"--[a-z][a-z-]*")


def from_program(program):
    done = subprocess.run([program, "__options"], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines())


def from_page(path):
    with open(path, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    found, section, command = set(), "", ""
    for line, below in zip(lines, lines[1:]):
        if line and re.fullmatch("=+", below):
            section, command = line, ""
        elif section == "COMMANDS" and line and re.fullmatch("~+", below):
            command = line
            found.add(command)
        elif line.startswith("-") and section in ("OPTIONS", "COMMANDS") and OPTION.search(line):
            found.add(f"{command or '-'} {OPTION.search(line)[0]}")
    return found


def main(program, page):
    said, written = from_program(program), from_page(page)
    assert len(said) > 100, "the program lists next to nothing"
    for entry in sorted(said - written):
        print(f"not in the page: {entry}")
    for entry in sorted(written - said):
        print(f"not in the program: {entry}")
    return said != written


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
