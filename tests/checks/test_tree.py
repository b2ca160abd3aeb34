# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules of `tree` on small made-up trees: each must hold where it should and bite where it should."""
import os
import subprocess
import sys
import tempfile
import unittest

TREE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "tree")
SUM_UP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "sum-up")
HEAD = "/* SPDX-License-Identifier: " + "LGPL-2.1-or-later */\n"


class Tree(unittest.TestCase):
    def run_on(self, check, tree):
        with tempfile.TemporaryDirectory() as top:
            for path, text in tree.items():
                os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
                with open(os.path.join(top, path), "w", encoding="utf-8") as stream:
                    stream.write(text)
            done = subprocess.run([sys.executable, TREE, check, top], stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout

    def good(self, check, tree):
        self.assertEqual(self.run_on(check, tree), (0, ""))

    def bad(self, check, tree, word):
        code, out = self.run_on(check, tree)
        self.assertEqual(code, 1)
        self.assertIn(word, out)

    def test_includes(self):
        self.good("includes", {"core/rpc/a.c": '#include "util/x.h"\n#include "b.h"\n#include <rpc/xdr.h>\n',
                               "core/rpc/b.h": '#include "rpc/b.h"\n'})
        self.good("includes", {"plugins/p/a.c": '#include <vireo/driver.h>\n#include "kit/q.h"\n'})
        for path, name in (("core/util/a.c", "ops/x.h"), ("core/rpc/a.c", "router/x.h"), ("core/ops/a.c", "rpc/x.h"),
                           ("core/cli/a.c", "util/x.h"), ("core/lib/a.c", "router/x.h"), ("core/kit/a.c", "host/x.h"),
                           ("plugins/p/a.c", "util/x.h"), ("plugins/p/a.c", "host/x.h"), ("core/tools/a.c", "daemon/x.h")):
            with self.subTest(path=path, name=name):
                self.bad("includes", {path: f'#include "{name}"\n'}, "may not include")

    def test_includes_in_a_circle(self):
        self.bad("includes", {"core/rpc/a.c": '#include "host/x.h"\n', "core/host/x.c": '#include "rpc/a.h"\n'}, "circle")

    def test_includes_from_nowhere(self):
        self.bad("includes", {"core/rpc/a.c": '#include "lost.h"\n'}, "lost.h")
        self.good("includes", {"core/rpc/a.c": '#include "made.h"\n', "core/rpc/meson.build": "'made.h'"})

    def test_sizes(self):
        self.good("sizes", {"core/a/a.c": "\n" * 700})
        self.assertEqual(self.run_on("sizes", {"core/a/a.c": "\n" * 900})[0], 0)
        self.bad("sizes", {"core/a/a.c": "\n" * 1501}, "1501")

    def test_licences(self):
        self.good("licences", {"core/a.c": HEAD, "tests/run": "#!/bin/sh\n# " + HEAD[3:-4] + "\n", "notes.txt": "x"})
        self.bad("licences", {"core/a.c": "int x;\n"}, "core/a.c")
        self.bad("licences", {"core/a.c": HEAD.replace("LGPL-2.1-or-later", "MIT")}, "core/a.c")
        self.bad("licences", {"tests/run": "#!/bin/sh\n"}, "tests/run")

    def test_words(self):
        self.good("words", {"a.c": "/* fine, working */"})
        self.bad("words", {"a.c": "x\n// see /w" + "ork/place"}, "a.c:2")
        self.bad("words", {"a.md": "TO" + "DO: later"}, "a.md:1")

    def test_links(self):
        self.good("links", {"docs/a.md": "[b](b.md) [w](https://example.org/x) [s](b.md#part)", "docs/b.md": "`docs/a.md`"})
        self.bad("links", {"docs/a.md": "[b](c.md)"}, "c.md")
        self.bad("links", {"docs/a.md": "see `core/none.c`"}, "core/none.c")

    def test_sums(self):
        def sum_up(lines, problems="0"):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
                stream.write("".join(f'{{"name": "t{n}", "result": "{r}"}}\n' for n, r in enumerate(lines)))
                stream.flush()
                done = subprocess.run([sys.executable, SUM_UP, problems, stream.name], stdout=subprocess.PIPE,
                                      text=True, check=False)
                return done.returncode, done.stdout.splitlines()[-1]
        self.assertEqual(sum_up(["OK", "OK", "SKIP"]), (0, "2 passed, 0 failed, 1 skipped"))
        self.assertEqual(sum_up(["OK", "FAIL", "TIMEOUT"]), (1, "1 passed, 2 failed, 0 skipped"))
        self.assertEqual(sum_up([]), (1, "0 passed, 1 failed, 0 skipped"))
        self.assertEqual(sum_up(["OK"], "1"), (1, "1 passed, 1 failed, 0 skipped"))


unittest.main()
