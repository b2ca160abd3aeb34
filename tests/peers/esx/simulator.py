# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vSphere simulator: govmomi's, from Debian, as ./esxsim completes it."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

GOPATH = Path("/usr/share/gocode")
SKIP = 77
USER, PASSWORD = "root", "pw"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def go_build(folder, source, program, path=GOPATH):
    """Two runs at once: each makes a file of its own, the last one stays. Paths are left out of it, so that what is the same in
    two programs is compiled once."""
    env = dict(os.environ, GO111MODULE="off", GOPATH=str(path), GOCACHE=str(folder / "cache"), GOFLAGS="-trimpath")
    made = program.with_name(f"{program.name}.{os.getpid()}")
    subprocess.run(["go", "build", "-o", made, "."], cwd=source, env=env, check=True)
    made.replace(program)


def build(folder):
    """Builds it, when it is not there yet."""
    if not shutil.which("go"):
        skip("no Go compiler (package golang-go)")
    if not (GOPATH / "src/github.com/vmware/govmomi/simulator").is_dir():
        skip("no vSphere simulator (package golang-github-vmware-govmomi-dev)")
    folder.mkdir(parents=True, exist_ok=True)
    go_build(folder, Path(__file__).parent / "esxsim", folder / "esxsim")
    return folder / "esxsim"


class Simulator:
    """Runs until stop(), or as a context. options: -esx, -raw, -enrich, -vm N, -method-delay ..."""

    def __init__(self, folder, *options, port=0):
        self.program, self.options = build(Path(folder).resolve()), options
        self.process, self.port = None, port
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "-l", f"127.0.0.1:{self.port}", "-username", USER, "-password", PASSWORD, *self.options],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        found = re.search(r"@127\.0\.0\.1:(\d+)/sdk", self.process.stdout.readline())
        assert found, "the simulator did not start"
        self.port = int(found[1])
        self.server = f"127.0.0.1:{self.port}"

    def stop(self):
        if self.process:
            with contextlib.closing(self.process.stdout):
                self.process.terminate()
                self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()
