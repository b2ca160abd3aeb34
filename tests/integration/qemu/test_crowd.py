# SPDX-License-Identifier: LGPL-2.1-or-later
"""Eight clients do contrary things to one domain at once. No call hangs, each ends with success or with an error that
says why; whatever snapshot is left reads what it read when it was first seen, on all disks from the same moment.

VIREO_TEST_SECONDS makes it longer, VIREO_TEST_SEED repeats one (as far as threads can be repeated)."""
import collections
import os
import random
import threading
import time
import unittest

import qemutest
from qemutest import vireotest

try:
    import libvirt
except ImportError:
    qemutest.skip_file("no libvirt module (package python3-libvirt)")

import matrixbench  # noqa: E402

libvirt.registerErrorHandler(lambda *_: None, None)
CLIENTS = 8
ROUNDS = 5
SECONDS = float(os.environ.get("VIREO_TEST_SECONDS", "15")) / ROUNDS
SEED = int(os.environ.get("VIREO_TEST_SEED", "1"))
CALL_SECONDS = 30
SNAPSHOTS_MAX = 8
# What may be said to somebody who comes at the wrong moment.
CLEAR = {libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_NO_DOMAIN,
         libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
         libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_OPERATION_ABORTED,
         libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY, libvirt.VIR_ERR_XML_ERROR}
DISKS = {"e": "snapshot='external'", "i": "snapshot='internal'"}


class Client(threading.Thread):
    def __init__(self, crowd, number):
        super().__init__(daemon=True)
        self.crowd, self.random = crowd, random.Random(SEED * 100 + number)
        self.conn = libvirt.open(crowd.daemon.uri())
        self.number, self.taken = number, 0
        self.since, self.doing = None, ""

    def run(self):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.since, self.doing = time.monotonic(), self.random.choice(self.crowd.operations)
            code, said = 0, ""
            try:
                getattr(self, "do_" + self.doing)(self.conn.lookupByName("crowd"))
            except libvirt.libvirtError as error:
                code, said = error.get_error_code(), str(error)
            self.crowd.noted(self, code, said)
            self.since = None
        self.conn.close()

    def some(self, domain):
        snapshots = domain.listAllSnapshots()
        return self.random.choice(snapshots) if snapshots else domain.snapshotLookupByName("none")

    def do_take(self, domain):
        if len(domain.listAllSnapshots()) > SNAPSHOTS_MAX:
            self.do_drop(domain)
            return
        self.taken += 1
        name = f"c{self.crowd.round}-{self.number}-{self.taken}"
        kinds = [self.random.choice("ei") for _ in range(2)]
        disks = "".join(f"<disk name='{dev}' {DISKS[kind]}/>" for dev, kind in zip(("vda", "vdb"), kinds))
        memory = self.random.choice(("", "", f"<memory snapshot='external' file='{self.crowd.bench.path(name)}.mem'/>"))
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name>{memory}<disks>{disks}</disks></domainsnapshot>",
                                 0 if memory or "i" in kinds else libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)

    def do_drop(self, domain):
        self.some(domain).delete(self.random.choice((0, 0, 0, libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN)))

    def do_revert(self, domain):
        flags = (0, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED)
        domain.revertToSnapshot(self.some(domain), libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE | self.random.choice(flags))

    def do_start(self, domain):
        domain.create()

    def do_destroy(self, domain):
        domain.destroy()

    def do_suspend(self, domain):
        self.random.choice((domain.suspend, domain.resume))()

    def do_look(self, domain):
        for snapshot in domain.listAllSnapshots():
            snapshot.getXMLDesc()
        domain.state()

    def do_forget(self, domain):
        """Off and on again, on the images of the beginning: the tree goes with the definition, its files stay."""
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
        text = self.crowd.text
        for image in self.crowd.bench.images.values():
            self.taken += 1
            new = self.crowd.bench.make_image(f"{os.path.basename(image)[:3]}-{self.crowd.round}-{self.number}-{self.taken}.qcow2", "qcow2")
            text = text.replace(f"'{image}'", f"'{new}'")
        try:
            self.conn.defineXML(text)
        except libvirt.libvirtError as error:
            self.crowd.unclear.append(f"define: {error.get_error_code()}: {error}")


