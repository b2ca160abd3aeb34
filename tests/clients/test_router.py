# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the core does between a client and a driver, seen from outside on the test driver: refusals by name and in
order, trivial flags, slow and failing drivers, lanes. The URI of a connection tells the driver what to do:
delay.OPERATION=TIME holds a worker, later.OPERATION=TIME completes by itself, fail.OPERATION=CODE fails."""
import subprocess
import threading
import time
import xml.etree.ElementTree as ElementTree

import vireotest

try:
    import libvirt
except ImportError:
    vireotest.skip_file("no libvirt module (package python3-libvirt)")

libvirt.registerErrorHandler(lambda *_: None, None)

SNAPSHOT = "<domainsnapshot><name>{}</name></domainsnapshot>"


class RouterCase(vireotest.VirshCase):
    def setUp(self):
        super().setUp()
        if not self.daemon.is_vireo:
            self.skipTest("Vireo only: libvirtd's test driver cannot be told to be slow or to fail")
        self.conn = self.open()
        self.addCleanup(self.drop)

    def uri(self, **rules):
        """A private connection: what is changed here is seen by nobody else unless path is /default."""
        rest = "".join(f"&{verb}.{op}={value}" for (verb, op), value in rules.get("rules", {}).items())
        return self.daemon.uri("test", "/default") + rest

    def open(self, rules=None, readonly=False):
        uri = self.uri(rules=rules or {})
        return libvirt.openReadOnly(uri) if readonly else libvirt.open(uri)

    def drop(self):
        for name in ("r", "slow"):
            try:
                domain = self.conn.lookupByName(name)
                if domain.isActive():
                    domain.destroy()
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
            except libvirt.libvirtError:
                pass
        self.conn.close()

    def domain(self, name="r", conn=None):
        return (conn or self.conn).defineXML(
            f"<domain type='test'><name>{name}</name><memory>8192</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>")

    def fails(self, code, function, *args):
        with self.assertRaises(libvirt.libvirtError) as caught:
            function(*args)
        self.assertEqual(caught.exception.get_error_code(), code, caught.exception)
        return caught.exception.get_error_message()


class Flags(RouterCase):
    def test_flag_that_the_driver_does_not_have_is_refused_by_name(self):
        domain = self.domain()
        message = self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.undefineFlags, libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
        self.assertIn("KEEP_NVRAM", message)
        self.assertIn("test", message)
        self.assertIn("SNAPSHOTS_METADATA", message)    # what it would take instead
        self.assertEqual(self.conn.lookupByName("r").name(), "r")

    def test_virsh_shows_that_name(self):
        self.domain().create()
        self.assertIn("INITCTL", self.virsh_fails("shutdown", "r", "--mode", "initctl", uri=self.uri()))
        self.assertEqual(self.virsh("domstate", "r", uri=self.uri()), "running")

    def test_bit_that_nobody_knows(self):
        domain = self.domain()
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.createWithFlags, 1 << 29)
        self.assertEqual(domain.isActive(), 0)

    def test_trivial_flag_is_as_good_as_none(self):
        domain = self.domain()
        domain.create()
        domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)
        self.assertEqual(domain.isActive(), 0)
        domain.snapshotCreateXML(SNAPSHOT.format("s"), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC)
        self.assertEqual(domain.snapshotListNames(), ["s"])

    def test_exclusive_flags(self):
        domain = self.domain()
        snapshot = domain.snapshotCreateXML(SNAPSHOT.format("s"))
        message = self.fails(libvirt.VIR_ERR_INVALID_ARG, snapshot.delete,
                             libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN | libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY)
        self.assertIn("CHILDREN_ONLY", message)
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.revertToSnapshot, snapshot,
                   libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)
        self.assertEqual(domain.snapshotListNames(), ["s"])

    def test_required_flag(self):
        domain = self.domain()
        message = self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.snapshotCreateXML, SNAPSHOT.format("s"),
                             libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT)
        self.assertIn("REDEFINE", message)
        self.assertEqual(domain.snapshotListNames(), [])

    def test_required_flag_of_a_checkpoint(self):
        xml = "<domaincheckpoint><name>c</name></domaincheckpoint>"
        message = self.fails(libvirt.VIR_ERR_INVALID_ARG, self.domain().checkpointCreateXML, xml,
                             libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE)
        self.assertIn("REDEFINE", message)

    def test_snapshot_documents_that_make_no_sense(self):
        """The errors that clients know from libvirt."""
        domain = self.domain()
        xml = "<domainsnapshot><name>{}</name><state>{}</state><creationTime>1</creationTime></domainsnapshot>"
        again = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
        self.fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, domain.snapshotCreateXML, xml.format("s", "flying"), again)
        for flags in (again, 0):
            self.fails(libvirt.VIR_ERR_XML_DETAIL, domain.snapshotCreateXML, xml.format("a/b", "shutoff"), flags)
        self.assertEqual(domain.snapshotListNames(), [])

    def test_flag_that_cannot_take_effect_now(self):
        domain = self.domain()
        message = self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.setMemoryFlags, 4096, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self.assertIn("not running", message)
        self.fails(libvirt.VIR_ERR_OPERATION_INVALID, domain.snapshotCreateXML, SNAPSHOT.format("s"),
                   libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
        self.assertEqual(domain.snapshotListNames(), [])


class Refusals(RouterCase):
    def test_operation_that_the_driver_does_not_have(self):
        domain = self.domain()
        message = self.fails(libvirt.VIR_ERR_NO_SUPPORT, domain.blockResize, "vda", 4096)
        self.assertIn("test", message)

    def test_not_found_comes_before_flags(self):
        domain = self.domain()
        domain.undefine()
        self.fails(libvirt.VIR_ERR_NO_DOMAIN, domain.createWithFlags, 1 << 29)

    def test_unsupported_comes_before_flags(self):
        domain = self.domain()
        self.fails(libvirt.VIR_ERR_NO_SUPPORT, domain.blockResize, "vda", 4096, 1 << 29)

    def test_flags_come_before_xml(self):
        domain = self.domain()
        self.fails(libvirt.VIR_ERR_INVALID_ARG, domain.snapshotCreateXML, "<broken", 1 << 29)

    def test_read_only_comes_first(self):
        self.domain()
        conn = self.open(readonly=True)
        domain = conn.lookupByName("r")
        self.fails(libvirt.VIR_ERR_OPERATION_DENIED, domain.createWithFlags, 1 << 29)
        self.fails(libvirt.VIR_ERR_OPERATION_DENIED, domain.blockResize, "vda", 4096)
        conn.close()

    def test_error_of_the_driver_arrives_unchanged(self):
        self.domain()
        conn = self.open({("fail", "domain_create_with_flags"): 38})
        domain = conn.lookupByName("r")
        self.fails(38, domain.create)
        self.assertEqual(domain.isActive(), 0)
        conn.close()


class Lanes(RouterCase):
    """A slow driver is slow for those who wait for it and for nobody else."""

    def start_slowly(self, verb):
        """A thread that starts 'slow', which takes three seconds; returns when it is on its way."""
        self.domain("slow")
        conn = self.open({(verb, "domain_create_with_flags"): "3s"})
        result = []

        def work():
            try:
                conn.lookupByName("slow").create()
                result.append(None)
            except libvirt.libvirtError as error:
                result.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.5)

        def finish():
            thread.join(20)
            conn.close()
        self.addCleanup(finish)
        return thread, result

    def check_reads(self, verb):
        thread, _ = self.start_slowly(verb)
        begin = time.monotonic()
        domain = self.conn.lookupByName("slow")
        domain.state()
        domain.info()
        ElementTree.fromstring(domain.XMLDesc())
        self.assertIn("slow", [d.name() for d in self.conn.listAllDomains()])
        other = self.domain("r")
        other.create()
        self.assertLess(time.monotonic() - begin, 1.5)
        self.assertTrue(thread.is_alive(), "the driver was not slow")

    def test_reads_do_not_wait_for_a_worker_that_sleeps(self):
        self.check_reads("delay")

    def test_reads_do_not_wait_for_a_pending_call(self):
        self.check_reads("later")

    def test_destroy_is_not_stuck_behind_a_start(self):
        thread, _ = self.start_slowly("delay")
        begin = time.monotonic()
        try:
            self.conn.lookupByName("slow").destroy()
        except libvirt.libvirtError as error:    # it may not run yet
            self.assertEqual(error.get_error_code(), libvirt.VIR_ERR_OPERATION_INVALID)
        self.assertLess(time.monotonic() - begin, 1.5)
        thread.join(20)
        self.assertFalse(thread.is_alive())

    def test_many_slow_calls_leave_room_for_others(self):
        """More sleeping calls than any pool has workers."""
        conns, threads = [], []
        for number in range(30):
            self.conn.defineXML(f"<domain type='test'><name>w{number}</name><memory>8192</memory><vcpu>1</vcpu>"
                                "<os><type>hvm</type></os></domain>")
        for number in range(30):
            conn = self.open({("later", "domain_create_with_flags"): "3s"})
            thread = threading.Thread(target=conn.lookupByName(f"w{number}").create)
            thread.start()
            conns.append(conn)
            threads.append(thread)
        begin = time.monotonic()
        self.assertGreaterEqual(len(self.conn.listAllDomains()), 30)
        self.conn.lookupByName("w0").state()
        self.assertLess(time.monotonic() - begin, 1.0)
        for thread in threads:
            thread.join(30)
            self.assertFalse(thread.is_alive())
        for conn in conns:
            conn.close()
        for number in range(30):
            domain = self.conn.lookupByName(f"w{number}")
            self.assertEqual(domain.isActive(), 1)
            domain.destroy()
            domain.undefine()

    def test_client_that_goes_away_in_the_middle(self):
        self.domain("slow")
        uri = self.uri(rules={("delay", "domain_create_with_flags"): "2s"})
        child = subprocess.Popen(["virsh", "-c", uri, "start", "slow"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        child.kill()
        child.wait()
        self.assertEqual(self.conn.lookupByName("slow").name(), "slow")
        time.sleep(2)
        domain = self.conn.lookupByName("slow")
        if domain.isActive():
            domain.destroy()
        domain.create()    # nothing of the lost call is in the way
        self.assertEqual(domain.isActive(), 1)


if __name__ == "__main__":
    vireotest.main()
