# SPDX-License-Identifier: LGPL-2.1-or-later
"""Configurations of the lxc tools as definitions, through virsh domxml-from-native."""
import os
import xml.etree.ElementTree as ElementTree

import lxctest
from lxctest import make_root, wait_until


class Native(lxctest.Case):
    def text(self, config):
        return self.virsh("domxml-from-native", "lxc-tools", self.write("config", config))

    def made(self, config):
        return ElementTree.fromstring(self.text(config))

    def refused(self, config, *words):
        said = self.virsh_fails("domxml-from-native", "lxc-tools", self.write("config", config))
        for word in words:
            self.assertIn(word, said)

    def test_what_lxc_create_writes(self):
        self.maxDiff = None
        text = self.text("""# Template used to create this container: /usr/share/lxc/templates/lxc-debian
# For additional config options, please look at lxc.container.conf(5)

lxc.net.0.type = veth
lxc.net.0.hwaddr = 00:16:3e:aa:bb:cc
lxc.net.0.link = lxcbr0
lxc.net.0.flags = up
lxc.apparmor.profile = generated
lxc.apparmor.allow_nesting = 1
lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs

# Common configuration
lxc.include = /usr/share/lxc/config/debian.common.conf

# Container specific configuration
lxc.tty.max = 4
lxc.uts.name = web
lxc.arch = amd64
lxc.pty.max = 1024
""")
        self.assertEqual(text.splitlines()[:3], ["<!-- line 8 is left out: lxc.apparmor.profile = generated -->",
                                                 "<!-- line 9 is left out: lxc.apparmor.allow_nesting = 1 -->",
                                                 "<domain type='lxc'>"])
        xml = ElementTree.fromstring(text)
        self.assertEqual(xml.find("name").text, "web")
        self.assertEqual(xml.find("os/type").get("arch"), "x86_64")
        self.assertEqual(xml.find("devices/filesystem/source").get("dir"), "/var/lib/lxc/web/rootfs")
        card = xml.find("devices/interface")
        self.assertEqual((card.get("type"), card.find("source").get("bridge"), card.find("mac").get("address")),
                         ("bridge", "lxcbr0", "00:16:3e:aa:bb:cc"))
        self.assertEqual(len(xml.findall("devices/console")), 5)
        self.assertEqual(xml.find("features/capabilities").get("policy"), "default")
        self.virsh("define", self.write("web.xml", text))
        self.assertEqual(self.names("list", "--all", "--name"), ["web"])

    def test_old_keys(self):
        xml = self.made("""lxc.utsname = old
lxc.rootfs = /srv/old
lxc.network.type = veth
lxc.network.link = br0
lxc.network.hwaddr = 00:16:3e:xx:xx:xx
lxc.network.ipv4 = 10.0.0.2/24 10.0.0.255
lxc.network.ipv4.gateway = 10.0.0.1
lxc.network.type = macvlan
lxc.network.link = eth0
lxc.network.macvlan.mode = bridge
lxc.network.mtu = 1400
lxc.network.type = phys
lxc.network.link = eth7
lxc.id_map = u 0 100000 65536
lxc.id_map = g 0 200000 65536
lxc.cgroup.devices.deny = a
lxc.cgroup.devices.allow = c 1:3 rwm
lxc.mount.entry = proc proc proc nodev,noexec,nosuid 0 0
lxc.pts = 1024
lxc.tty = 1
""")
        first, second = xml.findall("devices/interface")
        self.assertEqual((first.find("ip").get("address"), first.find("route").get("gateway")), ("10.0.0.2", "10.0.0.1"))
        self.assertTrue(first.find("mac").get("address").startswith("52:54:00"), "x stands for any digit")
        self.assertEqual((second.get("type"), second.find("source").get("dev"), second.find("source").get("mode"),
                          second.find("mtu").get("size")), ("direct", "eth0", "bridge", "1400"))
        self.assertEqual(xml.find("devices/hostdev/source/interface").text, "eth7")
        self.assertEqual((xml.find("idmap/uid").get("target"), xml.find("idmap/gid").get("target")), ("100000", "200000"))
        self.assertEqual(len(xml.findall("devices/filesystem")), 1)
        self.assertEqual(len(xml.findall("devices/console")), 2)

    def test_limits(self):
        for keys in ("lxc.cgroup.memory.limit_in_bytes = 512M\nlxc.cgroup.memory.memsw.limit_in_bytes = 1G\n"
                     "lxc.cgroup.cpu.shares = 512\nlxc.cgroup.cpu.cfs_period_us = 50000\nlxc.cgroup.cpu.cfs_quota_us = 10000\n"
                     "lxc.cgroup.memory.soft_limit_in_bytes = 256M\nlxc.cgroup.blkio.weight = 200\n",
                     "lxc.cgroup2.memory.max = 512M\nlxc.cgroup2.memory.swap.max = 512M\nlxc.cgroup2.cpu.weight = 20\n"
                     "lxc.cgroup2.cpu.max = 10000 50000\nlxc.cgroup2.memory.high = 268435456\n"
                     "lxc.cgroup2.io.weight = default 200\n"):
            xml = self.made(f"lxc.rootfs.path = /srv/a\nlxc.cgroup.cpuset.cpus = 0-1\n{keys}")
            self.assertEqual(xml.find("memory").text, str(512 << 10))
            self.assertEqual(xml.find("memtune/swap_hard_limit").text, str(1 << 20))
            self.assertEqual(xml.find("memtune/soft_limit").text, str(256 << 10))
            self.assertAlmostEqual(int(xml.find("cputune/shares").text), 512, delta=15)
            self.assertEqual((xml.find("cputune/period").text, xml.find("cputune/quota").text), ("50000", "10000"))
            self.assertEqual(xml.find("blkiotune/weight").text, "200")
            self.assertEqual(xml.find("vcpu").get("cpuset"), "0-1")

    def test_rights_and_namespaces(self):
        xml = self.made("lxc.rootfs.path = /srv/a\nlxc.cap.drop = sys_module mac_admin\nlxc.cap.drop = sys_time\n"
                        "lxc.namespace.share.net = /run/netns/blue\nlxc.namespace.share.ipc = other\n")
        rights = xml.find("features/capabilities")
        self.assertEqual((rights.get("policy"), {row.tag for row in rights}), ("allow", {"sys_module", "mac_admin", "sys_time"}))
        space = "{http://libvirt.org/schemas/domain/lxc/1.0}"
        share = xml.find(f"{space}namespace/{space}sharenet")
        self.assertEqual((share.get("type"), share.get("value")), ("netns", "blue"))
        xml = self.made("lxc.rootfs.path = /srv/a\nlxc.cap.keep = chown kill\n")
        self.assertEqual(xml.find("features/capabilities").get("policy"), "deny")

    def test_mounts(self):
        text = self.text("""lxc.rootfs.path = loop:/srv/a.img
lxc.rootfs.options = ro
lxc.mount.entry = /srv/with\\040space srv/data none bind,ro,create=dir 0 0
lxc.mount.entry = tmpfs tmp tmpfs size=16m,mode=1777 0 0
lxc.mount.entry = /dev/sdz1 /mnt ext4 defaults 0 0
lxc.mount.entry = mqueue dev/mqueue mqueue rw,relatime,create=dir,optional 0 0
""")
        self.assertIn("<!-- line 6 is left out: lxc.mount.entry = mqueue", text)
        root, data, tmp, disk = ElementTree.fromstring(text).findall("devices/filesystem")
        self.assertEqual((root.get("type"), root.find("source").get("file")), ("file", "/srv/a.img"))
        self.assertEqual((data.find("source").get("dir"), data.find("target").get("dir")), ("/srv/with space", "/srv/data"))
        self.assertEqual([part.find("readonly") is not None for part in (root, data, tmp, disk)], [True, True, False, False])
        self.assertEqual((tmp.get("type"), int(tmp.find("source").get("usage"))), ("ram", 16 << 10))
        self.assertEqual((disk.get("type"), disk.find("source").get("dev")), ("block", "/dev/sdz1"))

    def test_it_starts_what_it_has_read(self):
        root = make_root(os.path.join(self.work, "c"))
        self.virsh("define", self.write("c.xml", self.text(
            f"lxc.uts.name = c\nlxc.rootfs.path = {root}\nlxc.init.cmd = /bin/sh -c 'echo \"$WORD\" > /out; sleep 100'\n"
            "lxc.environment = WORD=two words\nlxc.net.0.type = empty\nlxc.cgroup.memory.limit_in_bytes = 64M\n")))
        self.virsh("start", "c")
        out = os.path.join(root, "out")
        wait_until(lambda: os.path.exists(out) and os.path.getsize(out), 10, "it has written")
        with open(out, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), "two words\n")

    def test_line_and_key_of_what_is_wrong(self):
        root = "lxc.rootfs.path = /srv/a\n"
        self.refused(root + "lxc.speed = 7\n", "line 2: lxc.speed: there is no such key")
        self.refused(root + "\n# x\nlxc.uts.name\n", "line 4: lxc.uts.name: there is no '='")
        self.refused(root + "lxc.net.0.type = none\n", "line 2: ", "the host's own network")
        self.refused(root + "lxc.net.0.type = vlan\nlxc.net.0.link = eth0\n", "type 'vlan'")
        self.refused(root + "lxc.network.link = br0\n", "line 2: lxc.network.link: lxc.network.type comes before")
        self.refused(root + "lxc.idmap = u 0 1000\n", "line 2: lxc.idmap: ")
        self.refused(root + "lxc.cap.drop = fly\n", "line 2: lxc.cap.drop: 'fly' is no capability")
        self.refused(root + "lxc.cgroup2.memory.max = lots\n", "line 2: lxc.cgroup2.memory.max: 'lots' is no number")
        self.refused(root + "lxc.include = /etc/shadow\n", "line 2: lxc.include: files are not read")
        self.refused(root + "lxc.mount.fstab = /etc/fstab\n", "line 2: lxc.mount.fstab: files are not read")
        self.refused("lxc.uts.name = a\n", "lxc.rootfs.path: it is missing")
        self.assertIn("lxc-tools", self.virsh_fails("domxml-from-native", "qemu-argv", self.write("config", root)))


if __name__ == "__main__":
    lxctest.main()
