# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: template.py BUILD TEMPLATE MODULE-CHECK INSPECT ENGINE-TEST

The template driver, as somebody outside the tree would have it: copied away, built with meson from the
installed ABI headers alone, tested by its own test, and then loaded and used by the real loader."""
import os
import shutil
import sys
import tempfile
from pathlib import Path

from devkit import installed, run


def main(build, template, check, inspect, engine):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = installed(build, folder / "root")
        shutil.copytree(template, folder / "demo")
        run("meson", "setup", "--werror", folder / "build", folder / "demo", env=env)
        run("meson", "compile", "-C", folder / "build", "-j", "2", env=env)
        told = run("meson", "test", "-C", folder / "build", "--print-errorlogs", env=env)
        assert "contract" in told, told
        module = folder / "build" / "demo.so"
        run(sys.executable, "-B", check, module)
        table = run(inspect, module)
        assert "name:       demo\n" in table and "operations: 10\n" in table, table
        drivers = folder / "drivers"
        drivers.mkdir(mode=0o755)
        shutil.copy(module, drivers)
        os.chmod(drivers / "demo.so", 0o644)
        print(run(engine, drivers, folder))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
