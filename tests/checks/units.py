# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: units.py TOP VIREOD

The units in packaging/systemd as systemd reads them: nothing to complain about, no service more exposed than
docs/systemd.md says, guests outlive each service, and each socket is what the daemon takes it for."""
import configparser
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

EXIT_SKIP = 77
DRIVERS = ["qemu", "test"]
TOP, VIREOD = pathlib.Path(), ""


def read(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str
    parser.read(path)
    return parser


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.TemporaryDirectory(prefix="vireo-units-")
        cls.addClassCleanup(cls.work.cleanup)
        cls.dir = pathlib.Path(cls.work.name)
        shutil.copytree(TOP / "packaging" / "systemd", cls.dir, dirs_exist_ok=True)
        for path in cls.dir.glob("*.in"):
            path.with_suffix("").write_text(path.read_text().replace("@vireod@", VIREOD))
            path.unlink()
        for path in [*cls.dir.glob("*@.*")]:
            if path.is_file():
                for driver in DRIVERS:
                    shutil.copy(path, path.with_name(path.name.replace("@.", f"@{driver}.")))
                path.unlink()

    def services(self):
        return sorted(self.dir.glob("*.service"))

    def test_verify(self):
        self.assertEqual(len(self.services()), 1 + len(DRIVERS))
        units = [*self.services(), *self.dir.glob("*.socket")]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True,
                              check=False)
        # It reads the units of this machine too, which are not our business.
        said = [line for line in done.stderr.splitlines() if "vireod" in line]
        self.assertEqual((done.returncode, said), (0, []))

    def test_exposure(self):
        """The figures of the page hold."""
        page = (TOP / "docs" / "systemd.md").read_text()
        figures = dict(re.findall(r"^\| `([\w@-]+\.service)`[^|]*\| ([0-9.]+) \|", page, re.M))
        self.assertEqual(set(figures), {path.name for path in self.services()})
        for path in self.services():
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                                  capture_output=True, text=True, check=False)
            found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
            self.assertTrue(found, done.stdout + done.stderr)
            self.assertLessEqual(float(found[1]), float(figures[path.name]), path.name)

    def test_guests_outlive(self):
        for path in self.services():
            service = read(path)["Service"]
            self.assertEqual((service["KillMode"], service["OOMPolicy"]), ("process", "continue"), path.name)

    def test_sockets(self):
        """Name, path and mode agree, and the service of each is there."""
        modes = {"rw": ("-sock", "0700"), "ro": ("-sock-ro", "0777"), "admin": ("-admin-sock", "0700"),
                 "driver": ("", "0600")}
        for path in self.dir.glob("*.socket"):
            lines = path.read_text()
            socket = read(path)["Socket"]
            suffix, mode = modes[socket["FileDescriptorName"]]
            self.assertEqual(socket["SocketMode"], mode, path.name)
            for where in re.findall(r"^Listen\w+=(.*)$", lines, re.M):
                self.assertTrue(where.startswith("/run/") and where.endswith(suffix), f"{path.name}: {where}")
            driver = re.search(r"@(\w+)\.", path.name)
            service = socket["Service"].replace("%i", driver[1] if driver else "")
            self.assertTrue((self.dir / service).exists(), service)
            self.assertIn(path.name.replace(driver[0], "@%i.") if driver else path.name,
                          read(self.dir / service)["Install"]["Also"].split())


if __name__ == "__main__":
    TOP, VIREOD = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not shutil.which("systemd-analyze"):
        print("SKIP: systemd-analyze is missing (package systemd)")
        sys.exit(EXIT_SKIP)
    unittest.main(argv=sys.argv[:1])
