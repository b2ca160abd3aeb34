# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU driver in a process of its own is killed: guests, consoles and listeners never notice."""
import json
import os
import signal
import subprocess
import time

import qemutest
from qemutest import wait_until

VIREO = os.path.join(qemutest.vireotest.BUILD, "core", "cli", "vireo")
qemutest.vireotest.FILES["vireod.conf"] = "[driver qemu]\nisolation = process\n"


def is_gone(pid):
    try:
        return qemutest.status(pid)["State"][0] in "ZX"
    except OSError:
        return True


class Isolated(qemutest.Case):
    def setUp(self):
        super().setUp()
        self.daemon.restart()       # a clean record: the first start comes after a second
        self.names("list", "--name")

    def driver(self):
        out = subprocess.run([VIREO, "-c", self.daemon.uri(), "drivers", "--json"], stdout=subprocess.PIPE, text=True,
                             timeout=30, check=True).stdout
        return next(driver for driver in json.loads(out) if driver["name"] == "qemu")

    def lose(self):
        """Kills the driver's process."""
        pid = self.driver()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.driver()["state"] == "QUARANTINED", 5, "the loss is noticed")
        self.assertTrue(is_gone(pid))

    def find_again(self):
        wait_until(lambda: self.driver()["state"] == "ACTIVE", 15, "the driver serves again")

    def listen(self, name):
        """What a listener that began before the loss has heard in the end."""
        watch = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), "event", name, "lifecycle", "--loop",
                                  "--timeout", "30"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        self.addCleanup(watch.stdout.close)
        time.sleep(1)
        for command in ("suspend", "resume"):
            self.virsh(command, name)
            self.assertIn(command.capitalize()[:5], watch.stdout.readline())
        return watch

    def test_guest_lives_on(self):
        line = self.start(self.define("a"))
        line.ask("mQ", "M=Q")
        pid, number, before = self.pid("a"), self.virsh("domid", "a"), self.virsh("dumpxml", "a")
        watch = self.listen("a")
        self.lose()
        line.ask("g", "M=Q")                                   # while nobody looks after it
        self.assertIn("QUARANTINED", self.virsh_fails("domstate", "a"))
        self.find_again()
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.virsh("domid", "a"), number)
        self.assertEqual(self.state_reason("a")[0], "running")
        self.assertEqual(self.virsh("dumpxml", "a"), before)
        line.ask("g", "M=Q")
        self.virsh("suspend", "a")
        self.assertIn("Suspended", watch.stdout.readline())    # the first event after the loss
        self.virsh("destroy", "a")
        self.assertIn("Stopped", watch.stdout.readline())
        self.assertTrue(is_gone(pid))

    def test_guest_that_died_meanwhile(self):
        self.start(self.define("a"))
        pid = self.pid("a")
        watch = self.listen("a")
        self.lose()
        os.kill(pid, signal.SIGKILL)
        self.find_again()
        self.assertIn("Stopped", watch.stdout.readline())
        self.assertEqual(self.state("a"), "shut off")

    def test_transient_guest_and_snapshot(self):
        line = self.start(self.define("a"))
        line.ask("mQ", "M=Q")
        self.virsh("snapshot-create-as", "a", "s1")
        line.ask("mR", "M=R")
        self.virsh("create", self.write("b.xml", self.nano_xml("b", disks=[])))
        self.lose()
        self.find_again()
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])
        self.virsh("snapshot-revert", "a", "s1")
        self.line("a").ask("g", "M=Q")
        self.assertEqual(self.info("b")["Persistent"], "no")
        self.virsh("destroy", "b")
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])

    def test_killed_during_a_call(self):
        """The call fails and says why; the guest is whole."""
        line = self.start(self.define("a"))
        line.ask("mQ", "M=Q")
        pid = self.pid("a")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        call = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), "suspend", "a"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        self.assertIsNone(call.poll())
        self.lose()
        self.assertRegex(call.communicate(timeout=5)[1], r"ended by signal 9 \(SIGKILL\) during domain-suspend of 'a'")
        os.kill(pid, signal.SIGCONT)
        self.find_again()
        if self.state("a") == "paused":     # the order had got through
            self.virsh("resume", "a")
        line.ask("g", "M=Q")

    def test_confinement_of_guests(self):
        """What is denied to the driver is denied to the guests it starts."""
        self.start(self.define("a"))
        about = qemutest.status(self.pid("a"))
        self.assertEqual((about["NoNewPrivs"], about["Seccomp"]), ("1", "2"))

    def test_daemon_killed_too(self):
        """The next daemon's process finds the guests."""
        line = self.start(self.define("a"))
        pid, host = self.pid("a"), self.driver()["pid"]
        self.daemon.kill()
        wait_until(lambda: is_gone(host), 10, "the driver's process ends with the daemon")
        self.daemon.start_vireod()
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.state("a"), "running")
        line.ask("g", "M=")


if __name__ == "__main__":
    qemutest.main()
