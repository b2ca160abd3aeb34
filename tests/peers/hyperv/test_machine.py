#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: machines of a server, by stock virsh: what they are, how they start and stop, what changes them."""
import re
from xml.sax.saxutils import escape

import hypervtest
from hypervtest import BIOS, GUEST, HypervCase, wait_until

DISK = "<disk type='file' device='disk'><source file='C:\\vms\\disks\\one.vhdx'/><target dev='hda' bus='ide'/></disk>"
DVD = "<disk type='file' device='cdrom'><source file='C:\\vms\\disks\\setup.iso'/><target dev='hdc' bus='ide'/></disk>"
SCSI = "<disk type='file' device='disk'><source file='C:\\vms\\disks\\two.vhd'/><target dev='sda' bus='scsi'/></disk>"
DRIVE = "<disk type='block' device='disk'><source dev='1'/><target dev='sdb' bus='scsi'/></disk>"
CARD = "<interface type='network'><mac address='00:15:5d:01:02:03'/><source network='Default Switch'/></interface>"


class Sim(HypervCase):
    def test_sim_server(self):
        self.assertIn("hv1", self.virsh("hostname"))
        self.assertIn("Hyper-V", self.virsh("version"))
        self.assertIn("Running hypervisor: Hyper-V 1000.20.348", self.virsh("version"))
        info = self.virsh("nodeinfo")
        self.assertRegex(info, r"CPU\(s\): +8")
        self.assertRegex(info, r"Memory size: +33554432 KiB")
        self.assertIn("Intel(R) Xeon(R) Gold 6226R CPU", info)
        self.assertIn("<domain type='hyperv'/>", self.virsh("capabilities"))
        self.assertIn("4c4c4544-0042-3510-8052-b4c04f4a4e31", self.virsh("capabilities"))
        self.assertEqual(self.virsh("maxvcpus"), "64")

    def test_sim_define(self):
        self.define("one", DISK + DVD + SCSI + CARD)
        xml = self.xml("one")
        self.assertEqual(xml.findtext("memory"), str(512 * 1024))
        self.assertEqual(xml.findtext("vcpu"), "2")
        self.assertEqual([disk.find("target").get("dev") for disk in xml.iter("disk")], ["hda", "hdc", "sda"])
        self.assertEqual([disk.find("source").get("file") for disk in xml.iter("disk")],
                         ["C:\\vms\\disks\\one.vhdx", "C:\\vms\\disks\\setup.iso", "C:\\vms\\disks\\two.vhd"])
        self.assertEqual(xml.find("devices/interface/mac").get("address"), "00:15:5d:01:02:03")
        self.assertEqual(xml.find("devices/interface/source").get("network"), "Default Switch")
        self.assertEqual(xml.find("os/boot").get("dev"), "hd")
        self.assertEqual(self.machine("one")["Name"].lower(), xml.findtext("uuid"))
        self.assertEqual(self.ask("host.config(host.machine('one'))['BootOrder']"), ["2", "0", "1", "3"])
        # its own description changes nothing; a changed one does, and no more
        self.define("", text=self.virsh("dumpxml", "one"))
        effects = self.ask("len(host.effects)")
        text = self.virsh("dumpxml", "one").replace("<vcpu>2<", "<vcpu>4<").replace(
            "</uuid>", "</uuid><description>a &amp; b &lt; c\nsecond</description>").replace(">524288<", ">1048576<")
        self.define("", text=text)
        self.assertEqual(self.ask(f"host.effects[{effects}:]"),
                         ["ModifySystemSettings", "ModifyResourceSettings", "ModifyResourceSettings"])
        self.assertEqual(self.ask("host.config(host.machine('one'))['Notes']"), ["a & b < c", "second"])
        self.assertEqual(self.xml("one").findtext("description"), "a & b < c\nsecond")
        self.assertEqual((self.xml("one").findtext("vcpu"), self.xml("one").findtext("memory")), ("4", "1048576"))

    def test_sim_efi(self):
        text = GUEST.format(name="two", devices=SCSI + CARD, os="<type>hvm</type>").replace("<os>", "<os firmware='efi'>")
        self.define("two", text=text)
        self.assertEqual(self.xml("two").find("os").get("firmware"), "efi")
        self.assertEqual(self.ask("host.config(host.machine('two'))['VirtualSystemSubType']"), "Microsoft:Hyper-V:SubType:2")
        bios = re.sub("<firmware>.*</firmware>", "", self.virsh("dumpxml", "two").replace(" firmware='efi'", ""), flags=re.DOTALL)
        self.assertIn("does not change its firmware", self.refuses(bios))
        self.assertIn("SCSI disks only", self.refuses(text.replace("two<", "three<").replace(SCSI, DISK)))

    def security(self, name):
        xml = self.xml(name)
        features = [(one.get("name"), one.get("enabled")) for one in xml.iterfind("os/firmware/feature")]
        tpms = [(one.get("model"), one.find("backend").get("type"), one.find("backend").get("version"))
                for one in xml.iterfind("devices/tpm")]
        there = [self.ask(f"host.config(host.machine('{name}'))['SecureBootEnabled']"),
                 self.ask("host.all('Msvm_SecuritySettingData')[0]['TpmEnabled']")]
        return features, tpms, there

    def test_sim_secure_boot_and_tpm(self):
        """In a machine's description both ways."""
        feature, tpm = "<firmware><feature enabled='yes' name='secure-boot'/></firmware>", "<tpm><backend type='emulator'/></tpm>"
        crb = ("tpm-crb", "emulator", "2.0")
        text = GUEST.format(name="vm", devices=CARD + tpm, os="<type>hvm</type>" + feature).replace("<os>", "<os firmware='efi'>")
        self.define("vm", text=text)
        self.assertEqual(self.security("vm"), ([("secure-boot", "yes")], [crb], [True, True]))
        card = self.ask("[one['InstanceID'] for one in host.resources(host.config(host.machine('vm'))) if one['ResourceType'] == 10]")
        xml = self.virsh("dumpxml", "vm")
        effects = self.ask("len(host.effects)")
        self.define("", text=xml)  # its own changes nothing
        self.assertEqual(self.ask(f"host.effects[{effects}:]"), ["ModifySystemSettings"])
        self.define("", text=xml.replace("enabled='yes'", "enabled='no'"))
        self.assertEqual(self.security("vm"), ([("secure-boot", "no")], [crb], [False, True]))
        self.define("", text=re.sub("<(tpm|firmware)[ >].*?</\\1>", "", xml, flags=re.DOTALL))  # nothing is said of secure boot
        self.assertEqual(self.security("vm"), ([("secure-boot", "no")], [], [False, False]))
        self.assertEqual(self.ask("[one['InstanceID'] for one in host.resources(host.config(host.machine('vm'))) "
                                  "if one['ResourceType'] == 10]"), card)  # devices stay where they are
        self.ask("setattr(host, 'protected', False)")
        self.addCleanup(self.ask, "setattr(host, 'protected', True)")
        self.assertIn("ModifySecuritySettings returned 32768", self.refuses(xml))
        self.ask("host.remove(host.all('Msvm_SecuritySettingData'))")
        self.assertEqual(self.xml("vm").findall("devices/tpm"), [])
        self.assertIn("has no TPM for machines", self.refuses(xml))
        for words, change in (("need <os firmware='efi'>", (" firmware='efi'", "")), ("the firmware has secure-boot", ("secure-boot", "enrolled-keys")),
                              ("one TPM: tpm-crb", ("<tpm>", "<tpm model='tpm-tis'>"))):
            self.assertIn(words, self.refuses(text.replace("<name>vm", "<name>other").replace(*change)))

    def test_sim_names(self):
        """Whatever is in one is that, in XML, in WQL and in what is embedded."""
        name, other = "ä'\"&<b> %x_ \\", "]]> \\'; --"
        self.define(escape(name))
        self.assertEqual(self.machine(name)["ElementName"], name)
        self.virsh("start", name)
        self.assertEqual(self.info(name)["CPU time"], "1.2s")
        self.virsh("snapshot-create-as", name, other)
        self.assertEqual(self.virsh("snapshot-list", name, "--name").strip(), other)
        self.virsh("destroy", name)
        self.virsh("snapshot-delete", name, other)
        self.virsh("domrename", name, other)
        self.assertEqual(self.virsh("list", "--all", "--name").strip(), other)
        disk = "it's a;b [1] 50%_.vhd"
        self.virsh("vol-create-as", "default-pool", disk, "1G")
        self.assertRegex(self.virsh("vol-info", disk, "--pool", "default-pool"), "Capacity: +1.00 GiB")
        self.virsh("vol-delete", disk, "--pool", "default-pool")
        self.assertIn("error", self.virsh_fails("vol-create-as", "default-pool", "..\\out.vhd", "1G"))
        self.assertEqual(self.ask("len(host.all('CIM_DataFile', 'root/cimv2'))"), 3)

    def test_sim_refusals(self):
        def refused(words, devices="", system=BIOS, change=("", "")):
            text = GUEST.format(name="bad", devices=devices, os=system).replace(*change)
            self.assertIn(words, self.refuses(text))
        refused("Hyper-V gives a new machine its UUID", change=("</name>", "</name><uuid>" + "1" * 32 + "</uuid>"))
        refused("domains of type 'hyperv' only", change=("type='hyperv'", "type='kvm'"))
        refused("names are hda to hdd", DISK.replace("hda", "hde"))
        refused("two disks are 'hda'", DISK + DISK)
        refused("the number it has there", DISK.replace("type='file'", "type='block'").replace("file=", "dev="))
        refused("has no disk 7", DRIVE.replace("dev='1'", "dev='7'"))
        refused("expected a MAC address", CARD.replace("00:15", "zz:15"))
        refused("there is no virtual switch 'Nowhere'", CARD.replace("Default Switch", "Nowhere"))
        refused("AddResourceSettings", DISK.replace("one.vhdx", "none.vhdx"))
        refused("domain.devices.sound", "<sound model='ich6'/>")
        self.assertEqual(self.virsh("list", "--all", "--name"), "")  # what failed half way is gone

    def test_sim_life(self):
        self.define("vm")
        self.assertEqual(self.state_reason("vm")[0], "shut off")
        self.virsh("start", "vm")
        self.assertEqual(self.state_reason("vm"), ("running", "booted"))
        self.assertEqual(self.virsh("domid", "vm"), str(self.machine("vm")["ProcessID"]))
        self.virsh("suspend", "vm")
        self.assertEqual(self.machine("vm")["EnabledState"], 9)
        self.assertEqual(self.state_reason("vm"), ("paused", "user"))
        self.virsh("resume", "vm")
        self.assertEqual(self.state_reason("vm"), ("running", "unpaused"))
        self.virsh("reset", "vm")
        self.virsh("reboot", "vm")
        self.assertIn("already active", self.virsh_fails("start", "vm"))
        self.virsh("managedsave", "vm")
        self.assertEqual(self.machine("vm")["EnabledState"], 6)
        self.assertEqual(self.state_reason("vm"), ("shut off", "saved"))
        self.assertEqual(self.info("vm")["Managed save"], "yes")
        self.virsh("start", "vm")
        self.assertEqual(self.state_reason("vm"), ("running", "restored"))
        self.virsh("shutdown", "vm")
        wait_until(lambda: self.state_reason("vm") == ("shut off", "shutdown"), 10, "it is off")
        self.virsh("start", "vm", "--paused")
        self.assertEqual(self.machine("vm")["EnabledState"], 9)
        self.virsh("destroy", "vm")
        self.assertEqual(self.state_reason("vm"), ("shut off", "destroyed"))
        self.assertEqual(self.virsh("list", "--name"), "")
        self.assertIn("not running", self.virsh_fails("destroy", "vm"))
        self.virsh("start", "vm")
        self.virsh("managedsave", "vm")
        self.virsh("managedsave-remove", "vm")
        self.assertEqual(self.machine("vm")["EnabledState"], 3)
        self.virsh("undefine", "vm")
        self.assertEqual(self.virsh("list", "--all", "--name"), "")

    def test_sim_set(self):
        self.define("vm")
        self.virsh("setvcpus", "vm", "3", "--config", "--maximum")
        self.virsh("setmem", "vm", "777M", "--config")
        self.assertEqual((self.info("vm")["CPU(s)"], self.info("vm")["Max memory"]), ("3", f"{778 * 1024} KiB"))
        self.virsh("start", "vm")
        self.virsh("setmem", "vm", "1G")
        self.assertEqual(self.info("vm")["Max memory"], f"{1024 * 1024} KiB")
        self.virsh("autostart", "vm")
        self.assertEqual(self.ask("host.config(host.machine('vm'))['AutomaticStartupAction']"), 4)
        self.assertEqual(self.virsh("list", "--all", "--autostart", "--name").strip(), "vm")
        self.virsh("autostart", "vm", "--disable")
        self.assertEqual(self.info("vm")["Autostart"], "disable")
        self.virsh("domrename", "vm", "other")
        self.assertEqual(self.machine("other")["ElementName"], "other")
        self.define("vm")
        self.assertIn("already", self.virsh_fails("domrename", "vm", "other"))

    def test_sim_devices(self):
        self.define("vm", DVD)
        self.virsh("attach-device", "vm", self.write(DISK), "--config")
        self.virsh("attach-device", "vm", self.write(SCSI), "--config")
        self.virsh("attach-device", "vm", self.write(CARD), "--config")
        self.assertEqual([disk.find("target").get("dev") for disk in self.xml("vm").iter("disk")], ["hda", "hdc", "sda"])
        self.assertIn("in use", self.virsh_fails("attach-device", "vm", self.write(DISK), "--config"))
        self.virsh("change-media", "vm", "hdc", "--eject", "--config")
        self.assertIsNone(self.xml("vm").find("devices/disk[@device='cdrom']/source"))
        self.virsh("change-media", "vm", "hdc", "C:\\vms\\disks\\setup.iso", "--insert", "--config")
        self.assertIsNotNone(self.xml("vm").find("devices/disk[@device='cdrom']/source"))
        self.virsh("update-device", "vm", self.write("<interface type='null'><mac address='00:15:5d:01:02:03'/></interface>"),
                   "--config")
        self.assertEqual(self.xml("vm").find("devices/interface").get("type"), "null")
        self.virsh("update-device", "vm", self.write(CARD), "--config")
        self.assertEqual(self.xml("vm").find("devices/interface").get("type"), "network")
        for device in DISK, SCSI, CARD:
            self.virsh("detach-device", "vm", self.write(device), "--config")
        self.assertEqual(len(self.xml("vm").findall("devices/disk")), 1)
        self.assertIn("no disk 'hda'", self.virsh_fails("detach-device", "vm", self.write(DISK), "--config"))
        self.assertEqual(self.ask("len([one for one in host.resources(host.config(host.machine('vm'))) "
                                  "if one['ResourceType'] in (10, 17, 33)])"), 0)

    def test_sim_drive_of_the_host(self):
        self.define("vm", SCSI + DRIVE)
        disk = self.xml("vm").find("devices/disk[@type='block']")
        self.assertEqual((disk.find("source").get("dev"), disk.find("target").get("dev")), ("1", "sdb"))
        self.define("", text=self.virsh("dumpxml", "vm"))
        self.virsh("detach-device", "vm", self.write(DRIVE), "--config")
        self.assertIsNone(self.xml("vm").find("devices/disk[@type='block']"))
        self.virsh("attach-device", "vm", self.write(DRIVE), "--config")
        self.assertIsNotNone(self.xml("vm").find("devices/disk[@type='block']"))

    def serials(self):
        return [(one.find("target").get("port"), one.find("source").get("path"))
                for one in self.xml("vm").iter("serial")]

    def test_sim_serial(self):
        one = "<serial type='pipe'><source path='\\\\.\\pipe\\one'/><target port='1'/></serial>"
        self.define("vm", one)
        self.assertEqual(self.serials(), [("1", "\\\\.\\pipe\\one")])
        self.define("", text=self.virsh("dumpxml", "vm"))
        two = one.replace("one", "two").replace("port='1'", "port='0'")
        self.virsh("attach-device", "vm", self.write(two), "--config")
        self.assertEqual(self.serials(), [("0", "\\\\.\\pipe\\two"), ("1", "\\\\.\\pipe\\one")])
        self.assertIn("is connected to", self.virsh_fails("attach-device", "vm", self.write(two), "--config"))
        self.virsh("update-device", "vm", self.write(two.replace("two", "three")), "--config")
        self.assertIn("is connected to", self.virsh_fails("detach-device", "vm", self.write(two), "--config"))
        self.virsh("detach-device", "vm", self.write(one), "--config")
        self.assertEqual(self.serials(), [("0", "\\\\.\\pipe\\three")])
        self.assertIn("two serial ports", self.virsh_fails("attach-device", "vm", self.write(one.replace("'1'", "'2'")), "--config"))

    def test_sim_failing_job(self):
        self.define("vm")
        self.ask("host.fail_next.update(RequestStateChange=32778)")
        self.assertIn("'RequestStateChange' failed because it was told to.", self.virsh_fails("start", "vm"))
        self.assertEqual(self.state("vm"), "shut off")

    def test_sim_stats(self):
        self.define("vm")
        self.virsh("start", "vm")
        text = self.virsh("domstats", "vm")
        for line in "state.state=1", "cpu.time=1234567800", "balloon.current=524288", "vcpu.current=2":
            self.assertIn(line, text)
        self.assertEqual(self.info("vm")["CPU time"], "1.2s")
        self.assertRegex(self.virsh("vcpuinfo", "vm"), r"CPU time: +1.2s")
        self.assertRegex(self.virsh("schedinfo", "vm"), r"(?s)allocation.*limit +: 100000.*reservation +: 0.*weight +: 100")

    def test_sim_counters(self):
        """Of disks and interfaces, in requests, bytes and packets."""
        self.define("vm", DISK + DVD + CARD)
        self.assertIn("not running", self.virsh_fails("domblkstat", "vm", "hda"))
        self.virsh("start", "vm")
        self.assertIn("counts nothing for 'hda'", self.virsh_fails("domblkstat", "vm", "hda"))
        self.ask("host.guest_works(host.machine('vm'))")
        for name in "hda", "C:\\vms\\disks\\one.vhdx":
            text = self.virsh("domblkstat", "vm", name)
            for line in "rd_req 11", f"rd_bytes {10 << 32}", "wr_req 12", "wr_bytes 4096", "errs 1":
                self.assertIn(line, text)
        self.assertRegex(self.virsh("domblkinfo", "vm", "hda"), r"(?s)Capacity: +1073741824.*Allocation: +4194304.*Physical: +4194304")
        self.assertIn("no disk 'sda'", self.virsh_fails("domblkinfo", "vm", "sda"))
        text = self.virsh("domifstat", "vm", "00:15:5d:01:02:03")
        for line in f"rx_bytes {20 << 32}", "rx_packets 22", "rx_drop 24", "tx_bytes 21", "tx_packets 23", "tx_drop 25":
            self.assertIn(line, text)
        self.assertNotIn("errs", text)
        self.assertIn("no disk 'sda'", self.virsh_fails("domblkstat", "vm", "sda"))
        self.assertIn("no interface 'vnet0'", self.virsh_fails("domifstat", "vm", "vnet0"))
        text = self.virsh("domstats", "vm", "--block", "--interface")
        for line in ("block.count=2", "block.0.name=hda", "block.0.path=C:\\vms\\disks\\one.vhdx", "block.0.rd.reqs=11",
                     f"block.0.rd.bytes={10 << 32}", "block.0.wr.reqs=12", "block.0.wr.bytes=4096", "block.1.name=hdc",
                     "net.count=1", "net.0.name=00:15:5d:01:02:03", f"net.0.rx.bytes={20 << 32}", "net.0.tx.drop=25"):
            self.assertIn(line, text)

    def test_sim_description(self):
        self.define("vm")
        self.virsh("desc", "vm", "one & two\nthree", "--config")
        self.assertEqual(self.ask("host.config(host.machine('vm'))['Notes']"), ["one & two", "three"])
        self.assertEqual(self.virsh("desc", "vm"), "one & two\nthree")
        self.assertIn("neither a title", self.virsh_fails("desc", "vm", "--title", "x", "--config"))
        self.assertIn("vm", self.virsh("list", "--all", "--title"))
        self.assertIn("<name>vm</name>", self.virsh("dumpxml", "vm", "--migratable"))

    def test_sim_screen_and_keys(self):
        self.define("vm")
        self.assertIn("not running", self.virsh_fails("screenshot", "vm", self.work + "/shot"))
        self.virsh("start", "vm")
        self.virsh("screenshot", "vm", self.work + "/shot")
        with open(self.work + "/shot", "rb") as image:
            self.assertEqual(image.read(), b"P6\n64 48\n255\n" + b"\xff\0\0" * (64 * 48))
        self.virsh("send-key", "vm", "KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE")
        self.assertEqual(self.ask("host.pressed"), [["down", 0xa2], ["down", 0xa4], ["down", 0x2e],
                                                    ["up", 0x2e], ["up", 0xa4], ["up", 0xa2]])
        self.virsh("send-key", "vm", "--codeset", "win32", "0x41")
        self.assertEqual(self.ask("host.pressed[-2:]"), [["down", 0x41], ["up", 0x41]])

    def test_sim_guest(self):
        self.define("vm", CARD)
        self.virsh("start", "vm")
        self.assertIn("tell no host name", self.virsh_fails("domhostname", "vm"))
        self.ask("host.guest_speaks(host.machine('vm'), 'guest.example.com', ['192.0.2.7', 'fe80::1'], ['255.255.255.0', '64'])")
        self.assertEqual(self.virsh("domhostname", "vm").strip(), "guest.example.com")
        text = self.virsh("domifaddr", "vm", "--source", "agent")
        self.assertRegex(text, r"00:15:5d:01:02:03 +ipv4 +192.0.2.7/24")
        self.assertIn("fe80::1/64", text)

    def guest_info(self, *options):
        return dict(line.split(":", 1) for line in self.virsh("guestinfo", "vm", *options).replace(" ", "").splitlines())

    def test_sim_guest_info(self):
        self.define("vm", CARD)
        self.assertIn("not running", self.virsh_fails("guestinfo", "vm"))
        self.virsh("start", "vm")
        self.assertIn("tell nothing of that", self.virsh_fails("guestinfo", "vm"))
        self.ask("host.guest_speaks(host.machine('vm'), 'guest.example.com', ['192.0.2.7', 'fe80::1'], ['255.255.255.0', '64'], "
                 "OSName='Windows&Server', OSVersion='10.0.20348', OSBuildNumber='20348', ProcessorArchitecture='9', CSDVersion='')")
        system = {"os.name": "Windows&Server", "os.version": "10.0.20348", "os.kernel-release": "20348", "os.machine": "x86_64"}
        self.assertEqual(self.guest_info("--os"), system)
        self.assertEqual(self.guest_info("--hostname"), {"hostname": "guest.example.com"})
        cards = {"if.count": "1", "if.0.name": "00:15:5d:01:02:03", "if.0.hwaddr": "00:15:5d:01:02:03", "if.0.addr.count": "2",
                 "if.0.addr.0.type": "ipv4", "if.0.addr.0.addr": "192.0.2.7", "if.0.addr.0.prefix": "24",
                 "if.0.addr.1.type": "ipv6", "if.0.addr.1.addr": "fe80::1", "if.0.addr.1.prefix": "64"}
        self.assertEqual(self.guest_info(), {**system, **cards, "hostname": "guest.example.com"})
        self.assertIn("and nothing else", self.virsh_fails("guestinfo", "vm", "--filesystem"))

    def test_sim_networks(self):
        self.assertIn("Default Switch", self.virsh("net-list", "--all"))
        self.assertEqual(self.virsh("net-uuid", "Default Switch"), "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444")
        self.assertIn("<name>Default Switch</name>", self.virsh("net-dumpxml", "Default Switch"))
        self.assertRegex(self.virsh("net-info", "Default Switch"), r"Active: +yes")

    def test_sim_volumes(self):
        self.assertIn("default-pool", self.virsh("pool-list"))
        self.assertIn("<path>C:\\vms\\disks</path>", self.virsh("pool-dumpxml", "default-pool"))
        self.assertRegex(self.virsh("pool-info", "default-pool"), r"(?s)Capacity: +1.00 TiB.*Allocation: +768.00 GiB")
        self.virsh("pool-refresh", "default-pool")
        self.assertEqual(self.virsh("vol-list", "default-pool", "--details").count("C:\\vms\\disks\\"), 3)
        self.virsh("vol-create-as", "default-pool", "new.vhdx", "1G", "--format", "vhdx")
        self.assertEqual(self.ask("host.file('C:\\\\vms\\\\disks\\\\new.vhdx').values['MaxInternalSize']"), 1 << 30)
        self.assertIn("exists already", self.virsh_fails("vol-create-as", "default-pool", "NEW.vhdx", "1G"))
        self.virsh("vol-resize", "new.vhdx", "2G", "--pool", "default-pool")
        self.assertRegex(self.virsh("vol-info", "new.vhdx", "--pool", "default-pool"), r"Capacity: +2.00 GiB")
        self.assertIn("format type='vhdx'", self.virsh("vol-dumpxml", "C:\\vms\\disks\\new.vhdx"))
        self.virsh("vol-delete", "new.vhdx", "--pool", "default-pool")
        self.assertIsNone(self.ask("host.file('C:\\\\vms\\\\disks\\\\new.vhdx')"))
        self.assertIn("ends in .vhdx or .vhd", self.virsh_fails("vol-create-as", "default-pool", "new.img", "1G"))


if __name__ == "__main__":
    hypervtest.main()
