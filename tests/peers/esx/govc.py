# SPDX-License-Identifier: LGPL-2.1-or-later
"""govc, the command line for vSphere: a witness that shares nothing with the driver. Debian has it as source only, in that of
the library which the simulator is made of."""
import os
import subprocess
from pathlib import Path

from simulator import GOPATH, go_build, skip

PACKAGE = "golang-github-vmware-govmomi-dev"
UNPACK = Path(__file__).parents[3] / "packaging" / "debian-source"


def build(folder):
    """Builds it, when it is not there yet."""
    program = folder / "govc"
    if program.exists():
        return program
    if not (GOPATH / "src/github.com/kr/pretty").is_dir():
        skip("govc needs the package golang-github-kr-pretty-dev")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gopath.{os.getpid()}"
    source = path / "src/github.com/vmware/govmomi"
    source.parent.mkdir(parents=True)
    got = subprocess.run([UNPACK, PACKAGE, source], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if got.returncode:
        skip(f"the source of govc cannot be had: {got.stderr.strip()}")
    go_build(folder, Path(__file__).parent / "govc", program, f"{path}:{GOPATH}")
    return program
