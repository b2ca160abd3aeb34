# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the vbox driver: host-only adapters as networks."""
import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import libvirt

from vboxtest import ROOT, VboxCase, main, manage, wait_until

NETWORK = """<network><name>{name}</name>{more}
  <ip address='192.168.77.1' netmask='255.255.255.0'>{dhcp}</ip></network>
"""
RANGE = "<dhcp><range start='192.168.77.100' end='192.168.77.199'/></dhcp>"
LEASES = """<?xml version="1.0"?>
<Leases version="1.0"><Lease mac="08:00:27:aa:bb:cc" network="0.0.0.0" state="acked">
<Address value="192.168.77.101"/><Time issued="{issued}" expiration="600"/></Lease></Leases>
"""


def blocks(what):
    """VBoxManage's own: [{key: value}, ...]."""
    found = re.split(r"\n\s*\n", manage("list", what).strip())
    pairs = ([re.split(r":\s+", line, maxsplit=1) for line in block.splitlines() if re.match(r"\w.*:\s+\S", line)]
             for block in found)
    return [dict(block) for block in pairs if block]


class Networks(VboxCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.sweep_networks)

    def sweep_networks(self):
        for adapter in blocks("hostonlyifs"):
            manage("hostonlyif", "remove", adapter["Name"])
        for server in blocks("dhcpservers"):
            manage("dhcpserver", "remove", f"--network={server['NetworkName']}", check=False)
        wait_until(lambda: self.nets() == [], 5, "no network is left")

    def nets(self, *args):
        return self.names("net-list", "--all", "--name", *args)

    def write(self, name="vboxnet0", dhcp=RANGE, more=""):
        path = Path(self.work) / "net.xml"
        path.write_text(NETWORK.format(name=name, dhcp=dhcp, more=more), encoding="utf-8")
        return str(path)

    def info(self, name="vboxnet0"):
        return dict(re.split(r":\s+", line) for line in self.virsh("net-info", name).splitlines())

    def test_life(self):
        self.virsh("net-define", self.write())
        self.assertEqual(self.nets(), ["vboxnet0"])
        self.assertEqual(self.names("net-list", "--inactive", "--name"), ["vboxnet0"])
        adapter, server = blocks("hostonlyifs")[0], blocks("dhcpservers")[0]
        self.assertEqual((adapter["Name"], adapter["IPAddress"], adapter["NetworkMask"]),
                         ("vboxnet0", "192.168.77.1", "255.255.255.0"))
        self.assertEqual([server[key] for key in ("LowerIPAddress", "UpperIPAddress", "Enabled")],
                         ["192.168.77.100", "192.168.77.199", "No"])
        self.assertEqual(adapter["GUID"], self.virsh("net-uuid", "vboxnet0"))
        self.virsh("net-start", "vboxnet0")
        self.assertEqual([self.info()[key] for key in ("Active", "Persistent", "Autostart", "Bridge")],
                         ["yes", "yes", "no", "vboxnet0"])
        self.assertEqual((blocks("dhcpservers")[0]["Enabled"], blocks("hostonlyifs")[0]["Status"]), ("Yes", "Up"))
        self.assertIn("is active already", self.virsh_fails("net-start", "vboxnet0"))
        self.virsh("net-destroy", "vboxnet0")
        self.assertEqual((self.info()["Active"], blocks("dhcpservers")[0]["Enabled"]), ("no", "No"))
        self.assertIn("is not active", self.virsh_fails("net-destroy", "vboxnet0"))
        self.assertIn("no other autostart", self.virsh_fails("net-autostart", "vboxnet0"))
        self.virsh("net-autostart", "vboxnet0", "--disable")
        self.virsh("net-undefine", "vboxnet0")
        self.assertEqual((self.nets(), blocks("hostonlyifs"), blocks("dhcpservers")), ([], [], []))

    def test_document(self):
        self.virsh("net-create", self.write())
        text = self.virsh("net-dumpxml", "vboxnet0")
        xml = ElementTree.fromstring(text)
        self.assertEqual(xml.find("ip").attrib, {"address": "192.168.77.1", "netmask": "255.255.255.0"})
        self.assertEqual(xml.find("ip/dhcp/range").attrib, {"start": "192.168.77.100", "end": "192.168.77.199"})
        path = Path(self.work) / "again.xml"
        path.write_text(text.replace("77.199", "77.150"), encoding="utf-8")
        self.virsh("net-define", str(path))
        self.assertEqual(blocks("dhcpservers")[0]["UpperIPAddress"], "192.168.77.150")
        self.assertEqual(self.info()["Active"], "yes")
        self.virsh("net-undefine", "vboxnet0")
        self.virsh("net-define", str(path))
        self.assertEqual(self.virsh("net-dumpxml", "vboxnet0"), text.replace("77.199", "77.150"))

    def test_without_dhcp(self):
        self.virsh("net-create", self.write(dhcp=""))
        self.assertEqual((self.info()["Active"], blocks("dhcpservers")), ("yes", []))
        self.assertNotIn("dhcp", self.virsh("net-dumpxml", "vboxnet0"))
        self.virsh("net-destroy", "vboxnet0")
        self.assertEqual(self.info()["Active"], "no")
        self.virsh("net-start", "vboxnet0")
        self.assertEqual((self.info()["Active"], blocks("dhcpservers")), ("yes", []))

    def test_refusals(self):
        for more, words in (("<forward mode='nat'/>", "network.forward"),
                            ("<bridge name='virbr0'/>", "has the name of the network"),
                            ("<uuid>0a1f7f1e-4c4c-4c6b-9f7e-0b6b6a3c7a01</uuid>", "gives its host-only adapters their UUIDs"),
                            ("<ip address='10.0.0.1' prefix='8'/>", "gets one IPv4 address")):
            self.assertIn(words, self.virsh_fails("net-define", self.write(more=more)))
        for dhcp, words in (("<dhcp><range start='10.0.0.1' end='10.0.0.9'/></dhcp>", "has to be within the network"),
                            ("<dhcp><range start='192.168.77.2' end='192.168.77.254'/></dhcp>", "leaves no address"),
                            ("<tftp root='/x'/>", "network.ip.tftp")):
            self.assertIn(words, self.virsh_fails("net-define", self.write(dhcp=dhcp)))
        self.assertIn("a new one is called 'vboxnet0', not 'lan'", self.virsh_fails("net-define", self.write("lan")))
        self.assertEqual((blocks("hostonlyifs"), blocks("dhcpservers")), ([], []))

    def test_leases(self):
        self.virsh("net-create", self.write())
        self.define("g", "<interface type='network'><mac address='08:00:27:aa:bb:cc'/><source network='vboxnet0'/></interface>")
        self.assertEqual(self.virsh("net-dhcp-leases", "vboxnet0").splitlines(), [])
        leases = ROOT / "root" / ".config" / "VirtualBox" / "HostInterfaceNetworking-vboxnet0-Dhcpd.leases"
        leases.write_text(LEASES.format(issued=int(time.time())), encoding="ascii")
        self.addCleanup(leases.unlink)
        self.assertRegex(self.virsh("net-dhcp-leases", "vboxnet0"), r"08:00:27:aa:bb:cc +ipv4 +192\.168\.77\.101/24")
        self.assertNotIn("ipv4", self.virsh("net-dhcp-leases", "vboxnet0", "--mac", "08:00:27:00:00:01"))

    def test_others_change_it(self):
        """As an event, too."""
        libvirt.virEventRegisterDefaultImpl()
        seen = []
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        mark = conn.networkEventRegisterAny(None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE,
                                            lambda _c, net, event, _d, _o: seen.append((net.name(), event)), None)

        def sees(*expected):
            timer = libvirt.virEventAddTimeout(20, lambda *_: None, None)
            end = time.monotonic() + 5
            while seen != list(expected) and time.monotonic() < end:
                libvirt.virEventRunDefaultImpl()
            libvirt.virEventRemoveTimeout(timer)
            self.assertEqual(seen, list(expected))
            seen.clear()

        manage("hostonlyif", "create")
        sees(("vboxnet0", libvirt.VIR_NETWORK_EVENT_DEFINED))
        self.assertEqual(self.nets(), ["vboxnet0"])
        manage("hostonlyif", "ipconfig", "vboxnet0", "--ip=192.168.80.1", "--netmask=255.255.255.0")
        sees(("vboxnet0", libvirt.VIR_NETWORK_EVENT_STARTED))
        self.assertEqual([net.name() for net in conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)], ["vboxnet0"])
        manage("hostonlyif", "remove", "vboxnet0")
        sees(("vboxnet0", libvirt.VIR_NETWORK_EVENT_STOPPED), ("vboxnet0", libvirt.VIR_NETWORK_EVENT_UNDEFINED))
        conn.networkEventDeregisterAny(mark)


if __name__ == "__main__":
    main()
