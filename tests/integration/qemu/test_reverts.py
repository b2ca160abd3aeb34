# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of snapshot, reverted to from every state of the guest with every flag: where the guest is afterwards, and
what it reads."""
import os

import qemutest
from imagetest import Case, libvirt

RUNNING = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING
PAUSED = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
FORCE = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE
RESET_NVRAM = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM

STATE = {RUNNING: "running", PAUSED: "paused"}

# Name, letter on the disks and in memory, whether it holds memory
KINDS = (("internal", "A", True), ("disks", "B", False), ("memory", "C", True), ("mixed", "D", True),
         ("off", "E", False), ("off-internal", "F", False))


class Matrix(Case):
    def prepare(self):
        """One domain with a snapshot of every kind, each above the last."""
        line, _ = self.nano()
        self.letter(line, "A")
        self.virsh("snapshot-create-as", "a", "internal")
        self.letter(line, "B")
        self.virsh("snapshot-create-as", "a", "disks", "--disk-only")
        self.letter(line, "C")
        self.virsh("snapshot-create-as", "a", "memory", "--memspec", os.path.join(self.dir, "memory.mem"))
        self.letter(line, "D")
        self.virsh("snapshot-create-as", "a", "mixed", "--memspec", os.path.join(self.dir, "mixed.mem"),
                   "--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external")
        self.letter(line, "E")
        self.virsh("destroy", "a")
        self.virsh("snapshot-create-as", "a", "off", "--diskspec", "vda,snapshot=external",
                   "--diskspec", "vdb,snapshot=external")
        self.letter(self.start("a"), "F")
        self.virsh("destroy", "a")
        self.virsh("snapshot-create-as", "a", "off-internal")

    def letter(self, line, letter):
        line.ask("m" + letter, "M=" + letter)
        self.write_both(line, letter)

    def get_into(self, state):
        if state == "shut off":
            self.virsh_raw("destroy", "a")
            return
        if self.state("a") == "shut off":
            self.start("a")
        if self.state("a") != state:
            self.virsh("suspend" if state == "paused" else "resume", "a")

    def look(self, letter, memory):
        """At the disks, and in memory where there was any."""
        if self.state("a") == "shut off":
            for path in self.targets("a").values():
                self.sector(letter, path)
            return
        if self.state("a") == "paused":
            self.virsh("resume", "a")
        line = self.line("a")
        line.wake()
        if memory:
            line.ask("g", "M=" + letter)
        self.read_both(line, letter)
        self.letter(line, "Z")

    def test_every_cell(self):
        """Every fifth of them, unless VIREO_TEST_LONG is set."""
        self.prepare()
        states = "running", "paused", "shut off"
        cells = [(before, kind, flags) for flags in (0, RUNNING, PAUSED, FORCE) for before in states for kind in KINDS]
        step = 1 if os.environ.get("VIREO_TEST_LONG") else 5    # has no divisor in common with any of the three
        for before, (name, letter, memory), flags in cells[::step]:
            with self.subTest(before=before, snapshot=name, flags=flags):
                self.get_into(before)
                self.revert(name, flags)
                self.assertEqual(self.state("a"), STATE.get(flags, "running" if memory else "shut off"))
                self.assertEqual(self.virsh("snapshot-current", "a", "--name"), name)
                self.look(letter, memory)
        self.virsh_raw("destroy", "a")
        self.healthy()

    def test_presents_do_not_pile_up(self):
        """Whatever is reverted to how often: one present per disk is kept."""
        line, _ = self.nano()
        self.letter(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", os.path.join(self.dir, "s1.mem"))
        for _ in range(5):
            self.revert("s1")
            self.letter(self.line("a"), "B")
        self.left(7)
        self.force("s1")
        self.left(5)

    def test_paused_snapshot(self):
        line, _ = self.nano()
        self.letter(line, "A")
        self.virsh("suspend", "a")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", os.path.join(self.dir, "s1.mem"))
        self.virsh("resume", "a")
        for flags, state in (0, "paused"), (RUNNING, "running"):
            self.force("s1", flags)
            self.assertEqual(self.state("a"), state)

    def test_refused(self):
        line, _ = self.nano()
        self.letter(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        for flags, code in ((RUNNING | PAUSED, libvirt.VIR_ERR_INVALID_ARG),
                            (RESET_NVRAM, libvirt.VIR_ERR_OPERATION_INVALID)):
            with self.assertRaises(libvirt.libvirtError) as refusal:
                self.revert("s1", flags)
            self.assertEqual(refusal.exception.get_error_code(), code)
        self.assertEqual(self.state("a"), "running")
        self.virsh("managedsave", "a")
        with self.assertRaises(libvirt.libvirtError) as refusal:
            self.revert("s1")
        self.assertEqual(refusal.exception.get_error_code(), libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY)
        self.virsh("snapshot-revert", "a", "s1", "--force")
        self.assertEqual(self.info("a")["Managed save"], "no")
        self.look("A", False)


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
