# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: internal snapshots, their tree, every way to list them, and what is on the disk."""
import os
import subprocess
import time

import vireotest


class SnapshotCase(vireotest.VirshCase):
    def snap(self, domain, name, *flags):
        self.virsh("snapshot-create-as", domain, name, *flags)

    def listed(self, domain, *flags):
        return self.names("snapshot-list", domain, "--name", *flags)

    def current(self, domain):
        return self.virsh("snapshot-current", domain, "--name")

    def parent(self, domain, name):
        return self.virsh("snapshot-parent", domain, name)

    def disk(self, domain="a"):
        return os.path.join(self.work, f"{domain}.qcow2")


class Off(SnapshotCase):
    """The domain is off: disks only, and quick."""

    def setUp(self):
        super().setUp()
        self.define("a")

    def tree(self):
        """one -> two -> three*, one -> four"""
        self.snap("a", "one")
        self.snap("a", "four")
        self.virsh("snapshot-revert", "a", "one")
        self.snap("a", "two")
        self.snap("a", "three")

    def test_none(self):
        self.assertEqual(self.listed("a"), [])
        self.assertIn("current snapshot", self.virsh_fails("snapshot-current", "a"))

    def test_create(self):
        out = self.virsh("snapshot-create-as", "a", "one", "what for")
        self.assertEqual(self.listed("a"), ["one"])
        self.assertEqual(self.current("a"), "one")
        self.assertEqual(self.disk_snapshots(self.disk()), ["one"])
        xml = vireotest.ElementTree.fromstring(self.virsh("snapshot-dumpxml", "a", "one"))
        self.assertEqual(xml.find("name").text, "one")
        self.assertEqual(xml.find("description").text, "what for")
        self.assertEqual(xml.find("state").text, "shutoff")
        self.assertLess(abs(int(xml.find("creationTime").text) - time.time()), 60)
        self.assertEqual(xml.find("disks/disk[@name='vda']").get("snapshot"), "internal")
        self.assertEqual(xml.find("domain/name").text, "a")
        self.assertIsNone(xml.find("parent"))

    def test_create_from_xml(self):
        path = self.write("s.xml", "<domainsnapshot><name>x</name><description>d</description></domainsnapshot>")
        self.virsh("snapshot-create", "a", path)
        self.assertEqual(self.listed("a"), ["x"])

    def test_a_name_is_made_up(self):
        self.virsh("snapshot-create", "a")
        [name] = self.listed("a")
        self.assertLess(abs(int(name) - time.time()), 60)

    def test_name_taken(self):
        self.snap("a", "one")
        self.assertIn("already", self.virsh_fails("snapshot-create-as", "a", "one"))
        self.assertEqual(self.disk_snapshots(self.disk()), ["one"])

    def test_bad_names(self):
        for name in ("a/b", ".hidden"):
            with self.subTest(name=name):
                self.virsh_fails("snapshot-create-as", "a", name)
        self.assertEqual(self.listed("a"), [])

    def test_list_table(self):
        self.snap("a", "one")
        row = self.virsh("snapshot-list", "a").split()
        self.assertEqual((row[0], row[-1]), ("one", "shutoff"))

    def test_list_filters(self):
        self.tree()
        every = ["four", "one", "three", "two"]
        for flags, expected in (
                ((), every), (("--roots",), ["one"]), (("--leaves",), ["four", "three"]),
                (("--no-leaves",), ["one", "two"]), (("--metadata",), every), (("--no-metadata",), []),
                (("--inactive",), every), (("--active",), []), (("--disk-only",), []),
                (("--internal",), every), (("--external",), []),
                (("--from", "one"), ["four", "two"]), (("--from", "one", "--descendants"), ["four", "three", "two"]),
                (("--from", "two"), ["three"]), (("--from", "three"), []),
                (("--current",), []), (("--from", "one", "--descendants", "--leaves"), ["four", "three"]),
        ):
            with self.subTest(flags=flags):
                self.assertEqual(self.listed("a", *flags), expected)

    def test_list_topological(self):
        self.tree()
        order = self.virsh("snapshot-list", "a", "--name", "--topological").split()
        self.assertEqual(sorted(order), ["four", "one", "three", "two"])
        self.assertEqual(order[0], "one")
        self.assertLess(order.index("two"), order.index("three"))

    def test_list_tree(self):
        self.tree()
        lines = [line for line in self.virsh("snapshot-list", "a", "--tree").splitlines() if line.strip(" |")]
        depth = {line.strip(" |+-"): len(line) - len(line.lstrip(" |+-")) for line in lines}
        self.assertEqual(depth["one"], 0)
        self.assertEqual(depth["two"], depth["four"])
        self.assertGreater(depth["three"], depth["two"])

    def test_list_with_parents(self):
        self.tree()
        rows = {row.split()[0]: row.split()[-1] for row in self.virsh("snapshot-list", "a", "--parent").splitlines()}
        self.assertEqual((rows["two"], rows["three"], rows["four"]), ("one", "two", "one"))

    def test_parents_and_current(self):
        self.tree()
        self.assertEqual(self.current("a"), "three")
        self.assertEqual(self.parent("a", "three"), "two")
        self.assertEqual(self.virsh("snapshot-parent", "a", "--current"), "two")
        self.assertIn("has no parent", self.virsh_fails("snapshot-parent", "a", "one"))

    def test_info(self):
        self.tree()
        info = dict(line.split(":", 1) for line in self.virsh("snapshot-info", "a", "one").splitlines())
        info = {key.strip(): value.strip() for key, value in info.items()}
        self.assertEqual(info, {"Name": "one", "Domain": "a", "Current": "no", "State": "shutoff", "Location": "internal",
                                "Parent": "-", "Children": "2", "Descendants": "3", "Metadata": "yes"})
        self.assertRegex(self.virsh("snapshot-info", "a", "--current"), r"Name: +three")

    def test_missing_snapshot(self):
        for command in ("snapshot-info", "snapshot-dumpxml", "snapshot-revert", "snapshot-delete", "snapshot-parent"):
            with self.subTest(command=command):
                self.assertIn("nope", self.virsh_fails(command, "a", "nope"))

    def test_revert_moves_current(self):
        self.tree()
        self.virsh("snapshot-revert", "a", "four")
        self.assertEqual(self.current("a"), "four")
        self.assertEqual(self.state("a"), "shut off")
        self.assertEqual(self.listed("a"), ["four", "one", "three", "two"])

    def test_revert_to_current(self):
        self.snap("a", "one")
        self.virsh("snapshot-revert", "a", "--current")
        self.assertEqual(self.current("a"), "one")

    def test_revert_brings_the_definition_back(self):
        self.snap("a", "one")
        self.define("a", uuid=self.virsh("domuuid", "a"), vcpus=2, disks=[vireotest.disk_xml(self.disk(), "vda")])
        self.assertEqual(self.xml("a").find("vcpu").text, "2")
        self.virsh("snapshot-revert", "a", "one")
        self.assertEqual(self.xml("a").find("vcpu").text, "1")

    def test_delete_leaf(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "four")
        self.assertEqual(self.listed("a"), ["one", "three", "two"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["one", "three", "two"])

    def test_delete_middle_hands_the_children_on(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "two")
        self.assertEqual(self.listed("a"), ["four", "one", "three"])
        self.assertEqual(self.parent("a", "three"), "one")

    def test_delete_root_with_two_children(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "one")
        self.assertEqual(self.listed("a", "--roots"), ["four", "two"])

    def test_delete_current_makes_the_parent_current(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "--current")
        self.assertEqual(self.current("a"), "two")

    def test_delete_children(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "two", "--children")
        self.assertEqual(self.listed("a"), ["four", "one"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["four", "one"])
        self.assertEqual(self.current("a"), "one")

    def test_delete_children_only_of_a_chain(self):
        for name in ("one", "two", "three"):
            self.snap("a", name)
        self.virsh("snapshot-delete", "a", "two", "--children-only")
        self.assertEqual(self.listed("a"), ["one", "two"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["one", "two"])
        self.assertEqual(self.current("a"), "two")

    @vireotest.vireo_only("libvirtd 9.0.0 crashes on this tree")
    def test_delete_children_only(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "one", "--children-only")
        self.assertEqual(self.listed("a"), ["one"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["one"])
        self.assertEqual(self.current("a"), "one")

    def test_delete_both_ways_is_refused(self):
        self.tree()
        self.virsh_fails("snapshot-delete", "a", "one", "--children", "--children-only")
        self.assertEqual(self.listed("a"), ["four", "one", "three", "two"])

    def test_delete_metadata_leaves_the_disk(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "four", "--metadata")
        self.assertEqual(self.listed("a"), ["one", "three", "two"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["four", "one", "three", "two"])

    def test_delete_children_metadata(self):
        self.tree()
        self.virsh("snapshot-delete", "a", "two", "--children", "--metadata")
        self.assertEqual(self.listed("a"), ["four", "one"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["four", "one", "three", "two"])

    def test_create_without_metadata(self):
        self.snap("a", "ghost", "--no-metadata")
        self.assertEqual(self.listed("a"), [])
        self.assertEqual(self.disk_snapshots(self.disk()), ["ghost"])

    def test_create_and_halt_an_off_domain(self):
        self.snap("a", "one", "--halt")
        self.assertEqual(self.state("a"), "shut off")
        self.assertEqual(self.listed("a"), ["one"])

    def test_create_atomic(self):
        self.snap("a", "one", "--atomic")
        self.assertEqual(self.listed("a"), ["one"])

    def test_print_xml_touches_nothing(self):
        out = self.virsh("snapshot-create-as", "a", "one", "--print-xml")
        self.assertIn("<name>one</name>", out)
        self.assertEqual(self.listed("a"), [])

    def test_live_without_memory_file_is_refused(self):
        self.virsh_fails("snapshot-create-as", "a", "one", "--live")
        self.assertEqual(self.listed("a"), [])

    def test_quiesce_without_disk_only_is_refused(self):
        self.virsh_fails("snapshot-create-as", "a", "one", "--quiesce")
        self.assertEqual(self.disk_snapshots(self.disk()), [])

    @vireotest.vireo_only("libvirtd ignores the flag on a domain that is off (snapshots W13)")
    def test_quiesce_of_an_off_domain_is_refused(self):
        self.virsh_fails("snapshot-create-as", "a", "one", "--quiesce", "--disk-only")
        self.assertEqual(self.listed("a"), [])

    def test_redefine(self):
        self.tree()
        text = self.virsh("snapshot-dumpxml", "a", "two")
        path = self.write("two.xml", text.replace("</name>", "</name><description>changed</description>", 1))
        self.virsh("snapshot-create", "a", path, "--redefine")
        self.assertIn("changed", self.virsh("snapshot-dumpxml", "a", "two"))
        self.assertEqual(self.current("a"), "three")
        self.assertEqual(self.parent("a", "three"), "two")

    def test_redefine_current(self):
        self.tree()
        path = self.write("two.xml", self.virsh("snapshot-dumpxml", "a", "two"))
        self.virsh("snapshot-create", "a", path, "--redefine", "--current")
        self.assertEqual(self.current("a"), "two")

    def test_metadata_lost_and_redefined(self):
        """What backup tools do around undefine: keep the XML, bring the tree back."""
        self.tree()
        domain = self.virsh("dumpxml", "a", "--inactive")
        kept = {name: self.virsh("snapshot-dumpxml", "a", name) for name in ("one", "two", "three", "four")}
        self.assertIn("snapshots", self.virsh_fails("undefine", "a"))
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.assertEqual(self.disk_snapshots(self.disk()), ["four", "one", "three", "two"])
        self.virsh("define", self.write("a.xml", domain))
        self.assertEqual(self.listed("a"), [])
        for name in ("one", "two", "four"):
            self.virsh("snapshot-create", "a", self.write("s.xml", kept[name]), "--redefine")
        self.virsh("snapshot-create", "a", self.write("s.xml", kept["three"]), "--redefine", "--current")
        self.assertEqual(self.listed("a"), ["four", "one", "three", "two"])
        self.assertEqual((self.current("a"), self.parent("a", "three")), ("three", "two"))
        for name, text in kept.items():
            self.assertEqual(self.virsh("snapshot-dumpxml", "a", name), text)

    def test_redefine_refusals(self):
        self.tree()
        good = self.virsh("snapshot-dumpxml", "a", "two")
        parent = "<parent>\n    <name>one</name>\n  </parent>"
        self.assertIn(parent, good)
        for what, text in (
                ("own parent", good.replace("<name>one</name>", "<name>two</name>", 1)),
                ("unknown parent", good.replace("<name>one</name>", "<name>none</name>", 1)),
                ("cycle", good.replace("<name>one</name>", "<name>three</name>", 1)),
                ("no name", good.replace("<name>two</name>", "", 1)),
                ("no creation time", "\n".join(l for l in good.splitlines() if "creationTime" not in l)),
                ("no state", good.replace("<state>shutoff</state>", "")),
                ("bad state", good.replace("<state>shutoff</state>", "<state>dancing</state>")),
                ("online from offline", good.replace("<state>shutoff</state>", "<state>running</state>")),
                ("other domain", good.replace(self.virsh("domuuid", "a"), "8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c99")),
        ):
            with self.subTest(what=what):
                self.assertNotEqual(text, good)
                self.virsh_fails("snapshot-create", "a", self.write("bad.xml", text), "--redefine")
        self.assertEqual(self.virsh("snapshot-dumpxml", "a", "two"), good)
        self.assertEqual(self.current("a"), "three")

    def test_current_needs_redefine(self):
        path = self.write("s.xml", "<domainsnapshot><name>x</name></domainsnapshot>")
        self.virsh_fails("snapshot-create", "a", path, "--current")

    def test_set_current_by_virsh(self):
        self.tree()
        self.virsh("snapshot-current", "a", "two")
        self.assertEqual(self.current("a"), "two")

    def test_snapshot_edit(self):
        self.tree()
        editor = self.write("editor", "#!/bin/sh\nsed -i 's|<name>two</name>|<name>two</name><description>edited</description>|' \"$1\"\n")
        os.chmod(editor, 0o755)
        done = subprocess.run(["virsh", "-q", "-c", self.daemon.uri(), "snapshot-edit", "a", "two"],
                              env=dict(os.environ, VISUAL=editor, EDITOR=editor, TMPDIR=self.work),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("edited", self.virsh("snapshot-dumpxml", "a", "two"))

    def test_snapshots_survive_a_restart(self):
        if not self.daemon.process:
            self.skipTest("restarts vireod only")
        self.tree()
        before = {name: self.virsh("snapshot-dumpxml", "a", name) for name in self.listed("a")}
        for end in (self.daemon.stop, self.daemon.kill):
            end()
            self.daemon.start_vireod()
            self.assertEqual({name: self.virsh("snapshot-dumpxml", "a", name) for name in self.listed("a")}, before)
            self.assertEqual(self.current("a"), "three")
            self.assertEqual(self.parent("a", "three"), "two")

    def test_list_domains_by_snapshots(self):
        self.define_diskless("b")
        self.snap("a", "one")
        self.assertEqual(self.names("list", "--all", "--name", "--with-snapshot"), ["a"])
        self.assertEqual(self.names("list", "--all", "--name", "--without-snapshot"), ["b"])

    def test_raw_disk_is_refused(self):
        path = os.path.join(self.work, "raw.img")
        with open(path, "wb") as stream:
            stream.truncate(1 << 20)
        os.chmod(path, 0o666)
        self.define("r", disks=[vireotest.disk_xml(path, "vda", "raw")])
        self.virsh_fails("snapshot-create-as", "r", "one")
        self.assertEqual(self.listed("r"), [])

    def test_revert_running_from_off(self):
        self.snap("a", "one")
        self.virsh("snapshot-revert", "a", "one", "--running")
        self.assertEqual(self.state("a"), "running")
        self.line("a").wake()

    def test_revert_paused_from_off(self):
        self.snap("a", "one")
        self.virsh("snapshot-revert", "a", "one", "--paused")
        self.assertEqual(self.state("a"), "paused")

    def test_revert_running_and_paused_is_refused(self):
        self.snap("a", "one")
        self.virsh_fails("snapshot-revert", "a", "one", "--running", "--paused")
        self.assertEqual(self.state("a"), "shut off")


class Data(SnapshotCase):
    """What the guest wrote, on its disks and in its memory, is what a revert brings back."""

    def test_disk_of_an_off_domain(self):
        self.define("a")
        line = self.start("a")
        line.ask("wA", "W=A")
        self.virsh("destroy", "a")
        self.snap("a", "one")
        line = self.start("a")
        line.ask("wB", "W=B")
        self.virsh("destroy", "a")
        self.virsh("snapshot-revert", "a", "one")
        line = self.start("a")
        line.ask("r", "R=A")

    def test_memory_and_disk_of_a_running_guest(self):
        self.define("a")
        line = self.start("a")
        line.ask("wA", "W=A")
        line.ask("mA", "M=A")
        self.snap("a", "one")
        self.assertEqual(self.state("a"), "running")
        line.ask("wB", "W=B")
        line.ask("mB", "M=B")
        self.snap("a", "two")
        self.virsh("snapshot-revert", "a", "one")
        self.assertEqual(self.state_reason("a"), ("running", "from snapshot"))
        line = self.line("a")
        line.ask("g", "M=A")
        line.ask("r", "R=A")
        self.virsh("snapshot-revert", "a", "two")
        line = self.line("a")
        line.ask("g", "M=B")
        line.ask("r", "R=B")
        self.assertEqual(self.current("a"), "two")

    def test_two_disks(self):
        self.define("a", disks=self.two_disks())
        line = self.start("a")

        def write(one, two):
            for disk, letter in (("0", one), ("1", two)):
                line.ask(disk, disk)
                line.ask("w" + letter, "W=" + letter)

        write("A", "B")
        self.snap("a", "one")
        write("X", "Y")
        self.virsh("snapshot-revert", "a", "one")
        line = self.line("a")
        for disk, letter in (("0", "A"), ("1", "B")):
            line.ask(disk, disk)
            line.ask("r", "R=" + letter)
        for image in ("one.qcow2", "two.qcow2"):
            self.assertEqual(self.disk_snapshots(os.path.join(self.work, image)), ["one"])

    def test_paused_guest(self):
        self.define("a")
        line = self.start("a")
        line.ask("mA", "M=A")
        self.virsh("suspend", "a")
        self.snap("a", "one")
        self.assertEqual(self.state("a"), "paused")
        self.assertIn("<state>paused</state>", self.virsh("snapshot-dumpxml", "a", "one"))
        self.virsh("resume", "a")
        line.ask("mB", "M=B")
        self.virsh("snapshot-revert", "a", "one")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        self.line("a").ask("g", "M=A")

    def test_revert_with_running_and_paused(self):
        self.define("a")
        self.start("a")
        self.snap("a", "one")
        self.virsh("snapshot-revert", "a", "one", "--paused")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("snapshot-revert", "a", "one", "--running")
        self.assertEqual(self.state("a"), "running")

    def test_revert_starts_a_domain_that_is_off(self):
        self.define("a")
        line = self.start("a")
        line.ask("mA", "M=A")
        self.snap("a", "one")
        self.virsh("destroy", "a")
        self.virsh("snapshot-revert", "a", "one")
        self.assertEqual(self.state("a"), "running")
        self.line("a").ask("g", "M=A")

    def test_revert_to_off_stops_a_running_guest(self):
        self.define("a")
        self.snap("a", "off")
        self.start("a")
        self.virsh("snapshot-revert", "a", "off")
        self.assertEqual(self.state("a"), "shut off")

    def test_halt(self):
        self.define("a")
        line = self.start("a")
        line.ask("mA", "M=A")
        self.snap("a", "one", "--halt")
        self.assertEqual(self.state_reason("a"), ("shut off", "from snapshot"))
        self.virsh("snapshot-revert", "a", "one")
        self.line("a").ask("g", "M=A")

    def test_delete_while_running(self):
        self.define("a")
        line = self.start("a")
        line.ask("wA", "W=A")
        self.snap("a", "one")
        self.snap("a", "two")
        self.virsh("snapshot-delete", "a", "one")
        self.assertEqual(self.listed("a"), ["two"])
        self.assertEqual(self.disk_snapshots(self.disk()), ["two"])
        line.ask("r", "R=A")
        self.assertEqual(self.state("a"), "running")

    def test_filters_of_running_and_off(self):
        self.define("a")
        self.snap("a", "off")
        self.start("a")
        self.snap("a", "on")
        self.assertEqual(self.listed("a", "--active"), ["on"])
        self.assertEqual(self.listed("a", "--inactive"), ["off"])
        self.assertEqual(self.parent("a", "on"), "off")

    def test_transient_domain(self):
        self.virsh("create", self.write("t.xml", self.nano_xml("t")))
        line = self.line("t")
        line.wake()
        line.ask("mA", "M=A")
        self.snap("t", "one")
        line.ask("mB", "M=B")
        self.virsh("snapshot-revert", "t", "one")
        self.line("t").ask("g", "M=A")
        self.virsh_fails("snapshot-create-as", "t", "two", "--halt")

    @vireotest.vireo_only("libvirtd kills the guest first and finds out later (snapshots W7)")
    def test_revert_that_cannot_work_leaves_the_guest_alone(self):
        self.define("a")
        line = self.start("a")
        line.ask("mA", "M=A")
        self.snap("a", "one")
        path = self.write("ghost.xml", self.virsh("snapshot-dumpxml", "a", "one").replace(">one<", ">ghost<"))
        self.virsh("snapshot-create", "a", path, "--redefine")
        number = self.virsh("domid", "a")
        self.virsh_fails("snapshot-revert", "a", "ghost")
        self.assertEqual((self.state("a"), self.virsh("domid", "a")), ("running", number))
        line.ask("g", "M=A")

    @vireotest.vireo_only("libvirtd restarts QEMU or keeps it as it likes; an unchanged machine needs no new process")
    def test_revert_in_place_keeps_the_process(self):
        self.define("a")
        self.start("a")
        self.snap("a", "one")
        number = self.virsh("domid", "a")
        line = self.line("a")
        self.virsh("snapshot-revert", "a", "one")
        self.assertEqual(self.virsh("domid", "a"), number)
        line.ask("g", "M=-")


if __name__ == "__main__":
    vireotest.main()
