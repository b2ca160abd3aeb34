# SPDX-License-Identifier: LGPL-2.1-or-later
"""A driver in a process of its own that does what no driver should: who else notices, and what is said."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

import vireotest

try:
    import libvirt
except ImportError:
    vireotest.skip_file("no libvirt module (package python3-libvirt)")

vireotest.need_program("virsh", "libvirt-clients")
if vireotest.USE_LIBVIRTD:
    vireotest.skip_file("libvirt has no drivers in processes of their own within one daemon")

VIREO = os.path.join(vireotest.BUILD, "core", "cli", "vireo")
with open(os.path.join(vireotest.BUILD, "core", "daemon", "vireod"), "rb") as program:
    SANITIZED = b"__asan_init" in program.read()
if SANITIZED:       # a crash is to look like one
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_abort=0"
libvirt.registerErrorHandler(lambda *_: None, None)
libvirt.virEventRegisterDefaultImpl()


def run_events():
    while True:
        libvirt.virEventRunDefaultImpl()


threading.Thread(target=run_events, daemon=True).start()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_stopped(pid):
    def state(task):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0]
    return all(state(task) == "T" for task in os.listdir(f"/proc/{pid}/task"))


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        return dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)


def drain(stream):
    try:
        while stream.recv(4096):
            pass
    except libvirt.libvirtError:
        pass


class IsolationCase(unittest.TestCase):
    """A daemon per class, whose test driver is isolated and may be told to do harm."""

    conf = "[driver test]\nisolation = process\n"
    behaviour = "[behaviour]\nharm = yes\n"

    @classmethod
    def setUpClass(cls):
        vireotest.FILES.update({"vireod.conf": cls.conf, "test.conf": cls.behaviour})
        os.environ.update(LC_ALL="C.UTF-8", LANGUAGE="", HOME="/nonexistent")
        cls.daemon = vireotest.Daemon()
        cls.addClassCleanup(shutil.rmtree, cls.daemon.work, ignore_errors=True)
        cls.addClassCleanup(cls.end)

    @classmethod
    def end(cls):
        if cls.daemon.stop():
            raise AssertionError("vireod did not end in good order")
        with open(cls.daemon.log, encoding="utf-8") as stream:
            found = re.search(r"(Address|Leak)Sanitizer.*|.*runtime error:.*", stream.read())
        if found:
            raise AssertionError(f"a driver's process: {found[0]}")

    def setUp(self):
        self.daemon.restart()       # the delay before a start grows with every death
        self.pid = self.daemon.process.pid
        self.addCleanup(self.check_daemon)

    def check_daemon(self):
        self.assertIsNone(self.daemon.process.poll(), "the daemon has died")

    def uri(self, query="", path="/default"):
        base = self.daemon.uri("test", path)
        return f"{base}&{query}" if query else base

    def virsh(self, *args, query="", timeout=30):
        return subprocess.run(["virsh", "-q", "-c", self.uri(query), *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)

    def ok(self, *args, **kwargs):
        done = self.virsh(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def fails(self, *args, **kwargs):
        done = self.virsh(*args, **kwargs)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def open(self, query=""):
        conn = libvirt.open(self.uri(query))
        self.addCleanup(conn.close)
        return conn

    def driver(self, name="test"):
        done = subprocess.run([VIREO, "-c", self.uri(), "drivers", "--json"], stdout=subprocess.PIPE, text=True,
                              timeout=30, check=True)
        return {driver["name"]: driver for driver in json.loads(done.stdout)}[name]

    def wait_active(self, seconds=15, name="test"):
        return vireotest.wait_until(lambda: self.driver(name)["state"] == "ACTIVE" and self.driver(name), seconds,
                                    f"driver {name} serves again")


class Crashes(IsolationCase):
    def setUp(self):
        super().setUp()
        self.ok("list")
        self.before = self.driver()

    def check_healed(self):
        after = self.wait_active()
        self.assertGreater(after["starts"], self.before["starts"])
        self.assertNotEqual(after["pid"], self.before["pid"])
        self.assertFalse(is_alive(self.before["pid"]))
        self.assertEqual(self.ok("list", "--all", "--name"), "test")

    def harm(self, how, words, op="domain_suspend", command=("suspend", "test")):
        said = self.fails(*command, query=f"harm.{op}={how}")
        self.assertRegex(said, words)
        self.assertIn("driver 'test'", said)
        self.assertRegex(said, r"starts again in \d+ s")
        self.check_healed()

    def test_it_is_shown_where_a_driver_runs(self):
        self.assertEqual(self.before["isolation"], "process")
        self.assertTrue(is_alive(self.before["pid"]))
        self.assertNotEqual(self.before["pid"], self.pid)
        shown = subprocess.run([VIREO, "-c", self.uri(), "driver", "test"], stdout=subprocess.PIPE, text=True, check=True)
        self.assertRegex(shown.stdout, r"Isolation:? +process")
        self.assertIn(str(self.before["pid"]), shown.stdout)
        self.assertEqual(self.driver("qemu")["isolation"], "in-process")
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as stream:
            self.assertNotIn("plugins/test.so", stream.read(), "the daemon has the module's code")

    def test_segfault(self):
        self.harm("segfault", r"ended by signal 11 \(SIGSEGV\) during domain-suspend of 'test'")

    def test_abort(self):
        self.harm("abort", r"ended by signal 6 \(SIGABRT\) during domain-suspend of 'test'")

    def test_exit(self):
        self.harm("exit", r"ended with status 7 during domain-suspend of 'test'")

    def test_closed_channel(self):
        self.harm("close", r"ended with status 0 during domain-suspend|did not end, so it was ended during")

    def test_garbage_on_the_channel(self):
        self.harm("garbage", r"was cut off: it sent what is no message")

    def test_result_of_garbage(self):
        self.harm("pointer", r"ended by signal (11 \(SIGSEGV\)|6 \(SIGABRT\)|7 \(SIGBUS\)) during connect-get-type|"
                  r"ended with status 1 during connect-get-type", op="connect_get_type", command=("version",))

    def test_killed_from_outside(self):
        os.kill(self.before["pid"], signal.SIGKILL)
        vireotest.wait_until(lambda: self.driver()["state"] == "QUARANTINED", 5, "the death is noticed")
        self.assertIn("signal 9 (SIGKILL)", self.driver()["reason"])
        self.check_healed()

    def test_flood_of_the_log(self):
        self.ok("suspend", "test", query="harm.domain_suspend=flood")
        self.ok("resume", "test")
        with open(self.daemon.log, encoding="utf-8") as stream:
            lines = stream.read().count("told to flood: line")
        self.assertLess(lines, 1500, "20000 lines were written, and all of them logged")
        self.assertGreater(lines, 100)
        self.assertEqual(self.driver()["pid"], self.before["pid"])

    def test_leaked_threads(self):
        threads = int(status(self.pid)["Threads"])
        self.ok("suspend", "test", query="harm.domain_suspend=leak")
        self.ok("resume", "test")
        self.assertGreater(int(status(self.before["pid"])["Threads"]), 50)
        self.assertLess(int(status(self.pid)["Threads"]), threads + 10)

    def test_hanging_call(self):
        """One call never returns: others are served, and killing the process answers it."""
        said = []
        thread = threading.Thread(target=lambda: said.append(self.fails("suspend", "test", query="harm.domain_suspend=hang")))
        thread.start()
        time.sleep(0.5)
        self.assertEqual(self.ok("list", "--name"), "test")
        self.assertEqual(self.ok("domstate", "test"), "paused")
        self.assertEqual(self.ok("vcpucount", "test", "--maximum", "--config"), "2")
        self.assertTrue(thread.is_alive())
        os.kill(self.before["pid"], signal.SIGKILL)
        thread.join(10)
        self.assertIn("during domain-suspend of 'test'", said[0])
        self.check_healed()


    def test_failure_without_an_error(self):
        self.assertIn("domain_suspend failed without giving a reason", self.fails("suspend", "test", query="harm.domain_suspend=silence"))
        self.assertEqual(self.driver()["pid"], self.before["pid"])

    def test_stopped_process(self):
        """One that does nothing at all: what is published is answered, and the daemon can end."""
        domain = self.open().lookupByName("test")
        os.kill(self.before["pid"], signal.SIGSTOP)
        with self.assertRaises(subprocess.TimeoutExpired):
            self.virsh("suspend", "test", timeout=2)
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        self.daemon.restart()
        self.pid = self.daemon.process.pid
        self.assertFalse(is_alive(self.before["pid"]))
        self.assertEqual(self.ok("list", "--name"), "test")


class Survivors(IsolationCase):
    """What clients had before is theirs after."""

    def setUp(self):
        super().setUp()
        self.conn = self.open()
        self.before = self.driver()

    def crash(self):
        os.kill(self.before["pid"], signal.SIGKILL)
        vireotest.wait_until(lambda: not is_alive(self.before["pid"]), 5, "it is dead")

    def test_connection_and_handle(self):
        domain = self.conn.lookupByName("test")
        self.crash()
        self.wait_active()
        self.assertTrue(self.conn.isAlive())
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        domain.suspend()
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_PAUSED)
        domain.resume()

    def test_events(self):
        seen = []
        handle = self.conn.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lambda _conn, domain, event, detail, _opaque: seen.append((domain.name(), event, detail)), None)
        self.addCleanup(self.conn.domainEventDeregisterAny, handle)
        self.conn.defineXML("<domain type='test'><name>gone</name><memory>1024</memory><os><type>hvm</type></os></domain>")
        vireotest.wait_until(lambda: ("gone", libvirt.VIR_DOMAIN_EVENT_DEFINED, 0) in seen, 5, "defined")
        self.crash()
        # A driver that keeps nothing has lost it; whoever listens is told.
        vireotest.wait_until(lambda: any(name == "gone" and event == libvirt.VIR_DOMAIN_EVENT_UNDEFINED
                                         for name, event, _ in seen), 10, "the loss is reported")
        self.wait_active()
        self.assertFalse([event for event in seen if event[0] == "test"], "nothing happened to this one")
        self.conn.lookupByName("test").suspend()
        vireotest.wait_until(lambda: ("test", libvirt.VIR_DOMAIN_EVENT_SUSPENDED, 0) in seen, 5, "the callback lives")
        self.conn.lookupByName("test").resume()

    def test_calls_under_way(self):
        """They are answered at once, with what happened; so are calls made until the next start."""
        slow, failed = self.open("delay.domain_suspend=20s"), []

        def suspend():
            try:
                slow.lookupByName("test").suspend()
            except libvirt.libvirtError as error:
                failed.append((time.monotonic(), error))

        thread = threading.Thread(target=suspend)
        thread.start()
        time.sleep(0.4)
        begin = time.monotonic()
        self.crash()
        thread.join(10)
        when, error = failed[0]
        self.assertLess(when - begin, 3)
        self.assertEqual(error.get_error_code(), libvirt.VIR_ERR_OPERATION_FAILED)
        self.assertIn("SIGKILL", str(error))
        self.assertIn("during domain-suspend of 'test'", str(error))
        with self.assertRaises(libvirt.libvirtError) as refused:
            self.conn.lookupByName("test")
        self.assertIn("QUARANTINED", str(refused.exception))
        self.assertRegex(str(refused.exception), r"SIGKILL\).*starts again in \d+ s")
        self.wait_active()
        self.assertEqual(self.conn.lookupByName("test").state()[0], libvirt.VIR_DOMAIN_RUNNING)

    def test_stream(self):
        """A console that the driver kept ends with it, and the next one opens."""
        domain = self.conn.lookupByName("test")
        for again in (True, False):
            stream = self.conn.newStream()
            domain.openConsole(None, stream)
            stream.send(b"hello\n")
            self.assertTrue(stream.recv(64))
            if again:
                self.crash()
                ended = threading.Event()
                threading.Thread(target=lambda s=stream: (drain(s), ended.set()), daemon=True).start()
                self.assertTrue(ended.wait(5), "whoever reads it waits for ever")
                self.wait_active()
            else:
                stream.abort()

    def test_it_waits_longer_each_time(self):
        delays = []
        for _ in range(3):
            pid = self.wait_active(20)["pid"]
            os.kill(pid, signal.SIGKILL)
            vireotest.wait_until(lambda: self.driver()["state"] == "QUARANTINED", 5, "the death is noticed")
            delays.append(int(re.search(r"again in (\d+) s", self.driver()["reason"]).group(1)))
        self.assertEqual(delays[1:], [2 * delays[0], 4 * delays[0]])

    def test_cancelled_with_its_client(self):
        """A client that goes away takes its call with it, also in another process."""
        script = (f"import libvirt; libvirt.open({self.uri('delay.domain_suspend=60s')!r})"
                  ".lookupByName('test').suspend()")
        client = subprocess.Popen(["/usr/bin/python3", "-c", script], stderr=subprocess.DEVNULL)
        time.sleep(1)
        client.kill()
        client.wait()
        begin = time.monotonic()
        self.conn.lookupByName("test").suspend()     # waits behind it
        self.assertLess(time.monotonic() - begin, 5)
        self.conn.lookupByName("test").resume()

    def test_many_at_once(self):
        """More calls at once than there are threads for them."""
        conns = [self.open("delay.node_get_info=1s") for _ in range(30)]
        results = []
        threads = [threading.Thread(target=lambda c=conn: results.append(c.getInfo()))
                   for conn in conns]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(len(results), 30)
        self.assertLess(time.monotonic() - begin, 8)

    def test_large_results(self):
        """Documents larger than a packet cross whole."""
        text = "x" * 300000
        xml = (f"<domain type='test'><name>large</name><description>{text}</description><memory>1024</memory>"
               "<os><type>hvm</type></os></domain>")
        domain = self.conn.defineXML(xml)
        self.assertIn(text, domain.XMLDesc())
        domain.undefine()


class Neighbours(IsolationCase):
    """Another driver of the same daemon, with a guest that runs."""

    def test_another_drivers_guest_and_client(self):
        if not shutil.which("qemu-system-x86_64"):
            self.skipTest("no qemu-system-x86_64 (package qemu-system-x86)")
        other = libvirt.open(self.daemon.uri())
        self.addCleanup(other.close)
        guest = other.createXML(vireotest.NANO_XML.format(name="neighbour", uuid="", memory=16, vcpus=1, disks="",
                                                          balloon="none", devices=""))
        self.addCleanup(guest.destroy)
        events = []
        other.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *args: events.append(args), None)
        worst, stop = [0.0], threading.Event()

        def look():
            while not stop.is_set():
                begin = time.monotonic()
                guest.info()
                other.lookupByName("neighbour")
                worst[0] = max(worst[0], time.monotonic() - begin)

        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(2):
            self.ok("list")
            self.wait_active()
            self.assertIn("SIGSEGV", self.fails("suspend", "test", query="harm.domain_suspend=segfault"))
            self.wait_active()
        stop.set()
        thread.join()
        self.assertLess(worst[0], 1.0, "its client had to wait")
        self.assertEqual(guest.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        self.assertEqual(events, [])


class Silence(IsolationCase):
    """A driver's process that gives no sign of life."""

    conf = "[driver test]\nisolation = process\nalive_timeout = 2\n"

    def setUp(self):
        super().setUp()
        self.ok("list")
        self.before = self.driver()

    def test_stopped(self):
        """A call to it fails in time, and says why; it is started again."""
        guest = self.open().lookupByName("test")
        os.kill(self.before["pid"], signal.SIGSTOP)
        vireotest.wait_until(lambda: is_stopped(self.before["pid"]), 10, "it stands still")
        began = time.monotonic()
        with self.assertRaises(libvirt.libvirtError) as raised:
            guest.suspend()
        self.assertLess(time.monotonic() - began, 15)
        self.assertRegex(str(raised.exception), r"driver 'test': it has not answered for 2 s, so its process was ended "
                               r"during domain-suspend of 'test'; starts again in 1 s")
        after = self.wait_active()
        self.assertEqual(after["starts"], self.before["starts"] + 1)
        self.assertFalse(is_alive(self.before["pid"]), "the stopped process is still there")
        guest.suspend()
        self.assertEqual(guest.state()[0], libvirt.VIR_DOMAIN_PAUSED)

    def test_slow_calls(self):
        """The driver's own functions may take as long as they like, as many as there are."""
        threads = [threading.Thread(target=self.virsh, args=("suspend", "test"),
                                    kwargs={"query": "harm.domain_suspend=hang"}) for _ in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(5)
        self.assertTrue(all(thread.is_alive() for thread in threads))
        self.assertEqual((self.driver()["state"], self.driver()["pid"]), ("ACTIVE", self.before["pid"]))
        os.kill(self.before["pid"], signal.SIGKILL)
        for thread in threads:
            thread.join(20)
            self.assertFalse(thread.is_alive())


class Beginnings(IsolationCase):
    """A driver that does not get through its init."""

    conf = "[driver test]\nisolation = process\ninit_timeout = 1\n"

    def begin(self, how):
        trigger = os.path.join(self.daemon.work, "trigger")
        with open(trigger, "w", encoding="utf-8"):
            pass
        vireotest.FILES["test.conf"] = f"[behaviour]\nharm = yes\ninit = {how}\nwhile = {trigger}\n"
        self.daemon.restart()
        said = self.fails("list")
        os.unlink(trigger)
        return said

    def check_recovery(self, how, words):
        said = self.begin(how)
        self.assertRegex(said, words)
        self.assertIn("QUARANTINED", said)
        self.wait_active()
        self.assertEqual(self.ok("list", "--name"), "test")

    def test_segfault(self):
        self.check_recovery("segfault", r"ended by signal 11 \(SIGSEGV\); starts again in 1 s")

    def test_exit(self):
        self.check_recovery("exit", "ended with status 7; starts again")

    def test_hang(self):
        self.check_recovery("hang", "init has not returned after 1 s, so its process was ended; starts again")

    def test_garbage(self):
        self.check_recovery("garbage", "was cut off: it sent what is no message")

    def test_refusal(self):
        """A driver that says no is believed, as one in the daemon's process is."""
        self.assertIn("FAILED_INIT: driver 'test' did not start: told to fail in init", self.begin("fail"))
        time.sleep(1.5)
        self.assertEqual(self.driver()["state"], "FAILED_INIT")
        self.assertEqual(self.driver()["pid"], 0)


def is_reachable(path, uid=65534):
    """Whether that user can run what is in there."""
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "test", "-x", path],
                          check=False).returncode == 0


