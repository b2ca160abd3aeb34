# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon for all drivers in front of daemons of one driver each: clients see no difference, whatever
happens to the daemon behind."""
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import vireotest
from splittest import PATIENCE, VIREO, VIREOD, SplitCase
from vireotest import wait_until

try:
    import libvirt
except ImportError:
    vireotest.skip_file("no libvirt module (package python3-libvirt)")

OURS = os.path.join(vireotest.BUILD, "tests", "clients", "modules")
NOBODY = 65534
STARTED, STOPPED, UNDEFINED = (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STOPPED,
                               libvirt.VIR_DOMAIN_EVENT_UNDEFINED)
libvirt.registerErrorHandler(lambda *_: None, None)


def start_loop():
    def run():
        while True:
            libvirt.virEventRunDefaultImpl()
    libvirt.virEventRegisterDefaultImpl()
    libvirt.virEventAddTimeout(200, lambda *_: None, None)
    threading.Thread(target=run, daemon=True).start()


class ProxyCase(SplitCase):
    def open(self, uri):
        conn = libvirt.open(uri)
        self.addCleanup(self.close, conn)
        return conn

    def close(self, conn):
        try:
            conn.close()
        except libvirt.libvirtError:
            pass

    def nano(self, conn, name="nano", devices=""):
        """Starts the nano guest, whose processor and disk are QEMU's; it is destroyed at the end."""
        disk = os.path.join(self.work, f"{name}.qcow2")
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", vireotest.NANO, disk], check=True)
        os.chmod(disk, 0o666)
        domain = conn.defineXML(vireotest.NANO_XML.format(
            name=name, uuid="", memory=16, vcpus=1, disks=vireotest.disk_xml(disk, "vda"), balloon="none",
            devices=devices))
        domain.create()
        pid = self.qemu_pid(name)
        self.addCleanup(self.end_qemu, pid)
        return domain

    def qemu_pid(self, name):
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as stream:
                    words = stream.read().split(b"\0")
            except (OSError, ValueError):
                continue
            if any(self.work.encode() in word for word in words) and any(name.encode() in word for word in words) \
                    and b"qemu" in words[0]:
                return int(entry)
        self.fail(f"no QEMU runs for {name}")

    def end_qemu(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def parent(self, pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
            return int(stream.read().rsplit(")", 1)[1].split()[1])

    def fails(self, function, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            function(*args)
        return str(caught.exception)


class Routing(ProxyCase):
    def test_two_drivers(self):
        """Lists and changes reach the daemon in charge, whichever way clients come."""
        behind = {name: self.start(name) for name in ("test", "qemu")}
        self.start()
        front, direct = self.uri(), self.uri(driver="test")
        self.assertEqual(self.names(front), ["test"])
        self.define(front, "a")
        self.assertEqual(self.names(direct), ["a", "test"])
        self.virsh(front, "start", "a")
        self.assertEqual(self.virsh(direct, "domstate", "a"), "running")
        self.virsh(direct, "destroy", "a")
        self.assertEqual(self.virsh(front, "domstate", "a"), "shut off")
        self.virsh(front, "snapshot-create-as", "a", "one")
        self.assertEqual(self.virsh(direct, "snapshot-list", "a", "--name").strip(), "one")
        self.virsh(front, "undefine", "a", "--snapshots-metadata")
        self.assertEqual(self.names(direct), ["test"])
        self.assertIn("failed to get domain 'a'", self.virsh(front, "domstate", "a", code=1))

        conn = self.open(self.uri("qemu", "/system"))
        self.nano(conn)
        self.assertEqual(self.names(self.uri("qemu", "/system", "qemu")), ["nano"])
        drivers = self.drivers()
        for name, process in behind.items():
            self.assertEqual(drivers[name][0], "ACTIVE")
            self.assertIn(f"served by process {process.pid} at {self.path('run/vireo/drivers', name)}", drivers[name][1])
            with open(self.path("var", "lib", "vireo", f"{name}.lock"), encoding="ascii") as stream:
                self.assertEqual(int(stream.readline()), process.pid)
        self.assertNotIn("LOADED", self.log())  # neither module is in the process in front

    def test_without_modules(self):
        """The daemon in front needs no module of its own."""
        empty = os.path.join(self.work, "empty")
        os.makedirs(empty)
        self.start("test")
        self.start(None, "--driver-dir", empty)
        self.assertIn("its daemon is asked", self.drivers()["test"][1])
        text = self.run_client(VIREO, "-c", self.uri(compat=False), "driver", "test")
        self.assertIn("domain-create", text)
        self.assertNotIn("ABI", text)
        self.assertEqual(self.names(self.uri()), ["test"])
        self.assertIn("no driver for the scheme 'other'", self.virsh(self.uri("other", "/"), "list", code=1))

    def test_comes_later(self):
        """A driver that nobody has needed yet goes to the daemon that comes for it; a masked one does not."""
        self.start()
        self.assertEqual(self.drivers()["test"][0], "FOUND")
        process = self.start("test")
        self.assertEqual(self.names(self.uri()), ["test"])
        self.assertIn(f"served by process {process.pid}", self.drivers()["test"][1])
        self.stop()
        os.makedirs(self.path("etc", "vireo"), exist_ok=True)
        with open(self.path("etc", "vireo", "vireod.conf"), "w", encoding="utf-8") as stream:
            stream.write("[vireod]\nmasked_drivers = test\n")
        self.start()
        self.assertIn("masked_drivers", self.virsh(self.uri(), "list", code=1))

    def test_identity(self):
        """The driver is told of the client itself, not of the daemon in front."""
        os.makedirs(self.path("etc", "vireo"), exist_ok=True)
        with open(self.path("etc", "vireo", "vireod.conf"), "w", encoding="utf-8") as stream:
            stream.write("[vireod]\nunix_sock_rw_perms = 0777\n")
        self.start("whoami", "--driver-dir", OURS)
        self.start()
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        client = subprocess.Popen(["virsh", "-q", "-c", self.uri("whoami", "/"), "hostname"], env=self.env, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **user)
        out, said = client.communicate(timeout=PATIENCE)
        self.assertEqual(out.strip(), f"user {NOBODY if user else os.geteuid()} process {client.pid}", said)

    def test_readonly(self):
        self.start("test")
        self.start()
        uri = f"test+unix:///default?socket={self.socket(kind='sock-ro')}"
        self.assertIn("read only", self.run_client("virsh", "-r", "-c", uri, "destroy", "test", code=1))

    def test_nonsense_behind(self):
        """What is no driver's daemon is named, and cut off; other drivers do not notice."""
        self.start("test")
        os.makedirs(self.path("run", "vireo", "drivers"), exist_ok=True)
        liar = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(liar.close)
        liar.bind(self.path("run", "vireo", "drivers", "liar"))
        liar.listen()

        def lie():
            try:
                while True:
                    client, _ = liar.accept()
                    client.send(os.urandom(500))
            except OSError:
                pass
        threading.Thread(target=lie, daemon=True).start()
        self.start()
        said = self.virsh(self.uri("liar", "/"), "list", code=1)
        self.assertIn("driver 'liar': its daemon at", said)
        self.assertIn("was cut off", said)
        self.assertEqual(self.names(self.uri()), ["test"])


class Streams(ProxyCase):
    def setUp(self):
        super().setUp()
        self.start("qemu")
        self.start()
        self.conn = self.open(self.uri("qemu", "/system"))

    def test_console(self):
        domain = self.nano(self.conn)
        stream = self.conn.newStream(0)
        domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        seen = b""
        stream.send(b"g")
        while b"M=" not in seen:
            seen += stream.recv(1000)
        stream.abort()

    def test_screenshot(self):
        domain = self.nano(self.conn, devices="<graphics type='vnc' autoport='yes'/><video><model type='vga'/></video>")
        stream = self.conn.newStream(0)
        kind = domain.screenshot(stream, 0)
        data = []
        stream.recvAll(lambda _, part, __: data.append(part), None)
        stream.finish()
        self.assertIn("image/", kind)
        self.assertGreater(len(b"".join(data)), 1000)

    def test_descriptor(self):
        domain = self.nano(self.conn, devices="<graphics type='vnc' autoport='yes'/>")
        fd = domain.openGraphicsFD(0, 0)
        with socket.socket(fileno=fd) as graphics:
            graphics.settimeout(PATIENCE)
            self.assertEqual(graphics.recv(4), b"RFB ")


class Events(ProxyCase):
    def listen(self, conn):
        """The events of life that the connection hears, from now on."""
        heard = []
        conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                    lambda _, domain, event, detail, __: heard.append(event), None)
        return heard

    def test_in_order(self):
        """What happens by another way is heard too, and nothing is heard twice."""
        self.start("test")
        self.start()
        direct = self.uri(driver="test")
        in_front = self.listen(self.open(self.uri()))
        behind = self.listen(self.open(direct))
        self.define(direct, "a")
        for _ in range(5):
            self.virsh(direct, "start", "a")
            self.virsh(self.uri(), "destroy", "a")
        self.virsh(direct, "undefine", "a")
        wait_until(lambda: (UNDEFINED in in_front) and (UNDEFINED in behind), PATIENCE, "the last event")
        self.assertEqual(in_front.count(STARTED), 5)
        self.assertEqual(in_front.count(STOPPED), 5)
        self.assertEqual(in_front, behind)

    def test_outlives_the_daemon(self):
        """kill -9 of the daemon behind: the client is told so, keeps its connection, its handle and its ear, and
        the guest runs on."""
        self.start("qemu")
        self.start()
        conn = self.open(self.uri("qemu", "/system"))
        heard = self.listen(conn)
        domain = self.nano(conn)
        pid = self.qemu_pid("nano")
        self.stop("qemu", signal.SIGKILL)
        wait_until(lambda: "has gone away" in self.log(), PATIENCE, "the loss is noticed")
        self.assertRegex(self.fails(domain.suspend), "driver 'qemu': its daemon at .*")
        self.assertIn("vireod --driver=qemu", wait_until(
            lambda: (lambda said: said if "start" in said else "")(self.fails(conn.listAllDomains)), PATIENCE,
            "a call says what to do"))
        self.assertEqual(self.drivers()["qemu"][0], "QUARANTINED")
        self.assertEqual(conn.isAlive(), 1)
        self.start("qemu")
        wait_until(lambda: self.drivers()["qemu"][0] == "ACTIVE", PATIENCE, "it is asked again")
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        self.assertEqual(self.qemu_pid("nano"), pid)
        domain.destroy()
        wait_until(lambda: STOPPED in heard, PATIENCE, "events are heard again")
        self.assertEqual((heard.count(STARTED), heard.count(STOPPED)), (1, 1))

    def test_missed_meanwhile(self):
        """What changed while the daemon behind was away is heard when it is back."""
        self.start("qemu")
        self.start()
        conn = self.open(self.uri("qemu", "/system"))
        heard = self.listen(conn)
        domain = self.nano(conn)
        pid = self.qemu_pid("nano")
        self.stop("qemu")
        self.end_qemu(pid)
        self.start("qemu")
        wait_until(lambda: STOPPED in heard, PATIENCE, "the end of the guest is heard")
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_SHUTOFF)


class Busy(ProxyCase):
    def test_ends_amid_calls(self):
        """Daemons on either side end while many clients call; each call is answered or its connection ends, and
        whoever is left goes on."""
        self.start("test")
        self.start()
        answered, stop = [0, 0], threading.Event()

        def call():
            conn = libvirt.open(self.uri())
            try:
                while not stop.is_set():
                    try:
                        domain = conn.lookupByName("test")
                        domain.suspend()
                        domain.resume()
                        answered[0] += 1
                    except libvirt.libvirtError:
                        answered[1] += 1
                        if not conn.isAlive():
                            return
                        time.sleep(0.01)
            finally:
                self.close(conn)

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            before = answered[0]
            wait_until(lambda: answered[0] > before + 20, PATIENCE, "calls are answered")
            failed = answered[1]
            self.assertEqual(self.stop("test", number), -number if number == signal.SIGKILL else 0)
            wait_until(lambda: answered[1] > failed, PATIENCE, "calls are refused")
            self.start("test")
        before = answered[0]
        wait_until(lambda: answered[0] > before + 20, PATIENCE, "calls are answered again")
        self.assertEqual(self.stop(), 0)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())


