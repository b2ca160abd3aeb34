# SPDX-License-Identifier: LGPL-2.1-or-later
"""The variables of UEFI firmware in snapshots: kept in every kind, put back with it, gone with it."""
import os
import signal
import subprocess

import qemutest
from imagetest import libvirt
from test_accidents import Watch
from uefitest import PLACE, PLAIN, TEMPLATE, Case, content

RESET = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM
PAUSED = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
EXTERNAL = ("--diskspec", "vda,snapshot=external")
KINDS = {"internal": (), "external": EXTERNAL}


class Base(Case):
    def here(self, form="fd", **how):
        """The variables are in the directory that is looked at."""
        kind = "qcow2" if form == "qcow2" else "raw"
        text = f"<nvram format='{kind}'>{self.dir}/vars.{form}</nvram>"
        self.define_with_disk(os_xml=PLAIN + text, **how)

    def fails(self, code, name, flags):
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.revert(name, flags)
        self.assertEqual(caught.exception.get_error_code(), code, caught.exception)
        return str(caught.exception)


class Off(Base):
    def test_every_kind(self):
        for form in "fd", "qcow2":
            for kind, options in KINDS.items():
                with self.subTest(form=form, kind=kind):
                    for name in self.files():
                        os.unlink(os.path.join(self.dir, name))
                    self.here(form)
                    self.virsh("start", "a", "--paused")
                    self.virsh("destroy", "a")
                    for letter, name in ("A", "s1"), ("B", "s2"), ("C", "s3"):
                        self.mark(letter)
                        self.virsh("snapshot-create-as", "a", name, *options)
                    self.mark("D")
                    for letter, name in ("A", "s1"), ("B", "s2"), ("C", "s3"):
                        self.marked(letter, self.copy_of(name))
                    for letter, name in ("B", "s2"), ("A", "s1"), ("C", "s3"), ("B", "s2"):
                        self.force(name)
                        self.both(letter)
                        self.nothing_leaked()
                    copies = [self.copy_of(name) for name in ("s1", "s2", "s3")]
                    self.virsh("snapshot-delete", "a", "s2")
                    self.assertEqual([os.path.exists(path) for path in copies], [True, False, True])
                    self.force("s3")
                    self.both("C")
                    self.virsh("snapshot-delete", "a", "s1", "--children")
                    self.idle()
                    self.nothing_leaked()
                    self.assertFalse([path for path in copies if os.path.exists(path)])
                    self.both("C")
                    self.virsh("undefine", "a", "--nvram")

    def test_never_started(self):
        self.here()
        self.virsh("snapshot-create-as", "a", "s1")
        self.mark("A")
        self.force("s1")
        self.assertEqual(content(self.nvram()), content(TEMPLATE))

    def test_reset(self):
        self.here()
        self.virsh("snapshot-create-as", "a", "s0", *EXTERNAL)
        self.mark("A")
        self.virsh("snapshot-create-as", "a", "s1")
        self.mark("B")
        self.revert("s1", RESET)
        self.assertEqual(content(self.nvram()), content(TEMPLATE))
        self.reads(ord("A"), self.targets("a")["vda"])
        self.revert("s1", RESET | PAUSED)
        self.virsh("snapshot-create-as", "a", "live")
        self.mark_off("C")
        self.revert("live", RESET)
        self.assertEqual((self.state("a"), content(self.nvram())), ("paused", content(TEMPLATE)))
        self.virsh("destroy", "a")
        self.force("s1")
        self.both("A")
        self.nothing_leaked()

    def mark_off(self, letter):
        self.virsh("destroy", "a")
        self.io(self.nvram(), f"write -P {ord(letter)} {PLACE} 512")

    def test_bios_has_none(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1")
        self.assertIn("has no NVRAM", self.fails(libvirt.VIR_ERR_OPERATION_INVALID, "s1", RESET))
        self.assertIsNone(self.snapshot_xml("s1").find("nvram"))

    def test_metadata(self):
        self.here()
        self.virsh("snapshot-create-as", "a", "s0", "--no-metadata")
        self.assertEqual(self.files(), ["one.qcow2", "vars.fd"] if os.path.exists(self.nvram()) else ["one.qcow2"])
        self.virsh("snapshot-create-as", "a", "s1")
        self.mark("A")
        self.virsh("snapshot-create-as", "a", "s2")
        self.mark("B")
        text = self.virsh("snapshot-dumpxml", "a", "s2", "--security-info")
        # what another host or an editor gives back; without a word about it what is known stays
        bare = text.replace(f"<nvram file='{self.copy_of('s2')}'/>", "")
        self.assertNotEqual(bare, text)
        self.virsh("snapshot-create", "a", "--redefine", self.write("s.xml", bare))
        self.assertIn("vars.s2", self.copy_of("s2"))
        self.virsh("snapshot-delete", "a", "s2", "--metadata")
        self.assertTrue(os.path.exists(f"{self.dir}/vars.s2"))
        self.virsh("snapshot-create", "a", "--redefine", "--validate", self.write("s.xml", text))
        self.force("s2")
        self.both("A")
        os.rename(f"{self.dir}/vars.s2", f"{self.dir}/away")
        self.assertIn("nvram of snapshot 's2' is not there", self.virsh_fails("snapshot-revert", "a", "s2"))
        self.assertIn("nvram of snapshot 's2' is not there",
                      self.virsh_fails("snapshot-create", "a", "--redefine", "--validate", self.write("s.xml", text)))
        self.both("A")
        os.rename(f"{self.dir}/away", f"{self.dir}/vars.s2")
        self.virsh("domrename", "a", "b")
        self.virsh("domrename", "b", "a")
        self.force("s2")
        self.virsh("undefine", "a", "--snapshots-metadata", "--nvram")
        self.assertEqual(self.files(), ["one.qcow2", "vars.s1", "vars.s2"])

    def test_named_by_the_client(self):
        self.here()
        xml = f"<domainsnapshot><name>s1</name><nvram file='{self.dir}/mine'/></domainsnapshot>"
        self.virsh("snapshot-create", "a", self.write("s.xml", xml))
        self.assertEqual(self.copy_of("s1"), f"{self.dir}/mine")
        self.assertIn("exists already", self.virsh_fails("snapshot-create", "a",
                                                         self.write("s.xml", xml.replace("s1", "s2"))))


class Live(Base):
    def tell(self, letter):
        self.set_variable(self.line_a, letter)
        self.assertTrue(self.stored(letter))

    def asks(self, letter):
        """What the firmware itself reads."""
        self.assertIn(f"{ord(letter):02X}", self.say(self.line_a, "setvar Vireo -guid "
                                                     "4f564d46-0000-4000-8000-766972656f21"))

    def test_every_kind(self):
        self.here()
        self.virsh("start", "a")
        self.line_a = self.shell()
        memory = ("--memspec", f"{self.dir}/s3.mem,snapshot=external")
        for letter, name, options in (("A", "s1", ()), ("B", "s2", ("--disk-only",)), ("C", "s3", memory),
                                      ("D", "s4", ("--diskspec", "vda,snapshot=internal", "--memspec",
                                                   f"{self.dir}/s4.mem,snapshot=external")),
                                      ("F", "s5", ("--memspec", f"{self.dir}/s5.mem,snapshot=external", "--live"))):
            self.tell(letter)
            self.virsh("snapshot-create-as", "a", name, *options)
            self.assertTrue(self.stored(letter, self.copy_of(name)), name)
        self.tell("E")
        for letter, name in ("A", "s1"), ("B", "s2"), ("C", "s3"), ("D", "s4"), ("F", "s5"):
            self.assertTrue(self.stored(letter, self.copy_of(name)), name)
        # through a new process
        for letter, name in ("C", "s3"), ("A", "s1"), ("F", "s5"), ("D", "s4"):
            self.force(name)
            self.assertTrue(self.stored(letter), name)
            self.line_a = self.line("a")
            self.asks(letter)
            self.nothing_leaked()
        self.force("s2")
        self.assertEqual(self.state("a"), "shut off")
        self.assertTrue(self.stored("B"))
        for name in "s5", "s4", "s3", "s2", "s1":
            self.virsh("snapshot-delete", "a", name)
        self.idle()
        self.nothing_leaked()
        self.assertTrue(self.stored("B"))

    def test_in_place(self):
        for form in "fd", "qcow2":
            with self.subTest(form=form):
                self.here(form, machine="pc" if form == "fd" else "q35")
                self.virsh("start", "a")
                self.line_a = self.shell()
                self.set_variable(self.line_a, "A")
                self.virsh("snapshot-create-as", "a", "s1")
                pid = self.pid("a")
                for flags in 0, PAUSED, 0:
                    self.set_variable(self.line_a, "B")
                    self.asks("B")
                    self.revert("s1", flags)
                    self.assertEqual(self.pid("a"), pid, "in the running QEMU")
                    # the file too, although nothing has run since
                    raw = self.nvram()
                    if form == "qcow2":
                        raw = os.path.join(self.work, "vars.raw")
                        subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", self.nvram(), raw],
                                       check=True)
                    self.assertTrue(self.stored("A", raw))
                    if flags:
                        self.virsh("resume", "a")
                    self.asks("A")
                self.virsh("destroy", "a")
                self.virsh("snapshot-delete", "a", "s1")
                self.virsh("undefine", "a", "--nvram")
                for name in self.files():
                    os.unlink(os.path.join(self.dir, name))


    def test_reset(self):
        """A memory brings the variables it was taken with, unless they are to be made anew."""
        self.here()
        self.virsh("start", "a")
        self.line_a = self.shell()
        self.tell("A")
        self.virsh("snapshot-create-as", "a", "s1")
        self.virsh("snapshot-create-as", "a", "s2", "--memspec", f"{self.dir}/s2.mem,snapshot=external")
        for name in "s1", "s2":
            self.revert(name, RESET)
            self.line_a = self.line("a")
            self.say(self.line_a, "ver")
            self.assertFalse(self.stored("A"), name)
            self.virsh("reset", "a")
            self.line_a = self.shell()
            self.assertIn("Unable to get", self.say(self.line_a, "setvar Vireo -guid 4f564d46-0000-4000-8000-766972656f21"))
            self.assertTrue(self.stored("A", self.copy_of(name)))
        self.nothing_leaked()
        for name in "s1", "s2":
            self.force(name)
            self.line_a = self.line("a")
            self.asks("A")


