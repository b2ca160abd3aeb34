# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: kit.py BUILD PROJECT MODULE-CHECK INSPECT

A driver with the static kit in it, built from what is installed, never from this tree. It still exports one symbol
and takes nothing of ours at run time."""
import shutil
import sys
import tempfile
from pathlib import Path

from devkit import installed, run


def main(build, project, check, inspect):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = installed(build, folder / "root")
        shutil.copytree(project, folder / "source")
        made = folder / "build"
        run("meson", "setup", made, folder / "source", env=env)
        run("meson", "compile", "-C", made, "-j", "2", env=env)
        run("meson", "test", "-C", made, "--print-errorlogs", env=env)
        print(run(sys.executable, "-B", check, made / "kituser.so"))
        assert "name:       kituser\n" in run(inspect, made / "kituser.so")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
