# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: definitions and configuration of domains that are off."""
import re
import xml.etree.ElementTree as ElementTree

import vireotest

UUID = "8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c01"
OTHER = "8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c02"


class Define(vireotest.VirshCase):
    def test_define_shows_up(self):
        self.define("a", uuid=UUID)
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])
        self.assertEqual(self.names("list", "--name"), [])
        self.assertEqual(self.state_reason("a")[0], "shut off")

    def test_define_validates(self):
        path = self.write("v.xml", self.nano_xml("v"))
        self.virsh("define", "--validate", path)

    def test_define_rejects_what_the_schema_does_not_know(self):
        path = self.write("v.xml", self.nano_xml("v", devices="<nonsense/>"))
        self.virsh_fails("define", "--validate", path)
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_names_and_numbers(self):
        self.define("a", uuid=UUID)
        self.assertEqual(self.virsh("domuuid", "a"), UUID)
        self.assertEqual(self.virsh("domname", UUID), "a")
        self.assertEqual(self.virsh("domid", "a"), "-")

    def test_dominfo_of_a_domain_that_is_off(self):
        self.define_diskless("a", uuid=UUID, memory=24, vcpus=2)
        info = self.info("a")
        self.assertEqual(info["Id"], "-")
        self.assertEqual(info["Name"], "a")
        self.assertEqual(info["UUID"], UUID)
        self.assertEqual(info["OS Type"], "hvm")
        self.assertEqual(info["State"], "shut off")
        self.assertEqual(info["CPU(s)"], "2")
        self.assertEqual(info["Max memory"], "24576 KiB")
        self.assertEqual(info["Persistent"], "yes")
        self.assertEqual(info["Autostart"], "disable")
        self.assertEqual(info["Managed save"], "no")

    def test_dumpxml_is_what_was_defined(self):
        self.define("a", uuid=UUID, devices="<interface type='user'><mac address='52:54:00:0a:0b:0c'/>"
                    "<model type='virtio'/></interface>")
        xml = self.xml("a")
        self.assertEqual(xml.get("type"), "qemu")
        self.assertEqual(xml.find("name").text, "a")
        self.assertEqual(xml.find("uuid").text, UUID)
        self.assertEqual((xml.find("memory").get("unit"), xml.find("memory").text), ("KiB", "16384"))
        self.assertEqual(xml.find("os/type").text, "hvm")
        self.assertTrue(xml.find("os/type").get("machine").startswith("pc"))
        self.assertIsNotNone(xml.find("features/acpi"))
        self.assertEqual(xml.find("on_reboot").text, "restart")
        self.assertEqual(xml.find("devices/disk/target").get("dev"), "vda")
        self.assertTrue(xml.find("devices/disk/source").get("file").endswith("a.qcow2"))
        self.assertEqual(xml.find("devices/interface/mac").get("address"), "52:54:00:0a:0b:0c")
        self.assertEqual(xml.find("devices/serial").get("type"), "pty")

    def test_dumpxml_can_be_defined_again(self):
        self.define("a", uuid=UUID)
        first = self.virsh("dumpxml", "a", "--inactive")
        self.virsh("define", self.write("again.xml", first))
        self.assertEqual(self.virsh("dumpxml", "a", "--inactive"), first)

    def test_a_uuid_and_addresses_are_made_up_when_missing(self):
        self.define("a", devices="<interface type='user'/>")
        self.assertRegex(self.virsh("domuuid", "a"), r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        mac = self.xml("a").find("devices/interface/mac").get("address")
        self.assertRegex(mac, r"^52:54:00(:[0-9a-f]{2}){3}$")

    def test_redefine_changes_the_same_domain(self):
        self.define_diskless("a", uuid=UUID, memory=16)
        self.define_diskless("a", uuid=UUID, memory=32)
        self.assertEqual(self.info("a")["Max memory"], "32768 KiB")
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])

    def test_name_taken_by_another_uuid(self):
        self.define_diskless("a", uuid=UUID)
        path = self.write("b.xml", self.nano_xml("a", disks=[], uuid=OTHER))
        self.assertIn("already exists", self.virsh_fails("define", path))

    def test_uuid_taken_by_another_name(self):
        self.define_diskless("a", uuid=UUID)
        path = self.write("b.xml", self.nano_xml("b", disks=[], uuid=UUID))
        self.assertIn(UUID, self.virsh_fails("define", path))
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])

    def test_broken_xml_names_the_line(self):
        path = self.write("bad.xml", "<domain type='qemu'>\n  <name>x</name>\n  <memory>\n</domain>\n")
        self.assertRegex(self.virsh_fails("define", path), r":\d+:|line \d+")

    def test_other_xml_is_refused(self):
        self.virsh_fails("define", self.write("n.xml", "<network><name>n</name></network>"))

    def test_empty_file_is_refused(self):
        self.virsh_fails("define", "/dev/null")

    def test_undefine(self):
        self.define("a")
        self.virsh("undefine", "a")
        self.assertEqual(self.names("list", "--all", "--name"), [])
        self.assertIn("failed to get domain", self.virsh_fails("dominfo", "a"))

    def test_list_filters(self):
        for name in ("a", "b"):
            self.define_diskless(name)
        self.virsh("autostart", "b")
        for flags, expected in (
                (("--all",), ["a", "b"]), (("--inactive",), ["a", "b"]), ((), []),
                (("--all", "--persistent"), ["a", "b"]), (("--all", "--transient"), []),
                (("--all", "--autostart"), ["b"]), (("--all", "--no-autostart"), ["a"]),
                (("--all", "--with-snapshot"), []), (("--all", "--without-snapshot"), ["a", "b"]),
                (("--all", "--with-managed-save"), []), (("--all", "--without-managed-save"), ["a", "b"]),
                (("--state-shutoff",), ["a", "b"]), (("--state-running",), []), (("--state-paused",), []),
                (("--state-other",), []), (("--all", "--with-checkpoint"), []),
        ):
            with self.subTest(flags=flags):
                self.assertEqual(self.names("list", "--name", *flags), expected)

    def test_list_by_uuid_and_id(self):
        self.define_diskless("a", uuid=UUID)
        self.assertEqual(self.virsh("list", "--all", "--uuid"), UUID)
        self.assertEqual(self.virsh("list", "--all", "--id"), "")

    def test_list_table(self):
        self.define_diskless("a")
        self.assertEqual(self.virsh("list", "--all").split(), ["-", "a", "shut", "off"])

    def test_list_title(self):
        self.define_diskless("a")
        self.virsh("desc", "a", "--config", "--title", "A title")
        self.assertIn("A title", self.virsh("list", "--all", "--title"))

    def test_autostart(self):
        self.define_diskless("a")
        self.virsh("autostart", "a")
        self.assertEqual(self.info("a")["Autostart"], "enable")
        self.virsh("autostart", "a", "--disable")
        self.assertEqual(self.info("a")["Autostart"], "disable")

    def test_description_and_title(self):
        self.define_diskless("a")
        self.assertEqual(self.virsh("desc", "a"), "")
        self.virsh("desc", "a", "--config", "what it is for")
        self.virsh("desc", "a", "--config", "--title", "Name")
        self.assertEqual(self.virsh("desc", "a"), "what it is for")
        self.assertEqual(self.virsh("desc", "a", "--title"), "Name")
        xml = self.xml("a")
        self.assertEqual((xml.find("description").text, xml.find("title").text), ("what it is for", "Name"))

    def test_metadata(self):
        uri = "http://example.org/x"
        self.define_diskless("a")
        self.virsh_fails("metadata", "a", uri, "--config")
        self.virsh("metadata", "a", uri, "--key", "k", "--set", "<m n='1'/>", "--config")
        self.assertEqual(ElementTree.fromstring(self.virsh("metadata", "a", uri, "--config")).get("n"), "1")
        self.assertIsNotNone(self.xml("a").find(f"metadata/{{{uri}}}m"))
        self.virsh("metadata", "a", uri, "--remove", "--config")
        self.virsh_fails("metadata", "a", uri, "--config")

    def test_setmem_config(self):
        self.define_diskless("a", memory=32)
        self.virsh("setmem", "a", "24M", "--config")
        self.assertEqual(self.xml("a").find("currentMemory").text, "24576")
        self.virsh("setmaxmem", "a", "48M", "--config")
        self.assertEqual(self.xml("a").find("memory").text, "49152")
        self.virsh_fails("setmem", "a", "64M", "--config")

    def test_setvcpus_config(self):
        self.define_diskless("a")
        self.virsh("setvcpus", "a", "4", "--config", "--maximum")
        self.virsh("setvcpus", "a", "2", "--config")
        vcpu = self.xml("a").find("vcpu")
        self.assertEqual((vcpu.text, vcpu.get("current")), ("4", "2"))
        self.assertEqual(self.virsh("vcpucount", "a", "--config", "--maximum"), "4")
        self.assertEqual(self.virsh("vcpucount", "a", "--config", "--current"), "2")
        self.virsh_fails("setvcpus", "a", "5", "--config")

    def test_setmem_live_needs_a_running_domain(self):
        self.define_diskless("a")
        self.assertIn("not running", self.virsh_fails("setmem", "a", "8M", "--live"))

    def test_attach_and_detach_disk_config(self):
        self.define("a")
        self.virsh("attach-disk", "a", self.empty_disk("b.qcow2"), "vdb", "--subdriver", "qcow2", "--config")
        disks = {d.find("target").get("dev"): d for d in self.xml("a").findall("devices/disk")}
        self.assertEqual(sorted(disks), ["vda", "vdb"])
        self.assertEqual(disks["vdb"].find("driver").get("type"), "qcow2")
        self.virsh_fails("attach-disk", "a", self.empty_disk("c.qcow2"), "vdb", "--config")
        self.virsh("detach-disk", "a", "vdb", "--config")
        self.assertEqual([d.find("target").get("dev") for d in self.xml("a").findall("devices/disk")], ["vda"])
        self.virsh_fails("detach-disk", "a", "vdb", "--config")

    def test_domblklist_and_domiflist(self):
        self.define("a", devices="<interface type='user'><mac address='52:54:00:0a:0b:0c'/>"
                    "<model type='virtio'/></interface>")
        kind, device, target, source = self.virsh("domblklist", "a", "--details").split()
        self.assertEqual((kind, device, target), ("file", "disk", "vda"))
        self.assertTrue(source.endswith("a.qcow2"))
        self.assertEqual(self.virsh("domiflist", "a").split(), ["-", "user", "-", "virtio", "52:54:00:0a:0b:0c"])

    def test_domrename(self):
        self.define_diskless("a", uuid=UUID)
        self.virsh("domrename", "a", "b")
        self.assertEqual(self.names("list", "--all", "--name"), ["b"])
        self.assertEqual(self.virsh("domuuid", "b"), UUID)

    def test_calls_that_need_a_running_domain(self):
        self.define_diskless("a")
        for command in ("suspend", "resume", "reset", "shutdown", "destroy", "reboot", "vncdisplay"):
            with self.subTest(command=command):
                error = self.virsh_fails(command, "a")
                self.assertRegex(error, "not running|not found|no graphics" if command == "vncdisplay" else "not running")
        self.assertEqual(self.state("a"), "shut off")

    def test_every_command_knows_a_missing_domain(self):
        for command in ("start", "destroy", "dominfo", "domstate", "dumpxml", "undefine", "suspend", "resume",
                        "shutdown", "reboot", "reset", "domuuid", "domid", "snapshot-list", "managedsave", "autostart"):
            with self.subTest(command=command):
                self.assertIn("failed to get domain 'nope'", self.virsh_fails(command, "nope"))

    def test_a_thousand_is_no_special_number(self):
        for number in range(30):
            self.define_diskless(f"n{number:02}")
        self.assertEqual(self.names("list", "--all", "--name"), [f"n{number:02}" for number in range(30)])

    def test_definitions_survive_a_restart(self):
        if not self.daemon.process:
            self.skipTest("restarts vireod only")
        self.define("a", uuid=UUID)
        self.virsh("autostart", "a")
        self.virsh("desc", "a", "--config", "kept")
        before = self.virsh("dumpxml", "a", "--inactive")
        self.virsh("autostart", "a", "--disable")
        self.daemon.restart()
        self.assertEqual(self.virsh("dumpxml", "a", "--inactive"), before)
        self.assertEqual(self.info("a")["Autostart"], "disable")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.virsh("dumpxml", "a", "--inactive"), before)


if __name__ == "__main__":
    vireotest.main()
