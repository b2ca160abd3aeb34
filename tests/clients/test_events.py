# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh event, and keepalive on the wire."""
import os
import re
import subprocess
import sys
import time

import vireotest

PROXY = os.path.join(vireotest.TOP, "tests", "peers", "wire-proxy")
KEEPALIVE = 0x6B656570


class Events(vireotest.VirshCase):
    def watch(self, *args, uri=None, options=()):
        """Starts `virsh event` and returns when it is surely registered."""
        command = ["virsh", *options, "-c", uri or self.daemon.uri(), "event", *args]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: child.poll() is None and (child.kill(), child.wait()))
        time.sleep(0.7)
        return child

    def said(self, child, seconds=30):
        out, error = child.communicate(timeout=seconds)
        self.assertEqual(error, "")
        return out

    def test_lifecycle_of_one_guest(self):
        self.define("a")
        child = self.watch("--event", "lifecycle", "--domain", "a", "--loop", "--timeout", "6")
        self.virsh("start", "a", "--paused")
        self.virsh("resume", "a")
        self.virsh("suspend", "a")
        self.virsh("destroy", "a")
        seen = re.findall(r"domain '?a'?: (.+)", self.said(child))
        for wanted in ("Started Booted", "Resumed Unpaused", "Suspended Paused", "Stopped Destroyed"):
            self.assertIn(wanted, seen)
        order = [seen.index(x) for x in ("Started Booted", "Resumed Unpaused", "Stopped Destroyed")]
        self.assertEqual(order, sorted(order))

    def test_define_and_undefine(self):
        child = self.watch("--event", "lifecycle", "--loop", "--timeout", "4")
        self.define_diskless("a")
        self.define_diskless("a", uuid=self.virsh("domuuid", "a"))
        self.virsh("undefine", "a")
        seen = re.findall(r"domain '?a'?: (.+)", self.said(child))
        self.assertEqual(seen, ["Defined Added", "Defined Updated", "Undefined Removed"])

    def test_one_event_and_out(self):
        self.define("a")
        child = self.watch("--event", "lifecycle", "--timeout", "20")
        self.virsh("start", "a")
        self.assertIn("events received: 1", self.said(child))

    def test_other_domains_are_not_heard(self):
        self.define_diskless("a")
        child = self.watch("--event", "lifecycle", "--domain", "a", "--loop", "--timeout", "3")
        self.define_diskless("b")
        self.virsh("undefine", "b")
        self.assertIn("events received: 0", self.said(child))

    def test_all_kinds(self):
        """Every kind this virsh knows; those that mean nothing here just never happen."""
        self.define("a")
        child = self.watch("--all", "--domain", "a", "--loop", "--timeout", "5")
        line = self.start("a")
        self.virsh("reset", "a")
        line.expect("READY")
        self.virsh("desc", "a", "--config", "--title", "new")
        out = self.said(child)
        self.assertIn("event 'lifecycle' for domain 'a': Started Booted", out)
        self.assertIn("event 'reboot' for domain 'a'", out)

    def test_shutdown_by_the_guest(self):
        line = self.start(self.define("a"))
        child = self.watch("--event", "lifecycle", "--loop", "--timeout", "5")
        line.send("p")
        line.expect_off()
        seen = re.findall(r"domain '?a'?: (.+)", self.said(child))
        self.assertIn("Stopped Shutdown", seen)
        self.assertTrue(any(x.startswith("Shutdown ") for x in seen), seen)

    def test_snapshot_revert(self):
        self.start(self.define("a"))
        self.virsh("snapshot-create-as", "a", "one")
        self.virsh("destroy", "a")
        child = self.watch("--event", "lifecycle", "--loop", "--timeout", "5")
        self.virsh("snapshot-revert", "a", "one")
        self.assertRegex(self.said(child), r"Started Snapshot|Resumed Snapshot")

    def test_unknown_kind_of_domain(self):
        self.virsh_fails("event", "--event", "lifecycle", "--domain", "nope")

    def test_keepalive_is_answered(self):
        proxy, lines = os.path.join(self.work, "p"), os.path.join(self.work, "lines")
        child = subprocess.Popen([sys.executable, PROXY, proxy, self.daemon.socket, lines])
        try:
            vireotest.wait_until(lambda: os.path.exists(proxy), what="proxy")
            watcher = self.watch("--event", "lifecycle", "--loop", "--timeout", "3", options=("-k", "1", "-K", "3"),
                                 uri=f"qemu+unix:///system?socket={proxy}")
            self.said(watcher)
        finally:
            child.terminate()
            child.wait()
        pings, pongs = 0, 0
        with open(lines, encoding="ascii") as stream:
            for line in stream:
                if line[0] in "<>":
                    direction, _, _, data = line.split()
                    packet = bytes.fromhex(data)
                    if int.from_bytes(packet[4:8], "big") == KEEPALIVE:
                        pings += direction == ">" and packet[15] == 1
                        pongs += direction == "<" and packet[15] == 2
        self.assertGreaterEqual(pings, 2)
        self.assertEqual(pings, pongs)


if __name__ == "__main__":
    vireotest.main()
