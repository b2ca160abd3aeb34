# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reverts that must not begin or must start anew, guests that do not answer, images two guests share, spaces that do
not see each other."""
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "clients"))
import vireotest  # noqa: E402
from vireotest import disk_xml, wait_until  # noqa: E402


def owner(path):
    info = os.stat(path)
    return info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)


class QemuCase(vireotest.VirshCase):
    def run_dir(self):
        return Path(self.daemon.root, "run/vireo/qemu/system/guests")

    def pid(self, name):
        uuid = self.virsh("domuuid", name)
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if entry.name.isdigit() and f"guest={uuid},debug-threads=on".encode() in words:
                return int(entry.name)
        raise AssertionError(f"no process of {name}")

    def monitor(self, uuid, command):
        """Says something to a QEMU that no daemon listens to."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.run_dir() / f"{uuid}.qmp"))
            with client.makefile("rw") as lines:
                for execute in "qmp_capabilities", command:
                    lines.write(json.dumps({"execute": execute}) + "\n")
                    lines.flush()
                    while "return" not in json.loads(lines.readline()):
                        pass


class Survival(QemuCase):
    def test_guest_that_went_off_meanwhile(self):
        line = self.start(self.define("a"))
        uuid, pid = self.virsh("domuuid", "a"), self.pid("a")
        self.daemon.kill()
        self.monitor(uuid, "system_powerdown")
        line.expect_off()
        self.daemon.start_vireod()
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="QEMU has ended")

    def test_guest_that_cannot_be_asked(self):
        """A QEMU that is stopped answers nothing; it is neither forgotten nor taken for dead."""
        self.start(self.define("a"))
        pid = self.pid("a")
        self.daemon.kill()
        os.kill(pid, 19)
        try:
            self.daemon.start_vireod()
            self.assertEqual(self.state("a"), "running")
            self.virsh("destroy", "a")
        finally:
            try:
                os.kill(pid, 18)
            except ProcessLookupError:
                pass
        self.assertEqual(self.state_reason("a"), ("shut off", "destroyed"))


class Images(QemuCase):
    def setUp(self):
        super().setUp()
        if os.geteuid():
            self.skipTest("lending images needs root")

    def test_base_of_two_guests(self):
        base = self.nano_disk("base.qcow2")
        os.chmod(base, 0o600)
        before = owner(base)
        for name in "a", "b":
            disk = disk_xml(base, "vda").replace("</disk>", "<readonly/></disk>")
            self.define(name, disks=[disk])
            self.virsh("start", name)
        self.assertNotEqual(owner(base), before)
        self.virsh("destroy", "a")
        self.assertNotEqual(owner(base), before)
        self.virsh("destroy", "b")
        self.assertEqual(owner(base), before)


class Saved(QemuCase):
    def test_with_a_cpu_that_was_added(self):
        """What QEMU makes of the number of CPUs at its start must not depend on it."""
        disks = [disk_xml(self.nano_disk("v.qcow2"), "vda", boot=1), disk_xml(self.empty_disk("s.qcow2"), "sda", bus="scsi")]
        xml = self.nano_xml("a", disks=disks).replace("<vcpu>1<", "<vcpu current='1'>2<")
        self.virsh("define", self.write("a.xml", xml))
        line = self.start("a")
        line.ask("mC", "M=C")
        self.virsh("setvcpus", "a", "2", "--live")
        self.virsh("managedsave", "a")
        self.assertEqual(self.state_reason("a"), ("shut off", "saved"))
        self.virsh("start", "a")
        self.assertEqual(self.state_reason("a"), ("running", "restored"))
        self.line("a").ask("g", "M=C")


class Kvm(QemuCase):
    def test_kvm_that_does_not_run_a_guest(self):
        if "<domain type='kvm'/>" in self.virsh("capabilities"):
            self.skipTest("KVM runs guests here")
        xml = self.nano_xml("bad").replace("<domain type='qemu'>", "<domain type='kvm'>")
        text = self.virsh_fails("create", self.write("bad.xml", xml))
        self.assertIn("domain type 'kvm' cannot be run on this host", text)



class Spaces(QemuCase):
    def vireo(self, uri, *args):
        """libvirt's client library keeps embedded URIs to itself, so our own client asks."""
        socket_path = os.path.join(self.daemon.root, "run/vireo/vireo-sock")
        done = subprocess.run([os.path.join(vireotest.BUILD, "core/cli/vireo"), "-S", socket_path, "-c", uri, *args],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_spaces_do_not_see_each_other(self):
        root = os.path.join(self.work, "embed")
        others = "qemu:///session", f"qemu:///embed?root={root}"
        self.define("a")
        xml = self.write("s.xml", self.nano_xml("a", disks=[disk_xml(self.nano_disk("s"), "vda")]))
        for uri in others:
            self.vireo(uri, "define", xml)
            self.vireo(uri, "start", "--paused", "a")
            self.vireo(uri, "destroy", "a")
        self.assertEqual(self.state("a"), "shut off")
        self.assertEqual(len(list(Path(root, "etc").rglob("*.xml"))), 1)
        uuids = {self.virsh("domuuid", "a")} | {
            next(line.split(">")[1].split("<")[0] for line in self.vireo(uri, "dumpxml", "a").splitlines()
                 if "<uuid>" in line) for uri in others}
        self.assertEqual(len(uuids), 3)
        for uri in others:
            self.vireo(uri, "undefine", "a")
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])


