# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: machines move from one host of a vCenter to another."""
import time

import libvirt

from esxtest import CENTER, WitnessCase, main

THERE = "DC0/DC0_C0/DC0_C0_H0"


class Migrate(WitnessCase):
    if CENTER:
        def setUp(self):
            super().setUp()
            self.there = self.uri(path=THERE)

        def host_of(self, name, uri):
            return self.witness.machine(self.virsh("dumpxml", name, uri=uri).split("<vmware:moref>")[1].split("<")[0], "runtime.host")

        def test_there_and_back(self):
            here = self.host_of(self.first, self.uri())
            uuid = self.virsh("domuuid", self.first)
            watch = self.watch("--event", "lifecycle")
            time.sleep(0.7)
            self.virsh("migrate", "--live", "--persistent", "--undefinesource", self.first, self.there)
            self.assertIn(f"domain '{self.first}': Stopped Migrated", watch.stdout.readline())
            self.assertIn(f"domain '{self.first}': Undefined", watch.stdout.readline())
            self.assertNotIn(self.first, self.names("--all"))
            self.assertEqual(self.virsh("domstate", self.first, uri=self.there), "running")
            self.assertEqual(self.virsh("domuuid", self.first, uri=self.there), uuid)
            self.assertNotEqual(self.host_of(self.first, self.there), here)
            self.virsh("migrate", "--live", self.first, self.uri(), uri=self.there)
            self.assertEqual(self.host_of(self.first, self.uri()), here)
            self.assertIn("failed to get domain", self.virsh_fails("domstate", self.first, uri=self.there))

        def test_of_others(self):
            """libvirt's own call, as virt-manager makes it."""
            source, target = libvirt.open(self.uri()), libvirt.open(self.there)
            self.addCleanup(source.close)
            self.addCleanup(target.close)
            moved = source.lookupByName(self.second).migrate(target, libvirt.VIR_MIGRATE_LIVE, None, None, 0)
            self.assertEqual((moved.name(), moved.isActive()), (self.second, 1))
            moved.migrate(source, libvirt.VIR_MIGRATE_LIVE, None, None, 0)
            self.assertIn(self.second, self.names())

        def test_suspended_and_off(self):
            self.virsh("suspend", self.second)
            self.virsh("migrate", self.second, self.there)
            self.assertEqual(self.virsh("domstate", self.second, uri=self.there), "paused")
            self.virsh("destroy", self.second, uri=self.there)
            self.assertIn("is not running", self.virsh_fails("migrate", self.second, self.uri(), uri=self.there))
            self.virsh("migrate", "--offline", "--persistent", self.second, self.uri(), uri=self.there)
            self.assertEqual(self.state(self.second), "shut off")
            self.virsh("start", self.second)

        def test_refusals(self):
            for args, words in (((self.uri(),), "is on that host already"),
                                ((self.there, "--suspend"), "is running, and runs when it arrives"),
                                ((self.there, "--dname", "other"), "keeps its name"),
                                ((self.there, "--copy-storage-all"), "flag NON_SHARED_DISK is not supported"),
                                ((self.there, "--migrateuri", "vpxmigr://elsewhere:443/a/b"), "leave it out")):
                with self.subTest(words=words):
                    self.assertIn(words, self.virsh_fails("migrate", "--live", self.first, *args))
            self.assertEqual(self.state(self.first), "running")
    else:
        def test_a_host_alone(self):
            said = self.virsh_fails("migrate", "--live", self.first, self.uri(auto_answer="1"))
            self.assertIn("not supported", said)


if __name__ == "__main__":
    main()
