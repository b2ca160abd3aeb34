# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: definitions, resources, events, and servers that go away. What is done is looked at from outside."""
import os
import subprocess
import time
import unittest
import xml.etree.ElementTree as ElementTree

import libvirt

from esxtest import MODE, EsxCase, WitnessCase, main, wait_until

MACHINE = """<domain type='vmware'>
  <name>{name}</name>
  <description>made here</description>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{devices}</devices>
</domain>"""
DEVICES = """
  <disk type='file' device='cdrom'><source file='[LocalDS_0] images/x.iso'/><target dev='hda' bus='ide'/></disk>
  <controller type='scsi' index='0' model='lsisas1068'/>
  <interface type='bridge'>
    <mac address='00:50:56:01:02:03'/><source bridge='VM Network'/><model type='vmxnet3'/>
  </interface>"""

# Beside other tests everything takes longer.
SLACK = 1 if os.environ.get("VIREO_TEST_ALONE", "1") == "1" else 5


class ChangeCase(WitnessCase):
    def define(self, name, devices="", text=None):
        path = self.work / "machine.xml"
        path.write_text(text or MACHINE.format(name=name, devices=devices))
        self.virsh("define", str(path))
        return self.reference(name)

    def refuses(self, text):
        path = self.work / "machine.xml"
        path.write_text(text)
        return self.virsh_fails("define", str(path))


