# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks that are block devices: snapshots of them, going back, merging."""
import os
import subprocess

import bitmaptest
import blocktest
import qemutest


class BlockDisks(bitmaptest.Case):
    def setUp(self):
        super().setUp()
        if not qemutest.IS_ROOT:
            self.skipTest("loop devices need root")

    def device(self, kind="raw"):
        """A loop device with 8 MiB, 1 in the first two of them."""
        path = self.image(f"behind.{kind}", kind=kind, patterns=[(1, 0, 2)])
        with open(path, "ab") as stream:
            stream.truncate(16 * blocktest.MIB if kind == "qcow2" else 8 * blocktest.MIB)
        done = subprocess.run(["losetup", "-f", "--show", path], capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest("no loop device: " + done.stderr.strip())
        loop = done.stdout.strip()
        self.addCleanup(self.detach, loop)
        return loop

    def detach(self, loop):
        self.virsh_raw("destroy", "d")
        subprocess.run(["losetup", "-d", loop], check=True)

    def disk_of(self, loop, kind, target="vdb"):
        return (f"<disk type='block' device='disk'><driver name='qemu' type='{kind}'/><source dev='{loop}'/>"
                f"<target dev='{target}' bus='virtio'/></disk>")

    def block_guest(self, kind="raw", start=True):
        self.loop = self.device(kind)
        boot = self.nano_disk("boot.qcow2")
        self.define("d", disks=[qemutest.disk_xml(boot, "vda", boot=1), self.disk_of(self.loop, kind)])
        if start:
            self.virsh("start", "d")

    def overlays(self):
        """Sets where overlays go."""
        self.over = os.path.join(self.work, "overlays")
        os.mkdir(self.over)
        os.chmod(self.over, 0o777)
        self.settings(f"[snapshots]\noverlay_dir = {self.over}\n")

    def reads(self, byte, kib64, path=None):
        """What the disk holds there, by its chain of images, while the guest is off."""
        path = path or self.image_now()
        kind = "raw" if path.startswith("/dev/") and self.kind == "raw" else "qcow2"
        said = blocktest.tool("qemu-io", "-r", "-f", kind, "-c", f"read -P {byte} {kib64 * 64}k 64k", path)
        self.assertNotIn("failed", said)

    def test_overlay_needs_a_place(self):
        self.block_guest()
        self.assertIn("overlay_dir", self.virsh_fails("snapshot-create-as", "d", "s1", "--disk-only"))
        self.assertEqual(self.image_now(), self.loop)

    def test_live(self):
        self.kind = "raw"
        self.overlays()
        self.block_guest()
        self.put(2, 0)
        self.overlay("s1")
        self.put(3, 1)
        self.overlay("s2")
        self.put(4, 2)
        self.assertEqual(self.image_now(), os.path.join(self.over, "d-vdb.s2"))
        self.virsh("snapshot-revert", "d", "s1", "--running")
        self.put(5, 3)
        self.assertEqual(os.path.dirname(self.image_now()), self.over)
        self.off()
        for byte, at in (2, 0), (1, 1), (1, 2), (5, 3):
            self.reads(byte, at)
        self.reads(1, 3, self.loop)
        self.virsh("snapshot-revert", "d", "s2", "--running")
        self.off()
        for byte, at in (2, 0), (3, 1), (1, 2), (1, 3):
            self.reads(byte, at)

    def test_merging(self):
        self.kind = "raw"
        self.overlays()
        self.block_guest()
        for number in 1, 2, 3:
            self.overlay(f"s{number}")
            self.put(1 + number, number)
        self.virsh("snapshot-delete", "d", "s2")
        self.merged(3)
        self.off()
        self.virsh("snapshot-delete", "d", "s3")
        self.merged(2)
        for number in 1, 2, 3:
            self.reads(1 + number, number)
        self.virsh("snapshot-delete", "d", "s1")
        self.assertTrue(os.path.exists(self.loop))
        self.virsh("start", "d")
        self.assertEqual(os.listdir(self.over), [os.path.basename(self.image_now())])

    def test_off(self):
        self.kind = "raw"
        self.overlays()
        self.block_guest(start=False)
        self.snapshot("s1", "--disk-only")
        self.put(2, 0)
        self.virsh("snapshot-revert", "d", "s1")
        self.reads(1, 0)
        self.virsh("start", "d")
        self.put(3, 1)
        self.off()
        self.reads(3, 1)
        self.reads(1, 1, self.loop)

    def test_committed_back(self):
        self.kind = "raw"
        self.overlays()
        self.block_guest()
        self.overlay("s1")
        self.put(2, 0)
        self.virsh("snapshot-delete", "d", "s1", "--metadata")
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot")
        self.assertEqual(self.disk().get("type"), "block")
        self.assertEqual(self.image_now(), self.loop)
        self.restart()
        self.put(3, 1)
        self.off()
        self.reads(2, 0)
        self.reads(3, 1)

    def test_inside_a_qcow2_image(self):
        """With checkpoints: the image is the device itself."""
        self.kind = "qcow2"
        self.overlays()
        self.block_guest("qcow2")
        self.virsh("checkpoint-create-as", "d", "c1", "--diskspec", "vdb")
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(2, 0)
        self.virsh("snapshot-revert", "d", "s1")
        self.put(3, 1)
        self.off()
        self.reads(1, 0)
        self.reads(3, 1)
        self.virsh("snapshot-create-as", "d", "s2")
        self.put(4, 2)
        self.virsh("snapshot-revert", "d", "s2")
        self.reads(1, 2)
        self.snapshot("s3", "--disk-only")
        self.virsh("start", "d")
        self.virsh("snapshot-delete", "d", "s2")
        self.virsh("snapshot-delete", "d", "s1")
        self.off()
        self.assertEqual(self.disk_snapshots(self.loop), [])
        self.reads(3, 1)

    def test_private_base_after_the_last_snapshot(self):
        """QEMU may read what its overlay was put on, although no snapshot names it any more."""
        path = self.private_disk("base.qcow2")
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1),
                                qemutest.disk_xml(path, "vdb")])
        self.snapshot("s1", "--disk-only")
        self.virsh("snapshot-delete", "d", "s1")
        self.virsh("start", "d")
        self.off()
        self.assertEqual(self.owner(path), (os.geteuid(), os.getegid(), 0o600))

    def test_plugged_in(self):
        self.kind = "raw"
        self.overlays()
        loop = self.device()
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1)])
        self.virsh("start", "d")
        self.virsh("attach-device", "d", self.write("plug.xml", self.disk_of(loop, "raw")))
        self.overlay("s1")
        self.assertEqual(self.image_now(), os.path.join(self.over, "d-vdb.s1"))
        self.put(2, 0)
        self.virsh("snapshot-delete", "d", "s1")
        self.virsh("detach-disk", "d", "vdb")


if __name__ == "__main__":
    qemutest.main()
