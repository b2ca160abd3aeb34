# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the client tests share: a daemon per file, virsh, small guests and their serial line.

A test file runs against

* the vireod of the build tree (VIREO_BUILD, or build/ of this checkout), on a root of its own;
* `--libvirtd`: Debian's libvirtd, started by tests/peers/libvirtd-private: the proof that a test asks
  for what users know;
* VIREO_TEST_SOCKET=PATH: a daemon that is already there.

VIREO_TEST_ISOLATION=process runs every driver of that vireod in a process of its own.

Tests that hold for Vireo only are marked with @vireo_only and say why.
"""
import atexit
import functools
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty
import unittest
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("VIREO_BUILD", os.path.join(TOP, "build"))
PEER = os.path.join(TOP, "tests", "peers", "libvirtd-private")
NANO = os.path.join(BUILD, "tests", "guest", "nano.raw")
EXIT_SKIP = 77
START_SECONDS = 20

# Drivers that daemons of their own run, behind the one under test.
BEHIND = os.environ.get("VIREO_TEST_BEHIND", "").split()
SCHEME = "qemu"  # of the URI, set before the daemon is first asked for
ARGS = []    # further arguments of vireod, set before the daemon is first asked for
ENV = {}     # the same: what is added to its environment
FILES = {}   # the same: files below etc/vireo, name -> text
USE_LIBVIRTD = "--libvirtd" in sys.argv
if USE_LIBVIRTD:
    sys.argv.remove("--libvirtd")


def skip_file(reason):
    print(f"SKIP: {reason}")
    sys.exit(EXIT_SKIP)


def need_program(name, package):
    if not shutil.which(name):
        skip_file(f"{name} is missing (package {package})")


def make_work_dir(parent="/tmp"):
    """A short path, open to a QEMU that does not run as root."""
    path = tempfile.mkdtemp(prefix="vt.", dir=parent)
    os.chmod(path, 0o755)
    return path


def give_qemu_a_user(root):
    """Where no package has made a user for QEMU, it runs as nobody."""
    for name in ("vireo-qemu", "libvirt-qemu"):
        try:
            pwd.getpwnam(name)
            return
        except KeyError:
            pass
    write_setting(root, "qemu.conf", "[process]\nuser = nobody\ngroup = nogroup\n")


def write_setting(root, name, text):
    folder = os.path.join(root, "etc", "vireo")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
        stream.write(text)


def isolate_drivers(root):
    """VIREO_TEST_ISOLATION=process: the same tests with each driver in a process of its own."""
    how = os.environ.get("VIREO_TEST_ISOLATION")
    if how and not os.path.exists(os.path.join(root, "etc", "vireo", "vireod.conf")):
        write_setting(root, "vireod.conf", f"[vireod]\ndefault_isolation = {how}\n")


def connects(path):
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(path)
        return True
    except OSError:
        return False
    finally:
        client.close()


def wait_until(condition, seconds=10, what="condition"):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.03)


class Daemon:
    """The daemon under test. One per file, see the functions below it; more for those who make them."""

    def __init__(self, work=None):
        self.work = work or make_work_dir()
        self.process = None
        self.behind = []
        self.peer_dir = None
        self.socket = os.environ.get("VIREO_TEST_SOCKET")
        self.is_vireo = not USE_LIBVIRTD and not os.environ.get("VIREO_TEST_LIBVIRTD")
        if self.socket:
            return
        if USE_LIBVIRTD:
            self.start_libvirtd()
        else:
            self.root = os.path.join(self.work, "r")
            self.start_vireod()

    def start_libvirtd(self):
        self.peer_dir = os.path.join(self.work, "d")
        done = subprocess.run([PEER, "start", self.peer_dir], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == EXIT_SKIP:
            skip_file("libvirtd cannot be started here")
        if done.returncode:
            sys.exit("libvirtd did not start")
        self.socket = done.stdout.strip()

    def start_vireod(self):
        program = os.path.join(BUILD, "core", "daemon", "vireod")
        if not os.path.exists(program):
            sys.exit(f"{program} is not built")
        os.makedirs(self.root, exist_ok=True)
        give_qemu_a_user(self.root)
        for name, text in FILES.items():
            write_setting(self.root, name, text)
        isolate_drivers(self.root)
        self.log = os.path.join(self.work, "vireod.log")
        with open(self.log, "ab") as log:
            def launch(*options):
                return subprocess.Popen([program, "--root", self.root, *options, *ARGS], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env={**os.environ, **ENV})
            for driver in BEHIND:
                self.behind.append(launch(f"--driver={driver}"))
                wait_until(lambda name=driver: connects(os.path.join(self.root, "run", "libvirt", f"virt{name}d-sock")),
                           START_SECONDS, f"the daemon of driver {driver} serves")
            self.process = launch()
        self.socket = os.path.join(self.root, "run", "libvirt", "libvirt-sock")
        end = time.monotonic() + START_SECONDS
        while not connects(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                self.show_log()
                self.stop()
                sys.exit(f"vireod did not open {self.socket}")
            time.sleep(0.02)

    def show_log(self):
        if self.process:
            with open(self.log, encoding="utf-8", errors="replace") as stream:
                print("vireod said:\n" + stream.read()[-4000:], file=sys.stderr)

    def kill(self):
        """kill -9, as an accident would."""
        while self.behind:
            process = self.behind.pop()
            process.kill()
            process.wait()
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        elif self.peer_dir:
            with open(os.path.join(self.peer_dir, "pid"), encoding="utf-8") as stream:
                os.kill(int(stream.read()), signal.SIGKILL)

    def stop(self):
        while self.behind:
            process = self.behind.pop()
            process.terminate()
            process.wait(20)
        if self.process:
            self.process.terminate()
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                code = self.process.wait()
            self.process = None
            if code not in (0, -signal.SIGTERM):
                with open(self.log, encoding="utf-8", errors="replace") as stream:
                    print("vireod said:\n" + stream.read()[:12000], file=sys.stderr)
                print(f"vireod ended with {code}", file=sys.stderr)
                return code
        if self.peer_dir:
            subprocess.run([PEER, "stop", self.peer_dir], check=False)
        return 0

    def revive_peer(self):
        """libvirtd may crash where we do not; its own tests after that must still run."""
        if self.peer_dir and not connects(self.socket):
            print("libvirtd has crashed and is started again", file=sys.stderr)
            self.start_libvirtd()
            for name in _names(self):
                _run(self, ["undefine", name, "--snapshots-metadata"])

    def restart(self):
        self.stop()
        self.start_vireod()

    def uri(self, scheme=None, path="/system"):
        return f"{scheme or SCHEME}+unix://{path}?socket={self.socket}"


_DAEMON = None


def daemon():
    """The daemon of this file, started when first asked for."""
    global _DAEMON
    if _DAEMON is None:
        os.environ.update(LC_ALL="C.UTF-8", LANGUAGE="", HOME="/nonexistent")
        _DAEMON = Daemon()
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = _DAEMON.work
        atexit.register(_finish)
    return _DAEMON


def _finish():
    global _DAEMON
    if _DAEMON is None:
        return
    this, _DAEMON = _DAEMON, None
    for name in _names(this):
        _run(this, ["destroy", name])
        _run(this, ["undefine", name, "--snapshots-metadata", "--checkpoints-metadata", "--managed-save"])
    code = this.stop()
    shutil.rmtree(this.work, ignore_errors=True)
    if code:
        os._exit(1)


def _run(this, args, uri=None, readonly=False, timeout=60, options=(), **kwargs):
    command = ["virsh", "-q", "-c", uri or this.uri()] + (["-r"] if readonly else []) + list(options) + list(args)
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout, check=False, **kwargs)


def _names(this):
    return _run(this, ["list", "--all", "--name"]).stdout.split()


def vireo_only(reason):
    def mark(function):
        @functools.wraps(function)
        def run(self, *args):
            if not daemon().is_vireo:
                self.skipTest("Vireo only: " + reason)
            return function(self, *args)
        return run
    return mark


NANO_XML = """<domain type='qemu'>
  <name>{name}</name>{uuid}
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{vcpus}</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/><apic/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    {disks}
    <serial type='pty'/>
    <memballoon model='{balloon}'/>
    {devices}
  </devices>
