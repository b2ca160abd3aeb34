# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a container may use, measured in it, and what it uses."""
import os
import subprocess
import unittest

import libvirt

import lxctest
from lxctest import groups, make_root, wait_until


def run(*command):
    subprocess.run(command, check=True)


class Limits(lxctest.Case):
    def limit(self, name, controller, old, new):
        """What the kernel holds a container to."""
        for group in groups(self.virsh("domuuid", name).strip()):
            for path in (os.path.join(group, old), os.path.join(group, new)):
                if f"/{controller}/" in group + "/" or path.endswith("/" + new):
                    if not group.endswith(".monitor") and os.path.isfile(path):
                        with open(path, encoding="utf-8") as stream:
                            return stream.read().strip()
        return self.fail(f"no {old} or {new}")

    def memory(self, name):
        return int(self.limit(name, "memory", "memory.limit_in_bytes", "memory.max"))

    def test_memory_is_held(self):
        self.start("a", memory=64)
        self.assertEqual(self.memory("a"), 64 << 20)
        def take(size):
            return self.shell("a", f"dd if=/dev/zero of=/dev/null bs={size} count=1 2>/dev/null; echo $?").split()[-1]
        self.assertEqual(take("20M"), "0")
        self.assertEqual(take("200M"), "137")
        self.assertEqual(self.state("a"), "running")

    def test_memory_of_both(self):
        self.start("a", memory=64)
        self.virsh("setmem", "a", "48M", "--live", "--config")
        self.assertEqual(self.memory("a"), 48 << 20)
        self.assertEqual(self.xml("a", "--inactive").find("currentMemory").text, str(48 << 10))
        self.assertIn("more than the maximum", self.virsh_fails("setmem", "a", "96M", "--live"))
        self.virsh("memtune", "a", "--hard-limit", "40M", "--live")
        self.assertEqual(self.memory("a"), 40 << 20)
        self.assertIn("hard_limit     : 40960", self.virsh("memtune", "a"))
        self.assertIn("hard_limit     : unlimited", self.virsh("memtune", "a", "--config"))
        self.virsh("destroy", "a")
        self.virsh("start", "a")
        self.assertEqual(self.memory("a"), 48 << 20)

    def test_what_cannot_be_changed_is_not(self):
        self.start("a", memory=64)
        self.assertIn("no min_guarantee", self.virsh_fails("memtune", "a", "--min-guarantee", "1M"))
        self.assertIn("no block device", self.virsh_fails("blkiotune", "a", "--device-read-bytes-sec", "/dev/null,1000"))
        self.assertIsNone(self.xml("a").find("blkiotune"))

    def test_cpu(self):
        self.start("a", extra="<cputune><shares>512</shares></cputune>")
        self.assertIn("cpu_shares     : 512", self.virsh("schedinfo", "a"))
        self.virsh("schedinfo", "a", "--live", "vcpu_period=50000", "vcpu_quota=10000")
        if os.path.isdir("/sys/fs/cgroup/cpu"):
            self.assertEqual(self.limit("a", "cpu", "cpu.shares", "-"), "512")
            self.assertEqual(self.limit("a", "cpu", "cpu.cfs_quota_us", "-"), "10000")
        else:
            self.assertEqual(self.limit("a", "", "-", "cpu.max"), "10000 50000")
        self.assertIn("vcpu_quota     : 10000", self.virsh("schedinfo", "a"))
        self.assertIn("vcpu_quota     : -1", self.virsh("schedinfo", "a", "--config"))

    def test_figures(self):
        root = make_root(os.path.join(self.work, "a"))
        self.start("a", root=root, init="/bin/sh", args=("-c", "while true; do true; done"))
        stats = dict(row.strip().split("=", 1) for row in
                     wait_until(lambda: self.virsh("domstats", "a"), 5, "figures").splitlines() if "=" in row)
        self.assertEqual(stats["state.state"], "1")
        self.assertEqual(stats["balloon.maximum"], str(64 << 10))

        def used():
            return int(next(row for row in self.virsh("domstats", "a", "--cpu-total").splitlines()
                            if "cpu.time" in row).split("=")[1])
        before = used()
        wait_until(lambda: used() > before + 50_000_000, 20, "it computes")
        self.assertIn("rss", self.virsh("dommemstat", "a"))
        self.assertIn("Total:", self.virsh("cpu-stats", "a", "--total"))
        self.virsh("suspend", "a")
        self.assertEqual(used(), used())
        self.assertEqual(self.info("a")["Max memory"], f"{64 << 10} KiB")


