# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: pools and volumes. What is done is looked at from outside."""
import hashlib
import os
import random
import subprocess
import unittest
import uuid
import xml.etree.ElementTree as ElementTree

import libvirt

from esxtest import MODE, WitnessCase, main, wait_until

STORE = "LocalDS_0"
TOLD = MODE != "host-raw"  # paths and capacities are


class Storage(WitnessCase):
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
        self.assertIn(STORE, self.virsh("pool-list", "--type", "dir,netfs", "--name").split())
        self.assertEqual(self.virsh("pool-list", "--type", "logical", "--name").split(), [])

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


@unittest.skipUnless(TOLD, "the bare simulator's hosts have no iSCSI adapter")
class Targets(Storage):
    """A target of an iSCSI adapter; both are our addition to the simulator: see esxsim/iscsi.go."""
    target = "iqn.2026-11.com.example:store"
    unit = "naa.600000000000000a"

    def test_pool(self):
        self.assertEqual(self.virsh("pool-list", "--type", "iscsi", "--name").split(), [self.target])
        self.assertNotIn(self.target, self.virsh("pool-list", "--type", "dir,fs,netfs", "--name").split())
        pool = ElementTree.fromstring(self.virsh("pool-dumpxml", self.target))
        self.assertEqual((pool.get("type"), pool.find("source/host").get("name"), pool.find("source/device").get("path"),
                          pool.findtext("target/path")), ("iscsi", "192.0.2.9", self.target, "/vmfs/devices/disks"))
        self.assertEqual(pool.findtext("uuid"), str(uuid.UUID(hashlib.md5(self.target.encode()).hexdigest())))

    def test_volumes(self):
        path = f"/vmfs/devices/disks/{self.unit}"
        self.assertEqual(self.virsh("vol-list", self.target).split()[:2], [self.unit, path])
        volume = ElementTree.fromstring(self.virsh("vol-dumpxml", self.unit, "--pool", self.target))
        self.assertEqual((volume.get("type"), volume.findtext("capacity"), volume.findtext("target/path")),
                         ("block", str(1 << 30), path))
        self.assertEqual(self.info("vol-info", self.unit, "--pool", self.target)["Capacity"], "1.00 GiB")
        key = self.virsh("vol-key", self.unit, "--pool", self.target)
        self.assertEqual((self.virsh("vol-name", path), self.virsh("vol-path", key), self.virsh("vol-pool", key)),
                         (self.unit, path, self.target))
        self.assertIn("no volume 'nothing'", self.virsh_fails("vol-path", "nothing", "--pool", self.target))

    def test_look_again(self):
        before = len(self.virsh("vol-list", self.target).splitlines())
        self.virsh("pool-refresh", self.target)
        self.assertEqual((before, len(self.virsh("vol-list", self.target).splitlines())), (1, 2))
        self.assertEqual(self.info("pool-info", self.target)["Capacity"], "2.00 GiB")

    def test_refusals(self):
        name = self.unit
        for command in (("vol-create-as", self.target, "new.vmdk", "1M"), ("vol-delete", name, "--pool", self.target),
                        ("vol-wipe", name, "--pool", self.target), ("vol-resize", name, "2G", "--pool", self.target),
                        ("vol-download", name, str(self.work / "got"), "--pool", self.target)):
            self.assertIn("can be looked at, and nothing else", self.virsh_fails(*command))


