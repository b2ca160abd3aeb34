# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: module.py FILE.so

A driver module exports its entry function and nothing else, takes nothing from us at run time, is bound
at once, stays loaded, and needs no writable code."""
import re
import subprocess
import sys

ENTRY = "vireo_driver_entry_1"


def readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], check=True, capture_output=True, text=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


def symbols(path):
    """(name, defined) of each global symbol of the dynamic table."""
    for line in readelf("--dyn-syms", path).splitlines():
        words = line.split()
        if len(words) >= 8 and words[0].rstrip(":").isdigit() and words[4] in ("GLOBAL", "WEAK"):
            yield words[7].split("@")[0], words[6] != "UND"


def faults(path):
    dynamic = readelf("-d", path)
    exported = sorted(name for name, defined in symbols(path) if defined)
    if exported != [ENTRY]:
        yield f"exports {', '.join(exported) or 'nothing'} and not just {ENTRY}"
    for name, defined in symbols(path):
        if not defined and name.startswith("vireo"):
            yield f"takes {name} from elsewhere"
    for library in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        if "vireo" in library or "virt" in library:
            yield f"links {library}"
    if "TEXTREL" in dynamic:
        yield "has text relocations"
    if not re.search(r"\(FLAGS\).*BIND_NOW|\(BIND_NOW\)", dynamic):
        yield "is bound lazily"
    if not re.search(r"\(FLAGS_1\).*NODELETE", dynamic):
        yield "can be unloaded"
    stack = re.search(r"GNU_STACK.*", readelf("-l", path))
    if not stack or "RWE" in stack[0]:
        yield "wants an executable stack"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(faults(sys.argv[1]))
    print("\n".join(found) or "as it should be")
    sys.exit(bool(found))
