# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the hyperv driver share: the server of ./hypervd.py, a daemon that knows its password, and virsh.
All of this proves consistency only (sim): what a real host does is in the tests called wire-rec."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

from hypervd import PASSWORD, USER

sys.path.insert(0, str(Path(__file__).parents[2] / "clients"))
import vireotest  # noqa: E402  pylint: disable=wrong-import-position

HERE = Path(__file__).parent
wait_until = vireotest.wait_until
vireotest.FILES["hyperv.conf"] = "[events]\npoll_ms = 200\n"

GUEST = """<domain type='hyperv'>
  <name>{name}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os>{os}</os>
  <devices>
    {devices}
  </devices>
</domain>
"""
BIOS = "<type arch='x86_64'>hvm</type><boot dev='hd'/>"


def make_certificate(folder, digest="sha256"):
    """Of 127.0.0.1, by itself."""
    pem = folder / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-" + digest, "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"],
                   check=True, capture_output=True)
    pem.write_text((folder / "key").read_text() + (folder / "cert").read_text(), encoding="ascii")


class Server:
    def __init__(self, *options, env=None, digest="sha256"):
        self.options = options
        self.place = tempfile.TemporaryDirectory(prefix="hyperv.")
        self.folder = Path(self.place.name)
        make_certificate(self.folder, digest)
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([sys.executable, "-B", HERE / "hypervd.py", self.folder, *options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(env or {})})
        try:
            wait_until(lambda: (self.folder / "ports").exists() or self.process.poll() is not None, 20, "the server listens")
            self.port, self.control = (self.folder / "ports").read_text().split()
        except (AssertionError, OSError):
            self.stop()
            raise
        self.address = f"127.0.0.1:{self.port}"

    def ask(self, expression):
        """The value of an expression in which `service` and `host` are known."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/", expression.encode(), timeout=20) as answer:
            value = json.load(answer)
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.place.cleanup()

    def said(self):
        return (self.folder / "log").read_text(encoding="utf-8")


def write_private(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


def give_password(daemon, password=PASSWORD):
    write_private(Path(daemon.root) / "etc" / "vireo" / "hyperv" / "auth.conf",
                  f"[credentials-sim]\nusername={USER}\npassword={password}\n" +
                  "".join(f"[auth-hyperv-{host}]\ncredentials=sim\n" for host in ("127.0.0.1", "localhost")))


class HypervCase(vireotest.VirshCase):
    """A server for each class, with a machine that has an IDE disk, a DVD and an interface."""
    options = ("--japanese",)
    parameters = "insecure=1"
    env = {}  # of the server

    @classmethod
    def setUpClass(cls):
        cls.daemon = vireotest.daemon()
        give_password(cls.daemon)
        cls.server = Server(*cls.options, env=cls.env)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="t.", dir=self.daemon.work)
        self.lines = []
        self.addCleanup(self.finish)

    def finish(self):
        """Nothing that a client sent was wrong; and no machine stays for the next test."""
        strict = self.ask("service.strict")
        self.ask("[host.forget(one) for one in host.all('Msvm_ComputerSystem') if one['Name'] != 'HV1']")
        self.ask("(service.strict.clear(), service.trouble.clear(), host.pressed.clear(), host.fail_next.clear())")
        try:
            wait_until(lambda: not self.virsh("list", "--all", "--name").split(), 30, "the machines are gone")
        except AssertionError:
            self.daemon.show_log()
            raise
        self.assertEqual(strict, [], self.server.said())

    def uri(self, parameters=None, server=None):
        return (f"hyperv+unix:///?socket={self.daemon.socket}&server={server or self.server.address}"
                f"&{self.parameters if parameters is None else parameters}")

    def virsh_raw(self, *args, uri=None, **kwargs):
        return vireotest._run(self.daemon, args, uri=uri or self.uri(), **kwargs)

    def ask(self, expression):
        return self.server.ask(expression)

    def machine(self, name):
        return self.ask(f"host.machine({name!r})")

    def write(self, text):
        path = Path(self.work) / "doc.xml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def define(self, name, devices="", system=BIOS, text=None):
        self.virsh("define", self.write(text or GUEST.format(name=name, devices=devices, os=system)))

    def refuses(self, text):
        return self.virsh_fails("define", self.write(text))


def main():
    vireotest.need_program("virsh", "libvirt-clients")
    vireotest.need_program("openssl", "openssl")
    unittest.main(module="__main__", verbosity=2 if os.environ.get("VERBOSE") else 1)
