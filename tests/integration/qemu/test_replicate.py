# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hierarchy of snapshots goes to another daemon, as supervised migration has it: the domain is defined there, then its
snapshots are redefined, parents first, the current one with CURRENT. Every one of them reverts to its bytes there."""
import json
import os
import shutil
import subprocess

import qemutest
from qemutest import disk_xml
from uefitest import PLAIN, Case

EXTERNAL = ("--diskspec", "vda,snapshot=external", "--diskspec", "vdb,snapshot=external")
MIXED = ("--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external")
LETTERS = {"s1": "A", "s2": "B", "s3": "C", "s4": "D", "s5": "E", "s6": "F"}
PRESENT = "G"


class Replicate(Case):
    def put(self, letter):
        self.mark(letter)
        self.fill(ord(letter))

    def all_hold(self, letter):
        self.idle()    # what qemu-img merges can be read when it has written all of it
        self.both(letter)
        self.reads(ord(letter), self.targets("a")["vdb"])

    def tree(self):
        """Branches of every kind, of a guest that was off and one that was not; the current one is not the last."""
        disks = "".join(disk_xml(self.image(name + ".qcow2"), target) for name, target in (("one", "vda"), ("two", "vdb")))
        self.define_uefi(disks=disks, os_xml=f"{PLAIN}<nvram>{self.dir}/vars.fd</nvram>")
        self.virsh("start", "a", "--paused")
        self.virsh("destroy", "a")
        for name, how in ("s1", EXTERNAL), ("s2", ()), ("s3", MIXED):
            self.put(LETTERS[name])
            self.virsh("snapshot-create-as", "a", name, *how)
        self.force("s1")
        for name, how in (("s4", EXTERNAL), ("s5", (*EXTERNAL, "--memspec", f"{self.dir}/s5.mem,snapshot=external")),
                          ("s6", MIXED)):
            self.put(LETTERS[name])
            if name != "s4":
                self.virsh("start", "a", "--paused")
            self.virsh("snapshot-create-as", "a", name, *how)
            self.virsh_raw("destroy", "a")
        self.force("s2")
        self.put(PRESENT)
        self.idle()

    def texts(self):
        """What goes to the other side: the domain, and its snapshots in order."""
        names = self.virsh("snapshot-list", "a", "--topological", "--name").split()
        self.assertEqual(set(names), set(LETTERS))
        return self.virsh("dumpxml", "a", "--security-info"), {
            name: self.virsh("snapshot-dumpxml", "a", name, "--security-info") for name in names}

    def second(self):
        """Another daemon, with a root of its own, is asked from now on."""
        first, other = self.daemon, qemutest.vireotest.Daemon()

        def end():
            self.sweep()
            self.assertEqual(other.stop(), 0)
            shutil.rmtree(other.work)
            self.daemon = first
        self.addCleanup(end)
        self.daemon = other

    def adopt(self, domain, snapshots, current):
        self.virsh("define", self.write("a.xml", domain))
        for name, text in snapshots.items():
            self.virsh("snapshot-create", "a", self.write("s.xml", text), "--redefine", "--validate",
                       *(["--current"] if name == current else []))
        self.assertEqual(self.virsh("snapshot-current", "a", "--name"), current)

    def parents(self):
        return {name: getattr(self.snapshot_xml(name).find("parent/name"), "text", None) for name in LETTERS}

    def each_reverts(self):
        self.all_hold(PRESENT)
        for name in (*LETTERS, *reversed(LETTERS)):
            self.force(name)
            self.assertEqual(self.state("a"), "paused" if name in ("s5", "s6") else "shut off", name)
            self.virsh_raw("destroy", "a")
            self.all_hold(LETTERS[name])
        self.healthy_images()

    def healthy_images(self):
        self.idle()
        self.check_images([name for name in self.files() if not name.startswith("vars.")])

    def goes_on(self):
        """It is that daemon's own hierarchy now: snapshots come and go, and so do their files."""
        self.put("H")
        self.virsh("snapshot-create-as", "a", "new", *EXTERNAL)
        self.virsh("snapshot-delete", "a", "s4", "--children")
        self.force("s3")
        self.all_hold("C")
        self.virsh("snapshot-delete", "a", "s1", "--children")
        self.all_hold("C")
        self.healthy_images()
        self.assertNotIn("s5.mem", self.files())
        self.assertEqual([name for name in self.files() if name.startswith("vars.s")], [])

    def test_same_storage(self):
        self.tree()
        texts, parents = self.texts(), self.parents()
        self.virsh("undefine", "a", "--snapshots-metadata", "--keep-nvram")
        self.second()
        self.adopt(*texts, "s2")
        self.assertEqual(self.parents(), parents)
        self.each_reverts()
        self.goes_on()

    def test_copied(self):
        """To other places, with what the images say about each other put right."""
        self.tree()
        domain, snapshots = self.texts()
        old, new = self.dir, os.path.join(self.work, "elsewhere")
        shutil.copytree(old, new)
        for name in os.listdir(new):
            path = os.path.join(new, name)
            with open(path, "rb") as stream:
                if stream.read(3) != b"QFI":
                    continue
            base = subprocess.run(["qemu-img", "info", "--output=json", path], check=True, capture_output=True, text=True)
            base = json.loads(base.stdout).get("full-backing-filename")
            if base:
                subprocess.run(["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", base.replace(old, new), path], check=True)
            os.chmod(path, 0o666)
        before = {name: os.stat(os.path.join(old, name)).st_mtime_ns for name in self.files()}
        self.second()
        self.dir = new
        self.adopt(domain.replace(old, new), {name: text.replace(old, new) for name, text in snapshots.items()}, "s2")
        self.each_reverts()
        self.goes_on()
        self.dir = old
        self.assertEqual({name: os.stat(os.path.join(old, name)).st_mtime_ns for name in self.files()}, before)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
