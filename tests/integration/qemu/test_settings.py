# SPDX-License-Identifier: LGPL-2.1-or-later
"""Settings that reach a guest through its monitor, and figures about its disks."""
import json

import qemutest
from qemutest import disk_xml

CARD = "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='rtl8139'/>{link}</interface>"


class Settings(qemutest.Case):
    def monitor(self, command, **arguments):
        text = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self.virsh("qemu-monitor-command", "a", text))

    def interval(self):
        return self.monitor("qom-get", path="/machine/peripheral/balloon0",
                            property="guest-stats-polling-interval")["return"]

    def test_balloon_period_from_the_definition(self):
        text = self.nano_xml("a", balloon="virtio").replace("<memballoon model='virtio'/>",
                                                            "<memballoon model='virtio'><stats period='7'/></memballoon>")
        self.virsh("define", self.write("a.xml", text))
        self.virsh("start", "a")
        self.assertEqual(self.interval(), 7)

    def test_balloon_period_while_it_runs(self):
        self.define("a", balloon="virtio")
        self.virsh("start", "a")
        self.virsh("dommemstat", "a", "--period", "9", "--live")
        self.assertEqual(self.interval(), 9)

    def test_card_without_a_cable(self):
        self.define("a", devices=CARD.format(link="<link state='down'/>"))
        self.virsh("start", "a")
        self.assertTrue(self.virsh("domif-getlink", "a", "52:54:00:00:00:01").endswith("down"))
        self.virsh("domif-setlink", "a", "52:54:00:00:00:01", "up")
        self.assertTrue(self.virsh("domif-getlink", "a", "52:54:00:00:00:01").endswith("up"))

    def stats(self, *groups):
        rows = (row.strip().partition("=") for row in self.virsh("domstats", "a", *groups).splitlines())
        return {key: value for key, _, value in rows if value}

    def test_sizes_of_disks(self):
        self.define("a", disks=[disk_xml(self.empty_disk("a.qcow2", "8M"), "vda"),
                                disk_xml(self.work + "/gone.qcow2", "vdb")])
        off = self.stats("--block")
        self.assertEqual(off["block.0.capacity"], str(8 << 20))
        self.assertEqual(off["block.count"], "2")
        self.assertNotIn("block.1.capacity", off)
        self.assertIn("No such file", self.virsh_fails("domblkinfo", "a", "vdb"))

    def test_raw_disk_is_as_long_as_it_is(self):
        """A guest may write anything into its first sector, also what looks like another format."""
        path = self.empty_disk("r.img", "64M")
        with open(path, "r+b") as stream:
            stream.truncate(1 << 20)
        self.define("a", disks=[disk_xml(path, "vda", kind="raw")])
        self.assertEqual(self.virsh("domblkinfo", "a", "vda").split()[1], str(1 << 20))
        self.assertEqual(self.stats("--block")["block.0.capacity"], str(1 << 20))


if __name__ == "__main__":
    qemutest.main()
