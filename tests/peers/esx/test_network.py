# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: switches as networks, the host's cards as interfaces. What is done is looked at from outside."""
import xml.etree.ElementTree as ElementTree

from esxtest import CENTER, MODE, EsxCase, Witness, main

# The simulator shows only then what it is told.
TOLD = MODE != "host-raw"
NETWORK = """<network>
  <name>lab</name>
  <forward mode='bridge'><interface dev='vmnic0'/></forward>
  <bandwidth><inbound average='100' peak='200' burst='300'/><outbound average='100' peak='200' burst='300'/></bandwidth>
  <portgroup name='lab one'/>
  <portgroup name='lab two'><vlan><tag id='42'/></vlan></portgroup>
</network>"""


class Networks(EsxCase):
    def setUp(self):
        super().setUp()
        self.witness = Witness(self.simulator.server)
        self.addCleanup(self.witness.connection.close)

    def define(self, text, refused=False):
        path = self.work / "network.xml"
        path.write_text(text)
        return (self.virsh_fails if refused else self.virsh)("net-define", str(path))

    def seen(self, what):
        return self.witness.host(f"config.network.{what}")

    def test_list(self):
        self.assertEqual(self.virsh("net-list", "--name").split(), ["vSwitch0"])
        self.assertEqual(self.virsh("net-list", "--inactive", "--name").split(), [])
        number = self.virsh("net-uuid", "vSwitch0")
        self.assertEqual(number, "2f467347-8b4e-8655-e7d6-c4c3fb968009")  # as libvirt's driver makes it
        self.assertEqual(self.virsh("net-name", number), "vSwitch0")

    def test_describe(self):
        network = ElementTree.fromstring(self.virsh("net-dumpxml", "vSwitch0"))
        self.assertEqual(network.find("forward").attrib, {"dev": "vmnic0", "mode": "bridge"})
        self.assertEqual([one.get("dev") for one in network.findall("forward/interface")], ["vmnic0"])
        self.assertEqual([one.get("name") for one in network.findall("portgroup")], ["VM Network"])

    if TOLD:
        def test_define_and_undefine(self):
            self.define(NETWORK)
            self.assertIn("<name>lab</name>", self.seen("vswitch"))
            for words in ("<name>lab one</name>", "<name>lab two</name>", "<vlanId>42</vlanId>"):
                self.assertIn(words, self.seen("portgroup"))
            network = ElementTree.fromstring(self.virsh("net-dumpxml", "lab"))
            self.assertEqual([one.get("name") for one in network.findall("portgroup")], ["lab one", "lab two"])
            self.assertEqual(network.find("portgroup/vlan/tag").get("id"), "42")
            self.assertIn("exists", self.define(NETWORK, refused=True))
            self.virsh("net-undefine", "lab")
            self.assertNotIn("<name>lab</name>", self.seen("vswitch"))
            self.assertNotIn("<name>lab one</name>", self.seen("portgroup"))
            self.assertEqual(self.virsh("net-list", "--all", "--name").split(), ["vSwitch0"])

        def test_all_or_nothing(self):
            """The second port group has a name that is taken."""
            self.assertIn("DuplicateName", self.define(NETWORK.replace("lab two", "VM Network"), refused=True))
            self.assertNotIn("<name>lab</name>", self.seen("vswitch"))
            self.assertNotIn("<name>lab one</name>", self.seen("portgroup"))
            self.assertEqual(self.virsh("net-list", "--all", "--name").split(), ["vSwitch0"])
            own = NETWORK.replace("</name>", "</name><uuid>00000000-0000-0000-0000-000000000001</uuid>", 1)
            self.assertIn("another UUID", self.define(own, refused=True))
            self.assertNotIn("<name>lab one</name>", self.seen("portgroup"))

    def test_refusals(self):
        for old, new, words in (("mode='bridge'", "mode='nat'", "forward mode is bridge"),
                                ("vmnic0", "vmnic7", "no network card 'vmnic7'"),
                                ("peak='200' burst='300'/></band", "peak='201' burst='300'/></band", "one <bandwidth>"),
                                ("<tag id='42'/>", "<tag id='42'/><tag id='43'/>", "one tag"),
                                ("<bandwidth>", "<ip address='192.0.2.1'/><bandwidth>", "network.ip")):
            self.assertIn(words, self.define(NETWORK.replace(old, new), refused=True))
        self.assertNotIn("<name>lab</name>", self.seen("vswitch"))

    def test_what_a_host_does_by_itself(self):
        self.virsh("net-autostart", "vSwitch0")
        self.assertIn("sets up all of its switches", self.virsh_fails("net-autostart", "vSwitch0", "--disable"))
        self.assertIn("not supported", self.virsh_fails("net-destroy", "vSwitch0"))


class Interfaces(EsxCase):
    MAC = "00:0c:29:81:d8:a0"

    def test_list(self):
        self.assertEqual(self.virsh("iface-list", "--all").split()[:3], ["vmnic0", "active", self.MAC])
        self.assertEqual(self.virsh("iface-list", "--inactive"), "")

    def test_lookup(self):
        self.assertEqual(self.virsh("iface-mac", "vmnic0"), self.MAC)
        self.assertEqual(self.virsh("iface-name", self.MAC), "vmnic0")
        self.assertIn("nothing", self.virsh_fails("iface-mac", "nothing"))

    def test_describe(self):
        interface = ElementTree.fromstring(self.virsh("iface-dumpxml", "vmnic0"))
        self.assertEqual(interface.attrib, {"type": "ethernet", "name": "vmnic0"})
        self.assertEqual(interface.find("mac").get("address"), self.MAC)
        self.assertEqual(interface.find("link").attrib, {"speed": "10000", "state": "up"})
        self.assertIsNone(ElementTree.fromstring(self.virsh("iface-dumpxml", "--inactive", "vmnic0")).find("link"))
        self.assertIn("not supported", self.virsh_fails("iface-destroy", "vmnic0"))


if __name__ == "__main__":
    main()
