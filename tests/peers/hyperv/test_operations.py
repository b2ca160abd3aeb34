#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: every operation that libvirt's own driver for Hyper-V has, by libvirt-python, and every state of the namespace v2."""
import atexit

import hypervtest
import vireotest
from hypervtest import HypervCase, Server, wait_until
from test_machine import CARD, DISK

try:
    import libvirt
except ImportError:
    vireotest.skip_file("python3-libvirt is missing")
libvirt.registerErrorHandler(lambda *args: None, None)
LAB = Server()  # whose address the daemon's settings know
atexit.register(LAB.stop)
for name, host in ("lab", "127.0.0.1"), ("other", "localhost"):
    vireotest.FILES["hyperv.conf"] += (f"[connection {name}]\nuri = hyperv://admin@{host}:{LAB.port}/\n"
                                       f"ca_file = {LAB.folder}/cert\n")

RUNNING, PAUSED, STOPPING, OFF = 1, 3, 4, 5
# EnabledState -> what a domain is then, and why where the state says so
STATES = {2: (RUNNING, None), 3: (OFF, None), 4: (STOPPING, None), 6: (OFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED),
          9: (PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER), 10: (RUNNING, None), 32768: (PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER),
          32769: (OFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED), 32770: (RUNNING, None), 32771: (RUNNING, None), 32773: (RUNNING, None),
          32774: (STOPPING, None), 32776: (RUNNING, None), 32777: (RUNNING, None), 32779: (OFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED),
          32781: (PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR), 32789: (PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR), 11: (0, None)}


