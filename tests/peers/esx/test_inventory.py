# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh on the esx driver: connections, lists, descriptions, power."""
import contextlib
import os
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from esxtest import CENTER, MODE, PATH, EsxCase, Witness, main, vireotest, write_private
from simulator import PASSWORD


class Open(EsxCase):
    def test_uri_parameters(self):
        for parameter, words in (("no_such", "parameter no_such is not known"),
                                 ("insecure", "insecure=yes: the value is 0 or 1"),
                                 ("transport", "transport=yes: the value is http or https"),
                                 ("vcenter", "reached, and moved, with vpx://"),
                                 ("proxy", "proxy=gopher://x"),
                                 ("server", "server=a/b: the value is HOST or HOST:PORT")):
            value = {"proxy": "gopher://x", "server": "a/b"}.get(parameter, "yes")
            if parameter != "proxy":  # which this client keeps for itself
                self.assertIn(words, self.virsh_fails("uri", uri=self.uri(**{parameter: value})))
        self.assertIn("the URI names no server", self.virsh_fails("uri", uri=self.uri(server=None, path=None)))
        self.assertIn("esx.conf has no [connection nowhere]",
                      self.virsh_fails("uri", uri=self.uri(server=None, path=None).replace("///?", "///nowhere?")))

    def test_plain(self):
        """Our own client sends the host, which stock ones keep for themselves. It may have an IPv6 address."""
        port = self.simulator.server.split(":")[1]
        auth = self.etc / "esx" / "auth.conf"
        self.addCleanup(write_private, auth, auth.read_text())
        write_private(auth, auth.read_text() + "[auth-esx-::1]\ncredentials=sim\n")
        beyond = Relay(int(port))
        self.addCleanup(beyond.server_close)
        self.addCleanup(beyond.shutdown)
        scheme = "vpx" if CENTER else "esx"
        for server in self.simulator.server, f"[::1]:{beyond.server_address[1]}":
            uri = f"{scheme}://root@{server}/{PATH}?no_verify=1&socket={self.daemon.socket}"
            done = subprocess.run([Path(vireotest.BUILD) / "core" / "cli" / "vireo", "-c", uri, "list", "--all"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
            self.assertIn(self.first, done.stdout, done.stderr)
        escaped = f"%5B::1%5D:{beyond.server_address[1]}"  # stock clients want it so
        self.assertIn(self.first, self.names("--all", uri=self.uri(server=escaped)))

    def test_untrusted_certificate(self):
        said = self.virsh_fails("list", uri=self.uri(insecure="0"))
        self.assertRegex(said, "(?i)certificate")
        self.assertIn(self.simulator.server, said)

    def test_wrong_password(self):
        auth = self.etc / "esx" / "auth.conf"
        text = auth.read_text()
        self.addCleanup(write_private, auth, text)
        self.assertEqual(self.virsh("domstate", self.first), "running")
        write_private(auth, text.replace(f"password={PASSWORD}", "password=sesame"))
        said = self.virsh_fails("list", uri=self.uri(user="root"))
        self.assertIn("authentication failed", said)
        self.assertNotIn("sesame", said)
        with open(self.daemon.log, encoding="utf-8") as stream:
            self.assertNotIn("sesame", stream.read())
        write_private(auth, text)
        self.assertEqual(self.virsh("domstate", self.first), "running")

    def test_open_password_file(self):
        auth = self.etc / "esx" / "auth.conf"
        self.addCleanup(os.chmod, auth, 0o600)
        os.chmod(auth, 0o644)
        self.assertIn("chmod 600", self.virsh_fails("list"))

    def test_no_password(self):
        said = self.virsh_fails("list", uri=self.uri(server=self.simulator.server.replace("127.0.0.1", "localhost")))
        self.assertIn("needs [auth-esx-localhost] with credentials=NAME", said)

    def test_no_password_for_just_any_host(self):
        auth = self.etc / "esx" / "auth.conf"
        text = auth.read_text()
        self.addCleanup(write_private, auth, text)
        write_private(auth, text.replace("auth-esx-127.0.0.1", "auth-esx-default"))
        self.assertIn("needs [auth-esx-127.0.0.1]", self.virsh_fails("list"))

    def test_read_only(self):
        self.assertIn("a read-only connection cannot have no_verify=1", self.virsh_fails("-r", "list"))
        self.assertIn("a read-only connection cannot have transport=http",
                      self.virsh_fails("-r", "list", uri=self.uri(insecure=None, transport="http")))

    def test_the_other_kind_of_server(self):
        other = self.uri(path="DC0/DC0_H0" if not CENTER else None)
        other = other.replace("esx+", "vpx+") if not CENTER else other.replace("vpx+", "esx+")
        self.assertIn("connect to it as " + ("vpx" if CENTER else "esx") + "://", self.virsh_fails("list", uri=other))

    def test_nobody_listens(self):
        self.assertIn("127.0.0.1:1", self.virsh_fails("list", uri=self.uri(server="127.0.0.1:1")))

    if CENTER:
        def test_folder(self):
            """Of the inventory, before the datacenter; it is put back."""
            witness = Witness(self.simulator.server)
            self.addCleanup(witness.connection.close)
            center = witness.datacenter()
            made = witness.call("CreateFolder", "Folder", "group-d1", "<name>a b</name>")
            folder = re.search(r'type="Folder"[^>]*>(.*?)<', made)[1]
            witness.move(center, folder)
            self.addCleanup(witness.move, center, "group-d1")
            self.assertIn(self.first, self.names("--all", uri=self.uri(path="a%20b/DC0/DC0_H0")))

        def test_paths(self):
            for path, words in (("DC0", "needs the path of a host"), ("DC0/nothing", "there is no 'nothing'"),
                                ("DC0/DC0_C0", "a cluster of 3 hosts"), ("DC0/DC0_C0/x", "there is no host 'x'")):
                self.assertIn(words, self.virsh_fails("list", uri=self.uri(path=path)))
            names = self.virsh("list", "--all", "--name", uri=self.uri(path="DC0/DC0_C0/DC0_C0_H0")).split()
            self.assertNotIn(self.first, names)

    def name_connections(self, **connections):
        """Sets those connections: name -> (parameters of the URI, PEM file or None)."""
        text = ""
        for name, (query, ca) in connections.items():
            text += (f"[connection {name}]\nuri = {'vpx' if CENTER else 'esx'}://root@{self.simulator.server}/{PATH}{query}\n"
                     + (f"ca_file = {ca}\n" if ca else ""))
        write_private(self.etc / "esx.conf", text)
        self.daemon.restart()

    def named(self, name):
        return f"{'vpx' if CENTER else 'esx'}+unix:///{name}?socket={self.daemon.socket}"

    def test_trusted_certificate(self):
        host, port = self.simulator.server.split(":")
        own, other = self.etc / "esx.pem", self.etc / "other.pem"
        own.write_text(ssl.get_server_certificate((host, int(port))), encoding="ascii")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        self.work / "key", "-out", other, "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
        self.name_connections(lab=("", own), wrong=("", other), missing=("", self.etc / "nothing.pem"), system=("", None))
        named = self.named("lab")
        self.assertIn(self.first, self.virsh("list", "--all", "--name", uri=named).split())
        self.assertIn(self.first, self.virsh("-r", "list", "--all", "--name", uri=named).split())
        self.assertIn("read", self.virsh_fails("-r", "destroy", self.first, uri=named))
        for name in ("wrong", "system"):
            self.assertRegex(self.virsh_fails("list", uri=self.named(name)), f"(?i){self.simulator.server}.*certificate")
        self.assertRegex(self.virsh_fails("list", uri=self.named("missing")), "(?i)nothing.pem|CA|certificate")
        self.assertIn("parameters cannot be added", self.virsh_fails("list", uri=named + "&insecure=1"))

    def test_proxy(self):
        """All goes through it, and nothing past it."""
        proxy = Proxy()
        self.addCleanup(proxy.server_close)
        self.addCleanup(proxy.shutdown)
        self.name_connections(through=(f"?no_verify=1&proxy=http://127.0.0.1:{proxy.server_address[1]}", None),
                              dead=("?no_verify=1&proxy=http://127.0.0.1:1", None))
        self.assertIn(self.first, self.virsh("list", "--all", "--name", uri=self.named("through")).split())
        self.assertEqual(set(proxy.targets), {self.simulator.server})
        self.assertIn("127.0.0.1", self.virsh_fails("list", uri=self.named("dead")))


class Relay(socketserver.ThreadingTCPServer):
    """At the host's IPv6 address, to a port at its IPv4 one."""
    address_family = socket.AF_INET6
    daemon_threads = True

    def __init__(self, port):
        super().__init__(("::1", 0), None)
        self.port = port
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        Tunnel.join(request, ("127.0.0.1", self.port))


class Proxy(socketserver.ThreadingTCPServer):
    """Hands connections on that are asked for with CONNECT."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.targets = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        assert method == "CONNECT", method
        self.server.targets.append(target)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        host, port = target.split(":")
        self.join(self.connection, (host, int(port)))

    @classmethod
    def join(cls, here, address):
        with socket.create_connection(address) as there:
            back = threading.Thread(target=cls.pump, args=(there, here), daemon=True)
            back.start()
            cls.pump(here, there)
            back.join()

    @staticmethod
    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Inventory(EsxCase):
    def test_list(self):
        self.assertEqual(self.names("--all"), [self.first, self.second])
        self.assertEqual(self.names("--all", "--transient"), [])

    def test_filters(self):
        """Each is honoured: what it chooses are those machines."""
        self.virsh("destroy", self.first)
        self.virsh("suspend", self.second)
        self.virsh("snapshot-create-as", self.second, "one")
        both, first, second = [self.first, self.second], [self.first], [self.second]
        for option, chosen in (("--inactive", first), ("--persistent", second), ("--all --persistent", both), ("--transient", []),
                               ("--state-shutoff", first), ("--state-paused", second), ("--state-running", []),
                               ("--state-other", []), ("--all --autostart", []), ("--all --no-autostart", both),
                               ("--all --with-snapshot", second), ("--all --without-snapshot", first),
                               ("--all --with-checkpoint", []), ("--all --without-checkpoint", both),
                               ("--all --with-managed-save", second), ("--all --without-managed-save", first)):
            with self.subTest(option=option):
                self.assertEqual(self.names(*option.split()), chosen)
        self.virsh("snapshot-delete", self.second, "one")
        self.virsh("resume", self.second)
        self.virsh("start", self.first)

    def test_lookup(self):
        uuid = self.virsh("domuuid", self.first)
        self.assertEqual(self.virsh("domname", uuid), self.first)
        self.assertEqual(self.virsh("domname", self.virsh("domid", self.second)), self.second)
        self.assertIn("failed to get domain 'nobody'", self.virsh_fails("domstate", "nobody"))

    def test_info(self):
        lines = (line.partition(":") for line in self.virsh("dominfo", self.second).splitlines())
        info = {key.strip(): value.strip() for key, _, value in lines}
        self.assertEqual((info["State"], info["Max memory"], info["CPU(s)"]), ("running", "32768 KiB", "1"))
        self.assertEqual((info["Persistent"], info["OS Type"]), ("yes", "hvm"))

    def test_xml(self):
        domain = ElementTree.fromstring(self.virsh("dumpxml", self.first))
        self.assertEqual(domain.get("type"), "vmware")
        self.assertEqual(domain.find("devices/disk[@device='disk']/source").get("file"),
                         f"[LocalDS_0] {self.first}/disk1.vmdk")
        self.assertEqual(domain.find("devices/interface/model").get("type"), "e1000")
        self.assertRegex(domain.find("devices/interface/mac").get("address"), "^00:0c:29:")
        self.assertEqual(domain.find("devices/controller[@type='scsi']").get("index"), "0")
        self.assertIsNone(ElementTree.fromstring(self.virsh("dumpxml", "--inactive", self.first)).get("id"))
        self.assertEqual(self.virsh("dumpxml", "--migratable", self.first), self.virsh("dumpxml", self.first))

    def test_host(self):
        node = dict(line.split(":") for line in self.virsh("nodeinfo").splitlines())
        self.assertEqual(node["CPU(s)"].strip(), "2")
        self.assertEqual(node["Memory size"].strip(), "4193780 KiB")
        self.assertIn("ESX 6.", self.virsh("version"))
        self.assertTrue(self.virsh("hostname"))
        self.assertGreater(int(self.virsh("freecell").split()[1]), 1024 * 1024)
        self.assertIn("<domain type='vmware'/>", self.virsh("capabilities"))
        if MODE != "host-raw":
            self.assertEqual(self.virsh("maxvcpus"), "128")
            caps = ElementTree.fromstring(self.virsh("domcapabilities"))
            self.assertEqual((caps.findtext("domain"), caps.findtext("arch"), caps.find("vcpu").get("max")),
                             ("vmware", "x86_64", "128"))
            self.assertIn("scsi", [one.text for one in caps.findall("devices/disk/enum[@name='bus']/value")])
            self.assertIn("there is vmware", self.virsh_fails("domcapabilities", "--virttype", "kvm"))


class Screen(EsxCase):
    def test_screenshot(self):
        if MODE == "host-raw":
            self.assertIn("404", self.virsh_fails("screenshot", self.first, str(self.work / "shown")))
            return
        self.virsh("screenshot", self.first, str(self.work / "shown.png"))
        self.assertEqual((self.work / "shown.png").read_bytes(), b"\x89PNG\r\n\x1a\n" + self.reference(self.first).encode())
        self.assertIn("has no screen 1", self.virsh_fails("screenshot", self.first, str(self.work / "x"), "--screen", "1"))
        self.virsh("destroy", self.second)
        self.assertIn("is not running", self.virsh_fails("screenshot", self.second, str(self.work / "x")))
        self.virsh("start", self.second)


class Power(EsxCase):
    def test_life(self):
        name = self.first
        self.virsh("suspend", name)
        self.assertEqual(self.virsh("domstate", name, "--reason"), "paused (user)")
        self.assertIn("is suspended", self.virsh_fails("suspend", name))
        self.virsh("resume", name)
        self.assertEqual(self.virsh("domstate", name, "--reason"), "running (unpaused)")
        self.virsh("suspend", name)
        self.virsh("destroy", name)
        self.assertEqual(self.virsh("domstate", name, "--reason"), "shut off (destroyed)")
        self.assertIn(name, self.names("--inactive"))
        self.virsh_fails("resume", name)
        self.assertIn("flag PAUSED is not supported", self.virsh_fails("start", "--paused", name))
        self.virsh("start", name)
        self.assertEqual(self.virsh("domstate", name, "--reason"), "running (booted)")
        self.virsh("reset", name)
        self.virsh("shutdown", name)
        end = time.monotonic() + 5
        while self.state(name) != "shut off" and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.state(name), "shut off")
        self.virsh("start", name)
        # The simulator has no such method: the reason comes from there.
        self.assertIn("RebootGuest", self.virsh_fails("reboot", name))


if __name__ == "__main__":
    main()
