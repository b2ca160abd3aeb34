# SPDX-License-Identifier: LGPL-2.1-or-later
"""NBD servers of our own, and guests on their images."""
import os
import signal
import socket
import subprocess

import bitmaptest
import blocktest
import qemutest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Serves the bytes of a file, whatever is in them, by TCP or a UNIX socket, as export "x"."""

    def __init__(self, path, work, unix=False, clients=20):
        self.path = path
        self.child = None
        self.clients = clients
        self.socket = os.path.join(work, os.path.basename(path) + ".sock") if unix else None
        self.port = None if unix else free_port()
        self.start()

    @property
    def location(self):
        return f"nbd+unix:///x?socket={self.socket}" if self.socket else f"nbd://127.0.0.1:{self.port}/x"

    @property
    def host(self):
        if self.socket:
            return f"<host transport='unix' socket='{self.socket}'/>"
        return f"<host name='127.0.0.1' port='{self.port}'/>"

    def start(self):
        where = ["-k", self.socket] if self.socket else ["-b", "127.0.0.1", "-p", str(self.port)]
        if self.socket and os.path.exists(self.socket):
            os.unlink(self.socket)
        self.child = subprocess.Popen(["qemu-nbd", "-t", "-f", "raw", "-x", "x", "-e", str(self.clients), *where,
                                       self.path], stderr=subprocess.DEVNULL)
        qemutest.wait_until(self.answers, 20, "the NBD server answers")

    def answers(self):
        if self.socket and not os.path.exists(self.socket):
            return False
        if self.socket:
            os.chmod(self.socket, 0o777)
        with socket.socket(socket.AF_UNIX if self.socket else socket.AF_INET) as probe:
            return not probe.connect_ex(self.socket or ("127.0.0.1", self.port))

    def stop(self, how=signal.SIGKILL):
        if self.child:
            self.child.send_signal(how)
            self.child.wait()
            self.child = None

    def hang(self):
        self.child.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)


class Case(bitmaptest.Case):
    kind = "raw"

    def serve(self, kind="raw", unix=False, name="behind", patterns=((1, 0, 2),), clients=20):
        """8 MiB, 1 in the first two of them; room for what a qcow2 image gets in it."""
        path = self.image(f"{name}.{kind}", kind=kind, patterns=patterns)
        with open(path, "ab") as stream:
            stream.truncate((32 if kind == "qcow2" else 8) * blocktest.MIB)
        server = Server(path, self.work, unix, clients)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        self.virsh_raw("destroy", "d")
        server.stop()

    def disk_of(self, server, kind="raw", target="vdb", more=""):
        return (f"<disk type='network' device='disk'><driver name='qemu' type='{kind}'{more}/>"
                f"<source protocol='nbd' name='x'>{server.host}</source><target dev='{target}' bus='virtio'/></disk>")

    def overlays(self):
        """Sets where overlays go."""
        self.over = os.path.join(self.work, "overlays")
        os.mkdir(self.over)
        os.chmod(self.over, 0o777)
        self.settings(f"[snapshots]\noverlay_dir = {self.over}\n")

    def net_guest(self, kind="raw", start=True, unix=False, more="", clients=20):
        """A guest with a boot disk of its own and one of a server's as vdb."""
        self.kind = kind
        self.server = self.serve(kind, unix, clients=clients)
        self.define("d", disks=[qemutest.disk_xml(self.nano_disk("boot.qcow2"), "vda", boot=1),
                                self.disk_of(self.server, kind, more=more)])
        if start:
            self.virsh("start", "d")

    def image_now(self):
        """The path or location of the disk's image."""
        disk = self.disk()
        return self.server.location if disk.get("type") == "network" else disk.find("source").get("file")

    def put(self, byte, kib64):
        if self.state("d") == "running":
            super().put(byte, kib64)
        else:
            kind = self.kind if self.image_now() == self.server.location else "qcow2"
            blocktest.tool("qemu-io", "-f", kind, "-c", f"write -P {byte} {kib64 * 64}k 64k", self.image_now())

    def reads(self, byte, kib64, path=None):
        """What the disk holds there, by its chain of images, while the guest is off."""
        path = path or self.image_now()
        kind = self.kind if path == self.server.location else "qcow2"
        said = blocktest.tool("qemu-io", "-r", "-f", kind, "-c", f"read -P {byte} {kib64 * 64}k 64k", path)
        self.assertNotIn("failed", said)
