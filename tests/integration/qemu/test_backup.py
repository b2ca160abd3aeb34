# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups of running guests: pushed to files, pulled over NBD, whole and what changed since."""
import json
import os
import xml.etree.ElementTree as ElementTree

import blocktest
import qemutest
from vireotest import vireo_only

SECTOR = 64 * 512  # where the guest writes


class Backup(blocktest.Case):
    def begin(self, start=True):
        self.path = self.image("disk", patterns=[(1, 0, 4), (2, 6, 2)])
        self.guest(self.path, start=start)

    def document(self, mode="push", disk="", inside="", server="", name="backup.xml"):
        where = {"push": f"<target file='{self.work}/full'/>", "pull": f"<scratch file='{self.work}/scratch'/>"}[mode]
        return self.write(name, f"""<domainbackup mode='{mode}'>{inside}{server}<disks>
            <disk name='vdb' backup='yes' type='file' {disk}>{where}</disk><disk name='vda' backup='no'/>
            </disks></domainbackup>""")

    def checkpoint(self, name):
        return self.write(name + ".xml", f"<domaincheckpoint><name>{name}</name><disks><disk name='vdb'/></disks>"
                          "</domaincheckpoint>")

    def nbd(self):
        return f"<server transport='unix' socket='{self.work}/nbd'/>"

    def read_nbd(self, target, export="vdb"):
        path = os.path.join(self.work, target)
        blocktest.tool("qemu-img", "convert", "-O", "raw", f"nbd+unix:///{export}?socket={self.work}/nbd", path)
        return path

    def changed_ranges(self, export="vdb", bitmap="backup-vdb"):
        """What the bitmap says of an export: (start, length)."""
        out = blocktest.tool("qemu-img", "map", "--output=json", "--image-opts",
                             f"driver=nbd,server.type=unix,server.path={self.work}/nbd,export={export},"
                             f"x-dirty-bitmap=qemu:dirty-bitmap:{bitmap}")
        return [(x["start"], x["length"]) for x in json.loads(out) if not x["data"]]

    def changed(self, byte="A"):
        line = self.writer()
        line.ask("w" + byte, "W=" + byte)

    def wait_done(self):
        qemutest.wait_until(lambda: self.virsh_raw("backup-dumpxml", "d").returncode, 30, "the backup is over")

    def completed(self, *args):
        out = self.virsh("domjobinfo", "d", "--completed", "--anystats", *args)
        return {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in out.splitlines())}

    def assert_guest_wrote(self, path, byte, kind="raw"):
        self.assertNotIn("failed", blocktest.tool("qemu-io", "-r", "-f", kind, "-c",
                                                  f"read -P {ord(byte)} {SECTOR} 512", path))

    def test_pushed_whole(self):
        self.begin()
        child = self.watch()
        self.virsh("backup-begin", "d", self.document())
        self.wait_done()
        said = "\n".join(self.heard(child))
        full = os.path.join(self.work, "full")
        self.assert_bytes(full, (1, 0, 4), (0, 4, 2), (2, 6, 2))
        self.assert_whole(full)
        self.assertIn("Backup for vdb completed", said)
        self.assertIn("event 'job-completed' for domain 'd'", said)
        done = self.completed()
        self.assertEqual((done["Job type"], done["Operation"], done["File total"]), ("Completed", "Backup", "8.000 MiB"))
        self.assertEqual(self.virsh("domjobinfo", "d").split(), ["Job", "type:", "None"])
        self.off()
        self.assert_bytes(self.path, (1, 0, 4), (2, 6, 2))

    def test_nothing_said_means_every_disk(self):
        self.begin()
        self.virsh("backup-begin", "d")
        self.wait_done()
        made = sorted(x for x in os.listdir(self.work) if x.startswith(("disk.", "boot.qcow2.")))
        self.assertEqual([x.rpartition(".")[0] for x in made], ["boot.qcow2", "disk"])
        self.assert_bytes(os.path.join(self.work, made[1]), (1, 0, 4), (2, 6, 2))

    def test_pushed_what_changed(self):
        self.begin()
        self.virsh("backup-begin", "d", self.document(), self.checkpoint("c1"))
        self.wait_done()
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1"])
        os.rename(os.path.join(self.work, "full"), os.path.join(self.work, "first"))
        self.changed()
        self.virsh("backup-begin", "d", self.document(inside="<incremental>c1</incremental>"), self.checkpoint("c2"))
        self.wait_done()
        second = os.path.join(self.work, "full")
        blocktest.tool("qemu-img", "rebase", "-u", "-b", "first", "-F", "qcow2", second)
        ranges = json.loads(blocktest.tool("qemu-img", "map", "--output=json", second))
        self.assertEqual([(x["start"], x["length"]) for x in ranges if not x["depth"]], [(0, 65536)])
        self.assert_bytes(second, (1, 1, 3), (2, 6, 2))
        self.assert_guest_wrote(second, "A", "qcow2")

    def test_pushed_into_a_file_that_is_there(self):
        self.begin()
        full = self.image("full")
        self.virsh_fails("backup-begin", "d", self.document())
        self.virsh("backup-begin", "d", self.document(), "--reuse-external")
        self.wait_done()
        self.assert_bytes(full, (1, 0, 4), (2, 6, 2))

    def test_pulled_as_it_was(self):
        self.begin()
        self.virsh("backup-begin", "d", self.document("pull", server=self.nbd()))
        self.changed()
        copy = self.read_nbd("copy")
        self.assert_bytes(copy, (1, 0, 4), (0, 4, 2), (2, 6, 2), kind="raw")
        doc = ElementTree.fromstring(self.virsh("backup-dumpxml", "d"))
        disk = doc.find("disks/disk[@name='vdb']")
        self.assertEqual((doc.get("mode"), disk.get("exportname"), disk.find("scratch").get("file")),
                         ("pull", "vdb", os.path.join(self.work, "scratch")))
        self.assertEqual(self.job()["type"], "Backup")
        self.assertIn("Unbounded", self.virsh("domjobinfo", "d"))
        self.virsh("domjobabort", "d")
        self.wait_done()
        self.assertEqual(self.job(), {})
        self.assertEqual(self.completed()["Operation"], "Backup")
        self.assertFalse(os.path.exists(os.path.join(self.work, "scratch")))
        self.assertFalse(os.path.exists(os.path.join(self.work, "nbd")))
        self.off()
        self.assert_guest_wrote(self.path, "A", "qcow2")
        self.assert_whole(self.path)

    def test_pulled_what_changed(self):
        self.begin()
        self.virsh("checkpoint-create-as", "d", "c1", "--diskspec", "vdb")
        self.changed()
        document = self.document("pull", inside="<incremental>c1</incremental>", server=self.nbd())
        self.virsh("backup-begin", "d", document, self.checkpoint("c2"))
        self.assertEqual(self.changed_ranges(), [(0, 65536)])
        self.assert_guest_wrote(self.read_nbd("copy"), "A")
        self.virsh("domjobabort", "d")
        self.wait_done()
        self.virsh("backup-begin", "d", self.document("pull", inside="<incremental>c2</incremental>",
                                                      server=self.nbd()))
        self.assertEqual(self.changed_ranges(), [])
        self.virsh("domjobabort", "d")
        self.wait_done()
        self.off()
        self.assertEqual(sorted(self.bitmaps(self.path)), ["c1", "c2"])

    @vireo_only("libvirtd waits for half a minute")
    def test_one_at_a_time_and_nothing_beside_it(self):
        self.begin()
        self.virsh("backup-begin", "d", self.document("pull", server=self.nbd()))
        for args in (["backup-begin", "d", self.document()], ["blockpull", "d", "vdb"],
                     ["snapshot-create-as", "d", "s1"], ["managedsave", "d"], ["checkpoint-create-as", "d", "c1"]):
            self.virsh_fails(*args)
        self.assertFalse(os.path.exists(os.path.join(self.work, "full")))
        self.virsh("domjobabort", "d")

    def test_refusals_leave_nothing(self):
        self.begin()
        before = sorted(os.listdir(self.work))
        unknown = self.write("x.xml", "<domainbackup><disks><disk name='vdz'/></disks></domainbackup>")
        for document, *more in ((self.document(inside="<incremental>none</incremental>", name="1.xml"),),
                                (self.document(disk="exportname='x'", name="2.xml"),), (unknown,),
                                (self.document(), self.write("bad.xml", "<domaincheckpoint><name>.x</name></domaincheckpoint>")),
                                (self.document(mode="pull", server="<server transport='unix' socket='/none/x'/>",
                                               name="3.xml"), self.checkpoint("c1"))):
            self.virsh_fails("backup-begin", "d", document, *more)
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name"), "")
        self.virsh_fails("backup-dumpxml", "d")
        left = [x for x in sorted(os.listdir(self.work)) if not x.endswith(".xml")]
        self.assertEqual(left, [x for x in before if not x.endswith(".xml")])
        self.virsh("checkpoint-create-as", "d", "c1")
        self.off()
        self.virsh_fails("backup-begin", "d", self.document())

    def test_the_guest_ends_meanwhile(self):
        self.begin()
        self.virsh("backup-begin", "d", self.document("pull", server=self.nbd()))
        self.off()
        qemutest.wait_until(lambda: not os.path.exists(os.path.join(self.work, "scratch")), 10, "scratch is gone")
        self.virsh("start", "d")
        self.virsh_fails("backup-dumpxml", "d")
        self.virsh("backup-begin", "d", self.document())
        self.wait_done()

    def test_after_a_restart(self):
        if not self.daemon.process:
            self.skipTest("Vireo only: the daemon is not ours to restart")
        self.begin()
        self.virsh("backup-begin", "d", self.document("pull", server=self.nbd()), self.checkpoint("c1"))
        self.daemon.kill()
        self.daemon.start_vireod()
        self.changed()
        self.assertEqual(self.job()["type"], "Backup")
        self.assert_bytes(self.read_nbd("copy"), (1, 0, 4), (2, 6, 2), kind="raw")
        self.virsh("domjobabort", "d")
        self.wait_done()
        self.assertFalse(os.path.exists(os.path.join(self.work, "scratch")))
        self.assertEqual(self.virsh("checkpoint-list", "d", "--name").split(), ["c1"])


if __name__ == "__main__":
    qemutest.main()
