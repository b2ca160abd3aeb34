# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chains of images: how long they may be, what shortens them, and that several domains' are merged at once."""
import os
import signal
import subprocess
import threading
import time

import qemutest
from plantest import PlanCase
from qemutest import disk_xml, vireotest, wait_until

SIZE = "128M"
vireotest.FILES["qemu.conf"] = ("[process]\nuser = nobody\ngroup = nogroup\n"
                                "[snapshots]\nmerge_jobs = 2\nchain_limit = 4\nshorten_above = 3\n")


def write_all(path, pattern):
    subprocess.run(["qemu-io", "-c", f"write -P {pattern} 0 {SIZE}", path], check=True, stdout=subprocess.DEVNULL)


class Holder(threading.Thread):
    """Stops processes that copy for these domains as soon as they begin."""

    def __init__(self, folder, names):
        super().__init__(daemon=True)
        self.folder = folder
        self.names = names
        self.held = {}
        self.over = False

    def run(self):
        if qemutest.IS_ROOT:    # a process may be over before this one is scheduled
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -19)
        others = set()
        while not self.over:
            for entry in os.listdir("/proc"):
                if entry.isdigit() and entry not in others and not self.look(int(entry)):
                    others.add(entry)

    def look(self, pid):
        """Whether it may still become one."""
        words = qemutest.cmdline(pid)
        mine = [word for word in words if word.startswith(self.folder + "/")]
        if "rebase" not in words[1:2] or not mine:
            return not any(words) or "vireod" in words[0]
        name = os.path.basename(mine[0])[0]
        if name in self.names and name not in self.held:
            os.kill(pid, signal.SIGSTOP)
            self.held[name] = pid
        return False

    def quit(self):
        """Stops no more; who is stopped stays so."""
        self.over = True
        if self.is_alive():
            self.join()

    def let_go(self, names=None):
        if not names:
            self.quit()
        for name in names or tuple(self.held):
            try:
                os.kill(self.held.get(name, 0) or os.getpid(), signal.SIGCONT)
            except ProcessLookupError:
                pass


class Chains(PlanCase):
    def one(self, name):
        path = self.image(f"{name}.qcow2", size=SIZE)
        self.define(name, disks=[disk_xml(path, "vda")])
        return path

    def take(self, name, snapshot, kind="external"):
        return self.virsh("snapshot-create-as", name, snapshot, "--diskspec", f"vda,snapshot={kind}")

    def top(self, name):
        return self.targets(name)["vda"]

    def length(self, path):
        """Of its chain; 0 while that is being changed."""
        try:
            return len(self.chain(path))
        except subprocess.CalledProcessError:
            return 0

    def test_limit(self):
        self.one("a")
        for number in 1, 2, 3:
            self.take("a", f"e{number}")
            self.fill(number, self.top("a"))
        said = self.virsh_fails("snapshot-create-as", "a", "e4", "--diskspec", "vda,snapshot=external")
        self.assertIn("disk 'vda' of domain 'a' consists of 4 images", said)
        self.assertIn("'chain_limit' in [snapshots] of qemu.conf allows 4", said)
        self.assertIn("snapshot-delete", said)
        self.take("a", "i1", "internal")    # the other thing that the message names
        self.virsh("snapshot-delete", "a", "e2")
        wait_until(lambda: self.length(self.top("a")) == 3, 30, "the chain is shorter")
        self.take("a", "e4")
        self.virsh("snapshot-revert", "a", "e3")    # going back is never refused for it
        self.reads(2, self.top("a"))

    def test_shortened(self):
        """An image that two are based on goes out of the present's way, and stays for the other."""
        self.one("a")
        self.take("a", "e1")
        self.fill(1, self.top("a"))
        self.take("a", "e2")
        self.fill(2, self.top("a"))
        kept = self.top("a")
        self.virsh("snapshot-revert", "a", "e2")
        self.take("a", "e3")
        self.assertEqual(self.length(self.top("a")), 4)
        self.virsh("snapshot-delete", "a", "e2")
        wait_until(lambda: self.length(self.top("a")) == 3, 30, "the chain is shorter")
        self.idle()
        self.reads(1, self.top("a"))
        self.reads(2, kept)
        self.healthy()

    # several domains

    def prepare(self, name):
        self.one(name)
        for number in 1, 2:
            self.take(name, f"e{number}")
            write_all(self.top(name), number)

    def hold(self, names, allowed=None):
        """Deletes a snapshot of each, and stops who copies for them."""
        holder = Holder(self.dir, allowed or names)
        self.addCleanup(holder.let_go)
        for name in names:
            self.prepare(name)
        holder.start()
        for name in names:
            for _ in range(10):    # it may be over before it is seen
                self.virsh("snapshot-delete", name, "e2")
                wait_until(lambda name=name: name in holder.held or self.length(self.top(name)) == 2, 20,
                           f"a process copies for {name}")
                if name in holder.held:
                    break
                self.take(name, "e2")
                write_all(self.top(name), 2)
        self.assertEqual(set(holder.held), set(names))
        return holder

    def test_two_at_once(self):
        self.prepare("c")
        holder = self.hold("ab", "abc")
        self.virsh("snapshot-delete", "c", "e2")    # as many as are allowed are at work
        time.sleep(0.5)
        self.assertEqual(set(holder.held), {"a", "b"})
        holder.let_go("a")
        wait_until(lambda: self.length(self.top("a")) == 2, 30, "the first is merged")
        wait_until(lambda: "c" in holder.held or self.length(self.top("c")) == 2, 30, "the third gets its turn")
        self.assertEqual(self.length(self.top("b")), 3)
        holder.let_go()
        for name in "abc":
            wait_until(lambda name=name: self.length(self.top(name)) == 2, 30, f"{name} is merged")
            self.reads(2, self.top(name))

    def test_stopped_with_several(self):
        holder = self.hold("ab")
        holder.quit()
        self.daemon.restart()
        for name in "ab":
            wait_until(lambda name=name: self.length(self.top(name)) == 2, 30, f"{name} is merged afterwards")
            self.reads(2, self.top(name))

    # what a domain leaves

    def test_left_by_undefine(self):
        self.hold("a").quit()
        xml = self.write("a.xml", self.virsh("dumpxml", "a", "--inactive"))
        uuid = self.virsh("domuuid", "a")
        top = self.top("a")
        [between] = (self.chain(top) | {"a.qcow2"}) - {"a.qcow2", os.path.basename(top)}
        between = os.path.join(self.dir, between)
        self.virsh("undefine", "a", "--snapshots-metadata")
        noted = os.path.join(self.daemon.root, "var/lib/vireo/qemu/kept/images/system", uuid)
        with open(noted, encoding="utf-8") as stream:
            self.assertIn(between, stream.read())
        self.daemon.restart()
        with open(self.daemon.log, encoding="utf-8", errors="replace") as stream:
            self.assertIn("domain 'a' goes before 1 images", stream.read())
        self.assertTrue(os.path.exists(between), "nobody else merges it")
        self.one("b")    # in the same directory
        self.assertIn(f"{between} was left by domain 'a' ({uuid})", self.vireo("doctor", "b"))
        self.virsh("define", xml)
        wait_until(lambda: not os.path.exists(between), 30, "a domain of its uuid takes it up again")
        self.reads(2, top)
        self.virsh("undefine", "a")
        self.daemon.restart()
        self.assertFalse(os.path.exists(noted))


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
