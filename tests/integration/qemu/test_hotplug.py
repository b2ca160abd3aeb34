# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that come and go, in the stored definition and in a running guest.

The small guest ignores the button that asks it to let go of a card: a device leaves at its next reset,
which is what a guest that takes its time looks like."""
import os
import threading
import time
import unittest

import qemutest
from qemutest import disk_xml, wait_until

MEDIUM = ("<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}"
          "<target dev='hda' bus='ide'/></disk>")
CARD = "<interface type='user'><mac address='52:54:00:00:00:{:02x}'/><model type='virtio'/></interface>"


class Stored(qemutest.Case):
    def setUp(self):
        super().setUp()
        self.define("a")
        self.device = self.disk_file(disk_xml(self.empty_disk("b.qcow2"), "vdb"))

    def test_attach_and_detach(self):
        self.virsh("attach-device", "a", self.device, "--config")
        self.assertEqual(set(self.targets("a")), {"vda", "vdb"})
        disk = self.xml("a").find("devices/disk[2]")
        self.assertEqual(disk.find("address").get("type"), "pci")
        self.virsh("detach-device", "a", self.device, "--config")
        self.assertEqual(set(self.targets("a")), {"vda"})

    def test_current_of_an_idle_domain_is_its_definition(self):
        self.virsh("attach-device", "a", self.device, "--current")
        self.assertEqual(set(self.targets("a", "--inactive")), {"vda", "vdb"})

    def test_twice_is_refused(self):
        self.virsh("attach-device", "a", self.device, "--config")
        self.assertIn("vdb", self.virsh_fails("attach-device", "a", self.device, "--config"))

    def test_missing_device(self):
        self.assertIn("device not found", self.virsh_fails("detach-device", "a", self.device, "--config"))

    def test_idle_domain_has_nothing_live(self):
        self.assertIn("not running", self.virsh_fails("attach-device", "a", self.device, "--live"))

    def test_what_is_not_served_is_named(self):
        text = disk_xml(self.work + "/b.qcow2", "vdb").replace("</disk>", "<iotune/></disk>")
        message = self.virsh_fails("attach-device", "a", self.write("iotune.xml", text), "--config")
        self.assertIn("domain.devices.disk.iotune", message)

    def test_not_a_device(self):
        self.virsh_fails("attach-device", "a", self.write("x.xml", "<nothing/>"), "--config")
        self.virsh_fails("attach-device", "a", self.write("y.xml", "<disk"), "--config")
        self.assertEqual(set(self.targets("a")), {"vda"})

    def test_update_changes_the_source(self):
        other = self.empty_disk("c.qcow2")
        self.virsh("attach-device", "a", self.device, "--config")
        place = self.xml("a").find("devices/disk[2]/address").attrib
        self.virsh("update-device", "a", self.write("u.xml", disk_xml(other, "vdb")), "--config")
        self.assertEqual(self.targets("a")["vdb"], other)
        self.assertEqual(self.xml("a").find("devices/disk[2]/address").attrib, place)

    def test_interface(self):
        card = self.write("card.xml", CARD.format(1))
        self.virsh("attach-device", "a", card, "--config")
        self.assertIsNotNone(self.xml("a").find("devices/interface/address"))
        self.assertIn("already", self.virsh_fails("attach-device", "a", card, "--config"))
        self.virsh("detach-device", "a", card, "--config")
        self.assertIsNone(self.xml("a").find("devices/interface"))


class Live(qemutest.Case):
    def setUp(self):
        super().setUp()
        self.line_ = self.start(self.define("a"))
        self.image = self.private_disk("b.qcow2")
        self.before = self.owner(self.image)
        self.device = self.disk_file(disk_xml(self.image, "vdb"))

    def monitor(self, command):
        return self.virsh("qemu-monitor-command", "a", "--hmp", command)

    def test_disk_comes(self):
        self.virsh("attach-device", "a", self.device, "--live")
        self.assertEqual(self.targets("a")["vdb"], self.image)
        self.assertEqual(set(self.targets("a", "--inactive")), {"vda"})
        self.assertIn(self.image, self.monitor("info block"))
        self.assertEqual(self.state("a"), "running")

    @unittest.skipUnless(qemutest.IS_ROOT, "images change hands only under a privileged daemon")
    def test_image_is_given_and_given_back_with_the_guest(self):
        self.virsh("attach-device", "a", self.device, "--live")
        uid = int(qemutest.status(self.pid("a"))["Uid"].split()[0])
        self.assertEqual(os.stat(self.image).st_uid, uid)
        self.virsh("destroy", "a")
        self.assertEqual(self.owner(self.image), self.before)

    def test_disk_leaves_at_the_next_reset(self):
        self.virsh("attach-device", "a", self.device, "--live")
        self.virsh("detach-device", "a", self.device, "--live")
        self.assertIn("vdb", self.targets("a"))
        self.virsh("reset", "a")
        wait_until(lambda: "vdb" not in self.targets("a"), 10, "the disk has left")
        self.assertNotIn(self.image, self.monitor("info block"))
        self.assertEqual(self.owner(self.image), self.before)
        self.virsh("attach-device", "a", self.device, "--live")
        self.assertIn("vdb", self.targets("a"))

    def test_both(self):
        self.virsh("attach-device", "a", self.device, "--live", "--config")
        self.assertIn("vdb", self.targets("a"))
        self.assertIn("vdb", self.targets("a", "--inactive"))

    def test_missing_image_leaves_nothing_behind(self):
        gone = self.write("gone.xml", disk_xml(self.work + "/gone.qcow2", "vdb"))
        message = self.virsh_fails("attach-device", "a", gone, "--live", "--config")
        self.assertIn("gone.qcow2", message)
        self.assertEqual(set(self.targets("a")), {"vda"})
        self.assertEqual(set(self.targets("a", "--inactive")), {"vda"})
        self.virsh("attach-device", "a", self.device, "--live")

    def test_image_of_another_format(self):
        raw = os.path.join(self.work, "raw.img")
        with open(raw, "wb") as stream:
            stream.truncate(1 << 20)
        device = self.write("raw.xml", disk_xml(raw, "vdb", kind="qcow2"))
        before = self.owner(raw)
        self.assertIn("not in qcow2 format", self.virsh_fails("attach-device", "a", device, "--live"))
        self.assertEqual(self.owner(raw), before)

    def test_image_in_use(self):
        """QEMU's own lock refuses it, and nothing of the try stays."""
        device = self.write("own.xml", disk_xml(self.targets("a")["vda"], "vdb"))
        self.assertIn("lock", self.virsh_fails("attach-device", "a", device, "--live"))
        self.assertEqual(set(self.targets("a")), {"vda"})
        self.line_.ask("wX", "W=X")

    def test_bus_that_cannot_be_plugged(self):
        device = self.write("ide.xml", disk_xml(self.image, "hdb", bus="ide"))
        self.assertIn("ide", self.virsh_fails("attach-device", "a", device, "--live"))
        self.assertEqual(self.owner(self.image), self.before)

    def test_card_comes_and_its_cable_is_pulled(self):
        self.virsh("attach-device", "a", self.write("card.xml", CARD.format(7)), "--live")
        self.assertIn("52:54:00:00:00:07", self.virsh("domiflist", "a"))
        self.virsh("domif-setlink", "a", "52:54:00:00:00:07", "down")
        self.assertEqual(self.virsh("domif-getlink", "a", "52:54:00:00:00:07").split()[-1], "down")

    def test_size(self):
        self.virsh("blockresize", "a", "vda", "2M")
        self.assertEqual(self.virsh("domblkinfo", "a", "vda").splitlines()[0].split()[-1], str(2 << 20))
        self.virsh_fails("blockresize", "a", "vdz", "2M")

    def test_on_overlays(self):
        """What snapshots put on top is as large as it should be, and is let go of as a whole."""
        self.virsh("attach-device", "a", self.device, "--live")
        for name in "s1", "s2":
            self.virsh("snapshot-create-as", "a", name, "--disk-only")
        self.virsh("blockresize", "a", "vda", "2M")
        self.assertEqual(self.virsh("domblkinfo", "a", "vda").splitlines()[0].split()[-1], str(2 << 20))
        self.virsh("detach-disk", "a", "vdb", "--live")
        self.virsh("reset", "a")
        wait_until(lambda: "vdb" not in self.targets("a"), 10, "the disk has left")
        folder = f"/proc/{self.pid('a')}/fd"
        held = {os.path.basename(os.readlink(os.path.join(folder, number))) for number in os.listdir(folder)}
        self.assertEqual(held & {"b.qcow2", "b.s1", "b.s2"}, set())
        self.assertIn(os.path.basename(self.targets("a")["vda"]), held)

    def test_disk_leaves_by_its_name(self):
        self.virsh("attach-device", "a", self.device, "--live")
        self.virsh("detach-device-alias", "a", "virtio-disk1", "--live")
        self.virsh("reset", "a")
        wait_until(lambda: "vdb" not in self.targets("a"), 10, "the disk has left")
        message = self.virsh_fails("detach-device-alias", "a", "virtio-disk1", "--live")
        self.assertIn("no device found with alias virtio-disk1", message)
        self.assertIn("running guest", self.virsh_fails("detach-device-alias", "a", "serial0", "--live"))

    def test_questions_do_not_wait_for_a_change(self):
        """A guest that takes its time with a device keeps neither the monitor nor others from an answer."""
        self.virsh("attach-device", "a", self.device, "--live")
        slow = threading.Thread(target=self.virsh_raw, args=("detach-device", "a", self.device, "--live"))
        begin = time.monotonic()
        slow.start()
        wait_until(lambda: "vdb" in self.targets("a"), 10)
        time.sleep(0.5)
        self.assertIn("running", self.monitor("info status"))
        self.assertLess(time.monotonic() - begin, 3)
        self.assertTrue(slow.is_alive(), "the change should still be under way")
        slow.join()

    def test_disk_brings_its_controller(self):
        device = self.write("scsi.xml", disk_xml(self.image, "sda", bus="scsi"))
        self.virsh("attach-device", "a", device, "--live", "--config")
        for flags in (), ("--inactive",):
            controllers = self.xml("a", *flags).findall("devices/controller[@type='scsi']")
            self.assertEqual([c.get("index") for c in controllers], ["0"])
        self.assertEqual(self.xml("a").find("devices/controller[@type='scsi']/alias").get("name"), "scsi0")
        self.assertIn(self.image, self.monitor("info block"))
        self.assertIn("scsi0", self.monitor("info qtree"))
        self.assertIn("busy", self.virsh_fails("detach-device-alias", "a", "scsi0", "--live"))
        second = self.write("second.xml", disk_xml(self.empty_disk("s.qcow2"), "sdb", bus="scsi"))
        self.virsh("attach-device", "a", second, "--live")
        self.assertEqual(len(self.xml("a").findall("devices/controller[@type='scsi']")), 1)

    def test_disk_that_cannot_come_brings_no_controller(self):
        device = self.write("own.xml", disk_xml(self.targets("a")["vda"], "sda", bus="scsi"))
        self.assertIn("lock", self.virsh_fails("attach-device", "a", device, "--live"))
        self.assertIsNone(self.xml("a").find("devices/controller[@type='scsi']"))
        self.assertNotIn("scsi0", self.monitor("info qtree"))

    def test_two_at_once_follow_each_other(self):
        devices = [self.write(f"{n}.xml", disk_xml(self.empty_disk(f"{n}.qcow2"), f"vd{n}")) for n in "cdef"]
        done = []
        threads = [threading.Thread(target=lambda path=path: done.append(
            self.virsh_raw("attach-device", "a", path, "--live").returncode)) for path in devices]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(done, [0] * 4)
        self.assertEqual(set(self.targets("a")), {"vda", "vdc", "vdd", "vde", "vdf"})


