# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interfaces of containers: from the beginning, and while they run."""
import os
import socket
import subprocess

import lxctest
from lxctest import wait_until


def run(*command):
    subprocess.run(command, check=True)


def bridge(case, name, address=None):
    run("ip", "link", "add", name, "type", "bridge")
    case.addCleanup(run, "ip", "link", "del", name)
    if address:
        run("ip", "address", "add", address, "dev", name)
    run("ip", "link", "set", name, "up")


def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (address, 9))


class Interfaces(lxctest.Case):
    def setUp(self):
        super().setUp()
        bridge(self, "br0", "10.9.0.1/24")

    def test_on_a_bridge(self):
        self.start("a", devices="<interface type='bridge'><mac address='52:54:00:01:02:03'/><source bridge='br0'/>"
                                "<ip address='10.9.0.2' prefix='24'/></interface>")
        self.assertIn("52:54:00:01:02:03", self.inside("a", "/bin/cat", "/sys/class/net/eth0/address"))
        addresses = self.virsh("domifaddr", "a", "--source", "agent")
        self.assertRegex(addresses, r"eth0 +52:54:00:01:02:03 +ipv4 +10.9.0.2/24")
        target = self.xml("a").find("devices/interface/target").get("dev")
        self.assertTrue(os.path.exists(f"/proc/sys/net/ipv4/conf/{target}"))
        send("10.9.0.2")
        text = self.virsh("domifstat", "a", target)
        received = int(next(row for row in text.splitlines() if "rx_bytes" in row).split()[2])
        self.assertGreater(received, 0)
        self.assertIn(f"net.0.name={target}", self.virsh("domstats", "a", "--interface"))
        self.assertIsNone(self.xml("a", "--inactive").find("devices/interface/target"))
        self.virsh("destroy", "a")
        wait_until(lambda: not os.path.exists(f"/proc/sys/net/ipv4/conf/{target}"), 5, "its interface is gone")

    def test_what_another_has_is_shared_by_name_only(self):
        self.start("a")
        share = "<lxc:namespace xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>" \
                "<lxc:sharenet type='name' value='{}'/></lxc:namespace>"
        xml = self.container_xml("b").replace("</domain>", share.format("a") + "</domain>")
        self.virsh("create", self.write("b.xml", xml))
        self.assertEqual(os.readlink(f"/proc/{self.init_pid('a')}/ns/net"),
                         os.readlink(f"/proc/{self.init_pid('b')}/ns/net"))
        bad = self.container_xml("c").replace("</domain>", share.format("none") + "</domain>")
        self.assertIn("no such container runs", self.virsh_fails("create", self.write("c.xml", bad)))

    def test_a_network_is_not_known(self):
        path = self.write("n.xml", self.container_xml("n", devices="<interface type='network'><source network='default'/>"
                                                                   "</interface>"))
        self.assertIn("name the network's bridge", self.virsh_fails("define", path))