class Define(ChangeCase):
    def test_define_and_undefine(self):
        machine = self.define("fresh", DEVICES)
        self.assertIn("fresh", self.names("--inactive"))
        hardware = self.witness.machine(machine, "config.hardware")
        for words in ("<numCPU>2</numCPU>", "<memoryMB>64</memoryMB>", "VirtualVmxnet3", "00:50:56:01:02:03",
                      "VirtualLsiLogicSASController", "[LocalDS_0] images/x.iso"):
            self.assertIn(words, hardware)
        self.assertIn("made here", self.witness.machine(machine, "config.annotation"))
        self.virsh("start", "fresh")
        self.assertIn("poweredOn", self.virsh_fails("undefine", "fresh"))
        self.virsh("destroy", "fresh")
        self.virsh("undefine", "fresh", "--snapshots-metadata")
        self.assertNotIn("fresh", self.names("--all"))
        with self.assertRaisesRegex(AssertionError, "ManagedObjectNotFound"):
            self.witness.machine(machine, "name")

    def test_what_is_described_can_be_defined(self):
        self.define("twice", DEVICES)
        first = self.virsh("dumpxml", "twice")
        self.virsh("undefine", "twice")
        self.define("twice", text=first)
        again = self.virsh("dumpxml", "twice")
        self.virsh("undefine", "twice")
        for text in (first, again):
            self.assertIn("lsisas1068", text)
        strip = lambda text: [line for line in text.splitlines() if "moref" not in line]  # noqa: E731
        self.assertEqual(strip(first), strip(again))

    def test_disk(self):
        disk = "[LocalDS_0] own/data.vmdk"
        self.witness.make_disk("[LocalDS_0] own", disk)
        machine = self.define("guest", f"<disk type='file'><source file='{disk}'/><target dev='sdb'/></disk>")
        self.assertIn(disk, self.witness.machine(machine, "config.hardware.device"))
        self.assertIn("[LocalDS_0] own/guest.vmx", self.witness.machine(machine, "config.files"))
        xml = ElementTree.fromstring(self.virsh("dumpxml", "guest"))
        self.assertEqual(xml.find("devices/disk[@device='disk']/target").get("dev"), "sdb")
        self.assertEqual(xml.find("devices/disk[@device='disk']/address").get("unit"), "1")
        self.virsh("undefine", "guest")
        # What was left there is in nobody's way, and stays.
        left = self.witness.file("LocalDS_0", "own/guest.vmx")
        self.assertIsNotNone(left)
        machine = self.define("guest", f"<disk type='file'><source file='{disk}'/><target dev='sdb'/></disk>")
        self.assertIn(disk, self.witness.machine(machine, "config.hardware.device"))
        self.assertRegex(self.witness.machine(machine, "config.files"), r"\[LocalDS_0\] guest[^/]*/guest.vmx")
        self.virsh("undefine", "guest")

    def test_refusals(self):
        plain = MACHINE.format(name="odd", devices="{}")
        for devices, words in (
                ("<disk type='file'><source file='/a.vmdk'/><target dev='sda'/></disk>", "'[DATASTORE] FOLDER/NAME.vmdk'"),
                ("<disk type='file'><source file='[a] b'/><target dev='vda' bus='virtio'/></disk>", "scsi, sata and ide"),
                ("<disk type='file'><source file='[a] b'/><target dev='hda'/></disk>", "on this bus they are sda, sdb"),
                ("<controller type='scsi' model='virtio-scsi'/>", "SCSI controller model 'virtio-scsi'"),
                ("<interface type='bridge'><source bridge='b'/><model type='virtio'/></interface>", "interface model 'virtio'"),
                ("<interface type='user'/>", "interfaces are of type bridge"),
                ("<sound model='ich6'/>", "domain.devices.sound")):
            self.assertIn(words, self.refuses(plain.format(devices)))
        self.assertIn("domain type 'qemu'", self.refuses(plain.replace("vmware", "qemu").format("")))
        self.assertIn("there is a domain", self.refuses(plain.replace("odd", self.first).format("")))
        missing = "<disk type='file'><source file='[LocalDS_0] no/such.vmdk'/><target dev='sda'/></disk>"
        self.assertIn("NotFound", self.refuses(plain.format(missing)))
        self.assertNotIn("odd", self.names("--all"))

    def test_define_again(self):
        machine = self.define("changing", DEVICES)
        text = self.virsh("dumpxml", "changing")
        self.define("changing", text=text.replace("made here", "edited").replace(">65536<", ">131072<"))
        self.assertIn("<memoryMB>128</memoryMB>", self.witness.machine(machine, "config.hardware"))
        self.assertIn("edited", self.witness.machine(machine, "config.annotation"))
        self.assertIn("VirtualVmxnet3", self.witness.machine(machine, "config.hardware"))
        for old, new, words in (("VM Network", "Other Network", "does not change its disks and interfaces"),
                                ("x.iso", "y.iso", "does not change its disks and interfaces"),
                                ("<name>changing", "<name>other", "does not change its name"),
                                ("x86_64", "i686", "does not change its architecture")):
            self.assertIn(words, self.refuses(text.replace(old, new)))
        self.virsh("undefine", "changing")

    def test_edit_what_was_there(self):
        """Also with devices that cannot be defined."""
        self.virsh("destroy", self.second)
        text = self.virsh("dumpxml", self.second)
        self.define(self.second, text=text.replace(">32768<", ">65536<"))
        self.assertIn("Max memory:     65536 KiB", self.virsh("dominfo", self.second))
        self.assertEqual(self.virsh("dumpxml", self.second).replace(">65536<", ">32768<"), text)
        self.virsh("start", self.second)

    def test_rename(self):
        machine = self.define("before")
        self.virsh("domrename", "before", "after 100%")
        self.assertIn("after 100%25", self.witness.machine(machine, "name"))
        self.assertEqual(self.virsh("domstate", "after 100%"), "shut off")
        self.assertIn("already", self.virsh_fails("domrename", "after 100%", self.first))
        self.virsh("undefine", "after 100%")

    def test_resources(self):
        machine = self.define("big")
        self.virsh("setvcpus", "big", "3", "--config")
        self.virsh("setmaxmem", "big", "128M", "--config")
        self.virsh("setmem", "big", "96M", "--config")
        self.assertIn("<numCPU>3</numCPU>", self.witness.machine(machine, "config.hardware"))
        self.assertIn("<memoryMB>128</memoryMB>", self.witness.machine(machine, "config.hardware"))
        self.assertIn(">96<", self.witness.machine(machine, "config.memoryAllocation.limit"))
        info = self.virsh("dominfo", "big")
        self.assertRegex(info, r"CPU.s.: +3\n")
        self.assertRegex(info, r"Max memory: +131072 KiB\nUsed memory: +98304 KiB")
        self.assertIn("not running", self.virsh_fails("setvcpus", "big", "1", "--live"))
        self.assertIn("131072 KiB at most", self.virsh_fails("setmem", "big", "256M", "--config"))
        self.virsh("undefine", "big")


