# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: growth.py check|refresh|release FOLDER HISTORY.md DRIVER.H OPS.H LISTING CC [ARGUMENT...]

The ABI grows only together with its minor (docs/abi-policy.md). In FOLDER each minor has the lines it added,
frozen-MAJOR.MINOR.txt and catalogue-MAJOR.MINOR.txt; headers/MAJOR.MINOR has the headers of each released one and
the commit it was released at. released.sums seals what was released.

check    everything there is now is recorded under a minor, sealed files are as they were, and HISTORY.md has a
         row for every minor up to the present one
refresh  records what is new under the present minor; refused when that one is released
release  seals the present minor"""
import hashlib
import lzma
import re
import sys
from pathlib import Path

import frozen
import golden

HEADER = {"frozen": "# SPDX-License-Identifier: LGPL-2.1-or-later\n", "catalogue": ""}


class Record:
    def __init__(self, folder, history, driver, ops, listing, cc):
        self.folder, self.history, self.headers = folder, history, (driver, ops)
        text = driver.read_text()
        self.major, self.minor = (int(re.search(rf"^#define VIREO_ABI_{part} (\d+)", text, re.M)[1])
                                  for part in ("MAJOR", "MINOR"))
        known = set(map(frozen.key, frozen.read(*self.files("frozen"))))
        self.fresh = {
            "frozen": [line for line in frozen.current_lines(driver, ops, cc) if frozen.key(line) not in known],
            "catalogue": sorted(golden.read(listing) - golden.read(*self.files("catalogue"))),
        }

    def files(self, kind):
        return sorted(self.folder.glob(f"{kind}-{self.major}.*.txt"))

    def present(self, kind):
        return self.folder / f"{kind}-{self.major}.{self.minor}.txt"

    def store_headers(self):
        """As released; the generated one compressed."""
        place = self.folder / "headers" / f"{self.major}.{self.minor}"
        place.mkdir(parents=True, exist_ok=True)
        driver, ops = (path.read_bytes() for path in self.headers)
        (place / "driver.h").write_bytes(driver)
        (place / "ops.h.xz").write_bytes(lzma.compress(ops, preset=9 | lzma.PRESET_EXTREME))
        return [place / "driver.h", place / "ops.h.xz"]

    @property
    def sums(self):
        return self.folder / "released.sums"

    def sealed(self):
        """{file name: sum} of what was released."""
        lines = frozen.read(self.sums) if self.sums.exists() else []
        return {name: digest for digest, name in (line.split() for line in lines)}

    def released(self):
        return self.present("frozen").name in self.sealed()

    def grown(self):
        """New fields of what is released: a struct of the wire, or the arguments or result of an operation, has
        the fields it was released with."""
        old = [line.split() for path in self.files("catalogue") if path.name in self.sealed()
               for line in path.read_text().splitlines()]
        structs = {words[1] for words in old if words[0] == "field"}
        structs.update(f"{words[4]}_{part}" for words in old if words[0] == "op" for part in ("args", "ret", "msg"))
        return [line for line in self.fresh["catalogue"] if line.startswith("field ") and line.split()[1] in structs]

    def faults(self):
        for line in self.grown():
            yield f"a released struct or operation cannot have more fields, make another one: {line}"
        for kind, lines in self.fresh.items():
            for line in lines:
                yield f"not recorded ({kind}): {line}"
        if any(self.fresh.values()):
            yield (f"{self.major}.{self.minor} is released: what is new belongs to {self.major}.{self.minor + 1}, "
                   "raise VIREO_ABI_MINOR" if self.released() else "`meson compile abi-refresh` records it")
        for name, digest in self.sealed().items():
            path = self.folder / name
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                yield f"{name} was changed after its release"
        for path in self.files("frozen") + self.files("catalogue"):
            if int(path.stem.rpartition(".")[2]) > self.minor:
                yield f"{path.name} is newer than VIREO_ABI_MINOR {self.minor}"
        for minor in range(self.minor):
            if f"frozen-{self.major}.{minor}.txt" not in self.sealed():
                yield f"{self.major}.{minor} was never released: the minor moves once for each release"
            commit = self.folder / "headers" / f"{self.major}.{minor}" / "commit"
            if not commit.exists() or not re.fullmatch(r"[0-9a-f]{40}\n", commit.read_text()):
                yield f"{commit.relative_to(self.folder)} does not say at which commit it was released"
        rows = re.findall(r"^\| (\d+\.\d+) \| (.*?) \| (.+) \|$", self.history.read_text(), re.M)
        wanted = [f"{self.major}.{minor}" for minor in range(self.minor + 1)]
        if [name for name, _, _ in rows if name.startswith(f"{self.major}.")] != wanted:
            yield f"{self.history.name} has no row for each of {', '.join(wanted)}, in this order"
        for name, when, _ in rows:
            if (when != "not yet") != (f"frozen-{name}.txt" in self.sealed()):
                yield f"{self.history.name} and {self.sums.name} disagree on whether {name} is released"


def check(record):
    faults = list(record.faults())
    print("\n".join(faults) or f"{record.major}.{record.minor} says everything")
    return bool(faults)


def refresh(record):
    if record.grown():
        print("a released struct or operation has more fields: make another one\n" + "\n".join(record.grown()))
        return 1
    for kind, lines in record.fresh.items():
        if lines and record.released():
            print(f"{record.major}.{record.minor} is released: raise VIREO_ABI_MINOR first")
            return 1
        path = record.present(kind)
        old = path.read_text() if path.exists() else HEADER[kind]
        if kind == "catalogue":
            lines = sorted(set(old.splitlines()).union(lines))
            path.write_text("".join(line + "\n" for line in lines))
        else:
            path.write_text(old + "".join(line + "\n" for line in lines))
        print(f"{path.name}: {len(record.fresh[kind])} lines added")
    return 0


def release(record):
    if record.released() or any(record.fresh.values()):
        print(f"{record.major}.{record.minor} is released already, or something is not recorded")
        return 1
    paths = []
    with record.sums.open("a") as sums:
        for kind in record.fresh:
            path = record.present(kind)
            if not path.exists():
                path.write_text(HEADER[kind])
            paths.append(path)
        for path in paths + record.store_headers():
            sums.write(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(record.folder)}\n")
    print(f"{record.major}.{record.minor} is sealed; put its date into {record.history.name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 8 or sys.argv[1] not in ("check", "refresh", "release"):
        sys.exit(__doc__)
    action = {"check": check, "refresh": refresh, "release": release}[sys.argv[1]]
    sys.exit(action(Record(*map(Path, sys.argv[2:7]), sys.argv[7:])))
