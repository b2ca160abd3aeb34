# SPDX-License-Identifier: LGPL-2.1-or-later
"""External and mixed snapshots: what each disk reads, who writes where, and which files are left."""
import json
import os
import subprocess

import qemutest
from imagetest import Case
from qemutest import disk_xml


class Off(Case):
    """The guest is off."""

    def test_disk_only(self):
        one, two = self.two()
        self.fill(1)
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.assertEqual(self.files(), ["one.qcow2", "one.s1", "two.qcow2", "two.s1"])
        self.assertEqual(self.targets("a"), {"vda": one[:-6] + ".s1", "vdb": two[:-6] + ".s1"})
        self.fill(2)
        for base, top in zip((one, two), self.targets("a").values()):
            self.reads(1, base)
            self.reads(2, top)
        self.healthy()
        info = self.info_of("s1")
        self.assertEqual((info["Location"], info["State"]), ("external", "shutoff"))
        top = os.stat(self.targets("a")["vda"])
        self.assertEqual((top.st_uid, top.st_mode), (os.stat(one).st_uid, os.stat(one).st_mode))
        self.virsh("start", "a")
        self.virsh("destroy", "a")

    def info_of(self, name):
        rows = (row.split(":", 1) for row in self.virsh("snapshot-info", "a", name).splitlines() if ":" in row)
        return {key.strip(): value.strip() for key, value in rows}

    def test_each_disk_its_own_way(self):
        one, two = self.two("qcow2", "raw")
        self.fill(1)
        self.virsh("snapshot-create-as", "a", "s1", "--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external")
        self.assertEqual(self.files(), ["one.qcow2", "two.raw", "two.s1"])
        self.assertEqual(self.disk_snapshots(one), ["s1"])
        self.fill(2)
        self.reads(1, two, "-f", "raw")
        self.reads(2, two[:-4] + ".s1")
        self.virsh("snapshot-create-as", "a", "s2", "--diskspec", "vda,snapshot=no", "--diskspec", "vdb,snapshot=internal")
        self.assertEqual(self.disk_snapshots(two[:-4] + ".s1"), ["s2"])
        self.healthy()

    def test_reuse(self):
        one = self.image("one.qcow2")
        top = os.path.join(self.dir, "top.qcow2")
        self.define("a", disks=[disk_xml(one, "vda")])
        spec = ("--disk-only", "--diskspec", f"vda,file={top}")
        self.assertIn("does not exist", self.virsh_fails("snapshot-create-as", "a", "s1", *spec, "--reuse-external"))
        self.image("top.qcow2", "-b", one, "-F", "qcow2")
        self.assertIn("REUSE_EXT", self.virsh_fails("snapshot-create-as", "a", "s1", *spec))
        before = os.stat(top).st_ino
        self.virsh("snapshot-create-as", "a", "s1", *spec, "--reuse-external")
        self.assertEqual((os.stat(top).st_ino, self.targets("a")["vda"]), (before, top))

    def test_refused_and_untouched(self):
        one = self.image("one.raw")
        self.define("a", disks=[disk_xml(one, "vda", "raw")])
        for words, args in (
                ("raw format", []),
                ("nothing is selected", ["--diskspec", "vda,snapshot=no"]),
                ("no disk 'vdz'", ["--diskspec", "vdz,snapshot=external"]),
                ("no such directory", ["--diskspec", "vda,file=/nowhere/at/all"]),
                ("qcow2 format", ["--diskspec", "vda,snapshot=external,driver=raw"]),
                ("off has no memory", ["--memspec", f"{self.dir}/m"]),
                ("QUIESCE", ["--disk-only", "--quiesce"])):
            self.assertIn(words, self.virsh_fails("snapshot-create-as", "a", "s1", *args))
        self.assertEqual((self.files(), self.names("snapshot-list", "a", "--name")), (["one.raw"], []))

    def test_no_metadata(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--no-metadata")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), [])
        self.assertTrue(all(path.endswith(".s1") for path in self.targets("a").values()))

    def test_survives_the_daemon(self):
        one, _ = self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.daemon.kill()
        self.daemon.start_vireod()
        self.assertEqual(self.targets("a")["vda"], one[:-6] + ".s1")
        self.assertEqual(self.names("snapshot-list", "a", "--name"), ["s1"])

    def test_manual(self):
        self.two()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--diskspec", "vda,snapshot=manual",
                   "--diskspec", "vdb,snapshot=manual")
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])


