# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: snapshots."""
import time
import xml.etree.ElementTree as ElementTree

from esxtest import WitnessCase, main


class Snapshot(WitnessCase):
    def setUp(self):
        super().setUp()
        self.machine = self.reference(self.first)

    def tearDown(self):
        while names := self.virsh("snapshot-list", self.first, "--name", "--roots").split():
            self.virsh("snapshot-delete", self.first, names[0], "--children")

    def take(self, *names):
        for name in names:
            self.virsh("snapshot-create-as", self.first, name)

    def list(self, *args):
        return self.virsh("snapshot-list", self.first, "--name", *args).split()

    def branches(self):
        """a - b - c, and d beside b, which is the current one."""
        self.take("a", "b", "c")
        self.virsh("snapshot-revert", self.first, "a")
        self.take("d")

    def test_create(self):
        self.virsh("snapshot-create-as", self.first, "one", "the first", "--no-metadata", "--atomic", "--quiesce")
        seen = self.witness.machine(self.machine, "snapshot")
        self.assertIn("<name>one</name>", seen)
        self.assertIn("<description>the first</description>", seen)
        self.assertIn("<quiesced>true</quiesced>", seen)
        self.assertIn("has a snapshot 'one' already", self.virsh_fails("snapshot-create-as", self.first, "one"))
        self.virsh("snapshot-create", self.first)
        self.assertRegex(" ".join(self.list("--from", "one")), r"^\d{10}$")

    def test_describe(self):
        begin = int(time.time())
        self.take("a", "b")
        xml = ElementTree.fromstring(self.virsh("snapshot-dumpxml", self.first, "b"))
        self.assertEqual([xml.findtext(path) for path in ("name", "state", "parent/name", "domain/uuid")],
                         ["b", "running", "a", self.virsh("domuuid", self.first)])
        self.assertAlmostEqual(int(xml.findtext("creationTime")), begin, delta=10)

    def test_tree(self):
        self.branches()
        self.assertEqual(self.list("--roots"), ["a"])
        self.assertEqual(self.list("--leaves"), ["c", "d"])
        self.assertEqual(self.list("--no-leaves"), ["a", "b"])
        self.assertEqual(self.list("--from", "a"), ["b", "d"])
        self.assertEqual(self.list("--from", "a", "--descendants"), ["b", "c", "d"])
        self.assertEqual(self.list("--metadata"), [])
        self.assertEqual(self.list("--no-metadata"), ["a", "b", "c", "d"])
        self.assertEqual(self.list("--internal"), ["a", "b", "c", "d"])
        self.assertEqual(self.list("--external"), [])
        self.assertEqual(self.list("--from", "a", "--descendants", "--leaves"), ["c", "d"])
        self.assertEqual(self.virsh("snapshot-current", self.first, "--name"), "d")
        self.assertEqual(self.virsh("snapshot-parent", self.first, "c"), "b")
        self.assertEqual(self.virsh("snapshot-list", self.first, "--tree").split(), "a | +- b | | | +- c | +- d".split())

    def test_revert(self):
        self.take("a", "b")
        self.virsh("snapshot-revert", self.first, "a", "--force")
        self.assertEqual(self.virsh("snapshot-current", self.first, "--name"), "a")
        self.virsh("destroy", self.first)
        self.virsh("snapshot-revert", self.first, "b", "--running")
        self.assertEqual(self.state(self.first), "running")
        self.virsh("snapshot-revert", self.first, "b", "--paused")
        self.assertEqual(self.state(self.first), "paused")
        self.assertIn("suspended", self.witness.machine(self.machine, "runtime.powerState"))
        self.virsh("destroy", self.first)
        self.take("off")
        self.assertIn("of a machine that was off", self.virsh_fails("snapshot-revert", self.first, "off", "--paused"))
        self.virsh("start", self.first)

    def test_delete_one(self):
        self.branches()
        self.virsh("snapshot-delete", self.first, "b")
        self.assertEqual(self.list("--from", "a", "--descendants"), ["c", "d"])
        self.assertNotIn("<name>b</name>", self.witness.machine(self.machine, "snapshot"))

    def test_delete_with_children(self):
        self.branches()
        self.virsh("snapshot-delete", self.first, "b", "--children")
        self.assertEqual(self.list(), ["a", "d"])

    def test_delete_children_only(self):
        self.branches()
        self.virsh("snapshot-delete", self.first, "a", "--children-only")
        self.assertEqual(self.list(), ["a"])
        self.assertNotIn("<name>c</name>", self.witness.machine(self.machine, "snapshot"))

    def test_metadata_only(self):
        """There is none: nothing is to be done, and the snapshot stays."""
        self.take("kept")
        self.virsh("snapshot-delete", self.first, "kept", "--metadata")
        self.assertIn("<name>kept</name>", self.witness.machine(self.machine, "snapshot"))
        self.assertEqual(self.list(), ["kept"])
        self.assertIn("no", self.virsh_fails("snapshot-delete", self.first, "gone", "--metadata"))

    def test_refusals(self):
        path = self.work / "snapshot.xml"
        for inside, words in (("<disks><disk name='sda' snapshot='external'/></disks>", "domainsnapshot.disks"),
                              ("<memory snapshot='external' file='/m'/>", "domainsnapshot.memory")):
            path.write_text(f"<domainsnapshot><name>x</name>{inside}</domainsnapshot>")
            self.assertIn(words, self.virsh_fails("snapshot-create", self.first, str(path)))
        path.write_text("<domainsnapshot><name>x</name></domainsnapshot>")
        self.assertRegex(self.virsh_fails("snapshot-create", self.first, str(path), "--redefine"),
                         "flag REDEFINE is not supported.*hypervisor alone keeps its snapshots")
        self.assertEqual(self.list(), [])

    def test_taken_elsewhere(self):
        self.witness.call("CreateSnapshot_Task", "VirtualMachine", self.machine,
                          "<name>theirs</name><memory>false</memory><quiesce>false</quiesce>")
        end = time.monotonic() + 5
        while "theirs" not in self.list() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.list(), ["theirs"])
        self.witness.call("CreateSnapshot_Task", "VirtualMachine", self.machine,
                          "<name>theirs</name><memory>false</memory><quiesce>false</quiesce>")
        end = time.monotonic() + 5
        while len(self.virsh("snapshot-list", self.first, "--name").splitlines()) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        first, twin = self.virsh("snapshot-list", self.first, "--name").splitlines()
        self.assertRegex(twin, r"^theirs \(snapshot-\d+\)$")  # it cannot be told by its name alone
        self.virsh("snapshot-delete", self.first, twin)
        self.assertEqual(self.list(), [first])


if __name__ == "__main__":
    main()
