# SPDX-License-Identifier: LGPL-2.1-or-later
"""Full-system snapshots with flag LIVE: the guest goes on while its memory is written.

LIVE_AS=USER runs QEMU as that user; as root it may watch the guest's memory whatever the host's settings are."""
import ctypes
import os
import re
import signal
import subprocess
import threading
import time

import libvirt_qemu

import qemutest
from imagetest import Case, libvirt
from qemutest import disk_xml

AS_ROOT = os.environ.get("LIVE_AS", "root") == "root"
if AS_ROOT:
    qemutest.vireotest.FILES["qemu.conf"] = "[process]\nuser = root\ngroup = root\nset_ownership = no\n"
LIVE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
PAUSE_MS = 50
BUSY = os.path.join(qemutest.vireotest.BUILD, "tests", "guest", "busy.raw")


def can_watch():
    """Whether the kernel lets root's processes watch memory that is written to."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(323, 0o2000000)
    if fd < 0:
        return False
    api = (ctypes.c_uint64 * 3)(0xAA, 0, 0)
    done = libc.ioctl(fd, ctypes.c_ulong(0xC018AA3F), api)
    os.close(fd)
    return done == 0 and api[1] & 1 != 0


class Live(Case):
    def setUp(self):
        super().setUp()
        if not qemutest.IS_ROOT:
            self.skipTest("QEMU's user cannot be chosen by others than root")
        self.memory = os.path.join(self.dir, "s1.mem")
        self.conn = libvirt.open(self.daemon.uri())
        self.addCleanup(self.conn.close)


    def request(self, name="s1", memory=None, disks=""):
        return (f"<domainsnapshot><name>{name}</name><memory snapshot='external' "
                f"file='{memory or self.memory}'/>{disks}</domainsnapshot>")

    def busy(self, megabytes=256):
        """A guest that writes to all of its memory, with an empty data disk."""
        boot = os.path.join(self.dir, "one.qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", BUSY, boot], check=True)
        disks = [disk_xml(boot, "vda", boot=1), disk_xml(self.image("two.qcow2"), "vdb")]
        self.define("a", disks=disks, memory=megabytes)
        self.virsh("start", "a")
        line = self.line("a")
        for _ in range(2):    # passes: every page has been written to
            self.alive(line)
        return line

    def nano_with(self, megabytes):
        """The small guest with memory that takes its time to write."""
        self.nano()
        self.virsh("destroy", "a")
        xml = re.sub(r"(<(?:currentMemory|memory) unit='KiB'>)\d+", rf"\g<1>{megabytes << 10}", self.virsh("dumpxml", "a"))
        self.virsh("define", self.write("more.xml", xml))
        line = self.start("a")
        return line, None


    @staticmethod
    def alive(line):
        """What it is asked before it listens is lost."""
        for left in reversed(range(20)):
            try:
                line.ask("?", "ALIVE", 5)
                return
            except AssertionError:
                if not left:
                    raise

    def take(self, flags=LIVE, **what):
        """In the background; take().join() raises what the call raised."""
        return Call(self.daemon.uri(), self.request(**what), flags)

    def saving(self, sign="downtime"):
        """Until memory is on its way: the guest runs again and uses its overlays. There is time to look.
        Asked within this process: on a busy machine all is written before a virsh has started."""
        conn = libvirt.open(self.daemon.uri())
        domain = conn.lookupByName("a")

        def writing():
            job = domain.jobStats()
            return job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT and sign in job

        qemutest.wait_until(writing, 20, "memory is written")
        libvirt_qemu.qemuMonitorCommand(domain, "migrate_set_parameter max-bandwidth 32M",
                                        libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
        conn.close()

    def untouched(self):
        """As if nothing had been asked for."""
        self.assertEqual(sorted(os.path.basename(path) for path in self.targets("a").values()), ["one.qcow2", "two.qcow2"])
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])
        self.assertEqual(self.names("snapshot-list", "a", "--name"), [])
        self.assertEqual(self.state_of("plan"), {})


class Call(threading.Thread):
    def __init__(self, uri, xml, flags):
        super().__init__()
        self.uri, self.xml, self.flags, self.error = uri, xml, flags, None
        self.start()

    def run(self):
        conn = libvirt.open(self.uri)
        try:
            conn.lookupByName("a").snapshotCreateXML(self.xml, self.flags)
        except libvirt.libvirtError as error:
            self.error = error
        try:
            conn.close()
        except libvirt.libvirtError:
            pass


class Watched(Live):
    """QEMU may watch the memory."""

    def setUp(self):
        super().setUp()
        if not can_watch():
            self.skipTest("this kernel has no userfaultfd with write protection")
        if not AS_ROOT:
            self.skipTest("QEMU may watch memory as root only")

    def test_busy_guest_goes_on(self):
        """Other tests may take the processor away in the very moment: the best of some counts, and where that
        is not good either, that the guest did not stand still while its memory was written."""
        line = self.busy(512)
        pauses = []
        while len(pauses) < 5 and min(pauses, default=PAUSE_MS) >= PAUSE_MS:
            if pauses:
                self.virsh("snapshot-delete", "a", "s1")
                self.idle()
            pauses.append(self.pause(line))
        print("the guest stood still for", *(f"{pause:.1f}" for pause in pauses), "ms", flush=True)
        done = self.virsh("domjobinfo", "a", "--completed")
        whole = int(re.search(r"Time elapsed: +(\d+) +ms", done).group(1))
        self.assertLess(min(pauses), max(PAUSE_MS, whole / 10))
        self.assertRegex(done, r"Operation: +Snapshot")
        self.assertRegex(done, r"Total downtime: +[1-9][0-9]* +ms")
        self.assertGreater(os.path.getsize(self.memory), 400 << 20)
        self.alive(line)
        self.revert("s1")
        self.assertEqual(self.state("a"), "running")
        line = self.line("a")
        self.alive(line)
        self.virsh("destroy", "a")
        self.virsh("snapshot-delete", "a", "s1")
        self.nothing_leaked()
        self.healthy()

    def pause(self, line):
        """Takes s1; for how many milliseconds QEMU said that the guest was stopped."""
        events = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "qemu-monitor-event", "a", "--loop"],
                                  stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        call = self.take()
        self.saving()
        self.alive(line)
        call.join()
        self.assertIsNone(call.error)
        times = {}
        while len(times) < 2:
            name, at = re.match(r"event (\w+) at ([0-9.]+)", events.stdout.readline()).groups()
            times.update({name: float(at)} if name in ("STOP", "RESUME") else {})
        events.kill()
        events.wait()
        events.stdout.close()
        return (times["RESUME"] - times["STOP"]) * 1000

    def test_moment(self):
        """What the guest does while its memory is written is not in the snapshot."""
        line, _ = self.nano_with(1024)
        self.write_both(line, "A")
        line.ask("mA", "M=A")
        call = self.take()
        self.saving()
        line.ask("mB", "M=B")
        self.write_both(line, "B")
        self.assertTrue(call.is_alive(), "too fast to see anything")
        call.join()
        self.assertIsNone(call.error)
        self.assertEqual(self.snapshot_sector("s1"), {"A"})
        self.revert("s1")
        line = self.line("a")
        line.ask("g", "M=A")
        self.read_both(line, "A")

    def test_abort(self):
        line = self.busy()
        call = self.take()
        self.saving()
        self.virsh("domjobabort", "a")
        call.join()
        self.assertEqual(call.error.get_error_code(), libvirt.VIR_ERR_OPERATION_ABORTED, call.error)
        self.assertEqual(self.state("a"), "running")
        self.alive(line)
        self.idle()
        self.untouched()
        call = self.take()    # and once more
        call.join()
        self.assertIsNone(call.error)

    def test_abort_keeps_what_the_guest_wrote(self):
        line, _ = self.nano_with(1024)
        self.write_both(line, "A")
        call = self.take()
        self.saving()
        self.write_both(line, "B")
        self.virsh("domjobabort", "a")
        call.join()
        self.assertIsNotNone(call.error, "too fast to abort")
        self.read_both(line, "B")
        self.untouched()
        self.virsh("destroy", "a")
        self.read_both(self.start("a"), "B")

    def test_client_that_goes(self):
        self.busy()
        virsh = subprocess.Popen(["virsh", "-c", self.daemon.uri(), "snapshot-create-as", "a", "s1", "--live", "--memspec",
                                  self.memory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.saving()
        virsh.kill()
        virsh.wait()
        qemutest.wait_until(lambda: self.state_of("plan") == {}, 30, "all is undone")
        self.untouched()

    def test_others_are_served(self):
        self.busy()
        call = self.take()
        self.saving()
        begin = time.monotonic()
        for command in ("domstate", "a"), ("dominfo", "a"), ("domblkstat", "a", "vda"), ("dommemstat", "a"), ("dumpxml", "a"):
            self.virsh(*command)
        self.assertTrue(call.is_alive(), "too fast to see anything")
        self.assertLess(time.monotonic() - begin, 3)
        self.virsh("destroy", "a")
        call.join()
        self.assertIsNotNone(call.error)
        self.untouched()
        self.virsh("start", "a")

    def test_daemon_dies(self):
        line = self.busy()
        call = self.take()
        self.saving()
        self.daemon.kill()
        self.daemon.start_vireod()
        call.join()
        self.assertIsNotNone(call.error)
        self.idle()
        qemutest.wait_until(lambda: self.state_of("plan") == {}, 30, "it is finished")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])
        self.assertEqual(self.state("a"), "running")
        line = self.line("a")
        self.alive(line)
        self.revert("s1")
        line = self.line("a")
        self.alive(line)
        self.virsh("destroy", "a")
        self.virsh("snapshot-delete", "a", "s1")
        self.nothing_leaked()
        self.healthy()

    def test_daemon_dies_and_somebody_aborts(self):
        line = self.busy()
        self.take()
        self.saving()
        self.daemon.kill()
        self.daemon.start_vireod()
        self.saving("memory_processed")
        self.virsh("domjobabort", "a")
        qemutest.wait_until(lambda: self.state_of("plan") == {}, 30, "it is undone")
        self.untouched()
        line = self.line("a")
        self.alive(line)

    def test_qemu_dies(self):
        line, _ = self.nano_with(1024)
        self.write_both(line, "A")
        call = self.take()
        self.saving()
        self.write_both(line, "B")
        os.kill(self.pid("a"), signal.SIGKILL)
        call.join()
        self.assertIsNotNone(call.error)
        self.wait_state("a", "shut off")
        self.untouched()
        self.read_both(self.start("a"), "B")

    def test_qemu_and_daemon_die(self):
        line, _ = self.nano_with(1024)
        self.write_both(line, "A")
        self.take()
        self.saving()
        self.write_both(line, "B")
        pid = self.pid("a")
        self.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        self.daemon.start_vireod()
        self.assertEqual(self.state("a"), "shut off")
        self.untouched()
        self.read_both(self.start("a"), "B")

    def test_no_room(self):
        small = os.path.join(self.dir, "small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], check=False).returncode:
            self.skipTest("no file system can be mounted here")
        try:
            line = self.busy()
            call = self.take(memory=small + "/mem")
            call.join()
            self.assertIn("has no room", str(call.error))
            self.assertEqual(os.listdir(small), [])
        finally:
            subprocess.run(["umount", small], check=True)
        os.rmdir(small)
        self.assertEqual(self.state("a"), "running")
        self.alive(line)
        self.untouched()


class Refused(Live):
    def refused(self, words, xml, flags=LIVE):
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.conn.lookupByName("a").snapshotCreateXML(xml, flags)
        self.assertIn(words, str(caught.exception))

    def test_without_effect(self):
        self.nano()
        plain = "<domainsnapshot><name>s1</name></domainsnapshot>"
        self.refused("memory in a file", plain)
        self.refused("no memory", plain, LIVE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
        self.refused("manual", self.request(disks="<disks><disk name='vda' snapshot='manual'/></disks>"))
        self.virsh("suspend", "a")
        self.refused("does not run", self.request())
        self.virsh("destroy", "a")
        self.refused("LIVE", self.request())
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    if not os.path.exists(BUSY):
        qemutest.skip_file("the busy guest is not built")
    qemutest.main()
