# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deletes that look at nothing but what they delete: what they give up is noted down, and given back in the background.
Whatever is called right behind one finds the world as if that had happened already."""
import json
import os
import subprocess

import qemutest
from imagetest import libvirt
from plantest import PlanCase
from qemutest import vireotest

DISK_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
CHILDREN = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN
METADATA = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY
vireotest.FILES["qemu.conf"] = "[process]\nuser = nobody\ngroup = nogroup\n[snapshots]\ndelete_looks_at = 0\n"


class Deletes(PlanCase):
    def setUp(self):
        super().setUp()
        self.conn = libvirt.open(self.daemon.uri())
        self.addCleanup(self.conn.close)

    def domain(self):
        return self.conn.lookupByName("a")

    def take(self, name, flags=0, memory=""):
        return self.domain().snapshotCreateXML(f"<domainsnapshot><name>{name}</name>{memory}</domainsnapshot>", flags)

    def drop(self, name, flags=0):
        self.domain().snapshotLookupByName(name).delete(flags)

    def in_the_disks(self, path):
        done = subprocess.run(["qemu-img", "info", "-U", "--output=json", path], check=True, stdout=subprocess.PIPE)
        return [point["name"] for point in json.loads(done.stdout).get("snapshots", ())]

    def test_in_the_background(self):
        one, two = self.two()
        self.take("i1")
        self.take("e1", DISK_ONLY)
        plan, _ = self.planned("snapshot-delete", "a", "i1")
        self.assertEqual([(step["kind"], step["when"]) for step in plan["steps"]],
                         [("forget", "now"), ("drop-point", "later"), ("drop-point", "later")])
        qemutest.wait_until(lambda: not self.in_the_disks(one) + self.in_the_disks(two), 20, "the points go")
        self.nothing_leaked()
        self.assertEqual(self.state_of("images").get("points"), [])

    def test_same_name_again(self):
        """Inside the images, and with the memory in the same file."""
        self.nano()
        memory = f"<memory snapshot='external' file='{self.dir}/s.mem'/>"
        for _ in range(2):
            self.take("i")
            self.take("s", 0, memory)
            self.drop("i")
            self.drop("s")
        self.take("i")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["i"])
        self.virsh("destroy", "a")
        self.nothing_leaked()
        self.healthy()

    def test_undefined_at_once(self):
        """Nothing of what was deleted is left behind."""
        paths = self.two()
        before = self.files()
        self.take("i1")
        self.take("e1", DISK_ONLY)
        self.force("e1")
        self.take("e2", DISK_ONLY)
        self.force("e1")
        there = set(self.files()) - set(before)
        used = {os.path.basename(path) for path in self.targets("a").values()}
        self.drop("i1", CHILDREN)
        self.domain().undefine()
        self.assertEqual(set(self.files()) - set(before), there & used)
        self.assertEqual([self.in_the_disks(path) for path in paths], [[], []])

    def test_parent_and_child(self):
        self.two()
        for number, name in enumerate(("s1", "s2", "s3", "s4"), 1):
            self.fill(number)
            self.take(name, DISK_ONLY)
        self.fill(5)
        for name in "s2", "s3", "s1":
            self.drop(name)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s4"])
        self.left(6)    # of each disk the base, which is not ours, what s4 is in, and the present
        self.nothing_leaked()
        for path in self.targets("a").values():
            self.reads(5, path)
        self.force("s4")
        for path in self.targets("a").values():
            self.reads(4, path)

    def test_forgotten_and_deleted(self):
        """What METADATA_ONLY gives to the user stays, whatever was deleted just before."""
        one, two = self.two()
        self.take("i1")
        self.take("i2")
        self.take("s1", DISK_ONLY)
        self.drop("i2")
        self.drop("i1", METADATA)
        self.drop("s1", METADATA)
        qemutest.wait_until(lambda: self.in_the_disks(one) + self.in_the_disks(two) == ["i1"] * 2, 20, "i2 goes")
        self.idle()
        self.assertEqual(self.files(), ["one.qcow2", "one.s1", "two.qcow2", "two.s1"])

    def test_deleted_and_brought_back(self):
        """Redefined before anybody has looked: it is a snapshot again, or it says that it is not there."""
        self.two()
        self.fill(1)
        xml = self.take("i1").getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
        self.fill(2)
        self.drop("i1")
        self.domain().snapshotCreateXML(xml, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
        self.idle()
        if not all("i1" in self.in_the_disks(path) for path in self.targets("a").values()):
            self.assertIn("i1", self.virsh_fails("snapshot-revert", "a", "i1"))
            return
        self.force("i1")
        for path in self.targets("a").values():
            self.reads(1, path)

    def test_the_doctor_finds_nothing(self):
        self.two()
        self.take("i1")
        self.take("e1", DISK_ONLY)
        self.drop("i1")
        self.assertEqual(json.loads(self.run_vireo("--json", "doctor", "a").stdout)[0]["findings"], [])


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
