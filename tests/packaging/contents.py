# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: contents.py BUILD: every file that is installed belongs to a package, by packaging/contents, and that is
a package of Debian's and an RPM."""
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


def sorter():
    loader = importlib.machinery.SourceFileLoader("sort_files", str(TOP / "packaging" / "sort-files"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("sort_files", loader))
    loader.exec_module(module)
    return module


def package_names():
    control, spec = ((TOP / "packaging" / name).read_text(encoding="utf-8") for name in ("debian/control", "rpm/vireo.spec"))
    listed = {kind: re.search(rf"^%global {kind} (.*)", spec, re.M).group(1).split() for kind in ("packages", "drivers")}
    drivers = [name for name in listed["drivers"] if re.search(rf"^%driver {name}\b", spec, re.M)]
    return (re.findall(r"^Package: (\S+)", control, re.M),
            listed["packages"] + ["vireo-driver-" + name for name in drivers])


def main(build):
    def introspect(what):
        return json.loads(subprocess.run(["meson", "introspect", build, what], stdout=subprocess.PIPE, check=True).stdout)

    prefix = next(option["value"] for option in introspect("--buildoptions") if option["name"] == "prefix")
    sort_files = sorter()
    rules = sort_files.read_rules(sort_files.CONTENTS.read_text(encoding="utf-8"))
    paths = [path.replace(prefix + "/etc/", "/etc/").replace(prefix, "/usr").lstrip("/")
             for path in introspect("--installed").values()]
    lost = [path for path in paths if not sort_files.package_of(rules, path)]
    for path in lost:
        print(f"/{path}: no line of packaging/contents matches it")
    debs, rpms = package_names()
    for package in sorted({sort_files.package_of(rules, path) for path in paths} - {None}):
        for place, names in ("debian/control", debs), ("rpm/vireo.spec", rpms):
            if package not in names:
                lost.append(package)
                print(f"{package}: packaging/{place} does not have this package")
    print(f"{len(paths)} files")
    return bool(lost) or len(paths) < 20


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