class Devices(ChangeCase):
    def hardware(self):
        return self.witness.machine(self.machine, "config.hardware.device")

    def setUp(self):
        super().setUp()
        self.machine = self.define("devices", DEVICES)
        self.addCleanup(self.virsh, "undefine", "devices")

    def test_disk(self):
        disk = "[LocalDS_0] attached/data.vmdk"
        self.witness.make_disk("[LocalDS_0] attached", disk)
        self.virsh("attach-disk", "devices", disk, "sdb", "--sourcetype", "file", "--config")
        self.assertIn(disk, self.hardware())
        self.assertEqual(self.hardware().count("VirtualLsiLogicSASController"), 1)  # on the one it has
        self.assertIn("has a disk 'sdb' already",
                      self.virsh_fails("attach-disk", "devices", disk, "sdb", "--sourcetype", "file", "--config"))
        self.assertIn("no disk 'sdc'", self.detach_disk("sdc"))
        self.virsh("detach-disk", "devices", "sdb", "--config")
        self.assertNotIn(disk, self.hardware())
        self.assertIsNotNone(self.witness.file("LocalDS_0", "attached/data.vmdk"))  # the file stays

    def detach_disk(self, target):
        path = self.work / "disk.xml"
        path.write_text(f"<disk type='file'><source file='[a] b'/><target dev='{target}'/></disk>")
        return self.virsh_fails("detach-device", "devices", str(path), "--config")

    def test_interface(self):
        self.virsh("attach-interface", "devices", "bridge", "VM Network", "--mac", "00:50:56:0a:0b:0c", "--model", "e1000e",
                   "--config")
        self.assertIn("00:50:56:0a:0b:0c", self.hardware())
        self.assertIn("VirtualE1000e", self.hardware())
        self.virsh("detach-interface", "devices", "bridge", "--mac", "00:50:56:0a:0b:0c", "--config")
        self.assertNotIn("00:50:56:0a:0b:0c", self.hardware())
        self.assertIn("00:50:56:01:02:03", self.hardware())

    def test_media(self):
        self.virsh("change-media", "devices", "hda", "[LocalDS_0] images/other.iso", "--update", "--config")
        self.assertIn("[LocalDS_0] images/other.iso", self.hardware())
        self.assertNotIn("images/x.iso", self.hardware())

    def test_of_a_running_machine(self):
        self.virsh("start", "devices")
        self.addCleanup(self.virsh, "destroy", "devices")
        self.assertIn("ask for both, LIVE and CONFIG", self.virsh_fails(
            "attach-interface", "devices", "bridge", "VM Network", "--mac", "00:50:56:0a:0b:0c", "--config"))
        self.virsh("attach-interface", "devices", "bridge", "VM Network", "--mac", "00:50:56:0a:0b:0c", "--live", "--config")
        self.assertIn("00:50:56:0a:0b:0c", self.hardware())
        self.virsh("detach-interface", "devices", "bridge", "--mac", "00:50:56:0a:0b:0c", "--live")
        self.assertNotIn("00:50:56:0a:0b:0c", self.hardware())
        path = self.work / "sound.xml"
        path.write_text("<sound model='ich6'/>")
        self.assertIn("disks and interfaces can be attached", self.virsh_fails("attach-device", "devices", str(path)))


