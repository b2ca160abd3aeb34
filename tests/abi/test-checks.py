# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test-checks.py FOLDER HISTORY.md DRIVER.H OPS.H LISTING CC...: the checks of this folder notice a broken
promise, and growth without a new minor."""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER, HISTORY, DRIVER, OPS, LISTING, *CC = sys.argv[1:]
FOLDER = Path(FOLDER)
INCLUDE = [word for word in CC if word.startswith("-I")]
COMPILER = [word for word in CC if word not in INCLUDE]
NEW_MEMBER = (r"(    void \(\*reply_fd\).*\n)", r"\1    void (*extra)(vireo_core *);\n")


def run(script, *args):
    return subprocess.run([sys.executable, "-B", FOLDER / script, *args], capture_output=True, text=True)


class Golden(unittest.TestCase):
    def check(self, listing):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "catalogue-1.0.txt").write_text("op 0x1 one\n")
            (folder / "catalogue-1.1.txt").write_text("op 0x2 two\n")
            (folder / "listing").write_text(listing)
            return run("golden.py", folder, folder / "listing")

    def test_new_line(self):
        self.assertEqual(self.check("op 0x1 one\nop 0x2 two\nop 0x3 three\n").returncode, 0)

    def test_lost_line(self):
        for lost in "op 0x1 one\n", "op 0x2 two\n":
            done = self.check("op 0x1 one\nop 0x2 two\nop 0x3 three\n".replace(lost, ""))
            self.assertEqual(done.returncode, 1)
            self.assertIn("lost: " + lost, done.stdout)

    def test_no_catalogue(self):
        with tempfile.TemporaryDirectory() as name:
            self.assertEqual(run("golden.py", name, LISTING).returncode, 1)


class Frozen(unittest.TestCase):
    def check(self, header=None, frozen=None):
        """With a changed header or frozen file: a (pattern, replacement) that must match once."""
        with tempfile.TemporaryDirectory() as folder:
            include = Path(folder) / "vireo"
            include.mkdir()
            for path, origin, change in ((include / "driver.h", Path(DRIVER), header),
                                         (include / "frozen-1.0.txt", FOLDER / "frozen-1.0.txt", frozen)):
                text, hits = re.subn(*change, origin.read_text()) if change else (origin.read_text(), 1)
                self.assertEqual(hits, 1)
                path.write_text(text)
            return run("frozen.py", include, include / "driver.h", OPS, *COMPILER, "-I" + folder, *INCLUDE)

    def test_untouched(self):
        self.assertEqual(self.check().returncode, 0)

    def test_inserted_member(self):
        done = self.check(header=(r"    char \*\(\*strdup\)", "    void (*extra)(void);\n\\g<0>"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("member struct:vireo_host strdup 32", done.stderr)

    def test_appended_member(self):
        self.assertEqual(self.check(header=NEW_MEMBER).returncode, 0)

    def test_other_signature(self):
        done = self.check(header=(r"int \(\*cancelled\)\(vireo_call \*\)", "int (*cancelled)(vireo_core *)"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("vireo_host cancelled", done.stderr)

    def test_removed_member(self):
        done = self.check(header=(r"    int \(\*state_drop\).*\n", ""))
        self.assertNotEqual(done.returncode, 0)

    def test_other_constant(self):
        done = self.check(header=(r"VIREO_OBJECT_QUIET = 1 << 5", "VIREO_OBJECT_QUIET = 1 << 6"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("value VIREO_OBJECT_QUIET 32", done.stderr)

    def test_wire_struct(self):
        done = self.check(frozen=(r"size vireo_domain_create_args \d+", "size vireo_domain_create_args 4"))
        self.assertNotEqual(done.returncode, 0)

    def test_padding(self):
        done = self.check(header=(r"(?s)(struct vireo_host \{.*?)\n\};", r"\1\n    uint32_t extra;\n};"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("struct vireo_host has padding", done.stderr)

    def test_cut_file(self):
        done = self.check(frozen=(r"(?s)\Amember.*|\A#.*", "# empty\n"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("are not whole", done.stderr)


@unittest.skipUnless(shutil.which("abidw") and shutil.which("abidiff"), "abigail-tools is not there")
class Difference(unittest.TestCase):
    """Against a baseline of its own, made from the header as it is."""

    def report(self, header=None, source=None):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "vireo").mkdir()
            changed = folder / "vireo" / "driver.h", folder / "types.c"
            baseline = folder / "baseline.gz"
            for path, origin in zip(changed, (Path(DRIVER), FOLDER / "types.c")):
                shutil.copy(origin, path)
            cc = [*COMPILER, f"-I{folder}", *INCLUDE]
            self.assertEqual(run("difference.py", "refresh", baseline, changed[1], *cc).returncode, 0)
            for path, change in zip(changed, (header, source)):
                if change:
                    text, hits = re.subn(*change, path.read_text())
                    self.assertGreater(hits, 0)
                    path.write_text(text)
            return run("difference.py", "report", baseline, changed[1], *cc)

    def test_untouched(self):
        done = self.report()
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "nothing changed"))

    def test_appended_member_is_reported(self):
        done = self.report(header=NEW_MEMBER)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("'void (vireo_core*)* extra', at offset 1728", done.stdout)

    def test_entry_function_gone(self):
        done = self.report(source=(r"vireo_driver_entry_1\(", "vireo_driver_entry_2("))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("vireo_driver_entry_1", done.stdout)


class Growth(unittest.TestCase):
    """A copy of the folder, the header and the history, with an open minor, in which releases are made."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        (self.folder / "vireo").mkdir()
        for path in (*FOLDER.glob("frozen-*.txt"), *FOLDER.glob("catalogue-*.txt"), *FOLDER.glob("released.sums"),
                     Path(HISTORY), Path(LISTING)):
            shutil.copy(path, self.folder)
        shutil.copy(DRIVER, self.folder / "vireo")
        shutil.copytree(FOLDER / "headers", self.folder / "headers")
        self.history, self.listing = self.folder / Path(HISTORY).name, self.folder / Path(LISTING).name
        self.header = self.folder / "vireo" / "driver.h"
        text = self.header.read_text()
        self.minor = int(re.search(r"VIREO_ABI_MINOR (\d+)", text)[1])
        if f"| 1.{self.minor} | not yet" not in self.history.read_text():
            self.raise_minor()
            self.row()

    def tearDown(self):
        self.temporary.cleanup()

    def change(self, path, pattern, replacement):
        text, hits = re.subn(pattern, replacement, path.read_text(), flags=re.M)
        self.assertEqual(hits, 1)
        path.write_text(text)

    def growth(self, action, status, said=""):
        done = run("growth.py", action, self.folder, self.history, self.header, OPS, self.listing, *COMPILER,
                   f"-I{self.folder}", *INCLUDE)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertIn(said, done.stdout)

    def release(self):
        self.growth("release", 0, "is sealed")
        self.growth("check", 1, "disagree on whether")
        self.change(self.history, rf"^\| 1\.{self.minor} \| not yet", f"| 1.{self.minor} | 2000-01-01")
        self.growth("check", 0)

    def say_commit(self):
        (self.folder / "headers" / f"1.{self.minor}" / "commit").write_text("0" * 40 + "\n")

    def raise_minor(self):
        self.minor += 1
        self.change(self.header, r"(VIREO_ABI_MINOR) \d+", rf"\g<1> {self.minor}")

    def row(self):
        with self.history.open("a") as file:
            file.write(f"| 1.{self.minor} | not yet | more |\n")

    def test_header_after_release(self):
        self.release()
        path = self.folder / "headers" / f"1.{self.minor}" / "driver.h"
        path.write_text(path.read_text() + "/* */\n")
        self.growth("check", 1, f"headers/1.{self.minor}/driver.h was changed after its release")

    def test_unrecorded(self):
        self.change(self.header, *NEW_MEMBER)
        self.growth("check", 1, "not recorded (frozen): member struct:vireo_host extra 216 void (*)(vireo_core *)")
        self.growth("refresh", 0)
        self.growth("check", 0)

    def test_unrecorded_operation(self):
        self.listing.write_text(self.listing.read_text() + "op 0x7 seven\n")
        self.growth("check", 1, "not recorded (catalogue): op 0x7 seven")
        self.growth("release", 1)
        self.growth("refresh", 0)
        self.growth("check", 0)

    def test_grown_after_release(self):
        self.release()
        self.change(self.header, *NEW_MEMBER)
        self.growth("check", 1, "raise VIREO_ABI_MINOR")
        self.growth("refresh", 1, "raise VIREO_ABI_MINOR")
        self.raise_minor()
        self.growth("refresh", 0, f"frozen-1.{self.minor}.txt: 1 lines added")
        self.growth("check", 1, "has no row")
        self.row()
        self.growth("check", 1, f"headers/1.{self.minor - 1}/commit does not say at which commit")
        self.minor -= 1
        self.say_commit()
        self.minor += 1
        self.growth("check", 0)
        self.release()

    def test_field_after_release(self):
        """Of a struct, and of an operation that had no arguments."""
        self.release()
        self.raise_minor()
        self.row()
        whole = self.listing.read_text()
        for line in "field domain_create_args 9 extra uint one 0", "field connect_close_args 0 extra uint one 0":
            with self.subTest(line):
                self.listing.write_text(whole + line + "\n")
                self.growth("check", 1, "cannot have more fields, make another one: " + line)
                self.growth("refresh", 1, "make another one")

    def test_changed_after_release(self):
        path = self.folder / f"frozen-1.{self.minor}.txt"
        self.release()
        path.write_text(path.read_text().rpartition("\nvalue ")[0] + "\n")
        self.growth("check", 1, "was changed after its release")

    def test_minor_without_release(self):
        self.raise_minor()
        self.row()
        self.growth("check", 1, "was never released")

    def test_minor_too_low(self):
        self.release()
        (self.folder / f"frozen-1.{self.minor + 1}.txt").write_text("")
        self.growth("check", 1, "is newer than VIREO_ABI_MINOR")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
