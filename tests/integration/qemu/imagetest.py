# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of snapshots share: a directory that is looked at, images and what is in them."""
import json
import os
import subprocess
import time
from xml.etree import ElementTree

import qemutest
from qemutest import disk_xml

try:
    import libvirt
except ImportError:
    qemutest.skip_file("no libvirt module (package python3-libvirt)")
libvirt.registerErrorHandler(lambda *_: None, None)


class Case(qemutest.Case):
    def setUp(self):
        super().setUp()
        self.dir = os.path.join(self.work, self.id().split(".")[-1])
        os.mkdir(self.dir, 0o755)

    def image(self, name, *options, size="4M"):
        path = os.path.join(self.dir, name)
        subprocess.run(["qemu-img", "create", "-q", "-f", name.rpartition(".")[2], *options, path, size], check=True)
        return path

    def two(self, *kinds):
        """A domain with two data disks that nobody boots from."""
        kinds = kinds or ("qcow2", "qcow2")
        paths = [self.image(f"{disk}.{kind}") for disk, kind in zip(("one", "two"), kinds)]
        disks = [disk_xml(path, target, kind) for path, target, kind in zip(paths, ("vda", "vdb"), kinds)]
        self.define("a", disks=disks)
        return paths

    def fill(self, pattern, *paths):
        for path in paths or self.targets("a").values():
            kind = "raw" if path.endswith(".raw") else "qcow2"
            subprocess.run(["qemu-io", "-f", kind, "-c", f"write -P {pattern} 0 64k", path], check=True,
                           stdout=subprocess.DEVNULL)

    def reads(self, pattern, path, *options):
        done = subprocess.run(["qemu-io", "-r", "-U", *options, "-c", f"read -P {pattern} 0 64k", path], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("verification failed", done.stdout, path)

    def files(self):
        return sorted(os.listdir(self.dir))

    def idle(self):
        """Waits until nothing is merged in the background."""
        def is_idle():
            before = self.files()
            if "None" not in self.virsh("domjobinfo", "a"):
                return False
            time.sleep(0.15)
            return before == self.files()
        qemutest.wait_until(is_idle, 60, "nothing left to merge")

    def left(self, count):
        """So many files, soon."""
        self.idle()
        qemutest.wait_until(lambda: len(self.files()) == count, 5, f"{count} files are left of {self.files()}")

    # every snapshot, and what it consists of

    def snapshot_xml(self, name):
        return ElementTree.fromstring(self.virsh("snapshot-dumpxml", "a", name, "--security-info"))

    def snapshot_disks(self, name):
        """Target, image and whether it is inside that, of every disk of a snapshot."""
        tree = self.snapshot_xml(name)
        inside = {disk.get("name"): disk.get("snapshot") == "internal" for disk in tree.findall("disks/disk")}
        for disk in tree.findall("domain/devices/disk"):
            target = disk.find("target").get("dev")
            yield target, disk.find("source").get("file"), inside[target]

    def chain(self, path):
        info = subprocess.run(["qemu-img", "info", "-U", "--output=json", "--backing-chain", path], check=True,
                              stdout=subprocess.PIPE)
        return {os.path.basename(image["filename"]) for image in json.loads(info.stdout)}

    def state_of(self, kind):
        """What the driver has noted down about the domain: its files, or what it is doing to them."""
        path = os.path.join(self.daemon.root, "var/lib/vireo/qemu/kept", kind, "system", self.virsh("domuuid", "a"))
        try:
            with open(path, encoding="utf-8") as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}

    def nothing_leaked(self):
        """Every file is one that the domain, a snapshot or a kept present is made of."""
        self.idle()
        needed = {"d.qcow2", "one.qcow2", "two.qcow2", "vars.fd", "vars.qcow2"}    # not ours: they stay
        for path in self.targets("a").values():
            needed |= self.chain(path)
        for name in self.names("snapshot-list", "a", "--name"):
            for _, path, _ in self.snapshot_disks(name):
                needed |= self.chain(path)
            for part in "memory", "nvram":
                element = self.snapshot_xml(name).find(part)
                if element is not None and element.get("file"):
                    needed.add(os.path.basename(element.get("file")))
        for path in self.state_of("images").get("kept", ()):
            if os.path.exists(path):
                needed |= self.chain(path)
        self.assertEqual(set(self.files()) - needed, set(), "files that nothing needs")

    def snapshot_sector(self, name):
        """What a snapshot holds on its disks, without going back to it."""
        letters = set()
        for _, path, inside in self.snapshot_disks(name):
            copy = os.path.join(self.work, "copy.raw")
            if inside:
                subprocess.run(["qemu-img", "convert", "-q", "-U", "-l", f"snapshot.name={name}", "-O", "raw", path,
                                copy], check=True)
            else:
                subprocess.run(["qemu-img", "convert", "-q", "-U", "-O", "raw", path, copy], check=True)
            with open(copy, "rb") as stream:
                stream.seek(32768)
                letters.add(stream.read(1).decode())
        return letters

    def healthy(self):
        """Every image is whole and can be read down to its base."""
        while True:
            self.idle()
            files = self.files()
            try:
                self.check_images(files)
                return
            except subprocess.CalledProcessError:
                if self.files() == files:    # otherwise one went while it was looked at
                    raise

    def check_images(self, files):
        for name in files:
            if name.endswith(".mem"):
                continue
            path = os.path.join(self.dir, name)
            for command in (["check", "-q", "-U"], ["info", "-U", "--backing-chain"]):
                kind = ["-f", "raw"] if name.endswith(".raw") else []
                if kind and command[0] == "check":
                    continue
                subprocess.run(["qemu-img", *command, *kind, path], check=True, stdout=subprocess.DEVNULL)

    def revert(self, name, flags=0):
        """virsh would send FORCE only after a refusal."""
        conn = libvirt.open(self.daemon.uri())
        try:
            domain = conn.lookupByName("a")
            domain.revertToSnapshot(domain.snapshotLookupByName(name), flags)
        finally:
            conn.close()

    def force(self, name, flags=0):
        """Nothing of the present is left lying about."""
        self.revert(name, flags | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)

    def nano(self):
        """A guest with two disks, running, in the directory that is looked at."""
        paths = []
        for name in "one", "two":
            path = os.path.join(self.dir, name + ".qcow2")
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", qemutest.vireotest.NANO, path], check=True)
            os.chmod(path, 0o666)
            paths.append(path)
        self.define("a", disks=[disk_xml(paths[0], "vda", boot=1), disk_xml(paths[1], "vdb", boot=2)])
        return self.start("a"), paths

    def sector(self, letter, path):
        """What the guest wrote to a disk, read from the files."""
        done = subprocess.run(["qemu-io", "-r", "-U", "-c", f"read -P {ord(letter)} 32k 512", path], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("verification failed", done.stdout, f"{path} is not {letter}")

    def write_both(self, line, letter):
        for disk in "01":
            line.ask(disk, disk)
            line.ask("w" + letter, "W=" + letter)

    def read_both(self, line, letter):
        for disk in "01":
            line.ask(disk, disk)
            line.ask("r", "R=" + letter)