</domain>
"""


def disk_xml(path, target, kind="qcow2", bus="virtio", boot=None):
    order = f"<boot order='{boot}'/>" if boot else ""
    return (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
            f"<target dev='{target}' bus='{bus}'/>{order}</disk>")


class Nano:
    """Talks to the nano guest (tests/guest/README.md) through its pty."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd, termios.TCSANOW)
        self.seen = b""

    def close(self):
        os.close(self.fd)

    def expect(self, text, seconds=15):
        wanted = text.encode()
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"guest did not say {text!r} but {self.seen!r}")
            if select.select([self.fd], [], [], min(left, 0.5))[0]:
                try:
                    self.seen += os.read(self.fd, 4096)
                except (BlockingIOError, OSError):
                    time.sleep(0.05)
        self.seen = self.seen[self.seen.index(wanted) + len(wanted):]

    def expect_off(self):
        """Its last words; they may be lost when QEMU hangs up at once."""
        end = time.monotonic() + 15
        while b"OFF nano" not in self.seen:
            if time.monotonic() > end:
                raise AssertionError(f"guest did not power off but said {self.seen!r}")
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            for _, events in poll.poll(200):
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    pass
                if events & (select.POLLHUP | select.POLLERR):
                    return

    def send(self, text):
        os.write(self.fd, text.encode())

    def ask(self, text, answer, seconds=15):
        self.send(text)
        self.expect(answer, seconds)

    def wake(self):
        """Waits until the guest answers: it is up and runs."""
        end = time.monotonic() + 20
        while True:
            self.send("g")
            try:
                self.expect("M=", 0.5)
                return
            except AssertionError:
                if time.monotonic() > end:
                    raise