class Accidents(Base):
    """kill -9 of the daemon at its writes: the variables are those of one moment or the other."""

    def every_point(self, prepare, check, *operation):
        died = 0
        for point in range(1, 30):
            self.virsh_raw("destroy", "a")
            self.virsh_raw("undefine", "a", "--snapshots-metadata", "--nvram")
            for name in self.files():
                os.unlink(os.path.join(self.dir, name))
            prepare()
            self.idle()
            watch = Watch(os.path.join(self.daemon.root, "var/lib/vireo/qemu"), self.daemon.process.pid, point)
            self.virsh_raw(*operation)
            watch.end()
            if not watch.killed:
                break
            died += 1
            self.daemon.kill()
            self.daemon.start_vireod()
            with self.subTest(point=point):
                check()
                self.assertEqual(self.state_of("plan"), {})
                self.nothing_leaked()
        self.assertGreater(died, 3)

    def two_snapshots(self):
        self.here()
        self.virsh("snapshot-create-as", "a", "s0")
        self.mark("A")
        self.virsh("snapshot-create-as", "a", "s1", *EXTERNAL)
        self.mark("B")

    def whole(self):
        names = self.names("snapshot-list", "a", "--name")
        self.marked("A", self.copy_of("s1"))
        if "s2" in names:
            self.marked("B", self.copy_of("s2"))
        try:
            self.both("B")
        except AssertionError:
            self.both("A")

    def test_create(self):
        self.every_point(self.two_snapshots, lambda: (self.whole(), self.both("B")), "snapshot-create-as", "a", "s2")

    def test_revert(self):
        self.every_point(self.two_snapshots, self.whole, "snapshot-revert", "a", "s1")

    def test_create_running(self):
        def prepare():
            self.two_snapshots()
            self.virsh("start", "a", "--paused")
        self.every_point(prepare, self.whole, "snapshot-create-as", "a", "s2", "--disk-only")


if __name__ == "__main__":
    qemutest.main()
