# SPDX-License-Identifier: LGPL-2.1-or-later
"""Deleting and reverting over external and mixed trees: every snapshot that is left reads its own bytes, and no
file is left that nothing needs. Names of tests are those of the matrix: D what others refuse, W what loses data."""
import os
import shutil
import subprocess

import qemutest
from imagetest import Case, libvirt
from qemutest import disk_xml


class Tree(Case):
    """A domain with one disk, and what must be read where."""

    def setUp(self):
        super().setUp()
        self.base = self.image("d.qcow2")
        self.define("a", disks=[disk_xml(self.base, "vda")])
        self.patterns = {}
        self.write(1)

    def top(self):
        return self.targets("a")["vda"]

    def write(self, what, text=None):
        if text is not None:
            return super().write(what, text)
        self.fill(what, self.top())
        self.pattern = what
        return None

    def take(self, name, kind="external"):
        """A snapshot, and something else on the disk afterwards."""
        self.virsh("snapshot-create-as", "a", name, "--diskspec", f"vda,snapshot={kind}")
        self.patterns[name] = self.pattern
        self.write(self.pattern + 1 if self.pattern < 200 else 1)

    def drop(self, name, *flags):
        self.virsh("snapshot-delete", "a", name, *flags)
        self.healthy()
        left = self.names("snapshot-list", "a", "--name")
        self.patterns = {name: pattern for name, pattern in self.patterns.items() if name in left}
        self.reads(self.pattern, self.top())

    def go_to(self, name, *flags):
        self.force(name, *flags)
        self.reads(self.patterns[name], self.top())
        self.assertEqual(self.names("snapshot-current", "a", "--name"), [name])
        self.pattern = self.patterns[name]
        self.healthy()

    def all_read_their_own(self):
        for name in list(self.patterns):
            self.go_to(name)


