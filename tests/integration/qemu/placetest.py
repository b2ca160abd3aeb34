# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with a disk whose image is not a file, and what holds of each of these."""
import os

import bitmaptest
import blocktest
import qemutest


class Case(bitmaptest.Case):
    """Classes have TYPE, the type of the disk; location, where its image is; and far_disk(kind), which makes that, 8 MiB
    with 1 in the first two of them, and describes the disk as vdb."""
    kind = "raw"

    def overlays(self):
        """Sets where overlays go."""
        self.over = os.path.join(self.work, "overlays")
        os.mkdir(self.over)
        os.chmod(self.over, 0o777)
        self.settings(f"[snapshots]\noverlay_dir = {self.over}\n")

    def far_guest(self, kind="raw", start=True):
        """With a boot disk of its own."""
        self.kind = kind
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1), self.far_disk(kind)])
        if start:
            self.virsh("start", "d")

    def image_now(self):
        """The path or location of the disk's image."""
        disk = self.disk()
        return self.location if disk.get("type") == self.TYPE else disk.find("source").get("file")

    def put(self, byte, kib64):
        if self.state("d") == "running":
            super().put(byte, kib64)
        else:
            kind = self.kind if self.image_now() == self.location else "qcow2"
            blocktest.tool("qemu-io", "-f", kind, "-c", f"write -P {byte} {kib64 * 64}k 64k", self.image_now())

    def reads(self, byte, kib64, path=None):
        """What the disk holds there, by its chain of images, while the guest is off."""
        path = path or self.image_now()
        kind = self.kind if path == self.location else "qcow2"
        said = blocktest.tool("qemu-io", "-r", "-f", kind, "-c", f"read -P {byte} {kib64 * 64}k 64k", path)
        self.assertNotIn("failed", said)


class Steps:
    def setUp(self):
        super().setUp()
        self.overlays()

    def test_overlay_needs_a_place(self):
        self.far_guest(start=False)
        self.set_settings("")
        self.assertIn("overlay_dir", self.virsh_fails("snapshot-create-as", "d", "s1", "--disk-only"))
        self.assertEqual(self.image_now(), self.location)

    def test_live(self):
        self.far_guest()
        self.put(2, 0)
        self.overlay("s1")
        self.put(3, 1)
        self.overlay("s2")
        self.put(4, 2)
        self.assertEqual(self.image_now(), os.path.join(self.over, "d-vdb.s2"))
        self.assertEqual(self.disk().find("backingStore/backingStore").get("type"), self.TYPE)
        self.virsh("snapshot-revert", "d", "s1", "--running")
        self.put(5, 3)
        self.assertEqual(os.path.dirname(self.image_now()), self.over)
        self.off()
        for byte, at in (2, 0), (1, 1), (1, 2), (5, 3):
            self.reads(byte, at)
        self.reads(1, 3, self.location)
        self.virsh("snapshot-revert", "d", "s2", "--running")
        self.off()
        for byte, at in (2, 0), (3, 1), (1, 2), (1, 3):
            self.reads(byte, at)

    def test_off(self):
        self.far_guest(start=False)
        self.snapshot("s1", "--disk-only")
        self.put(2, 0)
        self.virsh("snapshot-revert", "d", "s1")
        self.reads(1, 0)
        self.virsh("start", "d")
        self.put(3, 1)
        self.off()
        self.reads(3, 1)
        self.reads(1, 1, self.location)

    def test_inside_an_overlay(self):
        """Of another one, which QEMU's user is to read then."""
        self.far_guest(start=False)
        for name in "s1", "s2":
            self.snapshot(name, "--disk-only")
        self.put(2, 0)
        self.virsh("snapshot-create-as", "d", "s3", "--diskspec", "vda,snapshot=no", "--diskspec",
                   "vdb,snapshot=internal")
        self.put(3, 0)
        self.virsh("snapshot-revert", "d", "s3")
        self.reads(2, 0)
        self.reads(1, 1)

    def test_merging(self):
        self.far_guest()
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
        self.virsh("start", "d")
        self.assertEqual(os.listdir(self.over), [os.path.basename(self.image_now())])

    def test_committed_back(self):
        self.far_guest()
        self.overlay("s1")
        self.put(2, 0)
        self.virsh("snapshot-delete", "d", "s1", "--metadata")
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot")
        self.assertEqual(self.disk().get("type"), self.TYPE)
        self.restart()
        self.put(3, 1)
        self.off()
        self.reads(2, 0)
        self.reads(3, 1)

    def test_inside_a_qcow2_image(self):
        """With checkpoints."""
        self.far_guest("qcow2")
        self.virsh("checkpoint-create-as", "d", "c1", "--diskspec", "vdb")
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(2, 0)
        self.virsh("snapshot-revert", "d", "s1")
        self.assertEqual(self.disk().get("type"), self.TYPE)
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
        self.assertEqual(self.disk_snapshots(self.location), [])
        self.reads(3, 1)

    def test_plugged_in(self):
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1)])
        self.virsh("start", "d")
        self.virsh("attach-device", "d", self.write("plug.xml", self.far_disk()))
        self.overlay("s1")
        self.assertEqual(self.image_now(), os.path.join(self.over, "d-vdb.s1"))
        self.put(2, 0)
        self.virsh("snapshot-delete", "d", "s1")
        self.virsh("detach-disk", "d", "vdb")
