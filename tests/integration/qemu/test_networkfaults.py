# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that die while data moves: the job ends with an error or waits until they are back, the guest goes on, its
snapshots hold what they held, and afterwards the same works."""
import os
import subprocess
import time

import blocktest
import nettest
import qemutest

SLOW = 2 * blocktest.MIB    # bytes a second
SIZE = 16                   # MiB
DISKS = ("vdb", "vdc", "vdd")


class Jobs(nettest.Case):
    """vdb is pulled, vdc committed, vdd copied, all at once."""

    def setUp(self):
        super().setUp()
        self.overlays()
        self.servers = {}
        for dev in DISKS:
            path = self.image(dev + ".raw", f"{SIZE}M", kind="raw", patterns=[(1, 0, SIZE)])
            self.servers[dev] = nettest.Server(path, self.work)
            self.addCleanup(self.end, self.servers[dev])
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1),
                                *(self.disk_of(self.servers[dev], target=dev) for dev in DISKS)])
        self.virsh("start", "d")
        self.virsh("snapshot-create-as", "d", "s1", "--disk-only", "--no-metadata", "--diskspec", "vda,snapshot=no",
                   "--diskspec", "vdd,snapshot=no")
        self.write_to("vdb", 2, 0, 1)
        self.write_to("vdc", 3, 1, SIZE - 2)

    def write_to(self, dev, byte, first, count):
        """MiB, as the guest would."""
        said = self.virsh("qemu-monitor-command", "d", "--hmp", f"qemu-io -d /machine/peripheral/virtio-disk"
                          f'{DISKS.index(dev) + 1}/virtio-backend "write -P {byte} {first}M {count}M"')
        self.assertEqual(said, "")

    def now(self):
        return {dev: self.disk(dev).find("source").attrib for dev in DISKS}

    def each(self, what, *args):
        for server in self.servers.values():
            getattr(server, what)(*args)

    def begin(self):
        self.copy = os.path.join(self.work, "copy.qcow2")
        self.virsh("blockpull", "d", "vdb")
        self.virsh("blockcommit", "d", "vdc", "--active")
        self.virsh("blockcopy", "d", "vdd", self.copy, "--transient-job", "--reuse-external")

    def finish(self):
        self.wait_job()
        for dev in "vdc", "vdd":
            self.wait_ready(dev)
            self.virsh("blockjob", "d", dev, "--pivot")
        self.assertEqual(self.disk("vdc").get("type"), "network")
        self.assertEqual(self.disk("vdd").find("source").get("file"), self.copy)
        self.write_to("vdd", 4, 2, 1)
        top = self.image_now()
        self.off()
        self.each("stop")
        self.assert_bytes(top, (2, 0, 1), (1, 1, SIZE - 1))
        self.assert_bytes(self.servers["vdc"].path, (1, 0, 1), (3, 1, SIZE - 2), (1, SIZE - 1, 1), kind="raw")
        self.assert_bytes(self.copy, (1, 0, 2), (4, 2, 1), (1, 3, SIZE - 3))
        self.assert_bytes(self.servers["vdd"].path, (1, 0, SIZE), kind="raw")

    def test_gone_for_good(self):
        self.image("copy.qcow2", f"{SIZE}M")
        before = self.now()
        self.each("slow_down", SLOW)
        events = self.watch()
        self.begin()
        self.each("stop")
        for dev in DISKS:
            self.assertNotEqual(self.job(dev), {})
        for dev in DISKS:
            self.wait_job(dev)
        said = "\n".join(self.heard(events))
        for kind, dev in ("Block Pull", "vdb"), ("Active Block Commit", "vdc"), ("Block Copy", "vdd"):
            self.assertIn(f"{kind} for {dev} failed", said)
            self.assertRegex(self.virsh_fails("blockjob", "d", dev, "--abort"),
                             "has no block job; the last one .* failed: .")
        self.assertEqual((self.state("d"), self.now()), ("running", before))
        self.each("slow_down", 0)
        self.connected(*(dev + "-file" for dev in DISKS))
        self.begin()
        self.finish()

    def test_back_in_time(self):
        self.image("copy.qcow2", f"{SIZE}M")
        self.each("slow_down", SLOW)
        self.begin()
        self.each("stop")
        time.sleep(1)
        for dev in DISKS:
            self.assertNotEqual(self.job(dev), {})
        self.each("slow_down", 0)
        self.finish()


class Others(nettest.Case):
    def setUp(self):
        super().setUp()
        self.overlays()

    def test_backup(self):
        """Pushed; then again, whole and what changed."""
        self.net_guest("qcow2")
        self.backups = 0
        last = self.backup("b1", point="c1")
        self.put(2, 1)
        self.server.slow_down(SLOW // 4)
        events = self.watch()
        target = os.path.join(self.work, "part")
        self.virsh(*self.backup_args(target, None, "c2"))
        self.server.stop()
        qemutest.wait_until(lambda: self.virsh_raw("backup-dumpxml", "d").returncode, 30, "the backup is over")
        self.assertIn("Backup for vdb failed", "\n".join(self.heard(events)))
        self.assertIn("Failed", self.virsh("domjobinfo", "d", "--completed", "--anystats"))
        self.server.slow_down(0)
        self.connected("vdb-file")
        self.put(3, 2)
        self.right("c1", last, [1, 2])
        self.off()
        self.reads(2, 1)
        self.reads(3, 2)

    def test_snapshot(self):
        """The memory goes into the image that the server has."""
        self.net_guest("qcow2", start=False)
        os.truncate(self.server.path, 128 * blocktest.MIB)
        self.server.slow_down(0)
        self.virsh("start", "d")
        self.snapshot("s1")
        self.put(2, 0)
        self.server.slow_down(SLOW // 8)
        with subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), "snapshot-create-as", "d", "s2", "--diskspec",
                               "vda,snapshot=no"], stderr=subprocess.PIPE, text=True) as virsh:
            time.sleep(1)
            self.assertIsNone(virsh.poll(), "it was over before")
            self.server.stop()
            said = virsh.communicate(timeout=60)[1]
        self.assertTrue(virsh.returncode and said.strip(), said)
        self.server.slow_down(0)
        self.connected("vdb-file")
        self.assertEqual(self.names("snapshot-list", "d", "--name"), ["s1"])
        self.put(3, 1)
        self.snapshot("s2")
        self.put(4, 0)
        self.virsh("snapshot-revert", "d", "s2")
        self.off()
        self.reads(2, 0)
        self.reads(3, 1)
        self.virsh("snapshot-revert", "d", "s1")
        self.off()
        self.reads(1, 0)
        self.assertEqual(self.disk_snapshots(self.server.location), ["s1", "s2"])


if __name__ == "__main__":
    qemutest.main()
