# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: the daemon and its host."""
import re
import socket
import struct
import xml.etree.ElementTree as ElementTree

import vireotest


class Host(vireotest.VirshCase):
    def test_version(self):
        out = self.virsh("version", "--daemon")
        self.assertRegex(out, r"Using library: libvirt \d+\.\d+\.\d+")
        self.assertRegex(out, r"Running hypervisor: QEMU \d+\.\d+")
        self.assertRegex(out, r"Running against daemon: \d+\.\d+\.\d+")

    def test_uri(self):
        self.assertEqual(self.virsh("uri"), self.daemon.uri())

    def test_hostname(self):
        self.assertRegex(self.virsh("hostname"), r"^[\w.-]+$")

    def test_nodeinfo(self):
        info = dict(line.split(":", 1) for line in self.virsh("nodeinfo").splitlines())
        self.assertEqual(info["CPU model"].strip(), "x86_64")
        self.assertGreaterEqual(int(info["CPU(s)"]), 1)
        memory = int(info["Memory size"].split()[0])
        with open("/proc/meminfo", encoding="ascii") as stream:
            total = int(re.search(r"MemTotal: +(\d+)", stream.read()).group(1))
        self.assertTrue(total / 2 < memory < total * 2, (memory, total))

    def test_nodecpumap(self):
        out = self.virsh("nodecpumap")
        present = int(re.search(r"CPUs present: +(\d+)", out).group(1))
        online = int(re.search(r"CPUs online: +(\d+)", out).group(1))
        self.assertGreaterEqual(present, online)
        self.assertGreaterEqual(online, 1)

    def test_nodecpustats(self):
        out = self.virsh("nodecpustats")
        for key in ("user", "system", "idle", "iowait"):
            self.assertRegex(out, rf"(?m)^{key}: +\d+$")

    def test_nodecpustats_percent(self):
        self.assertRegex(self.virsh("nodecpustats", "--percent"), r"usage: +\d+\.\d%")

    def test_nodememstats(self):
        out = self.virsh("nodememstats")
        total = int(re.search(r"total *: +(\d+) KiB", out).group(1))
        free = int(re.search(r"free *: +(\d+) KiB", out).group(1))
        self.assertGreater(total, free)

    def test_freecell(self):
        self.assertRegex(self.virsh("freecell"), r"\d+ KiB")

    def test_freepages(self):
        self.assertRegex(self.virsh("freepages", "--cellno", "0", "--pagesize", "4"), r"4KiB: \d+")

    def test_maxvcpus(self):
        self.assertGreaterEqual(int(self.virsh("maxvcpus", "--type", "qemu")), 2)

    def test_cpu_models(self):
        models = self.virsh("cpu-models", "x86_64").split()
        self.assertIn("qemu64", models)
        self.assertGreater(len(models), 20)

    def test_capabilities(self):
        caps = ElementTree.fromstring(self.virsh("capabilities"))
        self.assertEqual(caps.find("host/cpu/arch").text, "x86_64")
        self.assertRegex(caps.find("host/uuid").text, r"^[0-9a-f-]{36}$")
        guest = [g for g in caps.findall("guest") if g.find("arch").get("name") == "x86_64"]
        self.assertEqual(len(guest), 1)
        self.assertEqual(guest[0].find("os_type").text, "hvm")
        self.assertIn("qemu", [d.get("type") for d in guest[0].findall("arch/domain")])
        machines = [m.text for m in guest[0].findall("arch/machine")]
        self.assertIn("pc", machines)
        self.assertIn("q35", machines)
        self.assertTrue(guest[0].find("arch/emulator").text.startswith("/"))

    def test_domcapabilities(self):
        caps = ElementTree.fromstring(self.virsh("domcapabilities", "--virttype", "qemu"))
        self.assertEqual(caps.tag, "domainCapabilities")
        self.assertEqual(caps.find("domain").text, "qemu")
        self.assertEqual(caps.find("arch").text, "x86_64")
        self.assertGreaterEqual(int(caps.find("vcpu").get("max")), 2)
        buses = [v.text for v in caps.findall("devices/disk/enum[@name='bus']/value")]
        self.assertIn("virtio", buses)
        self.assertIn("ide", buses)

    def test_domcapabilities_of_nothing(self):
        self.virsh_fails("domcapabilities", "--arch", "x86_64", "--machine", "no-such-machine")

    def test_sysinfo(self):
        done = self.virsh_raw("sysinfo")
        if done.returncode:    # dmidecode cannot work everywhere, then an error must say so
            self.assertIn("error:", done.stderr)
        else:
            self.assertEqual(ElementTree.fromstring(done.stdout).tag, "sysinfo")

    def test_list_of_nothing(self):
        self.assertEqual(self.virsh("list", "--all", "--name"), "")

    def test_uri_of_none(self):
        """No URI at all is an error; an empty one asks for the default. No stock client can send the first."""
        for name, status in ((None, 1), (b"", 0)):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(self.daemon.socket)
                self.assertEqual(self.ask(client, 66, b"")[0], 0)    # AUTH_LIST
                body = struct.pack(">I", 0) if name is None else struct.pack(">II", 1, len(name))
                self.assertEqual(self.ask(client, 1, body + struct.pack(">I", 0))[0], status)
                self.assertIn(b"qemu:///system" if status == 0 else b"connection not open", self.ask(client, 110, b"")[1])

    @staticmethod
    def ask(client, procedure, body):
        """Status and body of the answer."""
        client.sendall(struct.pack(">7I", 28 + len(body), 0x20008086, 1, procedure, 0, 1, 0) + body)
        answer = client.makefile("rb", buffering=0)
        size = struct.unpack(">I", answer.read(4))[0] - 4
        data = b""
        while len(data) < size:
            data += answer.read(size - len(data))
        return struct.unpack(">I", data[20:24])[0], data[24:]

    def test_unknown_scheme(self):
        error = self.virsh_fails("uri", uri=self.daemon.uri("nosuch"))
        self.assertIn("no connection driver", error)


if __name__ == "__main__":
    vireotest.main()
