# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/snapshots-matrix.md, written from what was measured, and read back: the page is the record."""
import os
import re

import libvirt

from matrixcells import SECTIONS, later
from matrixindex import INDEX

HERE = os.path.dirname(os.path.realpath(__file__))
PAGE = os.path.join(HERE, "..", "..", "..", "docs", "snapshots-matrix.md")
SEPARATOR = " · "
HEAD = """# Snapshots, cell by cell

What comes of each snapshot call, in Vireo and in libvirt's QEMU driver. Each cell reads

    Vireo · libvirt 9.0.0 · libvirt 11.3.0

The first two are measured by `tests/integration/qemu/test_matrix.py`, which also writes this page; nobody edits it. The
third was recorded at another time (QEMU 7.2.22; with the patch that Debian carries, as the release itself reverts to no
internal snapshot with memory) and is not measured again; `-` is where nothing was recorded.

| sign | means |
|---|---|
| `✔` | accepted; afterwards every snapshot that is left, and the guest's present, read their own bytes |
| `✘ N` | refused with that code; nothing has changed |
| `⚠` | accepted or refused, and then it is as the words say: something is lost, left behind, or other than asked for |
| `n/a` | the shape cannot be built there |

Where a daemon cannot go back to a snapshot, a shape that needs it is built by hand: an overlay made with qemu-img, the
definition changed to it, the snapshot redefined as the current one.

"lost": the snapshot is listed, what it held cannot be read any more. "leak": a file is left that nothing needs.
"no effect": accepted although it cannot take effect. In the tables `i` is an internal snapshot, `e` an external one of
disks only, `m` an external one with memory in a file.
[snapshots.md](snapshots.md) tells how it is done.
"""


def measured_line(versions):
    return "Measured: " + "; ".join(f"{name} {what}" for name, what in sorted(versions.items(), reverse=True)) + "."


def codes(cells):
    """What the numbers mean, of those that are there."""
    names = {value: key for key, value in vars(libvirt).items()
             if key.startswith("VIR_ERR_") and isinstance(value, int) and value > 4 or key == "VIR_ERR_INTERNAL_ERROR"}
    used = {int(number) for values in cells.values() for value in values for number in re.findall(r"✘ (\d+)", value)}
    rows = "".join(f"| {number} | `{names.get(number, '?')}` |\n" for number in sorted(used))
    return f"## Codes\n\n| N | |\n|---|---|\n{rows}"


def heading(column):
    return column if column in ("running", "paused", "off", "transient") else f"`{column}`" if column else "none"


def table(key, section, cells):
    head = f"## {section.title}\n\n{section.about}\n\n| | " + " | ".join(map(heading, section.columns)) + " |\n"
    lines = [head + "|---" * (len(section.columns) + 1) + "|\n"]
    for line in section.rows:
        texts = []
        for number, column in enumerate(section.columns):
            values = cells.get((key, line.words, column))
            texts.append(SEPARATOR.join([*values, later(line, number)]) if values else "")
        lines.append(f"| {line.words} | " + " | ".join(texts) + " |\n")
    return "".join(lines)


def count(cells, which):
    """Of the cells: served, refused, wrong."""
    values = [value[which] for value in cells.values()]
    wrong = sum(value.startswith("⚠") for value in values)
    return {"✔": values.count("✔"), "✘": sum(value.startswith("✘") for value in values), "⚠": wrong,
            "n/a": values.count("n/a"), "-": values.count("-")}


def summary(cells):
    rows = "".join(f"| {name} | " + " | ".join(str(number) for number in count(cells, which).values()) + " |\n"
                   for which, name in enumerate(("Vireo", "libvirt 9.0.0")))
    return f"| of {len(cells)} cells | ✔ | ✘ | ⚠ | n/a | not measured |\n|---|---|---|---|---|---|\n{rows}"


def index():
    rows = "".join(f"| {name} | {what} | {'; '.join(proofs)} |\n" for name, (what, proofs) in INDEX.items())
    return f"""## By id

E: refused when one is taken, D: when one is deleted, R: when one goes back, W: accepted, and then wrong; by libvirt 9.0.0
or 11.3.0. What shows what becomes of it here: a row above ("section: row"), or a test of `tests/integration/qemu`.

| id | shape | shown by |
|---|---|---|
{rows}"""


def render(cells, versions):
    tables = [table(key, section, cells) for key, section in SECTIONS.items()]
    return "\n".join([HEAD, measured_line(versions) + "\n", summary(cells), *tables, index(), codes(cells)])


def parse(text):
    """The cells and versions of a page."""
    cells = {}
    for key, section in SECTIONS.items():
        part = text.partition(f"## {section.title}\n")[2].partition("\n## ")[0]
        rows = {row.split(" | ")[0][2:]: row.strip("|").split(" | ")[1:] for row in part.splitlines() if row.startswith("| ")}
        for line in section.rows:
            for column, value in zip(section.columns, rows.get(line.words, ())):
                if value.strip():
                    cells[key, line.words, column] = value.strip().rstrip("|").strip().split(SEPARATOR)[:2]
    found = re.search(r"^Measured: (.*)\.$", text, re.M)
    parts = [part.partition(" with ") for part in found[1].split("; ")] if found else []
    versions = {name: " ".join((sign.strip(), what)) for name, sign, what in parts}
    return cells, versions
