# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: contents.py BUILD: every file that is installed belongs to a package, by packaging/contents."""
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


def sorter():
    loader = importlib.machinery.SourceFileLoader("sort_files", str(TOP / "packaging" / "sort-files"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("sort_files", loader))
    loader.exec_module(module)
    return module


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
    print(f"{len(paths)} files")
    return bool(lost) or len(paths) < 20


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