class Confinement(IsolationCase):
    memory = 0 if SANITIZED else 512      # a sanitizer takes terabytes, of which it uses little
    conf = f"[driver test]\nisolation = process\nuser = nobody\nmemory_max = {memory}\ndeny = mount, kexec\n"

    @classmethod
    def setUpClass(cls):
        if os.geteuid() == 0 and not is_reachable(vireotest.BUILD):
            raise unittest.SkipTest(f"a driver's user cannot reach {vireotest.BUILD}: build where others can go, too")
        super().setUpClass()

    def test_user_and_limits(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a driver another user")
        self.assertEqual(self.ok("list", "--name"), "test")
        driver = self.driver()
        about = status(driver["pid"])
        self.assertEqual(driver["user"], "nobody")
        self.assertEqual(set(about["Uid"].split()), {"65534"})
        self.assertEqual((about["NoNewPrivs"], about["Seccomp"]), ("1", "2"))
        if self.memory:
            with open(f"/proc/{driver['pid']}/limits", encoding="utf-8") as stream:
                self.assertRegex(stream.read(), rf"Max data size +{self.memory << 20} ")
        self.assertEqual(os.stat(os.path.join(self.daemon.root, "var", "lib", "vireo", "test")).st_uid, 65534)

    def test_daemon_is_killed(self):
        """Its drivers' processes end with it, and the next daemon has its own."""
        self.ok("list")
        before = self.driver()["pid"]
        self.daemon.kill()
        vireotest.wait_until(lambda: not is_alive(before), 10, "the driver's process ends with the daemon")
        self.daemon.start_vireod()
        self.assertEqual(self.ok("list", "--name"), "test")
        self.assertNotEqual(self.driver()["pid"], before)

    def test_stop_takes_the_process_along(self):
        self.ok("list")
        before = self.driver()["pid"]
        begin = time.monotonic()
        self.daemon.restart()
        self.assertLess(time.monotonic() - begin, 5)
        self.assertFalse(is_alive(before))


class Liars(unittest.TestCase):
    """Modules with faults of their own are named for them, as in the daemon's process."""

    FAULTS = {
        "good": ("ACTIVE", ""),
        "duplicate-op": ("REFUSED_ABI", "has operation domain-undefine-flags twice"),
        "lacks-open": ("REFUSED_ABI", "lacks operation conn-open"),
        "twice-flag": ("REFUSED_ABI", "flag NVRAM of domain-undefine-flags both native and trivial"),
        "other-op": ("REFUSED_ABI", "row 1 is conn-close in its note, domain-create in its table"),
        "other-mask": ("REFUSED_ABI", "its note and its table have other flags for domain-undefine-flags"),
        "null-slot": ("REFUSED_ABI", "domain-undefine-flags has no function"),
        "undefined-symbol": ("FAILED_LINK", "undefined symbol: nobody_defines_this"),
        "missing-library": ("FAILED_LINK", "libvireo-test-gone.so.9"),
        "init-exits": ("FAILED_INIT", "init called exit(7)"),
        "init-fails": ("FAILED_INIT", "did not start"),
    }

    def test_each_is_named(self):
        work = vireotest.make_work_dir()
        self.addCleanup(shutil.rmtree, work)
        modules = os.path.join(work, "modules")
        os.mkdir(modules, 0o755)
        for name in self.FAULTS:
            shutil.copy(os.path.join(vireotest.BUILD, "tests", "unit", "loader", "modules", name + ".so"), modules)
        vireotest.FILES.update({"vireod.conf": "[vireod]\ndefault_isolation = process\n"})
        vireotest.ARGS[:] = ["--driver-dir", modules]
        self.addCleanup(vireotest.ARGS.clear)
        daemon = vireotest.Daemon()
        self.addCleanup(shutil.rmtree, daemon.work, ignore_errors=True)
        self.addCleanup(daemon.stop)
        command = [VIREO, "--socket", os.path.join(daemon.root, "run", "vireo", "vireo-sock"), "--json"]
        found = json.loads(subprocess.check_output([*command, "drivers"], text=True))
        self.assertEqual(len(found), len(self.FAULTS))
        for driver in found:
            if driver["schemes"]:
                subprocess.run([*command, "-c", driver["schemes"].split(",")[0] + ":///", "list"], check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
        for driver in json.loads(subprocess.check_output([*command, "drivers"], text=True)):
            state, words = self.FAULTS[os.path.basename(driver["path"])[:-3]]
            with self.subTest(driver["path"]):
                self.assertEqual(driver["state"], state)
                self.assertIn(words, driver["reason"])
                self.assertEqual(bool(driver["pid"]), state == "ACTIVE")


class Mistakes(unittest.TestCase):
    """The daemon says what is wrong with the settings, and does not start."""

    def check(self, text, *words):
        work = vireotest.make_work_dir()
        self.addCleanup(shutil.rmtree, work)
        vireotest.write_setting(work, "vireod.conf", text)
        program = os.path.join(vireotest.BUILD, "core", "daemon", "vireod")
        done = subprocess.run([program, "--root", work], stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_settings(self):
        self.check("[vireod]\ndefault_isolation = maybe\n", "default_isolation", "in-process or process")
        self.check("[driver test]\nisolation = maybe\n", "isolation", "'maybe' is not in-process or process")
        self.check("[driver test]\nuser = no-such-user\n", "user", "no-such-user")
        self.check("[driver test]\nmemory_max = lots\n", "memory_max", "MiB")
        self.check("[driver test]\ndeny = kexec, sleep\n", "deny", "'sleep' is none of clock, kexec")
        self.check("[driver test]\ninit_timeout = 0\n", "init_timeout", "seconds")
        self.check("[driver test]\nalive_timeout = soon\n", "alive_timeout", "'soon' is not a number of seconds")
        self.check("[driver test]\ncolour = red\n", "colour", "there is no such setting of a driver")


if __name__ == "__main__":
    vireotest.main()
