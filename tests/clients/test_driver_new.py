# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stranger's path: vireo-driver-new, built from what is installed and never from this tree, used by virsh."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import vireotest

ABI = os.path.join(vireotest.TOP, "tests", "abi")
sys.path.insert(0, ABI)
import devkit  # noqa: E402

INSPECT = os.path.join(vireotest.BUILD, "core", "tools", "vireo-driver-inspect")
LANGUAGES = {"acme": "c", "ufo9": "c++", "self": "rust"}  # a name may be a word of the language
COMPILERS = {"c": "cc", "c++": "g++", "rust": "rustc"}
BAD_NAMES = ["", "Acme", "9lives", "a-b", "a_b", "a/b", "../x", "a b", "a;b", "-x", "test", "qemu", "install", "ä", "a\nb",
             "a" * 25]


class DriverNew(vireotest.VirshCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = Path(vireotest.make_work_dir())
        vireotest.unittest.addModuleCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        cls.env = devkit.installed(vireotest.BUILD, cls.place / "root")
        cls.tool, = (cls.place / "root").rglob("bin/vireo-driver-new")
        drivers = cls.place / "drivers"
        drivers.mkdir(mode=0o755)
        cls.modules = {}
        for name, language in LANGUAGES.items():
            if not shutil.which(COMPILERS[language]):
                print(f"{COMPILERS[language]} is not there: no driver in {language}")
                continue
            made = cls.place / f"build-{name}"
            cls.run_new(name, cls.place / name, "-l", language)
            devkit.run("meson", "setup", "--werror", made, cls.place / name, env=cls.env)
            devkit.run("meson", "compile", "-C", made, "-j", "2", env=cls.env)
            devkit.run("meson", "test", "-C", made, "--print-errorlogs", env=cls.env)
            devkit.run("meson", "install", "-C", made, env=dict(cls.env, DESTDIR=str(cls.place / "their")))
            module, = (cls.place / "their").rglob(f"{name}.so")
            cls.modules[name] = drivers / module.name
            shutil.copy(module, drivers)
            os.chmod(cls.modules[name], 0o644)
        vireotest.ARGS[:] = ["--driver-dir", str(drivers)]

    @classmethod
    def new(cls, *args, **kwargs):
        return subprocess.run([cls.tool, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, text=True, timeout=30, **kwargs)

    @classmethod
    def run_new(cls, *args):
        done = cls.new(*args)
        assert done.returncode == 0, done.stderr

    def test_life_of_a_domain(self):
        for name in self.modules:
            with self.subTest(driver=name):
                uri = self.daemon.uri(name, "/default")
                devkit.live(lambda *words, uri=uri: self.virsh_raw(*words, uri=uri), Path(self.work))

    def test_modules_are_as_they_should_be(self):
        for name, module in self.modules.items():
            with self.subTest(driver=name):
                devkit.run(sys.executable, "-B", os.path.join(ABI, "module.py"), module)
                self.assertIn(f"name:       {name}\n", devkit.run(INSPECT, module))
                self.assertEqual(devkit.run(INSPECT, "--deb-depends", module), "vireo-driver-abi-1 (>= 1.0)\n")
                if shutil.which("rst2man"):
                    page, = (self.place / "their").rglob(f"vireo-{name}.7")
                    self.assertIn("WHAT IT MANAGES", page.read_text())

    def test_nothing_of_the_template_is_left(self):
        for name in self.modules:
            for path in (self.place / name).iterdir():
                self.assertNotRegex(path.name + path.read_text(), r"(?i)\bdemo\b")

    def test_debian(self):
        place = self.place / "packed"
        done = self.new("--debian", "packed", place, env=dict(os.environ, DEBFULLNAME="A & B", DEBEMAIL="a@b.example"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("dpkg-buildpackage", done.stdout)
        files = [path for path in (place / "debian").rglob("*") if path.is_file()]
        self.assertEqual({path.name for path in files}, {"control", "rules", "changelog", "copyright", "format"})
        for path in files:
            self.assertNotRegex(path.read_text(), r"(?i)\bdemo\b|%[A-Z]+%")
        self.assertIn("Maintainer: A & B <a@b.example>\n", (place / "debian" / "control").read_text())
        self.assertTrue(os.access(place / "debian" / "rules", os.X_OK))
        self.run_new("--debian", "--language=rust", "rusty", self.place / "rusty")
        self.assertIn("\n rustc,\n", (self.place / "rusty" / "debian" / "control").read_text())

    def test_bad_names(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in BAD_NAMES:
                with self.subTest(name=name):
                    done = self.new(name, os.path.join(folder, "x"))
                    self.assertEqual(done.returncode, 2, done.stdout)
                    self.assertTrue(done.stderr.startswith("vireo-driver-new: "))
            for args in ([], ["a", "b", "c"], ["--language=cobol", "a"], ["--what", "a"], ["a", "-l"]):
                self.assertEqual(self.new(*args, cwd=folder).returncode, 2)
            self.assertEqual(os.listdir(folder), [])

    def test_never_overwrites(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "dir"))
            Path(folder, "file").write_text("mine")
            os.symlink("nowhere", os.path.join(folder, "link"))
            for name in ("dir", "file", "link"):
                done = self.new("acme", os.path.join(folder, name))
                self.assertEqual(done.returncode, 1)
                self.assertIn("is there already", done.stderr)
            self.assertEqual(self.new("acme", os.path.join(folder, "no", "where")).returncode, 1)
            self.assertEqual(sorted(os.listdir(folder)), ["dir", "file", "link"])
            self.assertEqual(os.listdir(os.path.join(folder, "dir")), [])
            self.assertEqual(Path(folder, "file").read_text(), "mine")

    def test_default_place(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.new("acme", cwd=folder).returncode, 0)
            self.assertEqual(sorted(os.listdir(os.path.join(folder, "vireo-driver-acme"))),
                             ["acme.c", "acme.rst", "exports.map", "guest.xml", "meson.build", "test-acme.c"])


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        vireotest.skip_file("Vireo only: driver modules")
    vireotest.main()
