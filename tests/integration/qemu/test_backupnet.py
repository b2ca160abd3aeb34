# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pull backups over TCP, plain and with TLS."""
import os
import socket
import subprocess

import bitmaptest
import blocktest
import qemutest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BackupNet(bitmaptest.Case):
    def pull(self, tls, since=None):
        """Begins a pull backup; returns the port."""
        self.port = free_port()
        since = f"<incremental>{since}</incremental>" if since else ""
        return ["backup-begin", "d", self.write("pull.xml", f"""<domainbackup mode='pull'>{since}
            <server transport='tcp' name='127.0.0.1' port='{self.port}' {"tls='yes'" if tls else ""}/>
            <disks><disk name='vdb' backup='yes' type='file'><scratch file='{self.work}/scratch'/></disk>
            <disk name='vda' backup='no'/></disks></domainbackup>""")]

    def read(self, *creds):
        """Copies the export; returns qemu-img's exit status."""
        image = f"driver=nbd,server.type=inet,server.host=127.0.0.1,server.port={self.port},export=vdb"
        tls = [] if not creds else ["--object", f"tls-creds-x509,id=tls,endpoint=client,dir={creds[0]},verify-peer=on"]
        self.copy = os.path.join(self.work, "copy.qcow2")
        return subprocess.run(["qemu-img", "convert", *tls, "-O", "qcow2", "--image-opts",
                               image + (",tls-creds=tls" if creds else ""), self.copy],
                              capture_output=True, check=False).returncode

    def certificates(self, name, authority):
        """A directory with a key and a certificate for 127.0.0.1 of that authority."""
        path = os.path.join(self.work, name)
        os.mkdir(path)
        config = self.write(name + ".ext", "subjectAltName=IP:127.0.0.1\nkeyUsage=digitalSignature,keyEncipherment\n"
                            "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n")
        for end in "server", "client":
            key, request = os.path.join(path, end + "-key.pem"), os.path.join(path, end + ".csr")
            blocktest.tool("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
                           "/CN=" + end)
            blocktest.tool("openssl", "x509", "-req", "-in", request, "-CA", authority + ".pem", "-CAkey",
                           authority + ".key", "-CAcreateserial", "-days", "2", "-extfile", config, "-out",
                           os.path.join(path, end + "-cert.pem"))
            os.chmod(key, 0o644)
        with open(authority + ".pem", "rb") as source, open(os.path.join(path, "ca-cert.pem"), "wb") as target:
            target.write(source.read())
        os.chmod(path, 0o755)
        return path

    def authority(self, name):
        path = os.path.join(self.work, name)
        blocktest.tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-out",
                       path + ".pem", "-days", "2", "-subj", "/CN=" + name, "-addext", "keyUsage=keyCertSign")
        return path

    def check_and_end(self, patterns):
        self.assert_bytes(self.copy, *patterns)
        self.virsh("domjobabort", "d")
        self.assertFalse(os.path.exists(os.path.join(self.work, "scratch")))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), 5)

    def test_plain(self):
        self.begin()
        self.virsh(*self.pull(False))
        self.put(2, 0)
        self.assertEqual(self.read(), 0)
        self.check_and_end([(1, 0, 2)])

    def test_tls(self):
        self.begin()
        self.assertIn("tls_dir", self.virsh_fails(*self.pull(True)))
        authority = self.authority("ca")
        served = self.certificates("served", authority)
        stranger = self.certificates("stranger", self.authority("other"))
        self.settings(f"[backup]\ntls_dir = {served}\n")
        for _ in range(2):    # nothing of the first is left in QEMU
            self.virsh(*self.pull(True, "c1"))
            self.assertNotEqual(self.read(), 0)
            self.assertNotEqual(self.read(stranger), 0)
            self.assertEqual(self.read(served), 0)
            self.check_and_end([(1, 0, 2)])
        self.assertNotIn("backup-tls", self.virsh("qemu-monitor-command", "d", "--pretty",
                                                  '{"execute":"qom-list","arguments":{"path":"/objects"}}'))

    def test_tls_without_certificates(self):
        self.begin()
        empty = os.path.join(self.work, "empty")
        os.mkdir(empty)
        self.settings(f"[backup]\ntls_dir = {empty}\n")
        self.assertIn(empty, self.virsh_fails(*self.pull(True)))
        self.assertFalse(os.path.exists(os.path.join(self.work, "scratch")))
        self.virsh(*self.pull(False))
        self.virsh("domjobabort", "d")

    def test_written_through(self):
        """A copy with SYNCHRONOUS_WRITES is at no moment behind."""
        self.begin()
        copy = os.path.join(self.work, "copy")
        self.virsh("blockcopy", "d", "vdb", copy, "--transient-job", "--synchronous-writes")
        self.wait_ready()
        self.put(2, 9)
        self.virsh("blockjob", "d", "vdb", "--abort")
        self.off()
        blocktest.tool("qemu-img", "compare", copy, self.path)


if __name__ == "__main__":
    qemutest.main()
