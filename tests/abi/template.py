# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: template.py BUILD TEMPLATE MODULE-CHECK INSPECT ENGINE-TEST

The template driver, as somebody outside the tree would have it: copied away, built with meson from the
installed ABI headers alone, tested by its own test, and then loaded and used by the real loader."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def run(*command, **rest):
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **rest)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def installed(build, folder):
    """An environment in which only the development files of this build are known."""
    env = dict(os.environ, DESTDIR=str(folder), PKG_CONFIG_SYSROOT_DIR=str(folder), PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
    run("meson", "install", "-C", build, "--no-rebuild", "--tags", "devel", env=env)
    env.pop("DESTDIR")
    found = list(folder.rglob("vireo-driver.pc"))
    assert len(found) == 1, found
    env["PKG_CONFIG_PATH"] = str(found[0].parent)
    # The sysroot is for our own headers; the other libraries are the system's.
    flags = run("pkg-config", "--cflags", "vireo-driver", env=env).split()
    assert flags and all(f.startswith(f"-I{folder}") for f in flags), flags
    text = found[0].read_text().replace("prefix=/", f"prefix={folder}/", 1)
    found[0].write_text(text)
    env.pop("PKG_CONFIG_SYSROOT_DIR")
    return env


def main(build, template, check, inspect, engine):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = installed(build, folder / "root")
        assert not list((folder / "root").rglob("catalogue.h")), "internal headers are installed"
        shutil.copytree(template, folder / "demo")
        run("meson", "setup", "--werror", folder / "build", folder / "demo", env=env)
        run("meson", "compile", "-C", folder / "build", "-j", "2", env=env)
        run("meson", "test", "-C", folder / "build", "--print-errorlogs", env=env)
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
