# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages: built from the tree as it is, with the right files and dependencies."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import chroot
import packages

TOP = Path(chroot.TOP)
SORT_FILES = TOP / "packaging" / "sort-files"


def tree_state():
    return {path: path.stat().st_mtime_ns for room in ("core", "plugins", "docs", "packaging")
            for path in (TOP / room).rglob("*")}


def abi():
    text = (TOP / "core/abi/vireo/driver.h").read_text(encoding="utf-8")
    return [re.search(rf"^#define VIREO_ABI_{name} (\d+)", text, re.M).group(1) for name in ("MAJOR", "MINOR")]


class Debs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        before = tree_state()
        packages.debs()
        cls.touched = tree_state() != before
        control = (TOP / "packaging/debian/control").read_text(encoding="utf-8")
        cls.packages = re.findall(r"^Package: (\S+)", control, re.M)

    def depends(self, package):
        return [entry.strip() for entry in packages.field(packages.deb_of(package), "Depends").split(",")]

    def test_the_tree_is_not_touched(self):
        self.assertFalse(self.touched)

    def test_there_is_every_package(self):
        made = {path.name.split("_")[0] for path in Path(packages.DEBS).glob("*.deb")}
        self.assertEqual(made, set(self.packages))

    def test_the_daemon_provides_the_abi(self):
        major, minor = abi()
        self.assertEqual(packages.field(packages.deb_of("vireo-daemon"), "Provides"), f"vireo-driver-abi-{major} (= {major}.{minor})")

    def test_drivers_depend_on_the_abi_alone(self):
        drivers = [name for name in self.packages if re.fullmatch(r"vireo-driver-(?!dev)\w+", name)]
        self.assertIn("vireo-driver-test", drivers)
        for package in drivers:
            with self.subTest(package), tempfile.TemporaryDirectory() as folder:
                chroot.run("dpkg-deb", "-x", packages.deb_of(package), folder)
                modules = list(Path(folder).glob("usr/lib/*/vireo/drivers-*/*.so"))
                self.assertEqual(len(modules), 1)
                inspect = os.path.join(chroot.BUILD, "core/tools/vireo-driver-inspect")
                wanted = chroot.run(inspect, "--deb-depends", str(modules[0])).strip()
                self.assertRegex(wanted, r"^vireo-driver-abi-\d+ \(>= [\d.]+\)$")
                self.assertEqual([entry for entry in self.depends(package) if "vireo" in entry], [wanted])

    def test_each_file_is_in_one_package(self):
        files = Counter()
        for package in self.packages:
            for line in chroot.run("dpkg-deb", "-c", packages.deb_of(package)).splitlines():
                mode, path = line.split()[0], line.split()[5]
                if mode[0] != "d" and "/usr/share/doc/" not in path:
                    files[path] += 1
        self.assertEqual([path for path, count in files.items() if count > 1], [])
        for path in "./usr/sbin/vireod", "./usr/bin/vireo", "./etc/vireo/vireod.conf":
            self.assertIn(path, files)

    def test_settings_are_conffiles(self):
        for package, wanted in ("vireo-daemon", "/etc/vireo/vireod.conf"), ("vireo-driver-qemu", "/etc/vireo/qemu.conf"):
            self.assertIn(wanted, chroot.run("dpkg-deb", "-I", packages.deb_of(package), "conffiles").split())

    def test_symbols_are_those_of_the_map(self):
        symbols = (TOP / "packaging/debian/libvireo0.symbols").read_text(encoding="utf-8")
        exports = (TOP / "core/lib/exports.map").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^ (vireo_\w+)@VIREO_0 ", symbols, re.M)),
                         set(re.findall(r"^  (\w+);$", exports, re.M)))

    def test_lintian(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        # Not about packages of a distribution's archive, which close a wish for them there.
        changes = [str(path) for path in Path(packages.DEBS).glob("*.changes")]
        self.assertEqual(len(changes), 1)
        done = subprocess.run(["lintian", "--allow-root", "--suppress-tags", "initial-upload-closes-no-bugs", *changes],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode or re.search("^[EW]:", done.stdout, re.M):
            self.fail(f"lintian: exit status {done.returncode}\n{done.stdout}")


class SortFiles(unittest.TestCase):
    def sort(self, *paths, form="debian"):
        with tempfile.TemporaryDirectory() as folder:
            for path in paths:
                file = Path(folder, "root", path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
            done = subprocess.run([SORT_FILES, form, Path(folder, "root"), folder, "vireo-daemon", "vireo-driver-acme"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            lists = {path.stem: path.read_text(encoding="utf-8").splitlines()
                     for path in Path(folder).iterdir() if path.is_file()}
        return done.returncode, done.stdout, lists

    def test_a_driver_is_found_by_its_name(self):
        module, page = "usr/lib/some/vireo/drivers-1/acme.so", "usr/share/man/man7/vireo-acme.7"
        status, _, lists = self.sort(module, page, "etc/vireo/acme.conf", "usr/sbin/vireod")
        self.assertEqual(status, 0)
        self.assertEqual(lists, {"vireo-daemon": ["usr/sbin/vireod"],
                                 "vireo-driver-acme": ["etc/vireo/acme.conf", module, page]})

    def test_rpm_has_directories_and_settings(self):
        _, _, lists = self.sort("usr/sbin/vireod", "etc/vireo/acme.conf", "usr/share/man/man7/vireo-acme.7",
                                "usr/lib64/vireo/drivers-1/acme.so", form="rpm")
        self.assertEqual(lists, {"vireo-daemon": ["/usr/sbin/vireod"], "vireo-driver-acme": [
            "%dir /etc/vireo", "%dir /usr/lib64/vireo", "%dir /usr/lib64/vireo/drivers-1",
            "%config(noreplace) /etc/vireo/acme.conf", "/usr/lib64/vireo/drivers-1/acme.so",
            "/usr/share/man/man7/vireo-acme.7*"]})

    def test_what_belongs_nowhere_is_named(self):
        status, said, _ = self.sort("usr/sbin/vireod", "usr/lib/x/vireo/drivers-1/acme.so", "usr/games/toy")
        self.assertEqual(status, 1)
        self.assertIn("/usr/games/toy: no line of", said)

    def test_a_driver_without_a_package_is_named(self):
        status, said, _ = self.sort("usr/sbin/vireod", "usr/lib/x/vireo/drivers-1/acme.so",
                                    "usr/lib/x/vireo/drivers-1/other.so")
        self.assertEqual(status, 1)
        self.assertIn("belongs to vireo-driver-other, which is no package", said)

    def test_an_empty_package_is_named(self):
        status, said, _ = self.sort("usr/sbin/vireod")
        self.assertEqual(status, 1)
        self.assertIn("vireo-driver-acme: nothing is installed for it", said)


if __name__ == "__main__":
    chroot.main()