class Volumes(Storage):
    def test_list(self):
        self.assertIn(f"{self.first}/disk1.vmdk", self.volumes())
        self.assertIn(f"{self.second}/disk1.vmdk", self.volumes())
        self.assertFalse([name for name in self.volumes() if name.endswith("-flat.vmdk") or name.endswith(".vmx")])

    def test_old_calls(self):
        """A count and names."""
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        pool = conn.storagePoolLookupByName(STORE)
        names = sorted(volume.name() for volume in pool.listAllVolumes())
        self.assertEqual((pool.numOfVolumes(), sorted(pool.listVolumes())), (len(names), names))
        self.assertGreater(len(names), 0)

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
        for name, format_, words in (("a/b.qcow2", "vmdk", "has to end in .vmdk, .iso or .flp"), ("a/b.iso", "vmdk", "no format but iso or raw"), ("a/b.vmdk", "qcow2", "its format is vmdk"),
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


class Upload(Storage):
    def setUp(self):
        super().setUp()
        self.source = self.work / "data"
        self.source.write_bytes(random.Random(2).randbytes(300000) + bytes(200000) + b"the end")

    def upload(self, name, *args, fails=False):
        way = self.virsh_fails if fails else self.virsh
        return way("vol-upload", name, str(self.source), "--pool", STORE, *args)

    def test_image(self):
        """It is as large as what was sent."""
        self.virsh("vol-create-as", STORE, "isos/install.iso", "1M", "--format", "iso")
        self.assertEqual(self.witness.file(STORE, "isos/install.iso"), b"")
        self.upload("isos/install.iso")
        self.assertEqual(self.witness.file(STORE, "isos/install.iso"), self.source.read_bytes())
        self.source.write_bytes(b"another")
        self.upload("isos/install.iso", "--length", "7", "--sparse")
        self.assertEqual(self.witness.file(STORE, "isos/install.iso"), b"another")
        self.virsh("vol-delete", "isos/install.iso", "--pool", STORE)

    def test_disk(self):
        """What is behind the data is zeros, up to its capacity."""
        self.create("own/sent.vmdk")
        self.upload("own/sent.vmdk", "--sparse")
        now = self.witness.file(STORE, "own/sent-flat.vmdk")
        sent = self.source.read_bytes()
        self.assertEqual(now[:len(sent)], sent)
        if TOLD:
            self.assertEqual((len(now), now.count(0, len(sent))), (64 << 20, (64 << 20) - len(sent)))
        self.virsh("vol-delete", "own/sent.vmdk", "--pool", STORE)

    def test_refusals(self):
        self.create("own/sent.vmdk")
        self.assertIn("upload from offset 0", self.upload("own/sent.vmdk", "--offset", "512", fails=True))
        self.assertIn("no volume 'own/other.vmdk'", self.upload("own/other.vmdk", fails=True))
        if TOLD:
            self.assertIn("more was sent than the 67108864 bytes",
                          self.upload("own/sent.vmdk", "--length", str((64 << 20) + 1), fails=True))
            with self.source.open("wb") as stream:
                stream.truncate((64 << 20) + 1)
            self.assertIn("more was sent than the 67108864 bytes", self.upload("own/sent.vmdk", fails=True))
        self.virsh("vol-delete", "own/sent.vmdk", "--pool", STORE)

    def test_server_goes_away(self):
        """An upload or download that did not come to its end is no success."""
        self.virsh("vol-create-as", STORE, "isos/broken.iso", "1M", "--format", "iso")
        os.mkfifo(self.work / "pipe")
        slow = subprocess.Popen(["virsh", "-q", "-c", self.uri(), "vol-upload", "isos/broken.iso", str(self.work / "pipe"),
                                 "--pool", STORE], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, slow)
        with (self.work / "pipe").open("wb") as pipe:
            pipe.write(bytes(1000000))  # virsh sends when it has a quarter of that
            pipe.flush()
            wait_until(lambda: self.witness.file(STORE, "isos/broken.iso"), 20, "the upload is under way")
            self.simulator.stop()
            self.addCleanup(self.simulator.start)
        said = slow.communicate(timeout=30)[1]
        self.assertNotEqual(slow.returncode, 0)
        self.assertIn(self.simulator.server, said)

    def test_abort(self):
        """Of a client that goes away the server does not take the half for the whole."""
        self.virsh("vol-create-as", STORE, "isos/half.iso", "1M", "--format", "iso")
        connection = libvirt.open(self.uri())
        volume = connection.storageVolLookupByKey(f"[{STORE}] isos/half.iso")
        stream = connection.newStream()
        volume.upload(stream, 0, 1000000)
        stream.send(bytes(100000))
        stream.abort()
        stream = connection.newStream()
        volume.upload(stream, 0, 7)
        stream.send(b"all now")
        stream.finish()
        self.assertEqual(self.witness.file(STORE, "isos/half.iso"), b"all now")
        connection.close()


@unittest.skipUnless(TOLD, "the bare simulator has none of this")
class Disks(Storage):
    def test_wipe(self):
        self.create("own/wiped.vmdk")
        self.witness.put(STORE, "own/wiped-flat.vmdk", b"secret")
        self.assertIn("algorithm zero", self.virsh_fails("vol-wipe", "own/wiped.vmdk", "--pool", STORE, "--algorithm", "dod"))
        self.virsh("vol-wipe", "own/wiped.vmdk", "--pool", STORE)
        self.assertEqual(self.witness.file(STORE, "own/wiped-flat.vmdk"), bytes(6))
        self.virsh("vol-delete", "own/wiped.vmdk", "--pool", STORE)

    def test_resize(self):
        self.create("own/grown.vmdk")
        for args, capacity in ((("100M",), 100 << 20), (("28M", "--delta", "--allocate"), 128 << 20)):
            self.virsh("vol-resize", "own/grown.vmdk", *args, "--pool", STORE)
            self.assertIn(f"{capacity} bytes", self.info("vol-info", "--bytes", "own/grown.vmdk", "--pool", STORE)["Capacity"])
            self.assertEqual(len(self.witness.file(STORE, "own/grown-flat.vmdk")), capacity)
        self.assertIn("can only grow", self.virsh_fails("vol-resize", "own/grown.vmdk", "64M", "--pool", STORE))
        self.assertIn("SHRINK", self.virsh_fails("vol-resize", "own/grown.vmdk", "64M", "--shrink", "--pool", STORE))
        self.virsh("vol-delete", "own/grown.vmdk", "--pool", STORE)


if __name__ == "__main__":
    main()
