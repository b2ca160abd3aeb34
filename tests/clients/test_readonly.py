# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh -r: everything may be looked at, nothing changed."""
import os

import vireotest


class ReadOnly(vireotest.VirshCase):
    def setUp(self):
        super().setUp()
        self.define("a")

    def look(self, *args):
        return self.virsh(*args, readonly=True)

    def refused(self, *args, **kwargs):
        error = self.virsh_fails(*args, readonly=True, **kwargs)
        self.assertIn("forbidden", error, args)

    def test_looking_is_allowed(self):
        self.assertEqual(self.look("list", "--all", "--name").split(), ["a"])
        self.assertEqual(self.look("domstate", "a"), "shut off")
        self.assertIn("<name>a</name>", self.look("dumpxml", "a"))
        self.assertIn("CPU model", self.look("nodeinfo"))
        self.assertIn("<capabilities>", self.look("capabilities"))
        self.assertEqual(self.look("snapshot-list", "a", "--name"), "")

    def test_changing_is_not(self):
        path = self.write("b.xml", self.nano_xml("b"))
        for args in (("start", "a"), ("define", path), ("create", path), ("undefine", "a"), ("autostart", "a"),
                     ("snapshot-create-as", "a", "s"), ("setmem", "a", "8M", "--config"), ("destroy", "a"),
                     ("desc", "a", "--config", "x"), ("suspend", "a"), ("resume", "a"), ("reset", "a"),
                     ("shutdown", "a"), ("reboot", "a"), ("managedsave", "a"),
                     ("attach-disk", "a", "/nonexistent", "vdb", "--config")):
            with self.subTest(command=args[0]):
                self.refused(*args)
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])
        self.assertEqual(self.state("a"), "shut off")

    def test_snapshots_cannot_be_changed(self):
        self.virsh("snapshot-create-as", "a", "s")
        self.assertEqual(self.look("snapshot-list", "a", "--name"), "s")
        self.refused("snapshot-delete", "a", "s")
        self.refused("snapshot-revert", "a", "s")
        self.assertEqual(self.look("snapshot-list", "a", "--name"), "s")

    def test_secrets_in_the_xml_are_not_shown(self):
        self.refused("dumpxml", "a", "--security-info")
        self.virsh("dumpxml", "a", "--security-info")

    def test_socket_for_looking(self):
        """The other socket allows no more, whatever the client says."""
        path = self.daemon.socket + "-ro"
        self.assertTrue(os.path.exists(path))
        uri = f"qemu+unix:///system?socket={path}"
        self.assertEqual(self.virsh("list", "--all", "--name", uri=uri).split(), ["a"])
        self.assertIn("forbidden", self.virsh_fails("start", "a", uri=uri))


if __name__ == "__main__":
    vireotest.main()
