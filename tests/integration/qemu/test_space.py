# SPDX-License-Identifier: LGPL-2.1-or-later
"""No space, and a disk that fails, at every step of every operation: an error that says what could not be written, nothing
lost, nothing left, the daemon alive; once there is room the same call works.

VIREO_TEST_LONG=1: at all of the steps. VIREO_TEST_ONLY=WORD: operations with that word; VIREO_TEST_FROM=NAME,
VIREO_TEST_TO=NAME: from that one to that; VIREO_TEST_EVERY=N: each N-th step."""
import errno
import json
import os
import subprocess
import sys

import qemutest
import stoptest
from imagetest import libvirt
from plantest import VIREO

SAMPLES = 1 if stoptest.SANITIZED or stoptest.FEW else 2
FULL = "a full file system of our own, in a mount namespace"
ROOM, PAGE = 64 << 20, 64 << 10


class Space(stoptest.Case):
    """What the daemon itself writes fails; what it starts is not told."""

    def failing(self, failure):
        def one(name, before, step):
            total, _, after = self.count(before, step, stoptest.WRITES)
            for at in stoptest.sample(range(1, total + 1), SAMPLES):
                with self.subTest(operation=name, step=at, of=total):
                    self.one(before, step, at, failure, after)
        self.each_operation(one)

    def one(self, before, step, at, failure, after):
        scene = self.scene
        first = self.prepare(before, stoptest.WRITES, at, failure)
        self.leave_images(step, first, after)
        error = scene.during(lambda: self.operate(step), lambda: None)
        reached, where = bool(scene.stops.reached), scene.name_of(at)
        scene.disarm()
        try:
            self.assertIsNone(scene.daemon.process.poll(), "the daemon is dead")
            self.said(error, os.strerror(failure))
            self.end_jobs()
            scene.catch_up()
            took = scene.adopt_one_of(first, after, seconds=8)
            scene.settle()
            if took == 0:
                self.again(step)
            scene.use()
        except Exception as problem:
            stoptest.progress(f"step {at} ({where}): {problem}")
            scene.daemon.show_log()
            raise AssertionError(f"step {at} ({where}), the call said {error}: {problem}") from problem
        Space.done += reached

    def said(self, error, what):
        if error is None:
            return
        self.assertIsInstance(error, libvirt.libvirtError)
        self.assertIn(what, str(error))
        self.assertRegex(str(error), "/|domain '", "it does not say of what")

    def test_no_space(self):
        self.failing(errno.ENOSPC)

    def test_broken_disk(self):
        self.failing(errno.EIO)


class Scene(stoptest.Scene):
    waited = 0

    def waiting(self):
        env = {**os.environ, "VIREO_SOCKET": self.daemon.socket, "VIREO_DEFAULT_URI": "qemu:///system"}
        found = set()
        for name in self.domains:
            said = subprocess.run([VIREO, "--json", "doctor", name], env=env, capture_output=True, check=False).stdout
            found |= {f"{one['snapshot']} in {os.path.basename(one['file'])}" for one in json.loads(said)[0]["findings"]
                      if one["kind"] == "waiting-point"}
        self.waited += len(found)
        return found


class Full(stoptest.Case):
    """Images on a file system that fills up."""
    restarts = 0

    @classmethod
    def make(cls):
        return Scene(mount=ROOM)

    def ballast(self, free):
        path = os.path.join(self.scene.dir, "ballast")
        info = os.statvfs(self.scene.dir)
        size = info.f_bavail * info.f_frsize - free
        with open(path, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
        self.scene.kept.add("ballast")

    def lighten(self):
        os.unlink(os.path.join(self.scene.dir, "ballast"))

    def test_full(self):
        def one(name, before, step):
            if step[0] in ("define", "rename", "redefine"):
                return
            _, _, after = self.count(before, step, stoptest.STEPS)
            free, room = 0, False
            while not room:
                with self.subTest(operation=name, free=free):
                    room = self.with_room(before, step, free, after)
                free += stoptest.EVERY * PAGE if stoptest.LONG else (20 if stoptest.FEW else 5) * PAGE
                self.assertLess(free, ROOM, name)
        self.each_operation(one)

    def test_last_writes(self):
        """So little room that a point is taken off an image's list, but its clusters cannot be given back any more."""
        _, before, step = next(one for one in stoptest.OPERATIONS if one[0] == "revert to memory inside, off")
        _, _, after = self.count(before, step, stoptest.STEPS)
        for free in 11 * PAGE, 12 * PAGE:
            with self.subTest(free=free):
                self.with_room(before, step, free, after)
        with open(self.scene.daemon.log, encoding="utf-8", errors="replace") as stream:
            self.assertIn("Failed to free the cluster", stream.read(), "there was too much room left, or too little")

    def test_point_waits(self):
        """QEMU forgets a point of an image and has no room to write that down: the snapshot is deleted, the doctor says
        what it waits for, and nothing is left when the guest is off."""
        _, before, step = next(one for one in stoptest.OPERATIONS if one[0] == "delete in the middle, on")
        _, _, after = self.count(before, step, stoptest.STEPS)
        self.assertTrue(self.with_room(before, step, 0, after))
        self.assertTrue(self.scene.waited, "nothing had to wait")

    def test_half_written(self):
        """Where QEMU had no room for an internal snapshot, its next one would not be whole: that is refused, until the
        guest has been off."""
        _, before, step = next(one for one in stoptest.OPERATIONS if one[0] == "take with memory in a file, paused")
        _, _, after = self.count(before, step, stoptest.STEPS)
        self.assertFalse(self.with_room(before, step, 4 * PAGE, after))
        self.assertTrue(self.restarts, "it was whole")

    def again(self, step):
        try:
            super().again(step)
        except libvirt.libvirtError as error:
            if "shut the guest off and start it" not in str(error):
                raise
            self.scene.check(wait=False)
            self.scene.do_destroy("a")
            self.scene.do_start("a", True)
            self.restarts += 1
            super().again(step)

    def with_room(self, before, step, free, after):
        """Whether it was enough."""
        scene = self.scene
        first = self.prepare(before, 0)
        self.leave_images(step, first, after)
        self.ballast(free)
        scene.leaky = True    # QEMU leaves clusters behind that it could not fill
        for model in first, after:
            model[1].add("ballast")
        error = scene.during(lambda: self.operate(step), lambda: None)
        try:
            self.assertIsNone(scene.daemon.process.poll(), "the daemon is dead")
            if error is not None:
                self.assertIsInstance(error, libvirt.libvirtError)
                self.assertRegex(str(error), "[Nn]o space|KiB left", str(error))
            for model in first, after:
                model[1].add("ballast")
            self.lighten()
            self.end_jobs()
            scene.catch_up()
            took = scene.adopt_one_of(first, after, seconds=8)
            scene.settle()
            if took == 0:
                self.again(step)
            scene.use()
        except Exception as problem:
            stoptest.progress(f"{free} bytes free: {problem}")
            scene.daemon.show_log()
            raise AssertionError(f"the call said {error}: {problem}") from problem
        Full.done += 1
        return error is None


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    if not os.path.exists(stoptest.LIBRARY):
        sys.exit(f"{stoptest.LIBRARY} is not built")
    if "--mounted" not in sys.argv:
        can = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
        if can:
            os.execvp("unshare", ["unshare", "-m", sys.executable, "-B", *sys.argv, "--mounted"])
        Full = unittest_skip = None
        print("part of this is skipped: no mount namespace for " + FULL)
    else:
        sys.argv.remove("--mounted")
    sys.stdout.reconfigure(line_buffering=True)
    qemutest.main()
