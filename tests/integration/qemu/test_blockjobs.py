# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pull, commit and copy of disks of running guests: data, definitions, events, restarts."""
import os
import time

import blocktest
import qemutest
from vireotest import vireo_only

SLOW = "1048576"  # bytes a second: some seconds for a few MiB


class Pull(blocktest.Case):
    def test_everything_moves_up(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        self.assertEqual(self.images(), ["top", "mid", "base"])
        self.virsh("blockpull", "d", "vdb", "--wait")
        self.assertEqual(self.images(), ["top"])
        self.assertIsNone(self.backing(top))
        self.off()
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1), (3, 2, 1), (0, 3, 5))
        self.assert_whole(base, mid, top)

    def test_down_to_a_base(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        self.virsh("blockpull", "d", "vdb", "--base", base, "--wait")
        self.assertEqual(self.images(), ["top", "base"])
        self.assertEqual(self.backing(top), base)
        self.off()
        os.unlink(mid)
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1), (3, 2, 1))
        self.virsh("start", "d")

    def test_base_by_number_and_relative(self):
        base, _, top = self.chain("base", "mid", "top")
        self.guest(top)
        index = self.disk().find("backingStore/backingStore").get("index")
        self.virsh("blockpull", "d", "vdb", "--base", f"vdb[{index}]", "--keep-relative", "--wait")
        self.assertEqual(self.backing(top), "base")
        self.off()
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1), (3, 2, 1))
        self.assert_whole(top, base)

    def test_relative_needs_relative_names(self):
        base = self.image("base", patterns=[(1, 0, 1)])
        mid = self.image("mid", backing=base)
        top = self.image("top", backing=mid)
        self.guest(top)
        self.virsh_fails("blockpull", "d", "vdb", "--base", base, "--keep-relative")
        self.assertEqual(self.backing(top), mid)

    def test_slow_cancelled_and_again(self):
        self.image("base", patterns=[(5, 0, 8)])
        top = self.image("top", backing="base")
        self.guest(top)
        self.virsh("blockpull", "d", "vdb", "--bandwidth", SLOW, "--bytes")
        job = self.job()
        self.assertEqual((job["type"], job["bandwidth"]), ("Block Pull", SLOW))
        self.assertLess(int(job["cur"]), int(job["end"]))
        self.virsh("blockjob", "d", "vdb", "--bandwidth", "2")
        self.assertEqual(self.job()["bandwidth"], str(2 * blocktest.MIB))
        self.virsh("blockjob", "d", "vdb", "--abort")
        self.assertEqual(self.job(), {})
        self.assertEqual(self.images(), ["top", "base"])
        self.virsh("blockpull", "d", "vdb", "--wait")
        self.off()
        self.assert_bytes(top, (5, 0, 8))

    def test_events_of_both_kinds(self):
        base, top = self.chain("base", "top")
        self.guest(top)
        child = self.watch()
        self.virsh("blockpull", "d", "vdb", "--wait")
        said = "\n".join(line for line in self.heard(child) if "block-job" in line)
        self.assertIn(f"event 'block-job' for domain 'd': Block Pull for {top} completed", said)
        self.assertIn("event 'block-job-2' for domain 'd': Block Pull for vdb completed", said)
        self.assertTrue(os.path.exists(base))

    def test_refusals(self):
        top = self.chain("base", "top")[1]
        self.guest(top)
        self.assertIn("no-such", self.virsh_fails("blockpull", "d", "no-such"))
        self.virsh_fails("blockpull", "d", "vdb", "--base", "/no-such")
        self.virsh_fails("blockpull", "d", "vdb", "--base", top)
        self.virsh_fails("blockjob", "d", "vdb", "--abort")
        self.virsh_fails("blockjob", "d", "vdb", "--bandwidth", "1")
        self.off()
        self.virsh_fails("blockpull", "d", "vdb")

    @vireo_only("libvirtd loses what the internal snapshot inherits")
    def test_not_into_an_image_with_an_internal_snapshot(self):
        _, top = self.chain("base", "top")
        blocktest.tool("qemu-img", "snapshot", "-c", "point", top)
        self.guest(top)
        self.assertIn("point", self.virsh_fails("blockpull", "d", "vdb"))
        self.assertEqual(self.images(), ["top", "base"])


