# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of containers: what is in their roots is looked at after each step."""
import ctypes
import hashlib
import mmap
import os
import random
import shutil
import stat
import subprocess
import tempfile
import unittest

import lxctest
from lxctest import make_root, wait_until

vireotest = lxctest.vireotest
STORE = ".vireo-snapshots"
INIT = "/bin/init"


def fingerprint(root):
    """Everything that somebody inside could notice, by path."""
    found, names = {}, {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files, "."]:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            kind = stat.S_IFMT(info.st_mode)
            if name == "." or not stat.S_ISDIR(info.st_mode):
                row = [oct(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns]
                row.append(sorted((key, os.getxattr(path, key, follow_symlinks=False))
                                  for key in os.listxattr(path, follow_symlinks=False)))
                if kind == stat.S_IFREG:
                    with open(path, "rb") as stream:
                        row += [info.st_size, hashlib.sha256(stream.read()).hexdigest(), info.st_blocks * 512 < info.st_size]
                    row.append(names.setdefault(info.st_ino, os.path.relpath(path, root)))
                elif kind == stat.S_IFLNK:
                    row.append(os.readlink(path))
                elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                    row.append(info.st_rdev)
                found[os.path.relpath(path, root)] = row
    return found


def known(file_system):
    with open("/proc/filesystems", encoding="utf-8") as stream:
        return file_system in stream.read().split()


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def fill(root):
    """One of each kind."""
    os.makedirs(os.path.join(root, "d", "e"))
    write(os.path.join(root, "d", "file"), "first\n")
    os.chown(os.path.join(root, "d", "file"), 1234, 4321)
    os.chmod(os.path.join(root, "d", "file"), 0o4750)
    os.setxattr(os.path.join(root, "d", "file"), "trusted.vireo", b"\0kept")
    os.setxattr(os.path.join(root, "d"), "trusted.of.directory", b"too")
    os.link(os.path.join(root, "d", "file"), os.path.join(root, "d", "e", "same"))
    os.symlink("/no/where", os.path.join(root, "d", "link"))
    os.lchown(os.path.join(root, "d", "link"), 7, 8)
    os.mkfifo(os.path.join(root, "d", "fifo"), 0o622)
    os.mknod(os.path.join(root, "d", "null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with open(os.path.join(root, "sparse"), "wb") as stream:
        stream.seek(5 << 20)
        stream.write(b"end")
        stream.truncate(9 << 20)
    write(os.path.join(root, "old"), "x")
    os.utime(os.path.join(root, "old"), ns=(1, 1_000_000_001))
    os.utime(os.path.join(root, "d"), ns=(2, 2_000_000_002))
    os.chmod(os.path.join(root, "d", "e"), 0o1777)


class Case(lxctest.Case):
    def setUp(self):
        super().setUp()
        self.place = self.mount("tmpfs", "tmpfs", "size=64m")
        self.root = os.path.join(self.place, "c")

    def mount(self, kind, source, options):
        """In the mount namespace of this file."""
        path = tempfile.mkdtemp(prefix="m.", dir=self.work)
        done = subprocess.run(["mount", "-t", kind, "-o", options, source, path], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            self.skipTest(f"{kind} cannot be mounted here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    def small(self, name="c", **kwargs):
        """A container that is never started, with one of each kind of file."""
        os.makedirs(self.root)
        fill(self.root)
        return self.define(name, root=kwargs.pop("root", self.root), init=INIT, **kwargs)

    def take(self, snapshot, *flags, name="c"):
        self.virsh("snapshot-create-as", name, snapshot, *flags)

    def change(self, text):
        """Tells one state from another."""
        write(os.path.join(self.root, "state"), text)
        os.unlink(os.path.join(self.root, "old")) if os.path.exists(os.path.join(self.root, "old")) else None
        return fingerprint(self.root)

    def content(self):
        with open(os.path.join(self.root, "state"), encoding="utf-8") as stream:
            return stream.read()

    def listed(self, *flags, name="c"):
        return sorted(self.virsh("snapshot-list", name, "--name", *flags).split())

    def current(self, name="c"):
        done = self.virsh_raw("snapshot-current", name, "--name")
        return done.stdout.strip() if done.returncode == 0 else None

    def parents(self, name="c"):
        """Rows: name, date, time, zone, state, parent."""
        rows = [row.split() for row in self.virsh("snapshot-list", name, "--parent").splitlines()]
        return {row[0]: row[5] if len(row) > 5 else None for row in rows if row}

    def stored(self):
        """The copies beside the root."""
        path = os.path.join(os.path.dirname(self.root), STORE, self.uuid)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def copy(self, snapshot):
        return os.path.join(os.path.dirname(self.root), STORE, self.uuid, snapshot)


class Trees(Case):
    def test_everything_comes_back(self):
        self.small()
        first = fingerprint(self.root)
        self.take("s1", "--description", "the first")
        self.assertEqual(fingerprint(self.root), first)
        self.assertNotEqual(self.change("second"), first)
        os.setxattr(os.path.join(self.root, "d", "file"), "trusted.vireo", b"lost")
        self.virsh("snapshot-revert", "c", "s1")
        self.assertEqual(fingerprint(self.root), first)
        self.assertEqual(self.stored(), ["s1"])
        xml = self.virsh("snapshot-dumpxml", "c", "s1")
        for part in ("<description>the first</description>", "<state>shutoff</state>", "<memory snapshot='no'/>",
                     "<disk name='/' snapshot='internal'/>", f"<source dir='{self.root}'/>"):
            self.assertIn(part, xml)

    def test_a_tree(self):
        self.small()
        states = {}
        for name in ("s1", "s2", "s3"):
            states[name] = self.change(name)
            self.take(name)
        self.virsh("snapshot-revert", "c", "s1")
        states["s4"] = self.change("s4")
        self.take("s4")
        self.assertEqual(self.parents(), {"s1": None, "s2": "s1", "s3": "s2", "s4": "s1"})
        self.assertEqual(self.current(), "s4")
        self.reload_daemon()
        self.virsh("snapshot-delete", "c", "s1")
        self.assertEqual(self.parents(), {"s2": None, "s3": "s2", "s4": None})
        for name in ("s3", "s2", "s4"):
            self.virsh("snapshot-revert", "c", name)
            self.assertEqual((fingerprint(self.root), self.current()), (states[name], name))
        self.virsh("snapshot-delete", "c", "s2", "--children-only")
        self.assertEqual((self.listed(), self.stored()), (["s2", "s4"], ["s2", "s4"]))
        self.virsh("snapshot-delete", "c", "s4")
        self.assertEqual((self.listed(), self.current()), (["s2"], None))
        self.virsh("snapshot-delete", "c", "s2", "--children")
        self.assertEqual((self.listed(), sorted(os.listdir(self.place))), ([], ["c"]))

    def test_metadata_comes_and_goes(self):
        self.small()
        for name in ("s1", "s2"):
            self.change(name)
            self.take(name)
        documents = {name: self.write(f"{name}.xml", self.virsh("snapshot-dumpxml", "c", name)) for name in ("s1", "s2")}
        self.assertIn("SNAPSHOTS_METADATA", self.virsh_fails("undefine", "c"))
        self.virsh("snapshot-delete", "c", "s1", "--metadata")
        self.assertEqual((self.parents(), self.stored()), ({"s2": None}, ["s1", "s2"]))
        self.assertIn("has no metadata", self.virsh_fails("snapshot-create-as", "c", "s1"))
        self.virsh("snapshot-create", "c", documents["s1"], "--redefine", "--validate")
        self.virsh("snapshot-create", "c", documents["s2"], "--redefine", "--current")
        self.assertEqual((self.parents(), self.current()), ({"s1": None, "s2": "s1"}, "s2"))
        below = self.virsh("snapshot-dumpxml", "c", "s1").replace("<state>", "<parent><name>s2</name></parent><state>")
        self.assertIn("is below it", self.virsh_fails("snapshot-create", "c", self.write("loop.xml", below), "--redefine"))
        definition = self.write("again.xml", self.virsh("dumpxml", "c"))
        self.virsh("undefine", "c", "--snapshots-metadata")
        self.virsh("define", definition)
        self.assertEqual((self.listed(), self.stored()), ([], ["s1", "s2"]))
        self.virsh("snapshot-create", "c", documents["s1"], "--redefine")
        self.virsh("snapshot-revert", "c", "s1")
        self.assertEqual(self.content(), "s1")
        os.rename(self.copy("s2"), self.copy("elsewhere"))
        self.assertIn("is not there", self.virsh_fails("snapshot-create", "c", documents["s2"], "--redefine", "--validate"))
        self.virsh("snapshot-create", "c", documents["s2"], "--redefine")
        self.assertIn("is not there", self.virsh_fails("snapshot-revert", "c", "s2"))
        self.assertEqual(self.content(), "s1")

    def test_without_metadata(self):
        self.small()
        self.change("kept")
        self.take("s1", "--no-metadata")
        self.assertEqual((self.listed(), self.stored()), ([], ["s1"]))
        self.assertIn("has no metadata", self.virsh_fails("snapshot-create-as", "c", "s1"))
        self.virsh("snapshot-create", "c", "--no-metadata")
        self.virsh("snapshot-create", "c", "--no-metadata")
        self.assertEqual(len(self.stored()), 3)

    def test_the_definition_comes_back(self):
        self.small()
        self.take("s1")
        self.virsh("setmaxmem", "c", "32M", "--config")
        self.virsh("domrename", "c", "other")
        self.virsh("snapshot-revert", "other", "s1")
        self.assertEqual(self.info("other")["Max memory"], "65536 KiB")
        bare = self.virsh("snapshot-dumpxml", "other", "s1")
        path = self.write("bare.xml", bare[:bare.index("  <domain ")].replace("s1<", "s2<") + "</domainsnapshot>")
        self.virsh("snapshot-create", "other", path, "--redefine")
        shutil.copytree(self.copy("s1"), self.copy("s2"), symlinks=True, ignore=shutil.ignore_patterns("fifo", "null"))
        self.assertIn("FORCE", self.virsh_fails("snapshot-revert", "other", "s2"))
        self.virsh("snapshot-revert", "other", "s2", "--force")
        self.assertEqual(self.current("other"), "s2")

    def test_a_root_that_is_gone(self):
        self.small()
        first = fingerprint(self.root)
        self.take("s1")
        shutil.rmtree(self.root)
        self.virsh("snapshot-revert", "c", "s1")
        self.assertEqual(fingerprint(self.root), first)

    def test_refusals(self):
        self.small()
        for name, why in (("a/b", "without '/'"), ("..", "begin with '.'"), (".x", "begin with '.'")):
            self.assertIn(why, self.virsh_fails("snapshot-create-as", "c", name))
        self.take("s1")
        self.assertIn("already exists", self.virsh_fails("snapshot-create-as", "c", "s1"))
        for flags in (["--live"], ["--disk-only", "--reuse-external"], ["--disk-only", "--quiesce"]):
            self.virsh_fails("snapshot-create-as", "c", "s2", *flags)
        self.assertIn("'/'", self.virsh_fails("snapshot-create-as", "c", "s2", "--diskspec", "vda"))
        self.assertIn("memory", self.virsh_fails("snapshot-create-as", "c", "s2", "--memspec", "/tmp/x"))
        below = os.path.join(self.root, "d", "e")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", below], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", below], check=False)
        self.assertIn("is mounted below", self.virsh_fails("snapshot-revert", "c", "s1"))
        self.assertEqual((self.listed(), self.stored()), (["s1"], ["s1"]))

    def test_what_cannot_be_read_is_left_alone(self):
        self.small()
        self.take("s1")
        path = subprocess.run(["find", self.daemon.root, "-name", "tree.json"], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.strip()
        with open(path, encoding="utf-8") as stream:
            kept = stream.read()
        self.daemon.kill()
        write(path, "{")
        self.daemon.start_vireod()
        self.assertIn("until this is mended", self.virsh_fails("snapshot-create-as", "c", "s2"))
        self.daemon.kill()
        write(path, kept)
        self.daemon.start_vireod()
        self.assertEqual((self.listed(), self.stored()), (["s1"], ["s1"]))

    def test_a_random_walk(self):
        self.small()
        dice, tree, current, states = random.Random(20), {}, None, {}
        for step in range(14):
            what = dice.choice(["take", "take", "revert", "delete"]) if tree else "take"
            name = dice.choice(sorted(tree)) if tree else None
            if what == "take":
                name = f"n{step}"
                states[name] = self.change(name)
                tree[name], current = current, name
                self.take(name)
            elif what == "revert":
                self.virsh("snapshot-revert", "c", name)
                current = name
                self.assertEqual(fingerprint(self.root), states[name])
            else:
                below = dice.choice(["", "--children"])
                doomed = {name} if not below else {at for at in tree if name in self.line(tree, at)}
                self.virsh("snapshot-delete", "c", name, *below.split())
                above = {at: next((up for up in self.line(tree, at)[1:] if up not in doomed), None) for at in tree}
                current = above[current] if current in doomed else current
                tree = {at: above[at] for at in tree if at not in doomed}
            self.assertEqual((self.parents(), self.current(), self.stored()), (tree, current, sorted(tree)), what)

    @staticmethod
    def line(tree, name):
        """It and its ancestors."""
        line = []
        while name is not None:
            line.append(name)
            name = tree[name]
        return line


class Running(Case):
    WRITES = "i=0; while true; do i=$((i+1)); echo $i > /a; echo $i > /b; sync /a; done"

    def running(self, script="while true; do sleep 1; done"):
        make_root(self.root)
        self.start("c", root=self.root, init="/bin/sh", args=("-c", script))
        return self.init_pid("c")

    def test_taken_while_it_stands_still(self):
        pid = self.running(self.WRITES)
        wait_until(lambda: os.path.exists(os.path.join(self.root, "b")), 10, "it writes")
        self.assertIn("DISK_ONLY", self.virsh_fails("snapshot-create-as", "c", "s1"))
        for at in range(3):
            self.take(f"s{at}", "--disk-only", "--quiesce")
            values = []
            for name in ("a", "b"):
                with open(os.path.join(self.copy(f"s{at}"), name), encoding="utf-8") as stream:
                    values.append(int(stream.read() or -1))
            self.assertTrue(values[0] - values[1] in (0, 1) or -1 in values, values)
        self.assertEqual((self.init_pid("c"), self.state("c")), (pid, "running"))
        before = os.stat(os.path.join(self.root, "b")).st_mtime_ns
        wait_until(lambda: os.stat(os.path.join(self.root, "b")).st_mtime_ns != before, 10, "it goes on")
        self.assertIn("<state>disk-snapshot</state>", self.virsh("snapshot-dumpxml", "c", "s0"))
        self.virsh("suspend", "c")
        self.take("paused", "--disk-only")
        self.assertEqual(self.state("c"), "paused")

    def test_reverted_to_each_state(self):
        self.running()
        write(os.path.join(self.root, "state"), "then")
        self.take("s1", "--disk-only")
        for flags, wanted in (("--running", "running"), ("--paused", "paused"), ("", "shut off")):
            write(os.path.join(self.root, "state"), "now")
            self.virsh("snapshot-revert", "c", "s1", *flags.split())
            self.assertEqual((self.state("c"), self.content()), (wanted, "then"))
        self.assertEqual(self.state_reason("c"), ("shut off", "from snapshot"))
        self.virsh("snapshot-revert", "c", "s1", "--running")
        self.assertEqual(self.shell("c", "cat /state"), "then")
        self.take("s2", "--disk-only", "--halt")
        self.assertEqual(self.state("c"), "shut off")

    def test_a_root_of_two(self):
        self.running()
        self.take("s1", "--disk-only")
        uuid = self.uuid
        self.start("two", root=self.root, init="/bin/sleep", args=("1000",))
        self.uuid = uuid
        self.assertIn("'two' runs with the same root", self.virsh_fails("snapshot-revert", "c", "s1"))
        self.assertEqual(self.state("c"), "running")

    def test_a_template(self):
        """What is kept is the layer above."""
        make_root(self.root)
        root = f"<filesystem type='template'><source name='{self.root}'/><target dir='/'/></filesystem>"
        if not known("overlay"):
            self.skipTest("this kernel has no overlayfs")
        self.start("c", root=root, init="/bin/sh", args=("-c", "while true; do sleep 1; done"))
        self.shell("c", "echo one > /state; rm /etc/group; rm -r /mnt; mkdir /mnt")
        self.take("s1", "--disk-only")
        self.shell("c", "echo two > /state; echo > /etc/group; echo > /mnt/new")
        self.virsh("snapshot-revert", "c", "s1", "--running")
        self.assertEqual(self.shell("c", "cat /state; ls /mnt; test -e /etc/group || echo gone"), "one\ngone")
        self.assertFalse(os.path.exists(os.path.join(self.root, "state")))
        self.assertFalse(os.path.exists(os.path.join(self.place, STORE)))

    def test_an_image(self):
        image = os.path.join(self.place, "image")
        make_root(os.path.join(self.work, "tree"))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", os.path.join(self.work, "tree"), image, "16M"],
                       stdout=subprocess.DEVNULL, check=True)
        root = (f"<filesystem type='file'><driver type='loop' format='raw'/><source file='{image}'/><target dir='/'/>"
                "</filesystem>")
        self.define("c", root=root, init="/bin/sh", args=("-c", "while true; do sleep 1; done"))
        done = self.virsh_raw("start", "c")
        if done.returncode:
            self.skipTest(f"no image can be mounted here: {done.stderr.strip()}")
        self.shell("c", "echo one > /state")
        self.take("s1", "--disk-only")
        self.shell("c", "echo two > /state")
        self.virsh("snapshot-revert", "c", "s1", "--running")
        self.assertEqual(self.shell("c", "cat /state"), "one")


class Clones(Case):
    def clone(self, *args):
        program = os.path.join(vireotest.BUILD, "core", "cli", "vireo")
        socket = os.path.join(self.daemon.root, "run", "vireo", "vireo-sock")
        return subprocess.run([program, "--socket", socket, "--connect", "lxc:///system", "clone", *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)

    def test_of_now_and_of_then(self):
        nic = "<interface type='ethernet'><mac address='52:54:00:00:00:01'/></interface>"
        self.small(devices=nic)
        then = fingerprint(self.root)
        self.take("s1")
        now = self.change("now")
        for name, args, wanted in (("n", (), now), ("t", ("--snapshot", "s1", "--target", f"{self.place}/there"), then)):
            done = self.clone("c", name, *args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            xml = self.xml(name)
            place = xml.find("devices/filesystem/source").get("dir")
            self.assertEqual((place, fingerprint(place)), (args[-1] if args else f"{self.place}/n", wanted))
            self.assertNotEqual(xml.find("uuid").text, self.uuid)
            self.assertNotEqual(xml.find("devices/interface/mac").get("address"), "52:54:00:00:00:01")
        self.assertEqual(self.listed(name="n"), [])
        self.assertEqual(sorted(os.listdir(self.place)), [STORE, "c", "n", "there"])
        for args, why in ((("c", "n"), "already exists"), (("c", "x/y"), "is no name"), (("c", "z", "--snapshot", "s9"), "'s9'"),
                          (("c", "z", "--target", f"{self.place}/n"), "is there already"),
                          (("c", "z", "--target", f"{self.root}/z"), "inside")):
            done = self.clone(*args)
            self.assertTrue(done.returncode and why in done.stderr, done.stderr)
        self.assertEqual(self.names("list", "--all", "--name"), ["c", "n", "t"])

    def test_of_one_that_runs(self):
        make_root(self.root)
        self.start("c", root=self.root, init="/bin/sleep", args=("1000",))
        pid = self.init_pid("c")
        self.assertEqual(self.clone("c", "n").returncode, 0)
        self.virsh("start", "n")
        self.assertEqual((self.init_pid("c"), self.state("c"), self.state("n")), (pid, "running", "running"))


class Subvolumes(Case):
    def test_btrfs(self):
        if not known("btrfs"):
            self.skipTest("this kernel has no btrfs")
        if not shutil.which("mkfs.btrfs"):
            self.skipTest("mkfs.btrfs is missing (package btrfs-progs)")
        image = os.path.join(self.work, "btrfs")
        subprocess.run(["truncate", "-s", "120M", image], check=True)
        subprocess.run(["mkfs.btrfs", "-q", image], check=True)
        self.place = self.mount("btrfs", image, "loop")
        self.root = os.path.join(self.place, "c")
        subprocess.run(["btrfs", "-q", "subvolume", "create", self.root], check=True)
        fill(self.root)
        self.define("c", root=self.root, init=INIT)
        first = self.change("first")
        self.take("s1")
        self.assertEqual(os.stat(self.copy("s1")).st_ino, 256)
        self.change("second")
        self.virsh("snapshot-revert", "c", "s1")
        self.assertEqual((fingerprint(self.root), os.stat(self.root).st_ino), (first, 256))
        # What is a subvolume below is part of it, too.
        subprocess.run(["btrfs", "-q", "subvolume", "create", os.path.join(self.root, "inner")], check=True)
        write(os.path.join(self.root, "inner", "file"), "inside")
        inner = fingerprint(self.root)
        self.take("s2")
        write(os.path.join(self.root, "inner", "file"), "changed")
        self.virsh("snapshot-revert", "c", "s2")
        self.assertEqual(fingerprint(self.root), inner)
        self.virsh("snapshot-delete", "c", "s1", "--children")
        self.assertEqual(sorted(os.listdir(self.place)), ["c"])


class Room(Case):
    def test_no_room(self):
        """What was is there, at whatever moment the file system is full."""
        self.small()
        self.take("s1")
        states = {"s1": fingerprint(self.copy("s1"))}
        with open(os.path.join(self.root, "big"), "wb") as stream:
            stream.write(os.urandom(30 << 20))
        now = fingerprint(self.root)
        with open(os.path.join(self.place, "rest"), "wb") as stream:
            stream.write(b"x" * (20 << 20))
        self.assertIn("No space", self.virsh_fails("snapshot-create-as", "c", "s2"))
        self.assertEqual((self.listed(), self.stored(), fingerprint(self.root)), (["s1"], ["s1"], now))
        with open(os.path.join(self.copy("s1"), "big"), "wb") as stream:
            stream.write(b"y" * (10 << 20))
        self.assertIn("No space", self.virsh_fails("snapshot-revert", "c", "s1"))
        self.assertEqual((self.listed(), self.stored(), fingerprint(self.root)), (["s1"], ["s1"], now))
        self.virsh("snapshot-delete", "c", "s1")
        self.assertEqual((self.listed(), fingerprint(self.root), bool(states)), ([], now, True))


# ---- kill -9 at every step: the library of the QEMU driver's tests, which counts what a daemon does to files

NAMES, NAME = 400, 160
RENAME, UNLINK = 1, 2
LIBRARY = os.path.join(vireotest.BUILD, "tests", "integration", "qemu", "stops.so")


class Shared(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("armed", "count", "at", "failure", "reached", "go")] + \
        [("below", ctypes.c_char * NAME), ("names", ctypes.c_char * NAME * NAMES)]


def stops():
    """For the daemon of this file, before it is started."""
    descriptor, path = tempfile.mkstemp(prefix="vs.")
    os.truncate(descriptor, ctypes.sizeof(Shared))
    shared = Shared.from_buffer(mmap.mmap(descriptor, ctypes.sizeof(Shared)))
    os.close(descriptor)
    vireotest.ENV.update(LD_PRELOAD=LIBRARY, VIREO_TEST_STOPS=path)
    if "ASAN_OPTIONS" in os.environ:
        vireotest.ENV["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    return shared


class Accidents(Case):
    def scene(self, running):
        """s1 and s2, and a root that differs from both."""
        make_root(self.root) if running else os.makedirs(os.path.join(self.root, "d"))
        xml = self.container_xml("c", root=self.root, init="/bin/sleep", args=("1000",))
        self.uuid = "5a1c0000-0000-4000-8000-000000000001"
        self.state_is("s1")
        path = self.write("c.xml", xml.replace("<memory", f"<uuid>{self.uuid}</uuid><memory", 1))
        self.virsh(f"define {path}; snapshot-create-as c s1 --disk-only")
        self.state_is("s2")
        self.virsh("snapshot-create-as c s2 --disk-only" + ("; start c" if running else ""))
        self.state_is("now")
        return {"tree": self.parents(), "content": "now", "current": "s2"}

    def state_is(self, text):
        write(os.path.join(self.root, "state"), text)

    def look(self):
        return {"tree": self.parents(), "content": self.content(), "current": self.current()}

    def clear(self):
        self.virsh_raw("destroy c; undefine c --snapshots-metadata")
        shutil.rmtree(self.root)
        shutil.rmtree(os.path.join(self.place, STORE), ignore_errors=True)

    def arm(self, at):
        STOPS.below = self.daemon.work.encode()
        STOPS.count = STOPS.reached = STOPS.go = STOPS.failure = 0
        STOPS.at = at
        STOPS.armed = RENAME | UNLINK

    def each(self, *command, running=False):
        """The command is killed at each of its steps; afterwards all is as before, or as it was to be."""
        before = self.scene(running)
        self.arm(0)
        self.virsh(*command)
        STOPS.armed = 0
        steps, after = STOPS.count, self.look()
        self.assertGreater(steps, 3)
        self.clear()
        for at in range(1, steps + 1):
            self.scene(running)
            self.arm(at)
            client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri(), *command], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            wait_until(lambda: STOPS.reached, 20, f"step {at}")
            step = STOPS.names[at - 1].value.decode()
            self.daemon.kill()
            client.wait()
            STOPS.armed = 0
            self.daemon.start_vireod()
            now = self.look()
            self.assertIn(now, (before, after), f"killed at {at}: {step}")
            self.assertEqual(self.stored(), sorted(now["tree"]), f"killed at {at}: {step}")
            for name in now["tree"]:
                with open(os.path.join(self.copy(name), "state"), encoding="utf-8") as stream:
                    self.assertEqual(stream.read(), {"s3": "now"}.get(name, name), f"killed at {at}: {step}")
            if running:
                self.assertEqual(self.state("c"), "running", f"killed at {at}: {step}")
            self.clear()

    def test_taking(self):
        self.each("snapshot-create-as", "c", "s3")

    def test_taking_from_a_running_one(self):
        self.each("snapshot-create-as", "c", "s3", "--disk-only", running=True)

    def test_reverting(self):
        self.each("snapshot-revert", "c", "s1")

    def test_deleting(self):
        self.each("snapshot-delete", "c", "s1", "--children")


if __name__ == "__main__":
    STOPS = stops()
    lxctest.main()
