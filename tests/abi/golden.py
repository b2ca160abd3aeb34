# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: golden.py check GOLDEN LISTING
       golden.py refresh GOLDEN LISTING

The golden listing has a line for every number, name, field and constant that clients or drivers are
compiled against. `check` fails when the catalogue no longer says one of them; `refresh` adds the lines
that are new, and refuses while one is missing."""
import sys
from pathlib import Path


def read(path):
    return set(Path(path).read_text().splitlines())


def main(action, golden, listing):
    committed, current = read(golden) if Path(golden).exists() else set(), read(listing)
    lost, new = sorted(committed - current), sorted(current - committed)
    for line in lost:
        print(f"lost: {line}")
    if lost:
        print(f"{len(lost)} lines of {golden} are not produced any more: these are promises, keep them")
        return 1
    if action == "refresh":
        Path(golden).write_text("".join(line + "\n" for line in sorted(committed | current)))
        print(f"{len(new)} lines added")
    elif not committed:
        print(f"{golden} is empty")
        return 1
    else:
        print(f"{len(committed)} lines kept, {len(new)} not recorded yet")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("check", "refresh"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
