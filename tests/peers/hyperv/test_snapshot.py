#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: checkpoints as snapshots, by stock virsh."""
import hypervtest
from hypervtest import HypervCase, wait_until


class Sim(HypervCase):
    def snapshots(self, name="vm"):
        return sorted(self.ask(f"[one['ElementName'] for one in host.snapshots(host.machine('{name}'))]"))

    def tree(self):
        return [line.strip(" +-|") for line in self.virsh("snapshot-list", "vm", "--tree").splitlines() if line.strip(" |")]

    def take(self, *names):
        self.define("vm")
        for name in names:
            self.virsh("snapshot-create-as", "vm", name)

    def test_sim_tree(self):
        self.define("vm")
        self.virsh("snapshot-create-as", "vm", "one", "first & <best>")
        self.virsh("start", "vm")
        self.virsh("snapshot-create-as", "vm", "two")
        self.assertEqual(self.snapshots(), ["one", "two"])
        self.assertEqual(self.tree(), ["one", "two"])
        self.assertEqual(self.virsh("snapshot-current", "vm", "--name"), "two")
        self.assertEqual(self.virsh("snapshot-parent", "vm", "two"), "one")
        text = self.virsh("snapshot-dumpxml", "vm", "one")
        self.assertIn("<description>first &amp; &lt;best&gt;</description>", text)
        self.assertIn("<state>shutoff</state>", text)
        self.assertIn("<state>running</state>", self.virsh("snapshot-dumpxml", "vm", "two"))
        self.assertIn("already", self.virsh_fails("snapshot-create-as", "vm", "one"))
        self.assertRegex(self.virsh("snapshot-list", "vm"), r"two +\d{4}-\d\d-\d\d .* running")

    def test_sim_revert(self):
        self.take("one")
        self.virsh("setmem", "vm", "1G", "--config")
        self.virsh("snapshot-create-as", "vm", "two")
        self.virsh("start", "vm")
        self.virsh("snapshot-create-as", "vm", "three")
        self.virsh("snapshot-revert", "vm", "one")
        self.assertEqual(self.state_reason("vm"), ("shut off", "from snapshot"))
        self.assertEqual(self.info("vm")["Max memory"], f"{512 * 1024} KiB")
        self.assertEqual(self.virsh("snapshot-current", "vm", "--name"), "one")
        self.virsh("snapshot-revert", "vm", "three")
        self.assertEqual(self.state("vm"), "running")
        self.virsh("snapshot-revert", "vm", "two", "--paused")
        self.assertEqual(self.machine("vm")["EnabledState"], 9)
        self.virsh("snapshot-revert", "vm", "two", "--running")
        self.assertEqual(self.machine("vm")["EnabledState"], 2)

    def branches(self):
        """one - two - three, and one - four"""
        self.take("one", "two", "three")
        self.virsh("snapshot-revert", "vm", "one")
        self.virsh("snapshot-create-as", "vm", "four")

    def test_sim_delete_one(self):
        self.branches()
        self.virsh("snapshot-delete", "vm", "two")
        self.assertEqual(self.snapshots(), ["four", "one", "three"])
        self.assertEqual(self.virsh("snapshot-parent", "vm", "three"), "one")
        self.virsh("snapshot-delete", "vm", "four")
        self.assertEqual(self.virsh("snapshot-current", "vm", "--name"), "one")

    def test_sim_delete_with_children(self):
        self.branches()
        self.virsh("snapshot-delete", "vm", "two", "--children")
        self.assertEqual(self.snapshots(), ["four", "one"])

    def test_sim_delete_children_only(self):
        self.branches()
        before = self.ask("len(host.effects)")
        self.virsh("snapshot-delete", "vm", "one", "--children-only")
        self.assertEqual(self.snapshots(), ["one"])
        self.assertEqual(self.ask(f"host.effects[{before}:]"), ["DestroySnapshot"] * 3)

    def test_sim_metadata_only(self):
        self.take("one")
        before = self.ask("len(host.effects)")
        self.virsh("snapshot-delete", "vm", "one", "--metadata")
        self.assertEqual((self.snapshots(), self.ask("len(host.effects)")), (["one"], before))

    def test_sim_rename(self):
        self.take("one", "two")
        text = self.virsh("snapshot-dumpxml", "vm", "one")
        self.virsh("snapshot-create", "vm", self.write(text.replace("<name>one<", "<name>uno<", 1)), "--redefine")
        self.assertEqual(self.snapshots(), ["two", "uno"])
        self.assertEqual(self.tree(), ["uno", "two"])
        changed = self.virsh("snapshot-dumpxml", "vm", "two").replace("</name>", "</name><description>why</description>", 1)
        self.virsh("snapshot-create", "vm", self.write(changed), "--redefine")
        self.assertIn("<description>why<", self.virsh("snapshot-dumpxml", "vm", "two"))
        self.assertIn("can be changed, not its parent",
                      self.virsh_fails("snapshot-create", "vm", self.write(changed.replace("<name>uno<", "<name>dos<")), "--redefine"))

    def test_sim_refusals(self):
        self.take("one")
        self.assertIn("has 1 snapshots", self.virsh_fails("undefine", "vm"))
        self.ask("host.fail_next.update(CreateSnapshot=32768)")
        self.assertIn("told to", self.virsh_fails("snapshot-create-as", "vm", "two"))
        self.assertIn("Hyper-V names its files", self.virsh_fails(
            "snapshot-create", "vm", self.write("<domainsnapshot><disks><disk name='hda'/></disks></domainsnapshot>")))
        self.assertIn("disk-only", self.virsh_fails("snapshot-create-as", "vm", "two", "--disk-only").lower().replace("_", "-"))

    def test_sim_by_others(self):
        self.take("one")
        self.ask("host.Msvm_VirtualSystemSnapshotService_CreateSnapshot(None, {'AffectedSystem': [host.machine('vm').ref()], "
                 "'SnapshotType': ['2']}) and [host.look_at(host.by_id(key)) for key in list(host.jobs) * 2] and 1")
        wait_until(lambda: len(self.virsh("snapshot-list", "vm", "--name").split("\n")) == 2, 10, "it is seen")


if __name__ == "__main__":
    hypervtest.main()
