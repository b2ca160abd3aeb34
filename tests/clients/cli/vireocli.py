# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the command line share: `vireo` on the daemon of vireotest.py."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from vireotest import BUILD, VirshCase, daemon, main, vireo_only, wait_until  # noqa: E402,F401

VIREO = os.path.join(BUILD, "core", "cli", "vireo")
COMPLETION = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../../packaging/completion/vireo"))


def environment(**more):
    env = {key: value for key, value in os.environ.items()
           if key not in ("VIREO_DEFAULT_URI", "LIBVIRT_DEFAULT_URI", "NO_COLOR")}
    return {**env, "VIREO_SOCKET": daemon().socket, "VIREO_DEFAULT_URI": "qemu:///system", "TZ": "UTC", **more}


class CliCase(VirshCase):
    """Expectations are on exit status, meaning and shape; virsh is asked whether it is true."""

    def run_vireo(self, *args, stdin=None, env=None, timeout=60):
        return subprocess.run([VIREO, *args], env=env or environment(), capture_output=True, text=True,
                              timeout=timeout, input=stdin, check=False)

    def vireo(self, *args, **kwargs):
        done = self.run_vireo(*args, **kwargs)
        self.assertEqual(done.returncode, 0, f"vireo {' '.join(args)}: {done.stderr}")
        return done.stdout

    def json(self, *args, **kwargs):
        return json.loads(self.vireo("--json", *args, **kwargs))

    def fails(self, *args, code=1, **kwargs):
        """Must fail with that status and nothing on standard output; returns the message."""
        done = self.run_vireo(*args, **kwargs)
        self.assertEqual(done.returncode, code, f"vireo {' '.join(args)}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stdout, "")
        self.assertIn("error", done.stderr)
        return done.stderr

    def rows(self, *args):
        """A table as lists of cells, without its heading."""
        lines = self.vireo(*args).splitlines()
        self.assertRegex(lines[1], "^-+$")
        return [line.split("  ") for line in lines[2:]]