class Commit(blocktest.Case):
    def has_open(self, name):
        where = f"/proc/{self.pid('d')}/fd"
        return any(name in os.readlink(os.path.join(where, number)) for number in os.listdir(where))

    def test_middle_with_delete(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        self.virsh("blockcommit", "d", "vdb", "--top", mid, "--base", base, "--delete", "--wait")
        self.assertEqual(self.images(), ["top", "base"])
        self.assertFalse(os.path.exists(mid))
        self.assertFalse(self.has_open("mid"), "its space is not given back")
        self.off()
        self.assertEqual(self.backing(top), base)
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1), (3, 2, 1))
        self.assert_bytes(base, (1, 0, 1), (2, 1, 1), (0, 2, 1))
        self.assert_whole(base, top)

    def test_middle_relative(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        self.virsh("blockcommit", "d", "vdb", "--top", mid, "--shallow", "--keep-relative", "--wait")
        self.assertEqual(self.backing(top), "base")
        self.assertTrue(os.path.exists(mid))
        self.off()
        self.assert_bytes(base, (1, 0, 1), (2, 1, 1))

    def test_active_with_pivot(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot", "--wait")
        self.assertEqual(self.images(), ["base"])
        self.assertEqual(self.targets("d", "--inactive")["vdb"], base)
        self.off()
        self.assert_bytes(base, (1, 0, 1), (2, 1, 1), (3, 2, 1))
        self.assert_whole(base, mid, top)
        self.virsh("start", "d")

    def test_active_ready_and_left(self):
        base, top = self.chain("base", "top")
        self.guest(top)
        child = self.watch()
        self.virsh("blockcommit", "d", "vdb", "--active", "--shallow")
        self.wait_ready()
        self.assertEqual(self.mirror().get("job"), "active-commit")
        self.assertEqual(self.mirror().find("source").get("file"), base)
        self.virsh("blockjob", "d", "vdb", "--abort")
        self.assertEqual(self.mirror(), {})
        self.assertEqual(self.images(), ["top", "base"])
        said = "\n".join(self.heard(child))
        self.assertIn("Active Block Commit for vdb ready", said)
        self.assertIn("Active Block Commit for vdb canceled", said)
        self.off()
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1))

    def test_refusals(self):
        base, mid, top = self.chain("base", "mid", "top")
        self.guest(top)
        for args in (["--base", mid], ["--top", mid, "--active"], ["--top", base], ["--top", mid, "--base", top],
                     ["--top", top, "--base", base, "--shallow", "--active"], ["--base", "/none", "--active"]):
            self.virsh_fails("blockcommit", "d", "vdb", *args)
        self.assertEqual(self.images(), ["top", "mid", "base"])

    @vireo_only("libvirtd changes the data of whoever reads the image")
    def test_not_into_what_others_read(self):
        base, mid, top = self.chain("base", "mid", "top")
        other = self.image("other", backing="base")
        self.guest(top)
        self.assertIn("is read by others", self.virsh_fails("blockcommit", "d", "vdb", "--top", mid))
        os.unlink(other)
        self.virsh("blockcommit", "d", "vdb", "--top", mid, "--wait")
        self.assert_bytes(base, (1, 0, 1), (2, 1, 1))

    @vireo_only("libvirtd asks nobody")
    def test_what_a_commit_left_reads_nothing(self):
        """Until somebody uses it."""
        base, mid, low, top = self.chain("base", "mid", "low", "top")
        self.guest(top)
        self.virsh("blockcommit", "d", "vdb", "--top", low, "--base", base, "--wait")
        other = self.image("other", backing="mid")
        self.assertIn("is read by others", self.virsh_fails("blockcommit", "d", "vdb", "--active", "--pivot"))
        os.unlink(other)
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot")
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only", "--no-metadata", "--diskspec", "vda,snapshot=no")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot")
        self.assertEqual(self.images(), ["base"])
        self.assertEqual([name for name in ("mid", "low", "top", "base.s1")
                          if not os.path.exists(os.path.join(self.work, name))], [])
        self.virsh("snapshot-create-as", "d", "s2", "--disk-only", "--no-metadata", "--diskspec", "vda,snapshot=no")
        blocktest.tool("qemu-io", "-f", "qcow2", "-c", "write 0 512", mid)
        self.assertIn("is read by others", self.virsh_fails("blockcommit", "d", "vdb", "--active", "--pivot"))
        self.off()
        self.assert_bytes(base, (1, 0, 1), (2, 1, 1), (3, 2, 1), (4, 3, 1))

    @vireo_only("libvirtd changes what the snapshot consists of")
    def test_not_into_what_a_snapshot_consists_of(self):
        base = self.image("base", patterns=[(1, 0, 1)])
        self.guest(base)
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only", "--diskspec", "vda,snapshot=no")
        message = self.virsh_fails("blockcommit", "d", "vdb", "--active", "--pivot")
        self.assertIn("snapshot 's1'", message)
        self.virsh("snapshot-delete", "d", "s1", "--metadata")
        self.virsh("blockcommit", "d", "vdb", "--active", "--pivot", "--wait")
        self.assertEqual(self.images(), ["base"])


