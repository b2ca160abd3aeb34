# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: pools and volumes. What is done is looked at from outside."""
import hashlib
import random
import uuid
import xml.etree.ElementTree as ElementTree

from esxtest import MODE, EsxCase, Witness, main

STORE = "LocalDS_0"
TOLD = MODE != "host-raw"  # paths and capacities are


class Storage(EsxCase):
    def setUp(self):
        super().setUp()
        self.witness = Witness(self.simulator.server)
        self.addCleanup(self.witness.connection.close)

    def volumes(self):
        return [line.split()[0] for line in self.virsh("vol-list", STORE).splitlines()]

    def create(self, name, *args):
        self.virsh("vol-create-as", STORE, name, "64M", "--format", "vmdk", *args)

    def info(self, *args):
        return {key.strip(): value.strip() for key, _, value in
                (line.partition(":") for line in self.virsh(*args).splitlines())}


class Pools(Storage):
    def test_list(self):
        self.assertIn(STORE, self.virsh("pool-list", "--all", "--name").split())
        self.assertEqual(self.virsh("pool-list", "--inactive", "--name").split(), [])
        self.assertIn(STORE, self.virsh("pool-list", "--autostart", "--persistent", "--name").split())
        self.assertEqual(self.virsh("pool-list", "--transient", "--name").split(), [])

    def test_lookup(self):
        number = self.virsh("pool-uuid", STORE)
        self.assertEqual(self.virsh("pool-name", number), STORE)
        if TOLD:  # as libvirt's driver makes it
            self.assertEqual(number, str(uuid.UUID(hashlib.md5(b"/vmfs/volumes/LocalDS_0").hexdigest())))
        self.assertIn("failed to get pool 'nothing'", self.virsh_fails("pool-info", "nothing"))

    def test_info(self):
        info = self.info("pool-info", "--bytes", STORE)
        self.assertEqual((info["State"], info["Persistent"], info["Autostart"]), ("running", "yes", "yes"))
        capacity, used, free = (int(info[key]) for key in ("Capacity", "Allocation", "Available"))
        self.assertGreater(free, 0)
        self.assertEqual(capacity, used + free)

    def test_xml(self):
        pool = ElementTree.fromstring(self.virsh("pool-dumpxml", STORE))
        self.assertEqual((pool.get("type"), pool.findtext("name")), ("dir", STORE))
        self.assertEqual(pool.findtext("uuid"), self.virsh("pool-uuid", STORE))
        self.assertTrue(pool.findtext("target/path"))
        if TOLD:
            self.assertEqual(pool.findtext("target/path"), "/vmfs/volumes/LocalDS_0")
        self.assertIsNone(ElementTree.fromstring(self.virsh("pool-dumpxml", "--inactive", STORE)).find("capacity"))

    def test_refresh(self):
        if TOLD:  # the simulator answers nothing to it otherwise
            self.virsh("pool-refresh", STORE)

    def test_what_a_host_does_by_itself(self):
        self.virsh("pool-autostart", STORE)
        self.assertIn("mounts all of its datastores", self.virsh_fails("pool-autostart", STORE, "--disable"))
        self.assertIn("not supported", self.virsh_fails("pool-destroy", STORE))