class VirshCase(unittest.TestCase):
    """Base of the tests that drive virsh. Domains defined here go away with the test."""

    maxDiff = None

    def setUp(self):
        self.daemon = daemon()
        self.daemon.revive_peer()
        self.work = tempfile.mkdtemp(prefix="t.", dir=self.daemon.work)
        os.chmod(self.work, 0o755)
        self.addCleanup(self.sweep)
        self.lines = []

    def sweep(self):
        for line in self.lines:
            line.close()
        for name in _names(self.daemon):
            self.virsh_raw("destroy", name)
            self.virsh_raw("undefine", name, "--snapshots-metadata", "--checkpoints-metadata", "--managed-save")

    # virsh

    def virsh_raw(self, *args, **kwargs):
        return _run(self.daemon, args, **kwargs)

    def virsh(self, *args, **kwargs):
        """Must succeed; returns what it printed, without blank lines around."""
        done = self.virsh_raw(*args, **kwargs)
        if done.returncode:
            self.fail(f"virsh {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip("\n")

    def virsh_fails(self, *args, **kwargs):
        """Must fail with a message; returns it."""
        done = self.virsh_raw(*args, **kwargs)
        if done.returncode == 0:
            self.fail(f"virsh {' '.join(args)} should have failed; it said {done.stdout.strip()}")
        self.assertIn("error:", done.stderr)
        return done.stderr.strip()

    def names(self, *args):
        return sorted(self.virsh(*args).split())

    def state(self, name):
        return self.virsh("domstate", name)

    def state_reason(self, name):
        """('running', 'booted')"""
        state, _, reason = self.virsh("domstate", name, "--reason").partition(" (")
        return state, reason.rstrip(")")

    def wait_state(self, name, state, seconds=20):
        wait_until(lambda: self.state(name) == state, seconds, f"{name} is {state}")

    def info(self, name):
        """dominfo as a dictionary."""
        pairs = (line.partition(":") for line in self.virsh("dominfo", name).splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs}

    def xml(self, name, *flags):
        return ElementTree.fromstring(self.virsh("dumpxml", name, *flags))

    # guests

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def empty_disk(self, name, size="1M"):
        path = os.path.join(self.work, name)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True)
        os.chmod(path, 0o666)
        return path

    def nano_disk(self, name):
        path = os.path.join(self.work, name)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", NANO, path], check=True)
        os.chmod(path, 0o666)
        return path

    def two_disks(self):
        """Boot order for both: SeaBIOS leaves alone a disk that it is not told to try."""
        return [disk_xml(self.nano_disk("one.qcow2"), "vda", boot=1),
                disk_xml(self.empty_disk("two.qcow2"), "vdb", boot=2)]

    def nano_xml(self, name, disks=None, devices="", memory=16, vcpus=1, uuid="", balloon="none"):
        if disks is None:
            disks = [disk_xml(self.nano_disk(f"{name}.qcow2"), "vda")]
        return NANO_XML.format(name=name, disks="".join(disks), devices=devices, memory=memory, vcpus=vcpus,
                               balloon=balloon, uuid=f"<uuid>{uuid}</uuid>" if uuid else "")

    def define(self, name, **kwargs):
        """Defines a nano guest and returns its name."""
        self.virsh("define", self.write(f"{name}.xml", self.nano_xml(name, **kwargs)))
        return name

    def define_diskless(self, name, **kwargs):
        return self.define(name, disks=[], **kwargs)

    def line(self, name):
        """The guest's serial line; it must be running or paused."""
        path = self.xml(name).find("devices/serial/source").get("path")
        line = Nano(path)
        self.lines.append(line)
        return line

    def start(self, name):
        """Starts the guest, waits until it is up, returns its serial line."""
        self.virsh("start", name)
        line = self.line(name)
        line.wake()
        return line

    def disk_snapshots(self, path):
        out = subprocess.run(["qemu-img", "snapshot", "-U", "-l", path], stdout=subprocess.PIPE, text=True, check=True)
        return sorted(row.split()[1] for row in out.stdout.splitlines() if row[:1].isdigit())


def main():
    need_program("virsh", "libvirt-clients")
    need_program("qemu-img", "qemu-utils")
    if not os.path.exists(NANO):
        sys.exit(f"{NANO} is not built")
    if USE_LIBVIRTD:
        daemon()  # outside of any test, so that a missing libvirtd skips the file
    unittest.main(module="__main__", verbosity=2 if os.environ.get("VERBOSE") else 1)
