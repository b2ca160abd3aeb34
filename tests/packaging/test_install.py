# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages in a Debian of their own: installed, used, upgraded, removed, purged, with guests running."""
import os
import re
import unittest

import chroot
import packages

# What dpkg, apt and ldconfig write for themselves.
OF_DEBIAN = re.compile(r"/(var/(lib/(dpkg|apt|systemd/deb-systemd)|cache/(apt|debconf|ldconfig)|log/(apt|dpkg|alternatives))|"
                       r"etc/(apt|ld\.so\.cache|passwd-?|shadow-?|group-?|gshadow-?|sub[ug]id-?|\.pwd\.lock)|"
                       r"proc|sys|dev|tmp|root|debs|run/(lock|adduser)|guests)(/|$|[-.])")

GUEST = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <serial type='pty'><log file='{log}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""
MEMORY_ONLY = "<domain type='test'><name>toy</name><memory>1024</memory><os><type>hvm</type></os></domain>"

START = """
/usr/sbin/vireod >>/tmp/vireod.log 2>&1 &
while ! [ -S /run/libvirt/libvirt-sock ]; do kill -0 $! || { cat /tmp/vireod.log; exit 1; }; sleep 0.1; done
"""
STOP = "pid=$(cat /run/vireo/vireod.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done"


class Debian(unittest.TestCase):
    maxDiff = None
    layer = "run"

    def setUp(self):
        chroot.need_root()
        self.debian = self.system()
        self.addCleanup(self.debian.close)
        self.sh = self.debian.sh

    def system(self):
        return chroot.system(self.layer, packages.debs())

    def files(self):
        found = self.sh("find / -xdev -not -type d; find /run; find /var/lib /var/log /var/cache -type d;"
                        "[ ! -d /etc/vireo ] || find /etc/vireo")
        return {path for path in found.splitlines() if not OF_DEBIAN.match(path)}

    def install(self, *names):
        return self.debian.install(" ".join(names))

    def daemon_pid(self):
        return self.sh("cat /run/vireo/vireod.pid").strip()

    def says(self, script, *texts):
        output = self.sh(script)
        for text in texts:
            self.assertIn(text, output)
        return output


class Minimal(Debian):
    layer = "base"

    def test_dependencies_are_enough(self):
        """Nothing is there but what apt installs because the packages say so."""
        self.install("vireo-daemon", "vireo-driver-test")
        self.sh("vireod --version; vireo --version" + START)
        self.says("vireo -c test:///default list --all")
        self.says("vireo drivers", "test", "ACTIVE")
        for path in "/usr/sbin/vireod", "/usr/bin/vireo", "/usr/lib/*/vireo/drivers-1/test.so":
            self.assertNotIn("not found", self.sh(f"ldd {path}"))

    def test_a_driver_in_a_process_of_its_own(self):
        self.install("vireo-daemon", "vireo-driver-test")
        self.sh("echo 'default_isolation = process' >>/etc/vireo/vireod.conf" + START)
        self.says("vireo -c test:///default list --all", "test")
        host = self.sh("grep -lx vireo-driver-h.* /proc/[0-9]*/comm").split()
        self.assertEqual(len(host), 1)
        self.assertNotIn(self.daemon_pid(), host[0].split("/"))

    def test_a_driver_needs_the_daemon_of_its_abi(self):
        status, output = self.debian.try_sh("dpkg -i /debs/vireo-driver-test_*.deb")
        self.assertNotEqual(status, 0)
        self.assertRegex(output, r"depends on vireo-driver-abi-1 \(>= 1\.\d+\)")


