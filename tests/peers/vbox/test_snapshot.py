# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the vbox driver: snapshots."""
import base64
import re
import time
import xml.etree.ElementTree as ElementTree

import libvirt

from vboxtest import ROOT, VboxCase, Web, main, manage, showvminfo, wait_until

MARK = 65536  # where on the disk nothing is


def tree(name):
    """VirtualBox's own: {snapshot: parent}, and which is current."""
    info = showvminfo(name)
    names = {key: value for key, value in info.items() if re.fullmatch(r"SnapshotName(-\d+)*", key)}
    parents = {value: names.get(key.rpartition("-")[0]) for key, value in names.items()}
    return parents, info.get("CurrentSnapshotName")


class Off(VboxCase):
    def setUp(self):
        super().setUp()
        self.disk("g")
        self.define("g", "<disk type='file' device='disk'><source file='/root/g.vdi'/><target dev='hda' bus='ide'/></disk>")

    def take(self, *names):
        for name in names:
            self.virsh("snapshot-create-as", "g", name)

    def list(self, *args):
        return self.virsh("snapshot-list", "g", "--name", *args).split()

    def branches(self):
        """a - b - c, and d beside b, which is the current one."""
        self.take("a", "b", "c")
        self.virsh("snapshot-revert", "g", "a")
        self.take("d")

    def test_create(self):
        self.virsh("snapshot-create-as", "g", "one", "the first <one>", "--no-metadata", "--atomic", "--disk-only")
        self.assertEqual(tree("g"), ({"one": None}, "one"))
        self.assertEqual(showvminfo("g")["SnapshotDescription"], "the first <one>")
        self.assertIn("has a snapshot 'one' already", self.virsh_fails("snapshot-create-as", "g", "one"))
        self.virsh("snapshot-create", "g")
        self.assertRegex(" ".join(self.list("--from", "one")), r"^\d{10}$")
        self.assertIn("domainsnapshot.disks", self.virsh_fails("snapshot-create-as", "g", "two", "--diskspec", "hda"))
        self.assertIn("LIVE", self.virsh_fails("snapshot-create-as", "g", "two", "--live"))
        self.assertIn("QUIESCE is not supported", self.virsh_fails("snapshot-create-as", "g", "two", "--quiesce"))

    def test_describe(self):
        begin = int(time.time())
        self.take("a", "b")
        xml = ElementTree.fromstring(self.virsh("snapshot-dumpxml", "g", "b"))
        self.assertEqual([xml.findtext(path) for path in ("name", "state", "parent/name", "domain/uuid")],
                         ["b", "shutoff", "a", self.virsh("domuuid", "g")])
        self.assertAlmostEqual(int(xml.findtext("creationTime")), begin, delta=20)

    def redefine(self, name, *changes, refused=None, more=()):
        text = self.virsh("snapshot-dumpxml", "g", name)
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = f"{self.work}/b.xml"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        command = ("snapshot-create", "g", path, "--redefine", *more)
        if refused:
            self.assertIn(refused, self.virsh_fails(*command))
        else:
            self.virsh(*command)

    def test_redefine(self):
        """VirtualBox changes names and descriptions, and nothing else."""
        self.virsh("snapshot-create-as", "g", "a", "old")
        self.take("b")
        self.redefine("a", ("<description>old<", "<description>new &lt;one&gt;<"))
        self.assertEqual(showvminfo("g")["SnapshotDescription"], "new <one>")
        self.redefine("b", ("<name>b</name>", "<name>x/y é</name>"), refused="domainsnapshot.name")
        self.redefine("b", ("<name>b</name>", "<name>c é</name>"))
        self.assertEqual(tree("g"), ({"a": None, "c é": "a"}, "c é"))
        self.assertEqual(self.virsh("snapshot-list", "g", "--name").split("\n"), ["a", "c é"])
        self.redefine("c é", more=("--current",))
        self.redefine("a", more=("--current",), refused="becomes the current one by reverting")
        self.redefine("a", (self.virsh("domuuid", "g"), "0a1f7f1e-4c4c-4c6b-9f7e-0b6b6a3c7a01"), refused="of another domain")
        self.redefine("a", ("<state>shutoff", "<state>running"), refused="name and description only")
        self.redefine("c é", ("<name>c é", "<name>a"), refused="name and description only")
        self.redefine("c é", ("<name>c é", "<name>d"), ("<name>a<", "<name>z<"), refused="none can be added")
        self.assertEqual(tree("g"), ({"a": None, "c é": "a"}, "c é"))

    def test_tree(self):
        self.branches()
        self.assertEqual(tree("g"), ({"a": None, "b": "a", "c": "b", "d": "a"}, "d"))
        self.assertEqual(self.list("--roots"), ["a"])
        self.assertEqual(self.list("--leaves"), ["c", "d"])
        self.assertEqual(self.list("--no-leaves"), ["a", "b"])
        self.assertEqual(self.list("--from", "a"), ["b", "d"])
        self.assertEqual(self.list("--from", "a", "--descendants"), ["b", "c", "d"])
        self.assertEqual(self.list("--inactive"), ["a", "b", "c", "d"])
        self.assertEqual(self.list("--active"), [])
        self.assertEqual(self.list("--metadata"), [])
        self.assertEqual(self.list("--internal"), ["a", "b", "c", "d"])
        self.assertEqual(self.virsh("snapshot-current", "g", "--name"), "d")
        self.assertEqual(self.virsh("snapshot-parent", "g", "c"), "b")
        self.assertIn("snapshot", self.virsh_fails("undefine", "g"))

    def test_filters(self):
        """The calls that list, with what they can leave out."""
        self.branches()
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        guest = conn.lookupByName("g")
        root = guest.snapshotLookupByName("a")

        def names(snapshots):
            return [snapshot.getName() for snapshot in snapshots]

        everyone, below = ["a", "b", "c", "d"], ["b", "c", "d"]
        for flag, all_of_them, children in (
                ("ROOTS", ["a"], below), ("LEAVES", ["c", "d"], ["d"]), ("NO_LEAVES", ["a", "b"], ["b"]),
                ("METADATA", [], []), ("NO_METADATA", everyone, ["b", "d"]), ("INACTIVE", everyone, ["b", "d"]),
                ("ACTIVE", [], []), ("DISK_ONLY", [], []), ("INTERNAL", everyone, ["b", "d"]), ("EXTERNAL", [], [])):
            bit = getattr(libvirt, f"VIR_DOMAIN_SNAPSHOT_LIST_{flag}")
            with self.subTest(flag):
                self.assertEqual(sorted(names(guest.listAllSnapshots(bit))), all_of_them)
                self.assertEqual(sorted(names(root.listAllChildren(bit))), children)
        self.assertEqual(names(guest.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL))[0], "a")
        self.assertEqual((guest.snapshotNum(), root.numChildren(), sorted(guest.snapshotListNames()), root.listChildrenNames()),
                         (4, 2, everyone, ["b", "d"]))
        self.assertEqual((guest.snapshotCurrent().getName(), root.isCurrent(), root.hasMetadata()), ("d", 0, 0))

    def test_names(self):
        """VirtualBox takes any name any number of times."""
        for name in ("a", "a", "", "x/y <z> é"):
            manage("snapshot", "g", "take", name)
        wait_until(lambda: len(self.virsh("snapshot-list", "g", "--name").splitlines()) == 4, 5, "all are seen")
        names = self.virsh("snapshot-list", "g", "--name").splitlines()
        twin = next(name for name in names if name.startswith("a ("))
        self.assertIn("x/y <z> é", names)
        self.virsh("snapshot-delete", "g", twin)
        self.assertEqual(sorted(tree("g")[0]), ["", "a", "x/y <z> é"])

    def test_delete(self):
        self.branches()
        said = self.virsh_fails("snapshot-delete", "g", "a")
        self.assertIn("'a' has 2 children ('b', 'd')", said)
        self.assertIn("with CHILDREN, or all but one of them first", said)
        self.assertEqual(tree("g"), ({"a": None, "b": "a", "c": "b", "d": "a"}, "d"))
        self.virsh("snapshot-delete", "g", "b")
        self.assertEqual(tree("g"), ({"a": None, "c": "a", "d": "a"}, "d"))
        self.virsh("snapshot-delete", "g", "d")
        self.assertEqual(tree("g"), ({"a": None, "c": "a"}, "a"))
        self.assertEqual(self.virsh("snapshot-current", "g", "--name"), "a")
        said = self.virsh_fails("snapshot-delete", "g", "a")
        self.assertIn("'a' is the first: it is the current one and has a child", said)
        self.virsh("snapshot-revert", "g", "c")
        self.virsh("snapshot-delete", "g", "a")
        self.assertEqual(tree("g"), ({"c": None}, "c"))

    def contents(self):
        """Of the disk, as VirtualBox reads it through all its files."""
        path = self.virsh("domblklist", "g").splitlines()[-1].split(maxsplit=1)[1]
        manage("clonemedium", "disk", path, "/root/flat.raw", "--format", "RAW")
        manage("closemedium", "disk", "/root/flat.raw")
        flat = ROOT / "root" / "flat.raw"
        said = flat.read_bytes()
        flat.unlink()
        return said

    def mark(self, text):
        """A word on the disk, by a guest that is off."""
        web = Web()
        path = self.virsh("domblklist", "g").splitlines()[-1].split(maxsplit=1)[1]
        medium = web("IVirtualBox_openMedium", _this=web.web, location=path, deviceType="HardDisk", accessMode="ReadWrite",
                     forceNewUuid="false")
        disk = web("IMedium_openForIO", _this=medium, writable="true", password="")
        web("IMediumIO_write", _this=disk, offset=MARK, data=base64.b64encode(text.encode()).decode())
        web("IMediumIO_close", _this=disk)
        web.connection.close()

    def test_delete_the_current_one(self):
        """With a child: VirtualBox would have to merge its disks twice. What the machine is stays what it is."""
        for name in "a", "b", "c":
            self.mark(name * 4)
            self.take(name)
        self.virsh("snapshot-revert", "g", "b")
        self.mark("none")
        before = self.contents()
        self.virsh("attach-interface", "g", "bridge", "lo", "--mac", "08:00:27:01:02:03", "--config")
        self.assertIn("has other devices than 'a'", self.virsh_fails("snapshot-delete", "g", "b"))
        self.virsh("detach-interface", "g", "bridge", "--mac", "08:00:27:01:02:03", "--config")
        self.virsh("setvcpus", "g", "2", "--config")
        self.virsh("desc", "g", "--config", "as it is now")
        self.virsh("start", "g")
        self.assertIn("goes when the domain is off", self.virsh_fails("snapshot-delete", "g", "b"))
        self.virsh("destroy", "g")
        self.virsh("snapshot-delete", "g", "b")
        self.assertEqual(tree("g"), ({"a": None, "c": "a"}, "a"))
        self.assertEqual(self.virsh("snapshot-current", "g", "--name"), "a")
        self.assertEqual([showvminfo("g")[key] for key in ("cpus", "description")], ["2", "as it is now"])
        self.assertEqual(before, self.contents())
        self.assertEqual(before[MARK:MARK + 4], b"none")
        files = [path.name for path in (ROOT / "root" / "VirtualBox VMs" / "g" / "Snapshots").iterdir()]
        self.assertEqual(len(files), 2, files)  # of the machine, and of c
        self.virsh("snapshot-revert", "g", "c")
        self.assertEqual((self.contents()[MARK:MARK + 4], showvminfo("g")["cpus"]), (b"cccc", "1"))
        self.virsh("snapshot-revert", "g", "a")
        self.assertEqual(self.contents()[MARK:MARK + 4], b"aaaa")

    def test_delete_children(self):
        self.branches()
        self.virsh("snapshot-delete", "g", "a", "--children-only")
        self.assertEqual(tree("g"), ({"a": None}, "a"))
        self.virsh("snapshot-delete", "g", "a", "--children")
        self.assertEqual(tree("g"), ({}, None))
        self.branches()
        self.virsh("snapshot-delete", "g", "b", "--children")
        self.assertEqual(tree("g"), ({"a": None, "d": "a"}, "d"))

    def test_metadata_only(self):
        """There is none: nothing is asked of VirtualBox, and the snapshot stays."""
        self.branches()
        self.virsh("snapshot-delete", "g", "a", "--metadata")
        self.assertEqual(tree("g"), ({"a": None, "b": "a", "c": "b", "d": "a"}, "d"))
        self.assertEqual(self.list(), ["a", "b", "c", "d"])
        self.virsh_fails("snapshot-delete", "g", "nothing", "--metadata")

    def test_others_change_it(self):
        self.take("a")
        manage("snapshot", "g", "take", "b")
        wait_until(lambda: self.list() == ["a", "b"], 5, "it is seen")
        manage("snapshot", "g", "edit", "b", "--name", "bb")
        wait_until(lambda: self.list() == ["a", "bb"], 5, "the new name is seen")
        manage("snapshot", "g", "delete", "bb")
        wait_until(lambda: self.list() == ["a"], 5, "it is gone")

    def test_revert_running(self):
        self.take("a")
        self.virsh("snapshot-revert", "g", "a", "--running")
        self.assertEqual(showvminfo("g")["VMState"], "running")
        self.virsh("snapshot-revert", "g", "a")
        self.assertEqual(showvminfo("g")["VMState"], "poweroff")
        self.virsh("snapshot-revert", "g", "a", "--paused")
        self.assertEqual(showvminfo("g")["VMState"], "paused")
        self.virsh("destroy", "g")


