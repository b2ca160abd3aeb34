# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots with flag QUIESCE: an agent that does as it is told, one that refuses, hangs, dies. The guest is never left
with its file systems held, nor standing still."""
import os
import threading
import time

import qemutest
from agenttest import CHANNEL, FREEZE, THAW, Holder
from imagetest import Case


class Quiesce(Case):
    def guest(self, **how):
        path = os.path.join(self.work, "agent.sock")
        self.agent = Holder(path, **how)
        self.addCleanup(self.agent.stop)
        _, paths = self.nano()
        self.virsh("destroy", "a")
        xml = self.virsh("dumpxml", "a")
        channel = CHANNEL.format(source=f"<source mode='connect' path='{path}'/>")
        self.virsh("define", self.write("agent.xml", xml.replace("</devices>", channel + "</devices>")))
        return self.start("a"), paths

    def take(self, name="s1", *how):
        return "snapshot-create-as", "a", name, "--quiesce", *how

    def memory(self, name="s1"):
        return "--memspec", os.path.join(self.dir, name + ".mem")

    def as_before(self, line):
        """Nothing is left of a snapshot that failed, and the guest goes on."""
        self.assertEqual((self.state("a"), self.files()), ("running", ["one.qcow2", "two.qcow2"]))
        self.assertEqual(self.names("snapshot-list", "a", "--name"), [])
        self.write_both(line, "X")
        self.read_both(line, "X")

    def test_held_and_let_go(self):
        line, _ = self.guest()
        self.write_both(line, "A")
        for how in ("--disk-only",), self.memory("s2"), (), (*self.memory("s4"), "--live"):
            name = f"s{len(self.names('snapshot-list', 'a', '--name')) + 1}"
            self.virsh(*self.take(name, *how))
            self.assertEqual((self.agent.seen, self.agent.held), ([FREEZE, THAW], False), how)
            self.assertEqual(self.state("a"), "running")
            self.agent.seen.clear()
        self.read_both(line, "A")
        self.virsh("domblklist", "a")

    def test_memory_remembers(self):
        """The guest that comes back was held when its memory was saved."""
        self.guest()
        self.virsh(*self.take("s1", *self.memory()))
        self.virsh("snapshot-create-as", "a", "s2", *self.memory("s2"), "--diskspec", "vda", "--diskspec", "vdb")
        for how in (), ("--running",):
            self.agent.seen.clear()
            self.virsh("snapshot-revert", "a", "s1", *how)
            qemutest.wait_until(lambda: self.agent.seen == [THAW], 15, "it is let go")
        self.agent.seen.clear()
        self.virsh("snapshot-revert", "a", "s2")
        time.sleep(1)
        self.assertEqual(self.agent.seen, [])
        self.virsh("snapshot-revert", "a", "s1", "--paused")
        time.sleep(1)
        self.assertEqual(self.agent.seen, [])
        self.virsh("resume", "a")
        qemutest.wait_until(lambda: self.agent.seen == [THAW], 15, "it is let go")

    def test_refusal(self):
        line, _ = self.guest(**{FREEZE: "refuses"})
        for how in ("--disk-only",), self.memory(), ():
            self.assertIn("no, not now", self.virsh_fails(*self.take("s1", *how)))
            self.assertEqual(self.agent.seen[-1], THAW, "some file systems may be held")
            self.as_before(line)

    def test_agent_that_hangs(self):
        line, _ = self.guest(**{FREEZE: "hangs"})
        begin = time.monotonic()
        self.assertIn("does not answer", self.virsh_fails(*self.take("s1", *self.memory())))
        self.assertLess(time.monotonic() - begin, 45)
        self.assertEqual((self.agent.seen, self.agent.held), ([FREEZE, THAW], False))
        self.as_before(line)

    def test_agent_that_dies(self):
        line, _ = self.guest(**{FREEZE: "dies"})
        self.assertIn("ended", self.virsh_fails(*self.take("s1", "--disk-only")))
        self.assertFalse(self.agent.held)
        self.as_before(line)

    def test_agent_that_dies_before_it_lets_go(self):
        """What was taken is undone, with what the guest wrote; when the agent is back the guest is let go."""
        line, _ = self.guest(**{THAW: "dies before"})
        for how in ("--disk-only",), self.memory():
            self.assertIn("may still be held", self.virsh_fails(*self.take("s1", *how)))
            self.assertTrue(self.agent.held)
            self.as_before(line)
        del self.agent.how[THAW]
        qemutest.wait_until(lambda: not self.agent.held, 20, "it is let go")

    def test_daemon_dies(self):
        line, _ = self.guest(**{THAW: "hangs after all"})
        self.agent.how[THAW] = "dies before"
        done = threading.Thread(target=self.virsh_raw, args=self.take("s1", "--disk-only"))
        done.start()
        qemutest.wait_until(lambda: THAW in self.agent.seen, 10, "it is to be let go")
        self.daemon.kill()
        done.join()
        del self.agent.how[THAW]
        self.daemon.start_vireod()
        qemutest.wait_until(lambda: not self.agent.held, 20, "it is let go")
        self.assertEqual(self.state("a"), "running")
        line = self.line("a")
        self.write_both(line, "X")
        self.read_both(line, "X")

    def test_nobody_there(self):
        self.nano()
        self.assertIn("org.qemu.guest_agent.0", self.virsh_fails(*self.take("s1", *self.memory())))
        self.virsh("suspend", "a")
        self.assertIn("QUIESCE", self.virsh_fails(*self.take("s1", "--disk-only")))
        self.virsh("resume", "a")
        self.assertIn("QUIESCE", self.virsh_fails(*self.take("s1", "--disk-only", "--diskspec", "vda,snapshot=manual")))
        self.assertEqual((self.state("a"), self.files()), ("running", ["one.qcow2", "two.qcow2"]))


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
