# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: major.py VIREOD VIREOD-WITH-ADAPTER VIREO MODULE...

Modules of a major that never was (tests/abi/major0), in the daemon that has an adapter for it and in the one that has
not. Exit status 77: there is no virsh."""
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import living

PLAIN, ADAPTED, VIREO, *MODULES = sys.argv[1:]
MODULES = {Path(module).stem: module for module in MODULES}


class Major(unittest.TestCase):
    def setUp(self):
        self.work = Path(living.vireotest.make_work_dir())
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.drivers = self.work / "drivers"
        self.drivers.mkdir(mode=0o755)
        os.environ.update(LC_ALL="C.UTF-8", HOME="/nonexistent", XDG_CACHE_HOME=str(self.work))

    def daemon(self, program, *names):
        for name in names:
            shutil.copy(MODULES[name], self.drivers)
            os.chmod(self.drivers / f"{name}.so", 0o644)
        return living.running(program, self.drivers, self.work)

    def virsh(self, socket, name, *args, path="/system", status=0):
        done = living.virsh(socket, name, *args, path=path)
        self.assertEqual(done.returncode, status, (args, done.stdout, done.stderr))
        return done.stderr if status else done.stdout

    def test_modules_that_are_adapted(self):
        with self.daemon(ADAPTED, "zero", "nil") as socket:
            for name, minor in ("zero", 0), ("nil", 3):
                with self.subTest(module=name):
                    self.assertEqual(self.virsh(socket, name, "list", "--name").strip(), f"{name}-guest")
                    self.assertEqual(self.virsh(socket, name, "domstate", f"{name}-guest").strip(), "running")
                    self.assertIn(f"<name>{name}-guest", self.virsh(socket, name, "dumpxml", f"{name}-guest"))
                    self.virsh(socket, name, "dumpxml", f"{name}-guest", "--security-info")
                    refused = self.virsh(socket, name, "dumpxml", f"{name}-guest", "--inactive", status=1)
                    self.assertIn("flag INACTIVE is not supported", refused)
                    self.assertIn(f"the only URI is {name}:///system",
                                  self.virsh(socket, name, "list", path="/other", status=1))
                    uri = f"{name}+unix:///system?socket={socket}"
                    told = living.devkit.run(VIREO, "-c", uri, "driver", name)
                    self.assertRegex(told, r"(?m)^State:? +ACTIVE$")
                    self.assertRegex(told, rf"(?m)^ABI:? +0\.{minor}$")

    def test_as_many_as_there_are_slots(self):
        with self.daemon(ADAPTED, "zero", "nil", "nought") as socket:
            for name in "zero", "nil":
                self.virsh(socket, name, "list")
            self.virsh(socket, "nought", "list", status=1)
            self.assertIn("no more than 2 modules", living.driver(VIREO, socket, "nought")["reason"])
            self.virsh(socket, "zero", "list")

    def refused(self, program, name, reason):
        with self.daemon(program, name) as socket:
            self.virsh(socket, name, "list", status=1)
            row = living.driver(VIREO, socket, name)
            self.assertEqual(row["state"], "REFUSED_ABI")
            self.assertIn(reason, row["reason"])

    def test_newer_than_the_adapter(self):
        self.refused(ADAPTED, "null", "needs driver ABI 0.4 or newer; this daemon has 0.3")

    def test_without_an_adapter(self):
        self.refused(PLAIN, "zero", "built for driver ABI 0.0; this daemon has 1.")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    if not shutil.which("virsh"):
        print("virsh is missing (package libvirt-clients)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0]])
