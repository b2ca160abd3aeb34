# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of plans share: `vireo` beside virsh, and a plan held against what then happens."""
import json
import os
import subprocess
import time

import qemutest
from imagetest import Case, libvirt  # noqa: F401

VIREO = os.path.join(qemutest.vireotest.BUILD, "core", "cli", "vireo")
REVERT_OPTIONS = {libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING: "--running",
                  libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED: "--paused",
                  libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE: "--force"}


class PlanCase(Case):
    def run_vireo(self, *args):
        env = {**os.environ, "VIREO_SOCKET": self.daemon.socket, "VIREO_DEFAULT_URI": "qemu:///system"}
        return subprocess.run([VIREO, *args], env=env, capture_output=True, text=True, timeout=60, check=False)

    def vireo(self, *args):
        done = self.run_vireo(*args)
        self.assertEqual(done.returncode, 0, f"vireo {' '.join(args)}: {done.stderr}")
        return done.stdout

    def plan(self, *args):
        return json.loads(self.vireo("--json", "plan", *args))

    def refusal(self, *args):
        """What vireo says on standard error when it is refused."""
        done = self.run_vireo(*args)
        self.assertEqual((done.returncode, done.stdout), (1, ""), args)
        return done.stderr

    def contents(self):
        """Every file, with what its modification would show."""
        result = {}
        for name in self.files():
            info = os.stat(os.path.join(self.dir, name))
            result[os.path.join(self.dir, name)] = (info.st_ino, info.st_mtime_ns, info.st_size)
        return result

    def holds(self, plan, before):
        """What was planned is what has happened to the files since."""
        writes, removes = set(plan["writes"]), set(plan["removes"])
        end = time.monotonic() + 20
        while (set(before) | writes) - removes != set(self.contents()) and time.monotonic() < end:
            time.sleep(0.1)    # the background may not have begun yet
        self.idle()
        self.assertEqual(set(self.contents()), (set(before) | writes) - removes, plan)

    def planned(self, *args, done=None):
        """Tells the plan, sees that nothing has changed, does it, and compares."""
        self.idle()
        before = self.contents()
        plan = self.plan(*args)
        self.assertEqual(self.contents(), before, "a plan changes nothing")
        result = done() if done else self.virsh(*args)
        self.holds(plan, before)
        return plan, result
