# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test-checks.py FOLDER DRIVER.H OPS.H CC...: the checks of this folder notice a broken promise."""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER, DRIVER, OPS, *CC = sys.argv[1:]
FOLDER = Path(FOLDER)
INCLUDE = [word for word in CC if word.startswith("-I")]
COMPILER = [word for word in CC if word not in INCLUDE]


def run(script, *args):
    return subprocess.run([sys.executable, "-B", FOLDER / script, *args], capture_output=True, text=True)


class Golden(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.golden, self.listing = Path(self.folder.name) / "golden", Path(self.folder.name) / "listing"
        self.golden.write_text("op 0x1 one\nop 0x2 two\n")

    def tearDown(self):
        self.folder.cleanup()

    def test_new_line(self):
        self.listing.write_text("op 0x1 one\nop 0x2 two\nop 0x3 three\n")
        self.assertEqual(run("golden.py", "check", self.golden, self.listing).returncode, 0)
        self.assertEqual(run("golden.py", "refresh", self.golden, self.listing).returncode, 0)
        self.assertEqual(self.golden.read_text(), self.listing.read_text())

    def test_lost_line(self):
        self.listing.write_text("op 0x1 one\nop 0x3 two\n")
        before = self.golden.read_text()
        for action in ("check", "refresh"):
            done = run("golden.py", action, self.golden, self.listing)
            self.assertEqual(done.returncode, 1)
            self.assertIn("lost: op 0x2 two", done.stdout)
        self.assertEqual(self.golden.read_text(), before)


class Frozen(unittest.TestCase):
    def check(self, header=None, frozen=None, action="check"):
        """With a changed header or frozen file: a (pattern, replacement) that must match once."""
        with tempfile.TemporaryDirectory() as folder:
            include = Path(folder) / "vireo"
            include.mkdir()
            lines = include / "frozen"
            for path, origin, change in ((include / "driver.h", Path(DRIVER), header),
                                         (lines, FOLDER / "frozen-1.0.txt", frozen)):
                text, hits = re.subn(*change, origin.read_text()) if change else (origin.read_text(), 1)
                self.assertEqual(hits, 1)
                path.write_text(text)
            before = lines.read_text()
            done = run("frozen.py", action, lines, include / "driver.h", OPS, *COMPILER, "-I" + folder, *INCLUDE)
            return done, lines.read_text()[len(before):]

    def test_untouched(self):
        self.assertEqual(self.check()[0].returncode, 0)

    def test_inserted_member(self):
        done, _ = self.check(header=(r"    char \*\(\*strdup\)", "    void (*extra)(void);\n\\g<0>"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("member struct:vireo_host strdup 32", done.stderr)

    def test_appended_member(self):
        change = (r"(    void \(\*reply_fd\).*\n)", r"\1    void (*extra)(vireo_core *);\n")
        self.assertEqual(self.check(header=change)[0].returncode, 0)
        done, added = self.check(header=change, action="refresh")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(added, "member struct:vireo_host extra 216 void (*)(vireo_core *)\n")

    def test_other_signature(self):
        done, _ = self.check(header=(r"int \(\*cancelled\)\(vireo_call \*\)", "int (*cancelled)(vireo_core *)"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("vireo_host cancelled", done.stderr)

    def test_removed_member(self):
        done, _ = self.check(header=(r"    int \(\*state_drop\).*\n", ""))
        self.assertNotEqual(done.returncode, 0)

    def test_other_constant(self):
        done, _ = self.check(header=(r"VIREO_OBJECT_QUIET = 1 << 5", "VIREO_OBJECT_QUIET = 1 << 6"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("value VIREO_OBJECT_QUIET 32", done.stderr)

    def test_wire_struct(self):
        done, _ = self.check(frozen=(r"size vireo_domain_create_args \d+", "size vireo_domain_create_args 4"))
        self.assertNotEqual(done.returncode, 0)

    def test_cut_file(self):
        done, _ = self.check(frozen=(r"(?s)\Amember.*|\A#.*", "# empty\n"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is not whole", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
