# SPDX-License-Identifier: LGPL-2.1-or-later
"""The vbox driver and a web service that fails: what is said, and that all goes on afterwards without another daemon."""
import re
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import peer
from vboxtest import ROOT, SERVER, VboxCase, end_virtualbox, main, manage, start_virtualbox, vireotest, wait_until

SECONDS_OF_A_CALL = 60  # that it may take in all


def read_message(stream):
    """A whole request or answer; b"" at the end."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = stream.recv(65536)
        if not piece:
            return b""
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < length:
        body += stream.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body, status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Proxy(socketserver.ThreadingTCPServer):
    """Between the driver and the web service. fault(operation, request, client, forward) does in place of the web
    service what it likes and returns True; then the connection ends. Otherwise all passes."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target=18083):
        super().__init__(("127.0.0.1", 0), None)
        self.target, self.fault, self.calls = target, None, []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def server(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request, client_address):
        with socket.create_connection(("127.0.0.1", self.target)) as upstream:
            while message := read_message(request):
                operation = re.search(rb"<\w+:(I\w+_\w+)", message)[1].decode()
                self.calls.append(operation)

                def forward(wanted=message):
                    upstream.sendall(wanted)
                    return read_message(upstream)

                if self.fault and self.fault(operation, request, forward):
                    return
                request.sendall(forward())


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Faults(VboxCase):
    def setUp(self):
        super().setUp()
        self.proxy = Proxy()
        self.addCleanup(self.proxy.server_close)
        self.addCleanup(self.proxy.shutdown)
        self.here = self.uri("", server=self.proxy.server)
        manage("createvm", "--name", "one", "--register")
        self.addCleanup(setattr, self.proxy, "fault", None)
        wait_until(lambda: self.names("list", "--all", "--name", uri=self.here) == ["one"], 10, "it is seen")

    def on(self, operation, what):
        """A fault for that operation, until it is lifted; counts."""
        def fault(name, client, forward):
            if name != operation:
                return False
            fault.times += 1
            return what(client, forward)

        fault.times = 0
        self.proxy.fault = fault
        return fault

    def fails(self, *args):
        said = self.virsh_fails(*args, uri=self.here)
        self.assertIn("one", self.names("list", "--all", "--name", uri=self.here))
        return said

    def recovers(self):
        self.proxy.fault = None
        self.assertIn("<name>one</name>", self.virsh("dumpxml", "one", uri=self.here))

    def test_cut_once(self):
        """What changes nothing is asked again."""
        fault = self.on("IMachine_getCPUCount", lambda client, forward: fault.times == 1)
        self.assertIn("<name>one</name>", self.virsh("dumpxml", "one", uri=self.here))
        self.assertGreater(fault.times, 1)

    def test_cut(self):
        self.on("IMachine_getCPUCount", lambda client, forward: True)
        self.assertRegex(self.fails("dumpxml", "one"), rf"(?i){self.proxy.server}.*(closed|ended|empty)|connection")
        self.recovers()

    def test_cut_of_a_change(self):
        """It is not made a second time, and what has become of it is seen."""
        fault = self.on("IMachine_saveSettings", lambda client, forward: forward() != b"")
        self.assertIn("127.0.0.1", self.virsh_fails("domrename", "one", "two", uri=self.here))
        self.assertEqual(fault.times, 1)
        self.proxy.fault = None
        self.assertIn('"two"', manage("list", "vms"))
        wait_until(lambda: self.names("list", "--all", "--name", uri=self.here) == ["two"], 10, "it is seen")
        self.virsh("domrename", "two", "one", uri=self.here)

    def test_garbage(self):
        for reply in (answer(b"<html><body>It works!</body></html>"), b"SSH-2.0-OpenSSH_9.2\r\n" * 3, answer(b"<a"),
                      answer(b"<x/>", b"404 Not Found"), answer(b"oops", b"500 Internal Server Error"),
                      answer(b"<!DOCTYPE x [<!ENTITY a 'aa'>]><x>&a;</x>"), answer(bytes(range(256)) * 40)):
            with self.subTest(reply=reply[:60]):
                self.on("IMachine_getCPUCount", lambda client, forward, data=reply: client.sendall(data) or True)
                said = self.fails("dumpxml", "one")
                self.assertRegex(said, "(?i)answer|http|protocol|status|xml|served")
                self.recovers()

    def test_too_much(self):
        def flood(client, forward):
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 200000000\r\n\r\n"
                           b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>')
            try:
                for _ in range(200):
                    client.sendall(b" " * 1000000)
            except OSError:
                pass
            return True

        self.on("IMachine_getCPUCount", flood)
        before = self.memory()
        self.assertRegex(self.fails("dumpxml", "one"), "(?i)large|more than|bytes")
        self.assertLess(self.memory() - before, 40 << 10)
        self.recovers()

    def memory(self):
        """KiB of the daemon."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def test_slow(self):
        """One call that hangs keeps nobody waiting, and ends."""
        stop = threading.Event()
        self.addCleanup(stop.set)

        def dribble(client, forward):
            reply, begin = forward(), time.monotonic()
            for at in range(len(reply)):
                if stop.wait(0.5) or time.monotonic() - begin > SECONDS_OF_A_CALL + 30:
                    break
                try:
                    client.sendall(reply[at:at + 1])
                except OSError:
                    break
            return True

        fault = self.on("IMachine_getDescription", dribble)
        begin = time.monotonic()
        slow = subprocess.Popen(["virsh", "-q", "-c", self.here, "dumpxml", "one"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.addCleanup(slow.kill)
        wait_until(lambda: fault.times, 10, "it hangs")
        for _ in range(3):
            asked = time.monotonic()
            self.virsh("vcpucount", "one", "--maximum", "--config", uri=self.here)
            self.assertLess(time.monotonic() - asked, 2)
        said = slow.communicate(timeout=SECONDS_OF_A_CALL * 3)[1]
        self.assertRegex(said, "(?i)time")
        self.assertGreater(time.monotonic() - begin, SECONDS_OF_A_CALL - 5)
        stop.set()
        self.recovers()

    def test_client_leaves(self):
        """Whoever asked goes: so does the call."""
        gone = threading.Event()

        def wait_for_end(client, forward):
            client.settimeout(20)
            try:
                client.recv(1)
            except OSError:
                pass
            gone.set()
            return True

        fault = self.on("IMachine_getDescription", wait_for_end)
        slow = subprocess.Popen(["virsh", "-q", "-c", self.here, "dumpxml", "one"], stderr=subprocess.DEVNULL)
        wait_until(lambda: fault.times, 10, "it hangs")
        slow.kill()
        slow.wait()
        self.assertTrue(gone.wait(10), "the call has ended")
        self.recovers()


class Crash(VboxCase):
    """Of VirtualBox; the daemon stays, and nobody has to tell it."""

    def setUp(self):
        super().setUp()
        manage("createvm", "--name", "one", "--register")
        wait_until(lambda: self.names("list", "--all", "--name") == ["one"], 10, "it is seen")

    def comes_back(self):
        start_virtualbox()
        self.assertIn("<name>one</name>", self.virsh("dumpxml", "one"))
        manage("createvm", "--name", "two", "--register")
        wait_until(lambda: self.names("list", "--all", "--name") == ["one", "two"], 20, "changes are seen again")

    def test_of_the_web_service(self):
        """In the middle of calls: each ends, and says why."""
        calls = [subprocess.Popen(["virsh", "-q", "-c", self.uri(), "dumpxml", "one"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) for _ in range(8)]
        time.sleep(0.05)
        end_virtualbox("vboxwebsrv")
        for call in calls:
            said = call.communicate(timeout=30)
            self.assertTrue(said[1] if call.returncode else "</domain>" in said[0], said)
        self.assertIn("127.0.0.1", self.virsh_fails("dumpxml", "one"))
        self.assertEqual(self.names("list", "--all", "--name"), ["one"])
        self.comes_back()

    def test_of_its_server(self):
        """The web service lives on mostly, and is good for nothing."""
        end_virtualbox("VBoxSVC")
        self.assertRegex(self.virsh_fails("dumpxml", "one"), f"has lost VBoxSVC|cannot talk to http://{SERVER}")
        self.assertEqual(self.names("list", "--all", "--name"), ["one"])
        end_virtualbox("vboxwebsrv")
        self.comes_back()


class Sessions(VboxCase):
    def test_expired(self):
        """A web service that forgets sessions within a second."""
        self.serve(18086, "-t", "1", "-i", "1")
        wait_until(lambda: peer.answers(18086), 10, "the web service answers")
        here = self.uri("", server="127.0.0.1:18086")
        manage("createvm", "--name", "one", "--register")
        wait_until(lambda: self.names("list", "--all", "--name", uri=here) == ["one"], 10, "it is seen")
        for _ in range(3):
            time.sleep(2.5)
            self.assertIn("<name>one</name>", self.virsh("dumpxml", "one", uri=here))
        manage("createvm", "--name", "two", "--register")
        wait_until(lambda: self.names("list", "--all", "--name", uri=here) == ["one", "two"], 20, "changes are seen")

    def test_certificate(self):
        keys = ROOT / "root" / "tls"
        keys.mkdir()
        for name in "mine", "other":
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", keys / f"{name}.key", "-out",
                            keys / f"{name}.crt"], check=True, stderr=subprocess.DEVNULL)
        (keys / "mine.pem").write_bytes((keys / "mine.key").read_bytes() + (keys / "mine.crt").read_bytes())
        self.serve(18087, "--ssl", "--keyfile", "/root/tls/mine.pem")
        wait_until(lambda: listens(18087), 10, "the web service listens")
        manage("createvm", "--name", "one", "--register")
        server = {"server": "127.0.0.1:18087", "transport": "https"}
        self.assertRegex(self.virsh_fails("list", uri=self.uri("", **server)), "(?i)certificate")
        trusting = self.uri("", **server, insecure="1")
        wait_until(lambda: self.names("list", "--all", "--name", uri=trusting) == ["one"], 10, "it is seen")
        self.assertRegex(self.virsh_fails("list", uri=self.uri("", server="127.0.0.1:18087")), "(?i)http")
        uri = "uri=vbox://127.0.0.1:18087/?transport=https"
        with_ca = self.second_daemon(f"[connection good]\n{uri}\nca_file={keys}/mine.crt\n"
                                     f"[connection bad]\n{uri}\nca_file={keys}/other.crt\n")
        wait_until(lambda: self.names("list", "--all", "--name", uri=with_ca("good")) == ["one"], 10, "it is seen")
        self.assertRegex(self.virsh_fails("list", uri=with_ca("bad")), "(?i)certificate")

    def test_proxy(self):
        """All goes through it; the way past it is not taken when it is dead."""
        proxy = Proxy()
        self.addCleanup(proxy.server_close)
        self.addCleanup(proxy.shutdown)
        manage("createvm", "--name", "one", "--register")
        place = f"uri=vbox://{SERVER}/?transport=http&proxy=http://"
        through = self.second_daemon(f"[connection good]\n{place}{proxy.server}\n[connection dead]\n{place}127.0.0.1:1\n")
        wait_until(lambda: self.names("list", "--all", "--name", uri=through("good")) == ["one"], 10, "it is seen")
        self.assertIn("IVirtualBox_getMachines", proxy.calls)
        self.assertRegex(self.virsh_fails("list", uri=through("dead")), "127.0.0.1")

    def second_daemon(self, settings):
        """One with those settings; returns what makes URIs of their connections."""
        vireotest.FILES["vbox.conf"] = settings
        self.addCleanup(vireotest.FILES.pop, "vbox.conf")
        daemon = vireotest.Daemon()
        self.addCleanup(daemon.stop)
        return lambda name: f"vbox+unix:///{name}?socket={daemon.socket}"


if __name__ == "__main__":
    main()
