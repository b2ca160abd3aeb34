# SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

PROGRAM = os.environ["VIREO_DRIVER_INSPECT"]
MODULES = Path(os.environ["VIREO_TEST_MODULES"])
HEADER = Path(__file__).parents[3] / "core/abi/vireo/driver.h"
MINOR = re.search(r"#define VIREO_ABI_MINOR (\d+)", HEADER.read_text())[1]


def run(*args, status=0):
    done = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def module(name):
    return MODULES / f"{name}.so"


class Inspect(unittest.TestCase):
    def test_table(self):
        out = run(module("good")).stdout
        for line in ("name:       good", "version:    1.2.3", "schemes:    good", f"ABI:        1.{MINOR}",
                     "threads:    per-object", "operations: 3", "  conn-open", "  domain-undefine-flags",
                     "      native    MANAGED_SAVE", "      trivial   NVRAM", "      active    MANAGED_SAVE"):
            self.assertIn(line + "\n", out)
        self.assertNotIn("inactive", out)

    def test_json(self):
        got = json.loads(run("--json", module("good"), module("init-fails")).stdout)
        self.assertEqual([m["name"] for m in got], ["good", "initfails"])
        self.assertEqual(got[0]["schemes"], ["good"])
        self.assertEqual((got[0]["abi_major"], got[0]["abi_target"]), (1, int(MINOR)))
        self.assertEqual(got[0]["threads"], "per-object")
        self.assertEqual(got[0]["operations"][2], {
            "id": 231, "name": "domain-undefine-flags", "native": ["MANAGED_SAVE"], "trivial": ["NVRAM"],
            "active": ["MANAGED_SAVE"], "inactive": []})

    def test_packages(self):
        self.assertEqual(run("--deb-depends", module("good")).stdout, f"vireo-driver-abi-1 (>= 1.{MINOR})\n")
        self.assertEqual(run("--rpm-requires", module("good")).stdout, f"vireo-driver-abi(1) >= 1.{MINOR}\n")
        done = run("--deb-depends", module("newer-target"), status=3)
        self.assertEqual(done.stdout, "vireo-driver-abi-1 (>= 1.7)\n")

    def test_other_abi(self):
        done = run(module("other-major"), status=3)
        self.assertIn("ABI:        2.0\n", done.stdout)
        self.assertIn(f"built for driver ABI 2.0; this daemon has 1.{MINOR}", done.stderr)

    def test_newer_operations_have_numbers(self):
        out = run(module("from-the-future")).stdout
        self.assertIn("  0x7abc\n", out)
        self.assertIn("      native    NVRAM, 0x40000000\n", out)

    def test_no_driver(self):
        self.assertIn("without a driver note", run(module("no-note"), status=1).stderr)
        self.assertIn("not an ELF file", run(__file__, status=1).stderr)
        self.assertIn("No such file", run(MODULES / "nowhere.so", status=1).stderr)
        self.assertIn("not a regular file", run("/dev/null", status=1).stderr)
        done = run("--json", module("no-note"), module("good"), status=1)
        self.assertEqual([m["name"] for m in json.loads(done.stdout)], ["good"])

    def test_a_module_that_is_not_linked_can_be_read(self):
        self.assertIn("name:       undefined\n", run(module("undefined-symbol")).stdout)
        self.assertIn("name:       missing\n", run(module("missing-library")).stdout)

    def test_no_code_runs(self):
        path = os.environ["VIREO_TEST_CONSTRUCTOR"]
        self.assertIn("name:       constructor\n", run(path).stdout)
        loaded = subprocess.run(["python3", "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", path])
        self.assertEqual(loaded.returncode, 99)

    def test_pipe_does_not_block(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = Path(folder) / "pipe.so"
            os.mkfifo(pipe)
            self.assertIn("not a regular file", run(pipe, status=1).stderr)

    def test_usage(self):
        self.assertIn("no file given", run(status=2).stderr)
        self.assertIn("--nonsense", run("--nonsense", status=2).stderr)
        self.assertIn("exclude each other", run("--json", "--deb-depends", module("good"), status=2).stderr)

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^vireo-driver-inspect \d+\.\d+\.\d+ \(driver ABI 1\.\d+\)\n$")

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, module("good")], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)


if __name__ == "__main__":
    unittest.main()
