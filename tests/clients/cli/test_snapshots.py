# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshot commands, and what they do to a guest's memory and disk."""
from vireocli import CliCase, main


class Snapshots(CliCase):
    def tree(self):
        """s1 - s2 - s3, and s4 below s1."""
        self.define("a")
        self.line_of_a = self.start("a")
        for name, parent in (("s1", None), ("s2", None), ("s3", None), ("s4", "s1")):
            if parent:
                self.vireo("snapshot-revert", "a", parent)
            self.vireo("snapshot-create-as", "a", name, f"about {name}")

    def test_tree(self):
        self.tree()
        self.assertEqual([line.rstrip() for line in self.vireo("snapshot-list", "a", "--tree").splitlines() if line],
                         ["s1", "  |", "  +- s2", "  |   |", "  |   +- s3", "  |", "  +- s4"])
        self.assertEqual(self.vireo("snapshot-list", "a", "--tree").split(),
                         self.virsh("snapshot-list", "a", "--tree").split())

    def test_lists(self):
        self.tree()
        for args in ([], ["--roots"], ["--leaves"], ["--no-leaves"], ["--from", "s1"],
                     ["--from", "s1", "--descendants"], ["--current"], ["--active"], ["--inactive"],
                     ["--internal"], ["--external"], ["--metadata"], ["--topological"]):
            ours = self.vireo("snapshot-list", "a", "--name", *args).split()
            theirs = self.virsh("snapshot-list", "a", "--name", *args).split()
            self.assertEqual(sorted(ours), sorted(theirs), args)
        self.assertEqual(self.vireo("snapshot-list", "a", "--name").split(), ["s1", "s2", "s3", "s4"])
        rows = {row["name"]: row for row in self.json("snapshot-list", "a")}
        self.assertEqual({name: row["parent"] for name, row in rows.items()},
                         {"s1": None, "s2": "s1", "s3": "s2", "s4": "s1"})
        self.assertEqual(rows["s1"]["state"], "running")
        self.assertGreater(rows["s1"]["creation_time"], 1_600_000_000)
        head, _, *body = self.vireo("snapshot-list", "a", "--parent").splitlines()
        self.assertEqual(head.split()[-1], "Parent")
        self.assertEqual(body[2].split()[0::5], ["s3", "s2"])

    def test_facts(self):
        self.tree()
        info = self.json("snapshot-info", "a", "s1")
        self.assertEqual((info["children"], info["descendants"], info["current"], info["location"]),
                         (2, 3, False, "internal"))
        self.assertEqual(self.vireo("snapshot-parent", "a", "s3").strip(), "s2")
        self.assertEqual(self.vireo("snapshot-parent", "a", "--current").strip(), "s1")
        self.assertIn("error", self.fails("snapshot-parent", "a", "s1"))
        self.assertEqual(self.vireo("snapshot-current", "a", "--name").strip(), "s4")
        self.assertEqual(self.vireo("snapshot-dumpxml", "a", "s2", "--xpath", "/domainsnapshot/description").strip(),
                         "<description>about s2</description>")
        self.vireo("snapshot-current", "a", "s2")
        self.assertEqual(self.virsh("snapshot-current", "a", "--name").strip(), "s2")

    def test_delete(self):
        self.tree()
        self.vireo("snapshot-delete", "a", "s2", "--children-only")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1", "s2", "s4"])
        self.vireo("snapshot-delete", "a", "--snapshotname", "s2", "--metadata")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1", "s4"])
        done = self.json("snapshot-delete", "a", "s1", "--flags", "CHILDREN")
        self.assertEqual(done, {"done": "snapshot-deleted", "domain": "a", "snapshot": "s1"})
        self.assertEqual(self.names("snapshot-list", "a", "--name"), [])
        self.assertIn("snapshot-list", self.fails("snapshot-delete", "a", "s1"))

    def test_revert_brings_memory_back(self):
        self.define("a")
        self.start("a").ask("mA", "M=A")
        self.vireo("snapshot-create-as", "a", "before")
        self.line("a").ask("mB", "M=B")
        self.vireo("snapshot-revert", "a", "before", "--paused")
        self.assertEqual(self.state("a"), "paused")
        self.vireo("resume", "a")
        self.line("a").ask("g", "M=A")

    def test_create_from_xml(self):
        self.define("a")
        path = self.write("s.xml", "<domainsnapshot><name>x</name></domainsnapshot>")
        self.vireo("snapshot-create", "a", path)
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["x"])
        xml = self.vireo("snapshot-dumpxml", "a", "x")
        self.vireo("snapshot-create", "a", "-", "--redefine", "--current", stdin=xml)
        self.assertIs(self.json("snapshot-info", "a", "x")["current"], True)
        self.assertIn("snapshot", self.fails("undefine", "a"))
        self.vireo("undefine", "a", "--snapshots-metadata")

    def test_print_xml_agrees_with_virsh(self):
        self.define_diskless("a")
        for args in (["n"], ["n", "<d> & 'e'"], ["n", "d", "--diskspec", "vda,snapshot=external,file=/x,,y"],
                     ["n", "--memspec", "file=/m,snapshot=external", "--diskspec", "vda,driver=qcow2",
                      "--diskspec", "vdb,stype=block,file=/dev/x"]):
            ours = self.vireo("snapshot-create-as", "a", *args, "--print-xml")
            theirs = self.virsh("snapshot-create-as", "a", *args, "--print-xml")
            self.assertEqual(self.canonical(ours), self.canonical(theirs), args)

    def canonical(self, text):
        from xml.etree import ElementTree
        return ElementTree.canonicalize(text, strip_text=True)


if __name__ == "__main__":
    main()
