# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux guest writes to its file system all the time, each file with its sum, each on disk before it says so. Every
kind of snapshot is taken of it meanwhile: what it had on disk by then is in the snapshot, and the file system is whole."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

import linuxtest
import qemutest
from agenttest import CHANNEL
from imagetest import Case
from qemutest import disk_xml

GUEST = """<domain type='qemu'><name>a</name><memory unit='MiB'>192</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{0}/vmlinuz</kernel><initrd>{0}/initrd.img</initrd>
    <cmdline>console=ttyS0 quiet guest.load</cmdline></os><features><acpi/></features>
  <devices><serial type='pty'/>{1}</devices></domain>"""
BEFORE = 10     # files, before each snapshot


def tool(*command, codes=(0,)):
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode not in codes:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Linux(Case):
    agent = False

    def setUp(self):
        super().setUp()
        guest = linuxtest.copy(self, self.agent)
        raw, disk = os.path.join(self.work, "fs.raw"), os.path.join(self.dir, "one.qcow2")
        with open(raw, "wb") as stream:
            stream.truncate(64 << 20)
        tool("mkfs.ext4", "-q", raw)
        tool("qemu-img", "convert", "-O", "qcow2", raw, disk)
        os.chmod(disk, 0o666)
        self.virsh("define", self.write("linux.xml", GUEST.format(guest, disk_xml(disk, "vda") + (CHANNEL.format(source="") if self.agent else ""))))
        self.durable = {}    # snapshot -> the last file on disk before it was taken

    # the guest

    def now(self):
        """The last file it says is on disk, of all it has said until now."""
        number = int(self.guest.until(rb"WROTE (\d+)\.", 60).group(1))
        self.guest.read()
        for match in re.finditer(rb"WROTE (\d+)\.", self.guest.seen):
            number = int(match.group(1))
        return number

    def follow(self, count=BEFORE):
        """Until it has written so many files more; the number of the last one."""
        begin = self.now()
        while self.now() < begin + count:
            pass
        return self.now()

    def checked(self):
        """What the guest finds when it looks at its own files."""
        numbers = self.guest.until(rb"CHECKED last=(\d+) good=(\d+) bad=(\d+) errors=(\d+)\.", 90)
        last, good, bad, errors = map(int, numbers.groups())
        self.assertEqual((bad, errors), (0, 0))
        return last, good

    # snapshots

    def take(self, name, *how):
        self.durable[name] = self.now()
        self.virsh("snapshot-create-as", "a", name, *how)
        self.now()    # it goes on

    def read_files(self, name):
        """The file system of a snapshot, its journal replayed: every file that was on disk is there and whole."""
        (_, path, inside), = self.snapshot_disks(name)
        raw, tree = os.path.join(self.work, "copy.raw"), os.path.join(self.work, "tree-" + name)
        inner = ("-l", f"snapshot.name={name}") if inside else ()
        tool("qemu-img", "convert", "-q", "-U", *inner, "-O", "raw", path, raw)
        tool("e2fsck", "-p", raw, codes=(0, 1))
        tool("e2fsck", "-f", "-n", raw)
        os.mkdir(tree)
        tool("debugfs", "-R", f"rdump / {tree}", raw)
        with open(os.path.join(tree, "sums"), encoding="ascii") as stream:
            sums = dict(line.split() for line in stream)
        last = max(map(int, sums))
        self.assertGreaterEqual(last, self.durable[name], f"{name}: files are lost that were on disk")
        for number in range(max(1, last - 50), last + 1):
            with open(os.path.join(tree, f"f.{number}"), "rb") as stream:
                self.assertEqual(hashlib.md5(stream.read()).hexdigest(), sums[str(number)], f"{name}: file {number}")
        os.unlink(raw)
        return last

    def boot(self):
        self.virsh("start", "a")
        self.guest = Guest(self.xml("a").find("devices/serial/source").get("path"))
        self.addCleanup(lambda: self.guest.close())
        self.guest.until(rb"READY linux", 120)
        self.assertEqual(self.checked()[0], 0)

    def read_again(self, name):
        shutil.rmtree(os.path.join(self.work, "tree-" + name))
        return self.read_files(name)

    def reopen(self):
        self.guest.close()
        self.guest = Guest(self.xml("a").find("devices/serial/source").get("path"))


