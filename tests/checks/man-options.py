# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: man-options.py PAGE.rst COMPLETION PROGRAM [ARGUMENT...]

The options that a program's --help, its man page and its completion name are the same."""
import re
import subprocess
import sys
from pathlib import Path

OPTION = r"(?<![\w-])(--[a-z][a-z0-9-]*|-[A-Za-z])(?![\w-])"


def from_help(command):
    text = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True).stdout
    lines = [line for line in text.splitlines() if re.match(r"\s+-", line)]
    return {o for line in lines for o in re.findall(OPTION, re.split(r"\s{2,}", line.strip())[0])}


def from_page(page):
    section = re.search(r"^OPTIONS\n=+\n(.*?)(?=^[A-Z ]+\n=+\n|\Z)", page.read_text(), re.M | re.S)
    assert section, f"{page} has no section OPTIONS"
    return {o for line in section[1].splitlines() if line.startswith("-") for o in re.findall(OPTION, line)}


def from_completion(script):
    words = re.search(r"compgen -W '([^']*)'", script.read_text())
    assert words, f"{script} completes no options"
    return set(re.findall(OPTION, words[1]))


def differences(left, right, left_name, right_name):
    for option in sorted(left - right):
        yield f"{option}: in {left_name}, not in {right_name}"
    for option in sorted(right - left):
        yield f"{option}: in {right_name}, not in {left_name}"


def main(page, completion, *command):
    helped = from_help(command)
    assert helped, "--help names no option"
    wrong = list(differences(helped, from_page(Path(page)), "--help", "the man page"))
    if completion != "-":
        wrong += differences(helped, from_completion(Path(completion)), "--help", "the completion")
    print("\n".join(wrong) or f"{len(helped)} options agree")
    return bool(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
