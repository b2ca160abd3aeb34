# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: exports.py LIBRARY MAP HEADER...: the library exports what its map and its public headers name."""
import re
import subprocess
import sys
from pathlib import Path

# Declared beside public functions, and for the inside of this tree.
INSIDE = {"vireo_dispatch"}


def declared(header):
    text = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.S)
    text = re.sub(r"^#(?:.*\\\n)*.*$", "", text, flags=re.M)
    return set(re.findall(r"^[A-Za-z][\w \n]*[ *]+(vireo_\w+)\(", text, re.M)) - INSIDE


def main(library, exports, *headers):
    nm = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in nm.splitlines() if " A " not in line}
    mapped = set(re.findall(r"^  (\w+);$", Path(exports).read_text(), re.M))
    public = set().union(*map(declared, headers))
    for what, names in {
        "exported, but not in the map": exported - mapped,
        "in the map, but not in the library": mapped - exported,
        "in a public header, but not in the map": public - mapped,
        "in the map, but in no public header": mapped - public,
    }.items():
        for name in sorted(names):
            print(f"{name}: {what}")
    print(f"{len(exported)} functions")
    return not exported == mapped == public


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
