# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the vbox driver: figures of running machines."""
import libvirt

from vboxtest import ROOT, VboxCase, main, manage, wait_until

MAC = "08:00:27:aa:bb:cc"
CARD = f"<interface type='user'><mac address='{MAC}'/><model type='82540EM'/></interface>"


class Stats(VboxCase):
    def setUp(self):
        super().setUp()
        self.define_booted("g", CARD)

    def cpu_time(self):
        return int(self.virsh("domstats", "g", "--cpu-total").rpartition("cpu.time=")[2])

    def counted(self, pattern):
        """What VBoxManage reads from the same debugger."""
        return manage("debugvm", "g", "statistics", f"--pattern={pattern}")

    def test_running(self):
        self.assertNotIn("CPU time", self.info("g"))
        self.boot("g")
        first = self.cpu_time()
        self.assertGreater(first, 0)
        self.assertRegex(self.info("g")["CPU time"], r"\d\.\ds")
        self.press("g", "KEY_A", 2)
        wait_until(lambda: self.cpu_time() > first, 10, "time goes by")
        block = dict(line.split()[1:] for line in self.virsh("domblkstat", "g", "hda").splitlines())
        self.assertGreaterEqual(int(block["rd_bytes"]), 512)  # the guest's boot sector
        self.assertGreaterEqual(int(block["rd_req"]), 1)
        self.assertIn(f'c="{block["rd_bytes"]}"', self.counted("/Public/Storage/PIIX3IDE0/Port0/BytesRead"))
        self.assertEqual(self.virsh("domblkstat", "g", "/root/g.vdi").split()[1:3], ["rd_req", block["rd_req"]])
        self.assertIn("has no disk 'hdz'", self.virsh_fails("domblkstat", "g", "hdz"))
        card = dict(line.split()[1:] for line in self.virsh("domifstat", "g", MAC).splitlines())
        self.assertEqual(set(card), {"rx_bytes", "tx_bytes"})
        self.assertIn("no interface with the MAC address 'eth0'", self.virsh_fails("domifstat", "g", "eth0"))
        self.assertIn("actual 8192", self.virsh("dommemstat", "g"))

    def test_sizes(self):
        """Of the file that is written to."""
        for snapshots in 0, 1:
            told = dict(line.split() for line in self.virsh("domblkinfo", "g", "hda").replace(":", "").splitlines())
            path = self.virsh("domblklist", "g").splitlines()[-1].split(maxsplit=1)[1]
            self.assertEqual((path == "/root/g.vdi", int(told["Capacity"])), (snapshots == 0, 1 << 20))
            size = (ROOT / path[1:]).stat().st_size
            self.assertEqual((int(told["Allocation"]), int(told["Physical"])), (size, size))
            self.virsh("snapshot-create-as", "g", f"s{snapshots}")
        self.assertIn("has no disk 'hdz'", self.virsh_fails("domblkinfo", "g", "hdz"))

    def test_addresses(self):
        """The Guest Additions write them as properties; so does VBoxManage."""
        self.assertIn("ask the source 'agent'", self.virsh_fails("domifaddr", "g"))
        self.assertIn("is not running", self.virsh_fails("domifaddr", "g", "--source", "agent"))
        self.virsh("start", "g")
        self.assertIn("tell nothing", self.virsh_fails("domifaddr", "g", "--source", "agent"))
        for name, value in {"Count": "2", "0/Name": "enp0s3", "0/MAC": "080027AABBCC", "0/V4/IP": "10.0.2.15",
                            "0/V4/Netmask": "255.255.255.0", "1/MAC": "x"}.items():
            manage("guestproperty", "set", "g", f"/VirtualBox/GuestInfo/Net/{name}", value)
        self.assertEqual(self.virsh("domifaddr", "g", "--source", "agent").split(),
                         ["enp0s3", MAC, "ipv4", "10.0.2.15/24", "1", "x", "N/A", "N/A"])

    def test_all(self):
        self.boot("g")
        manage("createvm", "--name", "off", "--register")
        wait_until(lambda: "off" in self.names("list", "--all", "--name"), 5, "it is seen")
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        told = {dom.name(): figures for dom, figures in conn.getAllDomainStats()}
        self.assertEqual(told["off"]["state.state"], libvirt.VIR_DOMAIN_SHUTOFF)
        self.assertNotIn("cpu.time", told["off"])
        on = told["g"]
        self.assertGreater(on["cpu.time"], 0)
        self.assertEqual([on[key] for key in ("block.count", "block.0.name", "block.0.path", "net.count", "net.0.name")],
                         [1, "hda", "/root/g.vdi", 1, MAC])
        self.assertGreaterEqual(on["block.0.rd.bytes"], 512)
        self.assertEqual((on["vcpu.current"], on["balloon.current"]), (1, 8192))
        self.assertEqual(self.virsh("domstats", "--list-running", "--raw", "--state").splitlines()[0], "Domain: 'g'")
        self.assertIn("are not served", self.virsh_fails("domstats", "--perf", "--enforce"))

    def test_off(self):
        for command in (("domblkstat", "g", "hda"), ("domifstat", "g", MAC), ("dommemstat", "g")):
            self.assertIn("is not running", self.virsh_fails(*command))


if __name__ == "__main__":
    main()
