# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: what can happen to a running guest, with the states and reasons that follow."""
import os
import subprocess
import time

import vireotest


class Lifecycle(vireotest.VirshCase):
    def test_start_runs_the_guest(self):
        self.define("a")
        self.virsh("start", "a")
        self.assertEqual(self.state_reason("a"), ("running", "booted"))
        self.line("a").wake()
        self.assertRegex(self.virsh("domid", "a"), r"^[1-9]\d*$")
        self.assertEqual(self.names("list", "--name"), ["a"])
        self.assertEqual(self.names("list", "--inactive", "--name"), [])

    def test_start_of_a_running_domain(self):
        self.start(self.define("a"))
        self.assertIn("already active", self.virsh_fails("start", "a"))
        self.assertEqual(self.state("a"), "running")

    def test_start_paused_then_resume(self):
        self.define("a")
        self.virsh("start", "a", "--paused")
        self.assertEqual(self.state("a"), "paused")
        self.assertEqual(self.names("list", "--name", "--state-paused"), ["a"])
        self.virsh("resume", "a")
        self.assertEqual(self.state_reason("a"), ("running", "unpaused"))
        self.line("a").wake()

    def test_suspend_stops_the_guest_and_resume_lets_it_go_on(self):
        line = self.start(self.define("a"))
        line.ask("mQ", "M=Q")
        self.virsh("suspend", "a")
        self.assertEqual(self.state_reason("a"), ("paused", "user"))
        line.send("g")
        with self.assertRaises(AssertionError):
            line.expect("M=", 0.7)
        self.virsh("resume", "a")
        self.assertEqual(self.state_reason("a"), ("running", "unpaused"))
        line.expect("M=Q")

    def test_suspend_twice_and_resume_twice(self):
        self.start(self.define("a"))
        self.virsh("suspend", "a")
        self.virsh("suspend", "a")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        self.assertIn("already running", self.virsh_fails("resume", "a"))

    def test_shutdown_presses_the_power_button(self):
        line = self.start(self.define("a"))
        self.virsh("shutdown", "a")
        line.expect_off()
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))
        self.assertEqual(self.virsh("domid", "a"), "-")

    def test_shutdown_by_acpi(self):
        line = self.start(self.define("a"))
        self.virsh("shutdown", "a", "--mode", "acpi")
        line.expect_off()
        self.wait_state("a", "shut off")

    def test_shutdown_by_an_agent_that_is_not_there(self):
        self.start(self.define("a"))
        self.assertIn("agent", self.virsh_fails("shutdown", "a", "--mode", "agent").lower())
        self.assertEqual(self.state("a"), "running")

    def test_guest_powers_off_by_itself(self):
        line = self.start(self.define("a"))
        line.send("p")
        line.expect_off()
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a"), ("shut off", "shutdown"))

    def test_destroy(self):
        self.start(self.define("a"))
        self.virsh("destroy", "a")
        self.assertEqual(self.state_reason("a"), ("shut off", "destroyed"))
        self.assertIn("not running", self.virsh_fails("destroy", "a"))

    def test_destroy_gracefully(self):
        self.start(self.define("a"))
        self.virsh("destroy", "a", "--graceful")
        self.assertEqual(self.state("a"), "shut off")

    def test_destroy_ends_the_process(self):
        self.define("a")
        self.virsh("start", "a")
        self.assertEqual(len(qemu_processes(self.work)), 1)
        self.virsh("destroy", "a")
        self.assertEqual(qemu_processes(self.work), [])

    def test_reset_starts_the_guest_anew(self):
        line = self.start(self.define("a"))
        line.ask("mQ", "M=Q")
        number = self.virsh("domid", "a")
        self.virsh("reset", "a")
        line.expect("READY nano")
        line.wake()
        line.ask("g", "M=-")
        self.assertEqual(self.state("a"), "running")
        self.assertEqual(self.virsh("domid", "a"), number)

    def test_guest_reboots_by_itself(self):
        line = self.start(self.define("a"))
        number = self.virsh("domid", "a")
        line.ask("b", "REBOOT nano")
        line.expect("READY nano")
        self.assertEqual(self.virsh("domid", "a"), number)

    def test_reboot_comes_back(self):
        """The guest answers the button by powering off; the daemon has to start it again."""
        line = self.start(self.define("a"))
        self.virsh("reboot", "a", "--mode", "acpi")
        line.expect("OFF nano")
        line.expect("READY nano")
        self.assertEqual(self.state("a"), "running")

    def test_start_again(self):
        self.start(self.define("a"))
        first = int(self.virsh("domid", "a"))
        self.virsh("destroy", "a")
        self.start("a")
        self.assertGreater(int(self.virsh("domid", "a")), first)

    def test_disk_keeps_what_the_guest_wrote(self):
        line = self.start(self.define("a"))
        line.ask("wK", "W=K")
        line.send("p")
        line.expect_off()
        self.wait_state("a", "shut off")
        line = self.start("a")
        line.ask("r", "R=K")

    def test_two_disks(self):
        disks = self.two_disks()
        line = self.start(self.define("a", disks=disks))
        line.ask("0", "0")
        line.ask("wA", "W=A")
        line.ask("1", "1")
        line.ask("wB", "W=B")
        line.ask("r", "R=B")
        line.ask("0", "0")
        line.ask("r", "R=A")

    def test_disk_buses(self):
        for bus, target in (("ide", "hda"), ("sata", "sda"), ("scsi", "sda")):
            with self.subTest(bus=bus):
                disk = vireotest.disk_xml(self.nano_disk(f"{bus}.qcow2"), target, bus=bus)
                line = self.start(self.define(bus, disks=[disk]))
                line.ask("wT", "W=T")
                self.virsh("destroy", bus)

    def test_raw_disk(self):
        path = os.path.join(self.work, "disk.raw")
        with open(vireotest.NANO, "rb") as source, open(path, "wb") as target:
            target.write(source.read())
        os.chmod(path, 0o666)
        line = self.start(self.define("a", disks=[vireotest.disk_xml(path, "vda", "raw")]))
        line.ask("wZ", "W=Z")
        self.virsh("destroy", "a")
        with open(path, "rb") as stream:
            stream.seek(64 * 512)
            self.assertEqual(stream.read(512), b"Z" * 512)

    def test_q35(self):
        text = self.nano_xml("a").replace("machine='pc'", "machine='q35'")
        self.virsh("define", self.write("a.xml", text))
        self.start("a")
        self.assertIn("q35", self.xml("a").find("os/type").get("machine"))

    def test_transient_domain(self):
        path = self.write("t.xml", self.nano_xml("t"))
        self.virsh("create", path)
        self.assertEqual(self.info("t")["Persistent"], "no")
        self.assertEqual(self.names("list", "--name", "--transient"), ["t"])
        self.line("t").wake()
        self.virsh("destroy", "t")
        self.assertIn("failed to get domain", self.virsh_fails("dominfo", "t"))

    def test_transient_domain_paused(self):
        self.virsh("create", self.write("t.xml", self.nano_xml("t")), "--paused")
        self.assertEqual(self.state("t"), "paused")

    def test_transient_domain_that_ends_is_gone(self):
        self.virsh("create", self.write("t.xml", self.nano_xml("t")))
        line = self.line("t")
        line.wake()
        line.send("p")
        line.expect_off()
        vireotest.wait_until(lambda: self.names("list", "--all", "--name") == [], what="t is gone")

    def test_autodestroy(self):
        """The guest goes with its client."""
        path = self.write("t.xml", self.nano_xml("t"))
        self.assertIn("running", self.virsh(f"create {path} --autodestroy; domstate t"))
        vireotest.wait_until(lambda: self.names("list", "--all", "--name") == [], what="t is gone")

    def test_persistent_domain_undefined_while_running(self):
        self.start(self.define("a"))
        self.virsh("undefine", "a")
        self.assertEqual(self.info("a")["Persistent"], "no")
        self.assertEqual(self.state("a"), "running")
        self.virsh("destroy", "a")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_running_domain_redefined_changes_at_next_start(self):
        self.define_diskless("a", memory=16)
        uuid = self.virsh("domuuid", "a")
        self.virsh("start", "a")
        self.define_diskless("a", memory=24, uuid=uuid)
        self.assertEqual(self.xml("a").find("memory").text, "16384")
        self.assertEqual(self.xml("a", "--inactive").find("memory").text, "24576")
        self.virsh("destroy", "a")
        self.assertEqual(self.xml("a").find("memory").text, "24576")

    def test_create_with_descriptors(self):
        """virsh hands the descriptor over; a QEMU guest that is no container cannot take it."""
        path = self.write("t.xml", self.nano_xml("t"))
        command = f"exec 5</dev/null; exec virsh -c '{self.daemon.uri()}' create {path} --pass-fds 5"
        done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("error:", done.stderr)
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_missing_disk_image(self):
        path = os.path.join(self.work, "none.qcow2")
        self.define("a", disks=[vireotest.disk_xml(path, "vda")])
        self.assertIn("none.qcow2", self.virsh_fails("start", "a"))
        self.assertEqual(self.state("a"), "shut off")

    def test_disk_image_that_is_not_what_it_claims(self):
        path = self.write("fake.qcow2", "no image\n")
        os.chmod(path, 0o666)
        self.define("a", disks=[vireotest.disk_xml(path, "vda")])
        self.assertRegex(self.virsh_fails("start", "a"), "qcow2")
        self.assertEqual(self.state("a"), "shut off")

    def test_qemu_that_refuses_says_why(self):
        text = self.nano_xml("a", disks=[]).replace("<os>", "<os><kernel>/nonexistent/kernel</kernel>")
        self.virsh("define", self.write("a.xml", text))
        self.assertIn("/nonexistent/kernel", self.virsh_fails("start", "a"))
        self.assertEqual(self.state("a"), "shut off")

    def test_guest_whose_qemu_is_killed(self):
        self.start(self.define("a"))
        [pid] = qemu_processes(self.work)
        os.kill(pid, 9)
        self.wait_state("a", "shut off")
        self.assertIn(self.state_reason("a")[1], ("crashed", "failed"))
        self.start("a")

    def test_guests_survive_a_daemon_that_is_killed(self):
        if not self.daemon.process:
            self.skipTest("restarts vireod only")
        line = self.start(self.define("a"))
        self.virsh("create", self.write("t.xml", self.nano_xml("t")))
        line.ask("mQ", "M=Q")
        number, before = self.virsh("domid", "a"), self.virsh("dumpxml", "a")
        for end in (self.daemon.kill, self.daemon.stop):
            end()
            self.daemon.start_vireod()
            self.assertEqual(self.names("list", "--name"), ["a", "t"])
            self.assertEqual(self.virsh("domid", "a"), number)
            self.assertEqual(self.virsh("dumpxml", "a"), before)
            self.assertEqual(self.state("a"), "running")
            self.assertEqual(self.info("t")["Persistent"], "no")
            line.ask("g", "M=Q")
        self.virsh("shutdown", "a")
        line.expect_off()
        self.wait_state("a", "shut off")

    def test_guest_that_ends_while_the_daemon_is_away(self):
        if not self.daemon.process:
            self.skipTest("restarts vireod only")
        line = self.start(self.define("a"))
        self.daemon.kill()
        line.send("p")
        line.expect_off()
        time.sleep(0.5)
        self.daemon.start_vireod()
        self.wait_state("a", "shut off")
        self.start("a")


def qemu_processes(word):
    """Pids of QEMUs whose command line mentions WORD."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                line = stream.read()
        except OSError:
            continue
        if line.startswith(b"/usr/bin/qemu-system") and word.encode() in line:
            found.append(int(pid))
    return found


if __name__ == "__main__":
    vireotest.main()
