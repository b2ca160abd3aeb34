# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed at every write it makes while it takes, reverts to and deletes snapshots. Started again it
finishes or undoes what it did: every snapshot holds its own bytes, and no file is left that nothing needs."""
import ctypes
import os
import select
import signal
import struct
import subprocess
import threading

import qemutest
from imagetest import Case

LIBC = ctypes.CDLL(None, use_errno=True)
MOVED_TO, CLOSED, DELETED = 0x80, 0x8, 0x200
POINTS_MAX = 40


class Watch(threading.Thread):
    """Kills a process at the n-th change below some directories."""

    def __init__(self, root, pid, point):
        super().__init__()
        self.fd = LIBC.inotify_init1(0o4000)
        for folder, _, _ in os.walk(root):
            LIBC.inotify_add_watch(self.fd, folder.encode(), MOVED_TO | DELETED)
        self.pid, self.point, self.killed, self.over = pid, point, False, False
        self.start()

    def run(self):
        seen = 0
        while not self.over:
            if not select.select([self.fd], [], [], 0.05)[0]:
                continue
            data = os.read(self.fd, 65536)
            while data:
                length = struct.unpack_from("iIII", data)[3]
                data = data[16 + length:]
                seen += 1
                if seen == self.point:
                    os.kill(self.pid, signal.SIGKILL)
                    self.killed = True
                    return

    def end(self):
        self.over = True
        self.join()
        os.close(self.fd)


class Accidents(Case):
    def letter(self, letter):
        self.now = letter
        if self.state("a") == "shut off":
            for path in self.targets("a").values():
                subprocess.run(["qemu-io", "-c", f"write -P {ord(letter)} 32k 512", path], check=True,
                               stdout=subprocess.DEVNULL)
        else:
            line = self.line("a")
            line.wake()
            line.ask("m" + letter, "M=" + letter)
            self.write_both(line, letter)

    def take(self, name, *options):
        self.virsh("snapshot-create-as", "a", name, *options)
        self.snapshots[name] = self.now

    def prepare(self, on):
        """s1 (external) below s2 (mixed) below s3 (external); the present is D."""
        self.virsh_raw("destroy", "a")
        self.virsh_raw("undefine", "a", "--snapshots-metadata")
        for name in self.files():
            os.unlink(os.path.join(self.dir, name))
        self.snapshots = {}
        self.nano()
        if not on:
            self.virsh("destroy", "a")
        both = ("--disk-only",) if on else ("--diskspec", "vda,snapshot=external", "--diskspec", "vdb,snapshot=external")
        mixed = ("--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external")
        for letter, name, options in ("A", "s1", both), ("B", "s2", mixed), ("C", "s3", both):
            self.letter(letter)
            self.take(name, *options)
        self.letter("D")

    def check(self, operation, result):
        """Whatever has become of the operation, it is all of it or nothing."""
        left = self.names("snapshot-list", "a", "--name")
        for name in set(self.snapshots) - set(left):
            self.assertTrue(name in operation or "--children" in operation, "a snapshot nobody deleted is gone")
        for name in left:
            self.assertEqual(self.snapshot_sector(name), {self.snapshots.get(name, self.now)}, name)
        self.idle()    # who opens an image while what is below it goes may find neither
        presents = set()
        for path in self.targets("a").values():
            done = subprocess.run(["qemu-io", "-r", "-U", "-c", "read -v 32k 512", path], check=True,
                                  capture_output=True, text=True)
            presents.add(chr(int(done.stdout.split(":")[1].split()[0], 16)))
        reverted = self.snapshots.get(operation[2]) if operation[0] == "snapshot-revert" else None
        self.assertIn(presents, ({self.now}, {reverted}))
        self.assertEqual(self.state_of("plan"), {})
        self.nothing_leaked()

    def every_point(self, on, *operation):
        """At every second of them, unless VIREO_TEST_LONG is set."""
        step = 1 if os.environ.get("VIREO_TEST_LONG") else 2
        for point in range(1, POINTS_MAX, step):
            self.prepare(on)
            self.idle()
            watch = Watch(os.path.join(self.daemon.root, "var/lib/vireo/qemu"), self.daemon.process.pid, point)
            result = self.virsh_raw(*operation)
            if result.returncode == 0:
                self.idle_or_dead()
            watch.end()
            with self.subTest(point=point, result=result.returncode):
                if watch.killed:
                    self.daemon.kill()
                    self.daemon.start_vireod()
                self.check(operation, result)
                if self.state("a") != "shut off":
                    self.virsh("destroy", "a")
                self.healthy()
            if not watch.killed:
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertGreater(point, 3, "too few writes to be true")
                return
        self.fail("it does not end")

    def idle_or_dead(self):
        try:
            self.idle()
        except AssertionError:
            pass

    def test_take_off(self):
        self.every_point(False, "snapshot-create-as", "a", "s4", "--diskspec", "vda,snapshot=external",
                         "--diskspec", "vdb,snapshot=internal")

    def test_take_on(self):
        self.every_point(True, "snapshot-create-as", "a", "s4", "--diskspec", "vda,snapshot=external",
                         "--diskspec", "vdb,snapshot=internal", "--memspec", os.path.join(self.dir, "s4.mem"))

    def test_revert_off(self):
        self.every_point(False, "snapshot-revert", "a", "s1")

    def test_revert_to_point(self):
        self.every_point(False, "snapshot-revert", "a", "s2")

    def test_revert_on(self):
        self.every_point(True, "snapshot-revert", "a", "s1", "--running")

    def test_delete_off(self):
        self.every_point(False, "snapshot-delete", "a", "s2")

    def test_delete_on(self):
        self.every_point(True, "snapshot-delete", "a", "s2")

    def test_delete_all(self):
        self.every_point(False, "snapshot-delete", "a", "s1", "--children")
        self.assertEqual(len(self.files()), 4)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