class Manager:
    """As much of a service manager as it takes: listens, and starts the service when somebody comes."""

    def __init__(self, case, driver, *options):
        self.case, self.driver, self.options = case, driver, options
        run = case.path("run", "vireo")
        os.makedirs(os.path.join(run, "drivers"), exist_ok=True)
        os.makedirs(case.path("run", "libvirt"), exist_ok=True)
        self.sockets = []
        for name, kind, path in (("rw", socket.SOCK_STREAM, case.socket(driver)),
                                 ("ro", socket.SOCK_STREAM, case.socket(driver, "sock-ro")),
                                 ("admin", socket.SOCK_STREAM, case.socket(driver, "admin-sock")),
                                 ("driver", socket.SOCK_SEQPACKET, os.path.join(run, "drivers", driver))):
            sock = socket.socket(socket.AF_UNIX, kind)
            sock.bind(path)
            sock.listen()
            self.sockets.append((name, sock))
        self.process, self.codes, self.ended = None, [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended:
            if self.process:
                try:
                    self.codes.append(self.process.wait(0.05))
                    self.process = None
                except subprocess.TimeoutExpired:
                    pass
            elif select.select([sock for _, sock in self.sockets], [], [], 0.05)[0]:
                self.process = self.launch()

    def launch(self):
        high = [os.dup2(sock.fileno(), 60 + i) for i, (_, sock) in enumerate(self.sockets)]
        moves = "exec" + "".join(f" {3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
        names = ":".join(name for name, _ in self.sockets)
        script = f"{moves}; export LISTEN_PID=$$ LISTEN_FDS={len(high)} LISTEN_FDNAMES={names}; exec \"$@\""
        with open(self.case.log_path(self.driver), "ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", script, "sh", VIREOD, "--root", self.case.root, f"--driver={self.driver}",
                 *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=high)
        for fd in high:
            os.close(fd)
        return process

    def stop(self):
        self.ended = True
        self.thread.join()
        if self.process:
            self.process.terminate()
            self.process.wait()
        for _, sock in self.sockets:
            sock.close()


class Activation(ProxyCase):
    def manage(self, driver, *options):
        manager = Manager(self, driver, *options)
        self.addCleanup(manager.stop)
        return manager

    def manage_idle(self):
        """A driver without guests, whose daemon ends after a second."""
        return self.manage("whoami", "--timeout=1", "--driver-dir", OURS)

    def ask(self, driver=None):
        self.assertIn("process", self.virsh(self.uri("whoami", "/", driver), "hostname"))

    def test_by_the_daemon_in_front(self):
        """Started by the first client, ends when nobody needs it, and again."""
        manager = self.manage_idle()
        self.start()
        self.assertIn("FOUND", self.drivers()["whoami"][0])
        self.assertIsNone(manager.process)
        for n in range(2):
            self.ask()
            wait_until(lambda: len(manager.codes) == n + 1, PATIENCE, "it ends when it is idle")
            self.assertEqual(manager.codes, [0] * (n + 1), self.log("whoami"))
            self.assertEqual(self.drivers()["whoami"][0], "FOUND")
        time.sleep(1)
        self.assertIsNone(manager.process)  # nobody asks an idle driver back

    def test_by_its_own_clients(self):
        manager = self.manage_idle()
        self.ask("whoami")
        wait_until(lambda: manager.codes == [0], PATIENCE, "it ends when it is idle")

    def test_not_while_needed(self):
        """A client of the daemon in front counts."""
        manager = self.manage_idle()
        self.start()
        conn = self.open(self.uri("whoami", "/"))
        time.sleep(3)
        self.assertEqual(manager.codes, [])
        conn.close()
        wait_until(lambda: manager.codes == [0], PATIENCE, "it ends when it is idle")

    def test_comes_back_while_it_ends(self):
        """Whoever comes at the very moment that it ends is served by the next one."""
        manager = self.manage_idle()
        self.start()
        for n in range(12):
            self.ask()
            time.sleep(0.8 + 0.05 * n)
        self.assertEqual(set(manager.codes) - {0}, set(), self.log("whoami"))
        self.assertGreater(len(manager.codes), 1)

    def test_restarted_for_its_clients(self):
        """An accident is hardly noticed: the sockets are there, so the daemon comes back at once."""
        manager = self.manage("test")
        self.start()
        conn = self.open(self.uri())
        domain = conn.lookupByName("test")
        for n in range(3):
            manager.process.kill()
            wait_until(lambda: len(manager.codes) == n + 1, PATIENCE, "it is dead")
            wait_until(lambda: self.drivers()["test"][0] == "ACTIVE", PATIENCE, "it is back")
            self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)

    def test_reload(self):
        manager = self.manage("test")
        self.assertEqual(self.names(self.uri(driver="test")), ["test"])
        self.start()
        conn = self.open(self.uri())
        os.makedirs(self.path("etc", "vireo"), exist_ok=True)
        own = os.path.join(self.work, "own.log")
        with open(self.path("etc", "vireo", "vireod.conf"), "w", encoding="utf-8") as stream:
            stream.write(f"[vireod test]\nlog_outputs = 1:file:{own}\n")
        manager.process.send_signal(signal.SIGHUP)
        self.running[None].send_signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(own) and os.path.getsize(own), PATIENCE, "its own section is read again")
        self.assertEqual(len(conn.listAllDomains()), 1)
        with open(self.path("etc", "vireo", "vireod.conf"), "w", encoding="utf-8") as stream:
            stream.write("[vireod test]\nlog_output = 1\n")
        manager.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "old settings stay" in self.read(own), PATIENCE, "a mistake is told")
        self.assertEqual(len(conn.listAllDomains()), 1)


if __name__ == "__main__":
    vireotest.need_program("virsh", "libvirt-clients")
    vireotest.need_program("qemu-img", "qemu-utils")
    start_loop()
    unittest.main(verbosity=2 if os.environ.get("VERBOSE") else 1)
