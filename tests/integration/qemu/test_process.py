# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a privileged daemon runs QEMU: as nobody in particular, in a sandbox, with its images and no others."""
import os
import stat

import qemutest
from qemutest import disk_xml

if not qemutest.IS_ROOT:
    qemutest.skip_file("only a privileged daemon changes users")

NO_CAPABILITIES = 0


class Process(qemutest.Case):
    def test_unprivileged_and_sandboxed(self):
        self.start(self.define("a"))
        pid = self.pid("a")
        status = qemutest.status(pid)
        self.assertNotIn("0", status["Uid"].split())
        self.assertNotIn("0", status["Gid"].split())
        self.assertEqual(int(status["CapEff"], 16), NO_CAPABILITIES)
        self.assertEqual(int(status["CapPrm"], 16), NO_CAPABILITIES)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")
        command = qemutest.cmdline(pid)
        sandbox = command[command.index("-sandbox") + 1]
        self.assertTrue(sandbox.startswith("on,"), sandbox)
        self.assertIn("spawn=deny", sandbox)

    def test_it_belongs_to_no_session_of_the_daemon(self):
        self.start(self.define("a"))
        self.assertNotEqual(os.getsid(self.pid("a")), os.getsid(self.daemon.process.pid))

    def test_no_descriptor_of_the_daemon_leaks(self):
        self.start(self.define("a"))
        own = f"/proc/{self.pid('a')}/fd"
        open_files = [os.readlink(f"{own}/{fd}") for fd in os.listdir(own)]
        foreign = [path for path in open_files if path.startswith(self.daemon.root) and not path.endswith(".log")]
        self.assertEqual(foreign, [])


class Images(qemutest.Case):
    def give_and_take(self, path, kind="qcow2"):
        before = self.owner(path)
        self.define("a", disks=[disk_xml(path, "vda", kind=kind)])
        self.virsh("start", "a")
        uid = int(qemutest.status(self.pid("a"))["Uid"].split()[0])
        self.assertEqual(self.owner(path)[0], uid)
        return before

    def test_given_and_given_back_at_destroy(self):
        path = self.private_disk("p.qcow2")
        before = self.give_and_take(path)
        self.virsh("destroy", "a")
        self.assertEqual(self.owner(path), before)

    def test_given_back_when_the_guest_powers_off(self):
        path = self.nano_disk("p.qcow2")
        os.chmod(path, 0o600)
        before = self.give_and_take(path)
        line = self.line("a")
        line.wake()
        line.send("p")
        self.wait_state("a", "shut off")
        qemutest.wait_until(lambda: self.owner(path) == before, 5, "the image is given back")

    def test_given_back_when_qemu_is_killed(self):
        path = self.private_disk("p.qcow2")
        before = self.give_and_take(path)
        os.kill(self.pid("a"), 9)
        self.wait_state("a", "shut off")
        self.assertEqual(self.state_reason("a")[1], "crashed")
        qemutest.wait_until(lambda: self.owner(path) == before, 5, "the image is given back")

    def test_given_back_to_who_it_belonged(self):
        path = self.private_disk("p.qcow2")
        os.chown(path, 12345, 23456)
        before = self.give_and_take(path)
        self.virsh("destroy", "a")
        self.assertEqual(self.owner(path), before)
        self.assertEqual(before[:2], (12345, 23456))

    def test_a_failed_start_gives_back(self):
        first, before = self.private_disk("p.qcow2"), None
        before = self.owner(first)
        self.define("a", disks=[disk_xml(first, "vda"), disk_xml(self.work + "/gone.qcow2", "vdb")])
        self.assertIn("gone.qcow2", self.virsh_fails("start", "a"))
        self.assertEqual(self.owner(first), before)

    def test_usable_images_keep_their_owner(self):
        path = self.empty_disk("open.qcow2")
        before = self.owner(path)
        self.define("a", disks=[disk_xml(path, "vda")])
        self.virsh("start", "a")
        self.assertEqual(self.owner(path), before)

    def test_a_link_its_owner_could_swap_is_not_followed(self):
        """The folder belongs to somebody; what its link points to is not for them to give away."""
        secret = self.private_disk("secret.qcow2")
        folder = os.path.join(self.work, "theirs")
        os.mkdir(folder, 0o755)
        os.symlink(secret, os.path.join(folder, "d.qcow2"))
        os.chown(folder, 12345, 12345)
        before = self.owner(secret)
        self.define("a", disks=[disk_xml(folder + "/d.qcow2", "vda")])
        self.virsh_fails("start", "a")
        self.assertEqual(self.owner(secret), before)
        self.assertEqual(self.state("a"), "shut off")

    def test_a_base_image_nobody_named_is_not_given_away(self):
        """A header says what it likes; it does not change who may read a file."""
        base = self.private_disk("base.qcow2")
        top = os.path.join(self.work, "top.qcow2")
        qemutest.vireotest.subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top], check=True)
        before = self.owner(base)
        self.define("a", disks=[disk_xml(top, "vda")])
        self.assertIn("base.qcow2", self.virsh_fails("start", "a"))
        self.assertEqual(self.owner(base), before)

    def test_hard_links_are_not_given_away(self):
        path = self.private_disk("p.qcow2")
        os.link(path, path + ".second")
        before = self.owner(path)
        self.define("a", disks=[disk_xml(path, "vda")])
        self.assertIn("hard links", self.virsh_fails("start", "a"))
        self.assertEqual(self.owner(path), before)

    def test_definitions_and_logs_are_private(self):
        self.define("a")
        self.virsh("start", "a")
        for folder, _, files in os.walk(os.path.join(self.daemon.root, "etc", "vireo", "qemu")):
            for name in files:
                mode = os.stat(os.path.join(folder, name)).st_mode
                self.assertFalse(mode & (stat.S_IRWXG | stat.S_IRWXO), f"{name}: {mode:o}")


if __name__ == "__main__":
    qemutest.main()