class Off(Tree):
    def test_revert_between_branches(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        self.all_read_their_own()
        self.go_to("s1")
        self.write(77)
        self.take("s4")
        self.all_read_their_own()
        self.assertEqual(self.virsh("snapshot-parent", "a", "s4"), "s1")

    def test_w10_twice_in_a_second(self):
        self.take("s1")
        for _ in range(4):
            self.force("s1")
        self.left(2)

    def test_w14_the_present_is_kept(self):
        self.take("s1")
        self.write(99)
        present = self.top()
        self.virsh("snapshot-revert", "a", "s1")
        self.reads(99, present)
        self.reads(1, self.top())

    def test_delete_leaf_middle_root(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        self.drop("s2")
        self.left(3)
        self.assertEqual(self.files(), ["d.qcow2", "d.s2", "d.s3"])
        self.drop("s3")
        self.drop("s1")
        self.all_read_their_own()
        self.left(2)
        for _ in range(3):
            self.take("again")
            self.drop("again")
        self.left(2)

    def test_d1_children(self):
        for name in "s0", "s1", "s2", "s3":
            self.take(name)
        self.drop("s1", "--children")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s0"])
        self.left(2)
        self.all_read_their_own()

    def test_d1_children_only(self):
        for name in "s0", "s1", "s2":
            self.take(name)
        self.drop("s0", "--children-only")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s0"])
        self.all_read_their_own()

    def test_d1_branch_where_the_guest_is_not(self):
        for name in "s0", "s1", "s2":
            self.take(name)
        self.go_to("s0")
        self.drop("s1", "--children")
        self.left(2)

    def test_d4_current_with_children(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        self.go_to("s1")
        self.drop("s1")
        self.all_read_their_own()

    def test_d5_middle_of_another_branch(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        self.go_to("s1")
        self.drop("s2")
        self.assertFalse(os.path.exists(os.path.join(self.dir, "d.s1")))
        self.all_read_their_own()

    def test_d6_several_children(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        self.go_to("s2")
        self.take("s4")
        self.drop("s2")    # hidden: two are based on it
        self.assertIn("d.s1", self.files())
        self.all_read_their_own()
        self.drop("s4")
        self.drop("s3")
        self.all_read_their_own()

    def parents(self):
        return {name: self.virsh_raw("snapshot-parent", "a", name).stdout.strip()
                for name in self.names("snapshot-list", "a", "--name")}

    def lives_on(self):
        """The tree is the same for another daemon."""
        before = self.parents()
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.parents(), before)

    def test_parents_that_have_gone(self):
        """Children's files are not written for it; what they mean outlives the daemon, and their parents' names."""
        for name in "s1", "s2", "s3":
            self.take(name)
        self.go_to("s2")
        self.take("s4")
        self.take("s5")
        self.drop("s2")
        self.assertEqual(self.parents(), {"s1": "", "s3": "s1", "s4": "s1", "s5": "s4"})
        self.lives_on()
        self.go_to("s5")
        self.take("s2")    # the name again, elsewhere
        self.assertEqual(self.parents(), {"s1": "", "s3": "s1", "s4": "s1", "s5": "s4", "s2": "s5"})
        self.lives_on()
        self.drop("s1")
        self.drop("s4")
        self.assertEqual(self.parents(), {"s3": "", "s5": "", "s2": "s5"})
        self.lives_on()
        self.drop("s5")
        self.lives_on()
        self.assertEqual(self.parents(), {"s3": "", "s2": ""})
        self.all_read_their_own()

    def test_w1_overlay_that_holds_an_internal_one(self):
        self.take("e1")
        self.take("i1", "internal")
        self.drop("e1")
        self.all_read_their_own()
        self.assertEqual(self.patterns.keys(), {"i1"})

    def test_w2_internal_below_an_overlay(self):
        self.take("i1", "internal")
        self.take("e1")
        self.go_to("i1")
        self.all_read_their_own()
        self.go_to("i1")
        self.take("i2", "internal")
        self.all_read_their_own()

    def test_d7_d8(self):
        self.take("i1", "internal")
        self.take("e1")
        self.drop("e1")
        self.drop("i1")
        self.assertEqual(self.disk_snapshots(self.base), [])

    def test_names_that_are_numbers(self):
        """QEMU takes such a name for the number of whatever snapshot has that."""
        for name in "3", "1", "2":
            self.take(name, "internal")
        self.all_read_their_own()
        self.drop("1")
        self.assertEqual(self.disk_snapshots(self.base), ["2", "3"])
        self.take("e", "external")
        self.all_read_their_own()

    def test_names_with_commas(self):
        """qemu-img has a use for them when it copies a snapshot out of an image."""
        for name in "a,b", "a,,b":
            self.take(name, "internal")
        self.take("e")
        self.all_read_their_own()

    def test_names_that_are_long(self):
        """Files are not called more than they can be."""
        long = self.image("x" * 240 + ".qcow2")
        self.virsh("undefine", "a")
        self.define("a", disks=[disk_xml(long, "vda")])
        self.write(1)
        for name, kind in ("ä" * 90, "internal"), ("ä" * 91, "external"), ("ä" * 92, "external"):
            self.take(name, kind)
        self.all_read_their_own()
        for name in os.listdir(self.dir):
            self.assertLessEqual(len(name.encode()), 255)

    def test_names_that_are_taken(self):
        for _ in range(3):
            self.virsh("snapshot-create", "a", "--disk-only")
        self.assertEqual(len(self.names("snapshot-list", "a", "--name")), 3)
        self.assertIn("for as long as a revert takes", self.virsh_fails("snapshot-create-as", "a", "vireo-undo"))

    def test_w4_base_of_another_domain(self):
        other = self.image("other.qcow2", "-b", self.base, "-F", "qcow2")
        self.define("b", disks=[disk_xml(other, "vda")])
        self.fill(1, self.base)
        self.take("s1")
        self.take("s2")
        self.drop("s1")
        self.drop("s2")
        self.reads(1, other)
        # And a file that no domain knows of.
        lost = self.image("lost.qcow2", "-b", self.top(), "-F", "qcow2")
        self.take("s3")
        self.drop("s3")
        self.reads(self.pattern - 1, lost)

    def test_given_up_while_somebody_reads(self):
        """What deleting has to leave, since others read the image, goes with the next operation after they have gone."""
        for name, kind in ("s1", "external"), ("s2", "external"), ("i3", "internal"), ("s4", "external"):
            self.take(name, kind)
        middle = os.path.join(self.dir, "d.s2")
        other = self.image("other.qcow2", "-b", middle, "-F", "qcow2")
        for name in "i3", "s2", "s1":
            self.drop(name)
        self.assertEqual(self.disk_snapshots(middle), ["i3"])
        os.unlink(other)
        self.virsh("snapshot-create-as", "a", "s5", "--diskspec", "vda,snapshot=external")
        self.patterns["s5"] = self.pattern
        qemutest.wait_until(lambda: "d.s1" not in self.files(), 30, "d.s1 goes")
        self.idle()
        self.assertEqual(self.disk_snapshots(middle), [])
        self.all_read_their_own()

    def test_w5_current_said_elsewhere(self):
        for name in "s1", "s2", "s3":
            self.take(name)
        path = self.write("s2.xml", self.virsh("snapshot-dumpxml", "a", "s2", "--security-info"))
        self.virsh("snapshot-create", "a", path, "--redefine", "--current")
        self.go_to("s1")
        self.all_read_their_own()

    def test_metadata_only(self):
        for name in "s1", "s2":
            self.take(name)
        before = self.files()
        text = self.virsh("snapshot-dumpxml", "a", "s1", "--security-info")
        self.drop("s1", "--metadata")
        self.drop("s2")
        self.assertIn("d.s1", self.files())
        self.assertEqual(len(before), 3)
        self.virsh("snapshot-create", "a", self.write("s1.xml", text), "--redefine")
        self.force("s1")
        self.reads(1, self.top())

    def test_snapshot_whose_image_is_gone(self):
        self.take("s1")
        self.take("s2")
        self.go_to("s2")
        os.rename(self.base, self.base + ".away")
        self.virsh_fails("snapshot-revert", "a", "s1")
        os.rename(self.base + ".away", self.base)
        self.all_read_their_own()


class Elsewhere(Tree):
    """The tree and the domain's definition go different ways."""

    def build(self):
        for name, kind in ("s1", "external"), ("i1", "internal"), ("s2", "external"):
            self.take(name, kind)
        self.go_to("i1")
        self.take("s3")

    def test_taken_along(self):
        """Undefined, defined anew, the tree redefined, as for another host."""
        self.build()
        order = self.virsh("snapshot-list", "a", "--topological", "--name").split()
        texts = [(name, self.virsh("snapshot-dumpxml", "a", name, "--security-info")) for name in order]
        current, domain = self.virsh("snapshot-current", "a", "--name"), self.virsh("dumpxml", "a", "--inactive")
        before = self.files()
        self.assertIn("snapshots", self.virsh_fails("undefine", "a"))
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.assertEqual(self.files(), before)
        self.virsh("define", self.write("a.xml", domain))
        self.assertEqual(self.virsh("snapshot-list", "a", "--name"), "")
        for name, text in texts:
            flags = ["--redefine", "--validate"] + (["--current"] if name == current else [])
            self.virsh("snapshot-create", "a", self.write("snap.xml", text), *flags)
        self.assertEqual(self.virsh("snapshot-current", "a", "--name"), current)
        self.all_read_their_own()
        self.drop("s1")
        self.drop("i1")
        self.all_read_their_own()

    def test_same_name_again(self):
        """Another domain of that name knows nothing of the first one's snapshots."""
        self.take("s1")
        domain = self.virsh("dumpxml", "a", "--inactive")
        uuid = self.virsh("domuuid", "a")
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.virsh("define", self.write("a.xml", domain.replace(uuid, "8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c01")))
        self.assertEqual(self.virsh("snapshot-list", "a", "--name"), "")
        self.take("s1")
        self.go_to("s1")
        self.left(3)
        self.assertIn("d.s1", self.files())    # the first one's

    def test_renamed(self):
        self.build()
        self.virsh("domrename", "a", "b")
        self.virsh("snapshot-revert", "b", "s1")
        self.assertEqual(self.virsh("snapshot-current", "b", "--name"), "s1")
        self.virsh("domrename", "b", "a")
        self.all_read_their_own()

    def test_redefined_on_another_image(self):
        """What the domain wrote last is still there; so are its snapshots."""
        self.build()
        present, pattern = self.top(), self.pattern
        other = self.image("d.other.qcow2")
        text = self.virsh("dumpxml", "a", "--inactive")
        self.virsh("define", self.write("a.xml", text.replace(present, other)))
        self.drop_and_look("s2", present, pattern)

    def drop_and_look(self, name, present, pattern):
        self.virsh("snapshot-delete", "a", name)
        del self.patterns[name]
        self.reads(pattern, present)
        self.all_read_their_own()

    def test_ghost(self):
        self.take("i1", "internal")
        text = self.virsh("snapshot-dumpxml", "a", "i1", "--security-info").replace("<name>i1<", "<name>ghost<")
        path = self.write("ghost.xml", text)
        self.assertIn("ghost", self.virsh_fails("snapshot-create", "a", path, "--redefine", "--validate"))
        self.virsh("snapshot-create", "a", path, "--redefine")
        self.virsh_fails("snapshot-revert", "a", "ghost")
        self.reads(self.pattern, self.top())
        self.drop("ghost")

    def test_neighbour_that_runs(self):
        """W4: another guest runs on an image in the middle of the chain."""
        self.take("s1")
        self.take("s2")
        other = self.image("other.qcow2", "-b", os.path.join(self.dir, "d.s1"), "-F", "qcow2")
        self.define("b", disks=[disk_xml(other, "vda")])
        self.virsh("start", "b")
        self.drop("s2")
        self.assertIn("d.s1", self.files())
        self.go_to("s1")
        self.virsh("destroy", "b")
        self.reads(2, other)
        self.drop("s1")
        self.reads(2, other)


class Media(Case):
    def test_gone(self):
        """A CD is in no snapshot: its image is missed when a guest is to start with it, and by nobody before."""
        path = self.nano_disk("d.qcow2")
        discs = [self.write(name, "disc") for name in ("one.iso", "two.iso")]
        drive = "<disk type='file' device='cdrom'><source file='{}'/><target dev='hdc' bus='ide'/><readonly/></disk>"
        self.define("a", disks=[disk_xml(path, "vda", boot=1), drive.format(discs[0])])
        self.virsh("start", "a")
        for name, kind in ("s1", "external"), ("s2", "external"), ("s3", "internal"):
            self.virsh("snapshot-create-as", "a", name, "--disk-only", "--diskspec", f"vda,snapshot={kind}")
        self.virsh("change-media", "a", "hdc", discs[1], "--live", "--config")
        os.unlink(discs[0])
        pid = self.pid("a")
        self.assertIn(discs[0], self.virsh_fails("snapshot-revert", "a", "s1", "--running"))
        self.assertEqual((self.pid("a"), self.state("a")), (pid, "running"))
        self.virsh("snapshot-revert", "a", "s2")
        self.assertEqual((self.state("a"), self.targets("a")["hdc"]), ("shut off", discs[0]))
        self.assertIn(discs[0], self.virsh_fails("snapshot-revert", "a", "s2", "--running"))
        self.virsh("snapshot-create-as", "a", "s4", "--disk-only")
        for name in "s2", "s4", "s3", "s1":
            self.virsh("snapshot-delete", "a", name)
        self.healthy()


class Live(Case):
    def test_delete_middle_root_leaf(self):
        line, (one, two) = self.nano()
        for letter in "ABC":
            self.write_both(line, letter)
            self.virsh("snapshot-create-as", "a", letter, "--disk-only")
        self.write_both(line, "D")
        pid = self.pid("a")
        for letter in "BCA":
            self.virsh("snapshot-delete", "a", letter)
            self.read_both(line, "D")
        self.assertEqual(self.pid("a"), pid)
        self.left(4)
        self.virsh("snapshot-create-as", "a", "E", "--disk-only")
        self.write_both(line, "E")
        self.virsh("destroy", "a")
        self.healthy()
        self.read_both(self.start("a"), "E")

    def test_d5_below_the_guests_image(self):
        """What is merged is not what the guest writes to."""
        line, _ = self.nano()
        for letter in "ABC":
            self.write_both(line, letter)
            self.virsh("snapshot-create-as", "a", letter, "--disk-only")
        self.write_both(line, "D")
        self.virsh("snapshot-delete", "a", "B")
        self.left(6)
        self.read_both(line, "D")
        for letter in "AC":
            self.assertEqual(self.snapshot_sector(letter), {letter})
        self.write_both(line, "E")
        self.virsh("destroy", "a")
        self.healthy()
        self.virsh("snapshot-revert", "a", "C", "--running")
        line = self.line("a")
        line.wake()
        self.read_both(line, "C")

    def test_d1_children(self):
        line, _ = self.nano()
        for letter in "ABC":
            self.write_both(line, letter)
            self.virsh("snapshot-create-as", "a", letter, "--disk-only")
        self.virsh("snapshot-delete", "a", "B", "--children")
        self.read_both(line, "C")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["A"])
        self.left(4)
        self.virsh("destroy", "a")
        self.healthy()

    def test_d8_internal_below_an_overlay(self):
        line, (one, two) = self.nano()
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "i1")
        self.virsh("snapshot-create-as", "a", "e1", "--disk-only")
        self.write_both(line, "B")
        self.virsh("snapshot-delete", "a", "i1")
        self.assertEqual([self.disk_snapshots_of_busy(path) for path in (one, two)], [[], []])
        self.read_both(line, "B")
        self.virsh("destroy", "a")
        self.healthy()

    def disk_snapshots_of_busy(self, path):
        done = subprocess.run(["qemu-img", "snapshot", "-U", "-l", path], check=True, capture_output=True, text=True)
        return [row.split()[1] for row in done.stdout.splitlines()[2:]]

    def test_revert_to_disks(self):
        line, _ = self.nano()
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.write_both(line, "B")
        self.force("s1", libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING)
        line = self.line("a")
        line.wait_ready() if hasattr(line, "wait_ready") else None
        self.assertEqual(self.state("a"), "running")
        self.virsh("destroy", "a")
        for path in self.targets("a").values():
            self.sector("A", path)
        self.force("s1")
        self.assertEqual(self.state("a"), "shut off")
        self.left(4)
        self.read_both(self.start("a"), "A")

    def test_revert_to_memory(self):
        line, _ = self.nano()
        memory = os.path.join(self.dir, "s1.mem")
        line.ask("mA", "M=A")
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", memory)
        line.ask("mB", "M=B")
        self.write_both(line, "B")
        for _ in range(2):
            self.force("s1")
            self.assertEqual(self.state_reason("a"), ("running", "from snapshot"))
            line = self.line("a")
            line.ask("g", "M=A")
            self.read_both(line, "A")
            self.write_both(line, "C")
        self.virsh("destroy", "a")
        self.force("s1", libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)
        self.assertEqual(self.state("a"), "paused")
        self.virsh("snapshot-delete", "a", "s1")
        self.assertNotIn("s1.mem", self.files())
        self.virsh("resume", "a")
        self.line("a").ask("g", "M=A")

    def test_w2_internal_with_memory_below_an_overlay(self):
        line, _ = self.nano()
        line.ask("mA", "M=A")
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "i1")
        line.ask("mB", "M=B")
        self.write_both(line, "B")
        self.virsh("snapshot-create-as", "a", "e1", "--disk-only")
        self.write_both(line, "C")
        self.force("i1")
        line = self.line("a")
        line.ask("g", "M=A")
        self.read_both(line, "A")
        self.virsh("destroy", "a")
        self.force("e1")
        for path in self.targets("a").values():
            self.sector("B", path)
        self.healthy()

    def test_names_that_are_numbers(self):
        """The one whose name is another one's number goes to an image of its own."""
        line, _ = self.nano()
        letters = {"2": "A", "3": "B", "1": "C", "4": "D"}
        for name, letter in letters.items():
            line.ask("m" + letter, "M=" + letter)
            self.write_both(line, letter)
            self.virsh("snapshot-create-as", "a", name)
        pid = self.pid("a")
        for name, same in ("4", True), ("3", False), ("1", False), ("2", False):
            self.virsh("snapshot-revert", "a", name)
            line = self.line("a")
            line.ask("g", "M=" + letters[name])
            self.read_both(line, letters[name])
            self.assertEqual(self.pid("a") == pid, same, name)
            pid = self.pid("a")

    def test_w7_nothing_is_stopped_in_vain(self):
        line, (one, _) = self.nano()
        memory = os.path.join(self.dir, "s1.mem")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", memory)
        pid, described = self.pid("a"), self.write("s1.xml", self.virsh("snapshot-dumpxml", "a", "s1"))
        size = os.path.getsize(memory)
        whole = memory + ".whole"
        os.rename(memory, whole)

        def refused(word):
            self.assertIn(word, self.virsh_fails("snapshot-revert", "a", "s1"))
            self.assertEqual((self.pid("a"), self.state("a")), (pid, "running"))
            self.assertIn(word, self.virsh_fails("snapshot-create", "a", described, "--redefine", "--validate"))

        refused("memory of snapshot 's1' is not there")
        shutil.copy(whole, memory)
        os.truncate(memory, size - 1)
        refused(f"was cut off: of {size} bytes {size - 1} are there")
        with open(memory, "w", encoding="utf-8") as stream:
            stream.write("something else")
        refused("not a guest that was saved here")
        os.replace(whole, memory)
        self.virsh("snapshot-create", "a", described, "--redefine", "--validate")
        self.virsh("snapshot-revert", "a", "s1")

    def test_disk_that_is_not_in_it(self):
        """W11, and its overlays stay where they are."""
        line, (one, two) = self.nano()
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--diskspec", "vdb,snapshot=no")
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only", "--diskspec", "vda,snapshot=no")
        self.write_both(line, "B")
        self.virsh("destroy", "a")
        self.force("s1")
        self.assertEqual(self.targets("a")["vdb"], two[:-6] + ".s2")
        self.sector("A", self.targets("a")["vda"])
        self.sector("B", self.targets("a")["vdb"])


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
