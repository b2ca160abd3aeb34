# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of snapshots share: a directory that is looked at, images and what is in them."""
import os
import subprocess
import time

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

    def healthy(self):
        """Every image is whole and can be read down to its base."""
        self.idle()
        for name in self.files():
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
