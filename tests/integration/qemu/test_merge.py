# SPDX-License-Identifier: LGPL-2.1-or-later
"""Space that deleted snapshots leave comes back in the background: seen, cut short, taken up again, and never in the
way of anything else."""
import contextlib
import glob
import os
import signal
import subprocess
import threading
import time

import qcow2
import qemutest
from imagetest import Case
from qemutest import disk_xml, wait_until

SIZE = "96M"


class Merge(Case):
    """A disk, two snapshots, plenty of data between them."""

    def setUp(self):
        super().setUp()
        self.base = self.image("d.qcow2", size=SIZE)
        self.define("a", disks=[disk_xml(self.base, "vda")])
        self.write_all(1)
        self.virsh("snapshot-create-as", "a", "s1", "--diskspec", "vda,snapshot=external")
        self.write_all(2)
        self.virsh("snapshot-create-as", "a", "s2", "--diskspec", "vda,snapshot=external")
        self.fill(3)
        self.addCleanup(self.let_go)
        self.held = None

    def top(self):
        return self.targets("a")["vda"]

    def write_all(self, pattern):
        subprocess.run(["qemu-io", "-c", f"write -P {pattern} 0 {SIZE}", self.top()], check=True,
                       stdout=subprocess.DEVNULL)

    def copier(self):
        """The process that copies, or None."""
        for entry in filter(str.isdigit, os.listdir("/proc")):
            words = qemutest.cmdline(int(entry))
            if "rebase" in words[1:2] and any(word.startswith(self.dir) for word in words):
                return int(entry)
        return None

    def started(self):
        """The same, of this daemon only: found in time, however many processes there are."""
        for path in glob.glob(f"/proc/{self.daemon.process.pid}/task/*/children"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as stream:
                for child in map(int, stream.read().split()):
                    if "rebase" in qemutest.cmdline(child)[1:2]:
                        return child
        return None

    def hold(self):
        """Deletes s2 and holds the process that copies; that does not wait for virsh to end."""
        delete = threading.Thread(target=self.virsh, args=("snapshot-delete", "a", "s2"))
        delete.start()
        end = time.monotonic() + 30
        while not self.held:
            self.assertLess(time.monotonic(), end, "no process copies")
            self.held = self.started()
        os.kill(self.held, signal.SIGSTOP)
        delete.join()
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])

    def let_go(self):
        if self.held:
            try:
                os.kill(self.held, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def job(self):
        pairs = (row.partition(":") for row in self.virsh("domjobinfo", "a").splitlines() if ":" in row)
        return {key.strip(): value.strip() for key, _, value in pairs}

    def merged(self):
        """The data of s2's overlay is in the disk's image, which is based on the first."""
        wait_until(lambda: self.files() == ["d.qcow2", "d.s2"], 60, "it is merged")
        self.healthy()
        self.reads(3, self.top())
        for offset in "64k", "50M":
            done = subprocess.run(["qemu-io", "-r", "-U", "-c", f"read -P 2 {offset} 64k", self.top()], check=True,
                                  capture_output=True, text=True)
            self.assertNotIn("verification failed", done.stdout)
        self.reads(1, self.base)

    def test_it_can_be_seen(self):
        self.hold()
        job = self.job()
        self.assertEqual((job["Job type"], job["Operation"]), ("Bounded", "Snapshot delete"))
        self.assertEqual(int(float(job["Data total"].split()[0])), 96)
        self.let_go()
        self.merged()

    def test_deleting_does_not_take_longer(self):
        """It returns while the process that copies stands still."""
        self.fill(4)
        self.hold()
        self.assertEqual(self.copier(), self.held)

    def test_another_snapshot_in_between(self):
        self.hold()
        self.virsh("snapshot-create-as", "a", "s3", "--diskspec", "vda,snapshot=external")
        self.virsh("snapshot-delete", "a", "s3")
        self.idle()
        self.healthy()
        self.reads(3, self.top())
        self.assertEqual(self.files(), ["d.qcow2", "d.s3"])

    def test_start_in_between(self):
        """The guest does not wait; QEMU goes on with what qemu-img began."""
        self.hold()
        before = time.monotonic()
        self.virsh("start", "a")
        self.assertLess(time.monotonic() - before, 30)
        self.assertIsNone(self.copier())
        self.idle()
        wait_until(lambda: self.files() == ["d.qcow2", "d.s2"], 60, "QEMU has merged it")
        self.virsh("destroy", "a")
        self.merged()

    def test_abort(self):
        self.hold()
        self.virsh("domjobabort", "a")
        wait_until(lambda: self.job()["Job type"] == "None", 10, "it is aborted")
        self.assertIn("no job", self.virsh_fails("domjobabort", "a"))
        time.sleep(0.5)
        self.assertIsNone(self.copier())
        self.assertEqual(len(self.files()), 3)
        self.healthy()
        self.reads(3, self.top())
        # The next operation brings it back.
        self.virsh("snapshot-create-as", "a", "s3", "--diskspec", "vda,snapshot=external")
        self.virsh("snapshot-delete", "a", "s3")
        self.left(2)

    def lose(self, path):
        """One cluster more of the image is in use, for nothing: as a merge may leave it that is cut short."""
        image = qcow2.Image(path)
        number = -(-os.path.getsize(path) >> image.bits) + 1
        os.truncate(path, number + 1 << image.bits)
        with open(path, "r+b") as stream:
            stream.seek((image.words(image.table_at, 1)[0] & qcow2.OFFSET) + number * 2)
            stream.write(b"\0\1")
        self.assertEqual(qcow2.Image(path).problems(), (0, 1))

    def test_nothing_is_lost_when_it_is_cut_short(self):
        self.hold()
        self.virsh("domjobabort", "a")
        wait_until(lambda: self.job()["Job type"] == "None", 10, "it is aborted")
        image = os.path.join(self.dir, "d.s2")
        self.lose(image)
        self.virsh("start", "a")
        self.virsh("destroy", "a")
        wait_until(lambda: self.files() == ["d.qcow2", "d.s2"], 60, "it is merged")
        wait_until(lambda: qcow2.Image(image).problems() == (0, 0), 20, "the clusters are free again")
        self.merged()

    def test_daemon_dies(self):
        self.hold()
        self.daemon.kill()
        self.let_go()
        wait_until(lambda: not self.copier(), 60, "nobody copies any more")
        self.daemon.start_vireod()
        self.merged()

    def test_daemon_is_stopped(self):
        self.hold()
        before = time.monotonic()
        self.daemon.restart()
        self.assertLess(time.monotonic() - before, 30)
        self.merged()

    def test_undefined_in_between(self):
        """One of the same uuid takes it up again, and what was lost to the image."""
        self.hold()
        image, document = os.path.join(self.dir, "d.s2"), os.path.join(self.work, "again.xml")
        with open(document, "w", encoding="utf-8") as stream:
            stream.write(self.virsh("dumpxml", "a"))
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.reads(3, image)
        self.virsh("list")
        self.lose(image)
        self.virsh("define", document)
        wait_until(lambda: qcow2.Image(image).problems() == (0, 0), 60, "the clusters are free again")


class Live(Merge):
    """The same while the guest runs."""

    def hold(self):
        self.virsh("start", "a")
        self.virsh("snapshot-delete", "a", "s2")

    def merged(self):
        self.left(2)
        self.virsh("destroy", "a")
        super().merged()

    def test_it_can_be_seen(self):
        self.virsh("start", "a")
        job = {}

        def is_seen():
            job.update(self.job())
            return "Operation" in job or len(self.files()) == 2
        self.virsh("snapshot-delete", "a", "s2")
        wait_until(is_seen, 10, "the job")
        self.merged()

    def test_others_are_served(self):
        self.hold()
        for _ in range(5):
            self.virsh("suspend", "a")
            self.virsh("resume", "a")
        self.merged()

    def test_guest_ends_in_between(self):
        self.hold()
        self.virsh("destroy", "a")
        super().merged()

    def test_qemu_is_killed(self):
        self.hold()
        os.kill(self.pid("a"), signal.SIGKILL)
        self.wait_state("a", "shut off")
        super().merged()

    def test_daemon_dies(self):
        self.hold()
        self.daemon.kill()
        self.daemon.start_vireod()
        self.merged()

    def test_daemon_is_stopped(self):
        self.hold()
        self.daemon.restart()
        self.merged()

    def test_abort(self):
        self.hold()
        self.virsh_raw("domjobabort", "a")    # it may be over already
        self.virsh("destroy", "a")
        self.idle()
        self.healthy()
        self.reads(3, self.top())

    def test_another_snapshot_in_between(self):
        self.hold()
        self.virsh("snapshot-create-as", "a", "s3", "--disk-only")
        self.virsh("snapshot-delete", "a", "s3")
        self.left(2)
        self.virsh("destroy", "a")
        self.healthy()
        self.reads(3, self.top())

    def test_start_in_between(self):
        self.skipTest("it runs already")

    def test_deleting_does_not_take_longer(self):
        self.skipTest("seen while it is off")

    def test_nothing_is_lost_when_it_is_cut_short(self):
        self.skipTest("QEMU enters what it takes when it is told to stop")

    def test_undefined_in_between(self):
        self.hold()
        self.virsh("undefine", "a", "--snapshots-metadata")
        self.virsh("destroy", "a")
        self.reads(3, os.path.join(self.dir, "d.s2"))


class Hindered(Case):
    """Something is in the way of it for a while: said once, and tried again with nobody asking."""

    def setUp(self):
        super().setUp()
        self.define("a", disks=[disk_xml(self.image("d.qcow2"), "vda")])
        self.before = len(self.logged())
        for name in "s1", "s2":
            self.take(name)

    def take(self, name):
        self.virsh("snapshot-create-as", "a", name, "--disk-only")

    def logged(self):
        with open(self.daemon.log, encoding="utf-8", errors="replace") as stream:
            return stream.readlines()

    def told(self):
        return [line for line in self.logged()[self.before:] if "is not given back" in line or "cut short" in line]

    def worked(self):
        """Seconds of the daemon."""
        return time.clock_gettime(~self.daemon.process.pid << 3 | 2)

    def tells(self, *words):
        """Once, although it is tried more often than that."""
        wait_until(self.told, 10, "it says that something is wrong")
        before = self.worked()
        time.sleep(1.8)
        self.assertLess(self.worked() - before, 0.4, "it never rests")
        said = self.told()
        self.assertEqual(len(said), 1, said[:3])
        for word in words:
            self.assertIn(word, said[0])

    def test_image_away(self):
        """One of another branch: nobody knows what that needs."""
        away = os.path.join(self.dir, "d.s1")
        self.virsh("snapshot-revert", "a", "s1")
        self.take("s3")
        branch = qcow2.Image(self.targets("a")["vda"]).backing
        os.rename(away, away + ".aside")
        self.virsh("snapshot-delete", "a", "s3")
        self.tells("'s2'", away)
        self.assertTrue(os.path.exists(branch))
        os.rename(away + ".aside", away)
        wait_until(lambda: not os.path.exists(branch), 10, "it is tried again")
        self.nothing_leaked()

    def test_image_of_another_domain(self):
        """That it is damaged does not mean that it needs nothing."""
        self.virsh("snapshot-revert", "a", "s1")
        self.take("s3")
        branch = qcow2.Image(self.targets("a")["vda"]).backing
        other = self.image("other.qcow2", "-b", branch, "-F", "qcow2")
        self.define("b", disks=[disk_xml(other, "vda")])
        with open(other, "r+b") as stream:
            head = stream.read(4)
            stream.seek(0)
            stream.write(b"lost")
        self.virsh("snapshot-delete", "a", "s3")
        self.tells("domain 'b'", other)
        self.assertTrue(os.path.exists(branch))
        with open(other, "r+b") as stream:
            stream.write(head)
        self.virsh("undefine", "b")
        os.unlink(other)
        wait_until(lambda: not os.path.exists(branch), 10, "it is tried again")
        self.nothing_leaked()

    def test_metadata_cannot_be_written(self):
        where = os.path.join(self.daemon.root, "var/lib/vireo/qemu/system/snapshots", self.virsh("domuuid", "a"))
        os.rename(where, where + ".aside")
        with open(where, "wb"):
            pass
        self.assertIn("as soon as", self.virsh_fails("snapshot-create-as", "a", "s3", "--disk-only"))
        self.tells("metadata")
        os.unlink(where)
        os.rename(where + ".aside", where)
        wait_until(lambda: "s3" in self.names("snapshot-list", "a", "--name"), 10, "it is tried again")


class Meanwhile(Case):
    """Deletes that come while QEMU merges: they do not wait for it, even where it stands still."""

    def setUp(self):
        super().setUp()
        base = self.image("d.qcow2")
        self.define("a", disks=[disk_xml(base, "vda")])
        for number in range(1, 7):
            self.virsh("snapshot-create-as", "a", f"s{number}", "--diskspec", "vda,snapshot=external")
            self.mark(self.targets("a")["vda"], number)
        self.virsh("start", "a")
        self.qemu = self.pid("a")
        self.addCleanup(self.go_on)
        os.kill(self.qemu, signal.SIGSTOP)
        self.virsh("snapshot-delete", "a", "s4")
        time.sleep(0.5)    # it is being merged: QEMU is asked, and does not answer

    def mark(self, path, number):
        subprocess.run(["qemu-io", "-c", f"write -P {number} {number * 64}k 64k", path], check=True,
                       stdout=subprocess.DEVNULL)

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.qemu, signal.SIGCONT)

    def delete_more(self):
        before = time.monotonic()
        self.virsh("snapshot-delete", "a", "s3")
        self.virsh("snapshot-delete", "a", "s6")
        self.assertLess(time.monotonic() - before, 10, "QEMU was waited for")
        self.assertIn("'s3'", self.virsh_fails("snapshot-delete", "a", "s3"))
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1", "s2", "s5"])

    def merged(self):
        """What s1, s2, s5 and the disk need is left, each with its own data and that of those below it."""
        self.left(4)
        self.assertEqual(self.files(), ["d.qcow2", "d.s1", "d.s4", "d.s6"])
        self.healthy()
        for name, most in ("d.s1", 1), ("d.s4", 4), ("d.s6", 6):
            for number in range(1, 7):
                done = subprocess.run(["qemu-io", "-r", "-U", "-c",
                                       f"read -P {number if number <= most else 0} {number * 64}k 64k",
                                       os.path.join(self.dir, name)], check=True, capture_output=True, text=True)
                self.assertNotIn("verification failed", done.stdout, f"{name}: {number}")
        self.nothing_leaked()

    def test_they_do_not_wait(self):
        self.delete_more()
        self.go_on()
        self.merged()

    def test_daemon_dies(self):
        """What was given up meanwhile is not forgotten."""
        self.delete_more()
        self.daemon.kill()
        self.go_on()
        self.daemon.start_vireod()
        self.merged()

    def test_all_at_once(self):
        """Many clients: each snapshot goes once, and what is merged is not needed by any."""
        threads = [threading.Thread(target=self.virsh_raw, args=("snapshot-delete", "a", name, *options))
                   for name, *options in (("s5", "--children"), ("s2",), ("s3",), ("s2",), ("s3",))]
        before = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - before, 10, "QEMU was waited for")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])
        self.go_on()
        self.left(2)
        self.healthy()
        self.nothing_leaked()


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
