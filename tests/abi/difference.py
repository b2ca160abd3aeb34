# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: difference.py report|refresh BASELINE.abi.gz TYPES.c CC [ARGUMENT...]

What libabigail sees between the last released ABI and this one, for a reader. It gives one exit status for a
lawful append and for a break, so frozen.py decides; this fails when the entry function is gone, or when
libabigail cannot tell. Exit status 77: libabigail is not there."""
import gzip
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ERROR, INCOMPATIBLE = 3, 8  # bits of abidiff's exit status


def dump(source, cc, folder):
    module = folder / "types.so"
    subprocess.run([*cc, "-g", "-shared", "-fPIC", "-fvisibility=hidden", source, "-o", module], check=True)
    done = subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", module],
                          check=True, capture_output=True)
    assert b"vireo_host" in done.stdout, "the types are not in the dump"
    return done.stdout


def report(baseline, source, cc, folder):
    old, new = folder / "old.abi", folder / "new.abi"
    old.write_bytes(gzip.decompress(baseline.read_bytes()))
    new.write_bytes(dump(source, cc, folder))
    done = subprocess.run(["abidiff", "--no-show-locs", old, new], capture_output=True, text=True)
    print(done.stdout or "nothing changed", done.stderr, sep="\n")
    return bool(done.returncode & (ERROR | INCOMPATIBLE))


def main(action, baseline, source, *cc):
    if not shutil.which("abidw") or not shutil.which("abidiff"):
        print("abidw and abidiff (package abigail-tools) are not there")
        return 77
    with tempfile.TemporaryDirectory() as name:
        if action == "report":
            return report(Path(baseline), source, cc, Path(name))
        Path(baseline).write_bytes(gzip.compress(dump(source, cc, Path(name)), 9, mtime=0))
        print(f"{Path(baseline).stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in ("report", "refresh"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
