# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks that are block devices: snapshots of them, going back, merging."""
import os
import subprocess

import blocktest
import placetest
import qemutest


class BlockDisks(placetest.Steps, placetest.Case):
    TYPE = "block"

    def setUp(self):
        if not qemutest.IS_ROOT:
            self.skipTest("loop devices need root")
        super().setUp()

    def far_disk(self, kind="raw"):
        """A loop device."""
        path = self.image(f"behind.{kind}", kind=kind, patterns=[(1, 0, 2)])
        with open(path, "ab") as stream:
            stream.truncate(16 * blocktest.MIB if kind == "qcow2" else 8 * blocktest.MIB)
        done = subprocess.run(["losetup", "-f", "--show", path], capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest("no loop device: " + done.stderr.strip())
        self.location = done.stdout.strip()
        self.addCleanup(self.detach, self.location)
        return (f"<disk type='block' device='disk'><driver name='qemu' type='{kind}'/><source dev='{self.location}'/>"
                "<target dev='vdb' bus='virtio'/></disk>")

    def detach(self, loop):
        self.virsh_raw("destroy", "d")
        subprocess.run(["losetup", "-d", loop], check=True)

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


if __name__ == "__main__":
    qemutest.main()
