# SPDX-License-Identifier: LGPL-2.1-or-later
"""`vireo doctor`: what is broken is found and named, whoever made it; what is repaired is told before, loses nothing
that could be wanted, and leaves the rest as it was."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from xml.etree import ElementTree

import qemutest
from plantest import PlanCase

FOUND = 3
PEER = qemutest.vireotest.PEER


class DoctorCase(PlanCase):
    def base(self, name):
        return os.path.join(self.dir, name)

    def doctor(self, *args, code=0, name="a"):
        done = self.run_vireo("--json", "doctor", name, *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)[0]

    def kinds(self, told, severity=("warning", "broken")):
        return sorted(found["kind"] for found in told["findings"] if found["severity"] in severity)

    def repair(self, told, left=0):
        """Carries out what was told, and sees that no more happened."""
        before = self.contents()
        after = self.doctor("--repair", "--yes", code=left)
        self.assertEqual(after["plan"]["removes"], told["plan"]["removes"])
        self.idle()
        self.assertEqual(set(before) - set(self.contents()), set(told["plan"]["removes"]))
        return after

    def qemu_img(self, *args):
        subprocess.run(["qemu-img", *args], check=True, stdout=subprocess.DEVNULL)

    def chain_of(self, *names):
        for name in names:
            self.virsh("snapshot-create-as", "a", name, "--disk-only")
            self.fill(len(name))


class Doctor(DoctorCase):
    # sound trees

    def test_all_is_well(self):
        self.two("qcow2", "raw")
        self.chain_of("s1", "s2")
        self.virsh("snapshot-create-as", "a", "i1", "--diskspec", "vdb,snapshot=external")
        told = self.doctor()
        self.assertEqual((told["findings"], told["plan"]), ([], None))
        self.assertIn("a: all is well", self.vireo("doctor"))
        self.assertIn("a: all is well", self.vireo("--readonly", "doctor", "a"))

    def test_its_own_read_only_disk(self):
        one, two = self.image("one.qcow2"), self.image("two.qcow2")
        self.define("a", disks=[qemutest.disk_xml(one, "vda"), qemutest.disk_xml(two, "vdb").replace("</disk>", "<readonly/></disk>")])
        self.assertEqual(self.doctor()["findings"], [])

    def test_running(self):
        line, _ = self.nano()
        line.wake()
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", self.base("s1.mem"))
        self.virsh("snapshot-create-as", "a", "i1")
        self.assertEqual(self.doctor()["findings"], [])
        self.virsh("destroy", "a")
        self.assertLessEqual(set(self.kinds(self.doctor(), ("note",))), {"lost-clusters"}, "QEMU was killed")

    # broken chains

    def test_base_is_gone(self):
        self.two()
        self.chain_of("s1", "s2")
        os.rename(self.base("one.s1"), self.base("elsewhere"))
        told = self.doctor(code=FOUND)
        self.assertIn("broken-chain", self.kinds(told))
        self.assertIn("incomplete", self.kinds(told), "s2 has its image of disk vdb still")
        self.assertIsNone(told["plan"])
        os.rename(self.base("elsewhere"), self.base("one.s1"))
        self.assertEqual(self.doctor()["findings"], [])

    def test_base_was_moved_along(self):
        os.mkdir(self.base("old"))
        lower = self.image("old/lower.qcow2")
        path = self.image("one.qcow2", "-b", lower, "-F", "qcow2")
        self.define("a", disks=[qemutest.disk_xml(path, "vda")])
        os.rename(lower, self.base("lower.qcow2"))
        found = self.doctor(code=FOUND)["findings"][0]
        self.assertEqual((found["kind"], found["file"]), ("broken-chain", path))
        self.qemu_img(*found["remedy"].partition("qemu-img ")[2].split())
        self.assertEqual(self.doctor()["findings"], [])

    def test_loop(self):
        one, _ = self.two()
        self.chain_of("s1", "s2")
        self.qemu_img("rebase", "-u", "-F", "qcow2", "-b", self.base("one.s1"), one)
        told = self.doctor(code=FOUND)
        self.assertIn("loop", self.kinds(told))
        self.assertIsNone(told["plan"])

    def test_truncated_and_overwritten(self):
        one, two = self.two()
        os.truncate(one, 40)
        with open(two, "r+b") as stream:
            stream.write(b"\0" * 512)
        told = self.doctor(code=FOUND)
        self.assertEqual(self.kinds(told), ["wrong-format", "wrong-format"])
        self.assertEqual({found["file"] for found in told["findings"]}, {one, two})

    def test_damaged_inside(self):
        one, _ = self.two()
        self.fill(7)
        for size, kind in (0x50000, "damaged"), (0x40000, "unreadable"):    # without its data; without its tables
            os.truncate(one, size)
            self.assertEqual(self.kinds(self.doctor(code=FOUND)), [kind])

    def test_no_format(self):
        lower = self.image("lower.qcow2")
        path = self.image("one.qcow2", "-b", lower, "-F", "qcow2")
        self.define("a", disks=[qemutest.disk_xml(path, "vda")])
        with open(path, "r+b") as stream:    # as older programs wrote it: the header's extension is not there
            head = stream.read(4096)
            stream.seek(head.index(bytes.fromhex("e2792aca")))
            stream.write(bytes.fromhex("12345678"))
        found = self.doctor(code=FOUND)["findings"][0]
        self.assertEqual((found["kind"], found["file"]), ("no-format", path))
        self.qemu_img(*found["remedy"].partition("qemu-img ")[2].partition(",")[0].split())
        self.assertEqual(self.doctor()["findings"], [])

    # ghosts

    def test_ghost_point(self):
        one, two = self.two()
        self.virsh("snapshot-create-as", "a", "i1")
        self.virsh("snapshot-create-as", "a", "i2")
        for path in one, two:
            self.qemu_img("snapshot", "-d", "i1", path)
        told = self.doctor(code=FOUND)
        self.assertEqual(self.kinds(told), ["ghost"])
        self.assertEqual([step["text"] for step in told["plan"]["steps"]], ["forget snapshot 'i1'"])
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["i1", "i2"], "looking does nothing")
        self.repair(told)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["i2"])
        self.assertEqual(self.doctor()["findings"], [])

    def test_half_a_snapshot_is_kept(self):
        one, _ = self.two()
        self.virsh("snapshot-create-as", "a", "i1")
        self.qemu_img("snapshot", "-d", "i1", one)
        told = self.doctor(code=FOUND)
        self.assertEqual((self.kinds(told), told["plan"]), (["incomplete"], None))
        self.assertIn("disk 'vda'", told["findings"][0]["text"])

    def test_memory_that_was_cut_off(self):
        self.two()
        self.virsh("start", "a", "--paused")
        memory = self.base("s1.mem")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", memory, "--diskspec", "vda,snapshot=no", "--diskspec",
                   "vdb,snapshot=no")
        self.virsh("destroy", "a")
        self.assertEqual(self.doctor()["findings"], [])
        os.truncate(memory, os.path.getsize(memory) // 2)
        told = self.doctor(code=FOUND)
        self.assertEqual((self.kinds(told), told["plan"]), (["incomplete"], None))
        self.assertIn("was cut off", told["findings"][0]["text"])

    def test_storage_that_is_not_mounted(self):
        """Metadata is not thrown away because files are not to be seen for now."""
        path = self.image("one.qcow2")
        os.mkdir(self.base("mount"))
        other = self.image("mount/two.qcow2")
        self.define("a", disks=[qemutest.disk_xml(path, "vda"), qemutest.disk_xml(other, "vdb")])
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--diskspec", "vda,snapshot=no")
        os.rename(self.base("mount"), self.base("elsewhere"))
        os.mkdir(self.base("mount"))
        told = self.doctor(code=FOUND)
        self.assertIn("ghost", self.kinds(told))
        self.assertIsNone(told["plan"])

    # by libvirt, or by hand

    def test_points_made_by_hand(self):
        one, _ = self.two()
        self.qemu_img("snapshot", "-c", "by-hand", one)
        told = self.doctor()
        self.assertEqual(self.kinds(told, ("note",)), ["unknown-point"])
        self.assertIn("by-hand", told["findings"][0]["text"])
        self.assertIsNone(told["plan"])

    def test_redefined_elsewhere(self):
        """The XML of a snapshot that was taken by another daemon; its images are not there."""
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        text = self.virsh("snapshot-dumpxml", "a", "s1", "--security-info")
        text = text.replace("one.qcow2", "gone.qcow2").replace("two.qcow2", "gone-too.qcow2")
        text = text.replace("<name>s1</name>", "<name>theirs</name>", 1)
        self.virsh("snapshot-create", "a", self.write("theirs.xml", text), "--redefine")
        told = self.doctor(code=FOUND)
        self.assertEqual([(found["kind"], found["snapshot"]) for found in told["findings"]], [("ghost", "theirs")])
        self.repair(told)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])

    def test_foreign_reference(self):
        one, _ = self.two()
        self.chain_of("s1")
        other = self.image("other.qcow2", "-b", one, "-F", "qcow2")
        told = self.doctor()
        self.assertEqual(self.kinds(told, ("note",)), ["foreign-reference"])
        self.assertIn(f"{other} is based on {one}, and belongs to nobody", told["findings"][0]["text"])
        self.define("b", disks=[qemutest.disk_xml(other, "vda")])
        self.virsh("snapshot-create-as", "b", "x", "--disk-only")
        self.assertEqual([found["text"] for found in self.doctor()["findings"]],
                         [f"snapshot 'x' of domain 'b' uses {other}, which is based on {one}"])
        self.assertEqual({found["text"] for found in self.doctor(name="b")["findings"]},
                         {f"snapshot 's1' of domain 'a' uses {one}, too",
                          f"domain 'a' uses {self.base('one.s1')}, which is based on {one}"})

    # leftovers

    def test_leak(self):
        """A file that the driver has noted down as made by it, and that nothing is in any more."""
        self.two()
        self.chain_of("s1")
        uuid = self.virsh("domuuid", "a")
        self.daemon.kill()
        leak, full = self.image("leak.qcow2"), self.image("full.qcow2")
        self.fill(3, full)
        path = os.path.join(self.daemon.root, "var/lib/vireo/qemu/kept/images/system", uuid)
        with open(path, "r+", encoding="utf-8") as stream:
            noted = json.load(stream)
            noted["owned"] += [leak, full]
            stream.seek(0)
            json.dump(noted, stream)
            stream.truncate()
        self.daemon.start_vireod()
        told = self.doctor(code=FOUND)
        self.assertEqual(self.kinds(told), ["leak", "leak"])
        texts = {found["file"]: found["text"] for found in told["findings"]}
        self.assertIn("nothing was ever written", texts[leak])
        self.assertIn("nowhere else", texts[full])
        self.assertEqual(sorted(told["plan"]["removes"]), sorted([leak, full]))
        self.repair(told)
        self.assertNotIn("leak.qcow2", self.files())
        self.assertEqual(self.doctor()["findings"], [])

    def test_kept_present(self):
        self.two()
        self.chain_of("s1")
        self.fill(9)
        self.virsh("snapshot-revert", "a", "s1")
        told = self.doctor()
        self.assertEqual(self.kinds(told, ("note",)), ["kept-present", "kept-present"])
        self.assertIsNone(told["plan"])

    def test_left_undo_point(self):
        one, _ = self.two()
        self.virsh("snapshot-create-as", "a", "i1")
        self.qemu_img("snapshot", "-c", "vireo-undo", one)
        told = self.doctor(code=FOUND)
        self.assertEqual(self.kinds(told), ["left-point"])
        self.assertEqual([step["kind"] for step in told["plan"]["steps"]], ["drop-point"])
        self.repair(told)
        self.assertEqual(self.disk_snapshots(one), ["i1"])

    # asking first

    def test_changed_since(self):
        one, two = self.two()
        self.virsh("snapshot-create-as", "a", "i1")
        for path in one, two:
            self.qemu_img("snapshot", "-d", "i1", path)
        done = self.run_vireo("call", "vireo_domain_repair", "dom=a", "token=0123")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has changed since", done.stderr)
        done = self.run_vireo("doctor", "a", "--repair")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--yes", done.stderr)
        done = self.run_vireo("-r", "doctor", "a", "--repair", "--yes")
        self.assertEqual(done.returncode, 1)
        self.assertIn("read only access", done.stderr)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["i1"])

    def test_bad_metadata(self):
        self.two()
        self.chain_of("s1")
        folder = next(where for where, _, files in os.walk(os.path.join(self.daemon.root, "var/lib/vireo/qemu"))
                      if "s1.xml" in files and where.endswith(self.virsh("domuuid", "a")))
        with open(os.path.join(folder, "odd.xml"), "w", encoding="utf-8") as stream:
            stream.write("<domainsnapshot>")
        told = self.doctor(code=FOUND)
        self.assertEqual([(found["kind"], found["snapshot"]) for found in told["findings"]], [("bad-metadata", "odd")])


class Theirs(DoctorCase):
    """Trees made by libvirtd, whose metadata is redefined here, or is not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.peer = tempfile.mkdtemp(prefix="vt.", dir="/tmp")
        done = subprocess.run([PEER, "start", cls.peer], capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(cls.peer)
            raise unittest.SkipTest("no libvirtd to compare with: " + done.stderr.strip())
        cls.their_uri = f"qemu+unix:///system?socket={done.stdout.strip()}"

    @classmethod
    def tearDownClass(cls):
        subprocess.run([PEER, "stop", cls.peer], check=True)
        shutil.rmtree(cls.peer)
        super().tearDownClass()

    def theirs(self, *args):
        return self.virsh(*args, uri=self.their_uri)

    def make(self, *steps, running=False):
        """A domain of libvirtd with two disks; the steps are taken there."""
        self.two()
        text = self.virsh("dumpxml", "a")
        self.virsh("undefine", "a")
        self.theirs("define", self.write("theirs.xml", text))
        self.addCleanup(self.virsh_raw, "undefine", "a", "--snapshots-metadata", uri=self.their_uri)
        self.addCleanup(self.virsh_raw, "destroy", "a", uri=self.their_uri)
        if running:
            self.theirs("start", "a", "--paused")
        for step in steps:
            self.theirs(*step)
        if running:
            self.theirs("destroy", "a")

    def bring(self, *left_out):
        """The domain and its snapshots are given to us, but for those."""
        names = self.theirs("snapshot-list", "a", "--topological", "--name").split()
        texts = [self.theirs("snapshot-dumpxml", "a", name, "--security-info") for name in names if name not in left_out]
        domain = self.theirs("dumpxml", "a", "--inactive", "--security-info")
        self.theirs("undefine", "a", "--snapshots-metadata")
        self.virsh("define", self.write("a.xml", domain))
        for text in texts:
            self.virsh("snapshot-create", "a", self.write("s.xml", text), "--redefine")

    def take(self, name, *how):
        return ("snapshot-create-as", "a", name, *how)

    def test_internal(self):
        self.make(self.take("i1"), self.take("i2"))
        self.bring()
        self.assertEqual(self.doctor()["findings"], [])
        self.virsh("snapshot-revert", "a", "i1")

    def test_external_and_memory(self):
        self.make(self.take("s1", "--disk-only"),
                  self.take("s2", "--memspec", self.base("s2.mem"), "--diskspec", "vda", "--diskspec", "vdb"), running=True)
        self.bring()
        for word in "was saved here", "s2.mem":
            told = self.doctor(code=FOUND)
            self.assertEqual([(found["kind"], found["snapshot"]) for found in told["findings"]], [("incomplete", "s2")])
            self.assertIn(word, told["findings"][0]["text"])
            self.assertIsNone(told["plan"])
            if os.path.exists(self.base("s2.mem")):
                os.rename(self.base("s2.mem"), self.base("away"))

    def test_forgotten_points(self):
        """Their metadata was deleted, or never came here; the points are in the images still."""
        self.make(self.take("i1"), self.take("i2"), ("snapshot-delete", "a", "i1", "--metadata"))
        self.bring("i2")
        told = self.doctor()
        self.assertEqual((self.kinds(told), set(self.kinds(told, ("note",)))), ([], {"unknown-point"}))
        texts = " ".join(found["text"] for found in told["findings"])
        self.assertIn("i1", texts)
        self.assertIn("i2", texts)
        self.assertIsNone(told["plan"], "what nobody knows is not removed")

    def test_forgotten_overlays(self):
        """A chain whose snapshots nobody knows is a chain like any other."""
        self.make(self.take("s1", "--disk-only"), self.take("s2", "--disk-only"),
                  ("snapshot-delete", "a", "s1", "--metadata"))
        self.bring("s2")
        told = self.doctor()
        self.assertEqual((self.kinds(told), told["plan"]), ([], None))
        self.assertEqual(len(self.files()), 6)

    def test_orphaned_overlay(self):
        """The domain was put back on its base by hand: what it wrote since is in an overlay of nobody."""
        self.make(self.take("s1", "--disk-only"))
        back = self.theirs("dumpxml", "a", "--inactive").replace("one.s1", "one.qcow2").replace("two.s1", "two.qcow2")
        self.theirs("define", self.write("back.xml", back))
        before = self.files()
        self.bring("s1")
        told = self.doctor()
        self.assertEqual((self.kinds(told), set(self.kinds(told, ("note",)))), ([], {"foreign-reference"}))
        texts = " ".join(found["text"] for found in told["findings"])
        self.assertIn("one.s1", texts)
        self.assertIn("two.s1", texts)
        self.assertIsNone(told["plan"])
        self.assertEqual(self.files(), before)

    def test_ghost(self):
        """Somebody removed the points; the metadata is still told."""
        self.make(self.take("i1"))
        for name in "one.qcow2", "two.qcow2":
            self.qemu_img("snapshot", "-d", "i1", self.base(name))
        self.bring()
        told = self.doctor(code=FOUND)
        self.assertEqual(self.kinds(told), ["ghost"])
        self.repair(told)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), [])


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
