# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: skew.py headers|core BUILD FOLDER SOURCE

Modules and daemons of different minors, as strangers have them: drivers made by vireo-driver-new, a real vireod,
stock virsh.

headers  the template, built with the headers of each released minor (FOLDER/headers), on the daemon of BUILD
core     the template as it is now, on the daemon of the oldest release, which is built from the history of SOURCE;
         and a module for today's minor, which that daemon refuses before any of its code runs

Exit status 77: it cannot be tried here, and why."""
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import devkit
import living

ACTION, BUILD, FOLDER, SOURCE = sys.argv[1], *map(Path, sys.argv[2:5])
LANGUAGES = {"c": "gcc", "c++": "g++", "rust": "rustc"}
RELEASES = sorted((FOLDER / "headers").iterdir(), key=lambda path: [int(part) for part in path.name.split(".")])
MARKER = """
__attribute__((constructor)) static void leave_a_mark(void)
{
    FILE *file = fopen(MARK, "w");

    if (file)
        fclose(file);
}
"""


class Skew(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Path(living.vireotest.make_work_dir())
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        cls.env = devkit.installed(BUILD, cls.work / "devel")
        cls.new, = (cls.work / "devel").rglob("bin/vireo-driver-new")
        cls.drivers = cls.work / "drivers"
        cls.drivers.mkdir(mode=0o755)
        os.environ.update(LC_ALL="C.UTF-8", HOME="/nonexistent", XDG_CACHE_HOME=str(cls.work))

    def build(self, name, language, env):
        """The template under that name, tested by its own test."""
        made, tree = self.work / f"build-{name}", self.work / name
        if not tree.exists():
            devkit.run(self.new, "--language", language, name, tree)
        devkit.run("meson", "setup", "--werror", made, tree, env=env)
        devkit.run("meson", "test", "-C", made, "--print-errorlogs", env=env)
        shutil.copy(made / f"{name}.so", self.drivers)
        os.chmod(self.drivers / f"{name}.so", 0o644)

    def build_all(self, names, env):
        """{name: language}; what has no compiler here is left out."""
        names = {name: language for name, language in names.items() if shutil.which(LANGUAGES[language])}
        self.assertTrue(names)
        for name, language in names.items():
            self.build(name, language, env)
        return names

    def live(self, socket, names):
        for name in names:
            with self.subTest(driver=name):
                devkit.live(lambda *args, name=name: living.virsh(socket, name, *args), self.work)


class Headers(Skew):
    def released(self, place):
        """An environment that has the headers of that release and no others."""
        include = self.work / place.name / "include" / "vireo"
        include.mkdir(parents=True)
        shutil.copy(place / "driver.h", include)
        (include / "ops.h").write_bytes(lzma.decompress((place / "ops.h.xz").read_bytes()))
        (self.work / place.name / "vireo-driver.pc").write_text(
            f"driverdir=/nowhere\nName: vireo-driver\nDescription: ABI {place.name}\nVersion: {place.name}\n"
            f"Cflags: -I{include.parent}\n")
        return dict(self.env, PKG_CONFIG_PATH=str(self.work / place.name))

    def test_modules_of_every_release(self):
        names = {}
        for place in RELEASES:
            minor = place.name.replace(".", "")
            names.update(self.build_all({f"c{minor}": "c", f"cxx{minor}": "c++"}, self.released(place)))
            for name in f"c{minor}", f"cxx{minor}":
                if name in names:
                    row = devkit.run(BUILD / "core/tools/vireo-driver-inspect", self.drivers / f"{name}.so")
                    self.assertIn("ABI:        1.0\n", row)
        with living.running(BUILD / "core/daemon/vireod", self.drivers, self.work) as socket:
            self.live(socket, names)


class Core(Skew):
    def mark(self, name, env):
        """A driver for today's minor that writes a file as soon as it is mapped."""
        tree, mark = self.work / name, self.work / "mark"
        devkit.run(self.new, name, tree)
        source = tree / f"{name}.c"
        source.write_text(source.read_text().replace("#include <string.h>\n", "#include <stdio.h>\n#include <string.h>\n")
                          + MARKER.replace("MARK", f'"{mark}"'))
        build_file, today = tree / "meson.build", f"-DVIREO_ABI_TARGET={MINOR}"
        self.assertIn("-DVIREO_ABI_TARGET=0", build_file.read_text())
        build_file.write_text(build_file.read_text().replace("-DVIREO_ABI_TARGET=0", today))
        self.build(name, "c", env)
        mark.unlink()  # its own test ran it
        return mark

    def test_todays_modules_on_the_oldest_daemon(self):
        vireod = released_vireod(RELEASES[0])
        names = self.build_all({"plain": "c", "plus": "c++", "rusty": "rust"}, self.env)
        mark = self.mark("late", self.env)
        with living.running(vireod, self.drivers, self.work) as socket:
            self.live(socket, names)
            if MINOR == RELEASES[0].name.split(".")[1]:
                return
            refused = living.virsh(socket, "late", "list")
            self.assertNotEqual(refused.returncode, 0)
            row = living.driver(BUILD / "core/cli/vireo", socket, "late")
            self.assertEqual(row["state"], "REFUSED_ABI")
            self.assertIn(f"needs driver ABI 1.{MINOR} or newer; this daemon has {RELEASES[0].name}", row["reason"])
            self.assertFalse(mark.exists(), "the module's code ran before it was refused")
        # The mark is one: where the module is not refused, it is there.
        with living.running(BUILD / "core/daemon/vireod", self.drivers, self.work) as socket:
            self.live(socket, ["late"])
            self.assertTrue(mark.exists())


def released_vireod(place):
    """Built once, and kept in the build folder."""
    commit = (place / "commit").read_text().strip()
    kept = BUILD / "tests" / "abi" / f"released-{place.name}-{commit[:12]}"
    vireod = kept / "build" / "core" / "daemon" / "vireod"
    if vireod.exists():
        return vireod
    git = ["git", "-C", str(SOURCE)]
    if not shutil.which("git"):
        raise unittest.SkipTest("git is missing (package git)")
    known = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, text=True, check=False)
    if known.returncode:
        raise unittest.SkipTest(f"commit {commit} cannot be had, {SOURCE} is no clone or a shallow one: {known.stderr}")
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        made = Path(folder) / "made"
        (made / "source").mkdir(parents=True)
        archive = subprocess.run([*git, "archive", "--format=tar", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", made / "source"], input=archive, check=True)
        devkit.run("meson", "setup", "-Dbuildtype=plain", made / "build", made / "source")
        devkit.run("ninja", "-C", made / "build", "-j", "2", "core/daemon/vireod")
        made.rename(kept)
    return vireod


def main():
    for program, package in ("virsh", "libvirt-clients"), ("meson", "meson"):
        if not shutil.which(program):
            print(f"{program} is missing (package {package})")
            return 77
    case = {"headers": Headers, "core": Core}[ACTION]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    return 77 if result.skipped else not result.wasSuccessful()


if __name__ == "__main__":
    if len(sys.argv) != 5 or ACTION not in ("headers", "core"):
        sys.exit(__doc__)
    MINOR = devkit.abi_minor(SOURCE)
    sys.exit(main())
