# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon as a process: its options, paths, sockets, settings, signals, and the admin program."""
import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

VIREOD = os.environ["VIREOD"]
SAMPLE = os.environ["VIREOD_CONF"]
PATIENCE = 10
REMOTE, ADMIN = 0x20008086, 0x06900690
AUTH_LIST, OPEN, GET_TYPE, DEFINE_XML = 66, 1, 3, 11
TIMEOUT = 68
NOBODY = 65534


def packet(program, procedure, serial=0, payload=b""):
    return struct.pack(">7I", 28 + len(payload), program, 1, procedure, 0, serial, 0) + payload


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def call(sock, program, procedure, serial=0, payload=b""):
    """(status, payload) of the reply."""
    sock.sendall(packet(program, procedure, serial, payload))
    size, = struct.unpack(">I", read_exactly(sock, 4))
    body = read_exactly(sock, size - 4)
    fields = struct.unpack(">6I", body[:24])
    assert fields[:3] == (program, 1, procedure) and fields[4] == serial, fields
    return fields[5], body[24:]


def message_of(payload):
    """The text of an error."""
    size, = struct.unpack(">I", payload[12:16])
    return payload[16:16 + size].decode()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vireod-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.running = []
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stderr.close()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def config(self, text):
        with open(self.path("conf"), "w", encoding="utf-8") as stream:
            stream.write("[vireod]\n" + text + "\n")
        return "--config=" + self.path("conf")

    def start(self, *options, root=True, **more):
        command = [VIREOD, *(["--root", self.dir] if root else []), *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
        self.running.append(process)
        return process

    def up(self, *options, sock=None, **more):
        """Starts one and waits until it serves."""
        process = self.start(*options, **more)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                self.connect(sock).close()
                return process
            except OSError:
                time.sleep(0.02)
        self.fail("vireod does not serve: " + (process.stderr.read() if process.poll() is not None else ""))

    def connect(self, path=None):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(path or self.path("run", "libvirt", "libvirt-sock"))
        except OSError:
            sock.close()
            raise
        self.addCleanup(sock.close)
        return sock

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        process.wait(PATIENCE)
        return process.returncode

    def end(self, pid):
        """Ends a process that is nobody's child here."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
                    if stream.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
                time.sleep(0.02)

    def refused(self, *options, code=1):
        process = self.start(*options)
        process.wait(PATIENCE)
        said = process.stderr.read()
        self.assertEqual(process.returncode, code, said)
        return said


class Process(Case):
    def test_version(self):
        done = subprocess.run([VIREOD, "--version"], capture_output=True, text=True, check=True)
        self.assertRegex(done.stdout, r"^vireod \d+\.\d+\.\d+\n$")

    def test_wrong_options(self):
        self.assertIn("--nonsense", self.refused("--nonsense", code=2))
        self.assertIn("surplus", self.refused("surplus", code=2))
        self.assertIn("timeout", self.refused("--timeout=-5", code=2))

    def test_sockets(self):
        process = self.up()
        modes = {"sock": 0o700, "sock-ro": 0o777, "admin-sock": 0o700}
        for directory, name in (("libvirt", "libvirt"), ("vireo", "vireo")):
            for suffix, mode in modes.items():
                path = self.path("run", directory, f"{name}-{suffix}")
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode, path)
                sock = self.connect(path)
                program, other = (ADMIN, REMOTE) if suffix == "admin-sock" else (REMOTE, ADMIN)
                if program == REMOTE:
                    self.assertEqual(call(sock, REMOTE, AUTH_LIST), (0, struct.pack(">2I", 1, 0)))
                else:
                    self.assertEqual(call(sock, ADMIN, 1, payload=struct.pack(">I", 0))[0], 0)
                status, payload = call(sock, other, 1, 7, struct.pack(">I", 0))
                self.assertEqual((status, message_of(payload)), (1, f"Cannot find program {other} version 1"))
        with open(self.path("run", "vireo", "vireod.pid"), encoding="ascii") as stream:
            self.assertEqual(int(stream.read()), process.pid)
        self.assertEqual(self.stop(process), 0)
        left = [f for _, _, files in os.walk(self.path("run")) for f in files]
        self.assertEqual(left, [])

    def test_one_per_root(self):
        process = self.up()
        self.assertRegex(self.refused(), f"another daemon runs here: .* held by process {process.pid}")
        call(self.connect(), REMOTE, AUTH_LIST)
        # An accident leaves files behind; they are no obstacle.
        self.stop(process, signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path("run", "libvirt", "libvirt-sock")))
        self.assertEqual(self.stop(self.up(), signal.SIGINT), 0)

    def hold(self, seconds):
        """The lock of a daemon that was killed while a child of it was not another program yet."""
        os.makedirs(self.path("run", "vireo"))
        code = f'''
import fcntl, os, struct, sys, time
fd = os.open({self.path("run", "vireo", "vireod.pid")!r}, os.O_RDWR | os.O_CREAT, 0o644)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))    # F_OFD_SETLK
os.write(fd, b"%d\\n" % os.getpid())
if not os.fork():
    time.sleep({seconds})
    os._exit(0)
os.kill(os.getpid(), 9)
'''
        done = subprocess.run([sys.executable, "-c", code], check=False)
        self.assertEqual(done.returncode, -signal.SIGKILL)

    def test_child_of_one_that_was_killed(self):
        self.hold(1)
        process = self.up()
        with open(self.path("run", "vireo", "vireod.pid"), encoding="ascii") as stream:
            self.assertEqual(int(stream.read()), process.pid)
        self.assertEqual(self.stop(process), 0)

    def test_foreign_socket(self):
        """A socket on which somebody else listens is left alone."""
        os.makedirs(self.path("run", "libvirt"))
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(self.path("run", "libvirt", "libvirt-sock"))
        other.listen()
        self.assertIn("belongs to another daemon", self.refused())
        self.connect()
        process = self.up(self.config("compat_sockets = no"), sock=self.path("run", "vireo", "vireo-sock"))
        self.assertEqual(self.stop(process), 0)
        self.connect()

    def test_timeout(self):
        process = self.up("--timeout=1")
        sock = self.connect()
        time.sleep(1.6)
        call(sock, REMOTE, AUTH_LIST)
        sock.close()
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_timeout_with_guest(self):
        """A daemon whose guests run does not end."""
        process = self.up("--timeout=1")
        sock = self.connect()
        uri = b"test:///default"
        status, payload = call(sock, REMOTE, 1, payload=struct.pack(">2I", 1, len(uri)) + uri + b"\0" + struct.pack(">I", 0))
        if status:
            self.skipTest("no driver 'test': " + message_of(payload))
        sock.close()
        time.sleep(2.5)
        self.assertIsNone(process.poll())
        self.assertEqual(self.stop(process), 0)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("virsh"), "needs root, to become somebody else, and virsh")
    def test_started_on_demand(self):
        """A stock client starts a user's daemon when there is none."""
        os.chmod(self.dir, 0o755)
        for name in ("bin", "r"):
            os.mkdir(self.path(name))
        os.chown(self.path("r"), NOBODY, NOBODY)
        os.chown(self.dir, NOBODY, NOBODY)
        # The client runs $LIBVIRTD_PATH/libvirtd.
        with open(self.path("bin", "libvirtd"), "w", encoding="utf-8") as stream:
            stream.write(f"#!/bin/sh\nexec {VIREOD} --driver-dir {self.path('r')} \"$@\"\n")
        os.chmod(self.path("bin", "libvirtd"), 0o755)
        env = {"HOME": self.dir, "XDG_RUNTIME_DIR": self.path("r"), "PATH": os.environ["PATH"],
               "LIBVIRTD_PATH": self.path("bin")}
        done = subprocess.run(["virsh", "-c", "qemu:///session", "uri"], env=env, user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True, text=True, timeout=30, check=False)
        if not os.path.exists(self.path("r", "vireo", "vireod.pid")):
            self.skipTest("the build tree is closed to other users: " + done.stderr)
        with open(self.path("r", "vireo", "vireod.pid"), encoding="ascii") as stream:
            pid = int(stream.read())
        self.addCleanup(self.end, pid)
        self.assertIn("no driver for the scheme 'qemu'", done.stderr)
        with open(f"/proc/{pid}/cmdline", encoding="ascii") as stream:
            self.assertIn("--timeout=120", stream.read())

    def test_clients_at_the_end(self):
        process = self.up()
        socks = [self.connect() for _ in range(20)]
        self.assertEqual(self.stop(process), 0)
        for sock in socks:
            with self.assertRaises((EOFError, ConnectionResetError)):
                read_exactly(sock, 1)

    def manager(self):
        """The service manager's end of the notify socket."""
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.settimeout(PATIENCE)
        notify.bind(self.path("notify"))
        return notify

    def told(self, notify, beginning):
        """The first message that begins so; those before it."""
        before = []
        while True:
            message = notify.recv(1000).decode()
            if message.startswith(beginning):
                return message, before
            before.append(message)

    def activate(self, sockets, *options, names=None, more=":"):
        """Starts one as a service manager does, with sockets it has made: paths."""
        given = []
        for path in sockets:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(self.path(path))
            sock.listen()
            self.addCleanup(sock.close)
            given.append(sock)
        # The pid is only known to the new process itself: the shell hands it on.
        high = [os.dup2(sock.fileno(), 30 + i) for i, sock in enumerate(given)]
        moves = "exec" + "".join(f" {3 + i}<&{fd}" for i, fd in enumerate(high))# " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(high))
        env = dict(os.environ, NOTIFY_SOCKET=self.path("notify"))
        if names is not None:
            env["LISTEN_FDNAMES"] = names
        process = subprocess.Popen(
            [shutil.which("bash"), "-c", f"{moves}; export LISTEN_PID=$$ LISTEN_FDS={len(high)}; {more}; exec \"$@\"",
             "sh", VIREOD, "--root", self.dir, *options], stderr=subprocess.PIPE, text=True, pass_fds=high, env=env)
        self.running.append(process)
        for fd in high:
            os.close(fd)
        return process

    def test_service_manager(self):
        notify = self.manager()
        process = self.activate(["x-sock", "x-sock-ro", "x-admin-sock"])
        _, before = self.told(notify, "READY=1")
        self.assertTrue([line for line in before if re.match(r"EXTEND_TIMEOUT_USEC=\d+$", line)], before)
        self.told(notify, "STATUS=")
        self.assertEqual(call(self.connect(self.path("x-sock")), REMOTE, AUTH_LIST)[0], 0)
        self.assertEqual(call(self.connect(self.path("x-admin-sock")), ADMIN, 3)[0], 0)
        self.assertFalse(os.path.exists(self.path("run", "libvirt", "libvirt-sock")))
        with open(f"/proc/{process.pid}/environ", "rb") as stream:
            self.assertIn(b"LISTEN_FDS", stream.read())  # it was given; children do not see it
        process.send_signal(signal.SIGHUP)
        message, _ = self.told(notify, "RELOADING=1")
        self.assertRegex(message, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.told(notify, "READY=1")
        self.assertEqual(self.stop(process), 0)
        self.told(notify, "STOPPING=1")
        self.assertTrue(os.path.exists(self.path("x-sock")))

    def test_names_of_sockets(self):
        """A socket's name tells what it is for, whatever its path; without a known name the path does."""
        notify = self.manager()
        process = self.activate(["one", "two", "three-sock", "four-admin-sock"],
                                names="admin:ro:vireod.socket:unknown")
        self.told(notify, "READY=1")
        self.assertEqual(call(self.connect(self.path("one")), ADMIN, 3)[0], 0)
        self.assertEqual(call(self.connect(self.path("four-admin-sock")), ADMIN, 3)[0], 0)
        xml = struct.pack(">I", 4) + b"<x/>"
        uri = struct.pack(">2I", 1, 15) + b"test:///default\0" + struct.pack(">I", 0)
        for path, readonly in (("two", True), ("three-sock", False)):
            sock = self.connect(self.path(path))
            call(sock, REMOTE, AUTH_LIST)
            self.assertEqual(call(sock, REMOTE, OPEN, payload=uri)[0], 0)
            status, payload = call(sock, REMOTE, DEFINE_XML, 1, xml)
            self.assertEqual((status, "only" in message_of(payload)), (1, readonly), message_of(payload))
        self.assertEqual(self.stop(process), 0)

    def test_no_socket(self):
        """What is handed over and is no socket is named."""
        process = self.activate(["x-sock"], names="rw:mine", more="exec 4</dev/null; LISTEN_FDS=2")
        process.wait(PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertIn("descriptor 4 ('mine'), handed over by the service manager, is no UNIX socket",
                      process.stderr.read())

    def test_watchdog(self):
        notify = self.manager()
        process = self.activate(["x-sock"], more="export WATCHDOG_PID=$$ WATCHDOG_USEC=400000")
        self.told(notify, "WATCHDOG=1")
        self.told(notify, "WATCHDOG=1")
        self.assertEqual(self.stop(process), 0)
        process = self.activate([], more="export WATCHDOG_PID=1 WATCHDOG_USEC=400000")
        _, before = self.told(notify, "READY=1")
        time.sleep(1)
        self.assertEqual(self.stop(process), 0)
        _, between = self.told(notify, "STOPPING=1")
        self.assertNotIn("WATCHDOG=1", between)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_user(self):
        os.chmod(self.dir, 0o755)
        home = self.path("home")
        os.mkdir(home)
        os.chown(home, NOBODY, NOBODY)
        env = {"HOME": home, "XDG_RUNTIME_DIR": home + "/r", "PATH": os.environ["PATH"]}
        try:
            subprocess.run([VIREOD, "--version"], user=NOBODY, capture_output=True, check=True)
        except (PermissionError, subprocess.CalledProcessError):
            self.skipTest("the build tree is closed to other users")
        process = self.up(root=False, sock=home + "/r/libvirt/libvirt-sock", env=env, user=NOBODY, group=NOBODY,
                          extra_groups=[])
        self.assertEqual(sorted(os.listdir(home + "/r/libvirt")), ["libvirt-admin-sock", "libvirt-sock"])
        self.assertTrue(os.path.isdir(home + "/.local/state/vireo"))
        self.assertEqual(call(self.connect(home + "/r/libvirt/libvirt-sock"), REMOTE, AUTH_LIST)[0], 0)
        self.assertEqual(self.stop(process), 0)
        del env["XDG_RUNTIME_DIR"]
        process = self.start(root=False, env=env, user=NOBODY, group=NOBODY, extra_groups=[])
        process.wait(PATIENCE)
        self.assertIn("XDG_RUNTIME_DIR", process.stderr.read())


class Settings(Case):
    def test_mistakes(self):
        for text, said in (
                ("max_client = 3", "max_client: there is no such setting"),
                ("max_clients = many", "max_clients: 'many' is not a number from 1 to 1000000"),
                ("max_clients = 0", "max_clients: '0' is not a number"),
                ("auth_unix_rw = polkit", "auth_unix_rw: 'polkit' is not none"),
                ("unix_sock_rw_perms = rwx", "octal"),
                ("unix_sock_rw_perms = 7777", "octal"),
                ("unix_sock_group = no such group", "the name of a group"),
                ("compat_sockets = perhaps", "yes or no"),
                ("log_level = loud", "debug, info"),
                ("log_outputs = 3:nowhere", "log setting '3:nowhere'"),
                ("min_workers = 30", "min_workers: more than max_workers"),
                ("[more]\nx = 1", "more: there is no such section"),
                ("no equals sign", "cannot be read")):
            with self.subTest(text=text):
                self.assertIn(said, self.refused(self.config(text)))

    def test_sample(self):
        """The installed file with every line made effective is accepted."""
        with open(SAMPLE, encoding="utf-8") as stream:
            text = re.sub(r"^#(\w+ =.*|\[.*\])$", r"\1", stream.read(), flags=re.M)
        self.assertGreater(len(re.findall(r"^\w+ =", text, flags=re.M)), 20)
        with open(self.path("conf"), "w", encoding="utf-8") as stream:
            stream.write(text)
        self.assertEqual(self.stop(self.up("--config", self.path("conf"))), 0)

    def test_sample_is_complete(self):
        with open(SAMPLE, encoding="utf-8") as stream:
            of_daemon, of_driver = stream.read().split("#[driver NAME]")
        for text, file, function in ((of_daemon, "config.c", "read_"), (of_driver, "settings.c", "set_")):
            described = set(re.findall(r"^#(\w+) =", text, flags=re.M))
            with open(os.path.join(os.path.dirname(SAMPLE), "..", "core", "daemon", file), encoding="utf-8") as stream:
                known = set(re.findall(r'\{ ?"(\w+)", +' + function, stream.read()))
            self.assertGreater(len(known), 5)
            self.assertEqual(described, known)

    def wait_for_log(self, path, text):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
                if text in stream.read():
                    return
            time.sleep(0.02)
        self.fail(f"the log does not say '{text}'")

    def test_limits_and_reload(self):
        log = self.path("log")
        output = f"log_outputs = 1:file:{log}\n"
        process = self.up(self.config(output + "max_clients = 2\nmax_anonymous_clients = 2"))
        first, second, third = self.connect(), self.connect(), self.connect()
        call(first, REMOTE, AUTH_LIST)
        call(second, REMOTE, AUTH_LIST)
        third.sendall(packet(REMOTE, AUTH_LIST))
        third.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            third.recv(1)
        self.config(output + "max_clients = 0")
        process.send_signal(signal.SIGHUP)
        self.wait_for_log(log, "the old settings stay")
        with self.assertRaises(socket.timeout):
            third.recv(1)
        self.config(output + "max_clients = 3\nmax_anonymous_clients = 2")
        process.send_signal(signal.SIGHUP)
        third.settimeout(PATIENCE)
        self.assertEqual(len(read_exactly(third, 36)), 36)
        self.wait_for_log(log, "settings read again")
        self.assertEqual(self.stop(process), 0)

    def slow_call(self):
        """A call that takes half a minute if it may: what its error says, the error's number, and the seconds."""
        sock = self.connect()
        uri = b"test:///default?delay.connect_get_type=30s"
        call(sock, REMOTE, AUTH_LIST)
        call(sock, REMOTE, OPEN, 1, struct.pack(">II", 1, len(uri)) + uri.ljust((len(uri) + 3) // 4 * 4, b"\0") + bytes(4))
        begin = time.monotonic()
        status, reply = call(sock, REMOTE, GET_TYPE, 2)
        self.assertEqual(status, 1)
        return message_of(reply), struct.unpack(">I", reply[:4])[0], time.monotonic() - begin

    def test_timeout_of_calls(self):
        log = self.path("log")
        process = self.up(self.config(f"log_outputs = 1:file:{log}\nquery_timeout = 1"))
        message, number, seconds = self.slow_call()
        self.assertEqual(number, TIMEOUT)
        self.assertIn("query_timeout", message)
        self.assertLess(seconds, PATIENCE)
        self.config(f"log_outputs = 1:file:{log}\nquery_timeout = 3")
        process.send_signal(signal.SIGHUP)
        self.wait_for_log(log, "settings read again")
        self.assertGreater(self.slow_call()[2], 2)

    def test_log_file(self):
        log = self.path("log")
        process = self.up(self.config(f"log_outputs = 1:file:{log}\nlog_level = info"))
        self.wait_for_log(log, " info: vireod ")
        os.rename(log, log + ".1")
        process.send_signal(signal.SIGHUP)
        self.wait_for_log(log, "settings read again")
        self.assertEqual(self.stop(process), 0)
        with open(log, encoding="utf-8") as stream:
            self.assertIn("asked to stop", stream.read())
        self.assertEqual(process.stderr.read(), "")


@unittest.skipUnless(shutil.which("virt-admin"), "no virt-admin (package libvirt-clients)")
class Admin(Case):
    def admin(self, *command, fails=False):
        uri = "libvirtd:///system?socket=" + self.path("run", "libvirt", "libvirt-admin-sock")
        done = subprocess.run(["virt-admin", "-c", uri, *command], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode != 0, fails, done.stdout + done.stderr)
        return done.stderr if fails else done.stdout

    def fields(self, *command):
        return {k.strip(): v.strip() for k, v in (l.split(":", 1) for l in self.admin(*command).splitlines() if ":" in l)}

    def test_servers(self):
        self.up()
        self.assertEqual(re.findall(r"^ \d+ +(\w+)$", self.admin("server-list"), re.M), ["vireod", "admin"])
        self.assertIn("No server named 'x'", self.admin("server-clients-info", "x", fails=True))
        self.assertEqual(self.fields("server-threadpool-info", "libvirtd")["maxWorkers"], "20")
        self.admin("server-threadpool-set", "vireod", "--min-workers", "2", "--max-workers", "9", "--priority-workers", "1")
        info = self.fields("server-threadpool-info", "vireod")
        self.assertEqual((info["minWorkers"], info["maxWorkers"], info["prioWorkers"]), ("2", "9", "1"))
        self.assertIn("do not go together", self.admin("server-threadpool-set", "vireod", "--min-workers", "10", fails=True))
        self.assertIn("has no workers", self.admin("server-threadpool-set", "admin", "--min-workers", "1", fails=True))
        self.admin("server-clients-set", "vireod", "--max-clients", "33", "--max-unauth-clients", "11")
        limits = self.fields("server-clients-info", "vireod")
        self.assertEqual((limits["nclients_max"], limits["nclients_unauth_max"]), ("33", "11"))
        self.assertIn("do not go together", self.admin("server-clients-set", "vireod", "--max-clients", "5", fails=True))
        self.assertIn("no TLS", self.admin("server-update-tls", "vireod", fails=True))

    def test_clients(self):
        self.up()
        sock = self.connect(self.path("run", "libvirt", "libvirt-sock-ro"))
        call(sock, REMOTE, AUTH_LIST)
        rows = re.findall(r"^ (\d+) +unix ", self.admin("client-list", "vireod"), re.M)
        self.assertEqual(len(rows), 1)
        self.assertEqual(self.fields("server-clients-info", "vireod")["nclients"], "1")
        info = self.fields("client-info", "vireod", rows[0])
        self.assertEqual(info["readonly"], "yes")
        self.assertEqual(info["unix_user_id"], str(os.getuid()))
        self.assertEqual(info["unix_process_id"], str(os.getpid()))
        self.assertIn("No client with id '4711'", self.admin("client-info", "vireod", "4711", fails=True))
        self.admin("client-disconnect", "vireod", rows[0])
        with self.assertRaises(EOFError):
            read_exactly(sock, 1)
        self.assertEqual(len(re.findall(r"^ (\d+) +unix ", self.admin("client-list", "admin"), re.M)), 1)

    def test_log(self):
        self.up()
        self.assertIn("Logging outputs: 1:stderr", self.admin("daemon-log-outputs"))
        self.admin("daemon-log-outputs", "2:stderr 3:file:" + self.path("x"))
        self.assertIn("2:stderr 3:file:" + self.path("x"), self.admin("daemon-log-outputs"))
        self.assertTrue(os.path.exists(self.path("x")))
        self.admin("daemon-log-filters", "1:qemu 4:client")
        self.assertIn("1:qemu 4:client", self.admin("daemon-log-filters"))
        self.assertIn("expected LEVEL:WHERE", self.admin("daemon-log-filters", "qemu", fails=True))

    def test_end(self):
        process = self.up()
        self.admin("daemon-timeout", "--timeout", "1")
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_shut_down(self):
        process = self.up()
        sock = self.connect(self.path("run", "libvirt", "libvirt-admin-sock"))
        self.assertEqual(call(sock, ADMIN, 20, payload=struct.pack(">I", 0)), (0, b""))
        self.assertEqual(process.wait(PATIENCE), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_others_are_refused(self):
        self.up(self.config("unix_sock_admin_perms = 0777"))
        os.chmod(self.dir, 0o755)
        client = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "s.sendall(bytes.fromhex(sys.argv[2]))\nprint(s.recv(4096).hex())")
        done = subprocess.run(["/usr/bin/python3", "-c", client, self.path("run", "libvirt", "libvirt-admin-sock"),
                               packet(ADMIN, 3).hex()], user=NOBODY, capture_output=True, text=True, check=True)
        self.assertIn("only root", message_of(bytes.fromhex(done.stdout)[28:]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
