# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the vbox driver: machines come, change and go."""
from pathlib import Path

import libvirt

from vboxtest import GUEST, ROOT, VboxCase, main, manage, showvminfo

DEVICES = """<disk type='file' device='disk'><source file='/root/{name}.vdi'/><target dev='sda' bus='sata'/></disk>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
    <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>
    <controller type='ide' index='0' model='ich6'/>
    <controller type='scsi' index='0' model='buslogic'/>
    <filesystem type='mount'><source dir='/tmp'/><target dir='share'/><readonly/></filesystem>
    <interface type='user'><mac address='08:00:27:aa:bb:cc'/><model type='virtio'/></interface>
    <interface type='internal'><source name='lan'/><model type='82545EM'/><link state='down'/></interface>
    <interface type='bridge'><source bridge='lo'/></interface>
    <interface type='network'><source network='vboxnet0'/></interface>
    <serial type='tcp'><source mode='bind' host='' service='5555'/><target port='1'/></serial>
    <video><model type='vbox' vram='16384' heads='2'/></video>"""


class Define(VboxCase):
    def test_all_there_is(self):
        self.disk("g")
        text = GUEST.format(name="g", devices=DEVICES.format(name="g"))
        self.define("g", text=text.replace("<os>", "<description>made &lt;here&gt;</description><os firmware='efi'>")
                    .replace("<devices>", "<clock offset='localtime'/><devices>", 1)
                    .replace("<vcpu>1", "<vcpu>2").replace("</os>", "<boot dev='cdrom'/><boot dev='hd'/></os>"))
        info = showvminfo("g")
        for key, value in {"memory": "8", "cpus": "2", "vram": "16", "monitorcount": "2", "firmware": "EFI", "rtcuseutc": "off",
                           "boot1": "dvd", "boot2": "disk", "boot3": "none", "acpi": "on", "ioapic": "on",
                           "description": "made <here>", "SATA-0-0": "/root/g.vdi", "IDE-1-0": "emptydrive",
                           "Floppy-0-0": "emptydrive", "storagecontrollertype3": "ICH6", "nic1": "nat", "nictype1": "virtio",
                           "macaddress1": "080027AABBCC", "nic2": "intnet", "intnet2": "lan", "nictype2": "82545EM",
                           "cableconnected2": "off", "nic3": "bridged", "bridgeadapter3": "lo", "nic4": "hostonly",
                           "hostonlyadapter4": "vboxnet0", "uart2": "0x02f8,3", "uartmode2": "tcpserver,5555",
                           "SharedFolderNameMachineMapping1": "share",
                           "SharedFolderPathMachineMapping1": "/tmp"}.items():
            if key.startswith("storagecontrollertype"):
                self.assertIn(value, [info[other] for other in info if other.startswith("storagecontrollertype")])
            else:
                self.assertEqual(info.get(key), value, key)
        first = self.virsh("dumpxml", "g")
        self.virsh("undefine", "g")
        self.assertTrue((ROOT / "root" / "g.vdi").exists())
        self.define("g", text=first)
        self.assertEqual(self.virsh("dumpxml", "g"), first)

    def test_refusals(self):
        plain = GUEST.format(name="odd", devices="{}")
        for devices, words in (
                ("<disk type='file'><target dev='hda'/></disk>", "'hda' needs a source file"),
                ("<disk type='file'><source file='x.vdi'/><target dev='hda'/></disk>", "absolute path on the server"),
                ("<disk type='block'><source dev='/dev/x'/><target dev='hda'/></disk>", "domain.devices.disk.source.dev"),
                ("<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk>", "ide, sata, scsi and fdc"),
                ("<disk type='file'><source file='/a'/><target dev='hde' bus='ide'/><address type='drive' bus='2'/></disk>",
                 "there are 4 places"),
                ("<controller type='scsi' model='vmpvscsi'/>", "with a model that VirtualBox has"),
                ("<interface type='user'><model type='rtl8139'/></interface>", "interface model 'rtl8139'"),
                ("<interface type='ethernet'/>", "interfaces are of type"),
                ("<interface type='user'><bandwidth><inbound average='1'/></bandwidth></interface>",
                 "domain.devices.interface.bandwidth"),
                ("<serial type='unix'><source mode='bind' path='/x'/></serial>", "serial ports are of type"),
                ("<graphics type='vnc'/>", "of type rdp"),
                ("<sound model='ich6'/>", "domain.devices.sound")):
            self.assertIn(words, self.refuses(plain.format(devices)))
        plain = plain.format("")
        for old, new, words in (("vbox", "qemu", "domain type 'qemu'"),
                                ("<vcpu>1", "<vcpu current='1'>2", "current vcpu count must equal maximum"),
                                ("<vcpu>", "<currentMemory>4096</currentMemory><vcpu>", "<currentMemory> is as much as"),
                                ("<acpi/>", "<acpi/><hap/>", "domain.features.hap"),
                                ("x86_64", "ppc64", "arch 'ppc64'")):
            self.assertIn(words, self.refuses(plain.replace(old, new, 1)))
        missing = "<disk type='file'><source file='/no/such.vdi'/><target dev='hda'/></disk>"
        self.assertIn("/no/such.vdi", self.refuses(GUEST.format(name="odd", devices=missing)))
        self.assertEqual(manage("list", "vms"), "")
        self.assertFalse((ROOT / "root" / "VirtualBox VMs" / "odd").exists())

    def test_define_again(self):
        self.disk("g")
        self.define("g")
        text = self.virsh("dumpxml", "g")
        self.define("g", text=text.replace(">8192<", ">16384<").replace("<name>g", "<name>h"))
        self.assertEqual((showvminfo("h")["memory"], showvminfo("h")["UUID"]), ("16", self.virsh("domuuid", "h")))
        disk = "<devices><disk type='file' device='disk'><source file='/root/g.vdi'/><target dev='hda' bus='ide'/></disk>"
        self.define("h", text=self.virsh("dumpxml", "h").replace("<devices>", disk))
        self.assertEqual(showvminfo("h")["IDE-0-0"], "/root/g.vdi")
        manage("snapshot", "h", "take", "s")
        plain = self.virsh("dumpxml", "h")
        self.define("h", text=plain.replace(">16384<", ">32768<"))
        self.assertEqual(showvminfo("h")["memory"], "32")
        card = "<interface type='user'/><video>"
        self.assertIn("has snapshots, which need its disks", self.refuses(plain.replace("<video>", card)))
        self.assertIn("does not change its architecture", self.refuses(plain.replace("x86_64", "i686")))
        self.assertIn("there is a domain 'h' already", self.refuses(GUEST.format(name="h", devices="")))

    def test_change(self):
        self.define("g")
        self.virsh("setvcpus", "g", "2", "--config")
        self.virsh("setmaxmem", "g", "32M", "--config")
        self.assertEqual([showvminfo("g")[key] for key in ("cpus", "memory")], ["2", "32"])
        self.assertEqual(self.virsh("vcpucount", "g", "--current", "--config"), "2")
        self.virsh("setvcpus", "g", "3")
        libvirt.open(self.uri()).lookupByName("g").setMemory(16 << 10)
        self.assertEqual([showvminfo("g")[key] for key in ("cpus", "memory")], ["3", "16"])
        self.assertEqual(self.virsh("desc", "g"), "")
        self.virsh("desc", "g", "--config", "a <note>")
        self.assertEqual(showvminfo("g")["description"], "a <note>")
        self.assertEqual(self.virsh("desc", "g"), "a <note>")
        self.assertIn("neither a title", self.virsh_fails("desc", "g", "--title", "--config", "x"))
        self.virsh("domrename", "g", "h")
        self.assertEqual(self.virsh("domname", showvminfo("h")["UUID"]), "h")
        self.define("g")
        self.assertIn("there is a domain 'g' already", self.virsh_fails("domrename", "h", "g"))

    def test_devices(self):
        self.disk("g")
        self.disk("iso")
        self.define("g", "<disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk>")
        self.virsh("attach-disk", "g", "/root/g.vdi", "hdb", "--targetbus", "ide", "--config",
                   "--sourcetype", "file")
        self.assertEqual(showvminfo("g")["IDE-0-1"], "/root/g.vdi")
        self.virsh("attach-interface", "g", "bridge", "lo", "--mac", "08:00:27:01:02:03", "--model", "82545EM", "--config")
        self.assertEqual([showvminfo("g")[key] for key in ("nic1", "macaddress1")], ["bridged", "080027010203"])
        self.virsh("detach-interface", "g", "bridge", "--mac", "08:00:27:01:02:03", "--config")
        self.assertEqual(showvminfo("g")["nic1"], "none")
        self.virsh("detach-disk", "g", "hdb", "--config")
        self.assertEqual(showvminfo("g")["IDE-0-1"], "none")
        image = bytes(32768) + b"\1CD001\1".ljust(2048, b"\0") + b"\xffCD001\1".ljust(2048, b"\0") + bytes(40960)
        (ROOT / "root" / "x.iso").write_bytes(image)
        self.virsh("change-media", "g", "hda", "/root/x.iso", "--insert", "--config")
        self.assertEqual(showvminfo("g")["IDE-0-0"], "/root/x.iso")
        self.virsh("change-media", "g", "hda", "--eject", "--config")
        self.assertEqual(showvminfo("g")["IDE-0-0"], "emptydrive")
        self.assertIn("domain.devices.sound", self.plug("<sound model='ich6'/>"))
        self.share("g", "--config")
        drive = "<disk type='file' device='cdrom'><target dev='sdx'/></disk>"
        self.assertIn("no disk 'sdx'", self.plug(drive, "update-device"))

    def share(self, name, when):
        """A folder comes, becomes another one, and goes."""
        folder = "<filesystem type='mount'><source dir='/root'/><target dir='shared'/></filesystem>"
        for command, text, there in (("attach-device", folder, "/root"),
                                     ("update-device", folder.replace("/root", "/tmp"), "/tmp"), ("detach-device", folder, None)):
            path = Path(self.work) / "folder.xml"
            path.write_text(text, encoding="ascii")
            self.virsh(command, name, str(path), when)
            self.assertEqual(showvminfo(name).get("SharedFolderPathMachineMapping1"), there)
        self.assertIn("no shared folder 'shared'", self.virsh_fails("detach-device", name, str(path), when))

    def test_live_devices(self):
        """As far as VirtualBox lets a running machine have them."""
        mac = "08:00:27:01:02:03"
        self.define_booted("g", f"<interface type='user'><mac address='{mac}'/></interface>")
        manage("storagectl", "g", "--name", "SATA", "--add", "sata", "--portcount", "4")
        manage("storageattach", "g", "--storagectl", "IDE", "--port", "1", "--device", "0", "--type", "dvddrive",
               "--medium", "emptydrive")
        manage("createmedium", "disk", "--filename", "/root/more.vdi", "--size", "4")
        image = bytes(32768) + b"\1CD001\1".ljust(2048, b"\0") + b"\xffCD001\1".ljust(2048, b"\0") + bytes(40960)
        (ROOT / "root" / "x.iso").write_bytes(image)
        self.boot("g")
        attach = ("attach-disk", "g", "/root/more.vdi")
        self.virsh(*attach, "sdb", "--targetbus", "sata", "--sourcetype", "file", "--live")
        self.assertEqual(showvminfo("g")["SATA-1-0"], "/root/more.vdi")
        self.virsh("detach-disk", "g", "sdb", "--live")
        self.assertEqual(showvminfo("g")["SATA-1-0"], "none")
        self.virsh("change-media", "g", "hdc", "/root/x.iso", "--insert", "--live")
        self.assertEqual(showvminfo("g")["IDE-1-0"], "/root/x.iso")
        self.virsh("change-media", "g", "hdc", "--eject", "--live")
        self.assertEqual(showvminfo("g")["IDE-1-0"], "emptydrive")
        self.virsh("domif-setlink", "g", mac, "down")
        self.assertEqual(showvminfo("g")["cableconnected1"], "off")
        self.assertEqual(self.virsh("domif-getlink", "g", mac).split()[-1], "down")
        self.assertIn("does not support hot-plugging",
                      self.virsh_fails(*attach, "hdb", "--targetbus", "ide", "--sourcetype", "file", "--live"))
        self.assertIn("not mutable", self.virsh_fails("attach-interface", "g", "bridge", "lo", "--live"))
        self.assertIn("not mutable", self.virsh_fails("detach-interface", "g", "user", "--mac", mac, "--live"))
        self.share("g", "--live")
        self.virsh("desc", "g", "--live", "of one that runs")
        self.assertEqual(showvminfo("g")["description"], "of one that runs")
        self.assertIn("is running", self.virsh_fails("setvcpus", "g", "2"))
        self.assertIn("CONFIG", self.virsh_fails(*attach, "sdb", "--targetbus", "sata", "--sourcetype", "file", "--config"))
        self.assertEqual(self.state("g"), "running")

    def plug(self, text, command="attach-device"):
        path = f"{self.work}/device.xml"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return self.virsh_fails(command, "g", path, "--config")

    def test_create(self):
        self.disk("g")
        disk = "<disk type='file' device='disk'><source file='/root/g.vdi'/><target dev='hda' bus='ide'/></disk>"
        path = f"{self.work}/g.xml"
        for devices, works in ((disk, True), (disk + "<interface type='internal'><source name='lan'/></interface>", False)):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(GUEST.format(name="g", devices=devices))
            if works:
                self.virsh("create", path)
                self.assertEqual(showvminfo("g")["VMState"], "running")
                self.virsh("destroy", "g")
                self.virsh("undefine", "g")
            else:  # which is what this VirtualBox cannot start
                self.assertIn("driverless mode", self.virsh_fails("create", path))
                self.assertEqual(manage("list", "vms"), "")


if __name__ == "__main__":
    main()
