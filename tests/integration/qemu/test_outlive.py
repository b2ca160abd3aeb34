# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed and comes back: guests never notice, and what happened meanwhile is told."""
import os
import signal
import subprocess
import time

import qemutest
from qemutest import disk_xml, wait_until


class Outlive(qemutest.Case):
    def revive(self):
        """A new daemon after an accident; returns when it answers."""
        self.daemon.kill()
        self.daemon.start_vireod()

    def test_running_guest_is_untouched(self):
        log = os.path.join(self.work, "serial.log")
        text = self.nano_xml("a").replace("<serial type='pty'/>", f"<serial type='pty'><log file='{log}'/></serial>")
        self.virsh("define", self.write("a.xml", text))
        line = self.start("a")
        line.ask("mQ", "M=Q")
        pid, number, before = self.pid("a"), self.virsh("domid", "a"), self.virsh("dumpxml", "a")
        self.virsh("snapshot-create-as", "a", "s1")
        with open(log, "rb") as stream:
            said = stream.read()
        self.assertIn(b"READY nano", said)
        self.revive()
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.virsh("domid", "a"), number)
        self.assertEqual(self.state_reason("a")[0], "running")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])
        self.assertEqual(self.virsh("snapshot-current", "a", "--name"), "s1")
        self.assertEqual(self.virsh("dumpxml", "a"), before)
        line.ask("g", "M=Q")
        with open(log, "rb") as stream:
            self.assertTrue(stream.read().startswith(said))
        line.ask("mR", "M=R")
        self.virsh("snapshot-revert", "a", "s1")
        self.line("a").ask("g", "M=Q")
        self.virsh("destroy", "a")
        self.assertEqual(self.state("a"), "shut off")

    def test_paused_guest_stays_paused(self):
        self.start(self.define("a"))
        self.virsh("suspend", "a")
        self.revive()
        self.assertEqual(self.state_reason("a"), ("paused", "user"))
        self.virsh("resume", "a")
        self.assertEqual(self.state("a"), "running")

    def test_transient_guest(self):
        self.virsh("create", self.write("a.xml", self.nano_xml("a")))
        pid = self.pid("a")
        self.revive()
        self.assertEqual(self.info("a")["Persistent"], "no")
        self.assertEqual(self.pid("a"), pid)
        self.virsh("destroy", "a")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_events_go_on(self):
        line = self.start(self.define("a"))
        self.revive()
        line.ask("g", "M=")
        watch = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), "event", "a", "lifecycle", "--timeout", "15"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(watch.stdout.close)
        time.sleep(0.5)
        line.send("p")
        output = watch.communicate(timeout=30)[0]
        self.assertIn("Shutdown", output)
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))

    def test_guest_that_died_meanwhile(self):
        path = self.private_disk("d.qcow2")
        before = self.owner(path)
        self.define("a", disks=[disk_xml(path, "vda")])
        self.virsh("start", "a")
        pid = self.pid("a")
        self.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "QEMU has ended")
        self.daemon.start_vireod()
        self.assertEqual(self.state("a"), "shut off")
        self.assertEqual(self.virsh("domid", "a"), "-")
        self.assertEqual(self.owner(path), before)
        self.virsh("start", "a")
        self.assertEqual(self.state("a"), "running")

    def test_transient_guest_that_died_meanwhile(self):
        self.virsh("create", self.write("a.xml", self.nano_xml("a")))
        pid = self.pid("a")
        self.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "QEMU has ended")
        self.daemon.start_vireod()
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_a_stranger_with_the_same_number_is_left_alone(self):
        """What runs under the number a guest had is nobody's guest."""
        self.define("a")
        self.virsh("start", "a")
        pid = self.pid("a")
        self.daemon.kill()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "QEMU has ended")
        stranger = self.process_with_number(pid)
        if not stranger:
            self.daemon.start_vireod()
            self.skipTest("the kernel does not let the number be chosen")
        try:
            self.daemon.start_vireod()
            self.assertEqual(self.state("a"), "shut off")
            self.virsh_fails("destroy", "a")
            self.assertIsNone(stranger.poll())
        finally:
            stranger.kill()
            stranger.wait()

    def process_with_number(self, pid):
        """A process of our own that got this number, or None."""
        for _ in range(3):
            try:
                with open("/proc/sys/kernel/ns_last_pid", "w", encoding="utf-8") as stream:
                    stream.write(str(pid - 1))
            except OSError:
                return None
            child = subprocess.Popen(["sleep", "60"])
            if child.pid == pid:
                return child
            child.kill()
            child.wait()
        return None

    def test_device_attached_before_is_still_there(self):
        self.start(self.define("a"))
        path = self.private_disk("b.qcow2")
        device = self.write("b.xml", disk_xml(path, "vdb"))
        before = self.owner(path)
        self.virsh("attach-device", "a", device, "--live")
        self.revive()
        self.assertEqual(self.targets("a")["vdb"], path)
        self.virsh("detach-device", "a", device, "--live")
        self.virsh("reset", "a")
        wait_until(lambda: "vdb" not in self.targets("a"), 10, "the disk has left")
        self.assertEqual(self.owner(path), before)

    def test_device_that_left_meanwhile(self):
        line = self.start(self.define("a"))
        path = self.private_disk("b.qcow2")
        device = self.write("b.xml", disk_xml(path, "vdb"))
        before = self.owner(path)
        self.virsh("attach-device", "a", device, "--live")
        self.virsh("detach-device", "a", device, "--live")
        self.daemon.kill()
        line.ask("b", "READY nano")
        self.daemon.start_vireod()
        wait_until(lambda: "vdb" not in self.targets("a"), 10, "the disk has left")
        wait_until(lambda: self.owner(path) == before, 5, "the image is given back")

    def test_those_that_hang_are_waited_for_once(self):
        names = [f"h{i}" for i in range(4)]
        for name in names:
            self.start(self.define(name))
        pids = [self.pid(name) for name in names]
        try:
            for pid in pids[1:]:
                os.kill(pid, signal.SIGSTOP)
            self.daemon.kill()
            begin = time.monotonic()
            self.daemon.start_vireod()
            self.assertEqual(set(self.names("list", "--name")), set(names))
            self.assertLess(time.monotonic() - begin, 6)
            self.virsh("destroy", names[1])
            self.assertEqual(self.state(names[1]), "shut off")
        finally:
            for pid in pids[2:]:
                os.kill(pid, signal.SIGCONT)
        for name in names[2:]:
            wait_until(lambda name=name: self.virsh_raw("qemu-monitor-command", name, "--hmp", "info status")
                       .returncode == 0, 10, f"{name} answers again")

    def test_twice_in_a_row(self):
        line = self.start(self.define("a"))
        pid = self.pid("a")
        for _ in range(2):
            self.revive()
        self.daemon.restart()
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.state("a"), "running")
        line.ask("g", "M=")


if __name__ == "__main__":
    qemutest.main()
