# SPDX-License-Identifier: LGPL-2.1-or-later
"""A refusal names the object, its state, the rule that is in the way, and what could be asked for instead; and asking for
just that works."""
import os
import subprocess

import qemutest
from plantest import PlanCase


class Refusals(PlanCase):
    def refused(self, words, *parts):
        """In these words, with the nearest call at the end; returns that."""
        text = self.virsh_fails(*words)
        what, _, instead = text.partition("; instead: ")
        self.assertTrue(instead.strip(), text)
        for part in parts:
            self.assertIn(part, what, text)
        return instead.strip().splitlines()[0]

    def take(self, *words):
        return ("snapshot-create-as", "a", *words)

    def test_create(self):
        one, _ = self.two("qcow2", "raw")
        self.virsh(*self.take("s1", "--disk-only"))
        self.assertIn("snapshot-delete", self.refused(self.take("s1"), "'a'", "'s1'", "already"))
        self.refused(self.take(".s2"), "'.s2'", "'.'")
        self.refused(self.take("s2", "--diskspec", "vdx"), "'vdx'")
        self.refused(self.take("s2", "--diskspec", "vda", "--diskspec", one.replace("one.qcow2", "one.s1")), "'vda'",
                     "twice")
        self.assertIn("memory", self.refused(self.take("s2", "--memspec", os.path.join(self.dir, "m")), "off"))
        instead = self.refused(self.take("s2", "--disk-only", "--diskspec", f"vda,file={one}"), "'vda'", one, "exists")
        self.assertIn("REUSE_EXT", instead)
        instead = self.refused(self.take("s2", "--diskspec", "vda,snapshot=no", "--diskspec", "vdb,snapshot=no"), "'s2'",
                               "nothing is selected")
        self.assertIn("internal", instead)

    def test_raw_and_shared(self):
        one, two = self.two("qcow2", "raw")
        instead = self.refused(self.take("s1"), "'vdb'", two, "raw format")
        self.assertIn("snapshot='external'", instead)
        self.virsh(*self.take("s1", "--diskspec", "vdb,snapshot=external"))
        other = os.path.join(self.dir, "other.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", one, "-F", "qcow2", other], check=True)
        self.virsh(*self.take("s2"))    # a file that reads the image does not mind
        os.chmod(other, 0o666)
        self.virsh("start", self.define("b", disks=[qemutest.disk_xml(other, "vda")]))
        instead = self.refused(self.take("s3"), "'vda'", one, "a guest that runs")
        self.assertIn("external", instead)
        self.virsh(*self.take("s3", "--diskspec", "vda,snapshot=external"))

    def test_redefine(self):
        self.two()
        self.virsh(*self.take("s1", "--disk-only"))
        text = self.virsh("snapshot-dumpxml", "a", "s1", "--security-info")

        def again(old, new):
            self.assertIn(old, text)
            path = self.write("again.xml", text.replace(old, new, 1))
            return ("snapshot-create", "a", path, "--redefine")
        parent = "<name>s1</name>\n  <parent><name>{}</name></parent>"
        self.assertIn("another parent", self.refused(again("<name>s1</name>", parent.format("s1")), "'s1'", "own parent"))
        self.assertIn("parent first", self.refused(again("<name>s1</name>", parent.format("s0")), "'s0'", "'s1'"))
        self.refused(again("<state>shutoff", "<state>running"), "'s1'", "stopped guest")
        self.refused(again(self.virsh("domuuid", "a"), "11111111-2222-3333-4444-555555555555"), "'s1'", "uuid")

    def test_revert(self):
        one, two = self.two()
        self.virsh(*self.take("i1"))
        for path in one, two:
            subprocess.run(["qemu-img", "snapshot", "-d", "i1", path], check=True)
        self.assertIn("vireo doctor", self.refused(("snapshot-revert", "a", "i1"), "'i1'", "'vda'", one))

    def test_undefine(self):
        self.two()
        self.virsh(*self.take("s1", "--disk-only"))
        self.assertIn("SNAPSHOTS_METADATA", self.refused(("undefine", "a"), "'a'", "1 snapshot"))
        self.virsh("undefine", "a", "--snapshots-metadata")

    def test_running(self):
        self.nano()[0].wake()
        instead = self.refused(self.take("s1", "--diskspec", "vda,snapshot=external", "--diskspec",
                                         "vdb,snapshot=external"), "'s1'", "memory", "none has an internal snapshot")
        self.assertIn("DISK_ONLY", instead)
        self.virsh(*self.take("s1", "--disk-only"))
        self.assertIn("ACTIVE", self.refused(("blockcommit", "a", "vda"), "'vda'", "writes to"))
        instead = self.refused(("blockcommit", "a", "vda", "--active"), "'s1'", "one.qcow2")
        self.assertIn("snapshot-delete", instead)
        self.virsh("snapshot-delete", "a", "s1")
        self.idle()
        self.refused(("blockpull", "a", "vda", "--base", "vda[9]"), "'vda'", "vda[9]")
        self.virsh("destroy", "a")
        self.assertIn("start", self.refused(("blockjob", "a", "vda", "--abort"), "'a'", "not running"))


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