class Format(Case):
    """What format an image has says the definition, or the image above it; never what is in a raw one, which is the
    guest's word."""

    def bases(self):
        """Every image of the domain and what it says it is based on, with the format."""
        for name in self.files():
            path = os.path.join(self.dir, name)
            if name.endswith(".raw"):
                continue
            done = subprocess.run(["qemu-img", "info", "-U", "-f", "qcow2", "--output=json", path], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if done.returncode and not os.path.exists(path):
                continue    # collected meanwhile
            self.assertEqual(done.returncode, 0, done.stderr)
            info = json.loads(done.stdout)
            self.assertEqual(info["virtual-size"], 4 << 20, name)
            yield name, os.path.basename(info["full-backing-filename"]), info["backing-filename-format"]

    def all_raw(self):
        found = list(self.bases())
        for name, base, kind in found:
            self.assertEqual(kind, "raw" if base == "one.raw" else "qcow2", name)
        return {base for _, base, _ in found}

    def lie(self, damage=b""):
        """A guest writes a qcow2 header to its raw disk, which names a file of the host."""
        secret, fake = self.write("secret", "of the host"), os.path.join(self.work, "fake.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", secret, "-F", "raw", fake, "1G"], check=True)
        path = self.image("one.raw")
        with open(fake, "rb") as source, open(path, "r+b") as target:
            target.write(source.read())
            if damage:    # the number of internal snapshots, and where they are
                target.seek(60)
                target.write(damage)
        self.define("a", disks=[disk_xml(path, "vda", "raw")])
        return path

    def test_guest_lies(self):
        for damage in b"", b"\xff" * 12:
            with self.subTest(damage=damage):
                path = self.lie(damage)
                self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
                self.virsh("snapshot-create-as", "a", "s2", "--disk-only")
                self.assertEqual(self.all_raw(), {"one.raw", "one.s1"})
                self.virsh("start", "a", "--paused")
                self.virsh("snapshot-create-as", "a", "s3", "--disk-only")
                self.virsh("destroy", "a")
                self.revert("s1")
                self.assertEqual(self.all_raw(), {"one.raw", "one.s1"})
                self.revert("s3")
                self.virsh("snapshot-delete", "a", "s1")
                self.virsh("snapshot-delete", "a", "s2")    # what is left is pulled down to the raw one
                self.idle()
                self.assertIn("one.raw", self.all_raw())
                self.virsh("snapshot-delete", "a", "s3")
                self.idle()
                self.all_raw()
                self.virsh("undefine", "a")
                for name in self.files():
                    os.unlink(os.path.join(self.dir, name))

    def test_running_on_it(self):
        self.lie()
        self.virsh("start", "a", "--paused")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.assertEqual(self.all_raw(), {"one.raw"})

    def test_not_what_it_should_be(self):
        """Something else in the place of a qcow2 image is not taken for a raw one."""
        one, two = self.two()
        os.rename(one, one + ".aside")
        with open(one, "wb") as stream:
            stream.write(b"KDMV" + b"\1\0\0\0" + b"x" * 200000)
        before = self.files()
        for words in ("--disk-only",), ("--diskspec", "vda,snapshot=no", "--diskspec", "vdb,snapshot=internal"):
            message = self.virsh_fails("snapshot-create-as", "a", "s1", *words)
            self.assertIn(one, message)
            self.assertIn("qcow2", message)
        self.assertEqual(self.files(), before)
        os.rename(one + ".aside", one)
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")


