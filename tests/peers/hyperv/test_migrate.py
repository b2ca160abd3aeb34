#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sim: a machine goes from one host to another, by stock virsh that talks to both."""
import hypervtest
from hypervtest import HypervCase, Server


class Sim(HypervCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = Server(*cls.options)
        cls.addClassCleanup(cls.other.stop)
        cls.other.ask("host.all('Win32_ComputerSystem', 'root/cimv2')[0].__setitem__('DNSHostName', 'hv2')")
        cls.server.ask(f"host.peers.update({{'hv2.example.com': {cls.other.control}}})")

    def setUp(self):
        super().setUp()
        self.there = self.uri(server=self.other.address)
        self.define("vm")
        self.ask("host.moves.clear()")
        self.addCleanup(self.other.ask, "[host.forget(one) for one in host.all('Msvm_ComputerSystem') if one['Name'] != 'HV1']")

    def names(self, uri=None):
        return self.virsh_raw("list", "--all", "--name", uri=uri).stdout.split()

    def test_sim_migrate(self):
        self.virsh("start", "vm")
        ident = self.machine("vm")["Name"]
        self.virsh("migrate", "vm", self.there, "--live")
        self.assertEqual(self.ask("host.moves"), [["CheckVirtualSystemIsMigratable", "hv2.example.com", "32768"],
                                                  ["MigrateVirtualSystemToHost", "hv2.example.com", "32768"]])
        self.assertEqual((self.names(), self.names(self.there)), ([], ["vm"]))
        self.assertEqual(self.virsh("domuuid", "vm", uri=self.there), ident.lower())
        self.assertEqual(self.virsh("domstate", "vm", uri=self.there), "running")
        self.assertEqual(self.other.ask("service.strict"), [])

    def test_sim_migrate_with_disks_and_pause(self):
        self.virsh("start", "vm")
        self.virsh("migrate", "vm", self.there, "--live", "--copy-storage-all", "--suspend")
        self.assertEqual(self.ask("[one[2] for one in host.moves]"), ["32771", "32771"])
        self.assertEqual(self.virsh("domstate", "vm", uri=self.there), "paused")

    def test_sim_migrate_refused(self):
        """A check that fails moves nothing."""
        def refused(words, *options):
            self.assertIn(words, self.virsh_fails("migrate", "vm", self.there, *options))
            self.assertEqual((self.names(), self.names(self.there)), (["vm"], []))
        self.ask("host.fail_next.update(CheckVirtualSystemIsMigratable=32773)")
        refused("'CheckVirtualSystemIsMigratable' failed because it was told to.")
        self.assertEqual(self.ask("[one[0] for one in host.moves]"), ["CheckVirtualSystemIsMigratable"])
        refused("the host 'nowhere' was not found", "--migrateuri", "hyperv-migration://nowhere")
        refused("keeps its name", "--dname", "other")
        refused("p2p", "--p2p")


if __name__ == "__main__":
    hypervtest.main()