class Load(Linux):
    def test_every_kind(self):
        began = time.monotonic()
        self.boot()
        self.follow()
        memory = [("--memspec", os.path.join(self.dir, f"s{number}.mem")) for number in range(5)]
        self.take("s1")
        self.follow()
        self.take("s2", *memory[2], "--diskspec", "vda")
        self.follow()
        self.take("s3", *memory[3], "--diskspec", "vda", "--live")
        self.follow()
        self.take("s4", "--disk-only")
        print(f"taken after {time.monotonic() - began:.0f} s: {self.durable}", flush=True)
        present = self.follow()
        held = {name: self.read_files(name) for name in self.durable}
        for name in "s1", "s3", "s2":
            self.virsh("snapshot-revert", "a", name)
            self.reopen()
            again = self.now()
            self.assertLess(again, present)
            self.assertGreaterEqual(again, held[name])
            self.follow(3)
            self.guest.send("check-load\n")
            self.assertGreater(self.checked()[1], min(held[name], 50))
        self.virsh("snapshot-revert", "a", "s4", "--running")
        self.reopen()
        last, good = self.checked()    # it has started anew and replayed its journal
        self.assertEqual(last, held["s4"])
        self.assertGreater(good, 30)
        self.follow(3)
        self.virsh("destroy", "a", "--graceful")
        for name in self.durable:
            self.assertEqual(self.read_again(name), held[name], "reverting and going on changed a snapshot")
        self.healthy()
        print(f"done after {time.monotonic() - began:.0f} s", flush=True)


class Quiesced(Linux):
    """The agent of the distribution holds the file system while the snapshot is taken."""

    agent = True

    def asks(self, command):
        return json.loads(self.virsh("qemu-agent-command", "a", json.dumps({"execute": command})))["return"]

    def is_at_rest(self, name):
        """Nothing has to be replayed: the journal was empty at that moment."""
        (_, path, inside), = self.snapshot_disks(name)
        raw = os.path.join(self.work, "rest.raw")
        inner = ("-l", f"snapshot.name={name}") if inside else ()
        tool("qemu-img", "convert", "-q", "-U", *inner, "-O", "raw", path, raw)
        features = re.search(r"Filesystem features:(.*)", tool("dumpe2fs", "-h", raw)).group(1).split()
        if "needs_recovery" not in features:
            tool("e2fsck", "-f", "-n", raw)    # whole as it is
        return "needs_recovery" not in features

    def test_agent(self):
        self.boot()
        words = ("snapshot-create-as", "a", "early", "--quiesce", "--disk-only")
        self.assertIn("is not connected", self.virsh_fails(*words))
        self.guest.send("agent\n")
        qemutest.wait_until(lambda: self.xml("a").find("devices/channel/target").get("state") == "connected", 60,
                            "the agent is there")
        self.assertEqual(self.asks("guest-fsfreeze-status"), "thawed")
        self.follow()
        memory = [("--memspec", os.path.join(self.dir, f"s{number}.mem")) for number in range(5)]
        self.take("s1", "--disk-only")
        self.assertFalse(self.is_at_rest("s1"), "it writes all the time")
        for name, how in (("s2", ("--disk-only",)), ("s3", memory[3]), ("s4", ())):
            self.follow()
            self.take(name, "--quiesce", *how)
            self.assertEqual(self.asks("guest-fsfreeze-status"), "thawed")
            self.assertTrue(self.is_at_rest(name), name)
        self.follow()
        held = {name: self.read_files(name) for name in self.durable}
        # its memory remembers that it is held
        self.virsh("snapshot-revert", "a", "s3")
        self.reopen()
        self.assertGreater(self.now(), held["s3"])
        self.assertEqual(self.asks("guest-fsfreeze-status"), "thawed")
        self.guest.send("check-load\n")
        self.assertGreater(self.checked()[1], min(held["s3"], 50))
        self.virsh("snapshot-revert", "a", "s2", "--running")
        self.reopen()
        self.assertEqual(self.checked()[0], held["s2"])
        self.virsh("destroy", "a", "--graceful")
        for name in self.durable:
            self.assertEqual(self.read_again(name), held[name])
        self.healthy()


class Guest(qemutest.vireotest.Nano):
    def read(self):
        try:
            self.seen += os.read(self.fd, 65536)
        except BlockingIOError:
            pass

    def until(self, pattern, seconds):
        """What matches; all before it is forgotten."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if time.monotonic() > end:
                raise AssertionError(f"guest did not say {pattern!r} but {self.seen[-300:]!r}")
            time.sleep(0.02)
            self.read()


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    for program in "mkfs.ext4", "e2fsck", "debugfs":
        qemutest.vireotest.need_program(program, "e2fsprogs")
    qemutest.main()
