# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of the daemon, of QEMU, and of both, at every step of every operation: each file that is replaced or removed,
each program that is started, each command that QEMU gets, and while what is left over is merged. Afterwards it is all
of the operation or nothing of it; every snapshot reads its own bytes, no file is lost or left, and the domain works.

Some steps of each operation; VIREO_TEST_LONG=1: all of them. VIREO_TEST_ONLY=WORD: operations with that word;
VIREO_TEST_FROM=NAME, VIREO_TEST_TO=NAME: from that one to that; VIREO_TEST_EVERY=N: each N-th step."""
import os
import sys
import unittest

import qemutest
import stoptest
from imagetest import libvirt

SAMPLES = 1    # of each operation and accident


class Stops(stoptest.Case):
    def accident(self, before, step, at, kill, after):
        scene = self.scene
        first = self.prepare(before, stoptest.STEPS, at)
        self.leave_images(step, first, after)
        error = scene.during(lambda: self.operate(step), lambda: [one() for one in kill])
        reached = bool(scene.stops.reached)
        self.assertTrue(error is None or isinstance(error, libvirt.libvirtError) or reached, error)
        where = scene.name_of(at)
        scene.disarm()
        if scene.kill_daemon in kill and reached:
            scene.conn.close()
            scene.daemon.kill()
            scene.start_daemon()
        try:
            qemutest.wait_until(scene.knows_guests, 20, "the end of QEMU is noticed")
            self.assertIsNone(scene.daemon.process.poll(), "the daemon is dead")
            self.end_jobs()
            took = scene.adopt_one_of(first, after)
            scene.settle()
            scene.use()
            if took == 0:
                self.again(step)
        except Exception as problem:
            stoptest.progress(f"step {at} ({where}): {problem}")
            scene.daemon.show_log()
            raise AssertionError(f"step {at} ({where}), the call said {error}: {problem}") from problem
        type(self).done += reached

    def each(self, kill):
        scene = self.scene
        kill = [getattr(scene, "kill_" + one) for one in kill]

        def one(name, before, step):
            if scene.kill_guests in kill and before == stoptest.OFF:
                return
            total, _, after = self.count(before, step, stoptest.STEPS)
            self.assertGreater(total, 0)
            for at in stoptest.sample(range(1, total + 1), SAMPLES):
                with self.subTest(operation=name, step=at, of=total):
                    self.accident(before, step, at, kill, after)
        self.each_operation(one)

    def test_daemon(self):
        self.each(["daemon"])

    def test_guest(self):
        self.each(["guests"])

    def test_pivot_that_qemu_did_not_hear_of(self):
        """It is on disk that it was asked for."""
        before, step = next(one[1:] for one in stoptest.OPERATIONS if one[0] == "commit")
        total, _, after = self.count(before, step, stoptest.STEPS)
        at = next(number for number in range(1, total + 1) if "block-job-complete" in self.scene.name_of(number))
        self.accident(before, step, at, [self.scene.kill_daemon], after)

    @unittest.skipUnless(stoptest.LONG, "takes long; VIREO_TEST_LONG=1")
    def test_both(self):
        self.each(["guests", "daemon"])


class InTheBackground(Stops):
    """Deletes that look at nothing before they answer."""
    test_guest = test_both = test_pivot_that_qemu_did_not_hear_of = test_daemon = None

    @classmethod
    def setUpClass(cls):
        qemutest.vireotest.FILES["qemu.conf"] = \
            "[process]\nuser = nobody\ngroup = nogroup\n[snapshots]\ndelete_looks_at = 0\n"
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        del qemutest.vireotest.FILES["qemu.conf"]

    def test_deletes(self):
        """The daemon dies when what is given up is noted down, when the snapshots go, and when all is given back."""
        def one(name, before, step):
            if name != "delete a branch, off" and (step[0] != "delete" or not stoptest.LONG):
                return
            total, _, after = self.count(before, step, stoptest.STEPS)
            names = [self.scene.name_of(number) for number in range(1, total + 1)]
            for what in "/.gone", ".xml", names[-1]:
                at = next(number for number, step_name in enumerate(names, 1) if what in step_name)
                with self.subTest(operation=name, step=names[at - 1]):
                    self.accident(before, step, at, [self.scene.kill_daemon], after)
        self.each_operation(one)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    if not os.path.exists(stoptest.LIBRARY):
        sys.exit(f"{stoptest.LIBRARY} is not built")
    sys.stdout.reconfigure(line_buffering=True)
    qemutest.main()
