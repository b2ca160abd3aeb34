# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: test_broken.py [--sanitized] CHECK MODULES [SANITIZER...]

--sanitized: CHECK and MODULES themselves are built with sanitizers, which then say it in their words.

Drivers that are each wrong in one way: vireo-driver-check names just that, and passes everything else."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent / "broken"
SANITIZED = "--sanitized" in sys.argv
CHECK, MODULES, *SANITIZERS = [arg for arg in sys.argv[1:] if arg != "--sanitized"]

# module: check that fails, what it says
BROKEN = {
    "duplicate": ("duplicates", r"domain_get_info is in the table twice"),
    "overlap": ("masks", r"domain_undefine_flags: NVRAM is both native and trivial"),
    "event-row": ("ids", r"domain_event_lifecycle is an event, which a driver raises and does not serve"),
    "lying-note": ("table", r"its note and its table have other flags for domain-undefine-flags"),
    "second-symbol": ("exports", r"exports helper_of_mine"),
    "lazy": ("links", r"is bound lazily"),
    "exits": ("init", r"^exited with status 3 in init$"),
    "blocks": ("init", r"^init did not return within 3 seconds$"),
    "silent-init": ("init", r"^init failed and logged no reason$"),
    "only-once": ("restart", r"init number 2 failed, after 1 that did not|I have run before"),
    "leaks-timer": ("restart", r"fini left 1 watches and timers"),
    "leaks-thread": ("leaked-threads", r"1 thread of the driver runs on after fini: 'poller'"),
    "leaks-fd": ("leaked-fds", r"left 2 more descriptors open .* /dev/null"),
    "leaks-memory": ("leaked-memory", r"leaves at least \d{4} bytes of memory behind"),
    "silent-open": ("open", r"conn_open of broken:///vireo-driver-check/\S+ failed without an error"),
    "crashes": ("calls", r"^signal 11 \(.*\) in domain_get_info$"),
    "never-completes": ("calls", r"domain_reboot returned VIREO_PENDING and was not completed within 3 seconds"),
    "deaf": ("cancel", r"domain_reboot did not end within 3 seconds of its cancellation"),
    "completes-twice": ("completion", r"domain_reboot was completed once more, after its end"),
    "says-yes": ("bogus", r"domain_get_xml_desc answered OK for an object that does not exist"),
    "silent-failure": ("errors", r"domain_get_info failed without an error"),
    "empty-result": ("results", r"domain_get_xml_desc answered OK with a result that cannot be sent: .*xml"),
    "believes-anything": ("documents", r"domain_define_xml_flags answered OK for the document '<domain"),
    "uses-trivial": ("trivial", r"domain_undefine_flags looks at NVRAM, which its table calls trivial"),
    "unlocked": ("threads", r"domain_get_xml_desc answers otherwise while other calls run than when it is alone"),
    "saves-late": ("kill", r"after a kill nothing is published of the domain 'vireo-check-o"),
    "ignores-failure": ("services", r"host->state_save failed, and the definition answered OK all the same"),
    "publishes-late": ("events", r"the start answered OK, and the domain is published as stopped"),
    "stale-event": ("events", r"an older state was published after it"),
    "withdraws-twice": ("publish", r"withdraw: '\S+' of class 1 is not published"),
}
if SANITIZED:
    BROKEN["leaks-memory"] = ("leaked-memory", r"^LeakSanitizer found memory that nothing points to$|byte\(s\) leaked")
    BROKEN["crashes"] = ("calls", r"^exited with status \d+ in domain_get_info$|runtime error: .* null pointer|: SEGV .*crashes.c")
# These are waited for in vain. Of all others nothing is said of time, which a busy machine has its own idea of.
WAITED_FOR = {"blocks", "never-completes", "deaf"}


