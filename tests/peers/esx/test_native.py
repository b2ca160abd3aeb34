# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMX files and domain documents, converted by the daemon and, to compare, by libvirt's own driver for the same server."""
import os
import re
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from esxtest import CENTER, PATH, EsxCase, main, write_private
from simulator import PASSWORD, USER

SAMPLES = Path(__file__).parents[2] / "unit" / "esx" / "vmx"
STORE = "LocalDS_0"
DOMAIN = f"""<domain type='vmware'>
  <name>n</name><uuid>50115e16-9bdc-49d7-f171-53c4d7f91710</uuid>
  <memory unit='MiB'>64</memory><currentMemory unit='MiB'>32</currentMemory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='[{STORE}] n/n.vmdk'/><target dev='sda' bus='scsi'/></disk>
    <disk type='file' device='cdrom'><source file='[{STORE}] n/n.iso'/><target dev='hda' bus='ide'/></disk>
    <disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>
    <disk type='block' device='cdrom'><source dev='/dev/x'/><target dev='hdc' bus='ide'/></disk>
    <disk type='block' device='floppy'><source dev='/dev/fd0'/><target dev='fda' bus='fdc'/></disk>
    <controller type='scsi' index='0' model='lsisas1068'/>
    <filesystem type='mount'><source dir='/srv/x'/><target dir='shr'/></filesystem>
    <interface type='bridge'><mac address='00:0c:29:aa:bb:cc'/><source bridge='b'/></interface>
    <interface type='bridge'><mac address='00:50:56:8a:bb:cc'/><source bridge='b'/><model type='e1000e'/></interface>
    <interface type='user'><mac address='52:54:00:8a:bb:cd'/><model type='vmxnet2'/></interface>
    <serial type='tcp'><source mode='bind' host='1.2.3.4' service='42001'/><protocol type='telnet'/></serial>
    <parallel type='dev'><source path='/dev/parport0'/></parallel>
    <graphics type='vnc' port='5901' listen='1.2.3.4'/>
    <video><model type='vmvga' vram='8192'/></video>
  </devices>
</domain>"""


def settings(text):
    """Key -> value of a VMX file."""
    return dict(re.findall(r'^(\S+) = "(.*)"$', text, re.M))


def plain(text):
    """A document as a list of paths with their attributes and text, without what libvirt adds to every document."""
    found = []

    def walk(element, path):
        path = f"{path}/{element.tag}"
        attributes = {name: value for name, value in element.attrib.items() if name not in ("dies", "primary")}
        if element.tag != "console" and not (element.tag == "controller" and attributes["type"] == "fdc"):
            if attributes or element.tag != "source":
                found.append((path, attributes, (element.text or "").strip()))
            for child in element:
                walk(child, path)

    walk(ElementTree.fromstring(text), "")
    return found


class Native(EsxCase):
    maxDiff = None

    def libvirt(self, *args):
        """What libvirt's own driver says, in virsh's process."""
        accounts = self.work / "auth.conf"
        write_private(accounts, f"[credentials-sim]\nusername={USER}\npassword={PASSWORD}\n"
                                "[auth-esx-127.0.0.1]\ncredentials=sim\n")
        uri = f"{'vpx' if CENTER else 'esx'}://{USER}@{self.simulator.server}/{PATH}?no_verify=1"
        env = dict(os.environ, LIBVIRT_AUTH_FILE=str(accounts), LIBVIRT_LOG_OUTPUTS="4:file:/dev/null")
        done = subprocess.run(["virsh", "-q", "-c", uri, *args], env=env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def file(self, text):
        path = self.work / "native"
        path.write_text(text)
        return str(path)

    def test_samples_are_read_as_elsewhere(self):
        text = (SAMPLES / "everything.vmx").read_text()
        mine = self.virsh("domxml-from-native", "vmware-vmx", self.file(text))
        self.assertIn(f"[{STORE}] x/y.vmdk", mine)
        self.assertNotIn("secret", mine)
        if os.environ["VIREO_TEST_ESX"] == "host-raw":
            return  # libvirt cannot read that server
        theirs = self.libvirt("domxml-from-native", "vmware-vmx", self.file(text))
        self.assertEqual(plain(mine), plain(theirs))

    def test_documents_are_written_as_elsewhere(self):
        mine = self.virsh("domxml-to-native", "vmware-vmx", self.file(DOMAIN))
        self.assertIn('scsi0:0.fileName = "/vmfs/volumes/LocalDS_0/n/n.vmdk"', mine)
        if os.environ["VIREO_TEST_ESX"] == "host-raw":
            return
        theirs = settings(self.libvirt("domxml-to-native", "vmware-vmx", self.file(DOMAIN)))
        mine = settings(mine)
        # The guest is of 64 bits; libvirt calls both kinds the same, and knows no hardware after version 10.
        self.assertEqual({**mine, "guestOS": 0, "virtualHW.version": 0}, {**theirs, "guestOS": 0, "virtualHW.version": 0})
        self.assertGreaterEqual(int(mine["virtualHW.version"]), int(theirs["virtualHW.version"]))

    def test_there_and_back(self):
        for sample in sorted(SAMPLES.glob("*.vmx")):
            with self.subTest(sample.name):
                first = self.virsh("domxml-from-native", "vmware-vmx", str(sample))
                vmx = self.virsh("domxml-to-native", "vmware-vmx", self.file(first))
                self.assertEqual(self.virsh("domxml-from-native", "vmware-vmx", self.file(vmx)), first)

    def test_a_machine_of_the_server(self):
        """What dumpxml shows can be written, and reads as the same machine."""
        # The simulator has the CD-ROM in the hard disk's place.
        first = re.sub(r"<disk type='block'.*?</disk>", "", self.virsh("dumpxml", self.first), count=1, flags=re.S)
        vmx = self.virsh("domxml-to-native", "vmware-vmx", self.file(first))
        again = ElementTree.fromstring(self.virsh("domxml-from-native", "vmware-vmx", self.file(vmx)))
        before = ElementTree.fromstring(first)
        for path in ("name", "uuid", "memory", "vcpu", "devices/disk/source", "devices/interface/mac"):
            self.assertEqual([(one.attrib.get("file"), one.attrib.get("address"), one.text) for one in before.findall(path)],
                             [(one.attrib.get("file"), one.attrib.get("address"), one.text) for one in again.findall(path)], path)

    def test_refusals(self):
        self.assertIn("vmware-vmx", self.virsh_fails("domxml-from-native", "qemu-argv", self.file("x = \"y\"")))
        self.assertIn("line 1", self.virsh_fails("domxml-from-native", "vmware-vmx", self.file("hello")))
        self.assertIn("virtio", self.virsh_fails("domxml-to-native", "vmware-vmx",
                                                 self.file(DOMAIN.replace("vmxnet2", "virtio"))))


if __name__ == "__main__":
    main()