class Guest(ChangeCase):
    def tell(self, name, key, value):
        """As the tools in the guest would."""
        self.witness.call("ReconfigVM_Task", "VirtualMachine", self.reference(name),
                          '<spec><extraConfig xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="OptionValue">'
                          f'<key>SET.guest.{key}</key><value i:type="xsd:string" '
                          f'xmlns:xsd="http://www.w3.org/2001/XMLSchema">{value}</value></extraConfig></spec>')

    def test_hostname(self):
        self.assertIn("tell no host name", self.virsh_fails("domhostname", self.second))
        self.tell(self.first, "hostName", "guest.example.com")
        self.assertEqual(self.virsh("domhostname", self.first), "guest.example.com")
        self.assertEqual(self.virsh("domhostname", self.first, "--source", "agent"), "guest.example.com")

    def test_addresses(self):
        self.tell(self.first, "ipAddress", "192.0.2.7")
        out = self.virsh("domifaddr", self.first, "--source", "agent")
        self.assertRegex(out, r"00:0c:29:\S+ +ipv4 +192\.0\.2\.7/")
        self.assertIn("source 'agent'", self.virsh_fails("domifaddr", self.first))

    def test_description(self):
        self.assertEqual(self.virsh("desc", self.first), "")
        self.virsh("desc", self.first, "of the first machine")
        self.assertIn(">of the first machine<", self.witness.machine(self.reference(self.first), "config.annotation"))
        self.assertEqual(self.virsh("desc", self.first), "of the first machine")
        self.assertIn("neither a title", self.virsh_fails("desc", "--title", self.first, "Title"))
        self.assertEqual(self.virsh("desc", "--title", self.first), "")
        self.assertIn(self.first, self.virsh("list", "--all", "--title"))
        self.assertIn("neither a title", self.virsh_fails("metadata", self.first, "urn:x"))

    def test_stats(self):
        self.virsh("suspend", self.second)
        out = self.virsh("domstats")
        self.assertEqual(out.count("Domain:"), 2)
        one = self.virsh("domstats", self.second)
        for words in ("state.state=3", "state.reason=1", "vcpu.current=1", "balloon.maximum=32768", "balloon.current=32768"):
            self.assertIn(words, one)
        self.assertNotIn("vcpu", self.virsh("domstats", "--state"))
        # In spans of 20 s, of which none may have passed yet: test_figures.py counts them.
        self.assertRegex(self.virsh("domstats", "--cpu-total", self.first), r"cpu\.time=\d+")
        self.assertEqual(self.virsh("domstats", "--list-paused").count("Domain:"), 1)
        self.assertEqual(self.virsh("domstats", "--list-transient"), "")
        self.assertIn("not served", self.virsh_fails("domstats", "--block", "--enforce"))
        self.virsh("resume", self.second)


class Saved(ChangeCase):
    def test_managed_save(self):
        """A suspended machine is one with a saved image: the memory is on the server's disk."""
        self.virsh("managedsave", self.first)
        self.assertIn("suspended", self.witness.machine(self.reference(self.first), "runtime.powerState"))
        self.assertEqual(self.names("--all", "--with-managed-save"), [self.first])
        self.assertRegex(self.virsh("dominfo", self.first), r"Managed save: +yes")
        connection = libvirt.open(self.uri())
        machine = connection.lookupByName(self.first)
        machine.create()  # goes on with it
        self.assertEqual(self.virsh("domstate", self.first, "--reason"), "running (unpaused)")
        self.assertEqual(machine.hasManagedSaveImage(), 0)
        machine.managedSave()
        machine.createWithFlags(libvirt.VIR_DOMAIN_START_FORCE_BOOT)
        self.assertEqual(self.virsh("domstate", self.first, "--reason"), "running (booted)")
        machine.managedSave()
        machine.managedSaveRemove()
        self.assertIn("poweredOff", self.witness.machine(self.reference(self.first), "runtime.powerState"))
        self.assertEqual(machine.hasManagedSaveImage(), 0)
        self.virsh("start", self.first)
        connection.close()


class Shares(ChangeCase):
    def test_scheduler(self):
        machine = self.reference(self.first)
        self.assertEqual(self.virsh("schedinfo", self.first).split(), "Scheduler : allocation reservation : 0 limit : -1 shares : -2".split())
        self.virsh("schedinfo", self.first, "--set", "reservation=100", "--set", "limit=2000", "--set", "shares=-3")
        seen = self.witness.machine(machine, "config.cpuAllocation")
        for words in ("<reservation>100</reservation>", "<limit>2000</limit>", "<level>high</level>"):
            self.assertIn(words, seen)
        self.virsh("schedinfo", self.first, "--set", "shares=700")
        seen = self.witness.machine(machine, "config.cpuAllocation")
        for words in ("<shares>700</shares>", "<level>custom</level>"):
            self.assertIn(words, seen)
        for wrong, words in (("shares=-4", "-1, -2 or -3 for low"), ("limit=-2", "or -1 for none"), ("cpu_shares=1", "cpu_shares")):
            self.assertIn(words, self.virsh_fails("schedinfo", self.first, "--set", wrong))

    def test_memory(self):
        self.assertRegex(self.virsh("memtune", self.first), r"min_guarantee *: ")
        self.virsh("memtune", self.first, "--min-guarantee", "16385")  # KiB: more than 16 MiB
        self.assertIn("<reservation>17</reservation>",
                      self.witness.machine(self.reference(self.first), "config.memoryAllocation"))
        self.assertIn("there is min_guarantee", self.virsh_fails("memtune", self.first, "--hard-limit", "1000000"))


