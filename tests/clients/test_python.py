# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt-python: error codes, lists, events, sixteen threads at once, closing."""
import os
import re
import subprocess
import sys
import threading
import time
import unittest

import vireotest

try:
    import libvirt
except ImportError:
    vireotest.skip_file("no libvirt module (package python3-libvirt)")

UUID = "8dd0a9f4-2f6f-4f1b-9c2e-5b2f6a7f1c01"
libvirt.registerErrorHandler(lambda *_: None, None)


def run_loop():
    while True:
        libvirt.virEventRunDefaultImpl()


def start_loop():
    libvirt.virEventRegisterDefaultImpl()
    libvirt.virEventAddTimeout(200, lambda *_: None, None)
    threading.Thread(target=run_loop, daemon=True).start()


class PythonCase(vireotest.VirshCase):
    def setUp(self):
        super().setUp()
        self.conn = libvirt.open(self.daemon.uri())
        self.addCleanup(self.close)

    def close(self):
        try:
            self.conn.close()
        except libvirt.libvirtError:
            pass

    def fails(self, code, function, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            function(*args)
        self.assertEqual(caught.exception.get_error_code(), code, caught.exception)
        return caught.exception

    def plain(self, name="a", **kwargs):
        return self.conn.defineXML(self.nano_xml(name, disks=[], **kwargs))


class Connection(PythonCase):
    def test_facts(self):
        conn = self.conn
        self.assertEqual(conn.getType(), "QEMU")
        self.assertGreater(conn.getVersion(), 7000000)
        self.assertGreater(conn.getLibVersion(), 1000000)
        self.assertEqual(conn.isAlive(), 1)
        self.assertEqual(conn.isSecure(), 1)
        self.assertEqual(conn.isEncrypted(), 0)
        self.assertTrue(conn.getHostname())
        model, memory, cpus, mhz, nodes, sockets, cores, threads = conn.getInfo()
        self.assertEqual(model, "x86_64")
        self.assertGreater(memory, 100)
        self.assertGreaterEqual(nodes * sockets * cores * threads, cpus)
        self.assertGreaterEqual(mhz, 0)
        self.assertGreaterEqual(conn.getMaxVcpus("qemu"), 2)
        self.assertGreater(conn.getFreeMemory(), 0)
        self.assertIn("total", conn.getMemoryStats(-1))
        self.assertIn("user", conn.getCPUStats(-1))
        self.assertEqual(conn.getCPUMap()[0], len(conn.getCPUMap()[1]))
        self.assertIn("qemu64", conn.getCPUModelNames("x86_64"))

    def test_open_what_does_not_exist(self):
        self.fails(libvirt.VIR_ERR_NO_CONNECT, libvirt.open, self.daemon.uri("nosuch"))

    def test_closed_connection(self):
        domain = self.plain()
        conn = libvirt.open(self.daemon.uri())
        self.assertEqual(conn.close(), 0)
        self.fails(libvirt.VIR_ERR_INVALID_CONN, conn.getHostname)
        self.assertEqual(domain.isActive(), 0)

    def test_two_hundred_connections_one_after_the_other(self):
        for _ in range(200):
            conn = libvirt.open(self.daemon.uri())
            self.assertEqual(conn.numOfDomains(), 0)
            conn.close()

    def test_fifty_connections_at_once(self):
        conns = [libvirt.open(self.daemon.uri()) for _ in range(50)]
        for conn in conns:
            self.assertEqual(conn.listAllDomains(), [])
        for conn in conns:
            self.assertEqual(conn.close(), 0)

    def test_read_only(self):
        conn = libvirt.openReadOnly(self.daemon.uri())
        self.fails(libvirt.VIR_ERR_OPERATION_DENIED, conn.defineXML, self.nano_xml("a", disks=[]))
        self.assertEqual(conn.listAllDomains(), [])
        conn.close()


class Errors(PythonCase):
    def test_not_found(self):
        conn = self.conn
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, conn.lookupByName, "nope")
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, conn.lookupByUUIDString, UUID)
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, conn.lookupByID, 99999)
        self.fails(libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT, self.plain().snapshotLookupByName, "nope")

    def test_xml(self):
        self.fails(libvirt.VIR_ERR_XML_DETAIL, self.conn.defineXML, "<domain")
        self.fails(libvirt.VIR_ERR_XML_ERROR, self.conn.defineXML, "<other/>")

    def test_states(self):
        domain = self.plain()
        for call in (domain.suspend, domain.resume, domain.destroy, domain.shutdown, domain.reset):
            self.fails(libvirt.VIR_ERR_OPERATION_INVALID, call)
        self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.setMemoryFlags, 8192, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        domain.create()
        self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.create)

    def test_error_fields(self):
        error = self.fails(libvirt.VIR_ERR_NO_DOMAIN, self.conn.lookupByName, "nope")
        self.assertEqual(error.get_error_level(), libvirt.VIR_ERR_ERROR)
        self.assertIn("nope", error.get_error_message())
        self.assertIn(error.get_error_domain(), (libvirt.VIR_FROM_QEMU, libvirt.VIR_FROM_DOMAIN))

    def test_flags_that_do_not_exist(self):
        domain = self.plain()
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.createWithFlags, 1 << 30)
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.snapshotListNames, 1 << 30)
        self.assertEqual(domain.isActive(), 0)

    def test_exclusive_flags(self):
        domain = self.plain()
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.setMemoryFlags, 8192,
                   libvirt.VIR_DOMAIN_AFFECT_CURRENT | libvirt.VIR_DOMAIN_MEM_MAXIMUM | (1 << 28))

    def test_object_that_is_gone(self):
        domain = self.plain()
        domain.undefine()
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, domain.state)
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, domain.XMLDesc)