class Crowd(unittest.TestCase):
    operations = ["take"] * 4 + ["drop"] * 3 + ["revert"] * 3 + ["start", "destroy", "suspend", "look"]

    def setUp(self):
        self.daemon = vireotest.daemon()
        self.conn = libvirt.open(self.daemon.uri())
        self.bench = matrixbench.Bench(self.daemon, self.conn, "crowd", "qcow2+qcow2", "off")
        self.text = self.bench.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        self.count, self.unclear, self.seen = collections.Counter(), [], {}
        self.story, self.round = [], 0
        self.addCleanup(self.conn.close)
        self.addCleanup(self.bench.close)

    def play(self):
        self.round += 1
        clients = [Client(self, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        while any(client.is_alive() for client in clients):
            time.sleep(0.05)
            for client in clients:
                since = client.since
                if since and time.monotonic() - since > CALL_SECONDS:
                    self.fail(f"'{client.doing}' does not return")

    def noted(self, client, code, said):
        self.count[client.doing, code] += 1
        now = time.monotonic()
        self.story.append(f"{client.since:.3f}-{now:.3f} {client.number}: {client.doing}: {code} {said}")
        if code and code not in CLEAR:
            self.unclear.append(f"{client.doing}: {code}: {said}")

    def same_moment(self, one, two):
        return all((a == 0 and b == 0) or b == a + 100 for a, b in zip(one, two))

    def images_of(self, name):
        """What both disks of a snapshot read, each as its kind is."""
        text = self.bench.domain.snapshotLookupByName(name).getXMLDesc()
        inside = dict(matrixbench.re.findall(r"<disk name='(\w+)' snapshot='(\w+)'", text))
        images = self.bench.snapshot_images(name)
        return tuple(self.bench.read(images[dev], name if inside[dev] == "internal" else None) for dev in ("vda", "vdb"))

    def idle(self):
        """Nothing is merged in the background, and nothing is about to be."""
        def steady():
            if self.bench.domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
                return False
            files = os.listdir(self.bench.dir)
            time.sleep(0.2)
            return files == os.listdir(self.bench.dir)
        qemutest.wait_until(steady, 60, "nothing left to merge")

    def check(self):
        self.assertEqual(self.unclear, [])
        self.assertTrue(self.bench.is_there(), "the domain is gone")
        self.idle()
        left = {snapshot.getName() for snapshot in self.bench.domain.listAllSnapshots()}
        for name in left:
            found = self.images_of(name)
            self.assertNotIn("unreadable", found, name)
            self.assertTrue(self.same_moment(*found), f"{name} is torn: {found}")
            self.assertEqual(self.seen.setdefault(name, found), found, f"{name} reads something else")
        self.seen = {name: self.seen[name] for name in left}

    def write(self):
        """Another pattern for the next round, on whatever the guest has now."""
        if self.bench.domain.isActive():
            self.bench.domain.destroy()
        self.idle()
        self.bench.write()

    def rounds(self):
        try:
            for _ in range(ROUNDS):
                self.play()
                self.check()
                self.write()
        except AssertionError:
            print(f"seed {SEED}:", *self.story[-80:], sep="\n  ")
            raise
        done = sum(number for (_, code), number in self.count.items() if code == 0)
        self.assertGreater(done, 30)
        for operation in "take", "drop", "revert":
            self.assertGreater(self.count[operation, 0], 0, f"{operation} never succeeded")
        for name, found in self.seen.items():
            snapshot = self.bench.domain.snapshotLookupByName(name)
            self.bench.domain.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
            if self.bench.domain.isActive():
                self.bench.domain.destroy()
            self.assertEqual(tuple(self.bench.read(path) for path in self.bench.present().values()), found, name)
        self.assertIsNone(self.daemon.process.poll())

    def test_snapshots(self):
        self.rounds()
        for snapshot in self.bench.domain.listAllSnapshots():
            snapshot.delete()
        self.assertFalse(self.bench.has_leak(20), os.listdir(self.bench.dir))

    def test_with_undefine(self):
        self.operations = self.operations + ["forget"]
        self.rounds()


if __name__ == "__main__":
    if vireotest.USE_LIBVIRTD:
        qemutest.skip_file("tests of Vireo's own driver")
    qemutest.main()