class Autostart(ChangeCase):
    def config(self):
        return self.witness.property("HostAutoStartManager", "ha-autostart-mgr", "config")

    @unittest.skipIf(MODE == "host-raw", "the bare simulator starts no machines")
    def test_autostart(self):
        machine, other = self.reference(self.first), self.reference(self.second)
        self.assertEqual(self.names("--all", "--autostart"), [])
        self.virsh("autostart", self.first)
        self.assertEqual(self.names("--all", "--autostart"), [self.first])
        for words in ("<enabled>true</enabled>", f">{machine}<", "<startAction>powerOn</startAction>"):
            self.assertIn(words, self.config())
        self.virsh("autostart", self.first, "--disable")
        self.assertEqual(self.names("--all", "--autostart"), [])
        self.assertIn("<startAction>none</startAction>", self.config())
        self.reconfigure(other, "true", "powerOn")  # somebody else
        wait_until(lambda: self.names("--all", "--autostart") == [self.second], 5, "what others change is seen")
        self.reconfigure(other, "false", "powerOn")
        wait_until(lambda: self.names("--all", "--autostart") == [], 5, "a list that is not heeded starts nobody")
        self.assertIn(f"{other} would start, too", self.virsh_fails("autostart", self.first))

    def reconfigure(self, machine, enabled, action):
        self.witness.call("ReconfigureAutostart", "HostAutoStartManager", "ha-autostart-mgr",
                          f"<spec><defaults><enabled>{enabled}</enabled></defaults><powerInfo>"
                          f'<key type="VirtualMachine">{machine}</key><startOrder>-1</startOrder><startDelay>-1</startDelay>'
                          f"<waitForHeartbeat>systemDefault</waitForHeartbeat><startAction>{action}</startAction>"
                          "<stopDelay>-1</stopDelay><stopAction>systemDefault</stopAction></powerInfo></spec>")

    @unittest.skipUnless(MODE == "host-raw", "this server has it")
    def test_without(self):
        self.assertIn("nothing that starts machines", self.virsh_fails("autostart", self.first))


