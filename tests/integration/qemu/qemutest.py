# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the QEMU driver share: the fixture of the client tests, and a look at processes."""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients"))

import vireotest  # noqa: E402

skip_file = vireotest.skip_file
main = vireotest.main
wait_until = vireotest.wait_until
disk_xml = vireotest.disk_xml
IS_ROOT = os.geteuid() == 0


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def qemu_pid(uuid):
    """The process that runs the domain, or None."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and f"guest={uuid},debug-threads=on" in cmdline(entry):
            with open(f"/proc/{entry}/stat", encoding="utf-8") as stream:
                if stream.read().rpartition(")")[2].split()[0] != "Z":
                    return int(entry)
    return None


def status(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)


class Case(vireotest.VirshCase):
    def pid(self, name):
        return qemu_pid(self.virsh("domuuid", name))

    def owner(self, path):
        """uid, gid and mode of a file."""
        info = os.stat(path)
        return info.st_uid, info.st_gid, info.st_mode & 0o7777

    def disk_file(self, text, name="device.xml"):
        return self.write(name, text)

    def targets(self, name, *flags):
        """Target and source of every disk."""
        return dict(row.split() for row in self.virsh("domblklist", name, *flags).splitlines())

    def private_disk(self, name, size="1M"):
        """An image only its owner may read."""
        path = self.empty_disk(name, size)
        os.chmod(path, 0o600)
        return path
