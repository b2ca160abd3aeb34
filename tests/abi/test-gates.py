# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test-gates.py DRIVER.H MODULE.C INSPECT LIBVIREO.SO CC [ARGUMENT...]: module.py and header.py notice a module
and a header that are not as they should be."""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
DRIVER, MODULE, INSPECT, LIBRARY, *CC = sys.argv[1:]
INCLUDE = [word for word in CC if word.startswith("-I")]
COMPILER = [word for word in CC if word not in INCLUDE]
FLAGS = ["-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,now", "-Wl,-z,nodelete"]
EXPORTED = '__attribute__((visibility("default"))) '
# C behind the module, flags that differ, what module.py says
MODULES = [
    (f"{EXPORTED}int other(void) {{ return 0; }}", [], [], "exports other, vireo_driver_entry_1"),
    (f"void vireo_of_the_core(void); {EXPORTED}void other(void) {{ vireo_of_the_core(); }}", [], [],
     "takes vireo_of_the_core from elsewhere"),
    ("", ["-Wl,--no-as-needed", LIBRARY], [], "links libvireo.so.0"),
    ("", ["-Wl,-z,lazy"], ["-Wl,-z,now"], "is bound lazily"),
    ("", [], ["-Wl,-z,nodelete"], "can be unloaded"),
    ("", ["-Wl,-z,execstack"], [], "wants an executable stack"),
    ('__asm__(".text\\n.quad stdout\\n.previous");', ["-Wl,-z,notext"], [], "has text relocations"),
]
# in which language, a change of the header that this language minds
HEADERS = [
    ("gcc", "c11", r"#include <sys/types.h>\n", ""),
    ("gcc", "c11", r"#ifndef VIREO_DRIVER_H\n#define VIREO_DRIVER_H\n", "#if 1\n"),
    ("gcc", "c11", r"(?m)^struct vireo_child \{", r"struct vireo_empty { };\n\g<0>"),
    ("clang", "c11", r"(?m)^struct vireo_child \{", r"struct vireo_empty { };\n\g<0>"),
    ("g++", "c++17", r"int parent, child;", "int parent, child, class;"),
    ("clang++", "c++17", r"u\.op = \(f\);", "return {.op = (f)};"),
    ("gcc", "c11", r"VIREO_NOTE_DRIVER 0x56520001u", "VIREO_NOTE_DRIVER 0x56520002u"),
]


class Gates(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def run_gate(self, script, *args):
        return subprocess.run([sys.executable, "-B", HERE / script, *map(str, args)], capture_output=True, text=True,
                              check=False)

    def module(self, behind="", more=(), less=()):
        source, made = self.folder / "module.c", self.folder / "module.so"
        source.write_text(f'#include "{MODULE}"\n{behind}\n')
        subprocess.run([*COMPILER, *INCLUDE, *(flag for flag in FLAGS if flag not in less), "-w", source, "-o", made,
                        *more], check=True)
        return self.run_gate("module.py", made)

    def test_module(self):
        done = self.module()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_faulty_modules(self):
        for behind, more, less, said in MODULES:
            with self.subTest(said):
                done = self.module(behind, more, less)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn(said, done.stdout)

    def header(self, compiler, standard, pattern, replacement):
        (self.folder / "vireo").mkdir(exist_ok=True)
        text, hits = re.subn(pattern, replacement, Path(DRIVER).read_text())
        self.assertEqual(hits, 1)
        (self.folder / "vireo" / "driver.h").write_text(text)
        return self.run_gate("header.py", INSPECT, MODULE, shutil.which(compiler), f"-std={standard}",
                             f"-I{self.folder}", *INCLUDE)

    def test_faulty_headers(self):
        for compiler, standard, pattern, replacement in HEADERS:
            with self.subTest(compiler, pattern=pattern):
                if not shutil.which(compiler):
                    self.skipTest(f"{compiler} is not there")
                fine = self.header(compiler, standard, r"#endif\s*\Z", r"\g<0>")
                self.assertEqual(fine.returncode, 0, fine.stderr)
                done = self.header(compiler, standard, pattern, replacement)
                self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    unittest.main(argv=[sys.argv[0]])