class Events(ChangeCase):
    def test_in_time(self):
        """What another client does is told within 300 ms, most of which the simulator takes to look: it does so four
        times a second."""
        machine = self.reference(self.first)
        watch = self.watch("--event", "lifecycle")
        time.sleep(0.7)
        took = []
        for method, words in (("SuspendVM_Task", "Suspended"), ("PowerOnVM_Task", "Resumed")) * 3:
            self.witness.call(method, "VirtualMachine", machine)
            begin = time.monotonic()
            while words not in watch.stdout.readline():
                pass
            took.append(time.monotonic() - begin)
        print("milliseconds until an event was there:", *(round(one * 1000) for one in took))
        self.assertLess(sorted(took)[len(took) // 2], 0.3 * SLACK)

    def test_share_of_the_driver(self):
        """The rest: from the server's answer to the client's line, with a request to the server in it."""
        between, here = self.stand_between()
        machine = self.reference(self.first)
        self.assertEqual(self.virsh("domstate", self.first, uri=here), "running")  # what is needed once is there
        watch = self.watch("--event", "lifecycle", uri=here)
        time.sleep(0.7)
        took = []
        for method, words in (("SuspendVM_Task", "Suspended"), ("PowerOnVM_Task", "Resumed")) * 2:
            self.witness.call(method, "VirtualMachine", machine)
            while words not in watch.stdout.readline():
                pass
            took.append(time.monotonic() - between.answered["WaitForUpdatesEx"])
        print("of which were the driver's:", *(round(one * 1000) for one in took))
        self.assertLess(sorted(took)[1], 0.2 * SLACK)

    def test_from_here_and_from_elsewhere(self):
        machine = self.reference(self.second)
        watch = self.watch("--event", "lifecycle")
        time.sleep(0.7)
        self.virsh("destroy", self.second)
        self.assertIn(f"domain '{self.second}': Stopped Destroyed", watch.stdout.readline())
        self.witness.call("PowerOnVM_Task", "VirtualMachine", machine)
        begin = time.monotonic()
        self.assertIn(f"domain '{self.second}': Started Booted", watch.stdout.readline())
        self.assertLess(time.monotonic() - begin, 1 * SLACK)  # of which the simulator waits 0.25
        self.assertIn("Resumed", watch.stdout.readline())
        self.assertEqual(self.state(self.second), "running")
        self.witness.call("PowerOffVM_Task", "VirtualMachine", machine)
        self.assertIn(f"domain '{self.second}': Stopped Shutdown", watch.stdout.readline())
        self.witness.call("UnregisterVM", "VirtualMachine", machine)
        self.assertIn(f"domain '{self.second}': Undefined", watch.stdout.readline())
        self.assertEqual(self.names("--all"), [self.first])


class Trouble(ChangeCase):
    def test_session_ends(self):
        """The server forgets everybody; nobody notices."""
        watch = self.watch("--event", "lifecycle")
        time.sleep(0.7)
        self.assertEqual(self.state(self.first), "running")
        self.simulator.stop()
        self.assertIn(self.simulator.server, self.virsh_fails("dumpxml", self.first))
        self.assertIn(self.simulator.server, self.virsh_fails("suspend", self.first))
        self.simulator.port = int(self.simulator.server.split(":")[1])
        self.simulator.start()
        wait_until(lambda: self.run_virsh("dumpxml", self.first).returncode == 0, 20, "the server is back")
        self.virsh("suspend", self.first)
        lines = []
        while not any("Suspended" in line for line in lines):
            lines.append(watch.stdout.readline())
            self.assertTrue(lines[-1])

    def test_kill_and_come_back(self):
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.names("--all"), [self.first, self.second])


    def test_in_a_process_of_its_own(self):
        settings = self.etc / "vireod.conf"
        settings.write_text("[driver esx]\nisolation = process\n", encoding="ascii")
        self.addCleanup(self.daemon.restart)
        self.addCleanup(settings.unlink)
        self.daemon.restart()
        self.virsh("suspend", self.second)
        self.assertEqual(self.virsh("domstate", self.second, "--reason"), "paused (user)")
        self.virsh("snapshot-create-as", self.second, "one")
        self.assertEqual(self.virsh("snapshot-list", self.second, "--name").split(), ["one"])
        self.virsh("snapshot-delete", self.second, "one")
        self.virsh("resume", self.second)
        (self.work / "data").write_bytes(b"some data" * 100000)
        self.virsh("vol-create-as", "LocalDS_0", "isos/sent.iso", "1M", "--format", "iso")
        self.virsh("vol-upload", "isos/sent.iso", str(self.work / "data"), "--pool", "LocalDS_0")
        self.assertEqual(self.witness.file("LocalDS_0", "isos/sent.iso"), b"some data" * 100000)
        self.virsh("vol-download", "isos/sent.iso", str(self.work / "got"), "--pool", "LocalDS_0")
        self.assertEqual((self.work / "got").read_bytes(), b"some data" * 100000)
        self.virsh("vol-delete", "isos/sent.iso", "--pool", "LocalDS_0")


class Slow(EsxCase):
    options = ("-method-delay", "SuspendVM_Task:4000")

    def test_others_are_not_held_up(self):
        slow = subprocess.Popen(["virsh", "-q", "-c", self.uri(), "suspend", self.first], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL)
        self.addCleanup(slow.wait)
        time.sleep(0.5)
        begin = time.monotonic()
        for _ in range(3):
            self.virsh("dumpxml", self.second)
            self.virsh("domstate", self.first)
        self.assertIsNone(slow.poll())
        self.assertLess(time.monotonic() - begin, 2 * SLACK)
        self.assertEqual(slow.wait(), 0)
        self.assertEqual(self.state(self.first), "paused")


class Many(EsxCase):
    machines = 200

    def test_list(self):
        self.assertEqual(len(self.names("--all")), 200)
        begin = time.monotonic()
        self.assertEqual(len(self.names("--all")), 200)
        self.assertLess(time.monotonic() - begin, 1 * SLACK)


if __name__ == "__main__":
    main()
