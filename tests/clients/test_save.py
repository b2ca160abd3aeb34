# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh: managed save and save files."""
import os

import vireotest


class Save(vireotest.VirshCase):
    def setUp(self):
        super().setUp()
        self.define("a")
        self.guest = self.start("a")
        self.guest.ask("mQ", "M=Q")

    def test_managedsave_and_start(self):
        self.virsh("managedsave", "a")
        self.assertEqual(self.state_reason("a"), ("shut off", "saved"))
        self.assertEqual(self.info("a")["Managed save"], "yes")
        self.assertEqual(self.names("list", "--all", "--name", "--with-managed-save"), ["a"])
        self.virsh("start", "a")
        self.assertEqual(self.state_reason("a"), ("running", "restored"))
        self.line("a").ask("g", "M=Q")
        self.assertEqual(self.info("a")["Managed save"], "no")

    def test_managedsave_start_fresh(self):
        self.virsh("managedsave", "a")
        self.virsh("start", "a", "--force-boot")
        line = self.line("a")
        line.wake()
        line.ask("g", "M=-")
        self.assertEqual(self.info("a")["Managed save"], "no")

    def test_managedsave_remove(self):
        self.virsh("managedsave", "a")
        self.virsh("managedsave-remove", "a")
        self.assertEqual(self.info("a")["Managed save"], "no")
        line = self.start("a")
        line.ask("g", "M=-")

    def test_managedsave_paused(self):
        self.virsh("managedsave", "a", "--paused")
        self.virsh("start", "a")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        self.line("a").ask("g", "M=Q")

    def test_managedsave_xml(self):
        self.virsh("managedsave", "a")
        self.assertIn("<name>a</name>", self.virsh("managedsave-dumpxml", "a"))

    def test_undefine_needs_the_flag(self):
        self.virsh("managedsave", "a")
        self.virsh_fails("undefine", "a")
        self.virsh("undefine", "a", "--managed-save")
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_save_and_restore(self):
        path = os.path.join(self.work, "a.save")
        self.virsh("save", "a", path)
        self.assertEqual(self.state_reason("a"), ("shut off", "saved"))
        self.assertIn("<name>a</name>", self.virsh("save-image-dumpxml", path))
        self.virsh("restore", path)
        self.assertEqual(self.state("a"), "running")
        self.line("a").ask("g", "M=Q")

    def test_managedsave_of_a_domain_that_is_off(self):
        self.virsh("destroy", "a")
        self.assertIn("not running", self.virsh_fails("managedsave", "a"))


if __name__ == "__main__":
    vireotest.main()