class Domains(PythonCase):
    def test_old_and_new_lists_agree(self):
        for name in ("a", "b"):
            self.plain(name)
        running = self.plain("c")
        running.create()
        conn = self.conn
        self.assertEqual(sorted(d.name() for d in conn.listAllDomains()), ["a", "b", "c"])
        self.assertEqual(sorted(conn.listDefinedDomains()), ["a", "b"])
        self.assertEqual(conn.numOfDefinedDomains(), 2)
        self.assertEqual(conn.listDomainsID(), [running.ID()])
        self.assertEqual(conn.numOfDomains(), 1)
        active = conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        self.assertEqual([d.name() for d in active], ["c"])
        self.assertEqual(conn.lookupByID(running.ID()).name(), "c")

    def test_old_and_new_calls_agree(self):
        domain = self.plain(uuid=UUID, memory=24, vcpus=2)
        self.assertEqual((domain.name(), domain.UUIDString(), domain.ID()), ("a", UUID, -1))
        self.assertEqual(domain.info()[:4], [libvirt.VIR_DOMAIN_SHUTOFF, 24576, 24576, 2])
        self.assertEqual(domain.state()[0], domain.info()[0])
        self.assertEqual(domain.maxMemory(), 24576)
        self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.maxVcpus)
        self.assertEqual(domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM), 2)
        self.assertEqual(domain.OSType(), "hvm")
        self.assertEqual((domain.isActive(), domain.isPersistent(), domain.isUpdated()), (0, 1, 0))
        self.assertEqual((domain.autostart(), domain.hasManagedSaveImage()), (0, 0))
        self.assertEqual(domain.snapshotNum(), 0)
        domain.setAutostart(1)
        self.assertEqual(domain.autostart(), 1)

    def test_create_flags(self):
        domain = self.plain()
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_PAUSED)
        domain.resume()
        self.assertEqual(domain.state(), [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_UNPAUSED])
        domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)
        self.assertEqual(domain.state(), [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED])

    def test_stats(self):
        domain = self.plain(memory=24)
        self.plain("b")
        domain.create()
        [(first, stats)] = self.conn.domainListGetStats([domain])
        self.assertEqual(first.name(), "a")
        self.assertEqual(stats["state.state"], libvirt.VIR_DOMAIN_RUNNING)
        self.assertEqual(stats["balloon.maximum"], 24576)
        both = self.conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
        self.assertEqual(sorted(d.name() for d, _ in both), ["a", "b"])

    def test_snapshots(self):
        domain = self.conn.defineXML(self.nano_xml("a"))
        make = lambda name: domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
        one, two, three = make("one"), make("two"), make("three")
        self.assertEqual(domain.snapshotNum(), 3)
        self.assertEqual(domain.snapshotNum(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_ROOTS), 1)
        self.assertEqual(sorted(domain.snapshotListNames()), ["one", "three", "two"])
        self.assertEqual(domain.snapshotListNames(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_LEAVES), ["three"])
        self.assertEqual(sorted(s.getName() for s in domain.listAllSnapshots()), ["one", "three", "two"])
        self.assertEqual(domain.hasCurrentSnapshot(), 1)
        self.assertEqual(domain.snapshotCurrent().getName(), "three")
        self.assertEqual(domain.snapshotLookupByName("two").getParent().getName(), "one")
        self.fails(libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT, one.getParent)
        self.assertEqual((one.numChildren(), one.listChildrenNames()), (1, ["two"]))
        every = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS
        self.assertEqual((one.numChildren(every), sorted(one.listChildrenNames(every))), (2, ["three", "two"]))
        self.assertEqual(sorted(s.getName() for s in one.listAllChildren(every)), ["three", "two"])
        self.assertEqual((one.isCurrent(), three.isCurrent(), two.hasMetadata()), (0, 1, 1))
        self.assertEqual(two.getDomain().name(), "a")
        domain.revertToSnapshot(one)
        self.assertEqual(one.isCurrent(), 1)
        two.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN)
        self.assertEqual(domain.snapshotListNames(), ["one"])
        self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.undefine)
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)

    def test_screenshot_stream(self):
        domain = self.conn.createXML(self.nano_xml("a", disks=[], devices="<video><model type='vga'/></video>"))
        stream = self.conn.newStream()
        kind = domain.screenshot(stream, 0)
        self.assertTrue(kind.startswith("image/"), kind)
        parts = []
        stream.recvAll(lambda _stream, data, _opaque: parts.append(data), None)
        stream.finish()
        self.assertGreater(sum(map(len, parts)), 100)
        domain.destroy()

    def test_console_stream(self):
        domain = self.conn.createXML(self.nano_xml("a"))
        stream = self.conn.newStream()
        domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        seen, end = b"", time.monotonic() + 15
        while b"M=Z" not in seen and time.monotonic() < end:
            stream.send(b"mZ")
            seen += stream.recv(64)
        self.assertIn(b"M=Z", seen)
        stream.abort()
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        domain.destroy()

    @staticmethod
    def talk(stream, text, answer):
        """Types until the guest has answered."""
        seen, end = b"", time.monotonic() + 15
        while answer not in seen and time.monotonic() < end:
            stream.send(text)
            seen += stream.recv(64)
        return answer in seen

    def test_second_console(self):
        """One client at a time; FORCE takes the console from the other, and both ends work as before."""
        domain = self.conn.createXML(self.nano_xml("a"))
        first, second = self.conn.newStream(), self.conn.newStream()
        domain.openConsole(None, first)
        self.assertTrue(self.talk(first, b"mZ", b"M=Z"))
        with self.assertRaises(libvirt.libvirtError) as caught:
            domain.openConsole(None, second)
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_OPERATION_FAILED)
        self.assertIn("Active console session exists for this domain", str(caught.exception))
        self.assertTrue(self.talk(first, b"mY", b"M=Y"))
        second = self.conn.newStream()
        domain.openConsole(None, second, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        self.assertTrue(self.talk(second, b"mX", b"M=X"))
        try:
            while first.recv(64):
                pass
        except libvirt.libvirtError:
            pass
        second.abort()
        again, end = None, time.monotonic() + 10
        while not again and time.monotonic() < end:    # until the daemon knows that it is free
            again = self.conn.newStream()
            try:
                domain.openConsole(None, again)
            except libvirt.libvirtError:
                again = None
                time.sleep(0.05)
        self.assertTrue(self.talk(again, b"mW", b"M=W"))
        domain.destroy()
        try:
            while again.recv(64):
                pass
        except libvirt.libvirtError:
            pass

    def test_guest_that_ends_with_its_client(self):
        lasting = self.conn.defineXML(self.nano_xml("b"))
        self.addCleanup(lasting.undefine)
        other = libvirt.open(self.daemon.uri())
        other.createXML(self.nano_xml("a"), libvirt.VIR_DOMAIN_START_AUTODESTROY)
        other.lookupByName("b").createWithFlags(libvirt.VIR_DOMAIN_START_AUTODESTROY)
        self.assertEqual({d.name() for d in self.conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)}, {"a", "b"})
        other.close()
        end = time.monotonic() + 20
        while time.monotonic() < end and self.conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            time.sleep(0.05)
        self.assertEqual([(d.name(), d.isActive()) for d in self.conn.listAllDomains()], [("b", 0)])

    def test_guest_that_ends_with_a_killed_client(self):
        """But not one that somebody else has started anew meanwhile."""
        for name in "ab":
            self.addCleanup(self.conn.defineXML(self.nano_xml(name)).undefine)
        script = ("import libvirt, sys\nc = libvirt.open(sys.argv[1])\n"
                  "for name in 'ab':\n    c.lookupByName(name).createWithFlags(libvirt.VIR_DOMAIN_START_AUTODESTROY)\n"
                  "print('both', flush=True)\nsys.stdin.read()\n")
        with subprocess.Popen([sys.executable, "-c", script, self.daemon.uri()], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as client:
            try:
                self.assertEqual(client.stdout.readline(), "both\n")
                again = self.conn.lookupByName("b")
                again.destroy()
                again.create()
            finally:
                client.kill()
        gone = self.conn.lookupByName("a")
        vireotest.wait_until(lambda: not gone.isActive(), what="a is off")
        self.assertTrue(again.isActive())
        again.destroy()

    @vireotest.vireo_only("a guest of a killed libvirtd cannot be had: its peer is started anew each time")
    def test_guest_that_ends_with_the_daemon(self):
        """Stopped or killed: the connection that owned it is over. The others stay."""
        for end in (self.daemon.stop, self.daemon.kill):
            for name, flags in (("lasting", 0), ("owned", libvirt.VIR_DOMAIN_START_AUTODESTROY)):
                self.conn.createXML(self.nano_xml(name, disks=[]), flags)
            end()
            self.daemon.start_vireod()
            self.conn = libvirt.open(self.daemon.uri())
            self.assertEqual([d.name() for d in self.conn.listAllDomains()], ["lasting"])
            self.conn.lookupByName("lasting").destroy()

    def test_aliases_differ(self):
        """Also with a SATA controller beside the IDE one that the machine has."""
        domain = self.conn.createXML(self.nano_xml("a", devices="<controller type='ide'/><controller type='sata'/>"))
        names = re.findall(r"<alias name='([^']+)'", domain.XMLDesc())
        self.assertIn("sata0", names)
        controllers = re.findall(r"<controller .*?</controller>", domain.XMLDesc(), re.S)
        names = re.findall(r"<alias name='([^']+)'", "".join(controllers))
        self.assertEqual(len(names), len(set(names)), names)
        domain.destroy()

    def test_graphics_descriptor(self):
        domain = self.conn.createXML(self.nano_xml("a", disks=[], devices="<graphics type='vnc' autoport='yes'/>"))
        fd = domain.openGraphicsFD(0, 0)
        try:
            self.assertTrue(os.read(fd, 12).startswith(b"RFB "))
        finally:
            os.close(fd)
        domain.destroy()


class Events(PythonCase):
    def setUp(self):
        super().setUp()
        self.seen = []
        self.ids = []

    def note(self, _conn, domain, event, detail, label):
        self.seen.append((label, domain.name(), event, detail))

    def listen(self, label="all", domain=None, conn=None):
        conn = conn or self.conn
        number = conn.domainEventRegisterAny(domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.note, label)
        self.ids.append(number)
        return number

    def wait(self, *wanted):
        vireotest.wait_until(lambda: wanted in self.seen, 10, f"event {wanted} in {self.seen}")

    def test_whole_life(self):
        self.listen()
        domain = self.plain()
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        domain.resume()
        domain.suspend()
        domain.destroy()
        domain.undefine()
        self.wait("all", "a", libvirt.VIR_DOMAIN_EVENT_UNDEFINED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED)
        kinds = [(event, detail) for _, _, event, detail in self.seen]
        for one in ((libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_DEFINED_ADDED),
                    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED),
                    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED)):
            self.assertIn(one, kinds)
        self.assertEqual(kinds[0][0], libvirt.VIR_DOMAIN_EVENT_DEFINED)
        self.assertEqual(kinds[-1][0], libvirt.VIR_DOMAIN_EVENT_UNDEFINED)

    def test_only_the_domain_asked_for(self):
        one, two = self.plain("one"), self.plain("two")
        self.listen("one", one)
        self.listen("two", two)
        two.setAutostart(1)
        one.undefine()
        two.undefine()
        self.wait("one", "one", 1, 0)
        self.wait("two", "two", 1, 0)
        self.assertEqual([x for x in self.seen if x[0] != x[1]], [])

    def test_two_connections_hear_the_same(self):
        other = libvirt.open(self.daemon.uri())
        self.addCleanup(other.close)
        self.listen("first")
        self.listen("second", conn=other)
        self.plain()
        for label in ("first", "second"):
            self.wait(label, "a", 0, 0)

    def test_silence_after_deregistering(self):
        number = self.listen()
        domain = self.plain()
        self.wait("all", "a", 0, 0)
        self.conn.domainEventDeregisterAny(number)
        count = len(self.seen)
        domain.undefine()
        self.plain()
        time.sleep(0.5)
        self.assertEqual(len(self.seen), count)

    def test_fifty_in_order(self):
        self.listen()
        names = [f"n{number:02}" for number in range(50)]
        for name in names:
            self.plain(name)
        vireotest.wait_until(lambda: len(self.seen) >= 50, 10, "fifty events")
        self.assertEqual([name for _, name, _, _ in self.seen], names)

    def test_old_registration(self):
        callback = lambda _conn, domain, event, detail, _opaque: self.seen.append(("old", domain.name(), event, detail))
        self.conn.domainEventRegister(callback, None)
        self.plain()
        self.wait("old", "a", 0, 0)
        self.conn.domainEventDeregister(callback)

    def test_close_callback(self):
        if not self.daemon.process:
            self.skipTest("stops vireod only")
        reasons = []
        conn = libvirt.open(self.daemon.uri())
        conn.registerCloseCallback(lambda _conn, reason, _opaque: reasons.append(reason), None)
        self.daemon.kill()
        vireotest.wait_until(lambda: reasons, 10, "close callback")
        self.daemon.start_vireod()
        self.assertIn(reasons[0], (libvirt.VIR_CONNECT_CLOSE_REASON_EOF, libvirt.VIR_CONNECT_CLOSE_REASON_ERROR))