class Media(qemutest.Case):
    def setUp(self):
        super().setUp()
        self.images = []
        for name in ("one.iso", "two.iso"):
            self.images.append(os.path.join(self.work, name))
            with open(self.images[-1], "wb") as stream:
                stream.truncate(1 << 20)
            os.chmod(self.images[-1], 0o600)
        drive = MEDIUM.format(source=f"<source file='{self.images[0]}'/>")
        self.start(self.define("a", devices=drive))

    def test_change(self):
        before = self.owner(self.images[1])
        self.virsh("change-media", "a", "hda", self.images[1], "--update", "--live")
        self.assertEqual(self.targets("a")["hda"], self.images[1])
        self.assertEqual(self.targets("a", "--inactive")["hda"], self.images[0])
        self.assertEqual(self.owner(self.images[0]), before)
        self.assertIn(self.images[1], self.virsh("qemu-monitor-command", "a", "--hmp", "info block"))

    def test_eject_and_insert(self):
        self.virsh("change-media", "a", "hda", "--eject", "--live")
        self.assertEqual(self.targets("a")["hda"], "-")
        self.virsh("change-media", "a", "hda", self.images[1], "--insert", "--live")
        self.assertEqual(self.targets("a")["hda"], self.images[1])

    def test_missing_medium_leaves_the_old_one(self):
        message = self.virsh_fails("change-media", "a", "hda", self.work + "/no.iso", "--update", "--live")
        self.assertIn("no.iso", message)
        self.assertEqual(self.targets("a")["hda"], self.images[0])
        self.assertIn(self.images[0], self.virsh("qemu-monitor-command", "a", "--hmp", "info block"))

    def test_a_disk_has_no_medium(self):
        other = self.write("d.xml", disk_xml(self.empty_disk("o.qcow2"), "vda"))
        self.assertIn("medium", self.virsh_fails("update-device", "a", other, "--live"))


if __name__ == "__main__":
    qemutest.main()
