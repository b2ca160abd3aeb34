#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-tables.py GENERATOR-DIR: the generator refuses tables that contradict themselves."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, sys.argv.pop(1))
from tables import TableError, Tables  # noqa: E402

GOOD = """
prefix = "Toy"
[root]
toy = { type = "Toy", label = "toy_definition" }
[enum]
Kind = "a b"
[Toy.attributes]
kind = "Kind! = a"
[Toy.elements]
part = "Part[]"
[Part.attributes]
size = "uint 1..9"
"""


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "toy.toml")
        path.write_text(text, encoding="utf-8")
        return Tables([path])


class Refusals(unittest.TestCase):
    def refused(self, old, new, message):
        self.assertIn(old, GOOD)
        with self.assertRaisesRegex(TableError, message):
            load(GOOD.replace(old, new))

    def test_good(self):
        tables = load(GOOD)
        self.assertEqual([i.c_name for i in tables.types["Toy"].items], ["kind", "parts"])

    def test_unknown_type(self):
        self.refused('"Part[]"', '"Pat[]"', "no type Pat")

    def test_unreadable_item(self):
        self.refused('"uint 1..9"', '"uint 1-9"', "cannot read")

    def test_unknown_key(self):
        self.refused('"uint 1..9"', '{ type = "uint", maximum = 3 }', "cannot read")

    def test_same_name_in_c(self):
        self.refused('part = "Part[]"', 'part = "Part[]"\nparts = "string"', "called parts")

    def test_list_of_numbers(self):
        self.refused('part = "Part[]"', 'part = "Part[]"\nn = "uint[]"', "lists hold")

    def test_condition_on_unknown_value(self):
        self.refused('"uint 1..9"', '{ type = "uint", when = "../kind=c" }', "cannot decide when")

    def test_condition_on_missing_attribute(self):
        self.refused('"uint 1..9"', '{ type = "uint", when = "kind=a" }', "cannot decide when")

    def test_unused_type(self):
        self.refused("[Part.attributes]", "[Lost.attributes]\nx = 'uint'\n[Part.attributes]",
                     "never used")

    def test_repeated_enum_value(self):
        self.refused('"a b"', '"a b a"', "repeats")


if __name__ == "__main__":
    unittest.main()
