# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the vbox driver: media as volumes."""
import os
import re
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import libvirt

from vboxtest import ROOT, VboxCase, main, manage, vireotest

FOLDER = ROOT / "root" / "VirtualBox VMs"


def medium(path):
    """VBoxManage's own: {key: value}."""
    return dict(re.split(r":\s+", line, maxsplit=1) for line in manage("showmediuminfo", path).splitlines() if ": " in line)


class Storage(VboxCase):
    def tearDown(self):
        for path in FOLDER.glob("*.v*"):
            manage("closemedium", "disk", f"/root/VirtualBox VMs/{path.name}", "--delete", check=False)

    def write(self, name, capacity="<capacity unit='MiB'>16</capacity>", target="", more=""):
        path = Path(self.work) / "vol.xml"
        path.write_text(f"<volume><name>{name}</name>{capacity}{more}<target>{target}</target></volume>", encoding="utf-8")
        return str(path)

    def vols(self):
        return sorted(line.split()[0] for line in self.virsh("vol-list", "default-pool").splitlines())

    def test_pool(self):
        self.assertEqual(self.names("pool-list", "--name"), ["default-pool"])
        info = dict(re.split(r":\s+", line) for line in self.virsh("pool-info", "default-pool").splitlines())
        self.assertEqual([info[key] for key in ("State", "Persistent", "Autostart")], ["running", "yes", "yes"])
        xml = ElementTree.fromstring(self.virsh("pool-dumpxml", "default-pool"))
        self.assertEqual(xml.findtext("target/path"), "/root/VirtualBox VMs")
        self.assertIn("not supported", self.virsh_fails("pool-destroy", "default-pool"))

    def test_old_calls(self):
        """A count and names."""
        self.virsh("vol-create-as", "default-pool", "old.vdi", "1M")
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        pool = conn.storagePoolLookupByName("default-pool")
        names = self.vols()
        self.assertIn("old.vdi", names)
        self.assertEqual((pool.numOfVolumes(), sorted(pool.listVolumes())), (len(names), names))

    def test_create_and_delete(self):
        for form, suffix, shown in (("vdi", "vdi", "VDI"), ("vmdk", "vmdk", "VMDK"), ("vpc", "vhd", "VHD")):
            with self.subTest(form):
                name = f"a.{suffix}"
                self.virsh("vol-create", "default-pool", self.write(name, target=f"<format type='{form}'/>"))
                self.assertEqual(self.vols(), [name])
                path = self.virsh("vol-path", name, "default-pool")
                self.assertEqual(path, f"/root/VirtualBox VMs/{name}")
                told = medium(path)
                self.assertEqual((told["Storage format"], told["Capacity"]), (shown, "16 MBytes"))
                self.assertEqual(told["UUID"], self.virsh("vol-key", path))
                self.assertEqual(self.virsh("vol-name", told["UUID"]), name)
                self.assertEqual(self.virsh("vol-pool", path), "default-pool")
                xml = ElementTree.fromstring(self.virsh("vol-dumpxml", path))
                self.assertEqual([xml.findtext("name"), xml.findtext("capacity"), xml.find("target/format").get("type")],
                                 [name, str(16 << 20), form])
                self.assertIn("exists already", self.virsh_fails("vol-create", "default-pool", self.write(name)))
                self.virsh("vol-delete", path)
                self.assertEqual((self.vols(), (FOLDER / name).exists()), ([], False))
                self.assertIn("no storage vol with matching", self.virsh_fails("vol-info", name, "default-pool"))

    def test_allocation(self):
        full = "<allocation unit='MiB'>16</allocation>"
        self.virsh("vol-create", "default-pool", self.write("full.vdi", more=full))
        self.virsh("vol-create", "default-pool", self.write("thin.vdi"))
        sizes = {name: (FOLDER / f"{name}.vdi").stat().st_size for name in ("full", "thin")}
        self.assertGreater(sizes["full"], 16 << 20)
        self.assertLess(sizes["thin"], 4 << 20)
        told = self.virsh("vol-info", "full.vdi", "default-pool", "--bytes")
        self.assertIn(f"{sizes['full']} bytes", told)
        self.assertIn(f"{16 << 20} bytes", told)

    def test_resize_and_clone(self):
        self.virsh("vol-create", "default-pool", self.write("a.vdi"))
        self.virsh("vol-resize", "a.vdi", "32M", "default-pool")
        self.virsh("vol-resize", "a.vdi", "8M", "default-pool", "--delta")
        self.assertEqual(medium("/root/VirtualBox VMs/a.vdi")["Capacity"], "40 MBytes")
        self.assertIn("makes none smaller", self.virsh_fails("vol-resize", "a.vdi", "1M", "default-pool"))
        self.virsh("vol-clone", "a.vdi", "b.vdi", "default-pool")
        self.assertEqual(self.vols(), ["a.vdi", "b.vdi"])
        self.assertEqual(medium("/root/VirtualBox VMs/b.vdi")["Capacity"], "40 MBytes")

    def test_contents(self):
        """What a machine would read, whatever the format of the file."""
        mine = os.urandom(1 << 20) + bytes(3 << 20) + os.urandom((1 << 20) + 77)
        given, back = Path(self.work) / "given", Path(self.work) / "back"
        given.write_bytes(mine)
        self.virsh("vol-create", "default-pool", self.write("a.vmdk", target="<format type='vmdk'/>"))
        self.virsh("vol-upload", "a.vmdk", str(given), "default-pool")
        manage("clonemedium", "disk", "/root/VirtualBox VMs/a.vmdk", "/root/flat.raw", "--format", "RAW")
        manage("closemedium", "disk", "/root/flat.raw")
        flat = ROOT / "root" / "flat.raw"
        self.addCleanup(flat.unlink)
        self.assertTrue(flat.read_bytes() == mine.ljust(16 << 20, b"\0"))
        for options in (), ("--sparse",):
            self.virsh("vol-download", "a.vmdk", str(back), "default-pool", *options)
            self.assertTrue(back.read_bytes() == mine.ljust(16 << 20, b"\0"), options)
        self.assertLess(back.stat().st_blocks * 512, 4 << 20)
        given.write_bytes(b"here")
        self.virsh("vol-upload", "a.vmdk", str(given), "default-pool", "--offset", "1000", "--length", "4")
        self.virsh("vol-download", "a.vmdk", str(back), "default-pool", "--offset", "998", "--length", "8")
        self.assertEqual(back.read_bytes(), mine[998:1000] + b"here" + mine[1004:1006])
        self.assertIn("has 16777216 bytes", self.virsh_fails("vol-download", "a.vmdk", str(back), "default-pool", "--offset",
                                                            str((16 << 20) + 1)))
        given.write_bytes(b"too much")
        self.assertIn("has 16777216 bytes", self.virsh_fails("vol-upload", "a.vmdk", str(given), "default-pool", "--offset",
                                                            str((16 << 20) - 4), "--length", "8"))
        self.assertIn("more was sent", self.virsh_fails("vol-upload", "a.vmdk", str(given), "default-pool", "--offset",
                                                        str((16 << 20) - 4)))
        self.assertIn("algorithm 'zero'", self.virsh_fails("vol-wipe", "a.vmdk", "default-pool", "--algorithm", "dod"))
        self.virsh("vol-wipe", "a.vmdk", "default-pool")
        self.virsh("vol-download", "a.vmdk", str(back), "default-pool")
        self.assertEqual(back.read_bytes().count(0), 16 << 20)

    def test_contents_in_use(self):
        self.define_booted("g")
        path, given = "/root/g.vdi", Path(self.work) / "given"
        given.write_bytes(b"x")
        self.virsh("start", "g")
        for command in (("vol-upload", path, str(given)), ("vol-download", path, "/dev/null"), ("vol-wipe", path)):
            self.assertIn("is in use just now", self.virsh_fails(*command))
        self.virsh("destroy", "g")
        self.virsh("snapshot-create", "g")
        self.assertIn("can only be read", self.virsh_fails("vol-upload", path, str(given)))
        self.assertIn("can only be read", self.virsh_fails("vol-wipe", path))
        self.virsh("vol-download", path, str(given))
        self.assertEqual(given.read_bytes()[510:512], b"\x55\xaa")
        self.virsh("start", "g")  # nothing stays locked

    def test_client_leaves(self):
        """In the middle of its stream: the disk can be used again."""
        self.virsh("vol-create", "default-pool", self.write("a.vdi", capacity="<capacity unit='MiB'>512</capacity>"))
        leaving = subprocess.Popen(["virsh", "-q", "-c", self.uri(), "vol-download", "a.vdi", "/dev/stdout", "default-pool"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(len(leaving.stdout.read(1 << 20)), 1 << 20)
        leaving.kill()
        leaving.stdout.close()
        leaving.wait()
        given = Path(self.work) / "given"
        given.write_bytes(b"x")
        vireotest.wait_until(lambda: self.virsh_raw("vol-upload", "a.vdi", str(given), "default-pool").returncode == 0, 10,
                             "it can be written")

    def test_refusals(self):
        for arguments, words in (({"name": "../x"}, "a file in the folder"), ({"name": "x\\y"}, "a file in the folder"),
                                 ({"name": "x", "capacity": ""}, "needs a <capacity>"),
                                 ({"name": "x", "target": "<format type='qcow2'/>"}, "formats are vdi, vmdk and vpc"),
                                 ({"name": "x", "more": "<backingStore><path>/b</path></backingStore>"}, "volume.backingStore")):
            self.assertIn(words, self.virsh_fails("vol-create", "default-pool", self.write(**arguments)))
        self.disk("g")
        disk = "<disk type='file' device='disk'><source file='/root/g.vdi'/><target dev='hda' bus='ide'/></disk>"
        self.define("g", disk)
        self.assertIn("g.vdi", self.vols())
        self.assertIn("attached", self.virsh_fails("vol-delete", "/root/g.vdi"))
        self.assertTrue((ROOT / "root" / "g.vdi").exists())

    def test_two_of_one_name(self):
        for folder in "one", "two":
            manage("createmedium", "disk", "--filename", f"/root/{folder}/same.vdi", "--size", "4")
            self.addCleanup(manage, "closemedium", "disk", f"/root/{folder}/same.vdi", "--delete")
        names = [line.rpartition("  ")[0].strip() for line in self.virsh("vol-list", "default-pool").splitlines()]
        self.assertEqual(len(set(names)), 2)
        for name in names:
            self.assertIn("same.vdi", self.virsh("vol-path", name, "default-pool"))

    def test_refresh_event(self):
        libvirt.virEventRegisterDefaultImpl()
        seen = []
        conn = libvirt.open(self.uri())
        self.addCleanup(conn.close)
        mark = conn.storagePoolEventRegisterAny(None, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH,
                                                lambda _c, pool, _o: seen.append(pool.name()), None)
        timer = libvirt.virEventAddTimeout(20, lambda *_: None, None)
        for command in (lambda: manage("createmedium", "disk", "--filename", "/root/e.vdi", "--size", "4"),
                        lambda: manage("closemedium", "disk", "/root/e.vdi", "--delete"),
                        lambda: self.virsh("pool-refresh", "default-pool")):
            seen.clear()
            command()
            end = time.monotonic() + 5
            while not seen and time.monotonic() < end:
                libvirt.virEventRunDefaultImpl()
            self.assertEqual(set(seen), {"default-pool"})
        libvirt.virEventRemoveTimeout(timer)
        conn.storagePoolEventDeregisterAny(mark)


if __name__ == "__main__":
    main()
