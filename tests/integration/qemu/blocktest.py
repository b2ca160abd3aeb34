# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of block jobs, checkpoints and backups share: disks with known bytes, events."""
import json
import os
import subprocess
import time

import qemutest

MIB = 1024 * 1024


def tool(*args):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(args)}: {done.stdout}")
    return done.stdout


class Case(qemutest.Case):
    def image(self, name, size="8M", backing=None, kind="qcow2", patterns=()):
        """patterns: (byte, first MiB, MiB)"""
        path = os.path.join(self.work, name)
        below = ["-b", backing, "-F", "qcow2"] if backing else []
        tool("qemu-img", "create", "-q", "-f", kind, *below, path, *([] if backing else [size]))
        for byte, first, count in patterns:
            tool("qemu-io", "-f", kind, "-c", f"write -P {byte} {first}M {count}M", path)
        os.chmod(path, 0o666)
        return path

    def chain(self, *names):
        """Images based on each other, the lowest first; number n holds byte n + 1 from MiB n on."""
        paths = []
        for number, name in enumerate(names):
            below = os.path.basename(paths[-1]) if paths else None
            paths.append(self.image(name, backing=below, patterns=[(number + 1, number, 1)]))
        return paths

    def assert_bytes(self, path, *patterns, kind="qcow2"):
        """patterns: (byte, first MiB, MiB)"""
        for byte, first, count in patterns:
            out = tool("qemu-io", "-r", "-U", "-f", kind, "-c", f"read -P {byte} {first}M {count}M", path)
            self.assertNotIn("verification failed", out, f"{path} at {first} MiB is not {byte}")

    def assert_whole(self, *paths):
        for path in paths:
            tool("qemu-img", "check", "-q", path)

    def backing(self, path):
        for line in tool("qemu-img", "info", "-U", path).splitlines():
            if line.startswith("backing file: "):
                return line[len("backing file: "):].split(" (actual")[0]
        return None

    def guest(self, *disks, name="d", start=True):
        """A guest with a small boot disk and these as vdb, vdc ..."""
        boot = self.nano_disk("boot.qcow2")
        parts = [qemutest.disk_xml(boot, "vda", boot=1)]
        for number, path in enumerate(disks):
            kind = "raw" if path.endswith(".raw") else "qcow2"
            parts.append(qemutest.disk_xml(path, "vd" + "bcdef"[number], kind=kind, boot=number + 2))
        self.define(name, disks=parts)
        if start:
            self.virsh("start", name)
        return name

    def writer(self, name="d"):
        """The serial line of a running guest, set to write to vdb."""
        line = self.line(name)
        line.wake()
        line.ask("1", "1")
        return line

    def bitmaps(self, path):
        """Name to flags, as qemu-img shows them."""
        info = json.loads(tool("qemu-img", "info", "-U", "--output=json", path))
        found = info["format-specific"]["data"].get("bitmaps", [])
        return {one["name"]: set(one["flags"]) for one in found}

    def off(self, name="d"):
        self.virsh("destroy", name)

    def job(self, disk="vdb", name="d"):
        """virsh blockjob --raw as a dictionary; empty: there is none."""
        out = self.virsh("blockjob", name, disk, "--raw", "--bytes")
        return dict(part.strip().split("=") for part in out.splitlines() if "=" in part)

    def wait_job(self, disk="vdb", name="d"):
        qemutest.wait_until(lambda: not self.job(disk, name), 30, f"no job on {disk}")

    def wait_ready(self, disk="vdb", name="d"):
        qemutest.wait_until(lambda: self.mirror(disk, name).get("ready") == "yes", 30, f"{disk} is in step")

    def disk(self, target="vdb", name="d", *flags):
        return self.xml(name, *flags).find(f"devices/disk/target[@dev='{target}']/..")

    def mirror(self, target="vdb", name="d"):
        found = self.disk(target, name).find("mirror")
        return found if found is not None else {}

    def images(self, target="vdb", name="d"):
        """The files of a disk's chain as the document shows them."""
        element, paths = self.disk(target, name), []
        while element is not None and element.find("source") is not None:
            paths.append(os.path.basename(element.find("source").get("file")))
            element = element.find("backingStore")
        return paths

    def watch(self, *kinds):
        """virsh event, registered when this returns."""
        command = ["virsh", "-c", self.daemon.uri(), "event", "--loop", "--timeout", "600"]
        child = subprocess.Popen([*command, "--all"] if not kinds else [*command, "--event", *kinds],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
        self.addCleanup(lambda: child.poll() is None and (child.kill(), child.wait()))
        time.sleep(0.7)
        return child

    def heard(self, child):
        time.sleep(0.5)
        child.send_signal(2)
        return [line for line in child.communicate(timeout=20)[0].splitlines() if line.startswith("event ")]