class Copy(blocktest.Case):
    def copy(self, *args, source=None):
        self.source = source or self.image("disk", patterns=[(1, 0, 2), (2, 4, 2)])
        self.target = os.path.join(self.work, "copy")
        self.guest(self.source)
        self.virsh("blockcopy", "d", "vdb", self.target, "--transient-job", *args)

    def test_left_behind(self):
        self.copy("--wait", "--finish")
        self.assertEqual(self.images(), ["disk"])
        self.off()
        self.assert_bytes(self.target, (1, 0, 2), (0, 2, 2), (2, 4, 2), (0, 6, 2))
        self.assert_whole(self.source, self.target)

    def test_taken_over(self):
        self.copy("--format", "raw", "--granularity", "65536", "--buf-size", "1048576")
        child = self.watch()
        self.wait_ready()
        mirror = self.mirror()
        self.assertEqual((mirror.get("job"), mirror.get("file"), mirror.get("format")),
                         ("copy", self.target, "raw"))
        self.virsh("blockjob", "d", "vdb", "--pivot")
        self.assertEqual(self.images(), ["copy"])
        self.assertEqual(self.disk().find("driver").get("type"), "raw")
        self.assertEqual(self.targets("d", "--inactive")["vdb"], self.target)
        self.assertIn(f"Block Copy for {self.target} completed", "\n".join(self.heard(child)))
        self.off()
        self.assert_bytes(self.target, (1, 0, 2), (2, 4, 2), kind="raw")
        self.virsh("start", "d")
        self.assertEqual(self.disk("vdb", "d", "--inactive").find("driver").get("type"), "raw")

    def test_only_the_top(self):
        _, top = self.chain("base", "top")
        self.copy("--shallow", "--wait", "--pivot", source=top)
        self.assertEqual(self.images(), ["copy", "base"])
        self.off()
        self.assert_bytes(self.target, (1, 0, 1), (2, 1, 1))
        blocktest.tool("qemu-img", "rebase", "-u", "-b", "", self.target)
        self.assert_bytes(self.target, (0, 0, 1), (2, 1, 1))

    def test_into_a_file_that_is_there(self):
        self.image("copy", patterns=[(9, 0, 8)])
        self.source = self.image("disk", patterns=[(1, 0, 2)])
        self.guest(self.source)
        target = os.path.join(self.work, "copy")
        self.virsh_fails("blockcopy", "d", "vdb", target, "--transient-job")
        self.virsh("blockcopy", "d", "vdb", target, "--transient-job", "--reuse-external", "--wait", "--pivot")
        self.off()
        self.assert_bytes(target, (1, 0, 2), (0, 2, 6))

    def test_shallow_into_an_image_with_a_base_of_its_own(self):
        _, top = self.chain("base", "top")
        self.image("base2", patterns=[(1, 0, 1)])
        target = self.image("copy", backing="base2")
        self.guest(top)
        self.virsh("blockcopy", "d", "vdb", target, "--transient-job", "--reuse-external", "--shallow",
                   "--wait", "--pivot")
        self.assertEqual(self.images(), ["copy", "base2"])
        self.off()
        self.assert_bytes(target, (1, 0, 1), (2, 1, 1))

    def slow_copy(self):
        """QEMU copies the first 16 MiB at once, whatever the bandwidth."""
        self.copy("--bandwidth", SLOW, "--bytes", source=self.image("disk", "48M", patterns=[(1, 0, 48)]))

    def test_one_job_and_nothing_beside_it(self):
        self.slow_copy()
        self.assertEqual(self.job()["type"], "Block Copy")
        self.assertEqual(self.mirror().get("ready"), None)
        other = os.path.join(self.work, "other")
        for args in (["blockcopy", "d", "vdb", other, "--transient-job"], ["blockpull", "d", "vdb"],
                     ["blockjob", "d", "vdb", "--pivot"], ["blockresize", "d", "vdb", "16M"],
                     ["snapshot-create-as", "d", "s1"], ["snapshot-create-as", "d", "s1", "--disk-only"],
                     ["managedsave", "d"], ["detach-disk", "d", "vdb"]):
            self.virsh_fails(*args)
        self.assertFalse(os.path.exists(other))
        self.virsh("blockjob", "d", "vdb", "--abort")
        self.assertEqual(self.images(), ["disk"])
        self.off()
        self.assert_bytes(self.source, (1, 0, 48))

    def test_persistent_domains_say_so(self):
        self.guest(self.image("disk"))
        target = os.path.join(self.work, "copy")
        self.virsh_fails("blockcopy", "d", "vdb", target)
        self.assertFalse(os.path.exists(target))

    @vireo_only("libvirtd overwrites it")
    def test_not_into_an_image_of_a_chain(self):
        base, top = self.chain("base", "top")
        self.guest(top)
        for target in (base, top, os.path.join(self.work, "boot.qcow2")):
            self.assertIn("belongs to", self.virsh_fails("blockcopy", "d", "vda", target, "--transient-job",
                                                         "--reuse-external"))
        self.off()
        self.assert_bytes(top, (1, 0, 1), (2, 1, 1))

    def test_asynchronous_end(self):
        self.slow_copy()
        self.virsh("blockjob", "d", "vdb", "--abort", "--async")
        self.wait_job()
        self.assertEqual(self.images(), ["disk"])

    def test_the_guest_ends_meanwhile(self):
        self.slow_copy()
        self.off()
        self.assertEqual(self.targets("d", "--inactive")["vdb"], self.source)
        self.virsh("start", "d")
        self.assertEqual(self.job(), {})

    def test_what_the_guest_writes_goes_along(self):
        line = self.start(self.define("n"))
        line.ask("wA", "W=A")
        target = os.path.join(self.work, "copy")
        self.virsh("blockcopy", "n", "vda", target, "--transient-job")
        self.wait_ready("vda", "n")
        line.ask("wB", "W=B")
        self.virsh("blockjob", "n", "vda", "--pivot")
        line.ask("r", "R=B")
        line.ask("wC", "W=C")
        self.virsh("destroy", "n")
        self.virsh("start", "n")
        again = self.line("n")
        again.wake()
        again.ask("r", "R=C")


