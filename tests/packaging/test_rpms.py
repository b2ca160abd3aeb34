# SPDX-License-Identifier: LGPL-2.1-or-later
"""The RPM packages: built from the tree as it is, with the right files and dependencies; and in a system of their own,
with Debian's rpm, where what they need of others comes from Debian."""
import re
import subprocess
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import chroot
import packages
from test_debs import abi
from test_install import MEMORY_ONLY, START, STOP, Debian

SPEC = Path(chroot.TOP, "packaging", "rpm", "vireo.spec").read_text(encoding="utf-8")
DRIVERS = ["vireo-driver-" + name for name in re.search(r"^%global drivers (.*)", SPEC, re.M).group(1).split()]
NAMES = re.findall(r"^%package -n ([\w-]+)$", SPEC, re.M) + DRIVERS
ABI = "vireo-driver-abi(%s)" % abi()[0]
MINOR = ".".join(abi())

# Somebody's driver. What is packed in place of a module of their own is $MODULE.
ACME = """
Name: vireo-driver-acme
Version: 1
Release: 1
Summary: acme
License: LGPL-2.1-or-later
%define debug_package %{nil}
%define __os_install_post %{nil}
%description
acme
%install
mkdir -p %{buildroot}/usr/lib64/vireo/drivers-1
cp $MODULE %{buildroot}/usr/lib64/vireo/drivers-1/acme.so
%files
/usr/lib64/vireo/drivers-1/acme.so
"""


def rpm_of(name):
    found = list(Path(packages.rpms()).glob(f"{name}-[0-9]*.rpm"))
    assert len(found) == 1, (name, found)
    return str(found[0])


def query(what, name):
    return chroot.run("rpm", "-qp", what, rpm_of(name)).splitlines()


def of_ours(lines):
    return [line for line in lines if "vireo" in line]


def unmet(*names):
    """What rpm misses when these alone are installed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["rpm", "--force-debian", "--dbpath", folder, "--test", "-i", *map(rpm_of, names)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return re.findall(r"^\s+(\S.*) is needed by", done.stdout, re.M)


class Rpms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        packages.rpms()

    def test_there_is_every_package(self):
        made = {re.sub(r"-\d.*", "", path.name) for path in Path(packages.RPMS).glob("*.rpm")}
        self.assertEqual(made, set(NAMES))
        self.assertIn("vireo-driver-test", made)

    def test_the_daemon_provides_the_abi(self):
        self.assertIn(f"{ABI} = {MINOR}", query("--provides", "vireo-daemon"))

    def test_drivers_require_the_abi_alone(self):
        for name in DRIVERS:
            with self.subTest(name):
                module = Path(chroot.BUILD, "plugins", name.replace("vireo-driver-", "") + ".so")
                inspect = Path(chroot.BUILD, "core/tools/vireo-driver-inspect")
                wanted = chroot.run(str(inspect), "--rpm-requires", str(module)).strip()
                self.assertRegex(wanted, rf"^{re.escape(ABI)} >= [\d.]+$")
                required = of_ours(query("--requires", name))
                self.assertEqual([line for line in required if not line.startswith(f"config({name})")], [wanted])
                self.assertIn(wanted, unmet(name))

    def test_they_are_enough_for_each_other(self):
        missing = unmet(*NAMES)
        self.assertIn("libglib-2.0.so.0()(64bit)", missing)
        self.assertEqual(of_ours(missing), [])

    def test_the_daemon_needs_no_tools_of_developers(self):
        for name in "vireo-daemon", "vireo-client", "libvireo0", *DRIVERS:
            wrong = [line for line in query("--requires", name) if re.search("san|-dev|python|perl|pkg", line)]
            self.assertEqual(wrong, [], name)

    def test_each_file_is_in_one_package(self):
        files = Counter()
        for name in NAMES:
            for line in query("--dump", name):
                path, mode = line.split()[0], line.split()[4]
                if not mode.startswith("04"):
                    files[path] += 1
        self.assertEqual([path for path, count in files.items() if count > 1], [])
        for path in "/usr/sbin/vireod", "/usr/bin/vireo", "/etc/vireo/vireod.conf", "/usr/lib/rpm/vireo-driver.req":
            self.assertIn(path, files)

    def test_settings_are_config(self):
        for name, path in ("vireo-daemon", "/etc/vireo/vireod.conf"), ("vireo-driver-qemu", "/etc/vireo/qemu.conf"):
            self.assertIn(path, query("--configfiles", name))


class Used(Debian):
    def system(self):
        return chroot.system("run", binds=[packages.rpms() + ":/rpms"])

    def rpm(self, action, *names):
        what = " ".join(f"/rpms/{Path(rpm_of(name)).name}" if "e" not in action else name for name in names)
        return self.sh(f"rpm --force-debian --nodeps -{action} {what}")

    def setUp(self):
        super().setUp()
        self.sh("mkdir -p /usr/lib64; echo /usr/lib64 >/etc/ld.so.conf.d/lib64.conf")    # Debian's has it elsewhere

    def test_a_running_daemon_notices_drivers(self):
        before = self.files()
        self.rpm("i", "vireo-daemon", "vireo-client", "libvireo0")
        self.sh(START)
        daemon = self.daemon_pid()
        self.assertNotEqual(self.debian.try_sh("virsh -c test+unix:///default list")[0], 0)
        self.rpm("i", "vireo-driver-test")
        self.debian.wait_for("virsh -c test+unix:///default list")
        Path(self.debian.path("/root/toy.xml")).write_text(MEMORY_ONLY, encoding="utf-8")
        self.sh("virsh -c test+unix:///default create /root/toy.xml")

        removed = self.rpm("e", "vireo-driver-test")
        self.assertIn("domains of test:///default are active:", removed)
        self.assertIn("    toy\nThey go on", removed)
        self.assertIn("running", self.sh("virsh -c test+unix:///default domstate toy"))
        self.assertEqual(self.daemon_pid(), daemon)
        self.sh(STOP)
        self.rpm("e", "vireo-daemon", "vireo-client", "libvireo0")
        ours = [path for path in self.files() - before if re.search(r"^/usr/.*vireo|\.conf", path)]    # not its state
        self.assertEqual(ours, [])

    def test_a_driver_from_elsewhere(self):
        self.rpm("i", "vireo-driver-devel", "vireo-driver-test")
        Path(self.debian.path("/root/acme.spec")).write_text(ACME, encoding="utf-8")
        self.sh("MODULE=/usr/lib64/vireo/drivers-1/test.so rpmbuild -bb acme.spec")
        required = self.sh("rpm -qp --requires rpmbuild/RPMS/*/vireo-driver-acme-1-1.*.rpm")
        self.assertEqual(of_ours(required.splitlines()), of_ours(query("--requires", "vireo-driver-test")))

        status, said = self.debian.try_sh("echo rubbish >bad; MODULE=/root/bad rpmbuild -bb acme.spec")
        self.assertNotEqual(status, 0)
        self.assertRegex(said, r"vireo-driver-inspect: .*acme\.so: ")
        status, said = self.debian.try_sh("sed -i s/drivers-1/drivers-7/ acme.spec;"
                                          " MODULE=/usr/lib64/vireo/drivers-1/test.so rpmbuild -bb acme.spec")
        self.assertNotEqual(status, 0)
        self.assertRegex(said, rf"is no driver for ABI 7, it needs {re.escape(ABI)}")


del Debian    # it has no tests of its own

if __name__ == "__main__":
    chroot.main()
