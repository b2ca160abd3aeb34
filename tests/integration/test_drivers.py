# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test_drivers.py VIREOD VIREO MODULES

A daemon with a directory full of broken modules: each is shown with the true reason, and the daemon, its
good drivers and its clients go on."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

VIREOD, VIREO, MODULES = map(Path, sys.argv[1:4])

# What a client that asks for the scheme learns, and what `vireo drivers` shows then: file, scheme, state, reason.
BROKEN = [
    ("undefined-symbol", "undefined", "FAILED_LINK", "undefined symbol: nobody_defines_this"),
    ("missing-library", "missing", "FAILED_LINK", "libvireo-test-gone.so.9: cannot open shared object file"),
    ("other-major", "major", "REFUSED_ABI", "built for driver ABI 2.0; this daemon has 1."),
    ("newer-target", "target", "REFUSED_ABI", "needs driver ABI 1.7 or newer; this daemon has 1."),
    ("init-fails", "initfails", "FAILED_INIT", "'initfails' did not start"),
    ("other-mask", "mask", "REFUSED_ABI", "other flags for domain-undefine-flags"),
    ("other-count", "count", "REFUSED_ABI", "its note has 3 operations, its table 2"),
    ("duplicate-op", "duplicate", "REFUSED_ABI", "has operation domain-undefine-flags twice"),
    ("null-slot", "nullslot", "REFUSED_ABI", "operation domain-undefine-flags has no function"),
    ("no-note", "no-note", "REFUSED_ABI", "a shared object without a driver note"),
    ("no-entry", "noentry", "REFUSED_ABI", "does not export vireo_driver_entry_1"),
]


class Daemon:
    """A private daemon; ends with the test."""

    def __init__(self, modules=(), config=""):
        self.folder = Path(tempfile.mkdtemp(prefix="vireo-drivers-"))
        self.drivers = self.folder / "drivers"
        self.drivers.mkdir(mode=0o755)
        for name in modules:
            self.add(name)
        self.options = []
        if config:
            (self.folder / "vireod.conf").write_text(config)
            self.options = ["--config", str(self.folder / "vireod.conf")]

    def add(self, name, to=None, mode=0o644):
        target = self.drivers / f"{to or name}.so"
        fresh = target.with_suffix(".new")
        shutil.copyfile(MODULES / f"{name}.so", fresh)
        fresh.chmod(mode)
        fresh.rename(target)

    def __enter__(self):
        self.log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(
            [VIREOD, "--root", self.folder, "--driver-dir", self.drivers, *self.options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.socket = self.folder / "run/vireo/vireo-sock"
        for _ in range(200):
            if self.socket.exists() or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not self.socket.exists():
            self.process.kill()
            self.process.wait()
            self.log.close()
            raise AssertionError((self.folder / "log").read_text())
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        if alive:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        self.log.close()
        text = (self.folder / "log").read_text()
        shutil.rmtree(self.folder)
        assert alive and status == 0, f"the daemon ended with {status}:\n{text}"

    def vireo(self, *args):
        return subprocess.run([VIREO, "-S", self.socket, *args], capture_output=True, text=True, timeout=30)

    def rows(self):
        done = self.vireo("--json", "drivers")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def row(self, name):
        return next(row for row in self.rows() if row["name"] == name)

    def refused(self, scheme, reason):
        done = self.vireo("-c", f"{scheme}:///x", "uri")
        assert done.returncode != 0, done.stdout
        assert reason in done.stderr, done.stderr


class Drivers(unittest.TestCase):
    maxDiff = None

    def expect(self, daemon, name, state, reason):
        row = daemon.row(name)
        self.assertEqual(row["state"], state, row)
        self.assertIn(reason, row["reason"])

    def test_broken_modules(self):
        with Daemon([file for file, *_ in BROKEN] + ["good"]) as daemon:
            for _, scheme, state, reason in BROKEN:
                daemon.refused(scheme, reason)
                self.expect(daemon, scheme, state, reason)
            self.expect(daemon, "good", "FOUND", "")
            done = daemon.vireo("-c", "good:///x", "uri")
            self.assertEqual((done.returncode, done.stdout.strip()), (0, "good:///x"), done.stderr)
            self.expect(daemon, "good", "ACTIVE", "")

    def test_permissions(self):
        with Daemon() as daemon:
            daemon.add("good", mode=0o664)
            daemon.add("init-fails", "other", mode=0o646)
            (daemon.drivers / "linked.so").symlink_to("good.so")
            daemon.refused("good", "its group may write to it (mode 0664)")
            self.expect(daemon, "good", "REFUSED_PERM", "its group may write to it (mode 0664)")
            self.expect(daemon, "other", "REFUSED_PERM", "anybody may write to it (mode 0646)")
            self.expect(daemon, "linked", "REFUSED_PERM", "a symbolic link")

    def test_writable_directory(self):
        daemon = Daemon(["good"])
        daemon.drivers.chmod(0o777)
        with daemon:
            self.expect(daemon, "good", "REFUSED_PERM", "anybody may write to it (mode 0777)")
            daemon.refused("good", "anybody may write to it")

    def test_not_modules(self):
        with Daemon() as daemon:
            whole = (MODULES / "good.so").read_bytes()
            for name, content in ("text", b"#!/bin/sh\n"), ("empty", b""), ("cut", whole[:len(whole) // 2]):
                (daemon.drivers / f"{name}.so").write_bytes(content)
                (daemon.drivers / f"{name}.so").chmod(0o644)
            self.expect(daemon, "text", "REFUSED_ABI", "not an ELF file")
            self.expect(daemon, "empty", "REFUSED_ABI", "not an ELF file")
            self.expect(daemon, "cut", "REFUSED_ABI", "the file is cut off")

    def test_empty_directory(self):
        with Daemon() as daemon:
            self.assertEqual([(r["state"], r["path"], r["reason"]) for r in daemon.rows()],
                             [("ABSENT", str(daemon.drivers), "holds no driver module")])

    def test_missing_directory(self):
        daemon = Daemon()
        daemon.drivers.rmdir()
        with daemon:
            self.assertEqual([(r["state"], r["path"], r["reason"]) for r in daemon.rows()],
                             [("ABSENT", str(daemon.drivers), "no such directory")])

    def test_package_comes_changes_and_goes(self):
        with Daemon() as daemon:
            daemon.add("good")
            self.assertEqual(daemon.vireo("-c", "good:///x", "uri").returncode, 0)
            daemon.add("init-fails", "good")
            self.expect(daemon, "good", "STALE", "its file has changed since it was loaded")
            self.assertEqual(daemon.vireo("-c", "good:///x", "uri").returncode, 0)
            (daemon.drivers / "good.so").unlink()
            self.expect(daemon, "good", "STALE", "its file has been removed since it was loaded")
            self.assertEqual(daemon.vireo("-c", "good:///x", "uri").returncode, 0)

    def test_masked(self):
        with Daemon(["good", "init-fails"], config="[vireod]\nmasked_drivers = good\n") as daemon:
            self.expect(daemon, "good", "MASKED", "masked_drivers")
            daemon.refused("good", "masked_drivers")
            self.expect(daemon, "initfails", "FOUND", "")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]])