class Running(VboxCase):
    def test_live(self):
        self.define_booted("g")
        self.boot("g")
        self.press("g", "KEY_A", 2)
        self.virsh("snapshot-create-as", "g", "first", "--live")
        self.assertEqual(self.state("g"), "running")
        self.press("g", "KEY_B", 4)
        self.virsh("snapshot-create-as", "g", "second")
        self.assertEqual(self.state("g"), "running")
        self.assertEqual(showvminfo("g")["VMState"], "running")
        self.assertEqual(self.virsh("snapshot-list", "g", "--name", "--active").split(), ["first", "second"])
        self.assertIn("DISK_ONLY", self.virsh_fails("snapshot-create-as", "g", "third", "--disk-only"))
        self.virsh("snapshot-revert", "g", "first")
        self.assertEqual(self.state_reason("g"), ("running", "restored"))
        self.press("g", "KEY_C", 4)  # two were heard when that snapshot was taken
        self.assertEqual(tree("g"), ({"first": None, "second": "first"}, "first"))
        self.virsh("snapshot-delete", "g", "second")
        self.virsh("snapshot-delete", "g", "first")
        self.assertEqual(tree("g"), ({}, None))
        self.assertEqual(showvminfo("g")["VMState"], "running")
        self.press("g", "KEY_D", 6)
        for name in "one", "two", "three":
            self.virsh("snapshot-create-as", "g", name)
        self.virsh("snapshot-delete", "g", "two", "--children")
        self.assertEqual(tree("g"), ({"one": None}, "one"))
        self.virsh("snapshot-delete", "g", "one")
        self.assertEqual(showvminfo("g")["VMState"], "running")
        self.virsh("suspend", "g")
        self.virsh("snapshot-create-as", "g", "paused")
        self.assertEqual(showvminfo("g")["VMState"], "paused")
        self.virsh("snapshot-revert", "g", "paused", "--paused")
        self.assertEqual(showvminfo("g")["VMState"], "paused")


if __name__ == "__main__":
    main()
