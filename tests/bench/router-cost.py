# SPDX-License-Identifier: LGPL-2.1-or-later
"""router-cost.py BENCH-CORE TEST.so

What the router adds to a call, in instructions: counted, not timed, so it is the same on a busy machine. The bound
is about twice of what it is, far below the 2 us that a call may cost more than the driver's function alone."""
import re
import shutil
import subprocess
import sys
import tempfile

EXIT_SKIP = 77
OPS = {"connect_get_version": 6000, "domain_get_hostname": 9000}    # without and with an object and a flag
FEW, MANY = 500, 1500


def instructions(work, *args):
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={work}/out", *args], check=True,
                          stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def per_call(work, core, how, module, op):
    few, many = (instructions(work, core, how, module, op, str(count)) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def main(core, module):
    if not shutil.which("valgrind"):
        print("SKIP: no valgrind (package valgrind)")
        return EXIT_SKIP
    missed = False
    with tempfile.TemporaryDirectory() as work:
        for op, bound in OPS.items():
            alone, through = (per_call(work, core, how, module, op) for how in ("direct", "routed"))
            print(f"{op}: {alone:.0f} instructions alone, {through - alone:.0f} more through the router (bound {bound})")
            missed = missed or through - alone > bound or through <= alone
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
