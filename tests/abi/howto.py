# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: howto.py HOWTO.md SOURCE.c: every line of C that the page shows stands in the source."""
import re
import sys
from pathlib import Path


def main(page, source):
    lines = {" ".join(line.split()) for line in Path(source).read_text().splitlines()}
    shown = [" ".join(line.split()) for block in re.findall(r"^```c\n(.*?)^```", Path(page).read_text(), re.M | re.S)
             for line in block.splitlines()]
    lost = [line for line in shown if line not in lines]
    print("\n".join(f"not in {source}: {line}" for line in lost) or f"{len(shown)} lines")
    return bool(lost) or len(shown) < 10


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
