# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures every cell of docs/snapshots-matrix.md and compares it with the page.

    test_matrix.py                        the daemon of the build tree
    test_matrix.py --libvirtd             Debian's libvirtd: a sample; all with VIREO_TEST_LONG (10 minutes)
    test_matrix.py --write [--libvirtd]   measures, and writes the page
    test_matrix.py --show [--libvirtd]    measures, and prints
    ... --only WORDS                      the rows with these words (a section is one, too)
"""
import ast
import concurrent.futures
import itertools
import os
import sys
import time
import unittest

import qemutest
from qemutest import vireotest

try:
    import libvirt
    import libvirt_qemu  # noqa: F401
except ImportError:
    qemutest.skip_file("no libvirt module (package python3-libvirt)")

import matrixbench  # noqa: E402
import matrixcells  # noqa: E402
import matrixindex  # noqa: E402
import matrixpage   # noqa: E402

libvirt.registerErrorHandler(lambda *_: None, None)
PEER = "9.0.0"
# The other daemon is no concern of a change here: a sample shows that the page still says what it does. With sanitizers
# guests take longer, and each call is made in many cells.
STEP = 12 if vireotest.USE_LIBVIRTD else 3 if "ASAN_OPTIONS" in os.environ else 1
STEP = 1 if os.environ.get("VIREO_TEST_LONG") else STEP
TRIES = itertools.count()
THREADS = int(os.environ.get("VIREO_TEST_THREADS", "4"))


def measure(conn, number, section, line, column):
    """What one cell says. A start that fails for reasons of the day is tried again."""
    value = measure_once(conn, number, section, line, column)
    return measure_once(conn, number, section, line, column) if value == "n/a" else value


def measure_once(conn, number, section, line, column):
    state = column if column in matrixcells.STATES else line.words.rpartition(" now ")[2]
    call = line.call if column in matrixcells.STATES else f"{line.call} {column}"
    # Another name each time: not all that was left of a try before can be taken away.
    bench = matrixbench.Bench(vireotest.daemon(), conn, f"m{number}-{next(TRIES)}", line.kinds, state)
    try:
        bench.prepare(line.steps, state)
        return bench.carry_out(call, column in line.pointless)
    except matrixbench.Unreachable as error:
        if os.environ.get("VERBOSE"):
            print(section, line.words, column, error)
        return "n/a"
    finally:
        bench.close()


def cells_of(key):
    section = matrixcells.SECTIONS[key]
    return [(key, line, column) for line in section.rows for column in section.columns
            if not line.only or column in line.only]


def measure_all(cells):
    """(section, row, column) -> what it says."""
    vireotest.daemon()
    conn = libvirt.open(vireotest.daemon().uri())
    found = {}
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        futures = {pool.submit(measure, conn, number, *cell): cell for number, cell in enumerate(cells)}
        for future in concurrent.futures.as_completed(futures):
            key, line, column = futures[future]
            try:
                found[key, line.words, column] = future.result()
            except Exception as error:
                raise AssertionError(f"{key}: {line.words}: {column}") from error
    conn.close()
    return found


def version():
    """Of the daemon under test: its name, number, and QEMU's."""
    conn = libvirt.open(vireotest.daemon().uri())
    try:
        numbers = [(number // 1000000, number // 1000 % 1000, number % 1000)
                   for number in (conn.getLibVersion(), conn.getVersion())]
    finally:
        conn.close()
    return [".".join(map(str, number)) for number in numbers]


def read_page():
    with open(matrixpage.PAGE, encoding="utf-8") as stream:
        return stream.read()


def tests_of(file):
    """CLASS.METHOD of a test file, inherited ones not among them."""
    with open(os.path.join(matrixpage.HERE, f"{file}.py"), encoding="utf-8") as stream:
        tree = ast.parse(stream.read())
    return {f"{part.name}.{method.name}" for part in tree.body if isinstance(part, ast.ClassDef)
            for method in part.body if isinstance(method, ast.FunctionDef)}


def which():
    return 1 if vireotest.USE_LIBVIRTD else 0


class Page(unittest.TestCase):
    """Needs no daemon."""

    def test_it_is_what_the_cells_make_of_it(self):
        text = read_page()
        self.assertEqual(matrixpage.render(*matrixpage.parse(text)), text,
                         "write it with test_matrix.py --write, and --write --libvirtd")

    def test_every_cell_is_there(self):
        cells, _ = matrixpage.parse(read_page())
        for key in matrixcells.SECTIONS:
            for key, line, column in cells_of(key):
                self.assertIn((key, line.words, column), cells)


class Index(unittest.TestCase):
    """Needs no daemon."""

    def test_every_proof_is_there(self):
        cells, _ = matrixpage.parse(read_page())
        for name, (_, proofs) in matrixindex.INDEX.items():
            self.assertTrue(proofs, name)
            for proof in proofs:
                where, _, what = proof.partition(": ")
                if where in matrixcells.SECTIONS:
                    self.assertIn((where, what), {cell[:2] for cell in cells}, name)
                else:
                    self.assertIn(what, tests_of(where), name)

    def test_none_is_missing(self):
        expected = ([f"E{number}" for number in range(1, 23)] + [f"D{number}" for number in range(1, 15)]
                    + [f"R{number}" for number in range(1, 11)] + [f"W{number}" for number in range(16)])
        self.assertEqual(set(expected) - set(matrixindex.INDEX), set())


class Cells(unittest.TestCase):
    maxDiff = None

    def compare(self, key):
        page, _ = matrixpage.parse(read_page())
        expected = {cell: values[which()] for cell, values in page.items() if cell[0] == key}
        found = measure_all(cells_of(key)[::STEP])
        wrong = [f"{row}, {column or 'no flag'}: the page says '{expected.get((key, row, column))}', "
                 f"measured '{value}'" for (key, row, column), value in found.items()
                 if value != expected.get((key, row, column))]
        self.assertEqual(wrong, [], "if that is as it should be: test_matrix.py --write")
        if vireotest.USE_LIBVIRTD:
            return
        self.assertEqual([cell for cell, value in found.items() if value.startswith("⚠")], [])


for name in matrixcells.SECTIONS:
    setattr(Cells, "test_" + name, lambda self, name=name: self.compare(name))


def wanted(words):
    """All cells, or those whose section and row have the words."""
    return [cell for key in matrixcells.SECTIONS for cell in cells_of(key) if words in f"{key} {cell[1].words}"]


def write(words):
    """Cells that are not measured this time keep what the page says."""
    cells, versions = matrixpage.parse(read_page()) if os.path.exists(matrixpage.PAGE) else ({}, {})
    begin = time.monotonic()
    found = measure_all(wanted(words))
    print(f"{len(found)} cells in {time.monotonic() - begin:.0f} s")
    cells = {(key, line.words, column): list(cells.get((key, line.words, column), ("-", "-")))
             for key, line, column in wanted("")}
    for cell, value in found.items():
        cells[cell][which()] = value
    daemon, qemu = version()
    name = f"libvirt {daemon}" if vireotest.USE_LIBVIRTD else "Vireo"
    versions[name] = f"with QEMU {qemu} on {time.strftime('%Y-%m-%d')}"
    with open(matrixpage.PAGE, "w", encoding="utf-8") as stream:
        stream.write(matrixpage.render(cells, versions))


def show(words):
    for (key, row, column), value in sorted(measure_all(wanted(words)).items()):
        print(f"{key:10} {row:45} {column:12} {value}")


def main():
    words = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    if "--write" in sys.argv:
        write(words)
    elif "--show" in sys.argv:
        show(words)
    elif vireotest.USE_LIBVIRTD and version()[0] != PEER:
        qemutest.skip_file(f"the page is about libvirt {PEER}, this is {version()[0]}")
    else:
        qemutest.main()


if __name__ == "__main__":
    main()
