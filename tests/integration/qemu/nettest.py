# SPDX-License-Identifier: LGPL-2.1-or-later
"""NBD servers of our own, and guests on their images."""
import os
import signal
import socket
import subprocess

import blocktest
import placetest
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
        self.bytes_per_s = 0    # from the next start on
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
        what = ["-f", "raw", self.path]
        if self.bytes_per_s:
            what = ["--object", f"throttle-group,id=t,x-bps-total={self.bytes_per_s}", "--image-opts", "driver=throttle,"
                    f"throttle-group=t,file.driver=raw,file.file.driver=file,file.file.filename={self.path}"]
        self.child = subprocess.Popen(["qemu-nbd", "-t", "-x", "x", "-e", str(self.clients), *where, *what],
                                      stderr=subprocess.DEVNULL)
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

    def slow_down(self, bytes_per_s):
        """0: as fast as it can. Clients find it again."""
        self.stop()
        self.bytes_per_s = bytes_per_s
        self.start()

    def hang(self):
        self.child.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.child.send_signal(signal.SIGCONT)


class Case(placetest.Case):
    TYPE, unix, clients = "network", False, 20

    @property
    def location(self):
        return self.server.location

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

    def far_disk(self, kind="raw"):
        self.server = self.serve(kind, self.unix, clients=self.clients)
        return self.disk_of(self.server, kind)

    def net_guest(self, kind="raw", start=True, unix=False, clients=20):
        """A guest with a boot disk of its own and one of a server's as vdb."""
        self.unix, self.clients = unix, clients
        self.far_guest(kind, start)

    def connected(self, *nodes):
        """QEMU looks for a server that was away for long at times only, the last 15 s after it had gone."""
        log = os.path.join(self.daemon.root, "var/log/vireo/qemu/system/guests/d.log")

        def reads():
            with open(log, encoding="utf-8") as stream:
                stream.seek(0, os.SEEK_END)
                for node in nodes:
                    self.virsh("qemu-monitor-command", "d", "--hmp", f'qemu-io {node} "read 0 512"')
                return stream.read().count("read 512/512") == len(nodes)
        qemutest.wait_until(reads, 30, "QEMU has its servers again")
