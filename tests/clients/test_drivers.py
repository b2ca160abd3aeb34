# SPDX-License-Identifier: LGPL-2.1-or-later
"""Modules that load and modules that do not, and a driver with trivial flags, seen from vireo and virsh."""
import json
import os
import shutil
import subprocess

import vireotest

MODULES = os.path.join(vireotest.BUILD, "tests", "unit", "loader", "modules")
OURS = os.path.join(vireotest.BUILD, "tests", "clients", "modules")
VIREO = os.path.join(vireotest.BUILD, "core", "cli", "vireo")

# file, the driver's name and scheme in it, the state that using it leads to, words of the reason
SPOILED = [
    ("undefined-symbol", "undefined", "FAILED_LINK", "undefined symbol"),
    ("missing-library", "missing", "FAILED_LINK", "libvireo-test-gone.so.9"),
    ("other-major", "major", "REFUSED_ABI", "ABI 2.0"),
    ("newer-target", "target", "REFUSED_ABI", "ABI 1."),
    ("init-fails", "initfails", "FAILED_INIT", ""),
    ("init-exits", "initexits", "FAILED_INIT", "exit(7)"),
    ("event-row", "eventrow", "REFUSED_ABI", "which is an event"),
    ("duplicate-op", "duplicate", "REFUSED_ABI", "twice"),
    ("twice-flag", "twiceflag", "REFUSED_ABI", "both native and trivial"),
    ("other-mask", "mask", "REFUSED_ABI", "its note and its table"),
]


class Drivers(vireotest.VirshCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        work = vireotest.make_work_dir()
        vireotest.unittest.addModuleCleanup(shutil.rmtree, work, ignore_errors=True)
        modules, empty = os.path.join(work, "modules"), os.path.join(work, "empty")
        os.makedirs(modules)
        os.makedirs(empty)
        for name, _, _, _ in SPOILED:
            shutil.copy(os.path.join(MODULES, name + ".so"), modules)
        shutil.copy(os.path.join(MODULES, "good.so"), modules)
        shutil.copy(os.path.join(OURS, "nometa.so"), modules)
        shutil.copy(os.path.join(MODULES, "good.so"), os.path.join(modules, "open.so"))
        os.chmod(os.path.join(modules, "open.so"), 0o666)
        vireotest.ARGS[:] = ["--driver-dir", modules, "--driver-dir", empty]

    def vireo(self, *args, code=0):
        done = subprocess.run([VIREO, "-c", self.uri(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def uri(self, path="/system"):
        return self.daemon.uri("nometa", path)

    def drivers(self):
        return json.loads(self.vireo("drivers", "--json"))

    def driver_of(self, name):
        for driver in self.drivers():
            if driver["name"] == name:
                return driver
        self.fail(f"{name} is not in {self.drivers()}")

    def try_all(self):
        """A module is loaded when its scheme is first asked for."""
        for _, scheme, _, _ in SPOILED:
            self.virsh_fails("uri", uri=self.daemon.uri(scheme))

    def test_spoiled_modules_are_listed_with_a_true_reason(self):
        self.try_all()
        for file, name, state, words in SPOILED:
            with self.subTest(file=file):
                driver = self.driver_of(name)
                self.assertEqual(driver["state"], state)
                self.assertIn(words, driver["reason"])
                self.assertTrue(driver["reason"])

    def test_module_that_others_may_write(self):
        refused = [d for d in self.drivers() if d["state"] == "REFUSED_PERM"]
        self.assertEqual(len(refused), 1)
        self.assertRegex(refused[0]["reason"], "writ(e|able)")

    def test_the_daemon_serves_the_others(self):
        self.assertEqual(self.driver_of("nometa")["state"], "ACTIVE")
        self.assertEqual(self.virsh("list", "--all", "--name", uri=self.uri()).split(), ["vm"])

    def test_table_for_people(self):
        self.try_all()
        out = self.vireo("drivers")
        self.assertIn("nometa", out)
        self.assertIn("undefined symbol", out)

    def test_can(self):
        op = "domain-snapshot-delete"
        self.assertIn("CHILDREN_ONLY", self.vireo("can", op, "--flags", "CHILDREN_ONLY", code=1))
        self.vireo("can", op, "--flags", "CHILDREN")
        self.assertIn("trivial", self.vireo("can", op, "--flags", "METADATA_ONLY"))
        self.vireo("can", "domain-create", code=1)

    # the driver with trivial METADATA_ONLY

    def snap(self, *args):
        return self.virsh_raw("snapshot-delete", "vm", *args, uri=self.uri())

    def test_snapshots_are_answered_from_the_tree(self):
        self.assertEqual(self.virsh("snapshot-list", "vm", "--name", uri=self.uri()).split(), ["one", "two"])
        self.assertEqual(self.virsh("snapshot-parent", "vm", "two", uri=self.uri()), "one")
        self.assertEqual(self.virsh("snapshot-current", "vm", "--name", uri=self.uri()), "two")

    def test_an_ordinary_delete_reaches_the_driver(self):
        done = self.snap("one")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the driver was asked to delete 'one' with flags 0", done.stderr)

    def test_native_flag_reaches_the_driver(self):
        self.assertIn("with flags 1", self.snap("one", "--children").stderr)

    def test_trivial_metadata_never_reaches_the_driver(self):
        done = self.snap("one", "--metadata")
        self.assertEqual((done.returncode, done.stderr.strip()), (0, ""))
        self.assertEqual(self.virsh("snapshot-list", "vm", "--name", uri=self.uri()).split(), ["one", "two"])

    def test_trivial_metadata_of_a_snapshot_that_is_not_there(self):
        done = self.snap("nope", "--metadata")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("was asked", done.stderr)
        self.assertIn("nope", done.stderr)

    def test_unadvertised_flag_is_refused_by_name(self):
        done = self.snap("one", "--children-only")
        self.assertEqual(done.returncode, 1)
        self.assertIn("CHILDREN_ONLY", done.stderr)
        self.assertIn("nometa", done.stderr)
        self.assertIn("METADATA_ONLY", done.stderr)    # what is supported
        self.assertNotIn("was asked", done.stderr)

    def test_operation_that_is_not_there(self):
        error = self.virsh_fails("start", "vm", uri=self.uri())
        self.assertRegex(error, "not supported")


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        vireotest.skip_file("Vireo only: driver modules")
    vireotest.main()