class Life(Debian):
    """One after the other, as in a machine's life."""

    def guest(self, name):
        folder = "/var/lib/vireo/images"
        self.sh(f"mkdir -p {folder} /guests")
        with open(os.path.join(chroot.BUILD, "tests/guest/nano.raw"), "rb") as source:
            image = source.read()
        with open(self.debian.path(f"{folder}/{name}.img"), "wb") as stream:
            stream.write(image)
        text = GUEST.format(name=name, disk=f"{folder}/{name}.img", log=f"/var/log/vireo/qemu/{name}.serial")
        with open(self.debian.path(f"/guests/{name}.xml"), "w", encoding="utf-8") as stream:
            stream.write(text)
        self.sh(f"virsh define /guests/{name}.xml && virsh start {name}")
        self.wait_serial(name, "READY nano")
        uuid = self.sh(f"virsh domuuid {name}").strip()
        return self.sh("for process in $(grep -lx 'qemu-system-.*' /proc/[0-9]*/comm); do"
                       f" grep -lF guest={uuid} ${{process%comm}}cmdline; done").strip()

    def wait_serial(self, name, text):
        self.debian.wait_for(f"grep -F '{text}' /var/log/vireo/qemu/{name}.serial", 60)

    def tell(self, name, text):
        self.sh(f"(sleep 2; printf '{text}'; sleep 1) >$(virsh ttyconsole {name})")    # QEMU looks once a second

    def assert_runs(self, name, process):
        self.assertIn("qemu-system", self.sh(f"tr '\\0' ' ' <{process}"))
        self.assertEqual(self.sh(f"virsh domstate {name}").strip(), "running")

    def test_life(self):
        before = self.files()
        image = "/var/lib/vireo/images/vm1.img"

        # A daemon without a driver, then drivers, while it runs.
        self.install("vireo-daemon")
        self.sh(START)
        daemon = self.daemon_pid()
        self.assertNotEqual(self.debian.try_sh("virsh -c test+unix:///default list")[0], 0)
        self.install("vireo-driver-test")
        self.debian.wait_for("virsh -c test+unix:///default list")
        with open(self.debian.path("/guests.xml"), "w", encoding="utf-8") as stream:
            stream.write(MEMORY_ONLY)
        self.sh("virsh -c test+unix:///default create /guests.xml && rm /guests.xml")
        self.install("vireo-driver-qemu")
        self.debian.wait_for("virsh -c qemu:///system list")
        self.assertEqual(self.daemon_pid(), daemon)

        # A guest; its process is the driver's user's.
        process = self.guest("vm1")
        self.assertEqual(self.sh(f"stat -c %U {process}").strip(), "vireo-qemu")
        self.tell("vm1", "mQ")
        self.wait_serial("vm1", "M=Q")

        # Removing drivers that are in use.
        self.says("apt-get remove vireo-driver-test", "domains of test:///default are active", "    toy", "They go on")
        self.says("apt-get remove vireo-driver-qemu", "domains of qemu:///system are active", "    vm1", "They go on")
        self.assertEqual(self.daemon_pid(), daemon)
        self.assert_runs("vm1", process)
        self.assertIn("running", self.sh("virsh -c test+unix:///default domstate toy"))

        # Purged, while the guest runs: nothing of it is touched.
        self.says("apt-get purge vireo-driver-qemu", "still runs")
        self.sh(f"test -f {image} && ls /etc/vireo/qemu/system/domains/*.xml")
        self.assert_runs("vm1", process)
        self.install("vireo-driver-qemu", "vireo-driver-test")
        self.sh(STOP + START)
        self.assert_runs("vm1", process)

        # An upgrade. What the administrator wrote stays.
        self.sh("echo '# mine' >>/etc/vireo/vireod.conf")
        self.sh("mkdir /debs-newer")
        folder = packages.newer()
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as source, \
                    open(self.debian.path(f"/debs-newer/{name}"), "wb") as stream:
                stream.write(source.read())
        self.sh(chroot.use_debs("/debs-newer"))
        self.says("apt-get upgrade", "goes on with the drivers it has loaded")
        self.says("dpkg -l 'vireo-*'", "+next")
        self.assert_runs("vm1", process)
        self.sh(STOP + START)
        self.assert_runs("vm1", process)
        self.says("cat /etc/vireo/vireod.conf", "# mine")
        self.says("vireo drivers", "ACTIVE")
        self.tell("vm1", "g")
        self.debian.wait_for("[ $(grep -cF M=Q /var/log/vireo/qemu/vm1.serial) = 2 ]")

        # Removed: settings and state stay. Purged: only what is the user's stays.
        self.sh("virsh destroy vm1")
        self.assertNotIn("active", self.sh("apt-get remove vireo-driver-qemu"))
        self.sh(STOP)
        names = self.sh("dpkg-query -W -f '${Package} ' 'vireo-*' 'libvireo*'")
        self.sh(f"apt-get remove {names}")
        self.sh("ls /etc/vireo/vireod.conf /etc/vireo/qemu.conf /etc/vireo/qemu/system/domains/*.xml")
        self.says(f"apt-get purge {names}", "/var/lib/vireo is not empty")
        left = self.files() - before
        self.assertEqual(left, {"/var/lib/vireo", "/var/lib/vireo/images", image})
        self.assertEqual(before - self.files(), set())


if __name__ == "__main__":
    chroot.main()
