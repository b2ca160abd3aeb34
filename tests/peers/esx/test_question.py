# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: questions of machines. They are our addition to the simulator: see esxsim/asking.go."""
import time

from esxtest import WitnessCase, main, wait_until

TEXT = "This machine might have been moved or copied. (Cancel, I moved it, I copied it [default])"


class Questions(WitnessCase):
    def asks(self, name):
        return "<text>" in self.witness.machine(self.reference(name), "runtime.question")

    def messages(self, name):
        return [line for line in self.virsh("dominfo", name).splitlines() if "waits for an answer" in line]

    def off_and_asking(self, name):
        self.virsh("destroy", name)
        self.virsh("desc", name, "asks")

    def test_start_is_given_up(self):
        """It does not hang, and tells what nobody answered."""
        self.off_and_asking(self.first)
        said = self.virsh_fails("start", self.first, timeout=20)
        self.assertIn(TEXT, said)
        self.assertIn("auto_answer=1", said)
        self.assertEqual(self.state(self.first), "shut off")
        self.assertFalse(self.asks(self.first))
        self.virsh("desc", self.first, "quiet")
        self.virsh("start", self.first)

    def test_auto_answer(self):
        self.off_and_asking(self.first)
        self.virsh("start", self.first, uri=self.uri(auto_answer="1"), timeout=20)
        wait_until(lambda: self.state(self.first) == "running", 5, "seen by connections that answer nothing")
        self.assertFalse(self.asks(self.first))
        self.assertIn("value is 0 or 1", self.virsh_fails("list", uri=self.uri(auto_answer="2")))

    def test_of_a_running_machine(self):
        """It stands still, and resume is the answer."""
        watch = self.watch("--event", "lifecycle")
        time.sleep(0.7)
        self.assertEqual(self.messages(self.second), [])
        self.witness.ask(self.reference(self.second))
        self.assertIn(f"domain '{self.second}': Suspended", watch.stdout.readline())
        self.assertEqual(self.virsh("domstate", self.second, "--reason"), "paused (unknown)")
        self.assertEqual(self.names("--with-managed-save"), [])
        self.assertIn(TEXT, self.messages(self.second)[0])
        self.virsh("resume", self.second)
        self.assertIn(f"domain '{self.second}': Resumed", watch.stdout.readline())
        self.assertEqual(self.virsh("domstate", self.second, "--reason"), "running (unpaused)")
        self.assertFalse(self.asks(self.second))
        self.assertEqual(self.messages(self.second), [])

    def test_destroy_needs_no_answer(self):
        self.witness.ask(self.reference(self.second))
        wait_until(lambda: self.state(self.second) == "paused", 5, "it is seen")
        self.virsh("destroy", self.second)
        self.assertEqual(self.state(self.second), "shut off")
        self.assertEqual(self.messages(self.second), [])
        self.virsh("start", self.second)


if __name__ == "__main__":
    main()
