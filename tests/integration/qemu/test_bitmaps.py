# SPDX-License-Identifier: LGPL-2.1-or-later
"""Incremental backups after everything that changes a disk's images are right, or refused."""
import os

import bitmaptest
import blocktest
import qemutest


class Bitmaps(bitmaptest.Case):
    # taking

    def test_overlay_of_a_running_guest(self):
        self.begin()
        self.put(2, 0)
        self.overlay("s1")
        self.put(3, 5)
        self.right("c1", self.last, [0, 5])
        self.restart()
        self.put(4, 6)
        self.right("c1", self.last, [0, 5, 6])

    def test_overlay_of_a_guest_that_is_off(self):
        self.begin()
        self.put(2, 0)
        self.off()
        self.snapshot("s1", "--disk-only")
        self.put(3, 5)
        self.virsh("start", "d")
        self.put(4, 6)
        self.right("c1", self.last, [0, 5, 6])

    def test_overlay_that_was_there(self):
        self.begin()
        self.put(2, 0)
        for number, prepare in enumerate((lambda: None, self.off)):
            over = self.image(f"over{number}.qcow2", backing=os.path.basename(self.image_now()))
            prepare()
            self.virsh("snapshot-create-as", "d", f"s{number}", "--disk-only", "--reuse-external", "--diskspec",
                       "vda,snapshot=no", "--diskspec", f"vdb,snapshot=external,file={over}")
            self.put(3, 5 + number)
        self.virsh("start", "d")
        self.right("c1", self.last, [0, 5, 6])

    def test_internal_snapshots(self):
        self.begin()
        self.put(2, 0)
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(3, 5)
        self.off()
        self.virsh("snapshot-create-as", "d", "s2")
        self.virsh("start", "d")
        self.virsh("snapshot-delete", "d", "s1")
        self.virsh("snapshot-delete", "d", "s2")
        self.right("c1", self.last, [0, 5])

    def test_with_memory_in_a_file(self):
        self.begin()
        for number, args in enumerate(((), ("--live",))):
            self.put(2, number)
            self.snapshot(f"s{number}", "--memspec", os.path.join(self.work, f"mem{number}"), *args)
        self.put(3, 5)
        self.right("c1", self.last, [0, 1, 5])
        self.virsh("snapshot-revert", "d", "s1")
        self.put(4, 6)
        self.right("c1", self.last, [0, 1, 6])

    # deleting

    def layers(self):
        """Three snapshots with a checkpoint in between; the blocks written are 0, 5 | c2 | 6, 7."""
        self.begin()
        self.put(2, 0)
        self.overlay("s1")
        self.put(3, 5)
        self.second = self.backup("b2", point="c2")
        self.overlay("s2")
        self.put(4, 6)
        self.overlay("s3")
        self.put(5, 7)

    def both(self, since_first=(0, 5, 6, 7), since_second=(6, 7)):
        self.right("c2", self.second, list(since_second))
        self.right("c1", self.last, list(since_first))

    def test_merging_while_it_runs(self):
        self.layers()
        self.virsh("snapshot-delete", "d", "s2")
        self.merged(3)
        self.both()
        self.virsh("snapshot-delete", "d", "s1")
        self.virsh("snapshot-delete", "d", "s3")
        self.merged(2)
        self.both()
        self.restart()
        self.put(6, 9)
        self.both((0, 5, 6, 7, 9), (6, 7, 9))
        self.off()
        self.assert_whole(self.image_now())

    def test_merging_while_it_is_off(self):
        self.layers()
        self.off()
        for name in "s3", "s1", "s2":
            self.virsh("snapshot-delete", "d", name)
        self.merged(2)
        self.put(6, 9)
        self.virsh("start", "d")
        self.both((0, 5, 6, 7, 9), (6, 7, 9))

    def test_merging_while_a_backup_runs(self):
        self.layers()
        # Pulled: the backup stays as long as nobody ends it.
        scratch = os.path.join(self.work, "scratch")
        doc = self.write("pull.xml", f"""<domainbackup mode='pull'><incremental>c2</incremental>
            <server transport='unix' socket='{self.work}/nbd'/><disks><disk name='vdb' backup='yes' type='file'>
            <scratch file='{scratch}'/></disk><disk name='vda' backup='no'/></disks></domainbackup>""")
        self.virsh("snapshot-delete", "d", "s2")
        self.virsh("snapshot-delete", "d", "s3")
        self.virsh("backup-begin", "d", doc)
        self.put(6, 9)
        copy = os.path.join(self.work, "copy")
        blocktest.tool("qemu-img", "convert", "-O", "qcow2", f"nbd+unix:///vdb?socket={self.work}/nbd", copy)
        self.virsh("domjobabort", "d")
        self.merged(2)
        blocktest.tool("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 1 576k 64k", copy)
        self.both((0, 5, 6, 7, 9), (6, 7, 9))

    # block jobs

    def test_pull(self):
        self.layers()
        for name in "s1", "s2", "s3":
            self.virsh("snapshot-delete", "d", name, "--metadata")
        self.virsh("blockpull", "d", "vdb", "--wait", "--base", os.path.join(self.work, "disk.s1"))
        self.both()
        self.virsh("blockpull", "d", "vdb", "--wait")
        self.merged(1)
        self.both()
        self.restart()
        self.both()

    def test_commit(self):
        self.layers()
        for name in "s1", "s2", "s3":
            self.virsh("snapshot-delete", "d", name, "--metadata")
        self.virsh("blockcommit", "d", "vdb", "--wait", "--delete", "--top", os.path.join(self.work, "disk.s2"),
                   "--base", os.path.join(self.work, "disk.s1"))
        self.merged(3)
        self.both()
        self.virsh("blockcommit", "d", "vdb", "--active")
        self.wait_ready()
        self.put(6, 9)
        self.virsh("blockjob", "d", "vdb", "--pivot")
        self.merged(1)
        self.put(7, 10)
        self.both((0, 5, 6, 7, 9, 10), (6, 7, 9, 10))
        self.restart()
        self.both((0, 5, 6, 7, 9, 10), (6, 7, 9, 10))

    def test_copy(self):
        for shallow in (), ("--shallow",):
            with self.subTest(shallow=shallow):
                self.layers()
                self.virsh("blockcopy", "d", "vdb", os.path.join(self.work, "copy.qcow2"), "--transient-job",
                           *shallow)
                self.wait_ready()
                self.put(6, 9)
                self.virsh("blockjob", "d", "vdb", "--pivot")
                self.assertEqual(os.path.basename(self.image_now()), "copy.qcow2")
                self.put(7, 10)
                self.both((0, 5, 6, 7, 9, 10), (6, 7, 9, 10))
                self.restart()
                self.both((0, 5, 6, 7, 9, 10), (6, 7, 9, 10))
                self.off()
                self.virsh("undefine", "d", "--checkpoints-metadata", "--snapshots-metadata")
                for name in os.listdir(self.work):
                    if os.path.isfile(os.path.join(self.work, name)):
                        os.unlink(os.path.join(self.work, name))

    def test_copy_to_where_no_bitmap_can_be(self):
        self.begin()
        self.virsh("blockcopy", "d", "vdb", os.path.join(self.work, "copy.raw"), "--transient-job", "--format",
                   "raw")
        self.wait_ready()
        self.assertIn("checkpoints of disk 'vdb'", self.virsh_fails("blockjob", "d", "vdb", "--pivot"))
        self.virsh("blockjob", "d", "vdb", "--abort")
        self.put(2, 3)
        self.right("c1", self.last, [3])

    # going back

    def test_back_to_an_overlay(self):
        """c1 - s1 - c2: what was noted down until s1 still counts, c2 was made of another present."""
        self.begin()
        self.put(2, 0)
        self.overlay("s1")
        self.put(3, 5)
        second = self.backup("b2", point="c2")
        self.overlay("s2")
        self.put(4, 6)
        self.virsh("snapshot-revert", "d", "s1", "--running")
        self.right("c1", self.last, [0])
        self.assertIn("full backup", self.refused("c2"))
        self.put(5, 8)
        self.right("c1", self.last, [0, 8])
        self.virsh("snapshot-revert", "d", "s2", "--running")
        self.put(6, 9)
        self.right("c2", second, [9])
        self.right("c1", self.last, [0, 5, 9])

    def test_new_checkpoints_after_going_back(self):
        self.begin()
        self.overlay("s1")
        self.put(3, 5)
        self.backup("b2", point="c2")
        self.virsh("snapshot-revert", "d", "s1", "--running")
        self.put(4, 6)
        third = self.backup("b3", point="c3")
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c3"), "c1")
        self.put(5, 7)
        self.right("c3", third, [7])
        self.right("c1", self.last, [6, 7])
        self.assertIn("full backup", self.refused("c2"))

    def test_back_inside_the_image(self):
        """Nothing says what changes when the image goes back: what was noted down is not used."""
        for how in "running", "off":
            with self.subTest(how):
                self.begin()
                self.put(2, 0)
                self.virsh("snapshot-create-as", "d", "s1")
                self.put(3, 5)
                if how == "off":
                    self.off()
                self.virsh("snapshot-revert", "d", "s1", *(["--running"] if how == "off" else []))
                self.assertEqual(self.state("d"), "running")
                self.assertIn("full backup", self.refused("c1"))
                self.put(4, 6)
                self.assertIn("full backup", self.refused("c1"))
                second = self.backup("b2", point="c2")
                self.assertIn("full backup", self.refused("c1"))
                self.put(5, 7)
                self.right("c2", second, [7])
                self.tidy()

    def test_back_inside_the_image_of_a_guest_without_memory(self):
        self.begin()
        self.off()
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(3, 5)
        self.virsh("snapshot-revert", "d", "s1")
        self.virsh("start", "d")
        self.assertIn("full backup", self.refused("c1"))
        self.backup("b2", point="c2")
        self.assertIn("full backup", self.refused("c1"))

    def test_back_to_a_copy_of_what_was_inside(self):
        """An internal snapshot below an overlay is taken out into a new image."""
        self.begin()
        self.virsh("snapshot-create-as", "d", "s1")
        self.put(2, 0)
        self.overlay("s2")
        self.virsh("snapshot-revert", "d", "s1")
        self.assertIn("full backup", self.refused("c1"))
        second = self.backup("b2", point="c2")
        self.put(3, 3)
        self.right("c2", second, [3])

    def tidy(self):
        self.off()
        self.virsh("undefine", "d", "--checkpoints-metadata", "--snapshots-metadata")
        for name in os.listdir(self.work):
            if os.path.isfile(os.path.join(self.work, name)):
                os.unlink(os.path.join(self.work, name))

    # while the guest is off

    def test_made_and_deleted_while_it_is_off(self):
        self.path = self.image("disk.qcow2", patterns=[(1, 0, 2)])
        self.guest(self.path, start=False)
        self.backups = 0
        for name in "c1", "c2":
            self.virsh("checkpoint-create-as", "d", name, "--diskspec", "vdb")
            self.put(2, 0 if name == "c1" else 5)
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1", "c2"])
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c2"), "c1")
        self.assertEqual(self.bitmaps(self.path), {"c1": set(), "c2": {"auto"}})
        whole = self.image("before.qcow2", patterns=[(1, 0, 2)])
        self.virsh("start", "d")
        self.put(3, 6)
        self.right("c1", whole, [0, 5, 6])
        self.off()
        self.virsh("checkpoint-create-as", "d", "c3", "--diskspec", "vdb")
        self.virsh("checkpoint-delete", "d", "c2")
        self.assertEqual(sorted(self.bitmaps(self.path)), ["c1", "c3"])
        self.virsh("start", "d")
        self.right("c1", whole, [0, 5, 6])
        third = self.right("c3", os.path.join(self.work, "whole2"), [])
        self.off()
        self.virsh("checkpoint-delete", "d", "c3")
        self.assertEqual(self.bitmaps(self.path), {"c1": {"auto"}})
        self.put(4, 9)
        self.virsh("start", "d")
        self.right("c1", whole, [0, 5, 6, 9])
        self.assertTrue(third)
        self.off()
        self.virsh("checkpoint-delete", "d", "c1")
        self.assertEqual(self.bitmaps(self.path), {})

    def test_forgotten_in_the_middle(self):
        self.begin()
        self.put(2, 0)
        self.virsh("checkpoint-create-as", "d", "c2", "--diskspec", "vdb")
        self.put(3, 5)
        third = self.backup("b3", point="c3")
        self.put(4, 6)
        path = self.write("c2.xml", self.virsh("checkpoint-dumpxml", "d", "c2"))
        self.virsh("checkpoint-delete", "d", "c2", "--metadata")
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c3"), "c1")
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1", "c3"])
        self.right("c1", self.last, [0, 5, 6])
        self.right("c3", third, [6])
        self.assertIn("instead: another name", self.virsh_fails("checkpoint-create-as", "d", "c2", "--diskspec", "vdb"))
        self.off()
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1", "c3"])
        self.virsh("checkpoint-create", "d", path, "--redefine", "--redefine-validate")
        self.assertEqual(self.virsh("checkpoint-parent", "d", "c3"), "c2")
        self.virsh("start", "d")
        self.right("c1", self.last, [0, 5, 6])
        self.virsh("checkpoint-delete", "d", "c1", "--children", "--metadata")
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), [])
        self.off()
        self.assertEqual(sorted(self.bitmaps(self.path)), ["c1", "c2", "c3"])

    def test_children(self):
        self.begin()
        for name in "c2", "c3", "c4":
            self.put(2, int(name[1]))
            self.virsh("checkpoint-create-as", "d", name, "--diskspec", "vdb")
        self.off()
        self.virsh("checkpoint-delete", "d", "c3", "--children-only", "--metadata")
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1", "c2", "c3"])
        self.virsh("start", "d")
        self.put(3, 9)
        self.right("c1", self.last, [2, 3, 4, 9])
        self.virsh("checkpoint-delete", "d", "c2", "--children-only")
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1", "c2"])
        self.right("c1", self.last, [2, 3, 4, 9])
        self.off()
        self.virsh("checkpoint-delete", "d", "c1", "--children")
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), [])

    # deleted checkpoints

    def test_deleted_ones_still_count(self):
        """c2 goes while the guest is on another branch; back there, c1 needs what c2 noted down."""
        for args in (), ("--metadata",):
            with self.subTest(args=args):
                self.begin()
                self.overlay("s1")
                self.put(3, 5)
                self.virsh("checkpoint-create-as", "d", "c2", "--diskspec", "vdb")
                self.put(4, 6)
                self.virsh("checkpoint-create-as", "d", "c3", "--diskspec", "vdb")
                self.overlay("s2")
                self.virsh("snapshot-revert", "d", "s1", "--running")
                self.virsh("checkpoint-delete", "d", "c2", *args)
                self.virsh("snapshot-revert", "d", "s2", "--running")
                self.put(5, 7)
                self.right("c1", self.last, [5, 6, 7])
                self.tidy()

    def test_killed_qemu(self):
        self.begin()
        self.restart()
        self.put(2, 0)
        os.kill(self.pid("d"), 9)
        self.wait_state("d", "shut off")
        self.virsh("start", "d")
        self.assertIn("in use", self.refused("c1"))
        self.overlay("s1")
        self.backup("b2", point="c2")
        self.refused("c1")
        self.virsh("snapshot-delete", "d", "s1")
        self.merged(2)
        self.refused("c1")
        self.put(3, 3)
        self.right("c2", os.path.join(self.work, "b2"), [3])


if __name__ == "__main__":
    qemutest.main()
