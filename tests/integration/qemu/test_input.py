# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input: a clear error, nothing lost, the daemon alive."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import uuid as uuids

import qemutest
from qemutest import disk_xml, vireotest, wait_until


class Images(qemutest.Case):
    def start_fails(self, path, kind="qcow2"):
        self.define("a", disks=[disk_xml(path, "vda", kind=kind)])
        message = self.virsh_fails("start", "a")
        self.assertEqual(self.state("a"), "shut off")
        self.assertIsNone(self.pid("a"))
        return message

    def test_missing(self):
        path = os.path.join(self.work, "no.qcow2")
        message = self.start_fails(path)
        self.assertIn(path, message)
        self.assertIn("No such file", message)

    def test_raw_said_to_be_qcow2(self):
        path = os.path.join(self.work, "raw")
        with open(path, "wb") as stream:
            stream.truncate(1 << 20)
        self.assertIn("not in qcow2 format", self.start_fails(path))

    def test_damaged_header(self):
        path = self.empty_disk("bad.qcow2")
        with open(path, "r+b") as stream:
            stream.seek(4)
            stream.write(b"\xff" * 200)
        self.assertIn("bad.qcow2", self.start_fails(path))

    def test_cut_off_header(self):
        path = self.empty_disk("short.qcow2")
        os.truncate(path, 20)
        self.assertIn("short.qcow2", self.start_fails(path))

    def test_directory(self):
        self.assertIn("neither a regular file", self.start_fails(self.work, kind="raw"))

    def test_pipe(self):
        path = os.path.join(self.work, "pipe")
        os.mkfifo(path)
        self.assertIn("neither a regular file", self.start_fails(path, kind="raw"))

    def test_chain_that_bites_its_tail(self):
        one, two = self.empty_disk("one.qcow2"), self.empty_disk("two.qcow2")
        for top, base in ((one, two), (two, one)):
            subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, top], check=True)
        self.assertIn("based on each other", self.start_fails(one))

    def test_base_of_unsaid_format(self):
        """Guessing would let a guest choose by what it writes."""
        base, top = self.empty_disk("base.qcow2"), os.path.join(self.work, "top.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", top, "1M"], check=True)
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", base, top], check=False,
                       stderr=subprocess.DEVNULL)
        if b"base.qcow2" not in subprocess.run(["qemu-img", "info", top], stdout=subprocess.PIPE, check=True).stdout:
            patch_backing(top, base)
        self.assertIn("raw or qcow2", self.start_fails(top))

    def test_chain_in_the_definition(self):
        """The document of a running guest may be defined; one that says something else of an image may not."""
        base, top = self.empty_disk("base.qcow2"), os.path.join(self.work, "top.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top], check=True)
        self.define("a", disks=[disk_xml(top, "vda")])
        self.virsh("start", "a", "--paused")
        running = self.virsh("dumpxml", "a")
        self.assertRegex(running, rf"(?s)<backingStore type='file'.*{base}.*<backingStore/>")
        self.virsh("define", self.write("a.xml", running))
        for other, said in ((running.replace(base, base + "2"), f"'{base}2'"),
                            (re.sub("(?s)<backingStore type='file'.*</backingStore>", "<backingStore/>", running), "''")):
            message = self.virsh_fails("define", self.write("b.xml", other))
            self.assertIn(f"disk 'vda': backingStore says {said} where image {top} is based on '{base}'", message)
        self.virsh("destroy", "a")
        self.assertNotIn("backingStore", self.virsh("dumpxml", "a"))
        self.virsh("start", "a")

    def test_qemu_that_ends_at_once_says_why(self):
        """The image is locked by the first guest: what the second QEMU wrote is in the error."""
        path = self.empty_disk("one.qcow2")
        self.define("b", disks=[disk_xml(path, "vda")])
        self.virsh("start", "b")
        message = self.start_fails(path)
        self.assertIn("Failed to get", message)
        self.assertIn("lock", message)
        self.assertEqual(self.state("b"), "running")

    def test_gone_when_the_guest_is_saved(self):
        """QEMU opens its images anew to let go of them, and says only that it failed."""
        path, saved = self.nano_disk("d.qcow2"), os.path.join(self.work, "d.save")
        self.define("d", disks=[disk_xml(path, "vda", boot=1)])
        line = self.start("d")
        line.ask("mA", "M=A")
        os.rename(path, path + ".aside")
        self.assertIn(f"image {path} is not there", self.virsh_fails("save", "d", saved))
        os.rename(path + ".aside", path)
        self.assertEqual((self.state("d"), os.path.exists(saved)), ("running", False))
        line.ask("g", "M=A")
        line.ask("0", "0")
        line.ask("wB", "W=B")
        self.virsh("save", "d", saved)
        self.virsh("restore", saved)
        line = self.line("d")
        line.wake()
        line.ask("r", "R=B")


def patch_backing(path, base):
    """Writes a backing file without a format, which qemu-img no longer does."""
    name = base.encode()
    with open(path, "r+b") as stream:
        stream.seek(0, 2)
        stream.seek(8)
        stream.write((512).to_bytes(8, "big") + len(name).to_bytes(4, "big"))
        stream.seek(512)
        stream.write(name)


class Definitions(qemutest.Case):
    def test_unknown_machine(self):
        text = self.nano_xml("a", disks=[]).replace("machine='pc'", "machine='pdp-11'")
        self.assertIn("pdp-11", self.virsh_fails("define", self.write("a.xml", text)))
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_unknown_emulator(self):
        text = self.nano_xml("a", disks=[]).replace("<devices>", "<devices><emulator>/bin/true</emulator>")
        self.assertIn("/bin/true", self.virsh_fails("define", self.write("a.xml", text)))

    def test_unknown_architecture(self):
        text = self.nano_xml("a", disks=[]).replace("arch='x86_64'", "arch='pdp'")
        self.virsh_fails("define", self.write("a.xml", text))

    def test_name_of_another(self):
        first = str(uuids.uuid4())
        self.define_diskless("a", uuid=first)
        text = self.nano_xml("a", disks=[], uuid=str(uuids.uuid4()))
        message = self.virsh_fails("define", self.write("b.xml", text))
        self.assertIn("already exists", message)
        self.assertEqual(self.virsh("domuuid", "a"), first)

    def test_uuid_of_another(self):
        first = str(uuids.uuid4())
        self.define_diskless("a", uuid=first)
        message = self.virsh_fails("define", self.write("b.xml", self.nano_xml("b", disks=[], uuid=first)))
        self.assertIn("a", message)
        self.assertEqual(self.names("list", "--all", "--name"), ["a"])

    def test_transient_with_the_name_of_a_stored_one(self):
        self.define_diskless("a", uuid=str(uuids.uuid4()))
        text = self.nano_xml("a", disks=[], uuid=str(uuids.uuid4()))
        self.virsh_fails("create", self.write("b.xml", text))
        self.assertEqual(self.state("a"), "shut off")

    def test_line_of_the_fault(self):
        text = self.nano_xml("a", disks=[]).replace("<memory unit='MiB'>", "<memory unit='bushel'>")
        line = text[:text.index("bushel")].count("\n") + 1
        self.assertIn(f":{line}:", self.virsh_fails("define", self.write("a.xml", text)))

    def test_entities_are_not_expanded(self):
        text = ("<!DOCTYPE d [<!ENTITY a 'xxxxxxxxxx'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
                + self.nano_xml("&b;", disks=[]))
        self.virsh_fails("define", self.write("a.xml", text))
        self.assertEqual(self.names("list", "--all", "--name"), [])

    def test_disk_target_twice(self):
        path = self.empty_disk("p.qcow2")
        text = self.nano_xml("a", disks=[disk_xml(path, "vda"), disk_xml(path, "vda")])
        self.assertIn("vda", self.virsh_fails("define", self.write("a.xml", text)))

    def test_a_name_says_where_its_disk_sits(self):
        disks = [disk_xml(self.empty_disk(f"{n}.qcow2"), n, bus=bus) for n, bus in (("hdc", "ide"), ("sdb", "sata"), ("sdi", "scsi"))]
        self.virsh("define", self.write("a.xml", self.nano_xml("a", disks=disks)))
        places = [tuple(disk.find("address").get(k) for k in ("controller", "bus", "unit"))
                  for disk in self.xml("a").findall("devices/disk")]
        self.assertEqual(places, [("0", "1", "0"), ("0", "0", "1"), ("1", "0", "1")])

    def test_slot_twice(self):
        place = "<address type='pci' domain='0' bus='0' slot='7' function='0'/>"
        disks = [disk_xml(self.empty_disk(f"{n}.qcow2"), n).replace("</disk>", place + "</disk>") for n in ("vda", "vdb")]
        self.virsh_fails("define", self.write("a.xml", self.nano_xml("a", disks=disks)))


@unittest.skipUnless(qemutest.IS_ROOT and shutil.which("unshare"), "needs a mount namespace of its own")
class FullDisk(unittest.TestCase):
    """The folder of definitions is a file system with room for next to nothing."""

    def setUp(self):
        self.work = vireotest.make_work_dir()
        self.addCleanup(shutil.rmtree, self.work, True)
        root = os.path.join(self.work, "r")
        self.config = os.path.join(root, "etc", "vireo", "qemu")
        os.makedirs(self.config)
        self.log = open(os.path.join(self.work, "log"), "wb")
        self.addCleanup(self.log.close)
        program = os.path.join(vireotest.BUILD, "core", "daemon", "vireod")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
             # In a chroot / is no mount point, and what is mounted there is nobody else's.
             'mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size=32k,mode=755 tmpfs "$1" && exec "$2" --root "$3"',
             "sh", self.config, program, root], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.addCleanup(self.stop)
        self.socket = os.path.join(root, "run", "libvirt", "libvirt-sock")
        wait_until(lambda: vireotest.connects(self.socket), 20, "vireod listens")
        self.inside = f"/proc/{self.process.pid}/root{self.config}"

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def virsh(self, *args):
        uri = f"qemu+unix:///system?socket={self.socket}"
        return subprocess.run(["virsh", "-q", "-c", uri, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    def write_xml(self, name, title=""):
        path = os.path.join(self.work, f"{name}.xml")
        head = f"<uuid>{uuids.uuid5(uuids.NAMESPACE_DNS, name)}</uuid>" + (f"<title>{title}</title>" if title else "")
        text = vireotest.NANO_XML.format(name=name, uuid=head, memory=16, vcpus=1, disks="", devices="",
                                         balloon="none")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def fill(self):
        with open(os.path.join(self.inside, "filler"), "wb", buffering=0) as stream:
            try:
                while stream.write(b"x" * 512):
                    pass
            except OSError:
                pass

    def test_define(self):
        done = self.virsh("define", self.write_xml("a", "before"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.fill()
        refused = self.virsh("define", self.write_xml("b"))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("No space left", refused.stderr)
        refused = self.virsh("define", self.write_xml("a", "after"))
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(self.virsh("list", "--all", "--name").stdout.split(), ["a"])
        self.assertEqual(self.virsh("desc", "a", "--title").stdout.strip(), "before")
        leftovers = [name for _, _, files in os.walk(self.inside) for name in files if not name.endswith(".xml")]
        self.assertEqual(leftovers, ["filler"])
        os.unlink(os.path.join(self.inside, "filler"))
        done = self.virsh("define", self.write_xml("a", "after"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.virsh("desc", "a", "--title").stdout.strip(), "after")
        self.assertIsNone(self.process.poll())


if __name__ == "__main__":
    qemutest.main()