class Restart(blocktest.Case):
    def setUp(self):
        super().setUp()
        if not self.daemon.process:
            self.skipTest("Vireo only: the daemon is not ours to restart")

    def again(self, away=0):
        self.daemon.kill()
        time.sleep(away)
        self.daemon.start_vireod()

    def copy(self):
        self.target = os.path.join(self.work, "copy")
        self.guest(self.image("disk", patterns=[(1, 0, 8)]))
        self.virsh("blockcopy", "d", "vdb", self.target, "--transient-job", "--bandwidth", str(3 * blocktest.MIB),
                   "--bytes")

    def test_a_copy_goes_on(self):
        self.copy()
        self.again()
        self.assertEqual(self.job()["type"], "Block Copy")
        self.virsh_fails("blockpull", "d", "vdb")
        self.wait_ready()
        self.virsh("blockjob", "d", "vdb", "--pivot")
        self.assertEqual(self.targets("d", "--inactive")["vdb"], self.target)
        self.off()
        self.assert_bytes(self.target, (1, 0, 8))

    def test_ready_while_nobody_listened(self):
        self.copy()
        self.again(4)
        self.assertEqual(self.mirror().get("ready"), "yes")
        self.virsh("blockjob", "d", "vdb", "--pivot")
        self.assertEqual(self.images(), ["copy"])

    def test_a_pull_ends_while_nobody_listens(self):
        self.image("base", patterns=[(5, 0, 4)])
        top = self.image("top", backing="base")
        self.guest(top)
        self.virsh("blockpull", "d", "vdb", "--bandwidth", str(2 * blocktest.MIB), "--bytes")
        self.again(5)
        self.wait_job()
        self.assertEqual(self.images(), ["top"])
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only")
        self.off()
        self.assert_bytes(top, (5, 0, 4))

    def test_a_commit_ends_while_nobody_listens(self):
        base, mid, top = self.chain("base", "mid", "top")
        blocktest.tool("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 8M", mid)
        self.guest(top)
        self.virsh("blockcommit", "d", "vdb", "--top", mid, "--base", base, "--delete", "--bandwidth",
                   str(2 * blocktest.MIB), "--bytes")
        self.again(6)
        self.wait_job()
        self.assertEqual(self.images(), ["top", "base"])
        self.assertFalse(os.path.exists(mid))
        self.off()
        self.assert_bytes(base, (7, 0, 8))
        self.assert_bytes(top, (3, 2, 1))


if __name__ == "__main__":
    qemutest.main()
