# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every flag of taking a snapshot in every state of a guest: it takes effect or is refused, in words that say why. And
transient domains, which end with their guest but not by going back."""
import os
import subprocess
import time

import qemutest
from agenttest import CHANNEL
from imagetest import Case, libvirt
from test_quiesce import FREEZE, THAW, Holder

DISK_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
HALT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_HALT
LIVE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
QUIESCE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE
ATOMIC = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
REUSE_EXT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
NO_METADATA = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
VALIDATE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE
CURRENT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
REDEFINE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE

STATES = ("running", "paused", "off", "transient", "pmsuspended", "crashed")
OK = None
PLAIN, MEMORY, REUSED, STRANGE, MANUAL = "plain", "memory", "reused", "strange", "manual"
ASLEEP = "suspended"
NOT_NOW = "does not run"
OFF_MEMORY = "no memory to save"

# What is asked for, then what happens in the states above: OK, or a word of the refusal.
TABLE = (
    ("nothing", 0, PLAIN, OK, OK, OK, OK, ASLEEP, OK),
    ("memory in a file", 0, MEMORY, OK, OK, OFF_MEMORY, OK, ASLEEP, OK),
    ("DISK_ONLY", DISK_ONLY, PLAIN, OK, OK, OK, OK, OK, OK),
    ("DISK_ONLY with memory", DISK_ONLY, MEMORY, "DISK_ONLY", "DISK_ONLY", OFF_MEMORY, "DISK_ONLY", "DISK_ONLY", "DISK_ONLY"),
    ("HALT", HALT, PLAIN, OK, OK, OK, "transient", ASLEEP, OK),
    ("HALT, DISK_ONLY", HALT | DISK_ONLY, PLAIN, OK, OK, OK, "transient", OK, OK),
    ("LIVE", LIVE, MEMORY, OK, NOT_NOW, "LIVE", OK, NOT_NOW, NOT_NOW),
    ("LIVE, internal", LIVE, PLAIN, "memory in a file", NOT_NOW, "LIVE", "memory in a file", NOT_NOW, NOT_NOW),
    ("LIVE, DISK_ONLY", LIVE | DISK_ONLY, PLAIN, "no memory", NOT_NOW, "LIVE", "no memory", NOT_NOW, NOT_NOW),
    ("QUIESCE", QUIESCE, PLAIN, OK, NOT_NOW, "QUIESCE", OK, NOT_NOW, NOT_NOW),
    ("QUIESCE, DISK_ONLY", QUIESCE | DISK_ONLY, PLAIN, OK, NOT_NOW, "QUIESCE", OK, NOT_NOW, NOT_NOW),
    ("QUIESCE, manual", QUIESCE | DISK_ONLY, MANUAL, "manual", NOT_NOW, "QUIESCE", "manual", NOT_NOW, NOT_NOW),
    ("ATOMIC", ATOMIC | DISK_ONLY, PLAIN, OK, OK, OK, OK, OK, OK),
    ("REUSE_EXT", REUSE_EXT | DISK_ONLY, REUSED, OK, OK, OK, OK, OK, OK),
    ("REUSE_EXT, missing", REUSE_EXT | DISK_ONLY, PLAIN, *["does not exist"] * 6),
    ("REUSE_EXT, internal", REUSE_EXT, PLAIN, *["REUSE_EXT"] * 6),
    ("NO_METADATA", NO_METADATA | DISK_ONLY, PLAIN, OK, OK, OK, OK, OK, OK),
    ("VALIDATE", VALIDATE | DISK_ONLY, PLAIN, OK, OK, OK, OK, OK, OK),
    ("VALIDATE, strange", VALIDATE | DISK_ONLY, STRANGE, *["strange"] * 6),
    ("CURRENT", CURRENT | DISK_ONLY, PLAIN, *["REDEFINE"] * 6),
    ("REDEFINE", REDEFINE, "again", OK, OK, OK, OK, OK, OK),
    ("REDEFINE, CURRENT", REDEFINE | CURRENT, "again", OK, OK, OK, OK, OK, OK),
    ("REDEFINE, HALT", REDEFINE | HALT, "again", *["exclusive"] * 6),
    ("REDEFINE, LIVE", REDEFINE | LIVE, "again", *["exclusive"] * 6),
    ("REDEFINE, QUIESCE", REDEFINE | QUIESCE, "again", *["exclusive"] * 6),
    ("REDEFINE, NO_METADATA", REDEFINE | NO_METADATA, "again", *["exclusive"] * 6),
    ("manual", DISK_ONLY, MANUAL, OK, OK, OK, OK, OK, OK),
)


class States(Case):
    def setUp(self):
        super().setUp()
        self.conn = libvirt.open(self.daemon.uri())
        self.addCleanup(self.conn.close)
        path = os.path.join(self.work, "agent.sock")
        self.agent = Holder(path)
        self.addCleanup(self.agent.stop)
        self.devices = CHANNEL.format(source=f"<source mode='connect' path='{path}'/>") + "<panic model='isa'/>"

    def monitor(self, command):
        self.virsh("qemu-monitor-command", "a", "--hmp", command)

    def bring(self, state):
        """The guest into a state, with fresh images."""
        self.virsh_raw("destroy", "a")
        self.virsh_raw("undefine", "a", "--snapshots-metadata")
        for name in self.files():
            os.unlink(os.path.join(self.dir, name))
        disks = []
        for number, name in enumerate(("one", "two")):
            path = os.path.join(self.dir, name + ".qcow2")
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", qemutest.vireotest.NANO, path], check=True)
            os.chmod(path, 0o666)
            disks.append(qemutest.disk_xml(path, f"vd{'ab'[number]}", boot=number + 1))
        xml = self.nano_xml("a", disks=disks, devices=self.devices).replace("<on_crash>destroy", "<on_crash>preserve")
        self.virsh("define" if state != "transient" else "create", self.write("a.xml", xml))
        if state not in ("off", "transient"):
            self.virsh("start", "a")
        if state == "paused":
            self.virsh("suspend", "a")
        if state == "pmsuspended":
            self.line("a").wake()
            self.monitor("o /w 0x604 0x2400")
            self.wait_state("a", "pmsuspended")
        if state == "crashed":
            self.line("a").wake()
            self.monitor("o /b 0x505 1")
            self.wait_state("a", "crashed")
        self.agent.seen.clear()
        self.before = self.state("a")
        self.domain = self.conn.lookupByName("a")

    def request(self, what):
        if what == MEMORY:
            return f"<domainsnapshot><name>s1</name><memory snapshot='external' file='{self.dir}/s1.mem'/></domainsnapshot>"
        disks = ""
        if what == REUSED:
            for name, target in ("one", "vda"), ("two", "vdb"):
                top = os.path.join(self.dir, name + ".top")
                subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-u", "-b",
                                os.path.join(self.dir, name + ".qcow2"), top, "1M"], check=True)
                os.chmod(top, 0o666)
                disks += f"<disk name='{target}' snapshot='external'><source file='{top}'/></disk>"
        if what == MANUAL:
            disks = "<disk name='vda' snapshot='manual'/>"
        if what == "again":
            first = self.domain.snapshotCreateXML("<domainsnapshot><name>s1</name></domainsnapshot>", DISK_ONLY)
            self.domain.snapshotCreateXML("<domainsnapshot><name>s2</name></domainsnapshot>", DISK_ONLY)
            return first.getXMLDesc().replace("<name>s1</name>", "<name>s1</name><description>again</description>", 1)
        strange = "<strange/>" if what == STRANGE else ""
        return f"<domainsnapshot><name>s1</name>{strange}<disks>{disks}</disks></domainsnapshot>"

    def took_effect(self, flags, what):
        names = self.names("snapshot-list", "a", "--name")
        tops = [os.path.basename(path) for path in self.targets("a").values()]
        if flags & REDEFINE:
            self.assertIn("again", self.virsh("snapshot-dumpxml", "a", "s1"))
            self.assertEqual(self.virsh("snapshot-current", "a", "--name"), "s1" if flags & CURRENT else "s2")
            return
        self.assertEqual(names, [] if flags & NO_METADATA else ["s1"])
        overlays = {REUSED: ["one.top", "two.top"], MANUAL: ["one.qcow2", "two.s1"]}.get(what, ["one.s1", "two.s1"])
        self.assertEqual(tops, overlays if flags & DISK_ONLY or what == MEMORY else ["one.qcow2", "two.qcow2"])
        self.assertEqual(os.path.exists(os.path.join(self.dir, "s1.mem")), what == MEMORY)
        self.assertEqual(self.agent.seen, [FREEZE, THAW] if flags & QUIESCE else [])
        after = "shut off" if flags & HALT else self.before
        if what == MANUAL and self.before == "running":
            after = "paused"
        self.assertEqual(self.state("a"), after)

    def changed_nothing(self, files):
        self.assertEqual((self.state("a"), self.files(), self.agent.seen), (self.before, files, []))

    def column(self, state):
        index, fresh = 3 + STATES.index(state), False
        for row in TABLE:
            with self.subTest(flags=row[0], state=state):
                if not fresh:    # what was refused has changed nothing
                    self.bring(state)
                fresh = row[index] is not None and row[2] in (PLAIN, MEMORY, STRANGE, MANUAL)
                request, files = self.request(row[2]), self.files()
                try:
                    self.domain.snapshotCreateXML(request, row[1])
                except libvirt.libvirtError as error:
                    self.assertIsNotNone(row[index], error)
                    self.assertIn(row[index], str(error))
                    self.changed_nothing(files)
                else:
                    self.assertIsNone(row[index], "should have been refused")
                    self.took_effect(row[1], row[2])

    def test_running(self):
        self.column("running")

    def test_paused(self):
        self.column("paused")

    def test_off(self):
        self.column("off")

    def test_transient(self):
        self.column("transient")

    def test_pmsuspended(self):
        self.column("pmsuspended")

    def test_crashed(self):
        self.column("crashed")

    def test_asleep_and_back(self):
        """A guest that is suspended is woken, and goes back to where it was not."""
        self.bring("running")
        line = self.line("a")
        line.wake()
        line.ask("mA", "M=A")
        self.virsh("snapshot-create-as", "a", "s1")
        self.monitor("o /w 0x604 0x2400")
        self.wait_state("a", "pmsuspended")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.state("a"), "pmsuspended")
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only")
        self.virsh("snapshot-revert", "a", "s1")
        self.assertEqual(self.state("a"), "running")
        self.line("a").ask("g", "M=A")
        self.assertIn("not suspended", self.virsh_fails("dompmwakeup", "a"))
        self.monitor("o /w 0x604 0x2400")
        self.wait_state("a", "pmsuspended")
        self.virsh("dompmwakeup", "a")
        self.wait_state("a", "running")


class Transient(States):
    column = test_running = test_paused = test_off = test_transient = test_pmsuspended = None
    test_crashed = test_asleep_and_back = None

    def known(self):
        """What the driver has noted down about snapshots, of whatever domain."""
        kept = os.path.join(self.daemon.root, "var/lib/vireo/qemu")
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(kept) for name in names
                      if self.uuid in os.path.join(folder, name))

    def test_back_and_forth(self):
        """It is started anew where it must be, and stays the same domain."""
        self.bring("transient")
        self.uuid = self.virsh("domuuid", "a")
        line = self.line("a")
        line.wake()
        for letter, name, how in (("A", "s1", ()), ("B", "s2", ("--memspec", f"{self.dir}/s2.mem")), ("C", "s3", ("--disk-only",)),
                                  ("D", "s4", ("--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external"))):
            self.write_both(line, letter)
            line.ask("m" + letter, "M=" + letter)
            self.virsh("snapshot-create-as", "a", name, *how)
        for letter, name, flags in ("A", "s1", 0), ("B", "s2", 0), ("D", "s4", 0), ("B", "s2", 0), ("A", "s1", 0):
            self.revert(name, flags)
            self.assertEqual((self.state("a"), self.virsh("domuuid", "a")), ("running", self.uuid))
            self.assertEqual(self.info("a")["Persistent"], "no")
            line = self.line("a")
            line.ask("g", "M=" + letter)
            self.read_both(line, letter)
            self.write_both(line, "X")
        self.revert("s3", libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING)
        line = self.line("a")
        line.wake()
        self.read_both(line, "C")
        self.assertIn("would be gone", self.virsh_fails("snapshot-revert", "a", "s3"))
        self.assertEqual(self.state("a"), "running")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1", "s2", "s3", "s4"])
        self.virsh("snapshot-delete", "a", "s2")
        self.virsh("snapshot-delete", "a", "s4")
        self.idle()
        for name, letter in ("s1", "A"), ("s3", "C"):
            self.assertEqual(self.snapshot_sector(name), {letter})
        self.healthy()

    def test_nothing_is_known_of_it_afterwards(self):
        """However it ends: its files stay, and another domain of its name never meets its snapshots."""
        for how in "destroyed", "while the daemon was away":
            self.bring("transient")
            self.uuid = self.virsh("domuuid", "a")
            self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
            self.virsh("snapshot-create-as", "a", "s2")
            self.assertNotEqual(self.known(), [])
            files = self.files()
            if how == "destroyed":
                self.virsh("destroy", "a")
            else:
                pid = self.pid("a")
                self.daemon.kill()
                os.kill(pid, 9)
                self.daemon.start_vireod()
                qemutest.wait_until(lambda: self.virsh_raw("domstate", "a").returncode, 10, "it is gone")
            self.assertEqual((self.known(), self.files()), ([], files), how)
            self.virsh("define", self.write("other.xml", self.nano_xml("a", disks=[])))
            self.assertNotEqual(self.virsh("domuuid", "a"), self.uuid)
            self.assertEqual(self.names("snapshot-list", "a", "--name"), [])
            self.virsh("undefine", "a")

    def test_revert_that_fails(self):
        """What can be found wrong is found before: the domain goes on."""
        self.bring("transient")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", f"{self.dir}/s1.mem")
        os.unlink(f"{self.dir}/s1.mem")
        pid = self.pid("a")
        self.assertIn("is not there", self.virsh_fails("snapshot-revert", "a", "s1"))
        self.assertEqual((self.state("a"), self.pid("a")), ("running", pid))


class Mixed(Case):
    """Memory and disks each in another place."""

    def two_ways(self, name, memory, *disks):
        xml = (f"<domainsnapshot><name>{name}</name>{memory}<disks><disk name='vda' snapshot='{disks[0]}'/>"
               f"<disk name='vdb' snapshot='{disks[1]}'/></disks></domainsnapshot>")
        self.virsh("snapshot-create", "a", self.write("s.xml", xml))

    def test_each_way(self):
        line, _ = self.nano()
        outside = "<memory snapshot='external' file='{}/{}.mem'/>"
        kinds = (("internal", "internal", True), ("internal", "external", True), ("external", "internal", True),
                 ("internal", "external", False), ("external", "internal", False), ("external", "no", True))
        for number, (first, second, outer) in enumerate(kinds):
            letter, name = "ABCDEF"[number], f"s{number}"
            self.write_both(line, letter)
            line.ask("m" + letter, "M=" + letter)
            memory = outside.format(self.dir, name) if outer else "<memory snapshot='internal'/>"
            self.two_ways(name, memory, first, second)
            line.ask("g", "M=" + letter)
        for number in 0, 3, 1, 4, 2:
            letter = "ABCDE"[number]
            self.revert(f"s{number}")
            line = self.line("a")
            line.ask("g", "M=" + letter)
            self.read_both(line, letter)
        self.virsh("destroy", "a", "--graceful")
        self.healthy()

    def test_manual(self):
        """The guest stands still in the very moment its memory is of."""
        line, paths = self.nano()
        self.write_both(line, "A")
        line.ask("mA", "M=A")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", f"{self.dir}/s1.mem", "--diskspec", "vda,snapshot=manual",
                   "--diskspec", "vdb,snapshot=manual")
        self.assertEqual(self.state("a"), "paused")
        time.sleep(0.3)
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        line.ask("g", "M=A")
        self.write_both(line, "B")
        for path in paths:
            self.sector("B", path)
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only", "--diskspec", "vda,snapshot=manual", "--diskspec",
                   "vdb,snapshot=manual")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")
        self.read_both(line, "B")
        self.virsh("snapshot-delete", "a", "s1")
        self.virsh("snapshot-delete", "a", "s2")
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