class Threads(PythonCase):
    def together(self, work, count=16):
        problems = []

        def guarded(number):
            try:
                work(number)
            except BaseException as problem:    # a thread's failure must reach the test
                problems.append(problem)

        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            self.assertFalse(thread.is_alive(), "a thread hangs")
        if problems:
            raise problems[0]

    def test_sixteen_on_one_connection(self):
        def work(number):
            name = f"n{number:02}"
            for _ in range(10):
                domain = self.plain(name)
                self.assertEqual(self.conn.lookupByName(name).UUIDString(), domain.UUIDString())
                self.assertIn(f"<name>{name}</name>", domain.XMLDesc())
                self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_SHUTOFF)
                domain.undefine()
        self.together(work)
        self.assertEqual(self.conn.listAllDomains(), [])

    def test_sixteen_connections(self):
        def work(number):
            conn = libvirt.open(self.daemon.uri())
            name = f"n{number:02}"
            domain = conn.defineXML(self.nano_xml(name, disks=[]))
            for _ in range(50):
                self.assertEqual(conn.lookupByName(name).name(), name)
                self.assertIn(name, [d.name() for d in conn.listAllDomains()])
            domain.undefine()
            del domain    # it holds the connection
            self.assertEqual(conn.close(), 0)
        self.together(work)

    def test_one_domain_pulled_at_from_all_sides(self):
        """Refusals are fine; hanging, crashing or a wrong final state is not."""
        fine = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_INTERNAL_ERROR)
        domain = self.plain()

        def work(number):
            call = (domain.create, domain.destroy, domain.suspend, domain.resume)[number % 4]
            for _ in range(5):
                try:
                    call()
                except libvirt.libvirtError as error:
                    if self.daemon.is_vireo:    # libvirtd also lets its monitor's errors through
                        self.assertIn(error.get_error_code(), fine, error)
        self.together(work)
        if domain.isActive():
            domain.destroy()
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_SHUTOFF)

    def test_lookups_while_guests_start(self):
        domains = [self.plain(f"n{number}") for number in range(4)]

        def work(number):
            if number < 4:
                domains[number].create()
                domains[number].destroy()
            else:
                for _ in range(100):
                    self.assertEqual(len(self.conn.listAllDomains()), 4)
        self.together(work)


if __name__ == "__main__":
    start_loop()
    vireotest.main()