class Figures(lxctest.Case):
    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/cpuacct"), "version 2 of control groups does not tell CPUs apart")
    def test_time_of_each_cpu(self):
        self.start("a", init="/bin/sh", args=("-c", "while true; do true; done"))
        connection = libvirt.open(self.daemon.uri())
        self.addCleanup(connection.close)
        domain = connection.lookupByName("a")
        wait_until(lambda: domain.getCPUStats(True)[0]["cpu_time"] > 50_000_000, 20, "it computes")
        self.virsh("suspend", "a")
        each = [row["cpu_time"] for row in domain.getCPUStats(False)]
        self.assertEqual(len(each), os.cpu_count())
        self.assertAlmostEqual(sum(each), domain.getCPUStats(True)[0]["cpu_time"], delta=5_000_000)
        text = self.virsh("cpu-stats", "a")
        self.assertEqual([row for row in text.splitlines() if row.startswith("CPU")],
                         [f"CPU{i}:" for i in range(os.cpu_count())])
        self.assertIn("Total:", text)
        last = os.cpu_count() - 1
        self.assertNotIn("CPU0:", self.virsh("cpu-stats", "a", "--start", str(last), "--count", "1") if last else "")

    def test_what_a_disk_does(self):
        loop = lxctest.loop_device(self, b"hello")
        script = "until test -e /go; do sleep 0.05; done; dd if=/dev/xvda of=/dev/null bs=65536; touch /done; sleep 1000"
        self.start("a", init="/bin/sh", args=("-c", script),
                   devices=f"<disk type='block' device='disk'><source dev='{loop}'/><target dev='xvda'/></disk>")

        def figures(which):
            rows = (row.split() for row in self.virsh("domblkstat", "a", which).splitlines())
            return {row[-2]: int(row[-1]) for row in rows if len(row) >= 2}
        before = figures("xvda")
        root = os.path.join(self.work, "a")
        run("touch", os.path.join(root, "go"))
        wait_until(lambda: os.path.exists(os.path.join(root, "done")), 10, "it has read")
        after = figures("xvda")
        self.assertEqual(after["rd_bytes"] - before["rd_bytes"], 1 << 20)
        self.assertGreater(after["rd_req"], before["rd_req"])
        self.assertEqual(figures(loop), after)
        self.assertGreaterEqual(figures("")["rd_bytes"], after["rd_bytes"])
        self.assertIn("no disk 'xvdz'", self.virsh_fails("domblkstat", "a", "xvdz"))
        self.assertIn(f"block.0.rd.bytes={after['rd_bytes']}", self.virsh("domstats", "a", "--block"))


class Rights(lxctest.Case):
    def status(self, name, key):
        with open(f"/proc/{self.init_pid(name)}/status", encoding="utf-8") as stream:
            return next(row.split()[1] for row in stream if row.startswith(key + ":"))

    def test_capabilities(self):
        self.start("a")
        bounding = int(self.status("a", "CapBnd"), 16)
        self.assertFalse(bounding & 1 << 16, "sys_module")
        self.assertTrue(bounding & 1 << 12, "net_admin")
        if os.path.exists("/usr/share/lxc/config/common.seccomp"):
            self.assertEqual(self.status("a", "Seccomp"), "2", "calls are filtered")
        self.start("b", extra="<features><capabilities policy='deny'><chown state='on'/></capabilities></features>",
                   init="/bin/sleep", args=("100",))
        self.assertEqual(int(self.status("b", "CapBnd"), 16), 1)

    def test_users_of_its_own(self):
        idmap = "<idmap><uid start='0' target='100000' count='65536'/><gid start='0' target='100000' count='65536'/></idmap>"
        root = make_root(os.path.join(self.work, "a"))
        self.start("a", extra=idmap, init="/bin/sh", args=("-c", "echo hello > /root/mine; id -u > /root/who; sleep 100"),
                   root=f"<filesystem type='mount' accessmode='mapped'><source dir='{root}'/><target dir='/'/></filesystem>")
        self.assertEqual(os.stat(f"/proc/{self.init_pid('a')}").st_uid, 100000)
        who = os.path.join(root, "root", "who")
        wait_until(lambda: os.path.exists(who) and os.path.getsize(who), 10, "it has written")
        with open(who, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), "0\n")
        self.assertEqual(os.stat(os.path.join(root, "root", "mine")).st_uid, 0)

    def test_devices(self):
        self.start("a")
        self.assertIn("ok", self.shell("a", "echo x > /dev/null && echo ok"))
        self.start("b", devices="<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"
                   if os.path.exists("/dev/fuse") else "")


