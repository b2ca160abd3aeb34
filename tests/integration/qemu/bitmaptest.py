# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of checkpoints together with other things share: a disk that is written to anywhere, backups that
are put on each other and compared with the whole."""
import json
import os

import blocktest
import qemutest

KIB64 = 65536


class Case(blocktest.Case):
    def setUp(self):
        super().setUp()
        if not self.daemon.is_vireo:
            self.skipTest("Vireo only: libvirtd refuses it, or loses what was noted down")

    def begin(self, **kwargs):
        """A running guest whose second disk holds 1 in its first two MiB, and the whole backup "b1" as of c1."""
        self.path = self.image("disk.qcow2", patterns=[(1, 0, 2)])
        self.guest(self.path, **kwargs)
        self.backups = 0
        self.last = self.backup("b1", point="c1")

    def settings(self, text):
        """More of them in the driver's configuration; the daemon starts anew."""
        path = os.path.join(self.daemon.root, "etc", "vireo", "qemu.conf")
        with open(path, encoding="utf-8") as stream:
            before = stream.read()
        self.addCleanup(self.set_settings, before)
        self.set_settings(before + text)

    def set_settings(self, text):
        qemutest.vireotest.FILES["qemu.conf"] = text
        self.daemon.kill()
        self.daemon.start_vireod()

    def put(self, byte, kib64):
        """Writes 64 KiB of the disk, as the guest would."""
        if self.state("d") == "running":
            for command in f"write -P {byte} {kib64 * 64}k 64k", "flush":
                self.assertEqual(self.virsh("qemu-monitor-command", "d", "--hmp", "qemu-io -d "
                                            f'/machine/peripheral/virtio-disk1/virtio-backend "{command}"'), "")
        else:
            blocktest.tool("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {kib64 * 64}k 64k", self.image_now())

    def image_now(self):
        return self.targets("d")["vdb"]

    def document(self, target, since):
        since = f"<incremental>{since}</incremental>" if since else ""
        return self.write("backup.xml", f"""<domainbackup mode='push'>{since}<disks>
            <disk name='vdb' backup='yes' type='file'><target file='{target}'/></disk>
            <disk name='vda' backup='no'/></disks></domainbackup>""")

    def backup_args(self, target, since, point):
        more = []
        if point:
            more = [self.write("point.xml", f"<domaincheckpoint><name>{point}</name><disks><disk name='vdb'/></disks>"
                               "</domaincheckpoint>")]
        return ["backup-begin", "d", self.document(target, since), *more]

    def backup(self, name, since=None, point=None):
        """Pushed to a file of that name."""
        path = os.path.join(self.work, name)
        self.virsh(*self.backup_args(path, since, point))
        qemutest.wait_until(lambda: self.virsh_raw("backup-dumpxml", "d").returncode, 30, "the backup is over")
        return path

    def refused(self, since):
        """An incremental backup that would be wrong; returns why."""
        path = os.path.join(self.work, "never")
        said = self.virsh_fails(*self.backup_args(path, since, None))
        self.assertFalse(os.path.exists(path))
        return said

    def compare(self, one, two):
        blocktest.tool("qemu-img", "compare", "-U", one, two)

    def ranges(self, path):
        """The 64 KiB blocks a backup holds itself."""
        blocks = []
        for one in json.loads(blocktest.tool("qemu-img", "map", "--output=json", path)):
            if not one["depth"] and one.get("present", True):
                blocks += range(one["start"] // KIB64, (one["start"] + one["length"]) // KIB64)
        return blocks

    def right(self, since, on, blocks=None):
        """What changed since a checkpoint, put on the backup of that moment, is what the disk holds now."""
        self.backups += 1
        part = self.backup(f"part{self.backups}", since)
        whole = self.backup(f"whole{self.backups}")
        if blocks is not None:
            self.assertEqual(self.ranges(part), blocks)
        blocktest.tool("qemu-img", "rebase", "-u", "-b", on, "-F", "qcow2", part)
        self.compare(part, whole)
        return whole

    def snapshot(self, name, *args):
        self.virsh("snapshot-create-as", "d", name, "--diskspec", "vda,snapshot=no", *args)

    def overlay(self, name):
        self.snapshot(name, "--disk-only")

    def merged(self, count):
        """The disk's chain has so many images, soon."""
        qemutest.wait_until(lambda: len(self.disk_chain()) == count and "None" in self.virsh("domjobinfo", "d"), 30,
                            f"{count} images are left of the chain")

    def disk_chain(self):
        """Nothing while one of the images goes."""
        try:
            info = json.loads(blocktest.tool("qemu-img", "info", "-U", "--output=json", "--backing-chain",
                                             self.image_now()))
        except (AssertionError, json.JSONDecodeError):
            return []
        return [os.path.basename(image["filename"]) for image in info]

    def restart(self):
        self.off()
        self.virsh("start", "d")