class Live(Case):
    """The guest runs and goes on running."""

    def test_disk_only(self):
        line, (one, two) = self.nano()
        pid = self.pid("a")
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--atomic")
        self.assertEqual((self.pid("a"), self.state("a")), (pid, "running"))
        self.write_both(line, "B")
        self.read_both(line, "B")
        for flags in (), ("--inactive",):
            self.assertEqual(self.targets("a", *flags), {"vda": one[:-6] + ".s1", "vdb": two[:-6] + ".s1"})
        self.daemon.kill()
        self.daemon.start_vireod()
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only")
        line = self.line("a")
        self.write_both(line, "C")
        for path in one, two:
            self.sector("A", path)
            self.sector("B", path[:-6] + ".s1")
        self.virsh("destroy", "a")
        for path in one, two:
            self.sector("C", path[:-6] + ".s2")
        self.healthy()
        self.read_both(self.start("a"), "C")

    def test_each_disk_its_own_way(self):
        line, (one, two) = self.nano()
        self.write_both(line, "A")
        line.ask("mA", "M=A")
        self.virsh("snapshot-create-as", "a", "s1", "--diskspec", "vda,snapshot=internal", "--diskspec", "vdb,snapshot=external")
        self.assertEqual((self.disk_snapshots(one), self.files()), (["s1"], ["one.qcow2", "two.qcow2", "two.s1"]))
        self.virsh("snapshot-create-as", "a", "s2", "--disk-only", "--diskspec", "vda,snapshot=external",
                   "--diskspec", "vdb,snapshot=internal")
        self.write_both(line, "B")
        self.read_both(line, "B")
        self.sector("A", two)
        self.sector("A", one)
        self.assertEqual(self.disk_snapshots(two[:-6] + ".s1"), ["s2"])
        self.virsh("destroy", "a")
        self.healthy()

    def test_memory(self):
        line, _ = self.nano()
        memory = os.path.join(self.dir, "s1.mem")
        line.ask("mA", "M=A")
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--memspec", memory, "--diskspec", "vda", "--diskspec", "vdb")
        self.assertEqual(self.state("a"), "running")
        self.assertEqual(self.files(), ["one.qcow2", "one.s1", "s1.mem", "two.qcow2", "two.s1"])
        line.ask("g", "M=A")
        self.write_both(line, "B")
        again = os.path.join(self.dir, "s2.mem")
        self.virsh("snapshot-create-as", "a", "s2", "--memspec", again, "--diskspec", "vda,snapshot=no",
                   "--diskspec", "vdb,snapshot=no")
        self.read_both(line, "B")
        self.assertGreater(os.path.getsize(again), 4096)

    def test_memory_that_has_no_room(self):
        """All goes back: the guest runs on its own images, no file is left."""
        line, (one, two) = self.nano()
        self.write_both(line, "A")
        self.assertIn("/dev/full", self.virsh_fails("snapshot-create-as", "a", "s1", "--memspec", "/dev/full"))
        small = os.path.join(self.dir, "small")
        os.mkdir(small)
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=False).returncode:
            self.skipTest("no file system can be mounted here")
        try:
            text = self.virsh_fails("snapshot-create-as", "a", "s1", "--memspec", small + "/mem")
            self.assertIn("did not save the guest", text)
            self.assertEqual(os.listdir(small), [])
        finally:
            subprocess.run(["umount", small], check=True)
        os.rmdir(small)
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])
        self.assertEqual((self.state("a"), self.targets("a")), ("running", {"vda": one, "vdb": two}))
        self.write_both(line, "B")
        self.sector("B", one)
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")

    def test_overlay_that_cannot_be_made(self):
        line, (one, two) = self.nano()
        spec = ["--diskspec", "vda", "--diskspec", f"vdb,file={self.dir}/none/x"]
        self.virsh_fails("snapshot-create-as", "a", "s1", "--disk-only", *spec)
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])
        self.write_both(line, "A")
        self.sector("A", one)

    def test_file_that_qemu_has_open_besides(self):
        """What is left of a node, or made by hand, is not taken for the image."""
        one = self.image("one.qcow2")
        top = self.image("top.qcow2", "-b", one, "-F", "qcow2")
        self.define("a", disks=[disk_xml(one, "vda")])
        self.virsh("start", "a", "--paused")
        for number in 1, 7:
            self.virsh("qemu-monitor-command", "a", json.dumps({"execute": "blockdev-add", "arguments": {
                "driver": "file", "node-name": f"vda-over{number}-file", "filename": top, "read-only": True}}))
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--diskspec", f"vda,file={top}", "--reuse-external")
        self.assertEqual(self.targets("a")["vda"], top)
        self.virsh("snapshot-delete", "a", "s1")
        self.idle()
        self.healthy()

    def test_manual_waits(self):
        self.nano()
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--diskspec", "vda,snapshot=manual")
        self.assertEqual(self.state("a"), "paused")
        self.virsh("resume", "a")

    def test_halt(self):
        line, (one, _) = self.nano()
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only", "--halt")
        self.assertEqual(self.state_reason("a"), ("shut off", "from snapshot"))
        self.sector("A", one)

    def test_no_agent(self):
        self.nano()
        self.virsh_fails("snapshot-create-as", "a", "s1", "--disk-only", "--quiesce")
        self.assertEqual((self.files(), self.state("a")), (["one.qcow2", "two.qcow2"], "running"))

    def test_transient(self):
        line, (one, _) = self.nano()
        self.virsh("undefine", "a")
        self.write_both(line, "A")
        self.virsh("snapshot-create-as", "a", "s1", "--disk-only")
        self.write_both(line, "B")
        self.sector("A", one)

    def test_cut_short_before_it_took_effect(self):
        """As a daemon leaves it that is killed when its overlay is made and QEMU does not know of it."""
        line, (one, two) = self.nano()
        uuid = self.virsh("domuuid", "a")
        top = os.path.join(self.dir, "one.s1")
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", one, "-F", "qcow2", top, "1M"], check=True)
        self.daemon.kill()
        steps = [{"kind": "overlay", "image": top, "other": one, "slot": "vda", "bytes": 0},
                 {"kind": "keep", "tag": "s1", "bytes": 0}, {"kind": "switch", "image": top, "slot": "vda", "bytes": 0}]
        plan = json.dumps({"no-return": 1, "steps": steps})
        journal = os.path.join(self.daemon.root, "var/lib/vireo/qemu/kept/plan/system", uuid)
        os.makedirs(os.path.dirname(journal), exist_ok=True)
        with open(journal, "w", encoding="utf-8") as stream:
            json.dump({"plan": plan, "begun": 1, "sent": True}, stream)
        self.daemon.start_vireod()
        self.assertEqual(self.targets("a"), {"vda": one, "vdb": two})    # and the driver is up
        self.assertEqual(self.files(), ["one.qcow2", "two.qcow2"])
        self.assertFalse(os.path.exists(journal))


if __name__ == "__main__":
    if qemutest.vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