class Revert(QemuCase):
    """A revert that cannot work leaves the guest as it is."""

    def test_snapshot_gone_from_one_disk(self):
        disks = self.two_disks()
        line = self.start(self.define("a", disks=disks))
        line.ask("mA", "M=A")
        self.virsh("snapshot-create-as", "a", "s1")
        self.virsh("qemu-monitor-command", "a", json.dumps(
            {"execute": "blockdev-snapshot-delete-internal-sync", "arguments": {"device": "vdb", "name": "s1"}}))
        line.ask("mB", "M=B")
        pid = self.pid("a")
        self.assertIn("vdb", self.virsh_fails("snapshot-revert", "a", "s1"))
        self.assertEqual((self.pid("a"), self.state("a")), (pid, "running"))
        line.ask("g", "M=B")

    def test_the_port_of_a_display_is_not_kept(self):
        """What a running guest was given may be somebody else's when it starts next."""
        display = "<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>"
        self.define("a", devices=display)
        self.virsh("start", "a")
        self.virsh("snapshot-create-as", "a", "s1")
        self.virsh("define", self.write("again.xml", self.virsh("dumpxml", "a")))
        port = self.xml("a").find("devices/graphics").get("port")
        self.virsh("destroy", "a")
        self.virsh("snapshot-revert", "a", "s1")
        self.assertEqual(self.xml("a", "--inactive").find("devices/graphics").get("port"), "-1")
        self.virsh("destroy", "a")
        other = display.replace("autoport='yes'", f"port='{port}' autoport='no'")
        self.define("b", devices=other)
        self.virsh("start", "b")
        for start in (("start", "a"), ("snapshot-revert", "a", "s1")):
            self.virsh(*start)
            self.assertNotEqual(self.xml("a").find("devices/graphics").get("port"), port)
            self.virsh("destroy", "a")

    def test_all_disks_or_none(self):
        self.define("a", disks=self.two_disks())
        self.virsh("snapshot-create-as", "a", "s1")
        one, two = (os.path.join(self.work, n) for n in ("one.qcow2", "two.qcow2"))
        subprocess.run(["qemu-img", "snapshot", "-d", "s1", two], check=True)
        self.assertIn("vdb", self.virsh_fails("snapshot-revert", "a", "s1"))
        self.assertEqual((self.disk_snapshots(one), self.disk_snapshots(two)), (["s1"], []))

    def test_cut_short_between_two_disks(self):
        """As a daemon leaves it that is killed after the first of two disks: both must be as before."""
        line = self.start(self.define("a", disks=self.two_disks()))
        uuid = self.virsh("domuuid", "a")
        for disk in "01":
            line.ask(disk, disk)
            line.ask("wN", "W=N")
        self.virsh("destroy", "a")
        self.daemon.stop()
        one, two = (os.path.join(self.work, n) for n in ("one.qcow2", "two.qcow2"))
        for path in one, two:
            subprocess.run(["qemu-img", "snapshot", "-c", "vireo-undo", path], check=True)
        subprocess.run(["qemu-io", "-c", "write -P 0x58 32768 512", one], check=True, stdout=subprocess.DEVNULL)
        journal = Path(self.daemon.root, "var/lib/vireo/qemu/kept/revert/system", uuid)
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text("vireo-undo")
        self.daemon.start_vireod()
        line = self.start("a")
        for disk in "01":
            line.ask(disk, disk)
            line.ask("r", "R=N")
        self.assertFalse(journal.exists())

    def test_other_machine_is_started_anew(self):
        line = self.start(self.define("a", balloon="virtio"))
        line.ask("mA", "M=A")
        self.virsh("snapshot-create-as", "a", "s1")
        self.virsh("destroy", "a")
        xml = self.virsh("dumpxml", "a").replace("<memballoon model='virtio'", "<memballoon model='none'")
        xml = xml[:xml.index("<memballoon")] + "<memballoon model='none'/>" + xml[xml.index("</memballoon>") + 13:]
        self.virsh("define", self.write("other.xml", xml))
        self.virsh("start", "a")
        pid = self.pid("a")
        self.virsh("snapshot-revert", "a", "s1")
        self.assertNotEqual(self.pid("a"), pid)
        self.assertEqual(self.state_reason("a"), ("running", "from snapshot"))
        self.line("a").ask("g", "M=A")

    def test_destroy_overtakes(self):
        """A guest can be destroyed while something slow is done to it."""
        self.start(self.define("a"))
        os.kill(self.pid("a"), 19)
        started = time.monotonic()
        slow = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), "suspend", "a"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        self.virsh("destroy", "a")
        self.assertLess(time.monotonic() - started, 5)
        self.assertNotEqual(slow.wait(10), 0)
        self.assertEqual(self.state_reason("a"), ("shut off", "destroyed"))


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        vireotest.skip_file("tests of Vireo's own driver")
    vireotest.main()
