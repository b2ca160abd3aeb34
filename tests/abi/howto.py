# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: howto.py HOWTO.md SOURCE.c SOURCE.rs: every line of C and of Rust that the page shows stands in the source."""
import re
import sys
from pathlib import Path


def main(page, *sources):
    text = Path(page).read_text()
    for source, least in zip(sources, (10, 5), strict=True):
        blocks = re.findall(rf"^```{Path(source).suffix[1:].replace('rs', 'rust')}\n(.*?)^```", text, re.M | re.S)
        lines = {" ".join(line.split()) for line in Path(source).read_text().splitlines()}
        shown = [" ".join(line.split()) for block in blocks for line in block.splitlines()]
        lost = [line for line in shown if line not in lines]
        print("\n".join(f"not in {source}: {line}" for line in lost) or f"{len(shown)} lines of {source}")
        if lost or len(shown) < least:
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
