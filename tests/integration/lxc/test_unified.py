# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers on a host that has version 2 of control groups alone. What version 1 holds of the controllers of the machine that
runs this test is then missing, so nothing is said here about limits."""
import os

import lxctest
from lxctest import groups, wait_until

lxctest.UNIFIED = True


class Unified(lxctest.Case):
    def test_it_is_what_it_says(self):
        self.assertTrue(os.path.exists("/sys/fs/cgroup/cgroup.controllers"))
        self.assertFalse(os.path.isdir("/sys/fs/cgroup/freezer"))

    def test_from_start_to_end(self):
        self.start("a", init="/bin/sh", args=("-c", "trap exit USR2; touch /ready; while true; do sleep 0.05; done"))
        self.assertEqual(self.state_reason("a"), ("running", "booted"))
        self.assertEqual(groups(self.uuid)[0], f"/sys/fs/cgroup/vireo-lxc-{self.uuid}")
        wait_until(lambda: os.path.exists(os.path.join(self.work, "a", "ready")), 10, "it is ready for the signal")
        self.reload_daemon()
        self.virsh("shutdown", "a")
        self.wait_state("a", "shut off")
        self.assertEqual(groups(self.uuid), [])

    def test_suspend_resume(self):
        self.suspend_and_resume()
        self.assertEqual(groups(self.uuid), [])

    def test_a_disk_comes_and_goes(self):
        # Whoever is in the container's groups may read the device as long as the definition has it.
        script = "while true; do head -c 5 /dev/xvda > /now 2> /dev/null || echo none > /now; cp /now /was; sleep 0.02; done"
        disk = self.write("disk.xml", f"<disk type='block' device='disk'><source dev='{lxctest.loop_device(self, b'hello')}'/>"
                                      "<target dev='xvda'/></disk>")
        self.start("a", init="/bin/sh", args=("-c", script))
        was = os.path.join(self.work, "a", "was")

        def says(text):
            with open(was, encoding="utf-8") as stream:
                return stream.read().strip() == text
        wait_until(lambda: os.path.exists(was) and says("none"), 10, "it has looked")
        self.virsh("attach-device", "a", disk)
        wait_until(lambda: says("hello"), 10, "it reads the disk")
        self.virsh("detach-device", "a", disk)
        wait_until(lambda: says("none"), 10, "it is gone")

    def test_what_has_no_controller_is_refused(self):
        with open("/sys/fs/cgroup/cgroup.controllers", encoding="ascii") as stream:
            controllers = stream.read().split()
        if "memory" in controllers:
            self.skipTest("this machine's controllers are all in version 2")
        self.define("a", extra="<memtune><hard_limit unit='MiB'>32</hard_limit></memtune>")
        self.assertIn("no controller 'memory'", self.virsh_fails("start", "a"))


if __name__ == "__main__":
    lxctest.main()
