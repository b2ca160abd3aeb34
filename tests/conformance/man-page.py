#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""man-page.py INSPECT MODULE PAGE: a driver's page has every heading, and the flags it names as taken
trivially are those of its table, both ways."""

import json
import re
import subprocess
import sys

HEADINGS = ["WHAT IT MANAGES", "URI", "CONFIGURATION", "HOST ACCESS", "FLAGS TAKEN TRIVIALLY", "LIMITS",
            "VERSIONS TESTED"]


def sections(text):
    found = {}
    parts = re.split(r"(?m)^([A-Z][A-Za-z ]+)\n=+\n", text)
    for title, body in zip(parts[1::2], parts[2::2]):
        found[title.upper()] = body
    return found


def trivial_flags(inspect, module):
    table = json.loads(subprocess.run([inspect, "--json", module], check=True, capture_output=True).stdout)[0]
    return {flag for op in table["operations"] for flag in op.get("trivial", [])}


def main():
    inspect, module, page = sys.argv[1:]
    found = sections(open(page, encoding="utf-8").read())
    problems = [f"no section {heading}" for heading in HEADINGS if not found.get(heading, "").strip()]
    told = found.get("FLAGS TAKEN TRIVIALLY", "")
    named = set()
    for term in re.findall(r"(?m)^(\S.*)\n  ", told):
        named |= set(re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", term)) - {"XML"}
    table = trivial_flags(inspect, module)
    problems += [f"{flag}: in the table, not in the page" for flag in sorted(table - named)]
    problems += [f"{flag}: in the page, not in the table" for flag in sorted(named - table)]
    for problem in problems:
        print(f"{page}: {problem}")
    return 1 if problems else 0


sys.exit(main())
