# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints: metadata, bitmaps, what they say of changed data."""
import os
import xml.etree.ElementTree as ElementTree

import blocktest
import qemutest
from vireotest import vireo_only

CLUSTER = 65536


class Checkpoints(blocktest.Case):
    def begin(self, *names):
        self.path = self.image("disk", patterns=[(1, 0, 2)])
        self.guest(self.path)
        for name in names:
            self.point(name)

    def point(self, name, *args):
        self.virsh("checkpoint-create-as", "d", name, "--diskspec", "vdb", *args)

    def points(self, *args):
        return self.virsh("checkpoint-list", "d", "--name", *args).split()

    def doc(self, name, *args):
        return ElementTree.fromstring(self.virsh("checkpoint-dumpxml", "d", name, *args))

    def size(self, name):
        return int(self.doc(name, "--size").find("disks/disk[@name='vdb']").get("size"))

    def changed(self, byte="A"):
        line = self.writer()
        line.ask("w" + byte, "W=" + byte)

    def test_metadata(self):
        self.begin()
        self.virsh("checkpoint-create-as", "d", "c1", "some words")
        self.point("c2")
        self.assertEqual(self.points(), ["c1", "c2"])
        self.assertEqual(self.points("--roots"), ["c1"])
        self.assertEqual(self.points("--from", "c1"), ["c2"])
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c2"), "c1")
        first, second = self.doc("c1"), self.doc("c2", "--no-domain")
        self.assertEqual(first.find("description").text, "some words")
        self.assertEqual([(x.get("name"), x.get("checkpoint"), x.get("bitmap")) for x in first.findall("disks/disk")],
                         [("vda", "bitmap", "c1"), ("vdb", "bitmap", "c1")])
        self.assertEqual([(x.get("name"), x.get("checkpoint")) for x in second.findall("disks/disk")],
                         [("vda", "no"), ("vdb", "bitmap")])
        self.assertEqual(first.find("domain/name").text, "d")
        self.assertIsNone(second.find("domain"))
        self.assertIn("d", self.virsh("list", "--with-checkpoint", "--name").split())

    def test_sizes(self):
        self.begin("c1")
        self.assertEqual(self.size("c1"), 0)
        self.changed()
        self.assertEqual(self.size("c1"), CLUSTER)
        self.point("c2")
        self.assertEqual((self.size("c1"), self.size("c2")), (CLUSTER, 0))
        self.changed("B")
        self.assertEqual((self.size("c1"), self.size("c2")), (CLUSTER, CLUSTER))

    def test_survives_the_guest_and_the_image_is_whole(self):
        self.begin("c1")
        self.changed()
        self.point("c2")
        self.off()
        self.assertEqual(sorted(self.bitmaps(self.path)), ["c1", "c2"])
        self.assert_whole(self.path)
        self.virsh("start", "d")
        self.assertEqual((self.size("c1"), self.size("c2")), (CLUSTER, 0))
        self.changed("B")
        self.assertEqual(self.size("c2"), CLUSTER)

    def test_deleted_in_the_middle(self):
        self.begin("c1")
        self.changed()
        self.point("c2")
        self.point("c3")
        self.virsh("checkpoint-delete", "d", "c2")
        self.assertEqual(self.points(), ["c1", "c3"])
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c3"), "c1")
        self.assertEqual((self.size("c1"), self.size("c3")), (CLUSTER, 0))
        self.off()
        self.assertEqual(sorted(self.bitmaps(self.path)), ["c1", "c3"])

    def test_the_latest_deleted_and_notes_go_on(self):
        self.begin("c1", "c2")
        self.changed()
        self.virsh("checkpoint-delete", "d", "c2")
        self.assertEqual(self.size("c1"), CLUSTER)
        self.off()
        self.virsh("start", "d")
        self.assertEqual(self.size("c1"), CLUSTER)
        self.assertEqual(list(self.bitmaps(self.path)), ["c1"])

    def test_children(self):
        self.begin("c1", "c2", "c3")
        self.virsh("checkpoint-delete", "d", "c2", "--children-only")
        self.assertEqual(self.points(), ["c1", "c2"])
        self.virsh("checkpoint-delete", "d", "c1", "--children")
        self.assertEqual(self.points(), [])
        self.off()
        self.assertEqual(self.bitmaps(self.path), {})

    def test_forgotten_and_told_again(self):
        self.begin("c1")
        self.changed()
        path = self.write("c1.xml", self.virsh("checkpoint-dumpxml", "d", "c1"))
        self.virsh("checkpoint-delete", "d", "c1", "--metadata")
        self.assertEqual(self.points(), [])
        self.virsh("checkpoint-create", "d", path, "--redefine")
        self.assertEqual(self.points(), ["c1"])
        self.assertEqual(self.size("c1"), CLUSTER)

    def test_told_again_is_checked(self):
        self.begin("c1")
        path = self.write("c1.xml", self.virsh("checkpoint-dumpxml", "d", "c1"))
        self.virsh("checkpoint-create", "d", path, "--redefine", "--redefine-validate")
        self.virsh("checkpoint-delete", "d", "c1")
        self.virsh_fails("checkpoint-create", "d", path, "--redefine", "--redefine-validate")
        self.assertEqual(self.points(), [])

    @vireo_only("9.0 knows no quiescing here")
    def test_quiesce_needs_an_agent(self):
        self.begin()
        self.virsh_fails("checkpoint-create-as", "d", "c1", "--quiesce")
        self.assertEqual(self.points(), [])

    def test_refusals(self):
        self.begin("c1")
        for args in (["c1"], ["x", "--diskspec", "vdz"], ["a/b"],
                     ["x", "--diskspec", "vdb,bitmap=other"]):
            self.virsh_fails("checkpoint-create-as", "d", *args)
        self.virsh_fails("checkpoint-dumpxml", "d", "none")
        self.virsh_fails("checkpoint-delete", "d", "none")
        self.assertEqual(self.points(), ["c1"])
        self.off()
        self.virsh_fails("checkpoint-create-as", "d", "c1")
        self.virsh_fails("undefine", "d")
        self.virsh("undefine", "d", "--checkpoints-metadata")

    def test_raw_images_hold_none(self):
        path = self.image("disk.raw", kind="raw")
        self.guest(path)
        self.virsh_fails("checkpoint-create-as", "d", "c1")
        self.virsh("checkpoint-create-as", "d", "c1", "--diskspec", "vda")

    def test_overlays_go_on(self):
        self.begin("c1")
        self.changed()
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only", "--diskspec", "vda,snapshot=no")
        self.assertEqual(self.size("c1"), CLUSTER)
        self.point("c2")
        self.changed("B")
        self.assertEqual((self.size("c1"), self.size("c2")), (CLUSTER, CLUSTER))

    def test_after_a_restart(self):
        if not self.daemon.process:
            self.skipTest("Vireo only: the daemon is not ours to restart")
        self.begin("c1", "c2")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.points(), ["c1", "c2"])
        self.changed()
        self.assertEqual(self.size("c2"), CLUSTER)
        self.point("c3")
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c3"), "c2")

    @vireo_only("it is how we see that nothing is silently wrong")
    def test_killed_qemu_is_not_trusted(self):
        self.begin("c1")
        self.off()
        self.virsh("start", "d")
        self.changed()
        os.kill(self.pid("d"), 9)
        self.wait_state("d", "shut off")
        self.virsh("start", "d")
        self.assertIn("in use", self.virsh_fails("checkpoint-dumpxml", "d", "c1", "--size"))
        self.virsh("checkpoint-delete", "d", "c1")
        self.off()
        self.assertEqual(self.bitmaps(self.path), {})


if __name__ == "__main__":
    qemutest.main()
