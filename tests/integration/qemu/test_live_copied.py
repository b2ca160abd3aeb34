# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flag LIVE where QEMU may not watch the guest's memory: it is copied while it changes, and the guest goes on too."""
import os

os.environ["LIVE_AS"] = "another"

import qemutest  # noqa: E402
import test_live  # noqa: E402


class Copied(test_live.Live):
    def setUp(self):
        super().setUp()
        with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="utf-8") as setting:
            if setting.read().strip() != "0":
                self.skipTest("every process may watch its memory here (sysctl vm.unprivileged_userfaultfd)")

    def test_moment(self):
        line, _ = self.nano_with(64)
        self.write_both(line, "A")
        line.ask("mA", "M=A")
        call = self.take()
        call.join()
        self.assertIsNone(call.error)
        self.assertEqual(self.state("a"), "running")
        line.ask("mB", "M=B")
        self.write_both(line, "B")
        self.assertEqual(self.snapshot_sector("s1"), {"A"})
        self.revert("s1")
        line = self.line("a")
        line.ask("g", "M=A")
        self.read_both(line, "A")
        with open(self.daemon.log, encoding="utf-8") as log:
            self.assertIn("may not watch the guest's memory", log.read())

    def test_guest_that_is_faster(self):
        """Copying would never catch up with it."""
        line = self.busy(64)
        call = self.take()
        call.join()
        self.assertIsNone(call.error)
        self.alive(line)
        self.assertLess(os.path.getsize(self.memory), 6 * 64 << 20)
        self.revert("s1")
        line = self.line("a")
        self.alive(line)

    def test_abort(self):
        line = self.busy(512)
        call = self.take()
        self.saving("memory_processed")
        self.alive(line)
        self.virsh("domjobabort", "a")
        call.join()
        self.assertIsNotNone(call.error)
        self.untouched()
        self.alive(line)

    def test_daemon_dies(self):
        line = self.busy(512)
        self.take()
        self.saving("memory_processed")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.state("a"), "running")
        self.untouched()
        line = self.line("a")
        self.alive(line)
        call = self.take()
        call.join()
        self.assertIsNone(call.error)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    if not os.path.exists(test_live.BUSY):
        qemutest.skip_file("the busy guest is not built")
    qemutest.main()
