# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: golden.py FOLDER LISTING

FOLDER holds catalogue-MAJOR.MINOR.txt, for each minor the lines it added: one for every number, name, field
and constant that clients or drivers are compiled against. Fails when LISTING no longer says one of them."""
import sys
from pathlib import Path


def read(*paths):
    return set().union(*(path.read_text().splitlines() for path in paths))


def main(folder, listing):
    committed, current = read(*folder.glob("catalogue-*.txt")), read(listing)
    lost = sorted(committed - current)
    print("".join(f"lost: {line}\n" for line in lost), end="")
    if lost:
        print(f"{len(lost)} lines are not produced any more: these are promises, keep them")
    elif not committed:
        print(f"no catalogue in {folder}")
    else:
        print(f"{len(committed)} lines kept")
    return bool(lost) or not committed


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*map(Path, sys.argv[1:])))
