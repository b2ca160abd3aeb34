#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""generate.py OUTDIR TABLE...: documents.h, documents.c, schemas.c and documents.md from the tables."""

import sys
from pathlib import Path

import c_code
import reference
import schema
from tables import TableError, Tables


def main():
    out, paths = Path(sys.argv[1]), sys.argv[2:]
    try:
        tables = Tables(paths)
    except TableError as problem:
        sys.exit(f"{Path(sys.argv[0]).name}: {problem}")
    for name, write in {
        "documents.h": c_code.header,
        "documents.c": c_code.source,
        "schemas.c": schema.c_source,
        "documents.md": reference.page,
    }.items():
        (out / name).write_text(write(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
