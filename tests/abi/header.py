# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: header.py INSPECT MODULE-SOURCE COMPILER ARGUMENT...

The ABI header compiles alone and twice, without a warning, under this compiler and language; and so does
a whole module, whose note can then be read."""
import subprocess
import sys
import tempfile
from pathlib import Path


def main(inspect, source, *compiler):
    extension = ".cc" if "++" in Path(compiler[0]).name else ".c"
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    with tempfile.TemporaryDirectory() as folder:
        alone, module = Path(folder) / f"alone{extension}", Path(folder) / "module.so"
        alone.write_text("#include <vireo/driver.h>\n#include <vireo/driver.h>\nextern int used;\n")
        subprocess.run([*compiler, *strict, "-fsyntax-only", alone], check=True)
        language = ["-x", "c++" if extension == ".cc" else "c"]
        subprocess.run([*compiler, *strict, "-Wno-unused-function", "-fPIC", "-shared", "-Wl,-z,defs",
                        *language, source, "-o", module], check=True)
        text = subprocess.run([inspect, module], check=True, capture_output=True, text=True).stdout
        assert "name:       good\n" in text and "      trivial   NVRAM\n" in text, text


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
