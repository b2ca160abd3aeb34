# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: rust.py BINDINGS.PY VIREO.RS DRIVER.H OPS.H CC [ARGUMENT...]

The Rust bindings are the C headers: every struct, member and constant has the same size, place and value to rustc as to
the C compiler; the table's macro refuses what VIREO_DRIVER refuses. Exit status 77: there is no rustc."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(sys.argv[1]).parent))
sys.path.insert(0, str(Path(__file__).parent))
import bindings  # noqa: E402
import frozen  # noqa: E402

CRATE, DRIVER, OPS, *CC = sys.argv[2:]
RUSTC = "/usr/bin/rustc" if Path("/usr/bin/rustc").exists() else shutil.which("rustc")
MODULE = """
use vireo::*;
unsafe extern "C" fn open(_: *mut c_void, _: *mut vireo_call, _: *const vireo_conn_open_args,
                          _: *mut vireo_conn_open_ret) -> c_int {{ VIREO_OK }}
unsafe extern "C" fn close(_: *mut c_void, _: *mut vireo_call) -> c_int {{ VIREO_OK }}
unsafe extern "C" fn undefine(_: *mut c_void, _: *mut vireo_call, _: *const vireo_domain_undefine_flags_args) -> c_int {{
    VIREO_OK
}}
unsafe extern "C" fn init(_: *const vireo_host, _: *mut vireo_core, _: *mut *mut c_void) -> c_int {{ VIREO_OK }}
unsafe extern "C" fn fini(_: *mut c_void) {{}}
driver! {{
    name: "{name}", version: "1", schemes: "bare", threads: VIREO_SERIAL, target: {target}, init: init, fini: fini,
    ops: [(conn_open, open, 0, 0, 0, 0), (conn_close, close, 0, 0, 0, 0),
          (domain_undefine_flags, {function}, {native}, {trivial}, {active}, 0)],
}}
"""
FINE = {"name": "bare", "target": "0", "function": "undefine", "native": "VIREO_DOMAIN_UNDEFINE_NVRAM",
        "trivial": "VIREO_DOMAIN_UNDEFINE_TPM", "active": "VIREO_DOMAIN_UNDEFINE_NVRAM"}
# what is wrong, and words of the compiler's complaint
WRONG = [
    ({"function": "close"}, "mismatched types"),
    ({"trivial": "VIREO_DOMAIN_UNDEFINE_NVRAM"}, "a flag is native or trivial, not both"),
    ({"trivial": "1 << 30"}, "unknown flag"),
    ({"active": "VIREO_DOMAIN_UNDEFINE_TPM"}, "state rule on a flag that is not native"),
    ({"target": "999"}, "the target is newer than the bindings"),
    ({"name": "x" * 32}, "too long for the note"),
]


def rustc(*args):
    return subprocess.run([RUSTC, "--edition=2021", *map(str, args)], capture_output=True, text=True, check=False)


class Rust(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.crate = cls.folder / "libvireo.rlib"
        cls.make(cls.crate, "--cfg=vireo_no_std")

    @classmethod
    def make(cls, output, *args):
        done = rustc("--crate-type=rlib", "--crate-name=vireo", "-Dwarnings", "-o", output, CRATE, *args)
        assert done.returncode == 0, done.stderr

    def build(self, source, *args):
        path = self.folder / "main.rs"
        path.write_text(source)
        return rustc("--extern", f"vireo={self.crate}", "-o", self.folder / "main", path, *args)

    def test_layout(self):
        """In the same order from both: a line for each struct, member and constant."""
        c_lines, rust_lines = [], []
        for header in OPS, DRIVER:
            text = bindings.strip(Path(header).read_text())
            for spelling, name, parts in bindings.structs(text):
                c_lines.append(f'say("{name}", sizeof({spelling}));')
                rust_lines.append(f'say("{name}", size_of::<{name}>() as i64);')
                for part in parts:
                    if isinstance(part, str):
                        continue
                    c_name, rust_name, _ = part
                    c_lines.append(f'say("{name}.{rust_name}", offsetof({spelling}, {c_name}));')
                    rust_lines.append(f'say("{name}.{rust_name}", unsafe {{ let one = MaybeUninit::<{name}>::uninit(); '
                                      f'addr_of!((*one.as_ptr()).{rust_name}) as i64 - one.as_ptr() as i64 }});')
            for name, _, _ in bindings.constants(text):
                c_lines.append(f'say("{name}", {name});')
                rust_lines.append(f'say("{name}", {name} as i64);')
        # Found by another parser than the one that made the bindings.
        known = {name for name, _ in frozen.structs(Path(DRIVER))} | set(frozen.wire_structs(Path(OPS)))
        said = {line.split('"')[1] for line in c_lines}
        self.assertEqual(known - said, set())
        self.assertEqual(set(frozen.constants(Path(DRIVER))) - {"VIREO_OP_END"} - said, set())
        self.assertGreater(len(said), 3000)
        c_says = frozen.build(CC, "static void say(const char *what, long long n)\n{\n    printf(\"%s %lld\\n\", what, n);\n}\n"
                              "int main(void)\n{\n" + "\n".join(c_lines) + "\n    return 0;\n}\n", True)
        done = self.build("use std::mem::{size_of, MaybeUninit};\nuse std::ptr::addr_of;\nuse vireo::*;\n"
                          "fn say(what: &str, n: i64) { println!(\"{} {}\", what, n); }\nfn main() {\n"
                          + "\n".join(rust_lines) + "\n}\n")
        self.assertEqual(done.returncode, 0, done.stderr[:4000])
        rust_says = subprocess.run([self.folder / "main"], check=True, capture_output=True, text=True).stdout
        self.assertEqual(sorted(set(c_says.splitlines()) ^ set(rust_says.splitlines())), [])
        print(f"{len(c_lines)} sizes, places and values agree")

    def module(self, change):
        return self.build(MODULE.format(**{**FINE, **change}), "--crate-type=cdylib", "-Dwarnings")

    def test_module(self):
        done = self.module({})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_the_macro_refuses(self):
        for change, words in WRONG:
            with self.subTest(**change):
                done = self.module(change)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)

    def test_with_the_safe_layer(self):
        self.make(self.folder / "libsafe.rlib")


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    if not RUSTC:
        print("rustc is missing (package rustc)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0]])