def run(module, *options):
    limit = 3 if module in WAITED_FOR else 60
    done = subprocess.run([CHECK, "--format=json", f"--timeout={limit}", "--jobs=6",
                           f"--define={HERE / 'guest.xml'}", *options, os.path.join(MODULES, module + ".so")],
                          check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    checks = json.loads(done.stdout)["checks"]
    failed = {check["name"]: check["findings"] for check in checks if check["result"] == "failed"}
    assert bool(failed) == (done.returncode == 1), done.stdout
    return failed, checks


class Broken(unittest.TestCase):
    def test_sound(self):
        failed, checks = run("sound")
        self.assertEqual(failed, {})
        self.assertEqual([c["name"] for c in checks if c["result"] != "ok"], ["page"])

    def test_each_for_its_own_reason(self):
        self.assertGreaterEqual(len(BROKEN), 25)
        for module, (check, reason) in BROKEN.items():
            with self.subTest(module=module):
                failed, _ = run(module)
                self.assertEqual(list(failed), [check], failed)
                for finding in failed[check]:
                    self.assertRegex(finding, reason)

    def test_every_check_can_fail(self):
        names = subprocess.run([CHECK, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
        # The first cannot fail for a module, `load` and `page` have tests of their own; the router's are the core's.
        self.assertEqual({line.split()[0] for line in names} - {check for check, _ in BROKEN.values()},
                         {"note", "mandatory", "load", "page", "undeclared", "stripped"})

    def test_address(self):
        if "address" not in SANITIZERS:
            self.skipTest("there is no build with AddressSanitizer")
        failed, _ = run("overflows", "--sanitize=address")
        self.assertEqual(list(failed), ["calls"])
        self.assertRegex("\n".join(failed["calls"]), r"AddressSanitizer: heap-buffer-overflow .*generous_info")
        self.assertRegex("\n".join(failed["calls"]), r"exited with status 99 in domain_get_info")
        failed, _ = run("leaks-memory", "--sanitize=address")
        self.assertEqual(list(failed), ["leaked-memory"])
        self.assertRegex("\n".join(failed["leaked-memory"]), r"AddressSanitizer: \d+ byte\(s\) leaked")
        self.assertEqual(run("sound-address", "--sanitize=address")[0], {})

    def test_thread(self):
        if "thread" not in SANITIZERS:
            self.skipTest("there is no build with ThreadSanitizer")
        failed, _ = run("races", "--sanitize=thread")
        self.assertEqual(list(failed), ["threads"])
        self.assertRegex("\n".join(failed["threads"]), r"ThreadSanitizer: data race .*counting_info")
        self.assertEqual(run("sound-thread", "--sanitize=thread")[0], {})


class Page(unittest.TestCase):
    PAGE = "".join(f"{title}\n{'=' * len(title)}\n\nSomething.\n\n" for title in
                   ("WHAT IT MANAGES", "URI", "CONFIGURATION", "HOST ACCESS", "LIMITS", "VERSIONS TESTED"))
    FLAGS = ("FLAGS TAKEN TRIVIALLY\n=====================\n\nundefine: NVRAM, TPM\n  There are none.\n\n"
             "dumpxml: INACTIVE\n  There is one document.\n\n")

    def findings(self, page):
        with tempfile.NamedTemporaryFile("w", suffix=".rst") as file:
            file.write(page)
            file.flush()
            failed, _ = run("sound", "--only=page", f"--man={file.name}")
        return failed.get("page", [])

    def test_page(self):
        self.assertEqual(self.findings(self.PAGE + self.FLAGS), [])
        self.assertEqual(self.findings(self.PAGE), ["the page has no heading FLAGS TAKEN TRIVIALLY"])
        self.assertEqual(self.findings(self.PAGE.replace("LIMITS\n======", "BOUNDS\n======") + self.FLAGS),
                         ["the page has no heading LIMITS"])
        self.assertEqual(self.findings(self.PAGE + self.FLAGS.replace("NVRAM, ", "")),
                         ["the page does not say why domain_undefine_flags takes NVRAM trivially"])
        self.assertEqual(self.findings(self.PAGE + self.FLAGS.replace("NVRAM", "NVRAM, SNAPSHOTS_METADATA")),
                         ["the page explains flag SNAPSHOTS_METADATA, which no operation takes trivially"])
        self.assertEqual(self.findings(self.PAGE + self.FLAGS.replace("  There are none.\n", "")),
                         [f"the page does not say why domain_undefine_flags takes {flag} trivially"
                          for flag in ("NVRAM", "TPM")])


class Usage(unittest.TestCase):
    def exit_status(self, *args):
        return subprocess.run([CHECK, *args], check=False, capture_output=True, timeout=60).returncode

    def test_statuses(self):
        sound = os.path.join(MODULES, "sound.so")
        self.assertEqual(self.exit_status("--only=note", sound), 0)
        self.assertEqual(self.exit_status("--only=exports", os.path.join(MODULES, "second-symbol.so")), 1)
        self.assertEqual(self.exit_status("--only=note", "/dev/null"), 1)
        for args in ([], [sound, sound], ["/no/such/file.so"], ["--only=nonsense", sound], ["--format=xml", sound],
                     ["--jobs=0", sound], ["--timeout=0", sound], ["--sanitize=memory", sound],
                     ["--define=/no/such/file", sound], ["--man=/no/such/file", sound], ["--nonsense"]):
            self.assertEqual(self.exit_status(*args), 2, args)

    def test_tap(self):
        done = subprocess.run([CHECK, "--format=tap", "--only=duplicates", "--only=page",
                               os.path.join(MODULES, "duplicate.so")],
                              check=False, capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "TAP version 13")
        self.assertEqual(lines[-1], "1..2")
        self.assertTrue(any(re.match(r"not ok \d - duplicates", line) for line in lines), lines)
        self.assertTrue(any("# SKIP" in line for line in lines), lines)

    def test_nothing_is_left(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([CHECK, f"--define={HERE / 'guest.xml'}", "--timeout=3", os.path.join(MODULES, "crashes.so")],
                           check=False, capture_output=True, timeout=120, env=dict(os.environ, TMPDIR=folder))
            self.assertEqual(os.listdir(folder), [])


unittest.main(argv=sys.argv[:1])