class Volumes(Storage):
    def test_list(self):
        self.assertIn(f"{self.first}/disk1.vmdk", self.volumes())
        self.assertIn(f"{self.second}/disk1.vmdk", self.volumes())
        self.assertFalse([name for name in self.volumes() if name.endswith("-flat.vmdk") or name.endswith(".vmx")])

    def test_lookup(self):
        name = f"{self.first}/disk1.vmdk"
        path = f"[{STORE}] {name}"
        self.assertEqual(self.virsh("vol-path", name, "--pool", STORE), path)
        self.assertEqual(self.virsh("vol-key", path), path)
        self.assertEqual(self.virsh("vol-name", path), name)
        self.assertEqual(self.virsh("vol-pool", path), STORE)
        for missing in ("nothing", f"{self.first}/nothing.vmdk", "no/folder.vmdk", "../x.vmdk"):
            self.assertIn(f"no volume '{missing}'", self.virsh_fails("vol-path", missing, "--pool", STORE))
        self.assertIn("paths are '[DATASTORE] FOLDER/FILE'", self.virsh_fails("vol-info", "/dev/sda"))

    def test_describe(self):
        volume = ElementTree.fromstring(self.virsh("vol-dumpxml", f"{self.first}/disk1.vmdk", "--pool", STORE))
        self.assertEqual(volume.findtext("target/path"), f"[{STORE}] {self.first}/disk1.vmdk")
        self.assertEqual(volume.find("target/format").get("type"), "vmdk")
        if TOLD:
            self.assertEqual(volume.findtext("capacity"), str(64 << 20))
            info = self.info("vol-info", "--bytes", f"{self.first}/disk1.vmdk", "--pool", STORE)
            self.assertEqual((info["Type"], info["Capacity"]), ("file", f"{64 << 20} bytes"))

    def test_create_and_delete(self):
        self.create("new folder/below/x%.vmdk")
        self.assertIsNotNone(self.witness.file(STORE, "new folder/below/x%.vmdk"))
        self.assertIn("has a volume", self.virsh_fails("vol-create-as", STORE, "new folder/below/x%.vmdk", "64M"))
        self.create("new folder/below/second.vmdk", "--allocation", "64M")  # the folder is there already
        self.virsh("vol-delete", "new folder/below/x%.vmdk", "--pool", STORE)
        self.assertIsNone(self.witness.file(STORE, "new folder/below/x%.vmdk"))
        self.virsh("vol-delete", f"[{STORE}] new folder/below/second.vmdk")
        self.assertFalse([name for name in self.volumes() if name.startswith("new")])

    def test_refusals(self):
        for name, format_, words in (("a/b.qcow2", "vmdk", "has to end in .vmdk"), ("a/b.vmdk", "qcow2", "its format is vmdk"),
                                     ("../b.vmdk", "vmdk", "FOLDER/FILE.vmdk"), ("/b.vmdk", "vmdk", "")):
            self.assertIn(words, self.virsh_fails("vol-create-as", STORE, name, "64M", "--format", format_))
        self.assertIn("<capacity>", self.virsh_fails("vol-create-as", STORE, "a/b.vmdk", "0"))
        path = self.work / "volume.xml"
        path.write_text("<volume><name>a/b.vmdk</name><capacity>1</capacity><backingStore><path>x</path></backingStore></volume>")
        self.assertIn("volume.backingStore", self.virsh_fails("vol-create", STORE, str(path)))
        self.assertFalse([name for name in self.volumes() if name.startswith("a/")])

    def test_clone(self):
        self.create("own/first.vmdk")
        self.witness.put(STORE, "own/first-flat.vmdk", b"contents")
        self.virsh("vol-clone", "own/first.vmdk", "own/second.vmdk", "--pool", STORE)
        self.assertEqual(self.witness.file(STORE, "own/second-flat.vmdk"), b"contents")
        self.assertIn("own/second.vmdk", self.volumes())
        self.assertIn("already", self.virsh_fails("vol-clone", "own/first.vmdk", "own/second.vmdk", "--pool", STORE))
        for name in ("own/first.vmdk", "own/second.vmdk"):
            self.virsh("vol-delete", name, "--pool", STORE)

    def test_download(self):
        data = random.Random(1).randbytes(3 << 20) + bytes(5 << 20) + b"the end"
        self.create("own/data.vmdk")
        self.witness.put(STORE, "own/data-flat.vmdk", data)
        for args, expected in (((), data), (("--sparse",), data), (("--offset", "1000", "--length", "70000"), data[1000:71000])):
            self.virsh("vol-download", "own/data.vmdk", str(self.work / "got"), "--pool", STORE, *args)
            self.assertEqual((self.work / "got").read_bytes(), expected)
        self.virsh("vol-delete", "own/data.vmdk", "--pool", STORE)
        self.witness.put(STORE, "own/image.iso", b"an image")
        self.virsh("vol-download", "own/image.iso", str(self.work / "got"), "--pool", STORE)
        self.assertEqual((self.work / "got").read_bytes(), b"an image")
        self.virsh("vol-delete", "own/image.iso", "--pool", STORE)


if __name__ == "__main__":
    main()