class Hotplug(lxctest.Case):
    @unittest.skipUnless(os.path.isdir("/sys/fs/cgroup/devices"), "devices change with control groups of version 1 only")
    def test_a_disk_comes_and_goes(self):
        disk = self.write("disk.xml", f"<disk type='block' device='disk'><source dev='{lxctest.loop_device(self, b'hello')}'/>"
                                      "<target dev='xvda'/></disk>")
        self.start("a")
        self.virsh("attach-device", "a", disk, "--live", "--config")
        self.assertEqual(self.inside("a", "/bin/head", "-c", "5", "/dev/xvda"), "hello")
        self.assertIn("already", self.virsh_fails("attach-device", "a", disk, "--live"))
        self.virsh("detach-device", "a", disk, "--live")
        self.assertEqual(self.shell("a", "test -e /dev/xvda && echo there || echo gone"), "gone")
        self.assertIsNone(self.xml("a").find("devices/disk"))
        self.virsh("destroy", "a")
        self.virsh("start", "a")
        self.assertEqual(self.inside("a", "/bin/head", "-c", "5", "/dev/xvda"), "hello")
        self.virsh("detach-device", "a", disk, "--config")
        self.assertIsNone(self.xml("a", "--inactive").find("devices/disk"))

    def test_what_cannot_come_is_refused(self):
        self.start("a")
        card = self.write("card.xml", "<interface type='bridge'><source bridge='br0'/></interface>")
        self.assertIn("no bridge 'br0'", self.virsh_fails("attach-device", "a", card, "--live"))
        self.assertIsNone(self.xml("a").find("devices/interface"))
        self.virsh("attach-device", "a", card, "--config")
        self.assertIsNotNone(self.xml("a", "--inactive").find("devices/interface/mac"))
        sound = self.write("sound.xml", "<sound model='ac97'/>")
        self.assertIn("can be attached", self.virsh_fails("attach-device", "a", sound, "--config"))


class FileSystems(lxctest.Case):
    def test_mounts(self):
        data = os.path.join(self.work, "with space")
        os.makedirs(data)
        with open(os.path.join(data, "f"), "w", encoding="utf-8") as stream:
            stream.write("there\n")
        self.start("a", devices=f"<filesystem type='mount'><source dir='{data}'/><target dir='/mnt/data'/><readonly/></filesystem>"
                                "<filesystem type='ram'><source usage='1024' units='KiB'/><target dir='/mnt/ram'/></filesystem>"
                                "<filesystem type='bind'><source dir='/etc'/><target dir='/mnt/etc'/></filesystem>")
        self.assertEqual(self.inside("a", "/bin/cat", "/mnt/data/f"), "there")
        self.assertIn("no", self.shell("a", "echo x 2>/dev/null > /mnt/data/g && echo yes || echo no"))
        self.assertIn("root:x:0", self.inside("a", "/bin/cat", "/mnt/etc/passwd"))
        self.assertIn("size=1024k", self.inside("a", "/bin/grep", "/mnt/ram", "/proc/mounts"))

    def test_root_over_a_template(self):
        base = make_root(os.path.join(self.work, "base"))
        root = f"<filesystem type='template'><source name='{base}'/><target dir='/'/></filesystem>"
        for name in ("a", "b"):
            self.start(name, root=root)
            self.shell(name, f"echo {name} > /root/mine")
        self.assertEqual((self.shell("a", "cat /root/mine"), self.shell("b", "cat /root/mine")), ("a", "b"))
        self.assertFalse(os.path.exists(os.path.join(base, "root", "mine")))
        self.virsh("destroy", "a")
        self.virsh("start", "a")
        self.assertEqual(self.shell("a", "cat /root/mine"), "a")

    def test_root_in_an_image(self):
        image, base = os.path.join(self.work, "root.img"), make_root(os.path.join(self.work, "base"))
        with open(image, "wb") as stream:
            stream.truncate(32 << 20)
        run("mke2fs", "-q", "-t", "ext4", "-d", base, image)
        self.start("a", root=f"<filesystem type='file'><driver type='loop' format='raw'/><source file='{image}'/>"
                             "<target dir='/'/></filesystem>")
        self.assertIn("/dev/loop", self.inside("a", "/bin/grep", " / ", "/proc/mounts"))
        self.virsh("destroy", "a")
        device = lxctest.loop_device(self, image)
        self.start("b", root=f"<filesystem type='block'><source dev='{device}'/><target dir='/'/></filesystem>")
        self.assertIn("/dev/loop", self.inside("b", "/bin/grep", " / ", "/proc/mounts"))
        self.shell("b", "echo kept > /root/mine")
        self.virsh("destroy", "b")
        self.virsh("start", "b")
        self.assertEqual(self.shell("b", "cat /root/mine"), "kept")


if __name__ == "__main__":
    lxctest.main()
