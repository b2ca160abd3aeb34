# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: generate.py header|tables|golden CATALOGUE-FOLDER OUTPUT"""
import sys
from pathlib import Path

from catalogue import Catalogue, CatalogueError
from header import write_header
from tables import write_golden, write_tables

WRITERS = {"header": write_header, "tables": write_tables, "golden": write_golden}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in WRITERS:
        sys.exit(__doc__)
    try:
        WRITERS[sys.argv[1]](Catalogue(sys.argv[2]), Path(sys.argv[3]))
    except CatalogueError as error:
        sys.exit(f"core/ops: {error}")
