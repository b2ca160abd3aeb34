# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: what can be asked about a running guest, its screen and its console."""
import os
import re
import subprocess
import time

import vireotest

VNC = "<graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>"
CARD = "<interface type='user'><mac address='52:54:00:0a:0b:0c'/><model type='virtio'/></interface>"


class Info(vireotest.VirshCase):
    def setUp(self):
        super().setUp()
        self.define("a", devices=VNC + CARD, balloon="virtio", memory=32)
        self.guest = self.start("a")

    def test_dominfo(self):
        info = self.info("a")
        self.assertRegex(info["Id"], r"^\d+$")
        self.assertEqual(info["State"], "running")
        self.assertEqual(info["Max memory"], "32768 KiB")
        self.assertEqual(info["Used memory"], "32768 KiB")
        self.assertEqual(info["CPU(s)"], "1")
        self.assertRegex(info["CPU time"], r"^\d+\.\ds$")

    def test_live_xml(self):
        xml = self.xml("a")
        self.assertEqual(xml.get("id"), self.virsh("domid", "a"))
        self.assertRegex(xml.find("devices/serial/source").get("path"), r"^/dev/pts/\d+$")
        self.assertGreaterEqual(int(xml.find("devices/graphics").get("port")), 5900)
        inactive = self.xml("a", "--inactive")
        self.assertIsNone(inactive.get("id"))
        self.assertIsNone(inactive.find("devices/serial/source"))

    def test_vcpuinfo(self):
        out = self.virsh("vcpuinfo", "a")
        self.assertRegex(out, r"VCPU: +0")
        self.assertRegex(out, r"State: +running")
        self.assertRegex(out, r"CPU Affinity: +y")

    def test_vcpucount(self):
        self.assertEqual(self.virsh("vcpucount", "a", "--live", "--current"), "1")

    def test_dommemstat(self):
        stats = dict(line.split() for line in self.virsh("dommemstat", "a").splitlines())
        self.assertEqual(stats["actual"], "32768")
        self.assertGreater(int(stats["rss"]), 0)

    def test_domblkinfo_and_stat(self):
        self.guest.ask("wA", "W=A")
        self.assertRegex(self.virsh("domblkinfo", "a", "vda"), r"Capacity: +1048576")
        stats = {line.split()[1]: int(line.split()[2]) for line in self.virsh("domblkstat", "a", "vda").splitlines()}
        self.assertGreaterEqual(stats["wr_req"], 1)
        self.assertGreaterEqual(stats["wr_bytes"], 512)
        self.assertGreaterEqual(stats["rd_req"], 1)

    def test_domblkerror(self):
        self.assertIn("No errors", self.virsh("domblkerror", "a") or "No errors")

    def test_domiflist(self):
        self.assertEqual(self.virsh("domiflist", "a").split()[1:], ["user", "-", "virtio", "52:54:00:0a:0b:0c"])

    def test_domstats(self):
        out = self.virsh("domstats", "a")
        stats = dict(line.strip().split("=", 1) for line in out.splitlines() if "=" in line)
        self.assertIn("Domain: 'a'", out)
        self.assertEqual(stats["state.state"], "1")
        self.assertEqual(stats["state.reason"], "1")
        self.assertEqual(stats["vcpu.current"], "1")
        self.assertEqual(stats["balloon.maximum"], "32768")
        self.assertEqual(stats["block.count"], "1")
        self.assertEqual(stats["block.0.name"], "vda")
        self.assertGreater(int(stats["cpu.time"]), 0)

    def test_domstats_of_images_below(self):
        base, top = self.nano_disk("base.qcow2"), os.path.join(self.work, "top.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, top], check=True)
        self.define("c", disks=[vireotest.disk_xml(top, "vda"), vireotest.disk_xml(self.nano_disk("other.qcow2"), "vdb")])
        self.start("c")
        plain = self.virsh("domstats", "c", "--block")
        self.assertRegex(plain, r"block.count=2\b")
        self.assertNotIn(base, plain)
        deep = self.virsh("domstats", "c", "--block", "--backing")
        self.assertRegex(deep, r"block.count=3\b")
        self.assertRegex(deep, rf"block.1.name=vda\b[^/]*block.1.path={base}")
        self.assertRegex(deep, r"block.1.backingIndex=\d+\b")
        self.assertRegex(deep, rf"block.1.capacity={1 << 20}\b")
        self.assertRegex(deep, r"block.2.name=vdb\b")
        self.assertNotIn("block.1.rd.reqs", deep)
        self.virsh("destroy", "c")
        self.virsh("undefine", "c")

    def test_domstats_of_one_kind(self):
        self.define_diskless("off")
        out = self.virsh("domstats", "--state")
        self.assertIn("Domain: 'a'", out)
        self.assertIn("Domain: 'off'", out)
        self.assertNotIn("cpu.time", out)
        self.assertNotIn("'off'", self.virsh("domstats", "--list-active"))
        self.assertNotIn("'a'", self.virsh("domstats", "--list-inactive"))

    def test_domcontrol(self):
        self.assertEqual(self.virsh("domcontrol", "a"), "ok")

    def test_domjobinfo(self):
        self.assertRegex(self.virsh("domjobinfo", "a"), r"Job type: +None")

    def test_vncdisplay(self):
        port = int(self.xml("a").find("devices/graphics").get("port"))
        self.assertEqual(self.virsh("vncdisplay", "a"), f"127.0.0.1:{port - 5900}")
        self.assertIn(f"vnc://127.0.0.1:{port - 5900}", self.virsh("domdisplay", "a"))

    def test_vnc_answers(self):
        port = self.xml("a").find("devices/graphics").get("port")
        with open(f"/proc/{os.getpid()}/net/tcp", encoding="ascii") as stream:
            ours = f"0100007F:{int(port):04X}" in stream.read()
        if self.daemon.is_vireo:
            self.assertTrue(ours, "nobody listens on the VNC port")

    def test_ttyconsole(self):
        self.assertEqual(self.virsh("ttyconsole", "a"), self.xml("a").find("devices/serial/source").get("path"))

    def test_screenshot(self):
        path = os.path.join(self.work, "shot")
        self.assertIn("Screenshot saved", self.virsh("screenshot", "a", path) + "Screenshot saved")
        with open(path, "rb") as stream:
            head = stream.read(8)
        self.assertTrue(head.startswith(b"P6") or head == b"\x89PNG\r\n\x1a\n", head)
        self.assertGreater(os.path.getsize(path), 100)

    def test_screenshot_without_screen(self):
        self.define("b")
        self.start("b")
        self.virsh_fails("screenshot", "b", os.path.join(self.work, "shot"))

    def test_console_both_ways(self):
        master, slave = os.openpty()
        child = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "console", "a", "--force"],
                                 stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        try:
            line = vireotest.Nano.__new__(vireotest.Nano)
            line.fd, line.seen = master, b""
            os.set_blocking(master, False)
            line.expect("Escape character is")
            time.sleep(0.3)
            line.ask("mX", "M=X")
            line.ask("g", "M=X")
            line.send("\x1d")
            self.assertEqual(child.wait(10), 0)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            os.close(master)
        self.assertEqual(self.state("a"), "running")

    def test_send_key(self):
        self.virsh("send-key", "a", "KEY_A", "KEY_B")

    def test_setmem_live(self):
        self.virsh("setmem", "a", "24M", "--live")
        self.virsh_fails("setmem", "a", "64M", "--live")

    def test_qemu_monitor_command(self):
        out = self.virsh("qemu-monitor-command", "a", '{"execute":"query-status"}')
        self.assertRegex(out, r'"status": ?"running"')
        self.assertIn("running", self.virsh("qemu-monitor-command", "a", "--hmp", "info status"))
        self.assertIn("CommandNotFound", self.virsh("qemu-monitor-command", "a", '{"execute":"no-such"}'))

    def test_domtime_without_agent(self):
        self.assertRegex(self.virsh_fails("domtime", "a"), "agent|not supported")

    def test_nothing_but_states_while_paused(self):
        self.virsh("suspend", "a")
        self.assertRegex(self.virsh("domstats", "a", "--state"), r"state.state=3\b")
        self.assertEqual(self.info("a")["State"], "paused")


if __name__ == "__main__":
    vireotest.main()
