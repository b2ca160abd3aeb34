# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with UEFI firmware: their definition, the shell that is in the firmware, the file with its variables."""
import glob
import os
import re
import select
import subprocess
import time

import qemutest
from imagetest import Case as ImageCase
from qemutest import disk_xml

FIRMWARE = "/usr/share/qemu/firmware"
CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.fd"
if not os.path.exists(CODE) or not glob.glob(FIRMWARE + "/*.json"):
    qemutest.skip_file("no UEFI firmware (package ovmf)")

UEFI_XML = """<domain type='qemu'>
  <name>a</name>{uuid}
  <memory unit='MiB'>128</memory>
  <os {firmware}><type arch='x86_64' machine='{machine}'>hvm</type>{os}</os>
  <features><acpi/><apic/>{features}</features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>{disks}<serial type='pty'/><memballoon model='none'/>{devices}</devices>
</domain>
"""
PLAIN = "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
PLACE = 0x20000  # of a pattern in the variables' file, behind what the firmware uses


def content(path):
    with open(path, "rb") as stream:
        return stream.read()


class Case(ImageCase):
    def sweep(self):
        for name in self.virsh_raw("list", "--all", "--name").stdout.split():
            self.virsh_raw("destroy", name)
            self.virsh_raw("undefine", name, "--snapshots-metadata", "--managed-save", "--nvram")
        super().sweep()

    def uefi_xml(self, machine="q35", os_xml=PLAIN, firmware="firmware='efi'", disks="", features="", devices="",
                 uuid=""):
        return UEFI_XML.format(machine=machine, os=os_xml, firmware=firmware, disks=disks, features=features,
                               devices=devices, uuid=f"<uuid>{uuid}</uuid>" if uuid else "")

    def define_uefi(self, **how):
        self.virsh("define", self.write("uefi.xml", self.uefi_xml(**how)))

    def define_with_disk(self, **how):
        self.disk = self.image("one.qcow2")
        os.chmod(self.disk, 0o666)
        self.define_uefi(disks=disk_xml(self.disk, "vda"), **how)

    def nvram(self):
        """The file with the variables."""
        element = self.xml("a", "--inactive").find("os/nvram")
        source = element.find("source")
        return (source.get("file") if source is not None else element.text).strip()

    def shell(self):
        """Waits for the firmware's shell; returns its line."""
        line = self.line("a")
        line.expect("startup.nsh", 60)    # any key before that leads elsewhere
        line.send("\x1b")
        line.expect("Shell>", 20)
        line.seen = b""
        return line

    def say(self, line, command, seconds=20):
        """One command of the shell, and what it said."""
        line.seen = b""
        for letter in command:    # it takes them one by one
            line.send(letter)
            time.sleep(0.02)
        line.expect(command[-1], seconds)
        line.seen = b""
        line.send("\r")
        said = b""
        end = time.monotonic() + seconds
        while b"Shell>" not in said and time.monotonic() < end:
            if select.select([line.fd], [], [], 0.5)[0]:
                said += os.read(line.fd, 4096)
        self.assertIn(b"Shell>", said)
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said.decode(errors="replace"))

    def set_variable(self, line, letter):
        self.say(line, f"setvar Vireo -guid 4f564d46-0000-4000-8000-766972656f21 -bs -nv ={ord(letter):02x}")

    def stored(self, letter, path=None):
        """Whether the file holds the variable with that value: its name and what follows."""
        name = "Vireo\0".encode("utf-16-le")
        return name + letter.encode() in content(path or self.nvram())

    def io(self, path, command):
        kind = "qcow2" if path.endswith(".qcow2") else "raw"
        reading = ["-r", "-U"] if command.startswith("read") else []
        done = subprocess.run(["qemu-io", *reading, "-f", kind, "-c", command, path], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def mark(self, letter):
        """A pattern in the file of a guest that is off, and on its disk."""
        self.io(self.nvram(), f"write -P {ord(letter)} {PLACE} 512")
        self.fill(ord(letter), self.targets("a")["vda"])

    def marked(self, letter, path=None):
        self.assertNotIn("verification failed", self.io(path or self.nvram(), f"read -P {ord(letter)} {PLACE} 512"))

    def both(self, letter):
        """The variables and the disk."""
        self.marked(letter)
        self.reads(ord(letter), self.targets("a")["vda"])

    def copy_of(self, name):
        return self.snapshot_xml(name).find("nvram").get("file")