class Hotplug(lxctest.Case):
    """Into a container that runs, and out of it."""

    def setUp(self):
        super().setUp()
        bridge(self, "br0", "10.9.0.1/24")

    def cards(self, name):
        """What the container has besides its loopback."""
        rows = self.inside(name, "/bin/cat", "/proc/net/dev").splitlines()[2:]
        return sorted({row.split(":")[0].strip() for row in rows} - {"lo"})

    def xml_file(self, text):
        return self.write("device.xml", text)

    def test_a_card_comes_and_goes(self):
        self.start("a")
        self.assertEqual(self.cards("a"), [])
        self.virsh("attach-interface", "a", "bridge", "br0", "--mac", "52:54:00:01:02:03", "--live", "--config")
        self.assertEqual(self.cards("a"), ["eth0"])
        self.assertIn("52:54:00:01:02:03", self.inside("a", "/bin/cat", "/sys/class/net/eth0/address"))
        target = self.xml("a").find("devices/interface/target").get("dev")
        self.assertEqual(lxctest.link(target)["master"], "br0")
        self.assertIn("already", self.virsh_fails("attach-interface", "a", "bridge", "br0", "--mac", "52:54:00:01:02:03"))
        self.reload_daemon()
        self.virsh("detach-interface", "a", "bridge", "--mac", "52:54:00:01:02:03", "--live")
        self.assertEqual(self.cards("a"), [])
        self.assertIsNone(lxctest.link(target))
        self.assertIsNone(self.xml("a").find("devices/interface"))
        self.assertIsNotNone(self.xml("a", "--inactive").find("devices/interface"))

    def test_addresses_and_a_way_out(self):
        self.start("a")
        self.virsh("attach-device", "a", self.xml_file(
            "<interface type='bridge'><mac address='52:54:00:01:02:04'/><source bridge='br0'/>"
            "<ip address='10.9.0.7' prefix='24'/><ip family='ipv6' address='fd00::7' prefix='64'/>"
            "<route address='0.0.0.0' prefix='0' gateway='10.9.0.1'/><guest dev='lan'/><mtu size='1400'/></interface>"))
        self.assertEqual(self.cards("a"), ["lan"])
        addresses = self.virsh("domifaddr", "a", "--source", "agent")
        self.assertRegex(addresses, r"lan +52:54:00:01:02:04 +ipv4 +10.9.0.7/24")
        self.assertIn("fd00::7/64", addresses)
        self.assertEqual(self.inside("a", "/bin/cat", "/sys/class/net/lan/mtu"), "1400")
        self.assertIn("default via 10.9.0.1", self.inside("a", "/bin/ip", "route"))
        target = self.xml("a").find("devices/interface/target").get("dev")
        before = self.received("a", target)
        send("10.9.0.7")
        wait_until(lambda: self.received("a", target) > before, 5, "what was sent")

    def received(self, name, target):
        return int(next(row for row in self.virsh("domifstat", name, target).splitlines() if "rx_bytes" in row).split()[2])

    def test_the_cable(self):
        self.start("a", devices="<interface type='bridge'><mac address='52:54:00:01:02:05'/><source bridge='br0'/>"
                                "<link state='down'/></interface>")
        target = self.xml("a").find("devices/interface/target").get("dev")

        def carrier():
            return self.inside("a", "/bin/cat", "/sys/class/net/eth0/carrier")
        self.assertEqual(carrier(), "0")
        self.virsh("domif-setlink", "a", target, "up")
        self.assertEqual(carrier(), "1")
        self.assertIn("up", self.virsh("domif-getlink", "a", target))
        self.virsh("domif-setlink", "a", "52:54:00:01:02:05", "down")
        self.assertEqual(carrier(), "0")
        self.assertIn("down", self.virsh("domif-getlink", "a", target))

    def test_another_bridge_and_nothing_else(self):
        bridge(self, "br1")
        self.start("a", devices="<interface type='bridge'><mac address='52:54:00:01:02:06'/><source bridge='br0'/></interface>")
        target = self.xml("a").find("devices/interface/target").get("dev")
        card = "<interface type='bridge'><mac address='52:54:00:01:02:06'/><source bridge='{}'/>{}</interface>"
        self.virsh("update-device", "a", self.xml_file(card.format("br1", "")), "--live")
        self.assertEqual(lxctest.link(target)["master"], "br1")
        self.assertEqual(self.xml("a").find("devices/interface/source").get("bridge"), "br1")
        self.assertIn("no bridge 'br9'",
                      self.virsh_fails("update-device", "a", self.xml_file(card.format("br9", "")), "--live"))
        self.assertIn("only the link state and the bridge",
                      self.virsh_fails("update-device", "a", self.xml_file(card.format("br1", "<mtu size='1400'/>"))))
        self.assertEqual(self.xml("a").find("devices/interface/source").get("bridge"), "br1")

    def test_directly_on_a_card_of_the_host(self):
        self.start("a")
        card = self.xml_file("<interface type='direct'><mac address='52:54:00:01:02:07'/><source dev='br0' mode='bridge'/>"
                             "<ip address='10.9.0.8' prefix='24'/></interface>")
        self.virsh("attach-device", "a", card)
        self.assertEqual(self.cards("a"), ["eth0"])
        self.assertIn("10.9.0.8/24", self.virsh("domifaddr", "a", "--source", "agent"))
        self.assertGreater(self.received("a", "52:54:00:01:02:07"), -1)
        self.assertIn("net.0.name=eth0", self.virsh("domstats", "a", "--interface"))
        self.virsh("detach-device", "a", card)
        self.assertEqual(self.cards("a"), [])

    def test_a_card_of_the_host_itself(self):
        run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
        self.addCleanup(run, "ip", "link", "del", "here")
        self.start("a")
        card = self.xml_file("<hostdev mode='capabilities' type='net'><source><interface>there</interface></source></hostdev>")
        self.virsh("attach-device", "a", card)
        self.assertEqual((self.cards("a"), lxctest.link("there")), (["there"], None))
        self.virsh("detach-device", "a", card)
        self.assertEqual(self.cards("a"), [])
        self.assertIsNotNone(lxctest.link("there"))


if __name__ == "__main__":
    lxctest.main()