class Sim(HypervCase):
    def setUp(self):
        super().setUp()
        self.conn = libvirt.open(self.uri())
        self.addCleanup(self.conn.close)

    def test_sim_connection(self):
        """Connections, what the host is, and lists."""
        conn = self.conn
        self.assertEqual((conn.getType(), conn.getVersion(), conn.getHostname()), ("Hyper-V", 1000020348, "hv1"))
        self.assertIn("<domain type='hyperv'/>", conn.getCapabilities())
        self.assertEqual(conn.getCPUMap(), (8, [True] * 8, 8))
        self.assertEqual((conn.getMaxVcpus("hyperv"), conn.getInfo()[1], conn.getFreeMemory()), (64, 32768, 8388608 << 10))
        # Whether it is encrypted says the client, of its own connection.
        self.assertEqual((conn.isEncrypted(), conn.isSecure(), conn.isAlive()), (0, 1, 1))
        self.define("off")
        self.define("on")
        self.virsh("start", "on")
        self.assertEqual((conn.numOfDomains(), conn.numOfDefinedDomains()), (1, 1))
        self.assertEqual((conn.listDefinedDomains(), [conn.lookupByID(one).name() for one in conn.listDomainsID()]), (["off"], ["on"]))
        self.assertEqual(sorted(one.name() for one in conn.listAllDomains()), ["off", "on"])
        self.assertEqual(conn.lookupByUUIDString(conn.lookupByName("on").UUIDString()).name(), "on")

    def test_sim_certificate(self):
        """Of an authority that the settings name, and of the host that was asked for."""
        base = f"hyperv+unix:///{{}}?socket={self.daemon.socket}"
        self.assertEqual(self.virsh("hostname", uri=base.format("lab")), "hv1")
        self.assertIn("SSL: no alternative certificate subject name matches",
                      self.virsh_fails("hostname", uri=base.format("other")))
        self.assertEqual(LAB.ask("service.strict"), [])

    def test_sim_domain(self):
        """The life of a machine."""
        host = "host.machine('vm')"
        dom = self.conn.defineXML(hypervtest.GUEST.format(name="vm", os=hypervtest.BIOS, devices=""))
        self.assertEqual((dom.isActive(), dom.isPersistent(), dom.isUpdated(), dom.OSType()), (0, 1, 0, "hvm"))
        self.assertEqual(dom.attachDeviceFlags(CARD, 2), 0)
        self.assertEqual((dom.setVcpusFlags(3, 2), dom.vcpusFlags(2), dom.maxMemory()), (0, 3, 512 << 10))
        self.assertEqual((dom.setMaxMemory(1 << 20), dom.maxMemory()), (0, 1 << 20))
        self.assertEqual((dom.setAutostart(1), dom.autostart(), dom.setAutostart(0), dom.autostart()), (0, 1, 0, 0))
        self.assertEqual((dom.create(), dom.isActive(), dom.state()[0], dom.info()[0]), (0, 1, 1, 1))
        self.assertEqual(dom.attachDevice(DISK), 0)
        self.assertEqual((dom.setMemory(768 << 10), dom.setMemoryFlags(512 << 10, 1), dom.maxVcpus()), (0, 0, 3))
        self.assertEqual(dom.vcpus()[0][0][:3], (0, 1, 1234567800))
        self.assertEqual((dom.schedulerType()[0], sorted(dom.schedulerParameters()), dom.schedulerParametersFlags(0)["weight"]),
                         ("allocation", ["limit", "reservation", "weight"], 100))
        self.assertEqual((dom.suspend(), dom.state()[0], dom.resume(), dom.state()[0]), (0, 3, 0, 1))
        self.assertEqual((dom.reboot(), dom.reset(), dom.sendKey(0, 0, [30], 1)), (0, 0, 0))
        self.assertEqual(dom.screenshot(self.conn.newStream(), 0), "image/x-portable-pixmap")
        self.assertEqual((dom.managedSave(), dom.hasManagedSaveImage(), self.ask(host)["EnabledState"]), (0, 1, 6))
        self.assertEqual((dom.managedSaveRemove(), dom.hasManagedSaveImage(), self.ask(host)["EnabledState"]), (0, 0, 3))
        self.assertEqual((dom.createWithFlags(0), dom.shutdown()), (0, 0))
        wait_until(lambda: not dom.isActive(), 10, "it is off")
        self.assertEqual((dom.create(), dom.shutdownFlags(0)), (0, 0))
        wait_until(lambda: not dom.isActive(), 10, "it is off")
        self.assertEqual((dom.create(), dom.destroy(), dom.create(), dom.destroyFlags(0)), (0, 0, 0, 0))
        self.assertIn("<name>vm</name>", dom.XMLDesc())
        self.assertEqual(dom.undefineFlags(0), 0)
        self.assertEqual(self.conn.defineXML(hypervtest.GUEST.format(name="vm", os=hypervtest.BIOS, devices="")).undefine(), 0)
        self.assertEqual(self.conn.listAllDomains(), [])

    def test_sim_networks(self):
        conn = self.conn
        net = conn.networkLookupByName("Default Switch")
        self.assertEqual((conn.numOfNetworks(), conn.listNetworks(), conn.numOfDefinedNetworks()), (1, ["Default Switch"], 0))
        self.assertEqual([one.name() for one in conn.listAllNetworks()], ["Default Switch"])
        self.assertEqual(conn.networkLookupByUUID(net.UUID()).name(), "Default Switch")
        self.assertEqual((net.autostart(), net.isActive(), net.isPersistent(), conn.listDefinedNetworks()), (1, 1, 1, []))
        self.assertIn("<name>Default Switch</name>", net.XMLDesc())

    def test_sim_states(self):
        """Those of the namespace v2: 9 is paused and 6 is saved."""
        self.define("vm")
        dom = self.conn.lookupByName("vm")
        for state, (here, reason) in STATES.items():
            with self.subTest(state):
                self.ask(f"host.set_state(host.machine('vm'), {state})")
                wait_until(lambda w=here: dom.state()[0] == w, 10, f"{state} is seen as {here}")
                saved = reason == libvirt.VIR_DOMAIN_SHUTOFF_SAVED and here == OFF
                wait_until(lambda w=saved: dom.hasManagedSaveImage() == w, 10, f"{state} is seen as saved: {saved}")
                if reason is not None:
                    wait_until(lambda w=reason: dom.state()[1] == w, 10, f"{state} is seen with the reason {reason}")
        self.ask("host.set_state(host.machine('vm'), 3)")

    def test_sim_no_console(self):
        """The refusal says what there is instead."""
        self.define("vm")
        self.virsh("start", "vm")
        with self.assertRaisesRegex(libvirt.libvirtError, "screenshot and send-key"):
            self.conn.lookupByName("vm").openConsole(None, self.conn.newStream(), 0)


if __name__ == "__main__":
    hypervtest.main()
